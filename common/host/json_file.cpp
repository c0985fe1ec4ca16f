// SPDX-License-Identifier: MIT
// JSON files.
#include "common/host/json_file.hpp"

#include "common/base/strings.hpp"

#include <charconv>

namespace pvegpu::cluster {

json read_json_object(Reader& reader, const std::string& path, std::string_view what) {
  const auto text = reader.file(path, what);
  if (!text || text::trim(*text).empty()) return nullptr;
  auto value = parse_json(*text);
  if (value && value->is_object()) return *std::move(value);
  reader.add_unreadable(path, what, "it is not a JSON object");
  return nullptr;
}

const json& member(const json& object, const std::string& key) {
  static const json none = nullptr;
  if (!object.is_object()) return none;
  const auto it = object.find(key);
  return it == object.end() ? none : *it;
}

std::string string_member(const json& object, const std::string& key) {
  const json& value = member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<std::int64_t> number_member(const json& object, const std::string& key) {
  const json& value = member(object, key);
  if (value.is_number()) return value.get<std::int64_t>();
  if (!value.is_string()) return std::nullopt;
  const std::string text = value.get<std::string>();
  std::int64_t out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() ? std::optional(out) : std::nullopt;
}

}  // namespace pvegpu::cluster
