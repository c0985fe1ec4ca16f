// SPDX-License-Identifier: MIT
// What pvesh does of /cluster/mapping/pci in the world of the laws; tests/rack/standins/mapping.py is the other one, made apart from
// the parsers under test.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu::laws {

/// Also the directory of pmxcfs's locks. A world without pmxcfs stays as it is.
void add_pvesh(FakeHost& host);

}  // namespace pvegpu::laws
