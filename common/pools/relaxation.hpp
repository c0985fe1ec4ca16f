// SPDX-License-Identifier: MIT
// The same problem with fewer rules, solved exactly: how good a plan can be at most, and a first idea of it.
#pragma once

#include "common/pools/problem.hpp"

namespace pvegpu::pools {

struct Relaxation {
  /// No plan is better.
  Score bound;
  /// By ability and pool: how many cards that serve the pool today keep it, and how many others get it.
  struct Counts {
    std::int64_t kept = 0, taken = 0;
  };
  std::vector<std::vector<Counts>> counts;
};

/// What it forgets: on which node a card is (it counts the best distribution that the nodes' sizes allow), and that a pool may not get its
/// best cards first. Where a pool's cards all have the same seats and no pool asks for nodes, it forgets nothing.
Relaxation relax(const Problem& problem);

}  // namespace pvegpu::pools
