// SPDX-License-Identifier: MIT
// NVIDIA's closed programs on a host in memory: the installer in each NVIDIA-Linux-*.run below /root, nvidia-uninstall, dkms,
// sriov-manage, the daemons' units, the kernel module.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu::laws {

/// `knobs` (world.json's "nvidia"):
///   installer  ok | build_fails (DKMS can't build it: its tree is left, as the real one leaves it) | half (dies in the middle)
///              | nothing (ends with exit code 0 and has done nothing)
///   vgpud      ok | refuses_all | refuses:ADDRESS (it fails and says so in its log)
///   manager    ok | dead (nvidia-vgpu-mgr does not stay active)
///   loads      true; false: the module finds no card (ENODEV)
///   display    what displaymodeselector (a file of that name below /root) does: ok | unsupported | falcon | no_dev_mem | unlisted | asks
///   running    a version: installed by hand and running before the test begins
///   flavour    open | proprietary: of that
void add_nvidia(FakeHost& host, const json& knobs);

}  // namespace pvegpu::laws
