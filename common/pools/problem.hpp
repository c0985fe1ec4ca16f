// SPDX-License-Identifier: MIT
// Desktop pools on graphics cards as a problem of numbers: which card serves which pool. A card serves one pool, so it has one vGPU size.
// Nothing here knows of hosts, vGPU types or mappings.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace pvegpu::pools {

struct Demand {
  std::int64_t desktops = 0;
  std::int64_t spare = 0;        ///< seats wanted beyond the desktops
  std::int64_t spare_nodes = 0;  ///< so many nodes may fail, and all desktops still have seats
  std::int64_t per_node = 0;     ///< seats wanted on each node that has a card for the pool
};

/// What one card gives to the pools: seats by pool, above 0 only, by ascending pool. Cards that can do the same share one.
using Ability = std::vector<std::pair<std::size_t, std::int64_t>>;

constexpr int nobody = -1;

struct Card {
  std::size_t node = 0;
  std::size_t ability = 0;
  int current = nobody;  ///< the pool that it serves today
};

struct Problem {
  std::vector<Demand> pools;
  std::vector<Ability> abilities;
  std::vector<Card> cards;
  std::size_t nodes = 0;

  std::int64_t seats(const Card& card, std::size_t pool) const;
};

/// How good a plan is, the most important first.
struct Score {
  std::int64_t placed = 0;    ///< desktops that have a seat
  std::int64_t unspared = 0;  ///< seats that are missing for spare shares, failing nodes and nodes' minimums
  std::int64_t used = 0;      ///< cards that serve a pool
  std::int64_t kept = 0;      ///< of these, cards that serve it today already: the others have to change

  bool operator==(const Score&) const = default;
  bool better_than(const Score& other) const;
  Score& operator+=(const Score& other);
};

using Assignment = std::vector<int>;  ///< a pool for each card, or nobody

Score score_of(const Problem& problem, const Assignment& assignment);

/// The seats of one pool on each node, and what they are worth.
class PoolSeats {
 public:
  PoolSeats() = default;
  /// `capable`: the nodes that have a card for the pool.
  PoolSeats(const Demand& demand, std::vector<char> capable);
  void add(std::size_t node, std::int64_t seats);
  std::int64_t total() const { return total_; }
  std::int64_t on(std::size_t node) const { return seats_[node]; }
  std::int64_t placed() const;
  /// Seats that remain when those nodes fail whose loss hurts most.
  std::int64_t surviving() const;
  std::int64_t unspared() const;
  /// Distribution over nodes matters.
  bool wants_nodes() const { return demand_.spare_nodes > 0 || demand_.per_node > 0; }

 private:
  Demand demand_;
  std::vector<char> capable_;
  std::vector<std::int64_t> seats_;
  std::int64_t total_ = 0, missing_on_nodes_ = 0;
};

/// One for each pool, without a card.
std::vector<PoolSeats> empty_pools(const Problem& problem);

}  // namespace pvegpu::pools
