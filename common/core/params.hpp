// SPDX-License-Identifier: MIT
// A module's parameters, declared once and bound to the members of a struct: type, elements, choices and default are read off
// the member, so that code, documentation and checks can't disagree. Values are coerced as Ansible's own
// module_utils/common/validation.py does: "yes", "3", "a,b" are fine where a bool, an int, a list is wanted.
#pragma once

#include "common/base/enum_names.hpp"
#include "common/base/json.hpp"
#include "common/core/reduce.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace pvegpu {

/// A value that never appears in results, diffs, errors or the system log (Ansible's no_log).
struct Secret {
  std::string value;
};

template <class P>
class Spec;

namespace params {

Result<bool> parse_bool(const json& value);
Result<std::int64_t> parse_int(const json& value);
Result<std::string> parse_string(const json& value);
/// A list; "a,b" and a lone scalar become one.
Result<std::vector<json>> parse_list(const json& value);
/// An object; a string that holds one is parsed.
Result<json> parse_dict(const json& value);
/// The same where its keys are parameters: Ansible's own are none of them.
Result<json> parse_suboptions(const json& value);
Error no_such_choice(const json& value, const std::vector<std::string>& choices);

class SpecBase;

struct Shape {
  const char* type = "";
  const char* elements = nullptr;
  std::vector<std::string> choices = {};
  json suboptions = nullptr;
  bool secret = false;
  const SpecBase* nested = nullptr;  ///< of a dict with suboptions
};

template <class T>
struct Type;

template <>
struct Type<bool> {
  static Shape shape() { return {"bool"}; }
  static Result<bool> parse(const json& v) { return parse_bool(v); }
  static json print(bool v) { return v; }
};
template <>
struct Type<std::int64_t> {
  static Shape shape() { return {"int"}; }
  static Result<std::int64_t> parse(const json& v) { return parse_int(v); }
  static json print(std::int64_t v) { return v; }
};
template <>
struct Type<std::string> {
  static Shape shape() { return {"str"}; }
  static Result<std::string> parse(const json& v) { return parse_string(v); }
  static json print(const std::string& v) { return v; }
};
template <>
struct Type<Secret> {
  static Shape shape() {
    Shape s{"str"};
    s.secret = true;
    return s;
  }
  static Result<Secret> parse(const json& v) { return Secret{PVEGPU_TRY(parse_string(v))}; }
  static json print(const Secret&) { return nullptr; }
};
template <class E>
requires std::is_enum_v<E>
struct Type<E> {
  static std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& [value, name] : EnumNames<E>::values) out.emplace_back(name);
    return out;
  }
  static Shape shape() { return {"str", nullptr, names()}; }
  static Result<E> parse(const json& v) {
    const std::string text = PVEGPU_TRY(parse_string(v));
    for (const auto& [value, name] : EnumNames<E>::values)
      if (text == name) return value;
    // YAML reads on, off, yes, no as booleans where a choice of that spelling was meant.
    if (v.is_boolean())
      for (const auto& [value, name] : EnumNames<E>::values)
        if (auto meant = parse_bool(json(name)); meant && *meant == v.get<bool>()) return value;
    return no_such_choice(v, names());
  }
  static json print(E v) {
    const char* name = enum_name(v);
    return name ? json(name) : json(nullptr);
  }
};
template <class T>
struct Type<std::optional<T>> {
  static Shape shape() { return Type<T>::shape(); }
  static Result<std::optional<T>> parse(const json& v) { return std::optional<T>(PVEGPU_TRY(Type<T>::parse(v))); }
  static json print(const std::optional<T>& v) { return v ? Type<T>::print(*v) : json(nullptr); }
};
template <class T>
struct Type<std::vector<T>> {
  static Shape shape() {
    Shape s = Type<T>::shape();
    s.elements = s.type;
    s.type = "list";
    return s;
  }
  static Result<std::vector<T>> parse(const json& v) {
    std::vector<T> out;
    for (const json& item : PVEGPU_TRY(parse_list(v))) out.push_back(PVEGPU_TRY(Type<T>::parse(item)));
    return out;
  }
  static json print(const std::vector<T>& v) {
    json out = json::array();
    for (const T& item : v) out.push_back(Type<T>::print(item));
    return out;
  }
};
/// A struct with `static const Spec<T>& spec()` is a dict with suboptions.
template <class T>
requires requires { T::spec(); }
struct Type<T> {
  static Shape shape() {
    Shape s{"dict"};
    s.suboptions = T::spec().describe();
    s.nested = &T::spec();
    return s;
  }
  static Result<T> parse(const json& v) {
    const json dict = PVEGPU_TRY(parse_suboptions(v));
    try {
      return T::spec().parse(dict, nullptr);
    } catch (const ModuleError& e) {
      return Error{e.what()};
    }
  }
  static json print(const T& v) { return T::spec().print(v); }
};

struct Options {
  const char* doc;
  bool required = false;
  std::vector<const char*> aliases = {};
  /// Of large documents: the keys that are read, as paths ("gpus.address"). All others are dropped before arguments are parsed.
  std::vector<std::string> reads = {};
  bool lines = false;  ///< a text that may hold line breaks and other control characters; all other strings are refused with them
  bool url = false;    ///< a login in it is as secret as a Secret
};

/// The part of Spec<P> that does not depend on P.
class SpecBase {
 public:
  /// DOCUMENTATION.options
  json describe() const;
  /// Sentences: "url is required when state is present"
  json constraints() const;
  /// The values of those parameters that say what the task is about, of parsed arguments; see Spec::identified_by.
  json identity(const json& invocation) const;
  /// What is read of raw arguments; whole when it is all of them.
  Kept kept() const;
  /// Values of secret parameters in raw arguments, well-formed or not.
  std::vector<std::string> secrets(const json& args) const;

 protected:
  struct Entry {
    std::string name;
    Shape shape;
    Options options;
    json fallback;
    std::function<Result<>(void*, const json&)> set;
    std::function<json(const void*)> get;
  };
  struct Condition {
    std::string name, value;  ///< when parameter `name` has this value (printed) …
    std::vector<std::string> required;
  };
  bool has_secrets() const;
  void parse_into(void* params, const json& args, json* invocation) const;
  json print_from(const void* params) const;
  const json* value_of(const Entry& entry, const json& args) const;

  std::vector<Entry> entries_;
  std::vector<std::vector<std::string>> exclusive_;
  std::vector<Condition> required_if_;
  std::vector<std::string> identity_;
};

}  // namespace params

template <class P>
class Spec : public params::SpecBase {
 public:
  /// `member`: of P, or of a struct that P inherits from.
  template <class T, class Base>
  Spec& param(const char* name, T Base::*member, params::Options options) {
    using Type = params::Type<T>;
    const P defaults{};
    entries_.push_back({name, Type::shape(), std::move(options), Type::print(defaults.*member),
                        [member](void* p, const json& v) -> Result<> {
                          static_cast<P*>(p)->*member = PVEGPU_TRY(Type::parse(v));
                          return {};
                        },
                        [member](const void* p) { return Type::print(static_cast<const P*>(p)->*member); }});
    return *this;
  }
  Spec& mutually_exclusive(std::vector<std::string> names) {
    exclusive_.push_back(std::move(names));
    return *this;
  }
  /// Tasks that agree in these parameters are about the same thing of the host: what one of them waits for, another may bring or
  /// take back. Without any, all tasks of the module are about one thing.
  Spec& identified_by(std::vector<std::string> names) {
    identity_ = std::move(names);
    return *this;
  }
  /// When parameter `name` is `value`, all of `required` must be given.
  Spec& required_if(std::string name, std::string value, std::vector<std::string> required) {
    required_if_.push_back({std::move(name), std::move(value), std::move(required)});
    return *this;
  }

  /// Throws ModuleError with one sentence for the first thing that is wrong. `invocation`: gets what ran, secrets masked.
  P parse(const json& args, json* invocation = nullptr) const {
    P out{};
    parse_into(&out, args, invocation);
    return out;
  }
  json print(const P& value) const { return print_from(&value); }
};

}  // namespace pvegpu
