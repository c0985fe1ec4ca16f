// SPDX-License-Identifier: MIT
// Tables of answers at work.
#include "common/base/reply.hpp"

#include <charconv>

namespace pvegpu::replies {
namespace {

template <class T>
bool read_number(T& value, std::string_view text, int base) {
  T out{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (failure != std::errc() || end != text.data() + text.size()) return false;
  value = out;
  return true;
}

std::string_view text_of(const json& told) { return told.is_string() ? told.get_ref<const std::string&>() : std::string_view(); }

}  // namespace

bool Telling<bool>::read(bool& value, const json& told) {
  if (!told.is_boolean()) return false;
  value = told.get<bool>();
  return true;
}

bool Telling<std::int64_t>::read(std::int64_t& value, const json& told) {
  if (!told.is_number_integer()) return read_number(value, text_of(told), 10);  // templates make strings of numbers
  value = told.get<std::int64_t>();
  return true;
}

json Telling<std::uint16_t>::print(std::uint16_t value) { return fmt::format("{:04x}", value); }
bool Telling<std::uint16_t>::read(std::uint16_t& value, const json& told) { return read_number(value, text_of(told), 16); }

bool Telling<std::string>::read(std::string& value, const json& told) {
  if (!told.is_string()) return false;
  value = told.get_ref<const std::string&>();
  return true;
}

void ReplyBase::add(const char* name, const Kind& kind, std::size_t offset, const FieldOptions& options) {
  fields_.push_back({name, &kind, kind.nested, offset, options});
}

void ReplyBase::add_all_of(const ReplyBase& (*nested)(), const FieldOptions& options) {
  fields_.push_back({"", nullptr, nested, 0, options});
}

json ReplyBase::print_from(const void* whole) const {
  json out = json::object();
  for (const Field& field : fields_) {
    if (!field.kind) continue;
    const void* value = static_cast<const char*>(whole) + field.offset;
    const bool may_lack = field.options.when.given() || field.options.null_if_empty;
    if (!may_lack || !field.kind->has || field.kind->has(value))
      out[field.name] = field.kind->print(value);
    else if (!field.options.when.given())
      out[field.name] = nullptr;
  }
  return out;
}

bool ReplyBase::read_into(void* whole, const json& told) const {
  if (!told.is_object()) return false;
  for (const Field& field : fields_)
    if (field.kind && field.kind->read)
      if (const auto member = told.find(field.name); member != told.end())
        (void)field.kind->read(static_cast<char*>(whole) + field.offset, *member);
  return true;
}

json ReplyBase::describe(bool top) const {
  json out = json::object();
  for (const Field& field : fields_) {
    const FieldOptions& options = field.options;
    if (!field.kind) {
      json all = field.nested().describe(top);
      for (auto& [name, entry] : all.items()) {
        entry.erase("contains");
        if (options.when.given()) entry["returned"] = options.when.text();
        if (options.doc.given()) entry["description"] = fmt::format("{} {}", entry["description"].get<std::string>(), options.doc.text());
        out[name] = std::move(entry);
      }
      continue;
    }
    if (!options.doc.given()) continue;
    json entry{{"description", options.doc.text()}};
    if (top || options.when.given()) entry["returned"] = options.when.given() ? options.when.text() : "always";
    const Kind& kind = *field.kind;
    entry["type"] = kind.type;
    if (kind.elements) entry["elements"] = kind.elements;
    if (options.sample.given())
      entry["sample"] =
          std::string_view(kind.type) == "str" ? json(options.sample.text()) : parse_json(options.sample.text()).or_fail(field.name);
    if (kind.nested)
      if (json contains = kind.nested().describe(false); !contains.empty()) entry["contains"] = std::move(contains);
    out[field.name] = std::move(entry);
  }
  return out;
}

}  // namespace pvegpu::replies
