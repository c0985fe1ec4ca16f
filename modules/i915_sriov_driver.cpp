// SPDX-License-Identifier: MIT
// i915_sriov_driver: the driver that makes VFs of Intel graphics: strongtz's i915-sriov-dkms from the user's own file, or the kernel's xe.
#include "common/boot/cmdline.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/readiness/judge.hpp"
#include "common/facts/machine.hpp"
#include "common/driver/i915.hpp"
#include "common/facts/kernels.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using catalogue::Verdict;
using driver::I915File;
using driver::Missing;

enum class Driver { automatic, i915, xe };

struct Params {
  std::optional<std::string> file, sha256, version;
  bool allow_unverified = false;
  Missing missing = Missing::refuse;
  Driver driver = Driver::automatic;
  std::optional<std::int64_t> max_vfs;
  boot::Conflicts conflicts = boot::Conflicts::refuse;
  State state = State::present;
  FollowUps follow_ups = FollowUps::now;
};

struct KernelAnswer {
  std::string kernel;
  std::optional<catalogue::Verdict> builds;
  std::optional<std::string> built;
  bool makes_vfs = false;

  static void fields(Reply<KernelAnswer>& out) {
    out.field("kernel", &KernelAnswer::kernel, {.doc = "Kernel release."});
    out.field("builds", &KernelAnswer::builds, {.doc = "Whether the wanted version is made for it, one of V(yes), V(no), V(unknown)."});
    out.field("built", &KernelAnswer::built, {.doc = "The version that DKMS has installed for it, null for none."});
    out.field("makes_vfs", &KernelAnswer::makes_vfs, {.doc = "Whether the module that it will load has the parameter C(max_vfs)."});
  }
};

struct DriverAnswer {
  const char* module = "";
  std::string wanted;
  std::optional<std::string> installed;
  std::optional<std::int64_t> max_vfs;
  std::vector<KernelAnswer> kernels;

  static void fields(Reply<DriverAnswer>& out) {
    out.field("module", &DriverAnswer::module, {.doc = "The kernel module that makes the VFs, C(i915) or C(xe)."});
    out.field(
        "wanted", &DriverAnswer::wanted,
        {.doc = "Version of i915-sriov-dkms, from the name of the file; null for C(xe).", .sample = "2025.07.22", .null_if_empty = true});
    out.field("installed", &DriverAnswer::installed,
              {.doc = "Version that is installed, with a remark in brackets when it has to be installed again; null for none."});
    out.field("max_vfs", &DriverAnswer::max_vfs,
              {.doc = "Value of this parameter in the i915 that runs; null for one without it, which makes no VFs."});
    out.field("kernels", &DriverAnswer::kernels, {.doc = "The running kernel, and the one that the next boot starts if that is another."});
  }
};

struct CardAnswer {
  std::string address;
  std::string name;
  std::string platform;
  std::optional<std::string> driver;
  std::int64_t vfs = 0;

  static void fields(Reply<CardAnswer>& out) {
    out.field("address", &CardAnswer::address, {.doc = "PCI address."});
    out.field("name", &CardAnswer::name, {.doc = "Name."});
    out.field("platform", &CardAnswer::platform,
              {.doc = "The processor's or card's family, null when it is not known.", .sample = "Alder Lake-S", .null_if_empty = true});
    out.field("driver", &CardAnswer::driver, {.doc = "The driver that has it, null for none."});
    out.field("vfs", &CardAnswer::vfs, {.doc = "How many VFs it offers now."});
  }
};

struct Answer {
  DriverAnswer driver;
  std::vector<CardAnswer> cards;
  std::string boot_without;
  std::optional<driver::Lacks> lacks;

  static void fields(Reply<Answer>& out) {
    out.field("driver", &Answer::driver, {.doc = "The driver that is wanted and the one that is there."});
    out.field("cards", &Answer::cards, {.doc = "The Intel GPUs that are meant."});
    out.field("boot_without", &Answer::boot_without,
              {.doc = "What to do at the boot menu when the host does not come up with this driver."});
    out.field(
        "lacks", &Answer::lacks,
        {.doc =
             "What has to come to the host before the driver can be installed. Headers and tools are looked for with O(missing=wait) only.",
         .when = "with C(state=present), unless the task is refused before it is looked for"});
    out.also<boot::CmdlineAnswer>({.doc = "See C(kernel_cmdline).", .when = "when the command line was looked at"});
  }
};

class DriverPlanner {
 public:
  DriverPlanner(const Params& params, const HostView& host, Plan& out)
      : params_(params),
        host_(host),
        out_(out),
        hardware_(gpu::require_machine(host)),
        facts_(hardware_.facts),
        kernels_(driver::kernels_to_serve(host)),
        setup_(driver::i915_kind, host, out) {}

  void present() {
    if (const std::string why = choose_gpus(); !why.empty()) {
      report();
      out_.refuse(why);
      return;
    }
    own_ = driver_ == Driver::xe ? "xe" : "i915";
    max_vfs_ = params_.max_vfs.value_or(driver::most_vfs);
    if (max_vfs_ < 1 || max_vfs_ > (driver_ == Driver::xe ? driver::most_xe_vfs : driver::most_vfs))
      throw ModuleError(fmt::format("parameter 'max_vfs': {} makes from 1 to {} VFs, not {}", own_,
                                    driver_ == Driver::xe ? driver::most_xe_vfs : driver::most_vfs, max_vfs_));
    driver_ == Driver::xe ? present_xe() : present_i915();
  }

  void absent() {
    report();
    // True before the driver goes and after: what runs is not what the next boot loads.
    const bool goes = (setup_.record && setup_.installed) || !driver::module_makes_vfs(host_, "i915", host_.kernel_release());
    out_.reboot_if(goes && facts_.i915.max_vfs, "the i915 of i915-sriov-dkms runs until the next boot");
    setup_.take_back();
    boot::plan_cmdline(host_, out_, driver::without_igpu_cmdline(host_, out_, facts_.boot, devices()));
  }

 private:
  bool refuse(std::string reason) {
    out_.refuse(std::move(reason));
    return false;
  }

  // --- which GPUs, by which driver -----------------------------------------------------------------------------------------------
  /// "" or why none of them can be split.
  std::string choose_gpus() {
    std::vector<const gpu::Gpu*> all, by_i915, by_xe;
    for (const gpu::Gpu& gpu : hardware_.gpus) {
      if (!gpu.is_intel() || gpu.kind != gpu::Kind::gpu) continue;
      all.push_back(&gpu);
      if (gpu.intel && !gpu.intel->dkms_from.empty()) by_i915.push_back(&gpu);
      if (gpu.intel && gpu.intel->xe_kernel) by_xe.push_back(&gpu);
    }
    driver_ = params_.driver;
    if (driver_ == Driver::automatic) driver_ = by_i915.empty() && !by_xe.empty() ? Driver::xe : Driver::i915;
    gpus_ = driver_ == Driver::xe ? by_xe : by_i915;
    if (!gpus_.empty()) return {};
    if (all.empty())
      return "this host has no Intel GPU: if the processor has one, switch it on in the BIOS setup ('iGPU Multi-Monitor' or 'Internal "
             "Graphics')";
    const gpu::Gpu& gpu = *all[0];
    gpus_ = {&gpu};
    if (const readiness::Condition board = readiness::judge(asked(gpu), "intel_board"); board.state == readiness::State::unmet)
      return readiness::told(board, fmt::format("{} ({})", gpu.address, gpu.name));
    return fmt::format("{} ({}) is of {}, which {} gives no VFs{}", gpu.address, gpu.name,
                       gpu.intel ? gpu.intel->platform : "no known platform",
                       driver_ == Driver::xe ? "the kernel's driver xe" : "i915-sriov-dkms",
                       driver_ == Driver::xe ? by_i915.empty() ? "" : ": take i915-sriov-dkms (driver=i915)" : ": take driver=xe");
  }

  readiness::Question asked(const gpu::Gpu& gpu) const {
    return {.host = host_, .machine = hardware_, .gpu = &gpu, .way = readiness::Way::intel_vgpu};
  }

  bool is_free() {
    for (const gpu::Gpu* gpu : gpus_)
      if (const readiness::Condition held = readiness::judge(asked(*gpu), "not_on_vfio"); held.state == readiness::State::unmet)
        return refuse(readiness::told(held, fmt::format("{} ({})", gpu->address, gpu->name)));
    return true;
  }

  // --- i915-sriov-dkms ---------------------------------------------------------------------------------------------------------
  void present_i915() {
    if (!params_.file) {
      report();
      refuse("parameter 'file' is missing: the package i915-sriov-dkms_VERSION_amd64.deb of a release of strongtz/i915-sriov-dkms");
      return;
    }
    const std::string& path = *params_.file;
    named_ = driver::parse_i915_file(path);
    const bool known = named_.kind != I915File::Kind::other;
    const bool takes = setup_.takes(path, named_.version, known ? params_.version : std::nullopt);
    report();
    if (!takes) return;
    if (!known) {
      refuse(
          fmt::format("{} is not named as strongtz names i915-sriov-dkms; take i915-sriov-dkms_VERSION_amd64.deb of a release, or for "
                      "kernels 6.1 to 6.7 the source archive i915-sriov-dkms-{}.tar.gz of that branch, and keep its name",
                      last_part(path), driver::i915_branch));
      return;
    }
    tag_ = catalogue::find_dkms(version_);
    if (!is_free() || !suits_gpus() || !suits_kernels() || is_kept_away()) return;
    const bool install = setup_.is_wanted();
    const bool build =
        install || std::any_of(build_for_.begin(), build_for_.end(), [&](const std::string& kernel) { return !is_served(kernel); });
    const bool fits = (!install || can_install()) && (!build || can_build());
    report_lacks();
    if (!fits || ((build || !runs_right()) && !setup_.is_signed(facts_.boot))) return;
    if (install) setup_.keep();
    if (!setup_.waits()) {
      if (install) plan_install();
      for (const std::string& kernel : build_for_)
        if (install || !is_served(kernel)) plan_build(kernel);
    }
    needs_reboot();
    auto parameters = driver::i915_parameters(max_vfs_);
    if (wants_blacklist()) parameters.push_back(blacklist("xe", "i915"));
    boot::plan_cmdline(host_, out_, driver::igpu_cmdline(host_, facts_.boot, own_, std::move(parameters), params_.conflicts, devices()));
    await_reboot();
    if (out_.empty() && out_.waits().empty()) prove();
  }

  /// The releases from 2025.02.03 on want xe kept away; an older one needs it where xe has, or had, the GPU.
  bool wants_blacklist() const {
    const auto running = text::parse_kernel_cmdline(facts_.boot.cmdline.value_or(""));
    return !tag_ || tag_->blacklist_xe || std::find(running.begin(), running.end(), blacklist("xe", "i915")) != running.end() ||
           std::any_of(gpus_.begin(), gpus_.end(), [](const gpu::Gpu* gpu) { return gpu->driver == "xe"; });
  }

  bool suits_gpus() {
    for (const gpu::Gpu* gpu : gpus_)
      if (tag_ && tag_->kind != catalogue::DkmsKind::branch && version_ < gpu->intel->dkms_from)
        return refuse(fmt::format("i915-sriov-dkms {} does not know {} ({}, {}): releases from {} on do", version_, gpu->address, gpu->name,
                                  gpu->intel->platform, gpu->intel->dkms_from));
    return true;
  }

  bool suits_kernels() {
    for (const std::string& kernel : kernels_) {
      const Verdict builds = catalogue::dkms_builds(version_, kernel);
      if (builds != Verdict::no || is_served(kernel)) {
        if (builds == Verdict::unknown && !is_served(kernel))
          out_.warn(
              fmt::format("i915-sriov-dkms {} is not in the catalogue: whether it builds on kernel {} is not known", version_, kernel));
        build_for_.push_back(kernel);
        continue;
      }
      if (kernel == kernels_.back())
        return refuse(
            fmt::format("i915-sriov-dkms {} is made for kernels {} to {}, and kernel {} {}: DKMS would skip it, and the kernel's "
                        "own i915, which makes no VFs, would be loaded. {}",
                        version_, catalogue::to_string(tag_->kernel_first), catalogue::to_string(tag_->kernel_last), kernel,
                        kernels_.size() == 1 ? "runs" : "is what the next boot starts", what_fits(kernel)));
      out_.reboot_if(true, fmt::format("kernel {} runs, for which i915-sriov-dkms {} is not made", kernel, version_));
    }
    return true;
  }

  /// What to do on a kernel for which this version is not made.
  std::string what_fits(const std::string& kernel) const {
    for (const std::string& other : driver::installed_kernels(host_))
      if (catalogue::dkms_builds(version_, other) == Verdict::yes)
        return fmt::format("Kernel {} is installed and fits: pin it (gpu_platform_kernel, or module kernel_pin), or take another release",
                           other);
    if (const auto tag = catalogue::newest_dkms(kernel)) return fmt::format("Release {} is made for this kernel", tag->tag);
    const auto branch = catalogue::find_dkms(driver::i915_branch);
    if (branch && catalogue::dkms_builds(branch->tag, kernel) == Verdict::yes)
      return fmt::format("The branch {} is made for this kernel: give the source archive i915-sriov-dkms-{}.tar.gz", branch->tag,
                         branch->tag);
    const auto series = catalogue::parse_major_minor(kernel);
    if (!branch || !series || !(*series < branch->kernel_first)) return "No release that is known is made for this kernel";
    if (facts_.pve && facts_.pve->major == 7)
      return fmt::format(
          "Proxmox VE 7 has VFs of Intel graphics only with its opt-in kernel 6.2 (gpu_platform_kernel: \"6.2\") and the "
          "source archive of the branch {}",
          branch->tag);
    return fmt::format("There is none for kernels before {}: install a newer one", catalogue::to_string(branch->kernel_first));
  }

  /// DKMS has built this version for it, and what it will load makes VFs.
  bool is_served(const std::string& kernel) const {
    return driver::dkms_installed(host_, driver::i915_package, kernel) == version_ && driver::module_makes_vfs(host_, "i915", kernel);
  }

  bool can_install() {
    // Sources of i915 and xe, and what a build leaves, are estimated.
    const auto places = [](std::uint64_t size) -> std::vector<std::pair<const char*, std::uint64_t>> {
      return {{"/var/lib", size + 500 * driver::mebibyte}, {"/usr", 10 * size + 100 * driver::mebibyte}};
    };
    return setup_.has_file(params_.sha256, params_.allow_unverified, params_.missing, places);
  }

  bool can_build() {
    const int release = facts_.pve ? facts_.pve->major : 8;
    return std::all_of(build_for_.begin(), build_for_.end(),
                       [&](const std::string& kernel) { return is_served(kernel) || setup_.has_tools(kernel, release, params_.missing); });
  }

  // --- steps -------------------------------------------------------------------------------------------------------------------
  void plan_install() {
    // dpkg replaces a whole package by another version; all else goes first.
    const bool package = named_.kind == I915File::Kind::package;
    const bool clean = setup_.installed && (!package || !driver::i915_is_package(host_) || setup_.installed->ends_with(")"));
    setup_.install(
        clean,
        [package, copy = setup_.file.copy, version = version_](Host& host) { return driver::install_i915(host, copy, version, package); },
        driver::installed_i915);
  }

  void plan_build(const std::string& kernel) {
    const bool serves = driver::module_makes_vfs(host_, "i915", kernel);
    setup_.build(kernel, "i915 with SR-IOV for kernel " + kernel,
                 serves ? driver::dkms_installed(host_, driver::i915_package, kernel) : std::nullopt,
                 [kernel, version = version_](const HostView& host) -> Result<> {
                   if (const std::string why = driver::why_no_vfs(host, "i915", kernel); !why.empty()) return Error{why};
                   const auto built = driver::dkms_installed(host, driver::i915_package, kernel);
                   if (built == version) return {};
                   return Error{fmt::format("DKMS has {} for it", built ? *built : std::string("nothing"))};
                 });
  }

  /// What runs is what the next boot would load.
  bool runs_right() const {
    const auto file = host_.kernel_module("i915", host_.kernel_release());
    const bool other = file && facts_.i915.version && !file->version.empty() && file->version != *facts_.i915.version;
    return facts_.i915.max_vfs == max_vfs_ && !other && driver_has_gpus();
  }

  bool driver_has_gpus() const {
    return std::all_of(gpus_.begin(), gpus_.end(), [&](const gpu::Gpu* gpu) { return gpu->driver == own_; });
  }

  /// i915 draws the host's console: another one comes with the next boot only. The reason is the same until it has come, so that a boot
  /// that did not bring it is noticed.
  void needs_reboot() {
    if (runs_right()) return;
    const std::string loaded = facts_.i915.version ? " " + *facts_.i915.version : std::string();
    out_.reboot_if(
        true, !facts_.i915.loaded ? "i915 is not loaded"
              : !facts_.i915.max_vfs
                  ? fmt::format("the kernel's own i915 runs, which makes no VFs; the next boot loads that of i915-sriov-dkms {}", version_)
              : facts_.i915.max_vfs != max_vfs_ ? fmt::format("i915 runs with max_vfs={}, not {}", *facts_.i915.max_vfs, max_vfs_)
              : !driver_has_gpus() ? fmt::format("{} has {}, not i915", gpus_[0]->driver.value_or("no driver"), gpus_[0]->address)
                                   : fmt::format("i915{} runs, not {}", loaded, version_));
  }

  void await_reboot() {
    if (!out_.reboot_reason()) return;
    const std::string advice =
        setup_.signing == driver::Signing::requested ? "; " + driver::signing_advice(host_, setup_.signing) : std::string();
    out_.later({"reboot", *out_.reboot_reason() + advice});
  }

  /// All is done: the driver shows VFs.
  void prove() {
    for (const gpu::Gpu* gpu : gpus_)
      if (gpu->sriov.total == 0)
        return (void)refuse(
            fmt::format("{} runs with all that it needs and offers no VFs of {} ({}): switch on 'SR-IOV' and 'VT-d' in the BIOS "
                        "setup, and see dmesg for 'VFs could be associated'",
                        own_, gpu->address, gpu->name));
  }

  // --- the kernel's own xe -------------------------------------------------------------------------------------------------------
  void present_xe() {
    report();
    report_lacks();
    if (params_.file) out_.warn("the file is not used: xe is part of the kernel");
    if (!is_free() || is_kept_away()) return;
    std::vector<text::KernelParameter> parameters;
    for (const gpu::Gpu* gpu : gpus_) {
      for (const std::string& kernel : kernels_) {
        const auto series = catalogue::parse_major_minor(kernel);
        const bool fits = series && !(*series < *gpu->intel->xe_kernel);
        if (!fits && kernel == kernels_.back()) {
          refuse(fmt::format("xe makes VFs of {} ({}, {}) from kernel {} on, and kernel {} {}: install a newer one (gpu_platform_kernel){}",
                             gpu->address, gpu->name, gpu->intel->platform, catalogue::to_string(*gpu->intel->xe_kernel), kernel,
                             kernels_.size() == 1 ? "runs" : "is what the next boot starts",
                             gpu->intel->dkms_from.empty() ? "" : ", or take i915-sriov-dkms (driver=i915)"));
          return;
        }
        if (!fits) {
          out_.reboot_if(true, fmt::format("kernel {} runs, whose xe makes no VFs", kernel));
        } else if (const auto module = host_.kernel_module("xe", kernel); module && !module->available) {
          refuse(fmt::format("kernel {} has no module xe", kernel));
          return;
        } else if (params_.max_vfs && module) {
          if (const std::string why = driver::why_no_vfs(host_, "xe", kernel); !why.empty()) out_.warn(why);
        }
      }
      if (gpu->intel->xe_force_probe) parameters.push_back({"xe.force_probe", gpu::hex4(gpu->ids.device)});
      if (gpu->intel->xe_force_probe && gpu->intel->integrated) parameters.push_back(blacklist("i915", "xe"));
    }
    if (params_.max_vfs) parameters.push_back({"xe.max_vfs", std::to_string(max_vfs_)});
    out_.reboot_if(!driver_has_gpus(), fmt::format("{} has {}, not xe", gpus_[0]->driver.value_or("no driver"), gpus_[0]->address));
    boot::plan_cmdline(host_, out_, driver::igpu_cmdline(host_, facts_.boot, own_, std::move(parameters), params_.conflicts, devices()));
    await_reboot();
    if (out_.empty() && out_.waits().empty()) prove();
  }

  // --- the command line ----------------------------------------------------------------------------------------------------------
  /// Lines of modprobe.d that keep the wished driver away are not ours to change.
  bool is_kept_away() {
    if (!driver_has_gpus())  // the first reason is the one that is told
      for (const text::KernelParameter& word : blocking_words(facts_.boot.cmdline.value_or(""), own_))
        out_.reboot_if(true, fmt::format("the kernel was started with {}, which keeps {} away", word.print(), own_));
    auto lines = blocks_of(facts_.blocks, own_);
    std::erase_if(lines, [](const ModuleBlock& block) { return !block.in_file; });
    if (lines.empty()) return false;
    const std::string told = fmt::format("{}: {}", block_cause(lines), block_cure(lines));
    if (!driver_has_gpus()) return !refuse(told);
    out_.warn(fmt::format("{} runs all the same; if the next boot comes without it: {}", own_, told));
    return false;
  }

  text::KernelParameter blacklist(std::string_view rival, std::string_view own) const {
    return driver::blacklisted(facts_.boot.cmdline.value_or(""), rival, own);
  }

  /// Ids of all Intel GPUs.
  std::vector<std::string> devices() const {
    std::vector<std::string> out;
    for (const gpu::Gpu& gpu : hardware_.gpus)
      if (gpu.is_intel()) out.push_back(gpu::hex4(gpu.ids.device));
    return out;
  }

  // --- what is told --------------------------------------------------------------------------------------------------------------
  void report() {
    const bool dkms = driver_ != Driver::xe && !version_.empty();
    const char* module = driver_ == Driver::xe ? "xe" : "i915";
    answer_.driver = {module, dkms ? version_ : std::string(), setup_.installed, facts_.i915.max_vfs, {}};
    for (const std::string& kernel : kernels_) {
      answer_.driver.kernels.push_back(
          {kernel, {}, driver::dkms_installed(host_, driver::i915_package, kernel), driver::module_makes_vfs(host_, module, kernel)});
      if (dkms) answer_.driver.kernels.back().builds = catalogue::dkms_builds(version_, kernel);
    }
    answer_.cards.clear();
    for (const gpu::Gpu* gpu : gpus_)
      answer_.cards.push_back(
          {gpu->address, gpu->name, std::string(gpu->intel ? gpu->intel->platform : ""), gpu->driver, gpu->sriov.total});
    answer_.boot_without = fmt::format(
        "If the host hangs or stays dark at boot: choose the entry in the boot menu, press e, add "
        "module_blacklist=i915,xe at the end of the line with the kernel's parameters, and start it with {}. It boots "
        "without graphics driver and without VFs; then run this module with state=absent",
        facts_.boot.loader == LoaderKind::systemd_boot ? "Enter" : "Ctrl-x");
    out_.report(answer_);
  }

  void report_lacks() {
    answer_.lacks = driver::Lacks{setup_.file.missing, setup_.lacks_packages};
    out_.report(answer_);
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  gpu::Machine hardware_;
  const gpu::HostFacts& facts_;
  const std::vector<std::string> kernels_;  ///< the running one and the next
  std::vector<std::string> build_for_;      ///< of these
  std::vector<const gpu::Gpu*> gpus_;
  Driver driver_ = Driver::automatic;
  std::string own_;  ///< name of the module
  std::int64_t max_vfs_ = driver::most_vfs;
  I915File named_;
  driver::Installation setup_;
  const std::string& version_ = setup_.version;
  std::optional<catalogue::DkmsTag> tag_;
  Answer answer_;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  if (params.follow_ups == FollowUps::later) out.put_off_next_boot_work();
  DriverPlanner planner(params, host, out);
  params.state == State::present ? planner.present() : planner.absent();
}

}  // namespace

template <>
struct EnumNames<Driver> {
  static constexpr std::pair<Driver, const char*> values[] = {{Driver::automatic, "auto"}, {Driver::i915, "i915"}, {Driver::xe, "xe"}};
};

PVEGPU_MODULE(
    i915_sriov_driver, Params,
    (ModuleDoc{
        .name = "i915_sriov_driver",
        .summary = "The driver that makes virtual functions of Intel graphics",
        .description =
            {"Installs strongtz's C(i915-sriov-dkms) of one version from the user's own file, builds it for the kernel that runs and for "
             "the one "
             "that the next boot starts, proves that the i915 which these will load has the parameter C(max_vfs), and puts "
             "C(i915.enable_guc=3 i915.max_vfs=7 module_blacklist=xe) on the kernel's command line where the boot loader reads it.",
             "Before it does anything it judges whether that can work: the processor's generation, the kernels for which that version is "
             "made "
             "(outside of these DKMS skips it without a word, and the kernel's own i915 is loaded, which makes no VFs), headers and tools, "
             "Secure "
             "Boot, room.",
             "i915 draws the host's console, so it is never reloaded: the task answers C(pending_on=reboot). After that reboot it proves "
             "that the "
             "GPU offers VFs. The VFs themselves are made by the modules C(sriov) and C(sriov_service).",
             "Graphics which only the kernel's own C(xe) splits (Panther Lake, Battlemage) need no file: the kernel must be new enough."},
        .examples = R"(- name: Seven VFs on an i5-12400, Proxmox VE 9
  pve.gpu.i915_sriov_driver:
    file: /root/i915-sriov-dkms_2025.07.22_amd64.deb
    sha256: 1f0e8cd3b1b6a2d0f6b6a7a5a8f7c7f3c1a9a3e3b5d4c2b1a0f9e8d7c6b5a493

- name: Kernel 6.5 is served by a branch only
  pve.gpu.i915_sriov_driver:
    file: /root/i915-sriov-dkms-intel-lts-v6.1.tar.gz
    sha256: 5b3f0b7a2c1d4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7

- name: Remove it
  pve.gpu.i915_sriov_driver:
    state: absent
)",
        .answer = answer_of<Answer>,
        .notes =
            {"The driver is not in this collection and is not downloaded: take it from the releases of strongtz/i915-sriov-dkms, and keep "
             "its SHA-256.",
             "If a host hangs or stays dark at boot with it, choose the entry in the boot menu, press C(e), add "
             "C(module_blacklist=i915,xe) at the end of the line with the kernel's parameters, and start it with Ctrl-x (GRUB) or Enter "
             "(systemd-boot). It boots without graphics driver and without VFs; then run this module with O(state=absent).",
             "The card itself, C(0000:00:02.0), must not be given to a guest: its VFs would vanish.",
             "C(state=absent) removes a driver that this module installed. One that was there before is named and left."},
    }),
    Spec<Params>{}
        .param(
            "file", &Params::file,
            {.doc = "The driver on the host, with the name that its release gave it: C(i915-sriov-dkms_VERSION_amd64.deb), or for kernels "
                    "that only a branch serves C(i915-sriov-dkms-intel-lts-v6.1.tar.gz). It is not needed any more once that version is "
                    "installed. Required with O(state=present) but for C(xe)."})
        .param("sha256", &Params::sha256, {.doc = "SHA-256 of O(file). Required with it unless O(allow_unverified=true)."})
        .param("allow_unverified", &Params::allow_unverified, {.doc = "Install the file without knowing that it is the right one."})
        .param(
            "missing", &Params::missing,
            {.doc = "What to do while O(file), or what a build needs, is not on the host: refuse, or wait, that is say the rest and answer "
                    "RV(pending_on) V(file) or V(packages). For check mode, in which earlier tasks only said that they would bring them."})
        .param("version", &Params::version, {.doc = "The version that O(file) must have; by default whatever its name says."})
        .param("driver", &Params::driver,
               {.doc = "Which driver makes the VFs. V(auto) takes i915-sriov-dkms for all GPUs that it knows, and the kernel's C(xe) for "
                       "those that only this splits. V(xe) on older ones (Tiger Lake, Alder Lake, Raptor Lake) needs kernel 6.18 and "
                       "forces it on them."})
        .param("max_vfs", &Params::max_vfs,
               {.doc = "How many VFs the GPU offers at most, from 1 to 7; by default 7, and with C(xe) as many as it has."})
        .param(
            "conflicts", &Params::conflicts,
            {.doc = "What to do with kernel parameters of others that contradict: refuse with their file and line, or remove them there."})
        .param("state", &Params::state, {.doc = "Whether the driver shall be there."})
        .param("follow_ups", &Params::follow_ups,
               {.doc = "When C(update-initramfs), C(update-grub) and C(proxmox-boot-tool refresh) run. V(later) leaves them to the module "
                       "C(follow_ups)."}),
    plan)

}  // namespace pvegpu
