// SPDX-License-Identifier: MIT
// What a guest's configuration says of PCI devices, and who holds which now: /etc/pve/nodes/NODE/qemu-server/VMID.conf and
// /run/qemu-server/pci-id-reservations.
#pragma once

#include "common/text/guest_sections.hpp"
#include "common/text/hostpci.hpp"

#include <cstdint>
#include <vector>

namespace pvegpu::text {

struct GuestConfig {
  std::string name;
  std::vector<HostPci> hostpci;       ///< by slot, each with its device
  std::vector<std::string> warnings;  ///< hostpci lines with which no guest starts, or that Proxmox VE goes on without
};

/// The current configuration: what stands before the first section of a snapshot or of pending changes.
GuestConfig parse_guest_config(std::string_view text);
/// The same of sections; lines that Proxmox VE goes on without are none of it.
GuestConfig current_config(const std::vector<GuestSection>& sections);

/// Held by a guest that runs, or that is about to start.
struct PciReservation {
  std::string address;
  std::int64_t vmid = 0;
};
/// Lines "0000:41:00.4 201 pid:4242" or "… time:1700000000" (PVE::QemuServer::PCI); others are skipped. Classic mdev devices
/// are not listed there.
std::vector<PciReservation> parse_pci_reservations(std::string_view text);

/// The guest and the hostpci index in the name that Proxmox VE gives to an mdev device: "%08d-0000-0000-0000-%012d".
struct MdevOwner {
  std::int64_t vmid = 0;
  unsigned index = 0;
};
std::optional<MdevOwner> parse_mdev_uuid(std::string_view uuid);

}  // namespace pvegpu::text
