// SPDX-License-Identifier: MIT
// Unit files of systemd.
#include "common/text/unit_file.hpp"

#include "common/base/strings.hpp"

namespace pvegpu::text {

std::vector<UnitSetting> parse_unit_file(std::string_view text) {
  std::vector<UnitSetting> out;
  std::string section, pending;
  int number = 0, start = 0;
  for (const std::string& raw : lines(text)) {
    ++number;
    const std::string line = trim(raw);
    // Comments may stand between the lines of one setting.
    if (line.starts_with('#') || line.starts_with(';')) continue;
    if (pending.empty()) start = number;
    if (line.ends_with('\\')) {
      pending += line.substr(0, line.size() - 1) + ' ';
      continue;
    }
    const std::string whole = trim(pending + line);
    pending.clear();
    if (whole.starts_with('[') && whole.ends_with(']')) {
      section = whole.substr(1, whole.size() - 2);
    } else if (const auto equals = whole.find('='); equals != whole.npos) {
      out.push_back({section, trim(whole.substr(0, equals)), trim(whole.substr(equals + 1)), start});
    }
  }
  return out;
}

std::vector<std::string> unit_values(const std::vector<UnitSetting>& settings, std::string_view section, std::string_view key) {
  std::vector<std::string> out;
  for (const UnitSetting& each : settings) {
    if (each.section != section || each.key != key) continue;
    if (each.value.empty())
      out.clear();
    else
      out.push_back(each.value);
  }
  return out;
}

std::string unit_instance(std::string_view unit) {
  const auto at = unit.find('@'), dot = unit.rfind('.');
  if (at == unit.npos || dot == unit.npos || dot <= at) return {};
  return std::string(unit.substr(at + 1, dot - at - 1));
}

}  // namespace pvegpu::text
