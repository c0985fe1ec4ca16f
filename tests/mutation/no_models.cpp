// SPDX-License-Identifier: MIT
// The one module of the mutants does without the models of Proxmox VE's and NVIDIA's programs, and these without half of the project.
#include "tests/laws/fake_apt.hpp"
#include "tests/laws/fake_i915.hpp"
#include "tests/laws/fake_journal.hpp"
#include "tests/laws/fake_nvidia.hpp"
#include "tests/laws/fake_pvesh.hpp"
#include "tests/laws/fake_qm.hpp"
#include "tests/laws/fake_sriov.hpp"
#include "tests/laws/fake_systemctl.hpp"

namespace pvegpu {

void add_apt(FakeHost&, const json&) {}
void add_qm(FakeHost&) {}
void model_journal(FakeHost&) {}
void model_systemctl(FakeHost&) {}
void model_sriov(FakeHost&, const json&) {}

namespace laws {
void add_i915(FakeHost&, const json&) {}
void add_nvidia(FakeHost&, const json&) {}
void add_pvesh(FakeHost&) {}
}  // namespace laws

}  // namespace pvegpu
