// SPDX-License-Identifier: MIT
// The vGPU type that a guest asks for, by name or id, on devices of this node.
#pragma once

#include "common/facts/gpu.hpp"

namespace pvegpu::gpu {

struct MdevChoice {
  std::string id;    ///< what mdev= takes: "nvidia-562", "i915-GVTg_V5_4"
  std::string name;  ///< "NVIDIA A40-8Q"; the id where the driver gives no name
  Framework framework = Framework::none;
  std::vector<std::string> warnings;
};

/// `alternatives`: the functions of each entry of a mapping for this node, or of a guest's address; those of one are passed together. Names
/// are compared without regard to case. The error is a sentence: why no guest could get this type here.
Result<MdevChoice> choose_mdev(const std::string& wish, const std::vector<std::vector<std::string>>& alternatives,
                               const std::vector<Gpu>& gpus);

}  // namespace pvegpu::gpu
