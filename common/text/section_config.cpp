// SPDX-License-Identifier: MIT
// Section configurations.
#include "common/text/section_config.hpp"

#include "common/base/result.hpp"

#include <algorithm>
#include <unordered_map>

namespace pvegpu::text {
namespace {

std::string_view trimmed(std::string_view s) {
  constexpr std::string_view blanks = " \t\r\n\v\f";
  const auto first = s.find_first_not_of(blanks);
  return first == s.npos ? std::string_view() : s.substr(first, s.find_last_not_of(blanks) - first + 1);
}

}  // namespace

SectionConfig parse_section_config(std::string_view text) {
  SectionConfig out;
  std::vector<ConfigSection> sections;
  std::unordered_map<std::string, std::size_t> last;  // a file at pmxcfs's limit has thousands of sections
  bool inside = false;
  int number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, newline - at);
    at = std::min(newline + 1, text.size());
    ++number;
    const std::string_view content = trimmed(line);
    const bool indented = !line.empty() && (line[0] == ' ' || line[0] == '\t');
    const bool in_section = inside;
    if (content.starts_with('#')) {
      out.comments.push_back(number);
    } else if (line.empty() || line == "0") {
      if (!line.empty()) out.warnings.push_back(fmt::format("line {}: '0' is ignored", number));
      inside = false;
    } else if (inside && indented && !content.empty()) {
      const auto space = content.find_first_of(" \t");
      sections.back().lines.emplace_back(content.substr(0, space),
                                         space == content.npos ? std::string_view() : trimmed(content.substr(space)));
    } else if (!inside && !indented && !content.empty() && content.find_first_of(" \t") == content.npos) {
      if (const auto [it, is_new] = last.try_emplace(std::string(content), sections.size()); !is_new) {
        out.warnings.push_back(fmt::format("line {}: section '{}' is there twice: the last one counts", number, content));
        it->second = sections.size();
      }
      sections.push_back({std::string(content), {}, at - line.size() - (newline < text.size() ? 1 : 0), at});
      inside = true;
    } else {
      out.warnings.push_back(fmt::format("line {}: '{}' is ignored", number, line));
    }
    if (in_section) sections.back().end = at;
  }
  for (std::size_t i = 0; i < sections.size(); ++i)
    if (last[sections[i].id] == i) out.sections.push_back(std::move(sections[i]));
  return out;
}

}  // namespace pvegpu::text
