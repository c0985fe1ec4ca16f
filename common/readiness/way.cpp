// SPDX-License-Identifier: MIT
// Which way a GPU goes on this host.
#include "common/readiness/judge.hpp"

#include <algorithm>

namespace pvegpu::readiness {
namespace {

/// A mapping or a guest of this node has the card itself, without a vGPU type.
bool is_given_whole(const gpu::Gpu& gpu, const gpu::Machine& machine) {
  if (machine.guests.mappings)
    for (const text::PciMapping& mapping : *machine.guests.mappings)
      for (const text::PciMapEntry& entry : mapping.entries)
        if (!mapping.mdev && entry.node == machine.facts.node && entry.members[0].covers(gpu.address)) return true;
  return gpu.used_by && std::any_of(gpu.used_by->begin(), gpu.used_by->end(),
                                    [&](const gpu::Use& use) { return use.vgpu_type.empty() && use.address == gpu.address; });
}

}  // namespace

Way way_of(const gpu::Gpu& gpu, const gpu::Machine& machine) {
  // How it is used comes before what it could do.
  if (gpu.sriov.enabled == 0 && gpu.mdevs.empty() && (gpu.driver == "vfio-pci" || is_given_whole(gpu, machine))) return Way::passthrough;
  if (gpu.is_nvidia() && (gpu.vgpu_class() != catalogue::VgpuClass::none || gpu.unlocked || gpu.framework != gpu::Framework::none))
    return Way::nvidia_vgpu;
  if (gpu.is_intel() && (gpu.sriov.total > 0 || (gpu.intel && (!gpu.intel->dkms_from.empty() || gpu.intel->xe_kernel))))
    return Way::intel_vgpu;
  if (gpu.is_intel() && gpu.framework == gpu::Framework::mdev) return Way::intel_gvtg;
  if (gpu.is_amd() && gpu.sriov.enabled > 0 && gpu.board() && gpu.board()->technology == catalogue::Technology::amd_mxgpu)
    return Way::amd_mxgpu;
  return Way::passthrough;
}

Way way_of(const gpu::Place& place, bool mediated, const gpu::Machine& machine) {
  if (mediated) return place.gpu->is_intel() ? Way::intel_gvtg : Way::nvidia_vgpu;
  return place.vf ? way_of(*place.gpu, machine) : Way::passthrough;
}

Way vf_way_of(const gpu::Gpu& gpu) { return gpu.is_nvidia() ? Way::nvidia_vgpu : gpu.is_amd() ? Way::amd_mxgpu : Way::intel_vgpu; }

std::string wished_driver(const gpu::Gpu& gpu, const gpu::HostFacts& facts) {
  if (gpu.is_nvidia()) return "nvidia";
  if (!gpu.is_intel()) return {};
  if (gpu.driver == "xe" || gpu.driver == "i915")
    return gpu.intel && gpu.intel->dkms_from.empty() && gpu.intel->xe_kernel ? "xe" : *gpu.driver;
  const auto kernel = catalogue::parse_major_minor(facts.kernel);
  const bool xe_serves = gpu.intel && gpu.intel->xe_kernel && kernel && !(*kernel < *gpu.intel->xe_kernel);
  // Where both can, the one that is kept away is not the one that is wished.
  return xe_serves && (gpu.intel->dkms_from.empty() || !blocks_of(facts.blocks, "i915").empty()) ? "xe" : "i915";
}

}  // namespace pvegpu::readiness
