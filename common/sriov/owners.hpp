// SPDX-License-Identifier: MIT
// Who makes virtual functions at boot on this host already: units of Proxmox VE and NVIDIA, units of old guides, sysfsutils, tmpfiles.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::gpu {

/// Template units that others ship. Their instance is a PCI address or ALL.
inline constexpr const char* shipped_templates[] = {
    "pve-nvidia-sriov",     // pve-nvidia-vgpu-helper, recommended by pve-manager since 8.3.4
    "nvidia-sriov-manage",  // NVIDIA's driver packages
};

struct BootOwner {
  enum class Kind {
    shipped,   ///< an enabled instance of one of shipped_templates
    guide,     ///< an enabled unit that does nothing but run sriov-manage, as guides have it written by hand
    unit,      ///< another enabled unit that makes VFs
    sysfs,     ///< a line of /etc/sysfs.conf, /etc/sysfs.d
    tmpfiles,  ///< a line of /etc/tmpfiles.d
    other,     ///< a line of a udev rule, of cron, of rc.local
  };
  Kind kind = Kind::other;
  std::string file;  ///< of the unit or the line
  int line = 0;      ///< 0: a unit
  std::string text;  ///< the unit's name, or the line
  bool all_nvidia = false;
  std::vector<std::string> cards;  ///< PCI addresses; none and not all_nvidia: nobody knows

  /// Whether it may make VFs of this card.
  bool may_concern(const std::string& address, bool nvidia) const;
};

/// Units that pve.gpu wrote are left out, and units that have our drop-in `switched_off`.
std::vector<BootOwner> find_boot_owners(const HostView& host, const std::string& switched_off);

/// Whether something in /etc/systemd/system wants it at boot.
bool wanted_at_boot(const HostView& host, const std::string& unit);
/// Whether a unit file of that name is in one of systemd's directories.
bool has_unit_file(const HostView& host, const std::string& name);

}  // namespace pvegpu::gpu
