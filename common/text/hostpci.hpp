// SPDX-License-Identifier: MIT
// The value of a guest's hostpciN, whole, and what a guest has now and at its next start.
#pragma once

#include "common/text/guest_sections.hpp"
#include "common/text/pci_address.hpp"

#include <vector>

namespace pvegpu::text {

/// Every key that Proxmox VE knows (PVE::QemuServer::PCI, $hostpci_fmt), with its defaults.
struct HostPciValue {
  std::vector<PciAddress> addresses = {};  ///< all of them are passed together; none: `mapping` is given
  std::string mapping = {};
  std::string mdev = {};  ///< the type's id: "nvidia-63"; empty for a whole device
  bool pcie = false, x_vga = false, rombar = true, legacy_igd = false;
  std::string romfile = {};
  std::string vendor_id = {}, device_id = {}, sub_vendor_id = {}, sub_device_id = {};  ///< shown to the guest instead: "0x10de"
  bool keep_driver = false;                                                            ///< driver=keep
};

/// Error for what Proxmox VE would not take, and for keys that are not known here.
Result<HostPciValue> parse_hostpci_value(std::string_view value);

/// Whether Proxmox VE warns of this value, goes on as if it were not there, and drops it at its next write (parse_vm_config). Not so a key
/// that is not known here: a newer release may know it. Nor an address and a mapping at once, or neither, which root may set.
bool is_ignored_hostpci_value(std::string_view value);

/// The one way to write it: device first, then the keys by name, defaults left out. Values are equal when this is.
std::string print_hostpci_value(const HostPciValue& value);

/// "0x10de" as such a key takes it.
bool is_hex_id(std::string_view text);

/// What a guest's option is now and what it will be at the next start: a running guest's changes wait below [PENDING], where `delete`
/// lists options that go ("hostpci0,!ide2"); a stopped guest's are taken over when it starts.
struct GuestOption {
  std::optional<std::string> now, next;
};
GuestOption guest_option(const std::vector<GuestSection>& sections, std::string_view key);

}  // namespace pvegpu::text
