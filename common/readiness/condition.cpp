// SPDX-License-Identifier: MIT
// Names, and how a condition is told.
#include "common/readiness/conditions.hpp"

namespace pvegpu::readiness {

const char* name_of(Way way) {
  constexpr const char* names[] = {"passthrough", "nvidia_vgpu", "intel_vgpu", "intel_gvtg", "amd_mxgpu"};
  return names[static_cast<std::size_t>(way)];
}

const char* name_of(Rung rung) {
  constexpr const char* names[] = {"firmware",     "command_line", "iommu", "board",      "display", "card",  "build",
                                   "rival_driver", "driver",       "sriov", "vgpu_types", "mapping", "guest", "use"};
  return names[static_cast<std::size_t>(rung)];
}

const char* name_of(BroughtBy by) {
  constexpr const char* names[] = {"", "reboot", "power_off", "driver", "sriov", "display_mode", "file", "packages"};
  return names[static_cast<std::size_t>(by)];
}

void Condition::fail(std::string why, Cure with) {
  state = State::unmet;
  cause = std::move(why);
  cure = std::move(with);
}

void Condition::fail_for_ever(std::string why, std::string instead) {
  fail(std::move(why), hands(std::move(instead)));
  never = true;
}

void Condition::doubt(std::string why) {
  state = State::unknown;
  cause = std::move(why);
}

bool Question::on_vfs() const {
  return way == Way::intel_vgpu ||
         (way == Way::nvidia_vgpu && gpu && gpu->vgpu_class() != catalogue::VgpuClass::classic && gpu->framework != gpu::Framework::mdev);
}

std::string Question::sysfs(std::string_view name) const {
  return fmt::format("/sys/bus/pci/devices/{}/{}", gpu ? gpu->address : "", name);
}

Cure task(std::string module, json args, BroughtBy by, std::string text) {
  if (text.empty()) {
    text = "pve.gpu." + module;
    for (const auto& [key, value] : args.items())
      text += fmt::format("{}{}={}", text.find(" with ") == text.npos ? " with " : ", ", key,
                          value.is_string() ? value.get<std::string>() : value.dump());
  }
  return {std::move(text), by, std::move(module), std::move(args)};
}

Cure hands(std::string text) { return {std::move(text), BroughtBy::nothing, {}, json::object()}; }

}  // namespace pvegpu::readiness
