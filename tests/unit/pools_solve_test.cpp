// SPDX-License-Identifier: MIT
#include "common/pools/relaxation.hpp"
#include "common/pools/solve.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

namespace pvegpu::pools {
namespace {

std::ostream& show(std::ostream& out, const Score& s) {
  return out << "placed " << s.placed << ", unspared " << s.unspared << ", used " << s.used << ", kept " << s.kept;
}

}  // namespace

static void PrintTo(const Score& s, std::ostream* out) { show(*out, s); }

namespace {

/// Every assignment, one after another, valued by the words of problem.hpp alone. Of cards that are alike in everything only one order is
/// tried.
class BruteForce {
 public:
  explicit BruteForce(const Problem& problem) : problem_(problem), choice_(problem.cards.size(), nobody) {
    for (std::size_t p = 0; p < problem.pools.size(); ++p)
      for (const Card& card : problem.cards)
        if (problem.seats(card, p) > 0) capable_[p][card.node] = true;
  }
  Score best() {
    best_ = {-1, 0, 0, 0};
    choose(0);
    return best_;
  }
  static double leaves(const Problem& problem) {
    double out = 1;
    for (std::size_t i = 0; i < problem.cards.size();) {
      std::size_t same = i + 1;
      while (same < problem.cards.size() && alike(problem.cards[i], problem.cards[same])) ++same;
      const double kinds = static_cast<double>(problem.abilities[problem.cards[i].ability].size());
      for (std::size_t k = 1; k <= same - i; ++k) out *= (kinds + static_cast<double>(k)) / static_cast<double>(k);
      i = same;
    }
    return out;
  }

 private:
  static bool alike(const Card& a, const Card& b) { return a.node == b.node && a.ability == b.ability && a.current == b.current; }

  void choose(std::size_t i) {
    if (i == choice_.size()) {
      value();
      return;
    }
    const Card& card = problem_.cards[i];
    const int least = i > 0 && alike(problem_.cards[i - 1], card) ? choice_[i - 1] : nobody;
    if (least == nobody) choose(i + 1);
    for (const auto& [pool, seats] : problem_.abilities[card.ability]) {
      if (static_cast<int>(pool) < least) continue;
      choice_[i] = static_cast<int>(pool);
      seats_[pool][card.node] += seats;
      used_ += 1;
      kept_ += card.current == choice_[i];
      choose(i + 1);
      kept_ -= card.current == choice_[i];
      used_ -= 1;
      seats_[pool][card.node] -= seats;
      choice_[i] = nobody;
    }
  }

  void value() {
    Score score{0, 0, used_, kept_};
    for (std::size_t p = 0; p < problem_.pools.size(); ++p) {
      const Demand& demand = problem_.pools[p];
      std::array<std::int64_t, 8> sorted = seats_[p];
      std::sort(sorted.begin(), sorted.end());
      std::int64_t all = 0, without_best = 0;
      for (std::size_t n = 0; n < 8; ++n) {
        all += seats_[p][n];
        if (n < 8 - static_cast<std::size_t>(demand.spare_nodes)) without_best += sorted[n];
        if (capable_[p][n] && seats_[p][n] < demand.per_node) score.unspared += demand.per_node - seats_[p][n];
      }
      score.placed += all < demand.desktops ? all : demand.desktops;
      const std::int64_t wanted = demand.desktops + demand.spare;
      score.unspared += all >= wanted ? 0 : all <= demand.desktops ? demand.spare : wanted - all;
      if (demand.spare_nodes > 0 && without_best < demand.desktops) score.unspared += demand.desktops - without_best;
    }
    const auto key = [](const Score& s) { return std::array<std::int64_t, 4>{-s.placed, s.unspared, s.used, -s.kept}; };
    if (key(score) < key(best_)) best_ = score;
  }

  const Problem& problem_;
  Assignment choice_;
  std::array<std::array<std::int64_t, 8>, 8> seats_{};
  std::array<std::array<bool, 8>, 8> capable_{};
  std::int64_t used_ = 0, kept_ = 0;
  Score best_;
};

struct Dice {
  std::mt19937 engine;
  std::int64_t roll(std::int64_t least, std::int64_t most) {  // the same on every machine, unlike std::uniform_int_distribution
    return least + static_cast<std::int64_t>(engine() % static_cast<std::uint32_t>(most - least + 1));
  }
  bool one_in(std::int64_t n) { return roll(1, n) == 1; }
};

/// `whole`: as many cards and pools as may be.
Problem random_problem(Dice& dice, std::int64_t most_cards, std::int64_t most_pools, bool whole = false, bool any_seats = true) {
  Problem out;
  out.nodes = static_cast<std::size_t>(dice.roll(1, 5));
  const std::int64_t pools = dice.roll(whole ? most_pools : 1, most_pools), kinds = dice.roll(1, 3),
                     cards = dice.roll(whole ? most_cards : 1, most_cards);
  const bool uniform = !any_seats || dice.one_in(2);  // as vGPU types are; else whatever numbers there could be
  std::vector<std::int64_t> of_pool;
  for (std::int64_t p = 0; p < pools; ++p) {
    of_pool.push_back(std::int64_t{1} << dice.roll(0, 4));
    Demand demand{.desktops = dice.roll(1, 6 * cards)};
    if (dice.one_in(3)) demand.spare = dice.roll(1, 8);
    if (dice.one_in(4)) demand.spare_nodes = dice.roll(1, 2);
    if (dice.one_in(6)) demand.per_node = dice.roll(1, 5);
    out.pools.push_back(demand);
  }
  for (std::int64_t k = 0; k < kinds; ++k) {
    Ability ability;
    for (std::int64_t p = 0; p < pools; ++p)
      if (!dice.one_in(3)) ability.emplace_back(p, uniform ? of_pool[static_cast<std::size_t>(p)] : dice.roll(1, 12));
    out.abilities.push_back(ability);
  }
  for (std::int64_t i = 0; i < cards; ++i) {
    Card card{static_cast<std::size_t>(dice.roll(0, static_cast<std::int64_t>(out.nodes) - 1)),
              static_cast<std::size_t>(dice.roll(0, kinds - 1))};
    if (dice.one_in(2)) card.current = static_cast<int>(dice.roll(0, pools - 1));
    out.cards.push_back(card);
  }
  std::sort(out.cards.begin(), out.cards.end(),
            [](const Card& a, const Card& b) { return std::tie(a.node, a.ability, a.current) < std::tie(b.node, b.ability, b.current); });
  return out;
}

void expect_lawful(const Problem& problem, const Solution& solution) {
  ASSERT_EQ(solution.assignment.size(), problem.cards.size());
  for (std::size_t i = 0; i < problem.cards.size(); ++i)
    if (solution.assignment[i] != nobody) {
      EXPECT_GT(problem.seats(problem.cards[i], static_cast<std::size_t>(solution.assignment[i])), 0)
          << "a card serves a pool that it can't";
    }
  EXPECT_EQ(score_of(problem, solution.assignment), solution.score);
  EXPECT_FALSE(solution.score.better_than(solution.bound));
  EXPECT_EQ(solution.exact, solution.score == solution.bound);
}

TEST(pools_solve, is_the_best_of_all_plans_on_thousands_of_small_problems) {
  Dice dice{std::mt19937(20)};
  int cases = 0, largest = 0, searched = 0;
  while (cases < 3000) {
    const Problem problem = random_problem(dice, 10, 4, cases % 10 == 0);
    if (BruteForce::leaves(problem) > (cases % 10 == 0 ? 20'000 : 3'000)) continue;
    ++cases;
    const Score best = BruteForce(problem).best();
    const Relaxation relaxed = relax(problem);
    ASSERT_FALSE(best.better_than(relaxed.bound)) << "case " << cases << ": the bound is too low";
    for (const Strategy strategy : {Strategy::pack, Strategy::spread}) {
      const Solution solution = solve(problem, strategy);
      ASSERT_EQ(solution.score, best) << "case " << cases;
      ASSERT_TRUE(solution.exact) << "case " << cases;
      expect_lawful(problem, solution);
      if (solution.looked_at > 0) ++searched;
    }
    if (problem.cards.size() == 10 && problem.pools.size() == 4) ++largest;
  }
  EXPECT_GE(largest, 100);
  EXPECT_GE(searched, 300) << "the search is hardly tried";
  RecordProperty("ten_cards_four_pools", largest);
  RecordProperty("searched", searched);
}

TEST(pools_solve, bound_and_plan_are_lawful_on_larger_problems) {
  Dice dice{std::mt19937(21)};
  int exact = 0;
  for (int i = 0; i < 200; ++i) {
    const bool any_seats = i % 4 == 3;
    const Problem problem = random_problem(dice, 300, 8, false, any_seats);
    const Strategy strategy = i % 2 ? Strategy::pack : Strategy::spread;
    const Solution solution = solve(problem, strategy);
    expect_lawful(problem, solution);
    exact += solution.exact;
    EXPECT_EQ(solution.assignment, solve(problem, strategy).assignment) << "not the same twice";
    if (!any_seats) {
      EXPECT_EQ(solution.score.placed, solution.bound.placed) << "case " << i;
    }
  }
  EXPECT_GE(exact, 100);
  RecordProperty("exact", exact);
}

/// Two nodes with two cards each; seats 8 for pool 0, 4 for pool 1.
Problem two_pools() {
  Problem out;
  out.nodes = 2;
  out.pools = {{.desktops = 16}, {.desktops = 8}};
  out.abilities = {{{0, 8}, {1, 4}}};
  out.cards = {{0, 0, 0}, {0, 0, 1}, {1, 0, 0}, {1, 0, 1}};
  return out;
}

TEST(pools_solve, leaves_cards_where_they_are) {
  const Solution solution = solve(two_pools(), Strategy::pack);
  EXPECT_EQ(solution.assignment, (Assignment{0, 1, 0, 1}));
  EXPECT_EQ(solution.score, (Score{24, 0, 4, 4}));
  EXPECT_TRUE(solution.exact);
}

TEST(pools_solve, desktops_come_before_cards_that_stay) {
  Problem problem = two_pools();
  problem.pools[0].desktops = 24;
  problem.pools[1].desktops = 4;
  const Solution solution = solve(problem, Strategy::pack);
  EXPECT_EQ(solution.score, (Score{28, 0, 4, 3}));
}

TEST(pools_solve, pack_uses_few_nodes_and_spread_many) {
  Problem problem;
  problem.nodes = 4;
  problem.pools = {{.desktops = 4}};
  problem.abilities = {{{0, 1}}};
  for (std::size_t node = 0; node < 4; ++node)
    for (int i = 0; i < 4; ++i) problem.cards.push_back({node, 0, nobody});
  const auto nodes = [&](Strategy strategy) {
    const Solution solution = solve(problem, strategy);
    std::vector<char> seen(4, 0);
    for (std::size_t i = 0; i < 16; ++i)
      if (solution.assignment[i] == 0) seen[problem.cards[i].node] = 1;
    EXPECT_TRUE(solution.exact);
    return std::count(seen.begin(), seen.end(), 1);
  };
  EXPECT_EQ(nodes(Strategy::pack), 1);
  EXPECT_EQ(nodes(Strategy::spread), 4);
}

TEST(pools_solve, a_node_may_fail) {
  Problem problem;
  problem.nodes = 3;
  problem.pools = {{.desktops = 16, .spare_nodes = 1}};
  problem.abilities = {{{0, 8}}};
  for (std::size_t node = 0; node < 3; ++node)
    for (int i = 0; i < 2; ++i) problem.cards.push_back({node, 0, nobody});
  const Solution solution = solve(problem, Strategy::pack);
  EXPECT_EQ(solution.score, (Score{16, 0, 3, 0})) << "one card on each node: any two serve all";
  EXPECT_TRUE(solution.exact);
}

TEST(pools_solve, eight_thousand_cards_hundred_pools) {
  Dice dice{std::mt19937(22)};
  Problem problem;
  problem.nodes = 1000;
  for (std::size_t p = 0; p < 100; ++p) {
    Demand demand{.desktops = dice.roll(100, 900), .spare = dice.roll(0, 20)};
    demand.spare_nodes = p % 3 == 0;
    problem.pools.push_back(demand);
  }
  for (std::size_t a = 0; a < 10; ++a) {
    Ability ability;
    for (std::size_t p = a; p < 100; p += 10) ability.emplace_back(p, std::int64_t{1} << (p / 10 % 5));
    problem.abilities.push_back(ability);
  }
  for (std::size_t node = 0; node < 1000; ++node)
    for (int i = 0; i < 8; ++i)
      problem.cards.push_back(
          {node, node % 10, dice.one_in(2) ? static_cast<int>(node % 10 + 10 * static_cast<std::size_t>(dice.roll(0, 9))) : nobody});
  const Solution solution = solve(problem, Strategy::spread);
  expect_lawful(problem, solution);
  EXPECT_EQ(solution.score.placed, solution.bound.placed);
  RecordProperty("score_used", static_cast<int>(solution.score.used));
  RecordProperty("bound_used", static_cast<int>(solution.bound.used));
}

}  // namespace
}  // namespace pvegpu::pools
