// SPDX-License-Identifier: MIT
// All plans of a small problem, without those that can't be the best.
#pragma once

#include "common/pools/problem.hpp"

namespace pvegpu::pools {

/// Replaces `best` by a better plan if there is one. `effort`: how many partial plans may be looked at; what is left of it. True when
/// all were looked at or ruled out: `best` is the best then.
bool search(const Problem& problem, const Score& bound, Assignment& best, Score& score, std::int64_t& effort);

}  // namespace pvegpu::pools
