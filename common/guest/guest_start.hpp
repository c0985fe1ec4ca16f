// SPDX-License-Identifier: MIT
// What Proxmox VE makes of a guest's hostpciN when the guest starts on this node: which functions, and why it would refuse.
// PVE::QemuServer::PCI (parse_hostpci, parse_hostpci_devices, choose_hostpci_devices) and PVE::Mapping::PCI (assert_valid).
#pragma once

#include "common/facts/machine.hpp"
#include "common/mapping/mappable.hpp"
#include "common/text/guest_sections.hpp"
#include "common/text/hostpci.hpp"

namespace pvegpu::gpu {

/// What is looked through.
struct StartFacts {
  const HostView& host;
  std::string node;
  std::vector<PciDevice> devices;
  std::vector<text::PciMapping> mappings;
  catalogue::MajorMinor pve;
  bool iommu = true;  ///< without it no fingerprint has a group, and nothing starts anyway
};

/// Of this host; nullopt where no Proxmox VE is.
std::optional<StartFacts> start_facts(const HostView& host, const Machine& machine);

/// One slot of a guest, with its functions.
struct StartDevice {
  text::HostPci value;
  /// Of a mapping an alternative for each of its entries for this node, in its order; the functions of one are passed together.
  std::vector<std::vector<std::string>> alternatives = {};

  /// A mediated device is made on the first alternative that has room: the same one serves several slots.
  bool is_mediated(const StartFacts& facts) const;
  /// It takes the functions from their drivers: no mediated device, no vGPU by NVIDIA's vendor VFIO.
  bool is_whole() const { return value.mdev.empty(); }
};

/// Error: a sentence, why no guest starts with this value here, and what to do.
Result<StartDevice> resolve(const StartFacts& facts, const text::HostPci& value);

/// The slots of a guest as they will be at its next start, but `without` (16: all); what Proxmox VE would refuse each of them for goes to
/// `problems`.
std::vector<StartDevice> slots_of(const StartFacts& facts, const std::vector<text::GuestSection>& guest, unsigned without,
                                  std::vector<std::string>& problems);

/// Why the entries that it may get do not fit the hardware any more; "" when they do. All of them are looked at, whichever is chosen.
std::string why_stale(const StartFacts& facts, const StartDevice& device);

/// Why the guest would not start with this device among its other slots, "" when it would. What is wrong without it goes to `of_others`,
/// and is no reason.
std::string why_clash(const StartFacts& facts, std::int64_t vmid, const std::vector<text::GuestSection>& guest, const StartDevice& own,
                      std::vector<std::string>& of_others);

/// Why the slots of one guest, in their order, can't be filled at one start; "" when they can. Other guests are left out.
std::string why_not_together(const StartFacts& facts, std::int64_t vmid, const std::vector<StartDevice>& devices);

}  // namespace pvegpu::gpu
