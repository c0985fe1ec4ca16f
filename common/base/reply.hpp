// SPDX-License-Identifier: MIT
// What a module answers, declared once and bound to the members of a struct, as its parameters are (params.hpp): the JSON that is told,
// the JSON of another task that is taken in, and what ansible-doc shows (RETURN) come of one table.
#pragma once

#include "common/base/documentation.hpp"
#include "common/base/enum_names.hpp"
#include "common/base/json.hpp"
#include "common/base/told.hpp"

#include <map>
#include <optional>
#include <vector>

namespace pvegpu {

/// A struct is told by its `static void fields(Reply<T>& out)`, or fields(Document<T>& out).
template <class T>
concept IsDocument = requires(Document<T>& out) {
  T::fields(out);
};
template <class T>
concept IsTold = IsDocument<T> || requires(Reply<T>& out) {
  T::fields(out);
};

template <class T>
const Reply<T, IsDocument<T>>& reply_of() {
  static const Reply<T, IsDocument<T>> out = [] {
    Reply<T, IsDocument<T>> made;
    T::fields(made);
    return made;
  }();
  return out;
}

namespace replies {

class ReplyBase;

/// How the values of one type are told. Made by the compiler, a constant each.
struct Kind {
  const char *type = "", *elements = nullptr;  ///< as ansible-doc has them
  json (*print)(const void* value) = nullptr;
  bool (*has)(const void* value) = nullptr;               ///< false: it is empty or unset; nullptr: it never is
  bool (*read)(void* value, const json& told) = nullptr;  ///< false: what is told is of another type; nullptr: it is told and not taken in
  const ReplyBase& (*nested)();                           ///< of structs
};

/// A type as it is told: `type`, `print`, and where they make sense `elements`, `has`, `read` and `nested`.
template <class T>
struct Telling;

template <class T>
json print_as(const void* value) {
  return Telling<T>::print(*static_cast<const T*>(value));
}
template <class T>
bool has_as(const void* value) {
  return Telling<T>::has(*static_cast<const T*>(value));
}
template <class T>
bool read_as(void* value, const json& told) {
  return Telling<T>::read(*static_cast<T*>(value), told);
}
template <class T>
constexpr Kind kind_of() {
  Kind out{Telling<T>::type, nullptr, print_as<T>, nullptr, nullptr, nullptr};
  if constexpr (requires { Telling<T>::elements; }) out.elements = Telling<T>::elements;
  if constexpr (requires(const T& value) { Telling<T>::has(value); }) out.has = has_as<T>;
  if constexpr (requires(T & value, const json& told) { Telling<T>::read(value, told); }) out.read = read_as<T>;
  if constexpr (requires { Telling<T>::nested(); }) out.nested = &Telling<T>::nested;
  return out;
}
template <class T>
inline constexpr Kind kind = kind_of<T>();

struct FieldOptions {
  DocText doc = {};            ///< none: not for users, or told by the doc of the dict that it is in
  DocText sample = {};         ///< as JSON; of a string its text
  DocText when = {};           ///< "when there are any": then what is empty or unset is left out
  bool null_if_empty = false;  ///< "" is null
};

struct Field {
  const char* name = "";
  const Kind* kind = nullptr;  ///< nullptr: all fields of `nested`, which another struct has, are told too
  const ReplyBase& (*nested)() = nullptr;
  std::size_t offset = 0;
  FieldOptions options = {};
};

/// A member of a member.
template <class T, class M>
struct Path {
  std::size_t offset;
};

/// Memory in whose place a T could be, to know where its members are.
template <class T>
alignas(T) inline char room[sizeof(T)];

template <class T, class M>
std::size_t offset_of(M T::*member) {
  return static_cast<std::size_t>(reinterpret_cast<const char*>(&(reinterpret_cast<const T*>(room<T>)->*member)) - room<T>);
}

template <class T, class B>
std::size_t base_of() {
  return static_cast<std::size_t>(reinterpret_cast<const char*>(static_cast<const B*>(reinterpret_cast<const T*>(room<T>))) - room<T>);
}

/// The part of Reply<T> that does not depend on T.
class ReplyBase {
 public:
  const std::vector<Field>& fields() const { return fields_; }
  /// False: it is no object.
  bool read_into(void* whole, const json& told) const;
  /// RETURN, or `contains` of one of its entries.
  json describe(bool top = true) const;

 protected:
  void add(const char* name, const Kind& kind, std::size_t offset, const FieldOptions& options);
  void add_all_of(const ReplyBase& (*nested)(), const FieldOptions& options);
  json print_from(const void* whole) const;

 private:
  std::vector<Field> fields_;
};

template <class F, class T>
concept Function = std::is_empty_v<F> && std::is_invocable_v<F, const T&>;

/// What is told is what F returns; what is taken in goes to F::read(T&, const json&), where there is one.
template <class T, class F>
struct Worked {
  using R = std::decay_t<std::invoke_result_t<F, const T&>>;
  static R value(const void* whole) { return F{}(*static_cast<const T*>(whole)); }
  static json print(const void* whole) { return Telling<R>::print(value(whole)); }
  static bool has(const void* whole) {
    if constexpr (requires(const R& now) { Telling<R>::has(now); })
      return Telling<R>::has(value(whole));
    else
      return true;
  }
  static constexpr Kind make() {
    Kind out = kind<R>;
    out.print = print;
    out.has = has;
    out.read = nullptr;
    if constexpr (requires(T & whole, const json& told) { F::read(whole, told); })
      out.read = [](void* whole, const json& told) { return F::read(*static_cast<T*>(whole), told); };
    return out;
  }
  static constexpr Kind kind_of_it = make();
};

}  // namespace replies

template <class T, bool is_document>
class Reply : public replies::ReplyBase {
 public:
  using Options = replies::FieldOptions;

  /// A member, of T or of a base of it.
  template <class M, class B>
  Reply& field(const char* name, M B::*member, const Options& options = {}) {
    add(name, replies::kind<M>, replies::offset_of<T, M>(member), options);
    return *this;
  }
  /// at(&Gpu::ids, &PciIds::vendor)
  template <class M, class B>
  Reply& field(const char* name, replies::Path<B, M> path, const Options& options = {}) {
    add(name, replies::kind<M>, replies::base_of<T, B>() + path.offset, options);
    return *this;
  }
  /// What is told is worked out: [](const T& value) { return … }, or a struct that can read() too.
  template <replies::Function<T> F>
  Reply& field(const char* name, F, const Options& options = {}) {
    add(name, replies::Worked<T, F>::kind_of_it, 0, options);
    return *this;
  }
  /// The module tells an `Other` as well, through a function that it calls, and does not document its insides again. `options.doc` is
  /// added to what is said there, `options.when` replaces it.
  template <class Other>
  Reply& also(const Options& options = {}) {
    add_all_of(&replies::Telling<Other>::nested, options);
    return *this;
  }

  json print(const T& value) const { return print_from(&value); }
  /// Takes in what fits: members that are not told, or in another way, stay as T has them.
  T read(const json& told) const {
    static_assert(is_document);
    T out{};
    (void)read_into(&out, told);
    return out;
  }
};

/// A member of a member.
template <class T, class A, class B, class M>
replies::Path<T, M> at(A T::*outer, M B::*inner) {
  return {replies::offset_of<T>(outer) + replies::offset_of<A, M>(inner)};
}

namespace replies {

template <>
struct Telling<bool> {
  static constexpr const char* type = "bool";
  static json print(bool value) { return value; }
  static bool read(bool& value, const json& told);
};
template <class T>
concept Number = std::is_integral_v<T> && !std::is_same_v<T, std::uint16_t>;
template <Number T>
struct Telling<T> {
  static constexpr const char* type = "int";
  static json print(T value) { return value; }
};
template <>
struct Telling<std::int64_t> {
  static constexpr const char* type = "int";
  static json print(std::int64_t value) { return value; }
  static bool read(std::int64_t& value, const json& told);
};
/// Ids and classes of PCI: four hexadecimal digits.
template <>
struct Telling<std::uint16_t> {
  static constexpr const char* type = "str";
  static json print(std::uint16_t value);
  static bool read(std::uint16_t& value, const json& told);
};
template <>
struct Telling<std::string> {
  static constexpr const char* type = "str";
  static json print(const std::string& value) { return value; }
  static bool has(const std::string& value) { return !value.empty(); }
  static bool read(std::string& value, const json& told);
};
template <>
struct Telling<std::string_view> {
  static constexpr const char* type = "str";
  static json print(std::string_view value) { return value; }
  static bool has(std::string_view value) { return !value.empty(); }
};
template <>
struct Telling<const char*> {
  static constexpr const char* type = "str";
  static json print(const char* value) { return value; }
  static bool has(const char* value) { return *value != '\0'; }
};
/// An enum has EnumNames, or a function to_text() that takes any number.
template <class E>
requires std::is_enum_v<E>
struct Telling<E> {
  static constexpr const char* type = "str";
  static std::string_view name(E value) {
    if constexpr (requires { EnumNames<E>::values; }) {
      const char* name = enum_name(value);
      return name ? name : std::string_view();
    } else {
      return to_text(value);
    }
  }
  static json print(E value) { return name(value); }
  static bool read(E& value, const json& told) {
    constexpr int most = 16;
    for (int i = 0; told.is_string() && i < most; ++i)
      if (name(static_cast<E>(i)) == told.get_ref<const std::string&>()) {
        value = static_cast<E>(i);
        return true;
      }
    return false;
  }
};
template <class T>
concept TakenIn = requires(T& value, const json& told) {
  Telling<T>::read(value, told);
};
template <class T>
struct Telling<std::optional<T>> : Telling<T> {
  static json print(const std::optional<T>& value) { return value ? Telling<T>::print(*value) : json(nullptr); }
  static bool has(const std::optional<T>& value) { return value.has_value(); }
  static bool read(std::optional<T>& value, const json& told) requires TakenIn<T> {
    T inner{};
    if (told.is_null() || !Telling<T>::read(inner, told)) return false;
    value = std::move(inner);
    return true;
  }
};
template <class C>
concept List = requires(const C& list) {
  typename C::value_type;
  list.begin();
  list.empty();
}
&&!requires { typename C::mapped_type; };
template <class C, class T>
concept Growing = requires(C& list, T& item, const json& told) {
  Telling<T>::read(item, told);
  list.push_back(item);
};
/// Vectors and sets.
template <List C>
struct Telling<C> {
  using T = typename C::value_type;
  static constexpr const char* type = "list";
  static constexpr const char* elements = Telling<T>::type;
  static json print(const C& list) {
    json out = json::array();
    for (const T& item : list) out.push_back(Telling<T>::print(item));
    return out;
  }
  static bool has(const C& list) { return !list.empty(); }
  static bool read(C& list, const json& told) requires Growing<C, T> {
    if (!told.is_array()) return false;
    for (const json& each : told) {
      T item{};
      if (Telling<T>::read(item, each)) list.push_back(std::move(item));
    }
    return true;
  }
  static const ReplyBase& nested() requires IsTold<T> { return Telling<T>::nested(); }
};
template <class C>
concept Dict = requires {
  typename C::mapped_type;
};
/// A dict whose keys are names: std::map, or nlohmann::ordered_map where they come in an order of their own.
template <Dict C>
struct Telling<C> {
  static constexpr const char* type = "dict";
  static json print(const C& dict) {
    json out = json::object();
    for (const auto& [key, value] : dict) out[key] = Telling<typename C::mapped_type>::print(value);
    return out;
  }
  static bool has(const C& dict) { return !dict.empty(); }
};
/// A dict whose shape is another's to say, such as the arguments of a task.
template <>
struct Telling<json> {
  static constexpr const char* type = "dict";
  static json print(const json& value) { return value; }
};
template <IsTold T>
struct Telling<T> {
  static constexpr const char* type = "dict";
  static json print(const T& value) { return reply_of<T>().print(value); }
  static bool read(T& value, const json& told) requires IsDocument<T> { return reply_of<T>().read_into(&value, told); }
  static const ReplyBase& nested() { return reply_of<T>(); }
};

}  // namespace replies
}  // namespace pvegpu
