// SPDX-License-Identifier: MIT
// What a GPU can be used for on this host: which of the seven technologies are possible, which are ready, and what each still lacks. The
// conditions of readiness, as host_info tells them.
#pragma once

#include "common/readiness/judge.hpp"

namespace pvegpu::gpu {

struct Technology {
  bool possible = false;             ///< with this board, kernel and release, given that what is missing can be had
  bool ready = false;                ///< a guest could use it now
  std::vector<std::string> missing;  ///< sentences; for what is not possible the reason

  static void fields(Document<Technology>& out);
};

struct Technologies {
  Technology passthrough, nvidia_mdev, nvidia_sriov_mdev, nvidia_vendor_vfio, intel_sriov, intel_gvtg, amd_mxgpu;

  static void fields(Document<Technologies>& out);
};

Technologies judge_technologies(const HostView& host, const Machine& machine, const Gpu& gpu);

}  // namespace pvegpu::gpu
