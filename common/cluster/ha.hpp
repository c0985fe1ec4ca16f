// SPDX-License-Identifier: MIT
// The HA manager as its files show it: what it manages, what it is doing, and which nodes are in maintenance mode.
#pragma once

#include "common/base/reply.hpp"
#include "common/host/reader.hpp"

#include <set>

namespace pvegpu::cluster {

struct HaService {
  std::string sid;      ///< "vm:100"
  std::string node;     ///< where it is; empty when nobody knows
  std::string state;    ///< the manager's: started, stopped, fence, recovery, migrate, relocate, freeze, error …; "queued": not seen yet
  std::string request;  ///< the operator's: started, stopped, disabled, ignored; "none" when it is no resource any more

  static void fields(Reply<HaService>& out);
};

struct Ha {
  std::vector<HaService> services;                    ///< by sid
  std::string master;                                 ///< empty when there never was one
  std::optional<std::int64_t> master_seen, lrm_seen;  ///< seconds since 1970
  std::map<std::string, std::string> node_states;     ///< online, maintenance, unknown, fence, gone
  std::string lrm_mode, lrm_state;                    ///< of this node's local resource manager
  std::string shutdown_policy;                        ///< "conditional" unless datacenter.cfg says otherwise
  bool disarmed = false;                              ///< from Proxmox VE 9.2 on: watchdogs are released on purpose

  /// Services that HA watches: all but the ignored ones.
  bool active() const;
  std::set<std::string> nodes_in(std::string_view state) const;
  const HaService* find(const std::string& sid) const;
};

Ha read_ha(Reader& reader, const std::string& node);

}  // namespace pvegpu::cluster
