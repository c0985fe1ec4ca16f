// SPDX-License-Identifier: MIT
// Finds the GPUs of a host in sysfs. Each file is read once, and type names and availability on one free VF of a GPU: a host of
// eight boards with 32 VFs and 40 types each has more than 30,000 of these files.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/facts/host_facts.hpp"

namespace pvegpu::gpu {

/// Display controllers (class 03xx) and processing accelerators (1200).
bool is_gpu_class(std::uint16_t pci_class);

/// Which vendors' cards are among the devices.
Vendors vendors_of(const std::vector<PciDevice>& devices);

/// By address. VFs are nested under their PF, other functions of a card under its GPU. A device that is gone meanwhile is skipped
/// with a note. used_by and `held` are left to attach_guests().
std::vector<Gpu> scan_gpus(Reader& reader, const std::vector<PciDevice>& devices, const HostFacts& facts);

}  // namespace pvegpu::gpu
