// SPDX-License-Identifier: MIT
// What a cluster is meant to be: /etc/pve/corosync.conf (corosync.conf(5), votequorum(5)); and what corosync-quorumtool says it is.
#pragma once

#include "common/base/result.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace pvegpu::text {

struct CorosyncNode {
  std::string name;
  std::int64_t id = 0;
  unsigned votes = 1;
};

struct CorosyncConf {
  std::string cluster_name;
  std::vector<CorosyncNode> nodes;
  bool two_node = false;
  std::optional<unsigned> expected_votes;  ///< overrides what the nodes sum up to
  bool has_device = false;                 ///< a QDevice
  std::optional<unsigned> device_votes;    ///< as given

  /// A QDevice without votes of its own has one less than all nodes have (corosync's votequorum_readconfig).
  unsigned votes_of_device() const;
  unsigned votes_of_nodes() const;
};

Result<CorosyncConf> parse_corosync_conf(std::string_view text);

/// A line of the membership that `corosync-quorumtool -s` prints.
struct QuorumMember {
  std::int64_t id = 0;
  bool device_votes = false;  ///< the QDevice is alive there and casts its vote: "A,V,…"
};
/// The members, without the line of the QDevice itself (node id 0). Empty when the text has no membership.
std::vector<QuorumMember> parse_quorum_members(std::string_view text);

}  // namespace pvegpu::text
