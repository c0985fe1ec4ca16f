// SPDX-License-Identifier: MIT
// Masking of secrets in an answer.
#include "common/core/mask.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

std::string masked(std::string text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets)
    for (auto at = text.find(secret); at != text.npos; at = text.find(secret, at + 8)) text.replace(at, secret.size(), "********");
  return text;
}

json mask_sorted(const json& value, const std::vector<std::string>& secrets) {
  if (value.is_string()) return masked(value.get_ref<const std::string&>(), secrets);
  if (value.is_number()) {
    std::string text = dump_json(value);
    return std::find(secrets.begin(), secrets.end(), text) == secrets.end() ? value : json("********");
  }
  if (value.is_array()) {
    json out = json::array();
    for (const json& item : value) out.push_back(mask_sorted(item, secrets));
    return out;
  }
  if (value.is_object()) {
    json out = json::object();
    for (const auto& [key, item] : value.items()) out[masked(key, secrets)] = mask_sorted(item, secrets);
    return out;
  }
  return value;
}

}  // namespace

json mask(const json& value, const std::vector<std::string>& secrets) {
  std::vector<std::string> sorted;
  for (const std::string& secret : secrets)
    if (!secret.empty()) sorted.push_back(secret);
  if (sorted.empty()) return value;
  // The longest first: one secret may be part of another.
  std::sort(sorted.begin(), sorted.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  if (!value.is_object()) return mask_sorted(value, sorted);
  json out = json::object();
  for (const auto& [key, item] : value.items()) out[key] = mask_sorted(item, sorted);
  return out;
}

}  // namespace pvegpu
