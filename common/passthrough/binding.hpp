// SPDX-License-Identifier: MIT
// Which driver has a PCI function: taking it from one and giving it to another, as steps of a plan.
#pragma once

#include "common/core/plan.hpp"

namespace pvegpu::gpu {

/// Whether the driver is there to take devices.
bool is_registered(const HostView& host, const std::string& driver);

/// "nouveau is in use (2 users)", for a driver whose module has more users than the modules that hang on it: an open device, a
/// console. Taking a device from such a driver waits for them for ever, or takes the console away.
std::optional<std::string> busy(const HostView& host, const std::string& driver);

/// driver_override reads `driver`, or nothing (nullopt).
void ensure_override(const HostView& host, Plan& plan, const std::string& address, const std::optional<std::string>& driver);

/// The driver that has the function is `wished` (nullopt: none). The kernel chooses the driver: by the override, else by the ids.
void ensure_driver(const HostView& host, Plan& plan, const std::string& address, const std::optional<std::string>& wished);

}  // namespace pvegpu::gpu
