// SPDX-License-Identifier: MIT
// What speaks against taking this node down.
#include "common/cluster/obstacles.hpp"

#include <algorithm>

namespace pvegpu::cluster {
namespace {

std::string title(const Guest& guest) {
  const char* type = guest.type == Guest::Type::vm ? "VM" : "container";
  return guest.name.empty() ? fmt::format("{} {}", type, guest.vmid) : fmt::format("{} {} ({})", type, guest.vmid, guest.name);
}

/// "" for a service that HA leaves alone now.
std::string what_ha_does(const HaService& service, const Ha& ha, const std::string& node) {
  const std::string& state = service.state;
  const std::string where = service.node.empty() ? "" : " on " + service.node;
  if (state == "error")
    return fmt::format("HA service {}{} is in state error; repair it, then: ha-manager set {} --state disabled, and back", service.sid,
                       where, service.sid);
  if (state == "fence" || state == "recovery")
    return fmt::format("HA is recovering {}{} ({}); wait until it is over", service.sid, where, state);
  if (state == "migrate" || state == "relocate" || state == "request_start_balance")
    return fmt::format("HA is moving {}{} ({}); wait until it is over", service.sid, where, state);
  if (state == "freeze" && !ha.disarmed && service.node != node)
    return fmt::format("HA has frozen {}{}: that node restarts; wait until it is back", service.sid, where);
  return {};
}

}  // namespace

Obstacles quorum_obstacles(const Membership& members, const Votes& votes, const Ha& ha, bool allow_loss) {
  if (!members.quorate)
    return {fmt::format("the cluster {} has no quorum now ({} of {} votes, {} are needed); bring nodes back first", members.cluster,
                        votes.total, votes.expected, votes.needed)};
  if (votes.holds) return {};
  std::string device;
  if (votes.has_device && !votes.device_votes)
    device = fmt::format("; whether the QDevice votes can't be asked: {}", votes.device_problem);
  else if (votes.has_device && !*votes.device_votes)
    device = "; the QDevice does not vote for the others: see corosync-qdevice-tool -s there";
  const std::string loss = fmt::format("without this node the cluster {} has {} of {} needed votes and loses quorum{}", members.cluster,
                                       votes.remaining, votes.needed, device);
  if (!allow_loss) return {loss + "; bring other nodes back, or add a QDevice, or give allow_quorum_loss: true"};
  const auto elsewhere = std::find_if(ha.services.begin(), ha.services.end(), [&](const HaService& service) {
    return service.request != "ignored" && service.request != "none" && service.node != members.node;
  });
  if (ha.disarmed || elsewhere == ha.services.end()) return {};
  return {
      fmt::format("{}, and HA manages {} elsewhere: a node without quorum that runs HA services is reset by its watchdog; set them to "
                  "ignored first",
                  loss, elsewhere->sid)};
}

Obstacles node_obstacles(const Membership& members, const Ha& ha, std::int64_t most_down) {
  const auto resting = ha.nodes_in("maintenance");
  std::vector<std::string> down;
  for (const Node& node : members.nodes) {
    if (node.name == members.node) continue;
    if (!node.online)
      down.push_back(node.name);
    else if (resting.count(node.name))
      down.push_back(node.name + " (maintenance mode)");
  }
  if (static_cast<std::int64_t>(down.size()) <= most_down) return {};
  return {fmt::format("{} other node{} not there: {}; {} may be (max_nodes_down)", down.size(), down.size() == 1 ? " is" : "s are",
                      fmt::join(down, ", "), most_down)};
}

bool is_master_alive(const Ha& ha, std::int64_t now) {
  return ha.master_seen && now - *ha.master_seen <= 30;  // as the status of Proxmox VE's own API puts it: older is dead
}

Obstacles ha_obstacles(const Ha& ha, const std::string& node, std::int64_t now) {
  Obstacles out;
  for (const HaService& service : ha.services)
    if (std::string why = what_ha_does(service, ha, node); !why.empty()) out.push_back(std::move(why));
  if (ha.active() && !is_master_alive(ha, now))
    out.push_back(ha.master.empty()
                      ? std::string("HA manages services, but no node is its manager; see: systemctl status pve-ha-crm on all nodes")
                      : fmt::format("the HA manager ({}) has not reported for {} s; see: systemctl status pve-ha-crm on it", ha.master,
                                    now - ha.master_seen.value_or(0)));
  for (const std::string& fenced : ha.nodes_in("fence")) out.push_back(fmt::format("HA is fencing {}; wait until it is over", fenced));
  return out;
}

bool is_obstacle(const CephCheck& check) { return !check.muted && !is_harmless(check); }

Obstacles ceph_obstacles(const Ceph& ceph, bool alone) {
  Obstacles out;
  if (!ceph.problem.empty()) out.push_back(fmt::format("Ceph is configured but can't be asked (ceph status): {}", ceph.problem));
  for (const CephCheck& check : ceph.checks)
    if (is_obstacle(check))
      out.push_back(
          fmt::format("Ceph: {} ({}); repair it, or say that you know: ceph health mute {} 1h", check.message, check.code, check.code));
  for (const auto& [state, count] : ceph.states)
    out.push_back(fmt::format("Ceph: {} placement groups are {}; wait until all are active+clean", count, state));
  const std::int64_t left = ceph.monitors_left();
  if (!alone && !ceph.monitors_here.empty() && left * 2 <= ceph.monitors)
    out.push_back(fmt::format("Ceph: without the monitor of this node {} of {} are left, which is no majority", left, ceph.monitors));
  if (!alone && ceph.ok_to_stop && !*ceph.ok_to_stop)
    out.push_back(fmt::format("Ceph: data would not be available without the OSDs of this node: {}", ceph.ok_to_stop_message));
  return out;
}

Obstacles replication_obstacles(const std::vector<ReplicationJob>& jobs) {
  Obstacles out;
  for (const ReplicationJob& job : jobs)
    if (job.running) out.push_back(fmt::format("replication job {} to {} runs; wait until it is over", job.id, job.target));
  return out;
}

Obstacles guest_obstacles(const std::vector<Guest>& guests, RunningGuests running, bool alone) {
  Obstacles out, here;
  for (const Guest& guest : guests) {
    // "suspended" is at rest: the guest sleeps on its disk.
    if (!guest.lock.empty() && guest.lock != "suspended")
      out.push_back(fmt::format("{} is locked ({}): something works on it; wait, or if nothing does: {} unlock {}", title(guest),
                                guest.lock, guest.type == Guest::Type::vm ? "qm" : "pct", guest.vmid));
    if (guest.arriving) out.push_back(fmt::format("{} is being migrated to this node; wait until it is over", title(guest)));
    if (!guest.running) continue;
    here.push_back(title(guest));
    if (running == RunningGuests::movable && !guest.movable())
      out.push_back(fmt::format("{} runs and can't move: {}", title(guest), fmt::join(guest.reasons(), "; ")));
  }
  if (running == RunningGuests::refuse && !here.empty())
    out.push_back(fmt::format("{} guest{} here: {}; {} what runs, or give running_guests: allow", here.size(),
                              here.size() == 1 ? " runs" : "s run", fmt::join(here, ", "), alone ? "shut down" : "move or shut down"));
  return out;
}

}  // namespace pvegpu::cluster
