// SPDX-License-Identifier: MIT
// /etc/pve as a place to write to: whether it can be, and locks between the nodes of a cluster (PVE-FACTS 1.7, 1.8).
#pragma once

#include "common/host/host.hpp"

#include <functional>

namespace pvegpu::cluster {

/// The name of this node as pmxcfs knows it, or a sentence: why nothing can be written to /etc/pve now, and what to do.
Result<std::string> writable_pmxcfs(const HostView& host);

/// Proxmox VE's own lock of a file: "mapping/pci.cfg" is locked by "file-mapping_pci_cfg" (PVE::Cluster::cfs_lock_file).
inline constexpr const char* pci_cfg_lock = "file-mapping_pci_cfg";

/// Does `work` while this process holds /etc/pve/priv/lock/NAME: a directory, which one node of the cluster alone can make. pmxcfs takes
/// any name (path_is_lockdir). The lock of one who died is broken as Proxmox VE does it: whoever waits asks with the time 0, and pmxcfs
/// grants it 120 s after it first saw the lock. So `work` must be done in less. Waits at most `patience`.
Result<> with_cluster_lock(Host& host, const std::string& name, std::chrono::seconds patience, const std::function<Result<>()>& work);

/// Lets between `least` and twice that pass, another time on each node, so that those who wait don't come in step.
void pause_about(Host& host, std::chrono::milliseconds least, int attempt);

}  // namespace pvegpu::cluster
