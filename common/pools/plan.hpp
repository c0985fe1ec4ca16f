// SPDX-License-Identifier: MIT
// From documents and wishes to the plan: which GPU serves which pool, with which mappings, and what does not fit.
#pragma once

#include "common/pools/ability.hpp"
#include "common/pools/solve.hpp"

namespace pvegpu::pools {

struct Wish {
  std::string name, type;
  std::int64_t desktops = 0;
  std::string model;  ///< "": any that can
  std::int64_t minimum_per_node = 0, spare_percent = 0, spare_nodes = 0;
  std::string mapping;  ///< "": the pool's name, if it needs one
};

struct Rules {
  Strategy strategy = Strategy::pack;
  bool by_type = false;  ///< the broker tells pools apart by vGPU type alone: no mappings
  bool only_ready = false;
};

struct PoolFacts {
  const Wish* wish = nullptr;
  PoolType type;
  std::string mapping;                ///< its name, if it needs one
  bool mapped = false;                ///< the plan needs the mapping
  std::vector<GpuAbility> abilities;  ///< by kind of GPU
  std::int64_t seats = 0, surviving = 0;
  std::int64_t gpus = 0;
  std::vector<std::int64_t> seats_on;  ///< by node
};

struct PoolPlan {
  const Documents& documents;
  std::vector<PoolFacts> pools;
  Problem problem;
  Solution solution;
  std::vector<std::string> notes;
};

/// Throws ModuleError for wishes that contradict themselves or each other, above all for pools of different types on one model that no
/// mapping keeps apart.
PoolPlan make_plan(const Documents& documents, const std::vector<Wish>& wishes, const Rules& rules);

/// "8 × Tesla P4, 2 × A40"
std::string models_of(const Documents& documents);

/// Why a pool does not get all it wants, with numbers; empty when it does.
std::vector<std::string> reasons_of(const PoolPlan& plan, std::size_t pool);
/// What would fit in its place, the least change first.
std::vector<std::string> nearest_of(const PoolPlan& plan, std::size_t pool, const Rules& rules);

bool fits(const PoolPlan& plan, std::size_t pool);

}  // namespace pvegpu::pools
