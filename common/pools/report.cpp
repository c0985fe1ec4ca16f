// SPDX-License-Identifier: MIT
// The plan as data.
#include "common/pools/report.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace pvegpu::pools {
namespace {

json or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

const PoolFacts* pool_of(const PoolPlan& plan, std::size_t gpu) {
  const int pool = plan.solution.assignment[gpu];
  return pool == nobody ? nullptr : &plan.pools[static_cast<std::size_t>(pool)];
}

bool on_vfs(Way way) { return way == Way::nvidia_sriov_mdev || way == Way::nvidia_vendor_vfio || way == Way::intel_sriov; }

/// What happens to a GPU: by the mappings that hold it today, so nothing is known of pools that are told apart by type.
const char* change_of(const PoolPlan& plan, std::size_t gpu) {
  const int now = plan.problem.cards[gpu].current, then = plan.solution.assignment[gpu];
  if (now == nobody) return then == nobody ? "none" : "new";
  if (then == nobody) return "release";
  return now == then ? "keep" : "move";
}

}  // namespace

json gpus_json(const PoolPlan& plan) {
  json out = json::array();
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    const GpuPlace& gpu = plan.documents.gpus[i];
    const GpuKind& kind = plan.documents.kinds[gpu.kind];
    const PoolFacts* pool = pool_of(plan, i);
    const int now = plan.problem.cards[i].current;
    json missing = json::array();
    if (pool) missing = kind.technology(pool->abilities[gpu.kind].way).missing;
    out.push_back({{"node", plan.documents.nodes[gpu.node]},
                   {"address", gpu.address},
                   {"model", kind.model},
                   {"pool", pool ? json(pool->wish->name) : json(nullptr)},
                   {"vgpu_type", pool ? json(pool->type.name) : json(nullptr)},
                   {"seats", pool ? pool->abilities[gpu.kind].seats : 0},
                   {"mapping", pool && pool->mapped ? json(pool->mapping) : json(nullptr)},
                   {"before", now == nobody ? json(nullptr) : json(plan.pools[static_cast<std::size_t>(now)].wish->name)},
                   {"change", change_of(plan, i)},
                   {"running", gpu.running},
                   {"missing", std::move(missing)}});
  }
  return out;
}

json pools_json(const PoolPlan& plan, const Rules& rules) {
  json out = json::array();
  for (std::size_t p = 0; p < plan.pools.size(); ++p) {
    const PoolFacts& pool = plan.pools[p];
    std::set<std::string> models;
    for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i)
      if (plan.solution.assignment[i] == static_cast<int>(p)) models.insert(plan.documents.kinds[plan.documents.gpus[i].kind].model);
    const std::int64_t desktops = plan.problem.pools[p].desktops;
    out.push_back({{"name", pool.wish->name},
                   {"vgpu_type", pool.type.name},
                   {"models", models},
                   {"desktops", desktops},
                   {"placed", std::min(desktops, pool.seats)},
                   {"seats", pool.seats},
                   {"spare_seats", std::max<std::int64_t>(0, pool.seats - desktops)},
                   {"surviving_seats", plan.problem.pools[p].spare_nodes > 0 ? json(pool.surviving) : json(nullptr)},
                   {"gpus", pool.gpus},
                   {"nodes", std::count_if(pool.seats_on.begin(), pool.seats_on.end(), [](std::int64_t seats) { return seats > 0; })},
                   {"mapping", pool.mapped ? json(pool.mapping) : json(nullptr)},
                   {"licence", or_null(pool.type.licence)},
                   {"fits", fits(plan, p)},
                   {"reasons", reasons_of(plan, p)},
                   {"nearest", nearest_of(plan, p, rules)}});
  }
  return out;
}

json mappings_json(const PoolPlan& plan, const std::vector<TodaysMapping>& today) {
  const std::set<std::string> nodes(plan.documents.nodes.begin(), plan.documents.nodes.end());
  json out = json::array();
  for (std::size_t p = 0; p < plan.pools.size(); ++p) {
    const PoolFacts& pool = plan.pools[p];
    if (!pool.mapped) continue;
    json entries = json::array();
    bool there = false, differs = false;
    for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
      const GpuPlace& gpu = plan.documents.gpus[i];
      const bool has = std::find(gpu.mappings.begin(), gpu.mappings.end(), pool.mapping) != gpu.mappings.end();
      const bool wanted = plan.solution.assignment[i] == static_cast<int>(p);
      there = there || has;
      differs = differs || has != wanted;
      if (!wanted) continue;
      const GpuAbility& ability = pool.abilities[gpu.kind];
      entries.push_back({{"node", plan.documents.nodes[gpu.node]},
                         {"address", gpu.address},
                         {"functions", on_vfs(ability.way) ? "vfs" : "card"},
                         {"seats", ability.seats}});
    }
    std::set<std::string> others;  // nodes of today's mapping that no document is of
    for (const TodaysMapping& mapping : today) {
      if (mapping.id != pool.mapping) continue;
      there = true;
      for (const auto& [node, path] : mapping.entries)
        if (!nodes.count(node)) others.insert(node);
    }
    out.push_back({{"name", pool.mapping},
                   {"pool", pool.wish->name},
                   {"vgpu_type", pool.type.name},
                   {"mdev", pool.type.kind == PoolType::Kind::vgpu},
                   {"action", !there    ? "create"
                              : differs ? "change"
                                        : "keep"},
                   {"entries", std::move(entries)},
                   {"unknown_nodes", others}});
  }
  return out;
}

json overlaps_json(const PoolPlan& plan) {
  json out = json::array();
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    const PoolFacts* pool = pool_of(plan, i);
    if (!pool) continue;
    const GpuPlace& gpu = plan.documents.gpus[i];
    for (const std::string& mapping : gpu.mappings) {
      if (pool->mapped && mapping == pool->mapping) continue;
      out.push_back({{"mapping", mapping}, {"node", plan.documents.nodes[gpu.node]}, {"address", gpu.address}, {"pool", pool->wish->name}});
    }
  }
  return out;
}

json left_json(const PoolPlan& plan) {
  struct Left {
    std::int64_t gpus = 0;
    std::set<std::size_t> nodes;
  };
  std::map<std::string, Left> models;
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    if (pool_of(plan, i)) continue;
    Left& left = models[plan.documents.kinds[plan.documents.gpus[i].kind].model];
    ++left.gpus;
    left.nodes.insert(plan.documents.gpus[i].node);
  }
  json out = json::array();
  for (const auto& [model, left] : models) out.push_back({{"model", model}, {"gpus", left.gpus}, {"nodes", left.nodes.size()}});
  return out;
}

json licences_json(const PoolPlan& plan) {
  std::map<std::string, std::int64_t> counts;
  for (std::size_t p = 0; p < plan.pools.size(); ++p)
    if (!plan.pools[p].type.licence.empty() && plan.pools[p].seats > 0)
      counts[plan.pools[p].type.licence] += std::min(plan.problem.pools[p].desktops, plan.pools[p].seats);
  json out = json::array();
  for (const auto& [licence, desktops] : counts) out.push_back({{"licence", licence}, {"desktops", desktops}});
  return out;
}

json quality_json(const PoolPlan& plan) {
  const Score &score = plan.solution.score, &bound = plan.solution.bound;
  std::int64_t desktops = 0;
  for (const Demand& demand : plan.problem.pools) desktops += demand.desktops;
  // What comes after the first difference compares plans of different worth: it says nothing.
  const std::int64_t by_placed = bound.placed - score.placed;
  const std::int64_t by_spare = by_placed == 0 ? score.unspared - bound.unspared : 0;
  const std::int64_t by_used = by_placed == 0 && by_spare == 0 ? score.used - bound.used : 0;
  const std::int64_t by_kept = by_placed == 0 && by_spare == 0 && by_used == 0 ? bound.kept - score.kept : 0;
  return {{"desktops", desktops},
          {"placed", score.placed},
          {"missing_spare_seats", score.unspared},
          {"gpus_used", score.used},
          {"gpus_changed", score.used - score.kept},
          {"best", plan.solution.exact},
          {"at_most_better_by", {{"desktops", by_placed}, {"spare_seats", by_spare}, {"gpus_used", by_used}, {"gpus_changed", by_kept}}}};
}

}  // namespace pvegpu::pools
