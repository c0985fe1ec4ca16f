// SPDX-License-Identifier: MIT
// What the host itself needs of a PCI function: disks and networks that run over it now.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::gpu {

/// "it has the disk sda, with the mounted sda2"; nothing when no disk of it is in use and no network interface of it carries an
/// address, a bridge, a bond or a VLAN. Asks no program: what LVM, md, dm and ZFS hold is seen by their marks in /sys and
/// /proc/mounts, and a disk with partitions counts as ZFS's where ZFS is mounted, because its pools list their disks nowhere there.
std::optional<std::string> host_need(const HostView& host, const std::string& address);

/// "it is the boot display …", "the only keyboard of the host is on it": the host lives on without it, but nobody can sit at it any
/// more. Nothing where a guest has the function, or no driver.
std::optional<std::string> console_need(const HostView& host, const std::string& address);

}  // namespace pvegpu::gpu
