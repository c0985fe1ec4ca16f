// SPDX-License-Identifier: MIT
// Branch and bound over groups of equal cards.
#include "common/pools/search.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace pvegpu::pools {
namespace {

/// Cards of one node that can do the same and do the same today.
struct Group {
  std::vector<std::size_t> cards;
  std::size_t node = 0;
  std::size_t ability = 0;
  int current = nobody;
};

class Search {
 public:
  Search(const Problem& problem, const Score& bound, Assignment& best, Score& score, std::int64_t& effort)
      : problem_(problem),
        bound_(bound),
        best_(best),
        score_(score),
        effort_(effort),
        now_(problem.cards.size(), nobody),
        have_(empty_pools(problem)),
        might_(have_),
        largest_(problem.pools.size(), 0) {
    std::map<std::tuple<std::size_t, std::size_t, int>, Group> groups;
    for (std::size_t i = 0; i < problem.cards.size(); ++i) {
      const Card& card = problem.cards[i];
      Group& group = groups[{card.ability, card.node, card.current}];
      group = {std::move(group.cards), card.node, card.ability, card.current};
      group.cards.push_back(i);
      for (const auto& [pool, seats] : problem.abilities[card.ability]) {
        might_[pool].add(card.node, seats);
        largest_[pool] = std::max(largest_[pool], seats);
      }
    }
    for (auto& [key, group] : groups) groups_.push_back(std::move(group));
    most_.assign(groups_.size() + 1, 0);
    keepable_.assign(groups_.size() + 1, 0);
    for (std::size_t g = groups_.size(); g-- > 0;) {
      const auto size = static_cast<std::int64_t>(groups_[g].cards.size());
      std::int64_t most = 0, able = 0;
      for (const auto& [pool, seats] : problem.abilities[groups_[g].ability]) {
        most = std::max(most, seats);
        if (groups_[g].current == static_cast<int>(pool)) able = 1;
      }
      most_[g] = most_[g + 1] + size * most;
      keepable_[g] = keepable_[g + 1] + size * able;
    }
  }

  bool run() {
    if (score_ == bound_) return true;
    descend(0, 0, groups_.empty() ? 0 : groups_[0].cards.size());
    return effort_ > 0 || score_ == bound_;
  }

 private:
  /// Not better than what the rest can bring at most.
  bool hopeless(std::size_t g) const {
    Score hope{0, 0, used_, kept_ + keepable_[g]};
    std::int64_t had = 0, needed = 0;
    for (std::size_t p = 0; p < have_.size(); ++p) {
      const std::int64_t reachable = might_[p].placed();
      hope.placed += reachable;
      hope.unspared += might_[p].unspared();
      had += have_[p].placed();
      const std::int64_t missing = reachable - have_[p].placed();
      if (missing > 0) needed += (missing + largest_[p] - 1) / largest_[p];
    }
    const std::int64_t at_most = had + most_[g];
    if (at_most < hope.placed) {
      hope.placed = at_most;
    } else if (hope.placed == score_.placed) {
      hope.used += needed;  // to be as good as the best, every pool must get all it can
    }
    return !hope.better_than(score_);
  }

  /// Decides the next pool of group `g`: `next` counts its abilities, `left` its cards that are not decided.
  void descend(std::size_t g, std::size_t next, std::size_t left) {
    if (--effort_ <= 0 || score_ == bound_) return;
    if (g == groups_.size()) {
      take();
      return;
    }
    const Group& group = groups_[g];
    const Ability& ability = problem_.abilities[group.ability];
    if (next == 0 && hopeless(g)) return;
    if (next == ability.size()) {
      // What is left serves nobody.
      descend(g + 1, 0, g + 1 < groups_.size() ? groups_[g + 1].cards.size() : 0);
      return;
    }
    const auto [pool, seats] = ability[next];
    const std::size_t first = group.cards.size() - left;
    const auto might = static_cast<std::int64_t>(group.cards.size()) * seats;
    for (std::size_t take = left + 1; take-- > 0;) {
      const auto n = static_cast<std::int64_t>(take);
      have_[pool].add(group.node, n * seats);
      might_[pool].add(group.node, n * seats - might);
      used_ += n;
      if (group.current == static_cast<int>(pool)) kept_ += n;
      for (std::size_t i = 0; i < take; ++i) now_[group.cards[first + i]] = static_cast<int>(pool);
      descend(g, next + 1, left - take);
      for (std::size_t i = 0; i < take; ++i) now_[group.cards[first + i]] = nobody;
      if (group.current == static_cast<int>(pool)) kept_ -= n;
      used_ -= n;
      might_[pool].add(group.node, might - n * seats);
      have_[pool].add(group.node, -n * seats);
    }
  }

  void take() {
    Score score{0, 0, used_, kept_};
    for (const PoolSeats& pool : have_) {
      score.placed += pool.placed();
      score.unspared += pool.unspared();
    }
    if (!score.better_than(score_)) return;
    score_ = score;
    best_ = now_;
  }

  const Problem& problem_;
  const Score& bound_;
  Assignment& best_;
  Score& score_;
  std::int64_t& effort_;
  Assignment now_;
  std::vector<PoolSeats> have_, might_;  ///< by pool: with the cards decided so far; and with all others that could still come
  std::vector<std::int64_t> largest_;    ///< by pool: most seats of a card
  std::vector<Group> groups_;
  std::vector<std::int64_t> most_, keepable_;  ///< from a group on: seats at most, cards that may stay
  std::int64_t used_ = 0, kept_ = 0;
};

}  // namespace

bool search(const Problem& problem, const Score& bound, Assignment& best, Score& score, std::int64_t& effort) {
  return Search(problem, bound, best, score, effort).run();
}

}  // namespace pvegpu::pools
