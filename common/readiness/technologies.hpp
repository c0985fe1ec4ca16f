// SPDX-License-Identifier: MIT
// What a GPU can be used for on this host: which of the seven ways are possible, which are ready, and what each still lacks.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/facts/host_facts.hpp"

namespace pvegpu::gpu {

struct Technology {
  bool possible = false;             ///< with this board, kernel and release, given that what is missing can be had
  bool ready = false;                ///< a guest could use it now
  std::vector<std::string> missing;  ///< sentences; for what is not possible the reason
};

struct Technologies {
  Technology passthrough, nvidia_mdev, nvidia_sriov_mdev, nvidia_vendor_vfio, intel_sriov, intel_gvtg, amd_mxgpu;
};

/// The kernel module that makes guests' devices of this GPU here: "nvidia", "i915" or "xe"; "" for other makers.
std::string wished_driver(const Gpu& gpu, const HostFacts& facts);

Technologies judge_technologies(const Gpu& gpu, const HostFacts& facts);

json to_json(const Technologies& technologies);

}  // namespace pvegpu::gpu
