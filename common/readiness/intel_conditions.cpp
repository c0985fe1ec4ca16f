// SPDX-License-Identifier: MIT
// Intel: SR-IOV by i915-sriov-dkms or the kernel's own xe, and GVT-g of the generations before.
#include "common/base/strings.hpp"
#include "common/driver/dkms.hpp"
#include "common/driver/i915.hpp"
#include "common/readiness/conditions.hpp"
#include "common/readiness/judge.hpp"

namespace pvegpu::readiness {
namespace {

Cure install(std::string text = "pve.gpu.i915_sriov_driver, then a reboot") {
  return task("i915_sriov_driver", json::object(), BroughtBy::driver, std::move(text));
}

bool makes_vfs(const catalogue::IntelGpu& gpu) { return !gpu.dkms_from.empty() || gpu.xe_kernel; }

/// The kernel's own xe makes VFs of it.
bool xe_serves(const Question& q) {
  const auto kernel = catalogue::parse_major_minor(q.facts().kernel);
  return q.gpu->intel && q.gpu->intel->xe_kernel && kernel && !(*kernel < *q.gpu->intel->xe_kernel);
}

/// Only a branch of i915-sriov-dkms serves this kernel, no release.
bool only_branch_serves(const Question& q) {
  return !catalogue::newest_dkms(q.facts().kernel) &&
         catalogue::dkms_builds(driver::i915_branch, q.facts().kernel) == catalogue::Verdict::yes;
}

bool is_installed(const Question& q) { return q.facts().i915.max_vfs || q.facts().i915.installed_has_max_vfs; }

}  // namespace

void intel_board(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  if (!gpu.is_intel()) return out.fail_for_ever("it is not an Intel GPU", "pass it through whole, or choose another GPU");
  if (gpu.sriov.total > 0) return;
  const char* instead =
      "pass it through whole (pve.gpu.vfio); Intel's processors have SR-IOV from the 12th generation on, and of the 11th the mobile ones "
      "(Tiger Lake), not Rocket Lake";
  if (!gpu.intel) return out.fail_for_ever(fmt::format("{} has no SR-IOV: it is not in the list of Intel GPUs that do", gpu.name), instead);
  if (!makes_vfs(*gpu.intel)) out.fail_for_ever(fmt::format("{} ({}) has no SR-IOV", gpu.name, gpu.intel->platform), instead);
}

void intel_kernel(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  if (gpu.sriov.total > 0 || !gpu.intel) return out.skip();
  if (gpu.intel->dkms_from.empty()) {
    if (!xe_serves(q))
      out.fail(fmt::format("its VFs come with the kernel's driver xe from {} on, this is kernel {}",
                           gpu.intel->xe_kernel ? catalogue::to_string(*gpu.intel->xe_kernel) : "(unknown)", q.facts().kernel),
               hands("gpu_platform_kernel: a series from there on"));
    return;
  }
  if (!is_installed(q) && !xe_serves(q) && !catalogue::newest_dkms(q.facts().kernel) && !only_branch_serves(q))
    out.fail(fmt::format("no release of i915-sriov-dkms builds on kernel {}", q.facts().kernel),
             hands("gpu_platform_kernel: a series on which one does"));
}

void intel_built(const Question& q, Condition& out) {
  const gpu::HostFacts& facts = q.facts();
  if (q.gpu->sriov.total > 0 || wished_driver(*q.gpu, facts) == "xe") return out.skip();  // xe is part of the kernel
  if (is_installed(q)) {
    out.see(fmt::format("/lib/modules/{} has the module", facts.kernel));
    if (facts.boot.secure_boot == true && !facts.i915.loaded)
      out.fail(
          "Secure Boot is on and the module is not loaded: the key that DKMS signs with is not enrolled",
          {fmt::format("mokutil --import {}, reboot, and choose 'Enroll MOK' at the console; pve.gpu.i915_sriov_driver says which keys "
                       "to press",
                       driver::signing_key),
           BroughtBy::reboot});
    return;
  }
  const std::string name = driver::i915_package, task = "pve.gpu.i915_sriov_driver";
  const auto versions = driver::dkms_sources(q.host, name);
  if (versions.empty()) {
    const auto newest = catalogue::newest_dkms(facts.kernel);
    return out.fail(fmt::format("no {} is installed for DKMS, and the i915 of kernel {} makes no VFs", name, facts.kernel),
                    install(newest ? fmt::format("{} with {} of it for example, then a reboot", task, newest->tag)
                                   : fmt::format("{} with the source archive of the branch {}, then a reboot", task, driver::i915_branch)));
  }
  const std::string& version = versions.back();
  out.see(fmt::format("/usr/src/{}-{} is there", name, version));
  if (catalogue::dkms_builds(version, facts.kernel) == catalogue::Verdict::no)
    return out.fail(fmt::format("i915-sriov-dkms {} leaves kernel {} out: DKMS skipped it", version, facts.kernel),
                    install(task + " with another release of it, or gpu_platform_kernel"));
  if (const auto file = q.host.kernel_module("i915", facts.kernel); file && text::contains(file->file, "/updates/"))
    if (const std::string why = driver::why_no_vfs(q.host, "i915", facts.kernel); !why.empty())
      return out.fail(why, install(task + " with a release for this kernel"));
  if (!q.host.exists(fmt::format("/lib/modules/{}/build", facts.kernel)))
    return out.fail(fmt::format("/lib/modules/{}/build is missing: there are no headers for the running kernel", facts.kernel),
                    install("gpu_platform_headers: true, then " + task));
  out.fail(fmt::format("DKMS did not build {} {} for kernel {}", name, version, facts.kernel),
           install(fmt::format("{0}, or dkms install {1}/{2} -k {3}; its log: /var/lib/dkms/{1}/{2}/build/make.log", task, name, version,
                               facts.kernel)));
}

void intel_rival(const Question& q, Condition& out) {
  if (q.gpu->driver == "xe" && q.gpu->sriov.total == 0 && !xe_serves(q))
    out.fail(fmt::format("the driver xe has it, which makes no VFs of it on kernel {}", q.facts().kernel),
             install("pve.gpu.i915_sriov_driver, which keeps xe away, then a reboot"));
}

void intel_kept_away(const Question& q, Condition& out) {
  const std::string module = q.way == Way::intel_gvtg ? "i915" : wished_driver(*q.gpu, q.facts());
  if (q.gpu->driver == module || q.gpu->sriov.total > 0) return out.skip();
  judge_kept_away(q, out, module, false);
}

void intel_makes_vfs(const Question& q, Condition& out) {
  const gpu::IntelDriver& i915 = q.facts().i915;
  if (q.gpu->sriov.total > 0) return out.see(fmt::format("{}: {}", q.sysfs("sriov_totalvfs"), q.gpu->sriov.total));
  if (!q.gpu->driver) return out.fail("no driver has it", hands("see dmesg for " + wished_driver(*q.gpu, q.facts())));
  if (q.gpu->driver == "xe")
    return out.fail("the driver xe shows no VFs of it",
                    hands("switch on SR-IOV in the BIOS setup, and see xe.max_vfs on the command line"));
  if (i915.max_vfs) {
    out.see(fmt::format("/sys/module/i915/parameters/max_vfs: {}", *i915.max_vfs));
    return out.fail(fmt::format("i915 runs with max_vfs={} and makes no VFs", *i915.max_vfs), install());
  }
  out.see("/sys/module/i915/parameters/max_vfs is missing");
  if (i915.installed_has_max_vfs)
    return out.fail("the SR-IOV build of i915 is installed, but the stock one runs", {"reboot", BroughtBy::reboot});
  out.fail("the stock i915 runs, which makes no VFs", install());
}

void gvtg_board(const Question& q, Condition& out) {
  if (!q.gpu->is_intel()) return out.fail_for_ever("it is not an Intel GPU", "pass it through whole, or choose another GPU");
  if (q.gpu->framework != gpu::Framework::mdev && !(q.gpu->intel && q.gpu->intel->gvtg))
    out.fail_for_ever("GVT-g is there from Broadwell to Comet Lake only (5th to 10th generation, not Ice Lake)", "pass it through whole");
}

void gvtg_driver(const Question& q, Condition& out) {
  if (q.gpu->framework == gpu::Framework::mdev) return out.see(q.sysfs("mdev_supported_types") + " is there");
  if (q.gpu->driver != "i915")
    return out.fail(fmt::format("it is bound to {}, not to i915", q.gpu->driver.value_or("no driver")), hands("see dmesg for i915"));
  if (!q.facts().has_driver("kvmgt"))
    return out.fail("the module kvmgt is not loaded", hands("modprobe kvmgt, and a line kvmgt in /etc/modules-load.d for each boot"));
  out.fail("i915 offers no mediated devices on it", hands("see dmesg for gvt"));
}

void gvtg_types(const Question& q, Condition& out) {
  out.see(fmt::format("framework {}, {}", catalogue::to_text(q.gpu->framework),
                      gpu::counted(static_cast<std::int64_t>(q.gpu->vgpu_types.size()), "vGPU type")));
  if (q.gpu->vgpu_types.empty())
    out.fail("i915 offers no GVT-g types on it", hands("raise the aperture size of the graphics in the BIOS setup"));
}

}  // namespace pvegpu::readiness
