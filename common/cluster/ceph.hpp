// SPDX-License-Identifier: MIT
// Ceph as far as this node's absence matters to it. Only where Proxmox VE runs Ceph itself; a cluster elsewhere does not care.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::cluster {

struct CephCheck {
  std::string code, severity, message;
  bool muted = false;  ///< by `ceph health mute`: the operator knows
};

struct Ceph {
  std::string problem;  ///< why Ceph can't be asked; then nothing else is known
  std::string health;   ///< HEALTH_OK, HEALTH_WARN, HEALTH_ERR
  std::vector<CephCheck> checks;
  std::vector<std::string> flags;                            ///< of the OSD map, those that Ceph warns of: noout, norebalance …
  std::vector<std::pair<std::string, std::int64_t>> states;  ///< placement groups that are not both active and clean
  std::int64_t monitors = 0;
  std::vector<std::string> quorum;         ///< monitors that are in it
  std::vector<std::string> monitors_here;  ///< names
  std::vector<std::int64_t> osds_here;     ///< numbers
  std::optional<bool> ok_to_stop;          ///< Ceph's own word on stopping these; unset without OSDs here
  std::string ok_to_stop_message;          ///< when it is not

  bool has_flag(std::string_view flag) const;
  std::int64_t monitors_left() const;  ///< in the quorum without this node
};

/// nullopt where Proxmox VE has no Ceph.
std::optional<Ceph> read_ceph(const HostView& host);

/// Warnings that have nothing to do with whether data stays available while a node is away.
bool is_harmless(const CephCheck& check);

}  // namespace pvegpu::cluster
