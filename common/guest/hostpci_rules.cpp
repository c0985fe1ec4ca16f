// SPDX-License-Identifier: MIT
// Rules for hostpciN.
#include "common/guest/hostpci_rules.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

using text::HostPci;

std::string needs_release(const char* key, catalogue::MajorMinor first, catalogue::MajorMinor pve, const char* instead) {
  if (!(pve < first)) return {};
  return fmt::format("{} came with Proxmox VE {}, and this is {}; {}", key, to_string(first), to_string(pve), instead);
}

std::string by_release(const HostPci& value, catalogue::MajorMinor pve) {
  std::string why;
  if (!value.mapping.empty()) why = needs_release("mapping", {8, 0}, pve, "name the device by its address, with host");
  if (why.empty() && value.keep_driver) why = needs_release("driver=keep", {9, 1}, pve, "leave it out");
  const bool ids = !value.vendor_id.empty() || !value.device_id.empty() || !value.sub_vendor_id.empty() || !value.sub_device_id.empty();
  if (why.empty() && ids) why = needs_release("other ids for the guest", {7, 2}, pve, "leave them out");
  return why;
}

std::string igd_conflict(const HostPci& value, const std::optional<std::string>& vga, bool q35, std::int64_t vmid) {
  if (q35)
    return fmt::format("legacy_igd needs the machine type i440fx, and guest {0} has q35; while it is stopped: qm set {0} --delete machine",
                       vmid);
  if (vga.value_or("") != "none")
    return fmt::format("legacy_igd makes the iGPU the only display, and guest {0} has an emulated one; qm set {0} --vga none", vmid);
  if (!value.rombar) return "legacy_igd needs rombar; leave rombar out";
  if (value.x_vga) return "legacy_igd and x_vga exclude each other; leave x_vga out";
  if (!value.mdev.empty()) return "legacy_igd is for a whole iGPU, and mdev for a part of it; leave one out";
  return {};
}

}  // namespace

std::string why_not(const HostPci& value, const std::vector<text::GuestSection>& guest, std::int64_t vmid, catalogue::MajorMinor pve) {
  if (std::string why = by_release(value, pve); !why.empty()) return why;
  const std::string machine = guest_option(guest, "machine").next.value_or("");
  const bool q35 = text::contains(machine, "q35");
  if (value.pcie && !q35)
    return fmt::format(
        "pcie needs the machine type q35, and guest {} has {}; while the guest is stopped: qm set {} --machine q35 (a Windows guest then "
        "finds other hardware), or leave pcie out",
        vmid, machine.empty() ? "the default, i440fx" : machine, vmid);
  if (value.legacy_igd)
    if (std::string why = igd_conflict(value, guest_option(guest, "vga").next, q35, vmid); !why.empty()) return why;
  for (unsigned other = 0; other < text::hostpci_slots; ++other) {
    if (other == value.slot) continue;
    const auto text = guest_option(guest, fmt::format("hostpci{}", other)).next;
    const auto parsed = text ? text::parse_hostpci(*text, other) : Result<HostPci>(Error{"empty"});
    if (!parsed) continue;
    if (value.legacy_igd && parsed->legacy_igd)
      return fmt::format("hostpci{} of guest {} is in legacy-igd mode, and only one can be", other, vmid);
  }
  return {};
}

}  // namespace pvegpu::gpu
