// SPDX-License-Identifier: MIT
// Which cluster this node is part of, who is there, and what the votes come to when this node is away.
#pragma once

#include "common/host/reader.hpp"
#include "common/text/corosync_conf.hpp"

namespace pvegpu::cluster {

struct Node {
  std::string name;
  std::int64_t id = 0;
  unsigned votes = 1;
  bool online = false;
};

struct Membership {
  std::string problem;      ///< a sentence: why nothing more is known; empty when it is
  std::string node;         ///< this one
  bool pmxcfs = false;      ///< /etc/pve is the cluster file system
  bool clustered = false;   ///< there is a corosync.conf
  std::string cluster;      ///< its name
  bool quorate = false;     ///< a node without a cluster always is
  std::vector<Node> nodes;  ///< of corosync.conf, this one included; only this one without a cluster
  text::CorosyncConf conf;

  const Node* find(const std::string& name) const;
  bool alone() const { return !clustered || nodes.size() < 2; }
};

/// From files of pmxcfs only.
Membership read_membership(Reader& reader);

struct Votes {
  unsigned expected = 0;   ///< of all nodes and the QDevice
  unsigned needed = 0;     ///< for quorum
  unsigned total = 0;      ///< of those that are there
  unsigned own = 0;        ///< this node's
  unsigned remaining = 0;  ///< without this node
  bool holds = false;      ///< quorum stays without this node
  bool has_device = false;
  unsigned device = 0;               ///< what the QDevice may give
  std::optional<bool> device_votes;  ///< whether it gives it to others than this node; unset: can't be asked
  std::string device_problem;        ///< why it can't be asked
};

/// Asks corosync-quorumtool only when there is a QDevice: no file says whether that one is alive.
Votes count_votes(const HostView& host, const Membership& membership);

}  // namespace pvegpu::cluster
