// SPDX-License-Identifier: MIT
// PCI addresses as sysfs, lspci, guests' configurations and resource mappings write them.
#pragma once

#include "common/base/result.hpp"

#include <optional>

namespace pvegpu::text {

/// One function ("0000:41:00.0") or all functions of a device ("0000:41:00"), normalised as in sysfs.
struct PciAddress {
  std::string device;                ///< "0000:41:00"
  std::optional<unsigned> function;  ///< none: the whole device

  std::string str() const;
  /// The function .0 of a whole device.
  std::string first_function() const;
  /// Whether the function at this normalised address is meant.
  bool covers(std::string_view address) const;
};

/// "41:00.0" without a domain is in domain 0000, upper case is taken, a domain may have more than four digits (VMD: 10000).
Result<PciAddress> parse_pci_address(std::string_view text);

/// "0000:41:00" of "0000:41:00.0".
std::string_view pci_device_part(std::string_view address);

}  // namespace pvegpu::text
