// SPDX-License-Identifier: MIT
// pools: which GPU serves which desktop pool. It changes nothing and reads nothing of the host it runs on.
#include "common/core/module.hpp"
#include "common/pools/report.hpp"

namespace pvegpu {
namespace pools {
namespace {

enum class SeparateBy { mapping, type };

/// Parameters that are taken as they come, and told back in short: they may be tens of megabytes.
struct Hosts {
  Documents documents;
};
struct Mappings {
  std::vector<TodaysMapping> list;
};

struct Pool {
  std::string name, type;
  std::int64_t desktops = 0;
  std::optional<std::string> model, mapping;
  std::int64_t minimum_per_node = 0, spare_percent = 0, spare_nodes = 0;

  static const Spec<Pool>& spec() {
    static const Spec<Pool> spec =
        Spec<Pool>{}
            .param("name", &Pool::name, {.doc = "Name of the pool.", .required = true})
            .param("type", &Pool::type,
                   {.doc = "What each desktop gets: the name of a vGPU type, with or without V(GRID) or V(NVIDIA) before it, or "
                           "V(passthrough), or V(intel-vgpu).",
                    .required = true})
            .param("desktops", &Pool::desktops, {.doc = "How many desktops run at once.", .required = true})
            .param("model", &Pool::model, {.doc = "GPU model that it shall have, as RV(pve.gpu.host_info#module:gpus[].name) spells it."})
            .param(
                "mapping", &Pool::mapping,
                {.doc = "Name of its resource mapping. A pool that names one always gets one; without, its name is the pool's, with C(-) "
                        "for what Proxmox VE does not take."})
            .param("minimum_per_node", &Pool::minimum_per_node,
                   {.doc = "Seats that each node shall have for it that has a GPU which can serve it."})
            .param("spare_percent", &Pool::spare_percent, {.doc = "Seats beyond its desktops, in per cent of them."})
            .param("spare_nodes", &Pool::spare_nodes,
                   {.doc = "How many nodes may fail at once while all its desktops still have seats; V(1) is N+1."});
    return spec;
  }
};

struct Params {
  Hosts hosts;
  std::vector<Pool> pools;
  Strategy strategy = Strategy::pack;
  SeparateBy separate_by = SeparateBy::mapping;
  bool only_ready = false;
  Mappings mappings;
};

void plan(const Params& params, const HostView&, Plan& out) {
  Documents documents = params.hosts.documents;
  attach(documents, params.mappings.list);
  std::vector<Wish> wishes;
  for (const Pool& pool : params.pools)
    wishes.push_back({pool.name, pool.type, pool.desktops, pool.model.value_or(""), pool.minimum_per_node, pool.spare_percent,
                      pool.spare_nodes, pool.mapping.value_or("")});
  const Rules rules{params.strategy, params.separate_by == SeparateBy::type, params.only_ready};
  const PoolPlan made = make_plan(documents, wishes, rules);
  bool all = true;
  for (std::size_t p = 0; p < made.pools.size(); ++p) all = all && fits(made, p);
  out.report("fits", all);
  out.report("pools", pools_json(made, rules));
  out.report("gpus", gpus_json(made));
  out.report("mappings", mappings_json(made, params.mappings.list));
  out.report("overlaps", overlaps_json(made));
  out.report("left", left_json(made));
  out.report("licences", licences_json(made));
  out.report("quality", quality_json(made));
  out.report("notes", made.notes);
}

const ModuleDoc doc{
    .name = "pools",
    .summary = "Which GPU serves which desktop pool, and what does not fit",
    .description =
        {"Plans from the documents of M(pve.gpu.host_info) of all nodes of a cluster. It changes nothing and looks at nothing else, so it "
         "runs on any host that the executable runs on.",
         "A GPU serves one pool and has one vGPU size; of a board with several GPUs (M10, A16) each is planned by itself. Mixed sizes on "
         "one "
         "GPU are not planned.",
         "Of all plans it takes the one that places the most desktops; of these, one with the fewest spare seats missing; of these, one "
         "that "
         "uses the fewest GPUs; of these, one that leaves the most GPUs with the pool that has them today. O(strategy) decides between "
         "equals. RV(quality) says whether that is proven, and else how much better a plan could be at most.",
         "A pool needs a resource mapping where pools of different types share a GPU model, and where a broker does not find GPUs by type: "
         "whole cards, and vGPUs of vendor VFIO."},
    .examples = R"(
- name: What every node has
  pve.gpu.host_info:
  register: info

- name: Two pools with different vGPU types on the same model
  pve.gpu.pools:
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, 'info') | list }}"
    pools:
      - {name: Pool A, type: P4-1Q, desktops: 16, mapping: GPUA}
      - {name: Pool B, type: P4-2Q, desktops: 8, mapping: GPUB, spare_nodes: 1}
  register: plan
  run_once: true

- name: Stop when something does not fit
  ansible.builtin.assert:
    that: plan.fits
    fail_msg: "{{ plan.pools | rejectattr('fits') | map(attribute='reasons') | list }}"
  run_once: true
)",
    .returns = R"(
fits:
  description: Whether every pool gets all it wants.
  returned: success
  type: bool
pools:
  description: The pools, in the order of O(pools).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pool.
      type: str
    vgpu_type:
      description: The vGPU type by its whole name, V(Intel-vGPU) or V(GPU Passthrough).
      type: str
    models:
      description: Models of the GPUs that serve it.
      type: list
      elements: str
    desktops:
      description: How many desktops it wants.
      type: int
    placed:
      description: How many of them have a seat.
      type: int
    seats:
      description: Seats on its GPUs.
      type: int
    spare_seats:
      description: Seats beyond the desktops.
      type: int
    surviving_seats:
      description: Seats that are left when as many nodes fail as it wants to survive, those with the most seats; V(null) when it wants none.
      type: int
    gpus:
      description: How many GPUs serve it.
      type: int
    nodes:
      description: On how many nodes these are.
      type: int
    mapping:
      description: The resource mapping that it needs, V(null) when it needs none.
      type: str
    licence:
      description: The least NVIDIA product that licenses its type (V(vws), V(vpc), V(vapps), V(ai_enterprise) or V(vgaming)), V(null) for none.
      type: str
    fits:
      description: Whether it gets all it wants.
      type: bool
    reasons:
      description: Why it does not, as sentences with numbers.
      type: list
      elements: str
    nearest:
      description: What would fit in its place, the least change first.
      type: list
      elements: str
gpus:
  description: Every GPU, by node and address. Consoles are left out.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: Its node.
      type: str
    address:
      description: Its PCI address.
      type: str
    model:
      description: Its model.
      type: str
    pool:
      description: The pool that it serves, V(null) when it is left.
      type: str
    vgpu_type:
      description: The type that it has then.
      type: str
    seats:
      description: How many desktops it serves.
      type: int
    mapping:
      description: The resource mapping that holds it then.
      type: str
    before:
      description: The pool whose mapping holds it today.
      type: str
    change:
      description: V(keep), V(move) from one pool to another, V(new), V(release), or V(none) for a GPU that no pool has or gets.
      type: str
    running:
      description: Guests that run on it now.
      type: list
      elements: int
    missing:
      description: What it still lacks for that, as M(pve.gpu.host_info) says it.
      type: list
      elements: str
mappings:
  description: The resource mappings that the plan needs.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the mapping.
      type: str
    pool:
      description: Its pool.
      type: str
    vgpu_type:
      description: The type that guests ask of it.
      type: str
    mdev:
      description: Whether it is one of mediated devices, as vGPUs are for Proxmox VE on every framework of NVIDIA's.
      type: bool
    action:
      description: V(create), V(change) or V(keep).
      type: str
    entries:
      description: The GPUs that it holds.
      type: list
      elements: dict
      contains:
        node:
          description: The node.
          type: str
        address:
          description: PCI address of the GPU.
          type: str
        functions:
          description: V(card) for the GPU itself, V(vfs) for its virtual functions.
          type: str
        seats:
          description: How many desktops it serves. So many virtual functions are enough in the mapping.
          type: int
    unknown_nodes:
      description: Nodes of today's mapping of which there is no document. Their entries are not judged.
      type: list
      elements: str
overlaps:
  description: GPUs of the plan that other mappings hold today as well. Take them out there, else two pools meet on one GPU.
  returned: success
  type: list
  elements: dict
  contains:
    mapping:
      description: The other mapping.
      type: str
    node:
      description: The node.
      type: str
    address:
      description: The GPU.
      type: str
    pool:
      description: The pool that gets the GPU.
      type: str
left:
  description: GPUs that serve no pool, by model.
  returned: success
  type: list
  elements: dict
  contains:
    model:
      description: The model.
      type: str
    gpus:
      description: How many.
      type: int
    nodes:
      description: On how many nodes.
      type: int
licences:
  description: The NVIDIA licences that the placed desktops need.
  returned: success
  type: list
  elements: dict
  contains:
    licence:
      description: The product.
      type: str
    desktops:
      description: How many at once.
      type: int
quality:
  description: How good the plan is.
  returned: success
  type: dict
  contains:
    desktops:
      description: Desktops that all pools want.
      type: int
    placed:
      description: Desktops that have a seat.
      type: int
    missing_spare_seats:
      description: Seats that are missing for spare shares, for nodes that may fail and for nodes' minimums.
      type: int
    gpus_used:
      description: GPUs that serve a pool.
      type: int
    gpus_changed:
      description: Of these, those that do not serve it today.
      type: int
    best:
      description: Whether it is proven that there is no better plan.
      type: bool
    at_most_better_by:
      description: How much better a plan could be at most, in the first of these that is not 0. All are 0 for the best plan.
      type: dict
      contains:
        desktops:
          description: More desktops.
          type: int
        spare_seats:
          description: Fewer missing spare seats.
          type: int
        gpus_used:
          description: Fewer GPUs.
          type: int
        gpus_changed:
          description: Fewer changes.
          type: int
notes:
  description: What else is worth knowing.
  returned: success
  type: list
  elements: str
)",
    .notes = {"Large clusters: only these keys of the documents are read, others may be left out: C(host.node), C(host.pve), "
              "C(host.drivers.nvidia), and of C(gpus) all but C(functions), C(displays), C(mdevs) and C(problems)."},
    .effects = Effects::none,
};

}  // namespace
}  // namespace pools

template <>
struct EnumNames<pools::Strategy> {
  static constexpr std::pair<pools::Strategy, const char*> values[] = {{pools::Strategy::pack, "pack"},
                                                                       {pools::Strategy::spread, "spread"}};
};
template <>
struct EnumNames<pools::SeparateBy> {
  static constexpr std::pair<pools::SeparateBy, const char*> values[] = {{pools::SeparateBy::mapping, "mapping"},
                                                                         {pools::SeparateBy::type, "type"}};
};

namespace params {

template <>
struct Type<pools::Hosts> {
  static Shape shape() { return {"list", "dict"}; }
  static Result<pools::Hosts> parse(const json& v) {
    if (!v.is_array()) return Error{"it is no list; give what host_info returned on each node"};
    return pools::Hosts{PVEGPU_TRY(pools::read_documents(v))};
  }
  static json print(const pools::Hosts& hosts) {
    std::vector<std::int64_t> gpus(hosts.documents.nodes.size(), 0);
    for (const pools::GpuPlace& gpu : hosts.documents.gpus) ++gpus[gpu.node];
    json out = json::array();
    for (std::size_t i = 0; i < gpus.size(); ++i) out.push_back({{"node", hosts.documents.nodes[i]}, {"gpus", gpus[i]}});
    return out;
  }
};

template <>
struct Type<pools::Mappings> {
  static Shape shape() { return {"list", "dict"}; }
  static Result<pools::Mappings> parse(const json& v) {
    if (!v.is_array()) return Error{"it is no list; give what `pvesh get /cluster/mapping/pci --output-format json` prints"};
    return pools::Mappings{PVEGPU_TRY(pools::read_mappings(v))};
  }
  static json print(const pools::Mappings& mappings) {
    json out = json::array();
    for (const pools::TodaysMapping& mapping : mappings.list) out.push_back({{"id", mapping.id}, {"entries", mapping.entries.size()}});
    return out;
  }
};

}  // namespace params

PVEGPU_MODULE(
    pools, pools::Params, pools::doc,
    Spec<pools::Params>{}
        .param("hosts", &pools::Params::hosts,
               {.doc = "What M(pve.gpu.host_info) returned, of each node of one cluster. The answer's C(invocation) tells it in short.",
                .required = true,
                .reads = pools::document_keys()})
        .param("pools", &pools::Params::pools, {.doc = "The pools.", .required = true})
        .param("strategy", &pools::Params::strategy,
               {.doc = "Of plans that are equally good, whether to use few nodes or many. Pools with O(pools[].spare_nodes) or "
                       "O(pools[].minimum_per_node) are spread always."})
        .param(
            "separate_by", &pools::Params::separate_by,
            {.doc = "How the broker tells pools apart. V(type): by vGPU type alone, so no mapping is planned, and pools of different types "
                    "on one GPU model are refused."})
        .param("only_ready", &pools::Params::only_ready,
               {.doc = "Plan with GPUs as they are now. Otherwise with what they can do once their hosts are set up; RV(gpus[].missing) "
                       "tells what that takes."})
        .param("mappings", &pools::Params::mappings,
               {.doc = "Today's resource mappings, as C(pvesh get /cluster/mapping/pci --output-format json) prints them. "
                       "Without, every GPU counts as new."}),
    pools::plan)

}  // namespace pvegpu
