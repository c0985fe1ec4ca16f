// SPDX-License-Identifier: MIT
// What makes virtual functions at boot where nobody else does: a unit for each card, and one script for all of them.
#pragma once

#include "common/sriov/cards.hpp"

namespace pvegpu::gpu {

inline constexpr const char* boot_script = "/usr/local/lib/pve-gpu/sriov-at-boot";
/// A drop-in of ours in the directory of somebody else's unit.
inline constexpr const char* boot_dropin = "pve-gpu.conf";

std::string boot_script_text();
inline constexpr const char* boot_unit_prefix = "pve-gpu-sriov-";
std::string boot_unit_name(const std::string& address);
std::string boot_unit_card(const std::string& unit);  ///< its address; empty for other units
std::string boot_unit_text(const SriovCard& card, const VfCount& count, std::int64_t patience);
/// Beside Proxmox VE's or NVIDIA's unit of a card: that it is done before guests start, and looks for the VFs.
std::string shipped_dropin_text(const SriovCard& card, const VfCount& count, std::int64_t patience);
/// Keeps another unit from starting for as long as the script is there.
std::string switched_off_text(const std::string& unit);

}  // namespace pvegpu::gpu
