// SPDX-License-Identifier: MIT
// Unit files of systemd, read only (systemd.syntax(7)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

struct UnitSetting {
  std::string section, key, value;
  int line = 0;  ///< where it begins, counted from 1
};

/// Settings in their order, continued lines joined. Comments and what is no setting are left out.
std::vector<UnitSetting> parse_unit_file(std::string_view text);

/// The values of a key that count: an empty assignment forgets those before it.
std::vector<std::string> unit_values(const std::vector<UnitSetting>& settings, std::string_view section, std::string_view key);

/// The instance of "name@instance.service"; empty for other names.
std::string unit_instance(std::string_view unit);

}  // namespace pvegpu::text
