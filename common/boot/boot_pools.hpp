// SPDX-License-Identifier: MIT
// Whether a kernel's ZFS can import the pools that hold / and /boot. One that can't stops in the initramfs.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::boot {

struct PoolVerdict {
  std::vector<std::string> refusals;  ///< sentences: a pool has an active feature that this kernel's ZFS does not know
  std::vector<std::string> warnings;  ///< what may become so, or can't be told
};

/// `kernel` need not be installed: then its series is what counts. Says nothing of hosts that do not boot from ZFS, nor of the kernel
/// that runs.
PoolVerdict judge_boot_pools(const HostView& host, const std::string& kernel);

}  // namespace pvegpu::boot
