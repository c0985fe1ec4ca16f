// SPDX-License-Identifier: MIT
// What undo knows of a guest's hostpciN.
#pragma once

#include "common/host/host.hpp"

#include <optional>

namespace pvegpu::gpu {

/// Kept in a file of ours on this node: a guest's configuration has no place for it.
struct HostPciMemory {
  std::optional<std::string> before;  ///< what others had put there
  std::vector<std::string> ours;      ///< what we wrote since, canonical

  /// Whether this value, as the configuration has it, is one that we wrote.
  bool wrote(const std::optional<std::string>& value) const;
};

/// The memory after writing `wanted` where `now` stands.
HostPciMemory remember(const std::optional<HostPciMemory>& old, const std::optional<std::string>& now, const std::string& wanted);

std::optional<HostPciMemory> read_hostpci_memory(const HostView& host, std::int64_t vmid, unsigned slot);
/// Whether there is one, or what a killed run left of one.
bool has_hostpci_memory(const HostView& host, std::int64_t vmid, unsigned slot);
Result<> write_hostpci_memory(Host& host, std::int64_t vmid, unsigned slot, const HostPciMemory& memory);
Result<> remove_hostpci_memory(Host& host, std::int64_t vmid, unsigned slot);

}  // namespace pvegpu::gpu
