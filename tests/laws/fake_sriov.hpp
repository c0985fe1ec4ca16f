// SPDX-License-Identifier: MIT
// SR-IOV on the host in memory: what writing sriov_numvfs and binding drivers does, and NVIDIA's sriov-manage.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

/// For every card of the world that has sriov_totalvfs. `faults`, each optional:
///   script       "ignore": sriov-manage ends with exit code 0 and nothing done; "stub": it fails and leaves the card on pci-pf-stub;
///                "busy": it can't obtain the unbindLock; "bare": it binds no VF
///   late_ms      VFs get their driver so much later
///   errno        what enabling VFs answers: ENOENT, ENOMEM, EBUSY
void model_sriov(FakeHost& host, const json& faults);

}  // namespace pvegpu
