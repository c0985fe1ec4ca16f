// SPDX-License-Identifier: MIT
// What undo knows of a guest's hostpciN.
#pragma once

#include "common/core/plan.hpp"
#include "common/text/hostpci.hpp"

namespace pvegpu::gpu {

/// Kept in a note on this node: a guest's configuration has no place for it.
struct HostPciMemory {
  std::optional<std::string> before;  ///< what others had put there
  std::vector<std::string> ours;      ///< what we wrote since, canonical

  /// Whether this value, as the configuration has it, is one that we wrote.
  bool wrote(const std::optional<std::string>& value) const;
};

/// The memory after writing `wanted` where `now` stands.
HostPciMemory remember(const std::optional<HostPciMemory>& old, const std::optional<std::string>& now, const std::string& wanted);

/// Whether a value as the configuration has it names the device of this one.
bool same_device(const std::string& value, const text::HostPci& other);

/// Where it is noted.
NoteName hostpci_note(std::int64_t vmid, unsigned slot);
json to_json(const HostPciMemory& memory);
/// nullopt for no note, and for one that is none of these.
std::optional<HostPciMemory> hostpci_memory(const std::optional<json>& note);

}  // namespace pvegpu::gpu
