// SPDX-License-Identifier: MIT
// Members and votes. Formats: pmxcfs' status.c (cfs_create_memberlist_msg); the arithmetic: corosync's votequorum.c (calculate_quorum).
#include "common/cluster/membership.hpp"

#include "common/host/json_file.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::cluster {
namespace {

constexpr const char* local_link = "/etc/pve/local";
constexpr const char* members_file = "/etc/pve/.members";
constexpr const char* corosync_conf = "/etc/pve/corosync.conf";

bool is_one(const json& object, const char* key) { return number_member(object, key).value_or(0) == 1; }

}  // namespace

const Node* Membership::find(const std::string& name) const {
  const auto it = std::find_if(nodes.begin(), nodes.end(), [&](const Node& each) { return each.name == name; });
  return it == nodes.end() ? nullptr : &*it;
}

Membership read_membership(Reader& reader) {
  Membership out;
  const HostView& host = reader.host();
  out.node = text::trim(host.read_file("/etc/hostname").value_or(""));
  out.node = out.node.substr(0, out.node.find('.'));
  // Without pmxcfs /etc/pve is an empty directory of the root file system (PVE-FACTS 1.8).
  const auto link = host.read_link(local_link);
  if (!link) {
    out.problem =
        "the cluster file system is not mounted on /etc/pve, so nothing is known of cluster and guests; see: systemctl status pve-cluster";
    return out;
  }
  out.pmxcfs = true;
  out.node = last_part(*link);

  const json members = read_json_object(reader, members_file, "members of the cluster");
  if (members.is_null()) {
    out.problem = fmt::format("nothing is known of the cluster without {}, which the cluster file system always has", members_file);
    return out;
  }
  const auto conf = reader.file(corosync_conf, "configuration of the cluster");
  if (!conf) {
    if (host.exists(corosync_conf)) {
      out.problem = fmt::format("nothing is known of the cluster without {}", corosync_conf);
      return out;
    }
    out.quorate = true;
    out.nodes.push_back({out.node, 0, 1, true});
    return out;
  }
  out.clustered = true;
  auto parsed = text::parse_corosync_conf(*conf);
  if (!parsed) {
    out.problem = fmt::format("{} can't be understood: {}; repair it first", corosync_conf, parsed.error().message);
    return out;
  }
  out.conf = *std::move(parsed);
  out.cluster = out.conf.cluster_name;
  const json& list = member(members, "nodelist");
  if (!list.is_object()) {
    out.problem = fmt::format(
        "{} makes this node a member of the cluster '{}', but the cluster file system knows no members: corosync does not run "
        "here; see: systemctl status corosync",
        corosync_conf, out.cluster);
    return out;
  }
  out.quorate = is_one(member(members, "cluster"), "quorate");
  for (const text::CorosyncNode& node : out.conf.nodes) {
    const bool online = node.name == out.node || is_one(member(list, node.name), "online");
    out.nodes.push_back({node.name, node.id, node.votes, online});
  }
  std::sort(out.nodes.begin(), out.nodes.end(), [](const Node& a, const Node& b) { return a.name < b.name; });
  if (!out.find(out.node))
    out.problem = fmt::format("{} does not list this node ('{}'): it was taken out of the cluster, or renamed", corosync_conf, out.node);
  return out;
}

Votes count_votes(const HostView& host, const Membership& membership) {
  Votes out;
  const text::CorosyncConf& conf = membership.conf;
  out.has_device = conf.has_device;
  out.device = conf.votes_of_device();
  out.expected = conf.expected_votes.value_or(conf.votes_of_nodes() + out.device);

  unsigned others = 0;
  for (const Node& node : membership.nodes) {
    if (node.name == membership.node)
      out.own = node.votes;
    else if (node.online)
      others += node.votes;
  }
  unsigned from_device = 0;
  if (out.has_device) {
    const auto asked = host.query(Query::quorum_status());
    const auto members = text::parse_quorum_members(asked ? asked->out : std::string());
    if (!asked) {
      out.device_problem = asked.error().message;
    } else if (members.empty()) {
      const auto said = text::trim(asked->err);
      out.device_problem = fmt::format("corosync-quorumtool -s lists no members{}{}", said.empty() ? "" : ": ", said);
    } else {
      // It must be alive for those who stay: its vote goes to the nodes that reach it.
      out.device_votes = std::any_of(members.begin(), members.end(), [&](const text::QuorumMember& member) {
        const auto node = std::find_if(membership.nodes.begin(), membership.nodes.end(), [&](const Node& n) { return n.id == member.id; });
        return member.device_votes && node != membership.nodes.end() && node->name != membership.node;
      });
      if (*out.device_votes) from_device = out.device;
    }
  }
  out.remaining = others + from_device;
  out.total = out.own + out.remaining;
  out.needed = std::max(out.expected, out.total) / 2 + 1;
  if (conf.two_node && conf.nodes.size() <= 2) out.needed = 1;
  out.holds = others > 0 && out.remaining >= out.needed;
  return out;
}

}  // namespace pvegpu::cluster
