// SPDX-License-Identifier: MIT
// kernel_gate: do the GPU drivers of this host build on the kernels that it is about to get. It changes nothing.
#include "common/boot/boot_pools.hpp"
#include "common/catalogue/catalogue.hpp"
#include "common/core/module.hpp"
#include "common/driver/dkms.hpp"
#include "common/driver/i915.hpp"
#include "common/facts/kernels.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using catalogue::Verdict;

struct Params {
  std::vector<std::string> kernels;
  std::optional<std::string> nvidia_driver, i915_sriov_driver;
};

struct Driver {
  const char* name;
  std::string version;
};

/// The version that DKMS builds on every new kernel.
std::optional<std::string> dkms_version(const HostView& host, const std::string& name) {
  const auto versions = driver::dkms_sources(host, name);
  return versions.empty() ? std::nullopt : std::optional(versions.back());
}

std::vector<Driver> drivers_of(const Params& params, const HostView& host) {
  std::vector<Driver> out;
  auto nvidia = params.nvidia_driver ? params.nvidia_driver : dkms_version(host, "nvidia");
  if (!nvidia)
    if (const auto loaded = host.read_attr("/sys/module/nvidia/version")) nvidia = *loaded;
  if (nvidia) out.push_back({"nvidia", *nvidia});
  const auto i915 = params.i915_sriov_driver ? params.i915_sriov_driver : dkms_version(host, driver::i915_package);
  if (i915) out.push_back({driver::i915_package, *i915});
  return out;
}

catalogue::BuildAnswer judge(const Driver& driver, const std::string& kernel) {
  if (driver.name == std::string_view("nvidia")) return catalogue::builds_on(driver.version, kernel);
  const auto tag = catalogue::find_dkms(driver.version);
  if (!tag) return {Verdict::unknown, "This tag is not in the catalogue; its dkms.conf names the kernels.", catalogue::Confidence::low, ""};
  const Verdict builds = catalogue::dkms_builds(driver.version, kernel);
  return {builds,
          builds == Verdict::no ? "Its dkms.conf leaves this kernel out: DKMS skips it, and the kernel's own i915 makes no VFs."
                                : "Its dkms.conf names this kernel.",
          tag->confidence, tag->source};
}

struct VerdictAnswer {
  std::string kernel;
  std::string driver;
  std::string version;
  Verdict builds = Verdict::unknown;
  std::string evidence;
  catalogue::Confidence confidence = catalogue::Confidence::low;

  static void fields(Reply<VerdictAnswer>& out) {
    out.field("kernel", &VerdictAnswer::kernel, {.doc = "Kernel release.", .sample = "6.14.11-2-pve"});
    out.field("driver", &VerdictAnswer::driver, {.doc = "V(nvidia) or V(i915-sriov-dkms).", .sample = "nvidia"});
    out.field("version", &VerdictAnswer::version, {.doc = "Version of the driver.", .sample = "535.161.05"});
    out.field("builds", &VerdictAnswer::builds, {.doc = "One of V(yes), V(no), V(unknown).", .sample = "no"});
    out.field("evidence", &VerdictAnswer::evidence, {.doc = "What says so."});
    out.field("confidence", &VerdictAnswer::confidence,
              {.doc = "How good that source is, one of V(low), V(medium), V(high).", .sample = "medium"});
  }
};

struct Answer {
  bool allowed = false;
  std::vector<std::string> reasons;
  std::vector<VerdictAnswer> verdicts;
  std::vector<std::string> installed;
  std::string next_kernel;
  std::optional<std::string> pin;

  static void fields(Reply<Answer>& out) {
    out.field(
        "allowed", &Answer::allowed,
        {.doc = "No driver is known not to build on one of the kernels, and each can import the ZFS pools that the host boots from."});
    out.field("reasons", &Answer::reasons, {.doc = "One sentence for each driver or ZFS pool and kernel that do not fit."});
    out.field("verdicts", &Answer::verdicts,
              {.doc = "What is known of each driver on each kernel. Empty where there is no driver to judge."});
    out.field("installed", &Answer::installed, {.doc = "Kernels that have an image in C(/boot), the oldest first."});
    out.field("next_kernel", &Answer::next_kernel,
              {.doc = "The kernel that the next boot starts, as things are, the pinned one or the newest.", .sample = "6.8.12-9-pve"});
    out.field("pin", &Answer::pin,
              {.doc = "The newest installed kernel on which no driver is known to fail and whose ZFS can import the pools that the host "
                      "boots from, null when there is none.",
               .sample = "6.5.13-6-pve"});
  }
};

void plan(const Params& params, const HostView& host, Plan& out) {
  const auto installed = driver::installed_kernels(host);
  const std::string next = driver::next_kernel(host, installed);
  const std::vector<std::string> kernels = params.kernels.empty() ? std::vector<std::string>{next} : params.kernels;
  for (const std::string& kernel : kernels)
    if (!catalogue::parse_major_minor(kernel))
      throw ModuleError(
          fmt::format("parameter 'kernels': '{}' is not a kernel release; write it as uname -r does, for example 6.8.12-4-pve", kernel));
  const auto drivers = drivers_of(params, host);
  Answer answer;
  for (const std::string& kernel : kernels) {
    const boot::PoolVerdict pools = boot::judge_boot_pools(host, kernel);
    for (const std::string& refusal : pools.refusals) answer.reasons.push_back(refusal);
    for (const std::string& warning : pools.warnings) out.warn(warning);
    for (const Driver& driver : drivers) {
      const auto known = judge(driver, kernel);
      answer.verdicts.push_back({kernel, driver.name, driver.version, known.builds, std::string(known.evidence), known.confidence});
      if (known.builds == Verdict::no)
        answer.reasons.push_back(fmt::format("{} {} does not build on kernel {}: {}", driver.name, driver.version, kernel, known.evidence));
      if (known.builds == Verdict::unknown)
        out.warn(fmt::format("nobody has told whether {} {} builds on kernel {}: {}", driver.name, driver.version, kernel, known.evidence));
    }
  }
  for (const std::string& kernel : installed)
    if (std::none_of(drivers.begin(), drivers.end(), [&](const Driver& driver) { return judge(driver, kernel).builds == Verdict::no; }) &&
        boot::judge_boot_pools(host, kernel).refusals.empty())
      answer.pin = kernel;
  answer.allowed = answer.reasons.empty();
  answer.installed = installed;
  answer.next_kernel = next;
  out.report(answer);
}

}  // namespace

PVEGPU_MODULE(
    kernel_gate, Params,
    (ModuleDoc{
        .name = "kernel_gate",
        .summary = "Whether the GPU drivers build on the kernels that are to come",
        .description =
            {"Judges kernels, for example those that an upgrade would bring, by what is known of the installed or wanted NVIDIA vGPU "
             "host driver and of Intel's SR-IOV i915 package: which version builds on which kernel. A driver that does not build leaves "
             "the host without vGPUs after the next boot.",
             "Where the host boots from ZFS, a kernel whose ZFS does not know a feature that the pool uses stops in the initramfs: that is "
             "a reason against it too.",
             "It changes nothing, and the task does not fail when the answer is no: look at RV(allowed)."},
        .examples = R"(- name: May the upgrade bring this kernel
  pve.gpu.kernel_gate:
    kernels: [6.14.11-2-pve]
  register: gate

- name: Stop if it may not
  ansible.builtin.assert:
    that: gate.allowed
    fail_msg: "{{ gate.reasons | join(' / ') }}; kernel {{ gate.pin }} can be pinned"
)",
        .answer = answer_of<Answer>,
        .notes = {"What is known is mostly the experience of other operators; a build that failed is seen in the log of DKMS."},
        .effects = Effects::none,
    }),
    Spec<Params>{}
        .param("kernels", &Params::kernels,
               {.doc = "Kernel releases as C(uname -r) writes them; without any, the one that the next boot starts."})
        .param(
            "nvidia_driver", &Params::nvidia_driver,
            {.doc = "Version of the NVIDIA host driver that is wanted, for example V(535.161.05); by default the one that is installed."})
        .param("i915_sriov_driver", &Params::i915_sriov_driver,
               {.doc = "Tag of the i915-sriov-dkms package that is wanted; by default the one that is installed."}),
    plan)

}  // namespace pvegpu
