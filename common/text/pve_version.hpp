// SPDX-License-Identifier: MIT
// The version of Proxmox VE as its own Perl module says it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pvegpu::text {

struct PveVersion {
  std::string version;  ///< of the package pve-manager: "8.4.1", "7.4-3"
  int major = 0;
};

/// /usr/share/perl5/PVE/pvecfg.pm: `sub version { return '8.4.1'; }`. nullopt when it says none.
std::optional<PveVersion> parse_pvecfg(std::string_view text);

}  // namespace pvegpu::text
