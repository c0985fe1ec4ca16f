// SPDX-License-Identifier: MIT
// What NVIDIA's and Intel's kernel drivers say about virtual GPU types.
#pragma once

#include "common/base/result.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace pvegpu::text {

/// `description` of an mdev type.
struct MdevDescription {
  std::optional<std::int64_t> framebuffer_mb;  ///< GVT-g: its high graphics memory
  std::optional<std::int64_t> max_instances;   ///< per GPU; GVT-g does not say
};
/// NVIDIA: "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8".
/// GVT-g: lines "high_gm_size: 512MB". What is not understood stays unset: the kernel calls this file free text.
MdevDescription parse_mdev_description(std::string_view text);

struct CreatableType {
  unsigned id = 0;
  std::string name;  ///< may hold spaces: "NVIDIA RTX Pro 6000 Blackwell DC-1Q"

  bool operator==(const CreatableType&) const = default;
};
/// `nvidia/creatable_vgpu_types` of a VF: a header line "ID    : vGPU Name", then "1145  : NVIDIA L40S-1B" (`%-5d : %s`).
/// Header only, and nothing at all, are empty lists: another type is set, or nothing fits any more.
Result<std::vector<CreatableType>> parse_creatable_types(std::string_view text);

/// The number in a type's directory name, whose prefix is the parent driver's name: "nvidia-63", "vfio-pci-575".
/// nullopt for GVT-g's "i915-GVTg_V5_4".
std::optional<unsigned> mdev_type_number(std::string_view directory);

/// The board in a type's name: "GRID P40" of "GRID P40-1Q", "NVIDIA RTX6000-Ada" of "NVIDIA RTX6000-Ada-8Q"; "" without a size.
std::string_view vgpu_name_board(std::string_view name);

}  // namespace pvegpu::text
