// SPDX-License-Identifier: MIT
// What an assignment is worth.
#include "common/pools/problem.hpp"

#include <algorithm>
#include <functional>

namespace pvegpu::pools {

std::int64_t Problem::seats(const Card& card, std::size_t pool) const {
  for (const auto& [which, seats] : abilities[card.ability])
    if (which == pool) return seats;
  return 0;
}

bool Score::better_than(const Score& other) const {
  if (placed != other.placed) return placed > other.placed;
  if (unspared != other.unspared) return unspared < other.unspared;
  if (used != other.used) return used < other.used;
  return kept > other.kept;
}

Score& Score::operator+=(const Score& other) {
  placed += other.placed;
  unspared += other.unspared;
  used += other.used;
  kept += other.kept;
  return *this;
}

PoolSeats::PoolSeats(const Demand& demand, std::vector<char> capable)
    : demand_(demand), capable_(std::move(capable)), seats_(capable_.size(), 0) {
  missing_on_nodes_ = demand_.per_node * std::count(capable_.begin(), capable_.end(), 1);
}

void PoolSeats::add(std::size_t node, std::int64_t seats) {
  const auto missing = [&] { return std::max<std::int64_t>(0, demand_.per_node - seats_[node]); };
  if (capable_[node]) missing_on_nodes_ -= missing();
  seats_[node] += seats;
  total_ += seats;
  if (capable_[node]) missing_on_nodes_ += missing();
}

std::int64_t PoolSeats::placed() const { return std::min(demand_.desktops, total_); }

std::int64_t PoolSeats::surviving() const {
  if (demand_.spare_nodes <= 0) return total_;
  if (demand_.spare_nodes == 1) return total_ - (seats_.empty() ? 0 : *std::max_element(seats_.begin(), seats_.end()));
  const auto lost = std::min(static_cast<std::size_t>(demand_.spare_nodes), seats_.size());
  std::vector<std::int64_t> sorted = seats_;
  std::partial_sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(lost), sorted.end(), std::greater<>());
  std::int64_t out = total_;
  for (std::size_t i = 0; i < lost; ++i) out -= sorted[i];
  return out;
}

std::int64_t PoolSeats::unspared() const {
  const std::int64_t beyond = std::clamp<std::int64_t>(total_ - demand_.desktops, 0, demand_.spare);
  std::int64_t out = demand_.spare - beyond + missing_on_nodes_;
  if (demand_.spare_nodes > 0) out += demand_.desktops - std::min(demand_.desktops, surviving());
  return out;
}

std::vector<PoolSeats> empty_pools(const Problem& problem) {
  std::vector<std::vector<char>> capable(problem.pools.size(), std::vector<char>(problem.nodes, 0));
  for (const Card& card : problem.cards)
    for (const auto& [pool, seats] : problem.abilities[card.ability]) capable[pool][card.node] = 1;
  std::vector<PoolSeats> out;
  for (std::size_t p = 0; p < problem.pools.size(); ++p) out.emplace_back(problem.pools[p], std::move(capable[p]));
  return out;
}

Score score_of(const Problem& problem, const Assignment& assignment) {
  std::vector<PoolSeats> pools = empty_pools(problem);
  Score out;
  for (std::size_t i = 0; i < problem.cards.size(); ++i) {
    if (assignment[i] == nobody) continue;
    const Card& card = problem.cards[i];
    const auto pool = static_cast<std::size_t>(assignment[i]);
    pools[pool].add(card.node, problem.seats(card, pool));
    ++out.used;
    if (card.current == assignment[i]) ++out.kept;
  }
  for (const PoolSeats& pool : pools) {
    out.placed += pool.placed();
    out.unspared += pool.unspared();
  }
  return out;
}

}  // namespace pvegpu::pools
