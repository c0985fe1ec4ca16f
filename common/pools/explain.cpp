// SPDX-License-Identifier: MIT
// Why a pool does not fit, and what would.
#include "common/catalogue/catalogue.hpp"
#include "common/pools/plan.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace pvegpu::pools {
namespace {

std::string counted(std::int64_t n, const std::string& what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

std::string gpus_of(std::int64_t n, const std::string& model) { return fmt::format("{} of model {}", counted(n, "GPU"), model); }

struct Capable {
  std::int64_t gpus = 0, free = 0, ours = 0;
  std::int64_t seats = 0;
  std::map<std::size_t, std::int64_t> others;  ///< by pool
};

Capable capable_of(const PoolPlan& plan, std::size_t pool) {
  Capable out;
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    const std::int64_t seats = plan.pools[pool].abilities[plan.documents.gpus[i].kind].seats;
    if (seats == 0) continue;
    ++out.gpus;
    out.seats += seats;
    const int serves = plan.solution.assignment[i];
    if (serves == nobody)
      ++out.free;
    else if (serves == static_cast<int>(pool))
      ++out.ours;
    else
      ++out.others[static_cast<std::size_t>(serves)];
  }
  return out;
}

/// GPUs by kind of document, all and those that are free or the pool's own.
std::vector<std::pair<std::int64_t, std::int64_t>> by_kind(const PoolPlan& plan, std::size_t pool) {
  std::vector<std::pair<std::int64_t, std::int64_t>> out(plan.documents.kinds.size());
  for (std::size_t i = 0; i < plan.documents.gpus.size(); ++i) {
    auto& [all, ours] = out[plan.documents.gpus[i].kind];
    ++all;
    const int serves = plan.solution.assignment[i];
    if (serves == nobody || serves == static_cast<int>(pool)) ++ours;
  }
  return out;
}

/// Of the right cards: those that serve it and those that don't, with the cause.
void tell_cards(const PoolPlan& plan, std::size_t pool, std::vector<std::string>& out) {
  const PoolFacts& facts = plan.pools[pool];
  const auto counts = by_kind(plan, pool);
  std::map<std::tuple<std::string, std::int64_t, std::string>, std::int64_t> able;
  std::map<std::pair<std::string, std::string>, std::int64_t> unable;
  for (std::size_t k = 0; k < plan.documents.kinds.size(); ++k) {
    const GpuAbility& ability = facts.abilities[k];
    const std::string& model = plan.documents.kinds[k].model;
    if (ability.seats > 0) able[{model, ability.seats, ability.counted}] += counts[k].first;
    if (!ability.obstacle.empty()) unable[{model, ability.obstacle}] += counts[k].first;
  }
  for (const auto& [what, n] : able) {
    const auto& [model, seats, why] = what;
    out.push_back(fmt::format("{} can serve it, {} each ({}): {} in all", gpus_of(n, model), counted(seats, "seat"), why, n * seats));
  }
  for (const auto& [what, n] : unable) out.push_back(fmt::format("{} can't: {}", gpus_of(n, what.first), what.second));
  if (!able.empty() || !unable.empty()) return;
  const std::string there = plan.documents.gpus.empty() ? "there is no GPU" : "there are " + models_of(plan.documents);
  if (!facts.wish->model.empty()) {
    const bool some = std::any_of(plan.documents.kinds.begin(), plan.documents.kinds.end(),
                                  [&](const GpuKind& kind) { return kind.model == facts.wish->model; });
    out.push_back(some ? fmt::format("{} is no type of the model {} that it asks for", facts.type.name, facts.wish->model)
                       : fmt::format("no GPU is of the model {} that it asks for: {}", facts.wish->model, there));
    return;
  }
  if (const auto type = catalogue::find_type(facts.type.name))
    out.push_back(fmt::format("{} is a type of the board {}: {}", facts.type.name, type->board, there));
  else
    out.push_back(fmt::format("no GPU can give {}: {}", facts.type.name, there));
}

/// The nodes whose loss takes most, the largest first.
std::vector<std::size_t> fullest_nodes(const PoolFacts& facts, std::int64_t count) {
  std::vector<std::size_t> out;
  for (std::size_t n = 0; n < facts.seats_on.size(); ++n)
    if (facts.seats_on[n] > 0) out.push_back(n);
  std::stable_sort(out.begin(), out.end(), [&](std::size_t a, std::size_t b) { return facts.seats_on[a] > facts.seats_on[b]; });
  if (out.size() > static_cast<std::size_t>(count)) out.resize(static_cast<std::size_t>(count));
  return out;
}

}  // namespace

std::string models_of(const Documents& documents) {
  std::map<std::string, std::int64_t> counts;
  for (const GpuPlace& gpu : documents.gpus) ++counts[documents.kinds[gpu.kind].model];
  std::vector<std::string> words;
  for (const auto& [model, n] : counts) words.push_back(fmt::format("{} \xc3\x97 {}", n, model));
  return fmt::format("{}", fmt::join(words, ", "));
}

std::vector<std::string> reasons_of(const PoolPlan& plan, std::size_t pool) {
  std::vector<std::string> out;
  if (fits(plan, pool)) return out;
  const PoolFacts& facts = plan.pools[pool];
  const Demand& demand = plan.problem.pools[pool];
  const Capable capable = capable_of(plan, pool);
  tell_cards(plan, pool, out);
  if (!capable.others.empty()) {
    std::vector<std::string> others;
    std::int64_t n = 0;
    for (const auto& [other, gpus] : capable.others) {
      others.push_back(fmt::format("{} {} ({})", gpus, plan.pools[other].wish->name, plan.pools[other].type.name));
      n += gpus;
    }
    out.push_back(
        fmt::format("of these, {} serve other pools: {}; a GPU serves one pool and has one vGPU size", n, fmt::join(others, ", ")));
  }
  if (facts.seats < demand.desktops)
    out.push_back(fmt::format("{} for {}", counted(facts.seats, "seat"), counted(demand.desktops, "desktop")));
  else if (facts.seats < demand.desktops + demand.spare)
    out.push_back(fmt::format("{} for {} and {}", counted(facts.seats, "seat"), counted(demand.desktops, "desktop"),
                              counted(demand.spare, "spare seat")));
  if (demand.spare_nodes > 0 && facts.surviving < demand.desktops && facts.seats > 0) {
    std::vector<std::string> names;
    for (const std::size_t n : fullest_nodes(facts, demand.spare_nodes)) names.push_back(plan.documents.nodes[n]);
    out.push_back(fmt::format("when {} fail{}, {} are left for {}", fmt::join(names, " and "), names.size() == 1 ? "s" : "",
                              counted(facts.surviving, "seat"), counted(demand.desktops, "desktop")));
  }
  if (demand.per_node > 0) {
    std::vector<char> node(plan.documents.nodes.size(), 0);
    for (const Card& card : plan.problem.cards)
      if (plan.problem.seats(card, pool) > 0 && facts.seats_on[card.node] < demand.per_node) node[card.node] = 1;
    std::vector<std::string> short_of;
    for (std::size_t n = 0; n < node.size(); ++n)
      if (node[n]) short_of.push_back(fmt::format("{} has {}", plan.documents.nodes[n], facts.seats_on[n]));
    const std::size_t more = short_of.size() > 5 ? short_of.size() - 5 : 0;
    if (more > 0) short_of.resize(5);
    if (!short_of.empty())
      out.push_back(fmt::format("each node shall have {}: {}{}", counted(demand.per_node, "seat"), fmt::join(short_of, ", "),
                                more > 0 ? fmt::format(" and {} more have too few", more) : ""));
  }
  return out;
}

std::vector<std::string> nearest_of(const PoolPlan& plan, std::size_t pool, const Rules& rules) {
  std::vector<std::string> out;
  if (fits(plan, pool)) return out;
  const PoolFacts& facts = plan.pools[pool];
  const Demand& demand = plan.problem.pools[pool];
  const std::int64_t placed = std::min(facts.seats, demand.desktops);
  if (placed == 0)
    out.emplace_back("without this pool the rest of the plan stands");
  else if (placed < demand.desktops)
    out.push_back(fmt::format("{} in place of {}", counted(placed, "desktop"), demand.desktops));
  else if (facts.seats < demand.desktops + demand.spare)
    out.push_back(fmt::format("{} in place of {}", counted(facts.seats - demand.desktops, "spare seat"), demand.spare));
  if (demand.spare_nodes > 0 && facts.surviving < demand.desktops) {
    if (facts.surviving > 0)
      out.push_back(fmt::format("{}, which all have a seat when {} fail{}", counted(facts.surviving, "desktop"),
                                counted(demand.spare_nodes, "node"), demand.spare_nodes == 1 ? "s" : ""));
    if (placed == demand.desktops) out.emplace_back("all desktops, but no node may fail");
  }
  if (demand.per_node > 0 && facts.seats >= demand.desktops + demand.spare && facts.surviving >= demand.desktops)
    out.emplace_back("all desktops, without a minimum on each node");

  // More of the card that gives most.
  std::size_t best = facts.abilities.size();
  for (std::size_t k = 0; k < facts.abilities.size(); ++k)
    if (facts.abilities[k].seats > 0 && (best == facts.abilities.size() || facts.abilities[k].seats > facts.abilities[best].seats))
      best = k;
  if (best == facts.abilities.size()) return out;
  const std::int64_t each = facts.abilities[best].seats;
  const std::int64_t missing = demand.desktops + demand.spare - facts.seats;
  if (missing > 0)
    out.push_back(
        fmt::format("{} more, {} each", gpus_of((missing + each - 1) / each, plan.documents.kinds[best].model), counted(each, "seat")));

  // A smaller type on the GPUs that the pool has or could have.
  if (missing <= 0 || facts.type.kind != PoolType::Kind::vgpu) return out;
  const auto counts = by_kind(plan, pool);
  std::int64_t gpus = 0;
  for (std::size_t k = 0; k < counts.size(); ++k)
    if (facts.abilities[k].seats > 0) gpus += counts[k].second;
  if (gpus == 0) return out;
  const AbilityRules ability{facts.wish->model, rules.only_ready};
  const std::int64_t wanted = (demand.desktops + demand.spare + gpus - 1) / gpus;
  const std::string type = smaller_type(plan.documents.kinds[best], facts.type, ability, wanted);
  if (type.empty()) return out;
  std::int64_t seats = 0;
  for (std::size_t k = 0; k < counts.size(); ++k)
    if (facts.abilities[k].seats > 0)
      seats += counts[k].second * judge_ability(plan.documents.kinds[k], {PoolType::Kind::vgpu, type, ""}, ability).seats;
  if (seats >= demand.desktops + demand.spare)
    out.push_back(fmt::format("{} in place of {}: {} on {}", type, facts.type.name, counted(seats, "seat"), counted(gpus, "GPU")));
  return out;
}

}  // namespace pvegpu::pools
