// SPDX-License-Identifier: MIT
// `qm set` of the host in memory, for PCI devices: what qemu-server's API2/Qemu.pm (update_vm_api) does to the configuration.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

void add_qm(FakeHost& host);

}  // namespace pvegpu
