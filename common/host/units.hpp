// SPDX-License-Identifier: MIT
// What systemd says about its units.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu {

/// One property out of what `systemctl show` printed, "" if it is not among them.
std::string unit_property(std::string_view shown, std::string_view name);
/// ActiveState, "" for a unit that is not there and when systemd can't be asked.
std::string unit_state(const HostView& host, const std::string& unit);

/// Whether a service has processes now. Its control group says so without asking anybody (systemd makes one below system.slice for each
/// service that runs, and takes it away with its last process); systemd is asked where there is none. nullopt: there is no such unit.
std::optional<bool> unit_runs(const HostView& host, const std::string& unit);

}  // namespace pvegpu
