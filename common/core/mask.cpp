// SPDX-License-Identifier: MIT
// Masking of secrets in an answer, and its length.
#include "common/core/mask.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <cctype>

namespace pvegpu {
namespace {

bool is_one_of(char c, std::string_view set) { return set.find(c) != set.npos; }

/// What stands before the @ of a URL, even in one that is not well made: "https:/user:password@host", a password with a slash.
std::string without_logins(std::string text) {
  constexpr std::string_view ends = " \t\r\n\"'<>`", slashes = "/\\", scheme_marks = "+.-";
  for (auto colon = text.find(':'); colon != text.npos; colon = text.find(':', colon + 1)) {
    auto scheme = colon;
    while (scheme > 0 && (std::isalnum(static_cast<unsigned char>(text[scheme - 1])) || is_one_of(text[scheme - 1], scheme_marks)))
      --scheme;
    auto begin = colon + 1;
    while (begin < text.size() && is_one_of(text[begin], slashes)) ++begin;
    const std::string name = text::lower(std::string_view(text).substr(scheme, colon - scheme));
    if (name.empty() || (begin - colon < 3 && name != "http" && name != "https")) continue;
    const auto word = std::min(text.find_first_of(ends, begin), text.size());
    const auto path = std::min(text.find_first_of("/?#\\", begin), word);
    const std::string_view authority = std::string_view(text).substr(begin, path - begin);
    auto at = authority.rfind('@');
    if (at == authority.npos && !authority.starts_with('[')) {
      const auto port = authority.find(':');
      if (port != authority.npos && authority.find_first_not_of("0123456789", port + 1) != authority.npos)  // no port, so a password
        at = std::string_view(text).substr(begin, word - begin).rfind('@');
    }
    if (at != authority.npos) text.replace(begin, at, "********");
  }
  return text;
}

std::string masked(std::string text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets)
    for (auto at = text.find(secret); at != text.npos; at = text.find(secret, at + 8)) text.replace(at, secret.size(), "********");
  text = without_logins(std::move(text));
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
  // The longest first: one secret may be part of another.
  std::sort(sorted.begin(), sorted.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  if (!value.is_object()) return mask_sorted(value, sorted);
  json out = json::object();
  for (const auto& [key, item] : value.items()) out[key] = mask_sorted(item, sorted);
  return out;
}

std::string cut_short(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  return fmt::format("{} ... [{} bytes in all] ... {}", text.substr(0, most / 4 * 3), text.size(), text.substr(text.size() - most / 4));
}

json cut_short(json answer) {
  constexpr std::size_t longest_sentence = 4000, longest_text = 1000, largest_value = 20000;
  for (const char* key : {"msg", "failed_step", "reboot_reason", "pending_reason", "steps", "warnings", "follow_ups_pending"}) {
    const auto found = answer.find(key);
    if (found == answer.end()) continue;
    if (found->is_string()) *found = cut_short(found->get<std::string>(), longest_sentence);
    if (found->is_array())
      for (json& item : *found)
        if (item.is_string()) item = cut_short(item.get<std::string>(), longest_sentence);
  }
  if (!answer.contains("invocation") || !answer["invocation"].contains("module_args")) return answer;
  for (auto& [name, value] : answer["invocation"]["module_args"].items()) {
    if (value.is_string()) value = cut_short(value.get<std::string>(), longest_text);
    if (!value.is_structured()) continue;
    if (std::string text = dump_json(value); text.size() > largest_value) value = cut_short(text, longest_text);
  }
  return answer;
}

}  // namespace pvegpu
