// SPDX-License-Identifier: MIT
// systemctl on the host in memory: show, enable, disable, start, stop, from the unit files that are there.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

void model_systemctl(FakeHost& host);

}  // namespace pvegpu
