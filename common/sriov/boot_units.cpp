// SPDX-License-Identifier: MIT
// Units at boot.
#include "common/sriov/boot_units.hpp"

#include "common/sriov/owners.hpp"

#include <algorithm>

namespace pvegpu::gpu {

std::string dropin_of(const std::string& unit) { return fmt::format("{}{}.d/{}", unit_directory, unit, boot_dropin); }
std::string instance_of(const char* name, const std::string& address) { return fmt::format("{}@{}.service", name, address); }

std::set<std::string> BootUnits::own_cards() const {
  std::set<std::string> out;
  for (const std::string& name : host_.list_dir("/etc/systemd/system").value_or({})) out.insert(boot_unit_card(name));
  for (const std::string& file : files_)
    if (file.starts_with(unit_directory)) out.insert(boot_unit_card(file.substr(std::string_view(unit_directory).size())));
  out.erase("");
  return out;
}

std::vector<std::pair<std::string, std::string>> BootUnits::enabled() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& file : files_)
    for (const char* name : shipped_templates) {
      const std::string before = fmt::format("{}{}@", unit_directory, name), after = fmt::format(".service.d/{}", boot_dropin);
      if (!file.starts_with(before) || !file.ends_with(after)) continue;
      const std::string address = file.substr(before.size(), file.size() - before.size() - after.size());
      out.emplace_back(instance_of(name, address), address);
    }
  return out;
}

bool BootUnits::is_switch_off(const std::string& file) const {
  if (!file.starts_with(unit_directory) || !file.ends_with(fmt::format(".d/{}", boot_dropin))) return false;
  const auto ours = enabled();
  return std::none_of(ours.begin(), ours.end(), [&](const auto& each) { return dropin_of(each.first) == file; });
}

bool BootUnits::has_switch_off() const {
  return std::any_of(files_.begin(), files_.end(), [&](const std::string& file) { return is_switch_off(file); });
}

void want_at_boot(Plan& out, const std::string& unit, bool wanted) {
  Step step;
  step.target = "unit " + unit;
  if (wanted) step.desired = "enabled";
  step.observe = [unit](const HostView& host) -> Result<std::optional<std::string>> {
    return wanted_at_boot(host, unit) ? std::optional<std::string>("enabled") : std::nullopt;
  };
  out.ensure_program(std::move(step), {{{"systemctl", wanted ? "enable" : "disable", "--", unit}}, std::chrono::seconds(300)});
}

}  // namespace pvegpu::gpu
