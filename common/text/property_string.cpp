// SPDX-License-Identifier: MIT
// Property strings.
#include "common/text/property_string.hpp"

#include "common/base/strings.hpp"

namespace pvegpu::text {

const std::string* Properties::find(std::string_view key) const {
  for (const auto& [name, value] : pairs_)
    if (name == key) return &value;
  return nullptr;
}

Result<Properties> parse_property_string(std::string_view text, std::string_view default_key) {
  Properties out;
  for (const std::string& part : split(text, ',')) {
    if (trim(part).empty()) continue;
    const auto sign = part.find('=');
    if (sign == part.npos && default_key.empty()) return Error{fmt::format("'{}' has no key: write key=value", part)};
    std::string key = sign == part.npos ? std::string(default_key) : part.substr(0, sign);
    if (out.find(key)) return Error{fmt::format("the key '{}' is given twice", key)};
    out.add(std::move(key), sign == part.npos ? part : part.substr(sign + 1));
  }
  return out;
}

}  // namespace pvegpu::text
