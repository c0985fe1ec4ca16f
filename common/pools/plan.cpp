// SPDX-License-Identifier: MIT
// Wishes and GPUs as a problem, and its solution as pools.
#include "common/pools/plan.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace pvegpu::pools {
namespace {

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// pve-configid: a letter, then at least one letter, digit, - or _ (PVE::JSONSchema).
bool is_config_id(const std::string& name) {
  return name.size() >= 2 && is_letter(name[0]) && std::all_of(name.begin(), name.end(), [](char c) {
           return is_letter(c) || std::isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '_';
         });
}

std::string config_id_of(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool fine = is_config_id(std::string("a") + c);
    if (fine)
      out += c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  if (out.empty() || !is_letter(out[0])) out.insert(0, "pool-");
  if (out.size() < 2) out.insert(0, "pool-");
  return out;
}

void check(const Wish& wish) {
  const auto need = [&](bool right, const char* what) {
    if (!right) throw ModuleError(fmt::format("pool '{}': {}", wish.name, what));
  };
  need(!wish.name.empty(), "it has no name; give it one");
  need(wish.desktops >= 1 && wish.desktops <= 1'000'000, "'desktops' is not between 1 and 1000000");
  need(wish.minimum_per_node >= 0 && wish.minimum_per_node <= 1000, "'minimum_per_node' is not between 0 and 1000");
  need(wish.spare_percent >= 0 && wish.spare_percent <= 100, "'spare_percent' is not between 0 and 100");
  need(wish.spare_nodes >= 0 && wish.spare_nodes <= 100, "'spare_nodes' is not between 0 and 100");
  need(wish.mapping.empty() || is_config_id(wish.mapping),
       "the name of its mapping is none for Proxmox VE: a letter, then letters, digits, - or _, two characters at least");
}

/// The types that pools could have on each model.
std::map<std::string, std::map<std::string, std::vector<std::size_t>>> types_by_model(const Documents& documents,
                                                                                      const std::vector<PoolFacts>& pools) {
  std::map<std::string, std::map<std::string, std::vector<std::size_t>>> out;
  for (std::size_t p = 0; p < pools.size(); ++p) {
    std::set<std::string> seen;
    for (std::size_t k = 0; k < documents.kinds.size(); ++k)
      if (pools[p].abilities[k].seats > 0 && seen.insert(documents.kinds[k].model).second)
        out[documents.kinds[k].model][pools[p].type.name].push_back(p);
  }
  return out;
}

void refuse_without_mappings(const Documents& documents, const std::vector<PoolFacts>& pools) {
  for (const auto& [model, types] : types_by_model(documents, pools)) {
    if (types.size() < 2) continue;
    std::vector<std::string> named;
    for (const auto& [type, which] : types)
      for (const std::size_t p : which) named.push_back(fmt::format("{} ({})", pools[p].wish->name, type));
    throw ModuleError(fmt::format(
        "{} want different types on one GPU model, {}, and no mapping keeps them apart: by type the broker takes any card of the "
        "model, a card has one vGPU size at a time, so the first desktop on a card decides for all others. Let mappings separate "
        "them (separate_by: mapping), or give each its own model",
        fmt::join(named, " and "), model));
  }
  for (const PoolFacts& pool : pools) {
    bool some = false, by_type = false;
    for (const GpuAbility& ability : pool.abilities) {
      some = some || ability.seats > 0;
      by_type = by_type || (ability.seats > 0 && ability.by_type);
    }
    if (some && !by_type)
      throw ModuleError(fmt::format("pool '{}' ({}) can't be assigned by type: {}. Let mappings separate the pools (separate_by: mapping)",
                                    pool.wish->name, pool.type.name,
                                    pool.type.kind == PoolType::Kind::passthrough
                                        ? "a whole card is assigned through a resource mapping only"
                                        : "its cards use vendor VFIO, where `mdevctl types` is rightly empty"));
  }
}

/// Proxmox VE 7 has no mappings: there a model of two types can't be kept apart.
void close_release_7(const Documents& documents, std::vector<PoolFacts>& pools) {
  const auto types = types_by_model(documents, pools);
  for (std::size_t k = 0; k < documents.kinds.size(); ++k) {
    const GpuKind& kind = documents.kinds[k];
    const auto model = types.find(kind.model);
    if (kind.pve_release == 0 || kind.pve_release >= 8 || model == types.end() || model->second.size() < 2) continue;
    for (PoolFacts& pool : pools)
      if (pool.abilities[k].seats > 0)
        pool.abilities[k] = {0, pool.abilities[k].way, "",
                             fmt::format("its node has Proxmox VE {}, without resource mappings, and pools want {} types on this model",
                                         kind.pve_release, model->second.size()),
                             false};
  }
}

Problem problem_of(const Documents& documents, const std::vector<PoolFacts>& pools, std::vector<std::string>& notes) {
  Problem out;
  out.nodes = documents.nodes.size();
  for (const PoolFacts& pool : pools)
    out.pools.push_back({pool.wish->desktops, (pool.wish->desktops * pool.wish->spare_percent + 99) / 100, pool.wish->spare_nodes,
                         pool.wish->minimum_per_node});
  std::map<Ability, std::size_t> known;
  std::vector<std::size_t> ability_of;
  for (std::size_t k = 0; k < documents.kinds.size(); ++k) {
    Ability ability;
    for (std::size_t p = 0; p < pools.size(); ++p)
      if (pools[p].abilities[k].seats > 0) ability.emplace_back(p, pools[p].abilities[k].seats);
    const auto [entry, is_new] = known.try_emplace(ability, out.abilities.size());
    if (is_new) out.abilities.push_back(std::move(ability));
    ability_of.push_back(entry->second);
  }
  std::map<std::string, int> by_mapping;
  for (std::size_t p = 0; p < pools.size(); ++p) by_mapping[pools[p].mapping] = static_cast<int>(p);
  for (const GpuPlace& gpu : documents.gpus) {
    Card card{gpu.node, ability_of[gpu.kind], nobody};
    for (const std::string& mapping : gpu.mappings) {
      const auto pool = by_mapping.find(mapping);
      if (pool == by_mapping.end()) continue;
      if (card.current == nobody)
        card.current = pool->second;
      else
        notes.push_back(fmt::format("{} of {} is in the mappings of two pools, {} and {}", gpu.address, documents.nodes[gpu.node],
                                    pools[static_cast<std::size_t>(card.current)].mapping, mapping));
    }
    out.cards.push_back(card);
  }
  return out;
}

}  // namespace

PoolPlan make_plan(const Documents& documents, const std::vector<Wish>& wishes, const Rules& rules) {
  PoolPlan out{documents, {}, {}, {}, {}};
  std::set<std::string> names;
  std::map<std::string, std::string> mappings;
  for (const Wish& wish : wishes) {
    check(wish);
    if (!names.insert(wish.name).second)
      throw ModuleError(fmt::format("two pools are called '{}'; give each a name of its own", wish.name));
    PoolFacts facts;
    facts.wish = &wish;
    facts.type = find_pool_type(wish.type, documents).or_fail(fmt::format("pool '{}'", wish.name));
    facts.mapping = wish.mapping.empty() ? config_id_of(wish.name) : wish.mapping;
    const auto [same, is_new] = mappings.try_emplace(facts.mapping, wish.name);
    if (!is_new)
      throw ModuleError(fmt::format("pools '{}' and '{}' would have the same mapping '{}'; give them different ones (mapping:)",
                                    same->second, wish.name, facts.mapping));
    for (const GpuKind& kind : documents.kinds) facts.abilities.push_back(judge_ability(kind, facts.type, {wish.model, rules.only_ready}));
    out.pools.push_back(std::move(facts));
  }
  if (rules.by_type) {
    for (PoolFacts& pool : out.pools)
      if (!pool.wish->mapping.empty())
        throw ModuleError(fmt::format("pool '{}' names the mapping '{}', but separate_by is type; leave one of them out", pool.wish->name,
                                      pool.wish->mapping));
    refuse_without_mappings(documents, out.pools);
    for (PoolFacts& pool : out.pools)
      for (GpuAbility& ability : pool.abilities)
        if (ability.seats > 0 && !ability.by_type)
          ability = {0, ability.way, "", "it uses vendor VFIO, which the broker does not find by type", false};
  } else {
    close_release_7(documents, out.pools);
  }
  out.problem = problem_of(documents, out.pools, out.notes);
  out.solution = solve(out.problem, rules.strategy);

  for (PoolFacts& pool : out.pools) pool.seats_on.assign(documents.nodes.size(), 0);
  std::vector<PoolSeats> seats = empty_pools(out.problem);
  std::map<std::string, std::set<std::string>> types_on;  // by model
  for (std::size_t i = 0; i < documents.gpus.size(); ++i) {
    if (out.solution.assignment[i] == nobody) continue;
    const auto p = static_cast<std::size_t>(out.solution.assignment[i]);
    PoolFacts& pool = out.pools[p];
    const GpuPlace& gpu = documents.gpus[i];
    const GpuAbility& ability = pool.abilities[gpu.kind];
    pool.seats += ability.seats;
    pool.seats_on[gpu.node] += ability.seats;
    ++pool.gpus;
    seats[p].add(gpu.node, ability.seats);
    types_on[documents.kinds[gpu.kind].model].insert(pool.type.name);
    if (!ability.by_type) pool.mapped = true;
  }
  for (std::size_t p = 0; p < out.pools.size(); ++p) out.pools[p].surviving = seats[p].surviving();
  for (std::size_t i = 0; i < documents.gpus.size(); ++i) {
    if (out.solution.assignment[i] == nobody) continue;
    PoolFacts& pool = out.pools[static_cast<std::size_t>(out.solution.assignment[i])];
    if (types_on[documents.kinds[documents.gpus[i].kind].model].size() > 1 || !pool.wish->mapping.empty()) pool.mapped = true;
  }
  return out;
}

bool fits(const PoolPlan& plan, std::size_t pool) {
  const Demand& demand = plan.problem.pools[pool];
  const PoolFacts& facts = plan.pools[pool];
  if (facts.seats < demand.desktops + demand.spare || (demand.spare_nodes > 0 && facts.surviving < demand.desktops)) return false;
  if (demand.per_node == 0) return true;
  for (std::size_t i = 0; i < plan.problem.cards.size(); ++i) {
    const Card& card = plan.problem.cards[i];
    if (plan.problem.seats(card, pool) > 0 && facts.seats_on[card.node] < demand.per_node) return false;
  }
  return true;
}

}  // namespace pvegpu::pools
