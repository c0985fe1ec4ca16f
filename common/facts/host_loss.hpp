// SPDX-License-Identifier: MIT
// What the host, and other guests, lose when a guest starts with PCI functions.
//
// VFIO gives a guest whole IOMMU groups: at the start Proxmox VE takes every member of the group but bridges from its driver, whichever
// was asked for (PVE::SysFSTools::pci_dev_group_bind_to_vfio).
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::gpu {

/// Sentences, empty when there is nothing to say.
struct HostLoss {
  std::string needed;                 ///< the host has its disks or its network on one of them
  std::string of_guests;              ///< guests that run now have parts of one of them
  std::vector<std::string> warnings;  ///< what goes along, or ends, and does no harm to the host
};

/// Of a start that binds these functions to vfio-pci. A part of a card, mediated or by NVIDIA's vendor VFIO, takes nothing. `vmid`: the
/// guest, which may lose what it has itself.
HostLoss loss_at_start(const HostView& host, const std::vector<PciDevice>& devices, const std::vector<std::string>& functions,
                       std::int64_t vmid = 0);

/// Why a member of another function's IOMMU group must not go to a guest along with it; empty when nothing is against it. "the host
/// itself needs 0000:08:00.0 (storage controller, driver nvme): it has the disk …"
std::string why_needed(const HostView& host, const PciDevice& device);

/// The warning about virtual functions that a card has.
std::string ends_vfs(const std::string& address, std::int64_t count);

}  // namespace pvegpu::gpu
