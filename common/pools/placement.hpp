// SPDX-License-Identifier: MIT
// From how many cards of which kind to which cards.
#pragma once

#include "common/pools/relaxation.hpp"
#include "common/pools/solve.hpp"

namespace pvegpu::pools {

enum class First {
  keep,    ///< cards stay where they are, then distribution over nodes
  balance  ///< distribution over nodes, for pools that want it
};

Assignment place(const Problem& problem, const Relaxation& relaxation, Strategy strategy, First first);

/// Adds cards that help, takes away those that don't, exchanges cards between nodes for pools that want nodes. Never worse.
void improve(const Problem& problem, Assignment& assignment);

}  // namespace pvegpu::pools
