// SPDX-License-Identifier: MIT
// The GPUs for which a driver is installed, and who uses them.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/facts/guests.hpp"
#include "common/facts/host_facts.hpp"

namespace pvegpu::driver {

struct Hardware {
  gpu::HostFacts facts;
  std::vector<gpu::Gpu> gpus;  ///< with their guests
};
Hardware read_hardware(const HostView& host);

/// "guest 101 (desktop) has 0000:41:00.4": the running guests that have one of the cards or something of it.
std::vector<std::string> running_users(const std::vector<const gpu::Gpu*>& cards);

}  // namespace pvegpu::driver
