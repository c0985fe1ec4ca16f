// SPDX-License-Identifier: MIT
// Parts, and for each the cheapest way that is sure.
#include "common/pools/solve.hpp"

#include "common/pools/placement.hpp"
#include "common/pools/search.hpp"

#include <algorithm>
#include <numeric>

namespace pvegpu::pools {
namespace {

constexpr std::int64_t partial_plans = 3'000'000;  ///< that a search looks at, for all parts together: about a second
constexpr std::size_t small_part = 40;             ///< cards

/// Pools and cards that depend on each other, numbered anew.
struct Part {
  Problem problem;
  std::vector<std::size_t> pools, cards;  ///< their numbers in the whole
};

std::vector<Part> parts_of(const Problem& problem) {
  const std::size_t pools = problem.pools.size();
  std::vector<std::size_t> leader(pools + problem.abilities.size());
  std::iota(leader.begin(), leader.end(), std::size_t{0});
  const auto find = [&](std::size_t at) {
    while (leader[at] != at) at = leader[at] = leader[leader[at]];
    return at;
  };
  for (std::size_t a = 0; a < problem.abilities.size(); ++a)
    for (const auto& [pool, seats] : problem.abilities[a]) leader[find(pools + a)] = find(pool);
  std::vector<Part> out;
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::vector<std::size_t> part_of(leader.size(), none), new_pool(pools), new_ability(problem.abilities.size(), none);
  for (std::size_t p = 0; p < pools; ++p) {
    std::size_t& part = part_of[find(p)];
    if (part == none) {
      part = out.size();
      out.emplace_back();
    }
    new_pool[p] = out[part].pools.size();
    out[part].pools.push_back(p);
    out[part].problem.pools.push_back(problem.pools[p]);
  }
  std::vector<std::vector<std::size_t>> new_node(out.size(), std::vector<std::size_t>(problem.nodes, none));
  for (std::size_t i = 0; i < problem.cards.size(); ++i) {
    const Card& card = problem.cards[i];
    const std::size_t which = part_of[find(pools + card.ability)];
    if (which == none) continue;  // it can serve no pool
    Part& part = out[which];
    if (new_ability[card.ability] == none) {
      new_ability[card.ability] = part.problem.abilities.size();
      Ability ability = problem.abilities[card.ability];
      for (auto& [pool, seats] : ability) pool = new_pool[pool];
      part.problem.abilities.push_back(std::move(ability));
    }
    std::size_t& node = new_node[which][card.node];
    if (node == none) node = part.problem.nodes++;
    const bool known = card.current != nobody && part_of[find(static_cast<std::size_t>(card.current))] == which;
    const int current = known ? static_cast<int>(new_pool[static_cast<std::size_t>(card.current)]) : nobody;
    part.problem.cards.push_back({node, new_ability[card.ability], current});
    part.cards.push_back(i);
  }
  return out;
}

struct PartSolution {
  Assignment assignment;
  Score score, bound;
};

PartSolution solve_part(const Problem& problem, Strategy strategy, std::int64_t& effort) {
  const Relaxation relaxation = relax(problem);
  PartSolution out{place(problem, relaxation, strategy, First::keep), {}, relaxation.bound};
  out.score = score_of(problem, out.assignment);
  const auto consider = [&](Assignment other) {
    const Score score = score_of(problem, other);
    if (!score.better_than(out.score)) return;
    out.score = score;
    out.assignment = std::move(other);
  };
  if (out.score == out.bound) return out;
  consider(place(problem, relaxation, strategy, First::balance));
  if (out.score == out.bound) return out;
  for (const First first : {First::keep, First::balance}) {
    Assignment improved = place(problem, relaxation, strategy, first);
    improve(problem, improved);
    consider(std::move(improved));
    if (out.score == out.bound) return out;
  }
  if (problem.cards.size() <= small_part && search(problem, out.bound, out.assignment, out.score, effort)) out.bound = out.score;
  return out;
}

}  // namespace

Solution solve(const Problem& problem, Strategy strategy) {
  Solution out;
  out.assignment.assign(problem.cards.size(), nobody);
  std::int64_t effort = partial_plans;
  for (const Part& part : parts_of(problem)) {
    const PartSolution solution = solve_part(part.problem, strategy, effort);
    for (std::size_t i = 0; i < part.cards.size(); ++i)
      if (const int pool = solution.assignment[i]; pool != nobody)
        out.assignment[part.cards[i]] = static_cast<int>(part.pools[static_cast<std::size_t>(pool)]);
    out.score += solution.score;
    out.bound += solution.bound;
  }
  out.exact = out.score == out.bound;
  out.looked_at = partial_plans - effort;
  return out;
}

}  // namespace pvegpu::pools
