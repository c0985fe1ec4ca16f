// SPDX-License-Identifier: MIT
// The script of the initramfs that keeps PCI functions free for guests. It is the record of them too: what they were when they were
// chosen stands in its lines, so script and record can't disagree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

/// Where initramfs-tools takes it from. Scripts there that ask for no other run in the order of their names (hook-functions,
/// cache_run_scripts), so this one comes before `udev`, which loads the drivers.
inline constexpr const char* vfio_script_file = "/etc/initramfs-tools/scripts/init-top/pve-gpu-vfio";
inline constexpr const char* vfio_hook_file = "/etc/initramfs-tools/hooks/pve-gpu-vfio";

struct VfioIds {
  std::uint16_t vendor = 0, device = 0, subsystem_vendor = 0, subsystem_device = 0;

  bool operator==(const VfioIds&) const = default;
  std::string str() const;  ///< "10de:24b0, subsystem 10de:14ad"
};

/// A PCI function as it was when it was chosen.
struct VfioClaim {
  std::string address;
  VfioIds ids;
  std::string former;         ///< the driver that it had, empty without one
  bool had_override = false;  ///< its driver_override was vfio-pci already, by someone else

  bool operator==(const VfioClaim&) const = default;
};

/// `load`: it also loads vfio-pci, which then takes them; else they stay without a driver until someone loads it.
std::string print_vfio_script(const std::vector<VfioClaim>& claims, bool load);
/// The claims of a script, also of one that was edited. Lines that are no whole claim are skipped, as the script does.
std::vector<VfioClaim> parse_vfio_script(std::string_view script);

/// Takes vfio-pci, and what it needs, into the initramfs.
std::string print_vfio_hook();

}  // namespace pvegpu::text
