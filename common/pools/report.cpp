// SPDX-License-Identifier: MIT
// The plan as data.
#include "common/pools/report.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace pvegpu::pools {
namespace {

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

std::vector<GpuAnswer> gpus(const PoolPlan& plan) {
  std::vector<GpuAnswer> out;
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    const GpuPlace& gpu = plan.documents.gpus[i];
    const GpuKind& kind = plan.documents.kinds[gpu.kind];
    const PoolFacts* pool = pool_of(plan, i);
    const int now = plan.problem.cards[i].current;
    GpuAnswer told{plan.documents.nodes[gpu.node], gpu.address, kind.model};
    if (pool) {
      const GpuAbility& ability = pool->abilities[gpu.kind];
      told.pool = pool->wish->name;
      told.vgpu_type = pool->type.name;
      told.seats = ability.seats;
      if (pool->mapped) told.mapping = pool->mapping;
      told.missing = kind.technology(ability.way).missing;
    }
    if (now != nobody) told.before = plan.pools[static_cast<std::size_t>(now)].wish->name;
    told.change = change_of(plan, i);
    told.running = gpu.running;
    out.push_back(std::move(told));
  }
  return out;
}

std::vector<PoolAnswer> pools(const PoolPlan& plan, const Rules& rules) {
  std::vector<PoolAnswer> out;
  for (std::size_t p = 0; p < plan.pools.size(); ++p) {
    const PoolFacts& pool = plan.pools[p];
    std::set<std::string> models;
    for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i)
      if (plan.solution.assignment[i] == static_cast<int>(p)) models.insert(plan.documents.kinds[plan.documents.gpus[i].kind].model);
    const std::int64_t desktops = plan.problem.pools[p].desktops;
    PoolAnswer told{pool.wish->name,
                    pool.type.name,
                    std::move(models),
                    desktops,
                    std::min(desktops, pool.seats),
                    pool.seats,
                    std::max<std::int64_t>(0, pool.seats - desktops)};
    if (plan.problem.pools[p].spare_nodes > 0) told.surviving_seats = pool.surviving;
    told.gpus = pool.gpus;
    told.nodes = std::count_if(pool.seats_on.begin(), pool.seats_on.end(), [](std::int64_t seats) { return seats > 0; });
    if (pool.mapped) told.mapping = pool.mapping;
    told.licence = pool.type.licence;
    told.fits = fits(plan, p);
    told.reasons = reasons_of(plan, p);
    told.nearest = nearest_of(plan, p, rules);
    out.push_back(std::move(told));
  }
  return out;
}

std::vector<MappingAnswer> mappings(const PoolPlan& plan, const std::vector<TodaysMapping>& today) {
  const std::set<std::string> nodes(plan.documents.nodes.begin(), plan.documents.nodes.end());
  std::vector<MappingAnswer> out;
  for (std::size_t p = 0; p < plan.pools.size(); ++p) {
    const PoolFacts& pool = plan.pools[p];
    if (!pool.mapped) continue;
    std::vector<EntryAnswer> entries;
    bool there = false, differs = false;
    for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
      const GpuPlace& gpu = plan.documents.gpus[i];
      const bool has = std::find(gpu.mappings.begin(), gpu.mappings.end(), pool.mapping) != gpu.mappings.end();
      const bool wanted = plan.solution.assignment[i] == static_cast<int>(p);
      there = there || has;
      differs = differs || has != wanted;
      if (!wanted) continue;
      const GpuAbility& ability = pool.abilities[gpu.kind];
      entries.push_back({plan.documents.nodes[gpu.node], gpu.address, on_vfs(ability.way) ? "vfs" : "card", ability.seats});
    }
    std::set<std::string> others;  // nodes of today's mapping that no document is of
    for (const TodaysMapping& mapping : today) {
      if (mapping.id != pool.mapping) continue;
      there = true;
      for (const auto& [node, path] : mapping.entries)
        if (!nodes.count(node)) others.insert(node);
    }
    const char* action = !there ? "create" : differs ? "change" : "keep";
    out.push_back({pool.mapping, pool.wish->name, pool.type.name, pool.type.kind == PoolType::Kind::vgpu, action, std::move(entries),
                   std::move(others)});
  }
  return out;
}

/// GPUs of the plan that today's mappings of other names hold too.
std::vector<OverlapAnswer> overlaps(const PoolPlan& plan) {
  std::vector<OverlapAnswer> out;
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    const PoolFacts* pool = pool_of(plan, i);
    if (!pool) continue;
    const GpuPlace& gpu = plan.documents.gpus[i];
    for (const std::string& mapping : gpu.mappings) {
      if (pool->mapped && mapping == pool->mapping) continue;
      out.push_back({mapping, plan.documents.nodes[gpu.node], gpu.address, pool->wish->name});
    }
  }
  return out;
}

std::vector<LeftAnswer> left(const PoolPlan& plan) {
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
  std::vector<LeftAnswer> out;
  for (const auto& [model, left] : models) out.push_back({model, left.gpus, static_cast<std::int64_t>(left.nodes.size())});
  return out;
}

std::vector<LicenceAnswer> licences(const PoolPlan& plan) {
  std::map<std::string, std::int64_t> counts;
  for (std::size_t p = 0; p < plan.pools.size(); ++p)
    if (!plan.pools[p].type.licence.empty() && plan.pools[p].seats > 0)
      counts[plan.pools[p].type.licence] += std::min(plan.problem.pools[p].desktops, plan.pools[p].seats);
  std::vector<LicenceAnswer> out;
  for (const auto& [licence, desktops] : counts) out.push_back({licence, desktops});
  return out;
}

QualityAnswer quality(const PoolPlan& plan) {
  const Score &score = plan.solution.score, &bound = plan.solution.bound;
  std::int64_t desktops = 0;
  for (const Demand& demand : plan.problem.pools) desktops += demand.desktops;
  // What comes after the first difference compares plans of different worth: it says nothing.
  const std::int64_t by_placed = bound.placed - score.placed;
  const std::int64_t by_spare = by_placed == 0 ? score.unspared - bound.unspared : 0;
  const std::int64_t by_used = by_placed == 0 && by_spare == 0 ? score.used - bound.used : 0;
  const std::int64_t by_kept = by_placed == 0 && by_spare == 0 && by_used == 0 ? bound.kept - score.kept : 0;
  return {desktops,
          score.placed,
          score.unspared,
          score.used,
          score.used - score.kept,
          plan.solution.exact,
          {by_placed, by_spare, by_used, by_kept}};
}

}  // namespace

Answer tell(const PoolPlan& plan, const Rules& rules, const std::vector<TodaysMapping>& today) {
  Answer out{true,           pools(plan, rules), gpus(plan), mappings(plan, today), overlaps(plan), left(plan),
             licences(plan), quality(plan),      plan.notes};
  for (const PoolAnswer& pool : out.pools) out.fits = out.fits && pool.fits;
  return out;
}

}  // namespace pvegpu::pools
