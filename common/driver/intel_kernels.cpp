// SPDX-License-Identifier: MIT
// Which kernels i915-sriov-dkms and the kernel's own xe make VFs on, and what to do on another.
#include "common/driver/i915.hpp"
#include "common/facts/kernels.hpp"

namespace pvegpu::driver {
namespace {

using catalogue::Verdict;

const char* when_it_runs(const HostView& host, const std::string& kernel) {
  return kernel == host.kernel_release() ? "runs" : "is what the next boot starts";
}

/// What to do on a kernel for which this version of i915-sriov-dkms is not made.
std::string what_fits(const HostView& host, const gpu::HostFacts& facts, const std::string& version, const std::string& kernel) {
  for (const std::string& other : installed_kernels(host))
    if (catalogue::dkms_builds(version, other) == Verdict::yes)
      return fmt::format("Kernel {} is installed and fits: pin it (gpu_platform_kernel, or module kernel_pin), or take another release",
                         other);
  if (const auto tag = catalogue::newest_dkms(kernel)) return fmt::format("Release {} is made for this kernel", tag->tag);
  const auto branch = catalogue::find_dkms(i915_branch);
  if (branch && catalogue::dkms_builds(branch->tag, kernel) == Verdict::yes)
    return fmt::format("The branch {} is made for this kernel: give the source archive i915-sriov-dkms-{}.tar.gz", branch->tag,
                       branch->tag);
  const auto series = catalogue::parse_major_minor(kernel);
  if (!branch || !series || !(*series < branch->kernel_first)) return "No release that is known is made for this kernel";
  if (facts.pve && facts.pve->major == 7)
    return fmt::format(
        "Proxmox VE 7 has VFs of Intel graphics only with its opt-in kernel 6.2 (gpu_platform_kernel: \"6.2\") and the "
        "source archive of the branch {}",
        branch->tag);
  return fmt::format("There is none for kernels before {}: install a newer one", catalogue::to_string(branch->kernel_first));
}

}  // namespace

KernelVerdict judge_i915_on(const HostView& host, const gpu::HostFacts& facts, const std::string& version, const std::string& kernel) {
  KernelVerdict out{catalogue::dkms_builds(version, kernel)};
  if (out.builds == Verdict::unknown)
    out.told = fmt::format("i915-sriov-dkms {} is not in the catalogue: whether it builds on kernel {} is not known", version, kernel);
  if (out.builds != Verdict::no) return out;
  const auto tag = catalogue::find_dkms(version);
  out.told = fmt::format(
      "i915-sriov-dkms {} is made for kernels {} to {}, and kernel {} {}: DKMS would skip it, and the kernel's own i915, which makes no "
      "VFs, would be loaded. {}",
      version, catalogue::to_string(tag->kernel_first), catalogue::to_string(tag->kernel_last), kernel, when_it_runs(host, kernel),
      what_fits(host, facts, version, kernel));
  out.passing = fmt::format("kernel {} runs, for which i915-sriov-dkms {} is not made", kernel, version);
  return out;
}

KernelVerdict judge_xe_on(const HostView& host, const gpu::Gpu& gpu, bool limits_vfs, const std::string& kernel) {
  const auto series = catalogue::parse_major_minor(kernel);
  if (!series || *series < *gpu.intel->xe_kernel)
    return {Verdict::no,
            fmt::format("xe makes VFs of {} ({}, {}) from kernel {} on, and kernel {} {}: install a newer one (gpu_platform_kernel){}",
                        gpu.address, gpu.name, gpu.intel->platform, catalogue::to_string(*gpu.intel->xe_kernel), kernel,
                        when_it_runs(host, kernel), gpu.intel->dkms_from.empty() ? "" : ", or take i915-sriov-dkms (driver=i915)"),
            fmt::format("kernel {} runs, whose xe makes no VFs", kernel)};
  const auto module = host.kernel_module("xe", kernel);
  if (module && !module->available) {
    const std::string lacks = fmt::format("kernel {} has no module xe", kernel);
    return {Verdict::no, lacks, lacks};
  }
  const std::string doubt = limits_vfs && module ? why_no_vfs(host, "xe", kernel) : std::string();
  return {doubt.empty() ? Verdict::yes : Verdict::unknown, doubt};
}

}  // namespace pvegpu::driver
