// SPDX-License-Identifier: MIT
// Whether a driver can take PCI functions, and whether one can be taken from it. Plan::ensure_bound does it.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::gpu {

/// Whether the driver is there to take devices.
bool is_registered(const HostView& host, const std::string& driver);

/// "nouveau is in use (2 users)", for a driver whose module has more users than the modules that hang on it: an open device, a
/// console. Taking a device from such a driver waits for them for ever, or takes the console away.
std::optional<std::string> busy(const HostView& host, const std::string& driver);

}  // namespace pvegpu::gpu
