// SPDX-License-Identifier: MIT
// The plan as data.
#pragma once

#include "common/pools/plan.hpp"

namespace pvegpu::pools {

json gpus_json(const PoolPlan& plan);
json pools_json(const PoolPlan& plan, const Rules& rules);
/// The mappings that the plan needs, with what they hold.
json mappings_json(const PoolPlan& plan, const std::vector<TodaysMapping>& today);
/// GPUs of the plan that today's mappings of other names hold too.
json overlaps_json(const PoolPlan& plan);
json left_json(const PoolPlan& plan);
json licences_json(const PoolPlan& plan);
json quality_json(const PoolPlan& plan);

}  // namespace pvegpu::pools
