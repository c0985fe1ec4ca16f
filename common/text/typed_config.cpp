// SPDX-License-Identifier: MIT
// Section configurations with types.
#include "common/text/typed_config.hpp"

#include "common/base/strings.hpp"

namespace pvegpu::text {

const std::string* TypedSection::find(std::string_view key) const {
  for (const auto& [name, value] : lines)
    if (name == key) return &value;
  return nullptr;
}

bool TypedSection::flag(std::string_view key) const {
  const std::string* value = find(key);
  return value && (value->empty() || *value == "1" || *value == "yes" || *value == "on" || *value == "true");
}

std::vector<TypedSection> parse_typed_config(std::string_view text) {
  // "vm: 100" becomes "vm:100": a header of the kind that is just an id.
  std::string joined;
  for (const std::string& line : text::lines(text)) {
    const auto parts = words(line);
    const bool header = parts.size() == 2 && parts[0].ends_with(':') && line.starts_with(parts[0]);
    joined += header ? parts[0] + parts[1] : line;
    joined += '\n';
  }
  std::vector<TypedSection> out;
  for (ConfigSection& section : parse_section_config(joined).sections) {
    const auto colon = section.id.find(':');
    if (colon == std::string::npos || colon + 1 == section.id.size()) continue;
    out.push_back({lower(section.id.substr(0, colon)), section.id.substr(colon + 1), std::move(section.lines)});
  }
  return out;
}

}  // namespace pvegpu::text
