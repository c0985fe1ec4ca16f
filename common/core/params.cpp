// SPDX-License-Identifier: MIT
// Coercions and checks of module parameters.
#include "common/core/params.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

namespace pvegpu::params {
namespace {

constexpr const char* masked = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER";  // as AnsibleModule writes it

/// A value as an error message may show it: short, and only if it is a scalar.
std::string shown(const json& value) {
  if (value.is_object()) return "a dict";
  if (value.is_array()) return "a list";
  std::string text = value.is_string() ? value.get_ref<const std::string&>() : dump_json(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return fmt::format("'{}'", text);
}

/// Documentation as it reads without ansible-doc: "C(key=value)" is "key=value".
std::string without_markup(const std::string& doc) {
  std::string out;
  bool inside = false;
  for (std::size_t i = 0; i < doc.size(); ++i) {
    const bool at_word = i == 0 || !std::isalnum(static_cast<unsigned char>(doc[i - 1]));
    std::size_t opening = doc.npos;
    if (at_word && !inside)
      for (const std::string_view mark : {"C(", "I(", "O(", "V(", "RV("})
        if (doc.compare(i, mark.size(), mark) == 0) opening = mark.size();
    if (opening != doc.npos) {
      i += opening - 1;
      inside = true;
    } else if (inside && doc[i] == ')') {
      inside = false;
    } else {
      out += doc[i];
    }
  }
  return out;
}

/// What must not get into a file of lines, or "".
std::string control_character(const json& value) {
  if (value.is_array())
    for (const json& item : value)
      if (std::string found = control_character(item); !found.empty()) return found;
  if (!value.is_string()) return {};
  for (const char c : value.get_ref<const std::string&>()) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\n') return "a line break; remove it (YAML's > and | leave one at the end, >- and |- do not)";
    if (byte < ' ' || byte == 127) return fmt::format("the control character 0x{:02x}; remove it", byte);
  }
  return {};
}

/// "user:password" of a URL, whether the rest of it is right or not; "" without. A name alone is masked in URLs only.
std::string login_of(const std::string& url) {
  const auto at = url.rfind('@');
  if (at == url.npos) return {};
  const auto scheme = url.find("://");
  const auto begin = scheme < at ? scheme + 3 : 0;
  std::string login = url.substr(begin, at - begin);
  return text::contains(login, ":") ? login : std::string();
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

}  // namespace

Result<bool> parse_bool(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string() || value.is_number()) {
    const std::string text = text::lower(value.is_string() ? text::trim(value.get_ref<const std::string&>()) : dump_json(value));
    for (const char* word : {"yes", "on", "1", "true", "t", "y", "1.0"})
      if (text == word) return true;
    for (const char* word : {"no", "off", "0", "false", "f", "n", "0.0"})
      if (text == word) return false;
  }
  return Error{fmt::format("{} is not a bool; write true or false", shown(value))};
}

Result<std::int64_t> parse_int(const json& value) {
  const Error error{fmt::format("{} is not an integer that fits 64 bits", shown(value))};
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return error;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (number != std::floor(number) || std::abs(number) > 9007199254740992.0) return error;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_string()) {
    const std::string text = text::trim(value.get_ref<const std::string&>());
    const char* first = text.data() + (text.starts_with('+') && !text.starts_with("+-") ? 1 : 0);
    std::int64_t number = 0;
    const auto [end, failure] = std::from_chars(first, text.data() + text.size(), number);
    if (failure == std::errc() && end == text.data() + text.size() && end != first) return number;
  }
  return error;
}

Result<std::string> parse_string(const json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) return Error{"the value holds a NUL character; remove it"};
    return text;
  }
  if (value.is_boolean()) return std::string(value.get<bool>() ? "True" : "False");  // as Python prints them
  if (value.is_number()) return dump_json(value);
  return Error{fmt::format("{} is not a string", shown(value))};
}

Result<std::vector<json>> parse_list(const json& value) {
  std::vector<json> out;
  if (value.is_array()) {
    for (const json& item : value) {
      if (item.is_null()) return Error{"an item of the list is null; remove it or give it a value"};
      out.push_back(item);
    }
    return out;
  }
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.empty()) return out;
    for (const std::string& word : text::split(text, ',')) out.emplace_back(word);
    return out;
  }
  out.push_back(value);
  return out;
}

Result<json> parse_dict(const json& value) {
  if (value.is_object()) return value;
  if (value.is_string())
    if (auto parsed = parse_json(value.get_ref<const std::string&>()); parsed && parsed->is_object()) return *parsed;
  return Error{"not a dict; write key: value pairs"};  // not quoted: it may be a secret that got one level too high
}

Result<json> parse_suboptions(const json& value) {
  json dict = PVEGPU_TRY(parse_dict(value));
  for (const auto& [key, item] : dict.items())
    if (key.starts_with("_ansible_")) return Error{fmt::format("unsupported parameter {}", shown(json(key)))};
  return dict;
}

Error no_such_choice(const json& value, const std::vector<std::string>& choices) {
  return {fmt::format("{} is not one of: {}", shown(value), joined(choices))};
}

json SpecBase::describe() const {
  json out = json::object();
  for (const Entry& e : entries_) {
    json option{{"description", json::array({e.options.doc})}, {"type", e.shape.type}};
    if (e.shape.elements) option["elements"] = e.shape.elements;
    if (!e.shape.choices.empty()) option["choices"] = e.shape.choices;
    if (e.options.required)
      option["required"] = true;
    else if (!e.fallback.is_null() && !(e.fallback.is_array() && e.fallback.empty()) && e.shape.suboptions.is_null())
      option["default"] = e.fallback;
    else if (e.fallback.is_array())
      option["default"] = e.fallback;
    if (!e.options.aliases.empty()) option["aliases"] = e.options.aliases;
    if (!e.shape.suboptions.is_null()) option["suboptions"] = e.shape.suboptions;
    out[e.name] = std::move(option);
  }
  return out;
}

json SpecBase::identity(const json& invocation) const {
  json out = json::object();
  for (const std::string& name : identity_) out[name] = invocation.at(name);
  return out;
}

Kept SpecBase::kept() const {
  Kept out{.others = true, .members = {}};
  for (const Entry& e : entries_)
    for (const std::string& path : e.options.reads) out.members[e.name].add(path);
  return out;
}

json SpecBase::constraints() const {
  json out = json::array();
  for (const auto& names : exclusive_) out.push_back(fmt::format("Only one of {} may be given.", joined(names)));
  for (const auto& c : required_if_) out.push_back(fmt::format("When {} is {}, {} must be given.", c.name, c.value, joined(c.required)));
  return out;
}

const json* SpecBase::value_of(const Entry& entry, const json& args) const {
  auto given = args.find(entry.name);
  if (given != args.end() && !given->is_null()) return &*given;
  for (const char* alias : entry.options.aliases)
    if (auto it = args.find(alias); it != args.end() && !it->is_null()) return &*it;
  return nullptr;
}

bool SpecBase::has_secrets() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const Entry& e) { return e.shape.secret || (e.shape.nested && e.shape.nested->has_secrets()); });
}

std::vector<std::string> SpecBase::secrets(const json& args) const {
  std::vector<std::string> out;
  const std::function<void(const json&)> collect = [&](const json& value) {
    if (value.is_structured()) {
      for (const json& item : value) collect(item);
    } else if (auto text = parse_string(value)) {
      out.push_back(*std::move(text));
    } else if (value.is_string()) {
      out.push_back(value.get<std::string>());
    }
  };
  const std::function<void(const SpecBase&, const json&)> collect_nested = [&](const SpecBase& spec, const json& value) {
    if (value.is_array())
      for (const json& item : value) collect_nested(spec, item);
    else if (auto dict = parse_dict(value))
      for (std::string& secret : spec.secrets(*dict)) out.push_back(std::move(secret));
    else if (spec.has_secrets())
      collect(value);
  };
  if (!args.is_object()) return out;
  for (const Entry& e : entries_) {
    std::vector<std::string> names{e.name};
    names.insert(names.end(), e.options.aliases.begin(), e.options.aliases.end());
    for (const std::string& name : names) {  // all spellings: the one that is not used is as secret
      const auto it = args.find(name);
      if (it == args.end()) continue;
      if (e.shape.secret) collect(*it);
      if (e.options.url && it->is_string()) out.push_back(login_of(it->get<std::string>()));
      if (e.shape.secret && e.shape.elements)
        for (const json& item : parse_list(*it).value_or({})) collect(item);  // it may be written "a,b"
      if (e.shape.nested) collect_nested(*e.shape.nested, *it);
    }
  }
  return out;
}

void SpecBase::parse_into(void* params, const json& args, json* invocation) const {
  if (!args.is_object()) throw ModuleError("the arguments are not a JSON object; give parameters as name: value");
  for (const auto& [key, value] : args.items()) {
    if (key.starts_with("_ansible_")) continue;
    const bool known = std::any_of(entries_.begin(), entries_.end(), [&, &k = key](const Entry& e) {
      return e.name == k || std::any_of(e.options.aliases.begin(), e.options.aliases.end(), [&](const char* a) { return k == a; });
    });
    if (known) continue;
    std::vector<std::string> names;
    for (const Entry& e : entries_) names.push_back(e.name);
    throw ModuleError(fmt::format("unsupported parameter {}; this module takes: {}", shown(json(key)), joined(names)));
  }
  json given = json::object();
  for (const Entry& e : entries_) {
    const json* value = value_of(e, args);
    if (!value) {
      if (e.options.required) throw ModuleError(fmt::format("missing parameter '{}': {}", e.name, without_markup(e.options.doc)));
      continue;
    }
    const bool text = std::string_view(e.shape.elements ? e.shape.elements : e.shape.type) == "str";
    if (text && !e.shape.secret && !e.options.lines)
      if (const std::string found = control_character(*value); !found.empty())
        throw ModuleError(fmt::format("parameter '{}': the value holds {}", e.name, found));
    if (auto done = e.set(params, *value); !done) {
      if (e.shape.secret) throw ModuleError(fmt::format("parameter '{}' is not of type {}", e.name, e.shape.type));
      throw ModuleError(fmt::format("parameter '{}': {}", e.name, done.error().message));
    }
    given[e.name] = true;
  }
  for (const auto& names : exclusive_) {
    std::vector<std::string> both;
    for (const auto& n : names)
      if (given.contains(n)) both.push_back(n);
    if (both.size() > 1) throw ModuleError(fmt::format("parameters {} exclude each other; give only one", joined(both)));
  }
  const json values = print_from(params);
  for (const auto& c : required_if_) {
    if (!values.contains(c.name)) continue;
    const json& value = values[c.name];
    if ((value.is_string() ? value.get<std::string>() : dump_json(value)) != c.value) continue;
    for (const auto& n : c.required)
      if (!given.contains(n)) throw ModuleError(fmt::format("missing parameter '{}': it is needed when {} is {}", n, c.name, c.value));
  }
  if (!invocation) return;
  *invocation = values;
  for (const Entry& e : entries_)
    if (e.shape.secret) (*invocation)[e.name] = given.contains(e.name) ? json(masked) : json(nullptr);
}

json SpecBase::print_from(const void* params) const {
  json out = json::object();
  for (const Entry& e : entries_) out[e.name] = e.get(params);
  return out;
}

}  // namespace pvegpu::params
