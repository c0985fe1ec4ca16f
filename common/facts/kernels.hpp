// SPDX-License-Identifier: MIT
// The kernels of this host that a driver has to be built for.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::driver {

/// Where a kernel is pinned: for good, and for the next boot alone (PVE-FACTS 5.2). The first line of each counts.
inline constexpr const char* pin_file = "/etc/kernel/proxmox-boot-pin";
inline constexpr const char* next_boot_file = "/etc/kernel/next-boot-pin";

/// Kernels that are pinned, the one for the next boot first.
std::vector<std::string> pinned_kernels(const HostView& host);

/// Kernels that have an image in /boot, the oldest first.
std::vector<std::string> installed_kernels(const HostView& host);

/// What the next boot starts: a pin, else the newest.
std::string next_kernel(const HostView& host, const std::vector<std::string>& installed);

/// What a driver has to be built for: the kernel that runs, and the next one if that is another.
std::vector<std::string> kernels_to_serve(const HostView& host);

/// Whether a kernel leaves Intel's IOMMU off unless told intel_iommu=on. Proxmox kernels switch it on by themselves from 6.8 on (pve-docs);
/// a kernel's own configuration knows better than its number.
bool needs_intel_iommu_on(const HostView& host, const std::string& kernel);

}  // namespace pvegpu::driver
