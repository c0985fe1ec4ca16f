// SPDX-License-Identifier: MIT
// The value of a guest's hostpciN, whole.
#pragma once

#include "common/text/pci_address.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pvegpu::text {

inline constexpr unsigned hostpci_slots = 16;

/// Every key that Proxmox VE knows (PVE::QemuServer::PCI, $hostpci_fmt), with its defaults.
struct HostPci {
  unsigned slot = 0;                       ///< the N; no part of the value
  std::vector<PciAddress> addresses = {};  ///< all of them are passed together; none: `mapping` is given
  std::string mapping = {};
  std::string mdev = {};  ///< the type's id: "nvidia-63"; empty for a whole device
  bool pcie = false, x_vga = false, rombar = true, legacy_igd = false;
  std::string romfile = {};
  std::string vendor_id = {}, device_id = {}, sub_vendor_id = {}, sub_device_id = {};  ///< shown to the guest instead: "0x10de"
  bool keep_driver = false;                                                            ///< driver=keep
  std::vector<std::pair<std::string, std::string>> unknown = {};                       ///< keys of a newer release

  std::string key() const;  ///< "hostpci0"
  /// By address or by mapping. Both, or neither, root may set; no guest starts with it.
  bool names_device() const { return addresses.empty() != mapping.empty(); }
};

/// The error is why Proxmox VE does not take the value: it warns of it, goes on as if it were not there, and drops it at its next write
/// (parse_vm_config).
Result<HostPci> parse_hostpci(std::string_view value, unsigned slot = 0);

/// The one way to write it: device first, then the keys by name, defaults left out. Values are equal when this is.
std::string print_hostpci(const HostPci& value);

/// A value as print_hostpci has it; what can't be parsed stays as it is.
std::string canonical_hostpci(const std::string& value);

/// "0x10de" as such a key takes it.
bool is_hex_id(std::string_view text);

}  // namespace pvegpu::text
