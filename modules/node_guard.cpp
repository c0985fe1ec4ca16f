// SPDX-License-Identifier: MIT
// node_guard: may this node be rebooted now? It only looks.
#include "common/cluster/ceph.hpp"
#include "common/cluster/guests.hpp"
#include "common/cluster/replication.hpp"
#include "common/core/module.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

enum class RunningGuests { refuse, movable, allow };

struct Params {
  std::int64_t max_nodes_down = 0;
  RunningGuests running_guests = RunningGuests::refuse;
  bool allow_quorum_loss = false;
};

json or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

std::string names(const std::vector<std::string>& all) { return fmt::format("{}", fmt::join(all, ", ")); }

std::string title(const cluster::Guest& guest) {
  const char* type = guest.type == cluster::Guest::Type::vm ? "VM" : "container";
  return guest.name.empty() ? fmt::format("{} {}", type, guest.vmid) : fmt::format("{} {} ({})", type, guest.vmid, guest.name);
}

class Guard {
 public:
  Guard(const Params& params, const HostView& host) : params_(params), host_(host), reader_(host) {}

  void run(Plan& out) {
    members_ = cluster::read_membership(reader_);
    if (!members_.problem.empty()) object(members_.problem);
    if (members_.pmxcfs) ha_ = cluster::read_ha(reader_, members_.node);
    single_ = members_.pmxcfs && members_.problem.empty() && members_.alone();
    out.report("node", or_null(members_.node));
    out.report("single_node", single_);
    out.report("quorum", quorum());
    out.report("nodes", nodes());
    out.report("ha", ha());
    out.report("ceph", ceph());
    const auto guests = cluster::read_guests(reader_, members_, ha_, ha_.nodes_in("maintenance"));
    out.report("replication", replication(guests));
    out.report("guests", judge_guests(guests));
    object_to_unreadable();
    out.report("allowed", reasons_.empty());
    out.report("reasons", reasons_);
  }

 private:
  void object(std::string reason) { reasons_.push_back(std::move(reason)); }

  // --- the cluster ----------------------------------------------------------------------------------------------------------
  json quorum() {
    json out{{"cluster", or_null(members_.cluster)},
             {"quorate", nullptr},
             {"expected_votes", nullptr},
             {"needed_votes", nullptr},
             {"total_votes", nullptr},
             {"own_votes", nullptr},
             {"remaining_votes", nullptr},
             {"holds_without_node", nullptr},
             {"qdevice", nullptr}};
    if (!members_.problem.empty()) return out;
    out["quorate"] = members_.quorate;
    if (single_) return out;
    const cluster::Votes votes = cluster::count_votes(host_, members_);
    out["expected_votes"] = votes.expected;
    out["needed_votes"] = votes.needed;
    out["total_votes"] = votes.total;
    out["own_votes"] = votes.own;
    out["remaining_votes"] = votes.remaining;
    out["holds_without_node"] = members_.quorate && votes.holds;
    if (votes.has_device)
      out["qdevice"] = {{"votes", votes.device}, {"voting", votes.device_votes ? json(*votes.device_votes) : json(nullptr)}};
    if (!members_.quorate)
      object(fmt::format("the cluster {} has no quorum now ({} of {} votes, {} are needed); bring nodes back first", members_.cluster,
                         votes.total, votes.expected, votes.needed));
    else if (!votes.holds)
      object_to_quorum_loss(votes);
    return out;
  }

  void object_to_quorum_loss(const cluster::Votes& votes) {
    std::string device;
    if (votes.has_device && !votes.device_votes)
      device = fmt::format("; whether the QDevice votes can't be asked: {}", votes.device_problem);
    else if (votes.has_device && !*votes.device_votes)
      device = "; the QDevice does not vote for the others: see corosync-qdevice-tool -s there";
    const std::string loss = fmt::format("without this node the cluster {} has {} of {} needed votes and loses quorum{}", members_.cluster,
                                         votes.remaining, votes.needed, device);
    if (!params_.allow_quorum_loss) return object(loss + "; bring other nodes back, or add a QDevice, or give allow_quorum_loss: true");
    const auto elsewhere = std::find_if(ha_.services.begin(), ha_.services.end(), [&](const cluster::HaService& s) {
      return s.request != "ignored" && s.request != "none" && s.node != members_.node;
    });
    if (!ha_.disarmed && elsewhere != ha_.services.end())
      object(
          fmt::format("{}, and HA manages {} elsewhere: a node without quorum that runs HA services is reset by its watchdog; set them to "
                      "ignored first",
                      loss, elsewhere->sid));
  }

  json nodes() {
    json out = json::array();
    std::vector<std::string> down;
    for (const cluster::Node& node : members_.nodes) {
      const auto state = ha_.node_states.find(node.name);
      const std::string ha_state = state == ha_.node_states.end() ? std::string() : state->second;
      out.push_back({{"name", node.name}, {"online", node.online}, {"votes", node.votes}, {"ha_state", or_null(ha_state)}});
      if (node.name == members_.node) continue;
      if (!node.online)
        down.push_back(node.name);
      else if (ha_state == "maintenance")
        down.push_back(node.name + " (maintenance mode)");
    }
    if (static_cast<std::int64_t>(down.size()) > params_.max_nodes_down)
      object(fmt::format("{} other node{} not there: {}; {} may be (max_nodes_down)", down.size(), down.size() == 1 ? " is" : "s are",
                         names(down), params_.max_nodes_down));
    return out;
  }

  // --- HA -------------------------------------------------------------------------------------------------------------------
  json ha() {
    json services = json::array();
    for (const cluster::HaService& service : ha_.services) {
      services.push_back({{"sid", service.sid}, {"node", or_null(service.node)}, {"state", service.state}, {"request", service.request}});
      judge(service);
    }
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(host_.now().time_since_epoch()).count();
    // As the status of Proxmox VE's own API puts it: older than 30 s is dead.
    const bool alive = ha_.master_seen && now - *ha_.master_seen <= 30;
    if (ha_.active() && !alive)
      object(ha_.master.empty()
                 ? std::string("HA manages services, but no node is its manager; see: systemctl status pve-ha-crm on all nodes")
                 : fmt::format("the HA manager ({}) has not reported for {} s; see: systemctl status pve-ha-crm on it", ha_.master,
                               now - ha_.master_seen.value_or(0)));
    for (const std::string& node : ha_.nodes_in("fence")) object(fmt::format("HA is fencing {}; wait until it is over", node));
    const auto state = ha_.node_states.find(members_.node);
    return {{"active", ha_.active()},
            {"master", or_null(ha_.master)},
            {"master_alive", ha_.master.empty() ? json(nullptr) : json(alive)},
            {"node_state", state == ha_.node_states.end() ? json(nullptr) : json(state->second)},
            {"lrm_state", or_null(ha_.lrm_state)},
            {"lrm_mode", or_null(ha_.lrm_mode)},
            {"disarmed", ha_.disarmed},
            {"shutdown_policy", or_null(ha_.shutdown_policy)},
            {"services", std::move(services)}};
  }

  void judge(const cluster::HaService& service) {
    const std::string& state = service.state;
    const std::string where = service.node.empty() ? "" : " on " + service.node;
    if (state == "error")
      object(fmt::format("HA service {}{} is in state error; repair it, then: ha-manager set {} --state disabled, and back", service.sid,
                         where, service.sid));
    else if (state == "fence" || state == "recovery")
      object(fmt::format("HA is recovering {}{} ({}); wait until it is over", service.sid, where, state));
    else if (state == "migrate" || state == "relocate" || state == "request_start_balance")
      object(fmt::format("HA is moving {}{} ({}); wait until it is over", service.sid, where, state));
    else if (state == "freeze" && !ha_.disarmed && service.node != members_.node)
      object(fmt::format("HA has frozen {}{}: that node restarts; wait until it is back", service.sid, where));
  }

  // --- Ceph -----------------------------------------------------------------------------------------------------------------
  json ceph() {
    if (!members_.pmxcfs) return nullptr;
    const auto ceph = cluster::read_ceph(host_);
    if (!ceph) return nullptr;
    json checks = json::array(), states = json::array();
    if (!ceph->problem.empty()) object(fmt::format("Ceph is configured but can't be asked (ceph status): {}", ceph->problem));
    for (const cluster::CephCheck& check : ceph->checks) {
      const bool counts = !check.muted && !cluster::is_harmless(check);
      checks.push_back(
          {{"code", check.code}, {"severity", check.severity}, {"message", check.message}, {"muted", check.muted}, {"counts", counts}});
      if (counts)
        object(
            fmt::format("Ceph: {} ({}); repair it, or say that you know: ceph health mute {} 1h", check.message, check.code, check.code));
    }
    for (const auto& [state, count] : ceph->states) {
      states.push_back({{"state", state}, {"count", count}});
      object(fmt::format("Ceph: {} placement groups are {}; wait until all are active+clean", count, state));
    }
    const std::int64_t left = ceph->monitors_left();
    // A node alone takes its Ceph along whatever it does.
    if (!single_ && !ceph->monitors_here.empty() && left * 2 <= ceph->monitors)
      object(fmt::format("Ceph: without the monitor of this node {} of {} are left, which is no majority", left, ceph->monitors));
    if (!single_ && ceph->ok_to_stop && !*ceph->ok_to_stop)
      object(fmt::format("Ceph: data would not be available without the OSDs of this node: {}", ceph->ok_to_stop_message));
    return {{"health", or_null(ceph->health)},
            {"checks", std::move(checks)},
            {"noout", ceph->has_flag("noout")},
            {"flags", ceph->flags},
            {"placement_groups_not_clean", std::move(states)},
            {"monitors", ceph->monitors},
            {"monitors_left", left},
            {"monitors_here", ceph->monitors_here},
            {"osds_here", ceph->osds_here},
            {"ok_to_stop", ceph->ok_to_stop ? json(*ceph->ok_to_stop) : json(nullptr)}};
  }

  // --- guests ---------------------------------------------------------------------------------------------------------------
  json replication(const std::vector<cluster::Guest>& guests) {
    std::vector<std::int64_t> vmids;
    for (const cluster::Guest& guest : guests) vmids.push_back(guest.vmid);
    json out = json::array();
    if (!members_.pmxcfs) return out;
    for (const cluster::ReplicationJob& job : cluster::read_replication(reader_, vmids)) {
      out.push_back({{"id", job.id},
                     {"guest", job.guest},
                     {"target", job.target},
                     {"disabled", job.disabled},
                     {"running", job.running},
                     {"last_sync", job.last_sync == 0 ? json(nullptr) : json(job.last_sync)},
                     {"failures", job.failures},
                     {"error", or_null(job.error)}});
      if (job.running) object(fmt::format("replication job {} to {} runs; wait until it is over", job.id, job.target));
    }
    return out;
  }

  json judge_guests(const std::vector<cluster::Guest>& guests) {
    json out = json::array();
    std::vector<std::string> running;
    for (const cluster::Guest& guest : guests) {
      const bool vm = guest.type == cluster::Guest::Type::vm;
      out.push_back({{"vmid", guest.vmid},
                     {"name", or_null(guest.name)},
                     {"type", vm ? "qemu" : "lxc"},
                     {"running", guest.running},
                     {"ha", guest.ha_request ? json(*guest.ha_request) : json(nullptr)},
                     {"lock", or_null(guest.lock)},
                     {"movable", guest.movable()},
                     {"movable_with_disks", guest.movable_with_disks()},
                     {"targets", guest.targets},
                     {"reasons", guest.reasons()}});
      // "suspended" is at rest: the guest sleeps on its disk.
      if (!guest.lock.empty() && guest.lock != "suspended")
        object(fmt::format("{} is locked ({}): something works on it; wait, or if nothing does: {} unlock {}", title(guest), guest.lock,
                           vm ? "qm" : "pct", guest.vmid));
      if (guest.arriving) object(fmt::format("{} is being migrated to this node; wait until it is over", title(guest)));
      if (!guest.running) continue;
      running.push_back(title(guest));
      if (params_.running_guests == RunningGuests::movable && !guest.movable())
        object(fmt::format("{} runs and can't move: {}", title(guest), fmt::join(guest.reasons(), "; ")));
    }
    if (params_.running_guests == RunningGuests::refuse && !running.empty())
      object(fmt::format("{} guest{} here: {}; {} what runs, or give running_guests: allow", running.size(),
                         running.size() == 1 ? " runs" : "s run", names(running), single_ ? "shut down" : "move or shut down"));
    return out;
  }

  void object_to_unreadable() {
    std::vector<std::string> paths;
    for (const Unreadable& item : reader_.unreadable()) paths.push_back(item.path);
    if (paths.empty()) return;
    const std::size_t more = paths.size() > 3 ? paths.size() - 3 : 0;
    paths.resize(paths.size() - more);
    object(fmt::format("{}{} can't be read: {}; run this as root", names(paths), more ? fmt::format(" and {} more", more) : "",
                       reader_.unreadable()[0].why));
  }

  const Params& params_;
  const HostView& host_;
  Reader reader_;
  cluster::Membership members_;
  cluster::Ha ha_;
  bool single_ = false;
  std::vector<std::string> reasons_;
};

void plan(const Params& params, const HostView& host, Plan& out) { Guard(params, host).run(out); }

}  // namespace

template <>
struct EnumNames<RunningGuests> {
  static constexpr std::pair<RunningGuests, const char*> values[] = {
      {RunningGuests::refuse, "refuse"}, {RunningGuests::movable, "movable"}, {RunningGuests::allow, "allow"}};
};

PVEGPU_MODULE(
    node_guard, Params,
    (ModuleDoc{
        .name = "node_guard",
        .summary = "May this node be rebooted now",
        .description =
            {"Says whether this node of a Proxmox VE cluster may be rebooted now, and if not, each reason with what to do: quorum without "
             "this node, other nodes that are away, the HA manager and its services, Ceph, running replication, guests that are locked, "
             "and "
             "guests that run.",
             "Of each guest of this node it tells whether it could move to another node as it is, to which, and why not: devices, disks "
             "that "
             "other nodes don't see, CD-ROM images, locks.",
             "It reads the files of the cluster file system; it asks C(corosync-quorumtool) only where there is a QDevice, and C(ceph) "
             "only "
             "where Proxmox VE runs Ceph. It changes nothing, and the task does not fail when the answer is no: look at C(allowed)."},
        .examples = R"(- name: May this node go
  pve.gpu.node_guard:
    running_guests: movable
  register: guard

- name: Stop if it may not
  ansible.builtin.assert:
    that: guard.allowed
    fail_msg: "{{ guard.reasons | join(' / ') }}"
)",
        .returns = R"(allowed:
  description: Whether this node may be rebooted now.
  returned: always
  type: bool
reasons:
  description: Why it may not, one sentence each with what to do.
  returned: always
  type: list
  elements: str
node:
  description: Name of this node.
  returned: always
  type: str
  sample: pve1
single_node:
  description: Whether this node is alone, so that no cluster suffers from its reboot and no guest can go elsewhere.
  returned: always
  type: bool
quorum:
  description: Votes, from C(corosync.conf) and the members that are online. All null but the first two on a node alone.
  returned: always
  type: dict
  contains:
    cluster:
      description: Name of the cluster, null without one.
      returned: always
      type: str
    quorate:
      description: Whether this node is in the part that has quorum; null when that is not known.
      returned: always
      type: bool
    expected_votes:
      description: Votes of all nodes and the QDevice.
      returned: always
      type: int
    needed_votes:
      description: Votes that quorum needs.
      returned: always
      type: int
    total_votes:
      description: Votes that are there now.
      returned: always
      type: int
    own_votes:
      description: Votes of this node.
      returned: always
      type: int
    remaining_votes:
      description: Votes that are there without this node.
      returned: always
      type: int
    holds_without_node:
      description: Whether the other nodes keep quorum.
      returned: always
      type: bool
    qdevice:
      description: The QDevice, null without one.
      returned: always
      type: dict
      contains:
        votes:
          description: Votes that it may give.
          returned: always
          type: int
        voting:
          description: Whether it gives them to the other nodes; null when corosync can't be asked.
          returned: always
          type: bool
nodes:
  description: All nodes of the cluster.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node.
      returned: always
      type: str
    online:
      description: Whether it is a member now.
      returned: always
      type: bool
    votes:
      description: Its votes.
      returned: always
      type: int
    ha_state:
      description: What the HA manager says of it, one of C(online), C(maintenance), C(unknown), C(fence), C(gone); null when HA was never used.
      returned: always
      type: str
ha:
  description: The HA manager.
  returned: always
  type: dict
  contains:
    active:
      description: Whether it manages any service.
      returned: always
      type: bool
    master:
      description: The node whose manager is in charge.
      returned: always
      type: str
    master_alive:
      description: Whether it reported in the last 30 seconds. A manager without services need not.
      returned: always
      type: bool
    node_state:
      description: What it says of this node.
      returned: always
      type: str
    lrm_state:
      description: State of this node's local resource manager, for example C(active) or C(wait_for_agent_lock).
      returned: always
      type: str
    lrm_mode:
      description: Its mode, for example C(active), C(maintenance) or C(restart).
      returned: always
      type: str
    disarmed:
      description: Whether HA is disarmed, which Proxmox VE can since 9.2.
      returned: always
      type: bool
    shutdown_policy:
      description: What HA does with its services when the node shuts down, from C(datacenter.cfg).
      returned: always
      type: str
    services:
      description: HA services of the whole cluster.
      returned: always
      type: list
      elements: dict
      contains:
        sid:
          description: Its id.
          returned: always
          type: str
          sample: vm:100
        node:
          description: Where it is, null when HA has not seen it yet.
          returned: always
          type: str
        state:
          description: What HA does with it now; C(queued) when HA has not seen it yet, C(ignored) when it shall not.
          returned: always
          type: str
        request:
          description: What HA shall do with it; C(none) when it is no HA resource any more.
          returned: always
          type: str
ceph:
  description: Ceph, null where Proxmox VE does not run it.
  returned: always
  type: dict
  contains:
    health:
      description: C(HEALTH_OK), C(HEALTH_WARN) or C(HEALTH_ERR); null when Ceph can't be asked.
      returned: always
      type: str
    checks:
      description: What Ceph complains of.
      returned: always
      type: list
      elements: dict
      contains:
        code:
          description: Its code.
          returned: always
          type: str
          sample: OSD_DOWN
        severity:
          description: C(HEALTH_WARN) or C(HEALTH_ERR).
          returned: always
          type: str
        message:
          description: Its message.
          returned: always
          type: str
        muted:
          description: Whether the operator has muted it.
          returned: always
          type: bool
        counts:
          description: Whether it is a reason against the reboot. Muted ones and those that have nothing to do with availability are not.
          returned: always
          type: bool
    noout:
      description: Whether OSDs that are down stay in, so that no data is moved during the reboot.
      returned: always
      type: bool
    flags:
      description: Flags of the OSD map that Ceph warns of.
      returned: always
      type: list
      elements: str
    placement_groups_not_clean:
      description: Placement groups that are not active and clean.
      returned: always
      type: list
      elements: dict
      contains:
        state:
          description: Their state.
          returned: always
          type: str
          sample: active+undersized+degraded
        count:
          description: How many.
          returned: always
          type: int
    monitors:
      description: Number of monitors.
      returned: always
      type: int
    monitors_left:
      description: Monitors in the quorum without this node's.
      returned: always
      type: int
    monitors_here:
      description: This node's monitors.
      returned: always
      type: list
      elements: str
    osds_here:
      description: Numbers of this node's OSDs.
      returned: always
      type: list
      elements: int
    ok_to_stop:
      description: What Ceph itself says of stopping all of these; null without any.
      returned: always
      type: bool
replication:
  description: Replication jobs of this node's guests. Jobs of other nodes' guests to this node are not known here.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Id of the job.
      returned: always
      type: str
      sample: 100-0
    guest:
      description: VMID of the guest.
      returned: always
      type: int
    target:
      description: The node it goes to.
      returned: always
      type: str
    disabled:
      description: Whether it is switched off.
      returned: always
      type: bool
    running:
      description: Whether it runs now.
      returned: always
      type: bool
    last_sync:
      description: When it last succeeded, in seconds since 1970; null when it never did.
      returned: always
      type: int
    failures:
      description: How often it failed since.
      returned: always
      type: int
    error:
      description: The last error.
      returned: always
      type: str
guests:
  description: The guests of this node, those that don't run too.
  returned: always
  type: list
  elements: dict
  contains:
    vmid:
      description: Its id.
      returned: always
      type: int
    name:
      description: Its name, null when its configuration can't be read.
      returned: always
      type: str
    type:
      description: C(qemu) or C(lxc).
      returned: always
      type: str
    running:
      description: Whether it runs.
      returned: always
      type: bool
    ha:
      description: What HA shall do with it, for example C(started); null when HA does not manage it.
      returned: always
      type: str
    lock:
      description: Its lock, for example C(backup); null without one.
      returned: always
      type: str
    movable:
      description: Whether it can move as it is; a VM that runs without interruption, a container that runs with a restart.
      returned: always
      type: bool
    movable_with_disks:
      description: The same when disks on storages of this node are copied.
      returned: always
      type: bool
    targets:
      description: Nodes that are online, not in maintenance mode, and have the storages and mapped devices that it needs.
      returned: always
      type: list
      elements: str
    reasons:
      description: Why it can't move, one sentence each.
      returned: always
      type: list
      elements: str
)",
        .notes = {"HA rules, free memory and CPU types of the other nodes are not judged.",
                  "Needs root: without it the cluster's files can't be read, and the answer is no."},
        .effects = Effects::none,
    }),
    Spec<Params>{}
        .param("max_nodes_down", &Params::max_nodes_down,
               {.doc = "How many other nodes may be offline or in maintenance mode. Quorum is judged apart from that."})
        .param(
            "running_guests", &Params::running_guests,
            {.doc =
                 "What guests that run here mean: C(refuse) any is a reason against the reboot, C(movable) only those are that can't move, "
                 "C(allow) none is."})
        .param(
            "allow_quorum_loss", &Params::allow_quorum_loss,
            {.doc = "Accept that the other nodes lose quorum while this one is away, as in a cluster of two nodes without a QDevice: their "
                    "guests run on, but nothing can be changed or started. Not accepted while HA manages services elsewhere."}),
    plan)

}  // namespace pvegpu
