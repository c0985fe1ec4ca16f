// SPDX-License-Identifier: MIT
// The plan: which card serves which pool.
#pragma once

#include "common/pools/problem.hpp"

namespace pvegpu::pools {

enum class Strategy {
  pack,   ///< on few nodes
  spread  ///< on many
};

struct Solution {
  Assignment assignment;
  Score score;
  Score bound;                 ///< no plan is better: equal to `score` when `exact`
  bool exact = false;          ///< proven to be the best
  std::int64_t looked_at = 0;  ///< plans, whole and partial, that the search compared
};

/// The best plan by Score; among equals one that follows the strategy. Pools and cards that have nothing to do with one another are solved
/// apart. Each part is first solved by its relaxation; where that can't be had on real nodes, small parts are searched through, and large
/// ones are improved step by step and told how far from the best they can be. The same problem has the same answer always: effort is
/// limited by counting, not by time.
Solution solve(const Problem& problem, Strategy strategy);

}  // namespace pvegpu::pools
