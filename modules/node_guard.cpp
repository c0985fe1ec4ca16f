// SPDX-License-Identifier: MIT
// node_guard: may this node be rebooted now? It only looks.
#include "common/cluster/obstacles.hpp"
#include "common/core/module.hpp"

namespace pvegpu {
namespace {

using cluster::RunningGuests;

struct Params {
  std::int64_t max_nodes_down = 0;
  RunningGuests running_guests = RunningGuests::refuse;
  bool allow_quorum_loss = false;
};

struct DeviceAnswer {
  std::int64_t votes = 0;
  std::optional<bool> voting;

  static void fields(Reply<DeviceAnswer>& out) {
    out.field("votes", &DeviceAnswer::votes, {.doc = "Votes that it may give."});
    out.field("voting", &DeviceAnswer::voting, {.doc = "Whether it gives them to the other nodes; null when corosync can't be asked."});
  }
};

struct QuorumAnswer {
  std::string cluster;
  std::optional<bool> quorate;
  std::optional<std::int64_t> expected_votes;
  std::optional<std::int64_t> needed_votes;
  std::optional<std::int64_t> total_votes;
  std::optional<std::int64_t> own_votes;
  std::optional<std::int64_t> remaining_votes;
  std::optional<bool> holds_without_node;
  std::optional<DeviceAnswer> qdevice;

  static void fields(Reply<QuorumAnswer>& out) {
    out.field("cluster", &QuorumAnswer::cluster, {.doc = "Name of the cluster, null without one.", .null_if_empty = true});
    out.field("quorate", &QuorumAnswer::quorate, {.doc = "Whether this node is in the part that has quorum; null when that is not known."});
    out.field("expected_votes", &QuorumAnswer::expected_votes, {.doc = "Votes of all nodes and the QDevice."});
    out.field("needed_votes", &QuorumAnswer::needed_votes, {.doc = "Votes that quorum needs."});
    out.field("total_votes", &QuorumAnswer::total_votes, {.doc = "Votes that are there now."});
    out.field("own_votes", &QuorumAnswer::own_votes, {.doc = "Votes of this node."});
    out.field("remaining_votes", &QuorumAnswer::remaining_votes, {.doc = "Votes that are there without this node."});
    out.field("holds_without_node", &QuorumAnswer::holds_without_node, {.doc = "Whether the other nodes keep quorum."});
    out.field("qdevice", &QuorumAnswer::qdevice, {.doc = "The QDevice, null without one."});
  }
};

struct NodeAnswer {
  std::string name;
  bool online = false;
  std::int64_t votes = 0;
  std::string ha_state;

  static void fields(Reply<NodeAnswer>& out) {
    out.field("name", &NodeAnswer::name, {.doc = "Name of the node."});
    out.field("online", &NodeAnswer::online, {.doc = "Whether it is a member now."});
    out.field("votes", &NodeAnswer::votes, {.doc = "Its votes."});
    out.field("ha_state", &NodeAnswer::ha_state,
              {.doc = "What the HA manager says of it, one of C(online), C(maintenance), C(unknown), C(fence), C(gone); null when HA was "
                      "never used.",
               .null_if_empty = true});
  }
};

struct HaAnswer {
  bool active = false;
  std::string master;
  std::optional<bool> master_alive;
  std::optional<std::string> node_state;
  std::string lrm_state;
  std::string lrm_mode;
  bool disarmed = false;
  std::string shutdown_policy;
  std::vector<cluster::HaService> services;

  static void fields(Reply<HaAnswer>& out) {
    out.field("active", &HaAnswer::active, {.doc = "Whether it manages any service."});
    out.field("master", &HaAnswer::master, {.doc = "The node whose manager is in charge.", .null_if_empty = true});
    out.field("master_alive", &HaAnswer::master_alive,
              {.doc = "Whether it reported in the last 30 seconds. A manager without services need not."});
    out.field("node_state", &HaAnswer::node_state, {.doc = "What it says of this node."});
    out.field(
        "lrm_state", &HaAnswer::lrm_state,
        {.doc = "State of this node's local resource manager, for example C(active) or C(wait_for_agent_lock).", .null_if_empty = true});
    out.field("lrm_mode", &HaAnswer::lrm_mode,
              {.doc = "Its mode, for example C(active), C(maintenance) or C(restart).", .null_if_empty = true});
    out.field("disarmed", &HaAnswer::disarmed, {.doc = "Whether HA is disarmed, which Proxmox VE can since 9.2."});
    out.field("shutdown_policy", &HaAnswer::shutdown_policy,
              {.doc = "What HA does with its services when the node shuts down, from C(datacenter.cfg).", .null_if_empty = true});
    out.field("services", &HaAnswer::services, {.doc = "HA services of the whole cluster."});
  }
};

struct CheckAnswer {
  std::string code;
  std::string severity;
  std::string message;
  bool muted = false;
  bool counts = false;

  static void fields(Reply<CheckAnswer>& out) {
    out.field("code", &CheckAnswer::code, {.doc = "Its code.", .sample = "OSD_DOWN"});
    out.field("severity", &CheckAnswer::severity, {.doc = "C(HEALTH_WARN) or C(HEALTH_ERR)."});
    out.field("message", &CheckAnswer::message, {.doc = "Its message."});
    out.field("muted", &CheckAnswer::muted, {.doc = "Whether the operator has muted it."});
    out.field(
        "counts", &CheckAnswer::counts,
        {.doc = "Whether it is a reason against the reboot. Muted ones and those that have nothing to do with availability are not."});
  }
};

struct PgState {
  std::string state;
  std::int64_t count = 0;

  static void fields(Reply<PgState>& out) {
    out.field("state", &PgState::state, {.doc = "Their state.", .sample = "active+undersized+degraded"});
    out.field("count", &PgState::count, {.doc = "How many."});
  }
};

struct CephAnswer {
  std::string health;
  std::vector<CheckAnswer> checks;
  bool noout = false;
  std::vector<std::string> flags;
  std::vector<PgState> placement_groups_not_clean;
  std::int64_t monitors = 0;
  std::int64_t monitors_left = 0;
  std::vector<std::string> monitors_here;
  std::vector<std::int64_t> osds_here;
  std::optional<bool> ok_to_stop;

  static void fields(Reply<CephAnswer>& out) {
    out.field("health", &CephAnswer::health,
              {.doc = "C(HEALTH_OK), C(HEALTH_WARN) or C(HEALTH_ERR); null when Ceph can't be asked.", .null_if_empty = true});
    out.field("checks", &CephAnswer::checks, {.doc = "What Ceph complains of."});
    out.field("noout", &CephAnswer::noout, {.doc = "Whether OSDs that are down stay in, so that no data is moved during the reboot."});
    out.field("flags", &CephAnswer::flags, {.doc = "Flags of the OSD map that Ceph warns of."});
    out.field("placement_groups_not_clean", &CephAnswer::placement_groups_not_clean,
              {.doc = "Placement groups that are not active and clean."});
    out.field("monitors", &CephAnswer::monitors, {.doc = "Number of monitors."});
    out.field("monitors_left", &CephAnswer::monitors_left, {.doc = "Monitors in the quorum without this node's."});
    out.field("monitors_here", &CephAnswer::monitors_here, {.doc = "This node's monitors."});
    out.field("osds_here", &CephAnswer::osds_here, {.doc = "Numbers of this node's OSDs."});
    out.field("ok_to_stop", &CephAnswer::ok_to_stop, {.doc = "What Ceph itself says of stopping all of these; null without any."});
  }
};

struct GuestAnswer {
  std::int64_t vmid = 0;
  std::string name;
  std::string type;
  bool running = false;
  std::optional<std::string> ha;
  std::string lock;
  bool movable = false;
  bool movable_with_disks = false;
  std::vector<std::string> targets;
  std::vector<std::string> reasons;

  static void fields(Reply<GuestAnswer>& out) {
    out.field("vmid", &GuestAnswer::vmid, {.doc = "Its id."});
    out.field("name", &GuestAnswer::name, {.doc = "Its name, null when its configuration can't be read.", .null_if_empty = true});
    out.field("type", &GuestAnswer::type, {.doc = "C(qemu) or C(lxc)."});
    out.field("running", &GuestAnswer::running, {.doc = "Whether it runs."});
    out.field("ha", &GuestAnswer::ha, {.doc = "What HA shall do with it, for example C(started); null when HA does not manage it."});
    out.field("lock", &GuestAnswer::lock, {.doc = "Its lock, for example C(backup); null without one.", .null_if_empty = true});
    out.field("movable", &GuestAnswer::movable,
              {.doc = "Whether it can move as it is; a VM that runs without interruption, a container that runs with a restart."});
    out.field("movable_with_disks", &GuestAnswer::movable_with_disks, {.doc = "The same when disks on storages of this node are copied."});
    out.field("targets", &GuestAnswer::targets,
              {.doc = "Nodes that are online, not in maintenance mode, and have the storages and mapped devices that it needs."});
    out.field("reasons", &GuestAnswer::reasons, {.doc = "Why it can't move, one sentence each."});
  }
};

struct Answer {
  std::string node;
  bool single_node = false;
  QuorumAnswer quorum;
  std::vector<NodeAnswer> nodes;
  HaAnswer ha;
  std::optional<CephAnswer> ceph;
  std::vector<cluster::ReplicationJob> replication;
  std::vector<GuestAnswer> guests;
  bool allowed = false;
  std::vector<std::string> reasons;

  static void fields(Reply<Answer>& out) {
    out.field("node", &Answer::node, {.doc = "Name of this node.", .sample = "pve1", .null_if_empty = true});
    out.field("single_node", &Answer::single_node,
              {.doc = "Whether this node is alone, so that no cluster suffers from its reboot and no guest can go elsewhere."});
    out.field("quorum", &Answer::quorum,
              {.doc = "Votes, from C(corosync.conf) and the members that are online. All null but the first two on a node alone."});
    out.field("nodes", &Answer::nodes, {.doc = "All nodes of the cluster."});
    out.field("ha", &Answer::ha, {.doc = "The HA manager."});
    out.field("ceph", &Answer::ceph, {.doc = "Ceph, null where Proxmox VE does not run it."});
    out.field("replication", &Answer::replication,
              {.doc = "Replication jobs of this node's guests. Jobs of other nodes' guests to this node are not known here."});
    out.field("guests", &Answer::guests, {.doc = "The guests of this node, those that don't run too."});
    out.field("allowed", &Answer::allowed, {.doc = "Whether this node may be rebooted now."});
    out.field("reasons", &Answer::reasons, {.doc = "Why it may not, one sentence each with what to do."});
  }
};

class Guard {
 public:
  Guard(const Params& params, const HostView& host) : params_(params), host_(host), reader_(host) {}

  void run(Plan& out) {
    members_ = cluster::read_membership(reader_);
    if (!members_.problem.empty()) reasons_.push_back(members_.problem);
    if (members_.pmxcfs) ha_ = cluster::read_ha(reader_, members_.node);
    single_ = members_.pmxcfs && members_.problem.empty() && members_.alone();
    Answer answer{members_.node, single_};
    answer.quorum = quorum();
    answer.nodes = nodes();
    answer.ha = ha();
    answer.ceph = ceph();
    const auto guests = cluster::read_guests(reader_, members_, ha_, ha_.nodes_in("maintenance"));
    answer.replication = replication(guests);
    answer.guests = tell(guests);
    object_to_unreadable();
    answer.allowed = reasons_.empty();
    answer.reasons = reasons_;
    out.report(answer);
  }

 private:
  void object(const cluster::Obstacles& more) { reasons_.insert(reasons_.end(), more.begin(), more.end()); }

  QuorumAnswer quorum() {
    QuorumAnswer out{members_.cluster};
    if (!members_.problem.empty()) return out;
    out.quorate = members_.quorate;
    if (single_) return out;
    const cluster::Votes votes = cluster::count_votes(host_, members_);
    out.expected_votes = votes.expected;
    out.needed_votes = votes.needed;
    out.total_votes = votes.total;
    out.own_votes = votes.own;
    out.remaining_votes = votes.remaining;
    out.holds_without_node = members_.quorate && votes.holds;
    if (votes.has_device) out.qdevice = DeviceAnswer{votes.device, votes.device_votes};
    object(cluster::quorum_obstacles(members_, votes, ha_, params_.allow_quorum_loss));
    return out;
  }

  std::vector<NodeAnswer> nodes() {
    std::vector<NodeAnswer> out;
    for (const cluster::Node& node : members_.nodes) {
      const auto state = ha_.node_states.find(node.name);
      out.push_back({node.name, node.online, node.votes, state == ha_.node_states.end() ? std::string() : state->second});
    }
    object(cluster::node_obstacles(members_, ha_, params_.max_nodes_down));
    return out;
  }

  HaAnswer ha() {
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(host_.now().time_since_epoch()).count();
    object(cluster::ha_obstacles(ha_, members_.node, now));
    const auto state = ha_.node_states.find(members_.node);
    HaAnswer out{ha_.active(), ha_.master};
    if (!ha_.master.empty()) out.master_alive = cluster::is_master_alive(ha_, now);
    if (state != ha_.node_states.end()) out.node_state = state->second;
    out.lrm_state = ha_.lrm_state;
    out.lrm_mode = ha_.lrm_mode;
    out.disarmed = ha_.disarmed;
    out.shutdown_policy = ha_.shutdown_policy;
    out.services = ha_.services;
    return out;
  }

  std::optional<CephAnswer> ceph() {
    if (!members_.pmxcfs) return std::nullopt;
    const auto ceph = cluster::read_ceph(host_);
    if (!ceph) return std::nullopt;
    object(cluster::ceph_obstacles(*ceph, single_));
    CephAnswer out;
    for (const cluster::CephCheck& check : ceph->checks)
      out.checks.push_back({check.code, check.severity, check.message, check.muted, cluster::is_obstacle(check)});
    for (const auto& [state, count] : ceph->states) out.placement_groups_not_clean.push_back({state, count});
    out.health = ceph->health;
    out.noout = ceph->has_flag("noout");
    out.flags = ceph->flags;
    out.monitors = ceph->monitors;
    out.monitors_left = ceph->monitors_left();
    out.monitors_here = ceph->monitors_here;
    out.osds_here = ceph->osds_here;
    out.ok_to_stop = ceph->ok_to_stop;
    return out;
  }

  std::vector<cluster::ReplicationJob> replication(const std::vector<cluster::Guest>& guests) {
    if (!members_.pmxcfs) return {};
    std::vector<std::int64_t> vmids;
    for (const cluster::Guest& guest : guests) vmids.push_back(guest.vmid);
    auto out = cluster::read_replication(reader_, vmids);
    object(cluster::replication_obstacles(out));
    return out;
  }

  std::vector<GuestAnswer> tell(const std::vector<cluster::Guest>& guests) {
    object(cluster::guest_obstacles(guests, params_.running_guests, single_));
    std::vector<GuestAnswer> out;
    for (const cluster::Guest& guest : guests)
      out.push_back({guest.vmid, guest.name, guest.type == cluster::Guest::Type::vm ? "qemu" : "lxc", guest.running, guest.ha_request,
                     guest.lock, guest.movable(), guest.movable_with_disks(), guest.targets, guest.reasons()});
    return out;
  }

  void object_to_unreadable() {
    std::vector<std::string> paths;
    for (const Unreadable& item : reader_.unreadable()) paths.push_back(item.path);
    if (paths.empty()) return;
    const std::size_t more = paths.size() > 3 ? paths.size() - 3 : 0;
    paths.resize(paths.size() - more);
    object({fmt::format("{}{} can't be read: {}; run this as root", fmt::join(paths, ", "), more ? fmt::format(" and {} more", more) : "",
                        reader_.unreadable()[0].why)});
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
        .answer = answer_of<Answer>,
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
