// SPDX-License-Identifier: MIT
// i915-sriov-dkms on a host in memory: dpkg for each package below /root, tar for each source archive, dkms.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu::laws {

/// `knobs` (world.json's "i915"):
///   build      ok | fails (the compiler stops; dpkg leaves the package half configured) | stock (what is built has no max_vfs)
///              | dies (dpkg is killed in the middle)
///   installed  a version: a package that was installed by hand before the test begins
void add_i915(FakeHost& host, const json& knobs);

}  // namespace pvegpu::laws
