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
  out.report(tell(make_plan(documents, wishes, rules), rules, params.mappings.list));
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
    .answer = answer_of<Answer>,
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
