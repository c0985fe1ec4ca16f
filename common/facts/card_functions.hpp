// SPDX-License-Identifier: MIT
// Which functions of a PCI slot are one card, and what an address or a mapping's path means to Proxmox VE.
#pragma once

#include "common/host/host.hpp"
#include "common/text/pci_address.hpp"

namespace pvegpu::gpu {

bool is_bridge_class(std::uint16_t pci_class);

/// The functions of one slot, by address.
struct SlotFunctions {
  std::vector<PciDevice> card;  ///< a GPU with its sound, USB-C and the like; in a slot without a GPU all of the device
  std::vector<PciDevice>
      beside;  ///< no part of it: in the slot of an APU's graphics the security processor, USB, the mainboard's sound; bridges
  std::vector<PciDevice> vfs;  ///< virtual functions, which share the slot of their card

  /// Proxmox VE passes all functions of a slot that is named without one: that is the card only then.
  bool is_one_card() const { return beside.empty() && vfs.empty(); }
  /// What else is there, for messages: "its 8 virtual functions", "0000:c5:00.2 (USB controller)"; empty when the slot is one card.
  std::string others() const;
};

/// `device`: "0000:c5:00". A GPU's own functions have its vendor; where the slot has functions of another vendor too it is a
/// processor's, and only display and sound are the GPU's (c5:00.6 is the mainboard's sound, of AMD's other vendor id).
SlotFunctions slot_functions(const HostView& host, const std::vector<PciDevice>& devices, std::string_view device);

/// The functions that these addresses mean when a guest starts, virtual ones included (PVE::SysFSTools::lspci).
std::vector<std::string> functions_behind(const std::vector<text::PciAddress>& members, const std::vector<PciDevice>& devices);

/// "0000:08:00.0 (storage controller, driver nvme)"
std::string described(const HostView& host, const PciDevice& device);

}  // namespace pvegpu::gpu
