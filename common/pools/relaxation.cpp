// SPDX-License-Identifier: MIT
// The bound. For each pool a function of the number of its cards that is never below the truth and concave; then the cheapest flow from
// cards to pools is the best plan by these functions.
#include "common/pools/relaxation.hpp"

#include "common/pools/flow.hpp"

#include <algorithm>
#include <functional>

namespace pvegpu::pools {
namespace {

constexpr std::int64_t desktop = std::int64_t{1} << 30;  ///< worth of a desktop, in missing spare seats: more than there can be
constexpr std::int64_t fine = 1024;                      ///< slopes of the concave hull are fractions
constexpr std::int64_t one_card = std::int64_t{1} << 20;

__extension__ using Wide = __int128;

struct Supply {
  std::vector<std::int64_t> seats;               ///< of each card that can serve the pool, the largest first
  std::vector<std::vector<std::int64_t>> nodes;  ///< the same by node
};

std::vector<Supply> supplies_of(const Problem& problem) {
  std::vector<std::vector<std::pair<std::size_t, std::int64_t>>> flat(problem.pools.size());
  for (const Card& card : problem.cards)
    for (const auto& [pool, seats] : problem.abilities[card.ability]) flat[pool].emplace_back(card.node, seats);
  std::vector<Supply> out(problem.pools.size());
  for (std::size_t p = 0; p < out.size(); ++p) {
    std::sort(flat[p].begin(), flat[p].end(),
              [](const auto& a, const auto& b) { return a.first != b.first ? a.first < b.first : a.second > b.second; });
    for (std::size_t i = 0; i < flat[p].size(); ++i) {
      if (i == 0 || flat[p][i].first != flat[p][i - 1].first) out[p].nodes.emplace_back();
      out[p].nodes.back().push_back(flat[p][i].second);
      out[p].seats.push_back(flat[p][i].second);
    }
    std::sort(out[p].seats.begin(), out[p].seats.end(), std::greater<>());
  }
  return out;
}

std::vector<std::int64_t> sums(const std::vector<std::int64_t>& values) {
  std::vector<std::int64_t> out{0};
  for (const std::int64_t value : values) out.push_back(out.back() + value);
  return out;
}

/// With so many cards, how many at least are on the `failing` fullest nodes: when the nodes are filled evenly.
std::vector<std::int64_t> lost_cards(const Supply& supply, std::int64_t failing) {
  std::vector<std::int64_t> out{0};
  std::int64_t below = 0;
  for (std::size_t level = 1; out.size() <= supply.seats.size(); ++level) {
    const auto wide = std::count_if(supply.nodes.begin(), supply.nodes.end(), [&](const auto& node) { return node.size() >= level; });
    for (std::int64_t i = 1; i <= wide; ++i) out.push_back(below + std::min(failing, i));
    below += std::min<std::int64_t>(failing, wide);
  }
  return out;
}

/// With so many cards, how many of the seats that nodes want each are there at most.
std::vector<std::int64_t> covered(const Supply& supply, std::int64_t per_node) {
  std::vector<std::int64_t> gains;
  for (const auto& node : supply.nodes) {
    std::int64_t there = 0;
    for (const std::int64_t seats : node) {
      const std::int64_t gain = std::min(seats, per_node - there);
      gains.push_back(gain);
      there += gain;
    }
  }
  std::sort(gains.begin(), gains.end(), std::greater<>());
  return sums(gains);
}

/// Worth of 0, 1, 2 … cards, up to where more cards are worth nothing.
std::vector<std::int64_t> worths(const Demand& demand, const Supply& supply) {
  const std::size_t cards = supply.seats.size();
  const std::vector<std::int64_t> seats = sums(supply.seats);
  std::vector<std::int64_t> lost, cover;
  if (demand.spare_nodes > 0) lost = lost_cards(supply, demand.spare_nodes);
  if (demand.per_node > 0) cover = covered(supply, demand.per_node);
  std::vector<std::int64_t> out;
  for (std::size_t x = 0; x <= cards; ++x) {
    std::int64_t unspared = demand.spare - std::clamp<std::int64_t>(seats[x] - demand.desktops, 0, demand.spare);
    if (!lost.empty()) unspared += demand.desktops - std::min(demand.desktops, seats[x - static_cast<std::size_t>(lost[x])]);
    if (!cover.empty()) unspared += demand.per_node * static_cast<std::int64_t>(supply.nodes.size()) - cover[x];
    out.push_back(std::min(demand.desktops, seats[x]) * desktop - unspared);
  }
  while (out.size() > 1 && out[out.size() - 2] == out.back()) out.pop_back();
  return out;
}

/// What each next card adds at most: the steps of the upper concave hull, in parts of 1/`fine`, the largest first.
std::vector<std::int64_t> steps_of_hull(const std::vector<std::int64_t>& worth) {
  std::vector<std::size_t> hull;
  for (std::size_t x = 0; x < worth.size(); ++x) {
    const auto slope_grows = [&](std::size_t a, std::size_t b, std::size_t c) {
      const auto times = [](std::int64_t rise, std::size_t run) { return static_cast<Wide>(rise) * static_cast<Wide>(run); };
      return times(worth[b] - worth[a], c - b) <= times(worth[c] - worth[b], b - a);
    };
    while (hull.size() > 1 && slope_grows(hull[hull.size() - 2], hull.back(), x)) hull.pop_back();
    hull.push_back(x);
  }
  std::vector<std::int64_t> out;
  for (std::size_t i = 1; i < hull.size(); ++i) {
    const auto run = static_cast<std::int64_t>(hull[i] - hull[i - 1]);
    const std::int64_t rise = (worth[hull[i]] - worth[hull[i - 1]]) * fine;
    for (std::int64_t j = 0; j < run; ++j) out.push_back(rise / run + (j < rise % run ? 1 : 0));
  }
  std::sort(out.begin(), out.end(), std::greater<>());
  return out;
}

/// So many cards at least have so many seats together.
std::int64_t least_cards(const Problem& problem, std::int64_t seats) {
  std::vector<std::int64_t> most;
  for (const Card& card : problem.cards) {
    most.push_back(0);
    for (const auto& [pool, count] : problem.abilities[card.ability]) most.back() = std::max(most.back(), count);
  }
  std::sort(most.begin(), most.end(), std::greater<>());
  std::int64_t out = 0;
  for (std::size_t i = 0; i < most.size() && seats > 0; ++i, ++out) seats -= most[i];
  return out;
}

}  // namespace

Relaxation relax(const Problem& problem) {
  const std::size_t pools = problem.pools.size(), abilities = problem.abilities.size();
  // Places: source, sink, pools, abilities, then a cell for each ability and the pool that its cards serve today (or none).
  constexpr std::size_t source = 0, sink = 1, first_pool = 2;
  const std::size_t first_ability = first_pool + pools, first_cell = first_ability + abilities;
  std::vector<std::vector<std::int64_t>> cells(abilities, std::vector<std::int64_t>(pools + 1, 0));
  for (const Card& card : problem.cards) ++cells[card.ability][card.current == nobody ? pools : static_cast<std::size_t>(card.current)];
  Network network(first_cell + abilities * (pools + 1));

  struct Keep {
    std::size_t ability, pool, arc;
  };
  std::vector<Keep> keeps, takes;
  for (std::size_t a = 0; a < abilities; ++a) {
    std::int64_t all = 0;
    for (std::size_t c = 0; c <= pools; ++c) {
      if (cells[a][c] == 0) continue;
      all += cells[a][c];
      const std::size_t cell = first_cell + a * (pools + 1) + c;
      network.arc(source, cell, cells[a][c], {});
      network.arc(cell, first_ability + a, cells[a][c], {});
      const bool able = std::any_of(problem.abilities[a].begin(), problem.abilities[a].end(), [&](const auto& e) { return e.first == c; });
      if (able) keeps.push_back({a, c, network.arc(cell, first_pool + c, cells[a][c], {0, -1})});
    }
    for (const auto& [pool, seats] : problem.abilities[a])
      takes.push_back({a, pool, network.arc(first_ability + a, first_pool + pool, all, {})});
  }
  struct Rung {
    std::size_t arc;
    std::int64_t worth;
  };
  std::vector<Rung> rungs;
  std::int64_t total = 0;
  const std::vector<Supply> supplies = supplies_of(problem);
  for (std::size_t p = 0; p < pools; ++p) {
    const std::vector<std::int64_t> worth = worths(problem.pools[p], supplies[p]);
    total += worth[0] * fine;
    const std::vector<std::int64_t> steps = steps_of_hull(worth);
    for (std::size_t i = 0; i < steps.size();) {
      const auto same = static_cast<std::size_t>(std::count(steps.begin() + static_cast<std::ptrdiff_t>(i), steps.end(), steps[i]));
      rungs.push_back({network.arc(first_pool + p, sink, static_cast<std::int64_t>(same), {-steps[i], one_card}), steps[i]});
      i += same;
    }
  }
  network.run(source, sink);

  Relaxation out;
  out.counts.assign(abilities, std::vector<Relaxation::Counts>(pools));
  for (const Keep& each : keeps) out.bound.kept += out.counts[each.ability][each.pool].kept = network.flow(each.arc);
  for (const Keep& each : takes) out.counts[each.ability][each.pool].taken = network.flow(each.arc);
  for (const Rung& rung : rungs) {
    total += network.flow(rung.arc) * rung.worth;
    out.bound.used += network.flow(rung.arc);
  }
  // total = fine * (placed * desktop - unspared), rounded down to what whole seats can be
  const std::int64_t whole = total >= 0 ? total / fine : -((-total + fine - 1) / fine);
  out.bound.placed = whole > 0 ? (whole + desktop - 1) / desktop : 0;
  out.bound.unspared = out.bound.placed * desktop - whole;
  // Between whole seats the flow may have used more cards than a plan needs that has the whole ones.
  if (total != whole * fine) out.bound.used = out.bound.kept = least_cards(problem, out.bound.placed);
  return out;
}

}  // namespace pvegpu::pools
