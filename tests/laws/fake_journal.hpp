// SPDX-License-Identifier: MIT
// journalctl on the host in memory: the logs of its machine's description (tests/rack/cardstate.py).
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

/// `-k`, `--dmesg`: the kernel's log; `--unit`: a unit's. `--lines`, `--grep`, `--quiet` as the real one.
CommandResult journal_answer(const FakeHost& host, const std::vector<std::string>& argv);
void model_journal(FakeHost& host);

}  // namespace pvegpu
