// SPDX-License-Identifier: MIT
// The guests of this node, VMs and containers: which run, and which could go to another node and why the others can't.
#pragma once

#include "common/cluster/ha.hpp"
#include "common/cluster/membership.hpp"

namespace pvegpu::cluster {

struct Guest {
  enum class Type { vm, container };
  Type type = Type::vm;
  std::int64_t vmid = 0;
  std::string name;  ///< empty when the configuration can't be read
  bool running = false;
  bool arriving = false;                  ///< it is being migrated to this node
  std::string lock;                       ///< "backup", "migrate" …: something works on it
  std::optional<std::string> ha_request;  ///< what HA shall see to; unset: HA does not manage it
  std::vector<std::string> pinned;        ///< why it can't leave this node, sentences
  std::vector<std::string> local_disks;   ///< what would have to be copied, sentences
  std::vector<std::string> targets;       ///< nodes that have all it needs
  std::string no_target;                  ///< why there is none

  /// As it is now: a running VM without interruption, a running container with a restart.
  bool movable() const { return pinned.empty() && local_disks.empty() && !targets.empty(); }
  /// The same, and its disks on storages that are not shared are copied.
  bool movable_with_disks() const { return pinned.empty() && !targets.empty(); }
  std::vector<std::string> reasons() const;
};

/// By VMID. `away`: nodes that are online but take no guests, being in maintenance mode. Where the cluster file system is not
/// mounted, only what runs is known.
std::vector<Guest> read_guests(Reader& reader, const Membership& membership, const Ha& ha, const std::set<std::string>& away);

}  // namespace pvegpu::cluster
