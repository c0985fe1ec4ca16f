// SPDX-License-Identifier: MIT
// What a network card does for this host.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu {

/// What a network interface is for: "eno1 is a port of vmbr0", "eno1 carries eno1.100", "eno1 has an IP address"; nothing for an idle one.
std::optional<std::string> interface_duty(const HostView& host, const std::string& interface);

/// Why the card at this PCI address must be left alone: its interfaces carry addresses or belong to a bridge, a bond, a VLAN.
/// A phrase each ("eno1 is a port of vmbr0"); empty for a card that does nothing, or is none.
std::vector<std::string> network_duties(const HostView& host, const std::string& address);

}  // namespace pvegpu
