// SPDX-License-Identifier: MIT
// Section configurations.
#include "common/text/section_config.hpp"

#include "common/core/result.hpp"
#include "common/text/strings.hpp"

#include <algorithm>

namespace pvegpu::text {

SectionConfig parse_section_config(std::string_view text) {
  SectionConfig out;
  bool inside = false;
  int number = 0;
  for (const std::string& line : lines(text)) {
    ++number;
    const std::string content = trim(line);
    const bool indented = !line.empty() && (line[0] == ' ' || line[0] == '\t');
    if (content.starts_with('#')) continue;
    if (line.empty()) {
      inside = false;
    } else if (inside && indented && !content.empty()) {
      const auto space = content.find_first_of(" \t");
      out.sections.back().lines.emplace_back(content.substr(0, space), space == content.npos ? "" : trim(content.substr(space)));
    } else if (!inside && !indented && !content.empty() && content.find_first_of(" \t") == content.npos) {
      const auto same = std::find_if(out.sections.begin(), out.sections.end(), [&](const ConfigSection& s) { return s.id == content; });
      if (same != out.sections.end()) {
        out.warnings.push_back(fmt::format("line {}: section '{}' is there twice: the last one counts", number, content));
        out.sections.erase(same);
      }
      out.sections.push_back({content, {}});
      inside = true;
    } else {
      out.warnings.push_back(fmt::format("line {}: '{}' is ignored", number, line));
    }
  }
  return out;
}

}  // namespace pvegpu::text
