// SPDX-License-Identifier: MIT
// How many desktops of a pool one GPU serves, and if none, why.
#pragma once

#include "common/pools/documents.hpp"

namespace pvegpu::pools {

/// What a pool's desktops are given.
struct PoolType {
  enum class Kind { passthrough, intel, vgpu };
  Kind kind = Kind::vgpu;
  std::string name;     ///< "GRID P4-1Q", "GPU Passthrough", "Intel-vGPU": as a broker writes it
  std::string licence;  ///< the least NVIDIA product that licenses it, "" when none is needed or known
};

/// `passthrough`, `intel-vgpu`, or a vGPU type with or without GRID or NVIDIA before it. Error: neither the GPUs nor the catalogue know it.
Result<PoolType> find_pool_type(const std::string& wish, const Documents& documents);

struct GpuAbility {
  std::int64_t seats = 0;
  Way way = Way::passthrough;
  std::string counted;   ///< where the number comes from
  std::string obstacle;  ///< why 0, though it is the right card; "" for another model or another board's type
  /// The broker finds desktops' cards by type (`mdevctl types`, an Intel GPU's VFs); else only a resource mapping gives them.
  bool by_type = false;
};

struct AbilityRules {
  std::string model;        ///< "": any
  bool only_ready = false;  ///< as the hosts are now; else as they can be once they are set up
};

GpuAbility judge_ability(const GpuKind& gpu, const PoolType& type, const AbilityRules& rules);

/// A type of the same board and series with more seats a GPU than `type`, the largest of those that have at least `wanted`; "" if none.
std::string smaller_type(const GpuKind& gpu, const PoolType& type, const AbilityRules& rules, std::int64_t wanted);

}  // namespace pvegpu::pools
