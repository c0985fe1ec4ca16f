// SPDX-License-Identifier: MIT
// The seven technologies.
#include "common/readiness/technologies.hpp"

namespace pvegpu::gpu {
namespace {

using readiness::Condition;
using readiness::Rung;
using readiness::State;
using readiness::Way;

/// What is one thing to bring: of the conditions of one group the first that is not met is told.
unsigned group_of(Rung rung) {
  switch (rung) {
    case Rung::firmware:
    case Rung::command_line:
    case Rung::iommu:
      return 1;
    case Rung::build:
    case Rung::rival_driver:
    case Rung::driver:
      return 2;
    default:
      return 3 + static_cast<unsigned>(rung);
  }
}

Technology impossible(std::string reason) { return {false, false, {std::move(reason)}}; }

Technology told(const std::vector<Condition>& conditions) {
  Technology out;
  out.possible = true;
  unsigned last = 0;
  for (const Condition& each : conditions) {
    if (each.state == State::unmet && each.never) return impossible(each.cause);
    const bool untold = each.state == State::unknown && each.rung == Rung::iommu;
    if (!untold && (each.state != State::unmet || each.next_boot)) continue;
    const unsigned group = group_of(each.rung);
    // What a driver offers rests on all that comes before.
    if (group == last || (each.rung == Rung::vgpu_types && !out.missing.empty())) continue;
    last = group;
    out.missing.push_back(untold ? "it is not known whether the IOMMU is on: " + each.cause : each.cause + ": " + each.cure.text);
  }
  out.ready = out.missing.empty();
  return out;
}

const char* words(Framework framework) { return framework == Framework::vendor_vfio ? "vendor VFIO" : "mediated devices"; }

/// Why this framework is not how the card's vGPUs are made here, "" when it is.
std::string other_framework(const Gpu& gpu, const HostFacts& facts, Framework wanted) {
  if (gpu.framework == wanted) return {};
  const bool classic = gpu.framework == Framework::mdev || gpu.vgpu_class() == catalogue::VgpuClass::classic;
  if (wanted == Framework::mdev)
    return classic ? "" : gpu.name + " is an SR-IOV board: its vGPUs are on virtual functions, not on the card";
  if (classic)
    return gpu.sriov.total > 0 ? gpu.name + " shows an SR-IOV capability, but its vGPUs are mediated devices on the card itself"
                               : gpu.name + " has no SR-IOV: its vGPUs are mediated devices on the card itself";
  if (gpu.framework != Framework::none) return fmt::format("its driver uses {} on this host", words(gpu.framework));
  // What the card shows decides; where it shows nothing yet, the kernel does (GPU-FACTS 3.1).
  const Framework expected = gpu.boards.empty() ? Framework::none : catalogue::expected_framework(gpu.boards[0], facts.kernel);
  if (expected == wanted) return {};
  if (expected == Framework::vendor_vfio)
    return fmt::format("on kernel {} NVIDIA's driver has no mediated devices for SR-IOV boards: vendor VFIO takes their place from 6.8 on",
                       facts.kernel);
  if (expected == Framework::mdev_on_vfs) return fmt::format("vendor VFIO needs kernel 6.8 or later, this is {}", facts.kernel);
  return fmt::format("no NVIDIA vGPU driver for {} is known to run on kernel {}", gpu.name, facts.kernel);
}

}  // namespace

Technologies judge_technologies(const HostView& host, const Machine& machine, const Gpu& gpu) {
  const auto of = [&](Way way) { return told(readiness::judge({.host = host, .machine = machine, .gpu = &gpu, .way = way})); };
  const Technology nvidia = of(Way::nvidia_vgpu);
  const auto by = [&](Framework framework) {
    if (!nvidia.possible) return nvidia;
    const std::string other = other_framework(gpu, machine.facts, framework);
    return other.empty() ? nvidia : impossible(other);
  };
  return {of(Way::passthrough), by(Framework::mdev), by(Framework::mdev_on_vfs), by(Framework::vendor_vfio),
          of(Way::intel_vgpu),  of(Way::intel_gvtg), of(Way::amd_mxgpu)};
}

void Technology::fields(Document<Technology>& out) {
  out.field("possible", &Technology::possible);
  out.field("ready", &Technology::ready);
  out.field("missing", &Technology::missing);
}

void Technologies::fields(Document<Technologies>& out) {
  out.field("passthrough", &Technologies::passthrough);
  out.field("nvidia_mdev", &Technologies::nvidia_mdev);
  out.field("nvidia_sriov_mdev", &Technologies::nvidia_sriov_mdev);
  out.field("nvidia_vendor_vfio", &Technologies::nvidia_vendor_vfio);
  out.field("intel_sriov", &Technologies::intel_sriov);
  out.field("intel_gvtg", &Technologies::intel_gvtg);
  out.field("amd_mxgpu", &Technologies::amd_mxgpu);
}

}  // namespace pvegpu::gpu
