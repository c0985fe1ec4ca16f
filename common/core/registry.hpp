// SPDX-License-Identifier: MIT
// The modules of this executable. The list is generated from modules/*.cpp, so there is nothing to forget.
#pragma once

#include "common/core/module.hpp"

namespace pvegpu {

struct RegistryEntry {
  const char* name;
  const Module& (*module)();  ///< made at the first call: a run pays for its own module only
};

std::vector<RegistryEntry> registry();

}  // namespace pvegpu
