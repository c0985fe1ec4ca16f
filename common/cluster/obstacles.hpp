// SPDX-License-Identifier: MIT
// What speaks against taking this node down now: quorum, other nodes, HA, Ceph, replication, guests. A sentence each, with what to do.
#pragma once

#include "common/cluster/ceph.hpp"
#include "common/cluster/guests.hpp"
#include "common/cluster/replication.hpp"

namespace pvegpu::cluster {

using Obstacles = std::vector<std::string>;

/// Of a cluster whose votes were counted. A loss that is allowed is an obstacle all the same where HA would answer it with a reset.
Obstacles quorum_obstacles(const Membership& members, const Votes& votes, const Ha& ha, bool allow_loss);

/// More than `most_down` other nodes are offline or in maintenance mode.
Obstacles node_obstacles(const Membership& members, const Ha& ha, std::int64_t most_down);

/// The node whose manager is in charge reported in the last 30 s. `now`: seconds since 1970.
bool is_master_alive(const Ha& ha, std::int64_t now);
/// What HA is busy with; `node`: this one.
Obstacles ha_obstacles(const Ha& ha, const std::string& node, std::int64_t now);

/// A complaint of Ceph that counts: muted ones and those that have nothing to do with availability do not.
bool is_obstacle(const CephCheck& check);
/// `alone`: a node that takes its Ceph along whatever it does.
Obstacles ceph_obstacles(const Ceph& ceph, bool alone);

Obstacles replication_obstacles(const std::vector<ReplicationJob>& jobs);

/// What guests that run mean: any is an obstacle, those that can't move are, none is.
enum class RunningGuests { refuse, movable, allow };
Obstacles guest_obstacles(const std::vector<Guest>& guests, RunningGuests running, bool alone);

}  // namespace pvegpu::cluster
