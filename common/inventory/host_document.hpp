// SPDX-License-Identifier: MIT
// The facts document of a host: everything of this folder put together.
#pragma once

#include "common/inventory/form.hpp"
#include "common/facts/machine.hpp"
#include "common/inventory/resources.hpp"

namespace pvegpu::gpu {

struct HostDocument : Machine {
  std::vector<Technologies> technologies;  ///< of gpus, in their order
  std::vector<Resource> resources;
  Form form;
};

HostDocument read_host(Reader& reader);

}  // namespace pvegpu::gpu
