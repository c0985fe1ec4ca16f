// SPDX-License-Identifier: MIT
// The kernels of this host that a driver has to be built for.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::driver {

/// Kernels that have an image in /boot, the oldest first.
std::vector<std::string> installed_kernels(const HostView& host);

/// What the next boot starts: a pin, else the newest (PVE-FACTS 5.2).
std::string next_kernel(const HostView& host, const std::vector<std::string>& installed);

/// What a driver has to be built for: the kernel that runs, and the next one if that is another.
std::vector<std::string> kernels_to_serve(const HostView& host);

}  // namespace pvegpu::driver
