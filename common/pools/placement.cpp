// SPDX-License-Identifier: MIT
// Cards by node and strategy.
#include "common/pools/placement.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace pvegpu::pools {
namespace {

bool wants_nodes(const Demand& demand) { return demand.spare_nodes > 0 || demand.per_node > 0; }

class Placer {
 public:
  Placer(const Problem& problem, const Relaxation& relaxation, Strategy strategy, First first)
      : problem_(problem),
        relaxation_(relaxation),
        strategy_(strategy),
        first_(first),
        out_(problem.cards.size(), nobody),
        used_(problem.nodes, 0),
        seats_(problem.pools.size(), std::vector<std::int64_t>(problem.nodes, 0)),
        by_ability_(problem.abilities.size()) {
    for (std::size_t i = 0; i < problem.cards.size(); ++i) by_ability_[problem.cards[i].ability].push_back(i);
  }

  Assignment run() {
    // Pools that want nodes choose first, then keepers, then the others.
    std::vector<std::size_t> order(problem_.pools.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return wants_nodes(problem_.pools[a]) > wants_nodes(problem_.pools[b]); });
    if (first_ == First::keep)
      for (const std::size_t pool : order) keep(pool);
    for (const std::size_t pool : order) {
      const bool balanced = first_ == First::balance && wants_nodes(problem_.pools[pool]);
      if (first_ == First::balance && !balanced) continue;
      for (std::size_t a = 0; a < by_ability_.size(); ++a) {
        const auto& counts = relaxation_.counts[a][pool];
        pick(pool, a, balanced ? counts.kept + counts.taken : counts.taken, false);
      }
    }
    if (first_ == First::balance)
      for (const bool keeping : {true, false})
        for (const std::size_t pool : order)
          if (!wants_nodes(problem_.pools[pool]))
            for (std::size_t a = 0; a < by_ability_.size(); ++a) {
              const auto& counts = relaxation_.counts[a][pool];
              keeping ? pick(pool, a, counts.kept, true) : pick(pool, a, counts.taken + missed_[{a, pool}], false);
            }
    return std::move(out_);
  }

 private:
  void keep(std::size_t pool) {
    for (std::size_t a = 0; a < by_ability_.size(); ++a) pick(pool, a, relaxation_.counts[a][pool].kept, true);
  }

  /// Smaller is taken first. A node's first free card of a kind stands for all of them.
  std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t> rank(std::size_t pool, const Card& card) const {
    const std::int64_t there = seats_[pool][card.node], others = used_[card.node];
    const std::int64_t stays = card.current == static_cast<int>(pool) ? 0 : card.current == nobody ? 1 : 2;
    if (wants_nodes(problem_.pools[pool]))
      return {there, first_ == First::keep ? stays : others, first_ == First::keep ? others : stays, 0};
    if (strategy_ == Strategy::spread) return {stays, there, others, 0};
    return {stays, others > 0 ? 0 : 1, -others, -there};
  }

  void pick(std::size_t pool, std::size_t ability, std::int64_t count, bool only_keep) {
    // One queue for each node and present pool, so that a pick looks at nodes and not at cards.
    std::map<std::pair<std::size_t, int>, std::vector<std::size_t>> queues;
    if (count == 0) return;
    const auto& cards = by_ability_[ability];
    for (auto i = cards.rbegin(); i != cards.rend(); ++i) {
      const Card& card = problem_.cards[*i];
      if (out_[*i] == nobody && (!only_keep || card.current == static_cast<int>(pool))) queues[{card.node, card.current}].push_back(*i);
    }
    for (; count > 0 && !queues.empty(); --count) {
      auto best = queues.begin();
      auto best_rank = rank(pool, problem_.cards[best->second.back()]);
      for (auto at = std::next(queues.begin()); at != queues.end(); ++at)
        if (const auto r = rank(pool, problem_.cards[at->second.back()]); r < best_rank) {
          best = at;
          best_rank = r;
        }
      const std::size_t chosen = best->second.back();
      best->second.pop_back();
      if (best->second.empty()) queues.erase(best);
      out_[chosen] = static_cast<int>(pool);
      const Card& card = problem_.cards[chosen];
      ++used_[card.node];
      seats_[pool][card.node] += problem_.seats(card, pool);
    }
    if (count > 0) missed_[{ability, pool}] += count;
  }

  const Problem& problem_;
  const Relaxation& relaxation_;
  const Strategy strategy_;
  const First first_;
  Assignment out_;
  std::vector<std::int64_t> used_;                ///< cards in use by node
  std::vector<std::vector<std::int64_t>> seats_;  ///< by pool and node
  std::vector<std::vector<std::size_t>> by_ability_;
  std::map<std::pair<std::size_t, std::size_t>, std::int64_t> missed_;  ///< wanted cards that a pool that wants nodes has taken
};

/// Local changes, each kept if the score gets better.
class Improver {
 public:
  Improver(const Problem& problem, Assignment& assignment) : problem_(problem), out_(assignment), pools_(empty_pools(problem)) {
    for (std::size_t i = 0; i < out_.size(); ++i)
      if (out_[i] != nobody) pools_[at(i)].add(problem_.cards[i].node, problem_.seats(problem_.cards[i], at(i)));
  }

  void run() {
    for (int round = 0; round < 8; ++round) {
      const bool filled = fill(), exchanged = exchange(), trimmed = trim();
      if (!filled && !exchanged && !trimmed) return;
    }
  }

 private:
  struct Worth {
    std::int64_t placed, unspared;
  };
  std::size_t at(std::size_t card) const { return static_cast<std::size_t>(out_[card]); }
  bool tired() { return effort_ > 20'000'000; }
  Worth worth(std::size_t pool) {
    effort_ += pools_[pool].wants_nodes() ? static_cast<std::int64_t>(problem_.nodes) : 1;
    return {pools_[pool].placed(), pools_[pool].unspared()};
  }
  static bool better(const Worth& a, const Worth& b) { return a.placed != b.placed ? a.placed > b.placed : a.unspared < b.unspared; }
  void move(std::size_t pool, std::size_t card, std::int64_t sign) {
    pools_[pool].add(problem_.cards[card].node, sign * problem_.seats(problem_.cards[card], pool));
  }
  bool wants_more(std::size_t pool) {
    const Worth now = worth(pool);
    return now.placed < problem_.pools[pool].desktops || now.unspared > 0;
  }

  /// One card for each node, ability and present pool among those that `usable` lets through.
  template <class Usable>
  std::vector<std::size_t> kinds(const Usable& usable) {
    effort_ += static_cast<std::int64_t>(8 * out_.size());
    std::map<std::tuple<std::size_t, std::size_t, int, int>, std::size_t> found;
    for (std::size_t i = 0; i < out_.size(); ++i)
      if (usable(i)) found.try_emplace({problem_.cards[i].node, problem_.cards[i].ability, problem_.cards[i].current, out_[i]}, i);
    std::vector<std::size_t> out;
    for (const auto& [kind, card] : found) out.push_back(card);
    return out;
  }

  bool fill() {
    bool changed = false;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool)
      while (!tired() && wants_more(pool)) {
        const Worth now = worth(pool);
        std::size_t best = out_.size();
        Worth best_worth = now;
        for (const std::size_t card :
             kinds([&](std::size_t i) { return out_[i] == nobody && problem_.seats(problem_.cards[i], pool) > 0; })) {
          move(pool, card, 1);
          const Worth then = worth(pool);
          move(pool, card, -1);
          const bool stays = problem_.cards[card].current == static_cast<int>(pool);
          const bool same = !better(then, best_worth) && !better(best_worth, then);
          if (better(then, best_worth) || (best < out_.size() && same && stays && problem_.cards[best].current != static_cast<int>(pool))) {
            best = card;
            best_worth = then;
          }
        }
        if (best == out_.size()) break;
        out_[best] = static_cast<int>(pool);
        move(pool, best, 1);
        changed = true;
      }
    return changed;
  }

  bool trim() {
    bool changed = false;
    for (const bool kept : {false, true})
      for (std::size_t i = 0; i < out_.size() && !tired(); ++i) {
        if (out_[i] == nobody || (problem_.cards[i].current == out_[i]) != kept) continue;
        const std::size_t pool = at(i);
        const Worth now = worth(pool);
        move(pool, i, -1);
        if (better(now, worth(pool))) {
          move(pool, i, 1);
          continue;
        }
        out_[i] = nobody;
        changed = true;
      }
    return changed;
  }

  /// A pool that wants nodes and lacks some gives a card of one node for another's, which is free or of another pool.
  bool exchange() {
    bool changed = false;
    for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
      while (!tired() && pools_[pool].wants_nodes() && worth(pool).unspared > 0 && exchange_one(pool)) changed = true;
    }
    return changed;
  }

  bool exchange_one(std::size_t pool) {
    const auto mine = kinds([&](std::size_t i) { return out_[i] == static_cast<int>(pool); });
    const auto theirs =
        kinds([&](std::size_t i) { return out_[i] != static_cast<int>(pool) && problem_.seats(problem_.cards[i], pool) > 0; });
    for (const std::size_t give : mine)
      for (const std::size_t take : theirs) {
        if (tired()) return false;
        const int other = out_[take];
        if (problem_.cards[give].node == problem_.cards[take].node) continue;
        if (other != nobody && problem_.seats(problem_.cards[give], static_cast<std::size_t>(other)) == 0) continue;
        const Worth before = both(pool, other);
        swap(give, take);
        if (better(both(pool, other), before)) return true;
        swap(give, take);
      }
    return false;
  }

  Worth both(std::size_t pool, int other) {
    Worth out = worth(pool);
    if (other == nobody) return out;
    const Worth more = worth(static_cast<std::size_t>(other));
    return {out.placed + more.placed, out.unspared + more.unspared};
  }

  void swap(std::size_t a, std::size_t b) {
    for (const std::size_t i : {a, b})
      if (out_[i] != nobody) move(at(i), i, -1);
    std::swap(out_[a], out_[b]);
    for (const std::size_t i : {a, b})
      if (out_[i] != nobody) move(at(i), i, 1);
  }

  const Problem& problem_;
  Assignment& out_;
  std::vector<PoolSeats> pools_;
  std::int64_t effort_ = 0;
};

}  // namespace

Assignment place(const Problem& problem, const Relaxation& relaxation, Strategy strategy, First first) {
  return Placer(problem, relaxation, strategy, first).run();
}

void improve(const Problem& problem, Assignment& assignment) { Improver(problem, assignment).run(); }

}  // namespace pvegpu::pools
