// SPDX-License-Identifier: MIT
// i915_sriov_driver: the driver that makes VFs of Intel graphics: strongtz's i915-sriov-dkms from the user's own file, or the kernel's xe.
#include "common/boot/cmdline.hpp"
#include "common/core/module.hpp"
#include "common/readiness/judge.hpp"
#include "common/driver/file_params.hpp"
#include "common/driver/i915.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using catalogue::Verdict;
using driver::I915File;

enum class Driver { automatic, i915, xe };

struct Params : driver::FileParams {
  Driver driver = Driver::automatic;
  std::optional<std::int64_t> max_vfs;
  boot::Conflicts conflicts = boot::Conflicts::refuse;
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
    out.field("lacks", &Answer::lacks, driver::lacks_doc);
    out.also<boot::CmdlineAnswer>({.doc = "See C(kernel_cmdline).", .when = "when the command line was looked at"});
  }
};

class Intel final : driver::Installation {
 public:
  Intel(const Params& params, const HostView& host, Plan& out) : Installation(driver::i915_kind, params, host, out), params_(params) {}

  void present() {
    if (const std::string why = choose_gpus(); !why.empty()) {
      report();
      out_.refuse(why);
      return;
    }
    max_vfs_ = params_.max_vfs.value_or(driver::most_vfs);
    const std::int64_t most = is_xe() ? driver::most_xe_vfs : driver::most_vfs;
    if (max_vfs_ < 1 || max_vfs_ > most)
      throw ModuleError(fmt::format("parameter 'max_vfs': {} makes from 1 to {} VFs, not {}", own(), most, max_vfs_));
    if (is_xe()) return present_xe();
    const bool takes = params_.file ? takes_package() : refuse(no_file);
    report();
    if (takes) carry_out();
  }

  void absent() {
    report();
    // True before the driver goes and after: what runs is not what the next boot loads.
    const bool goes = (record_ && installed_) || !driver::module_makes_vfs(host_, "i915", host_.kernel_release());
    out_.reboot_if(goes && facts_.i915.max_vfs, "the i915 of i915-sriov-dkms runs until the next boot");
    take_back();
    boot::plan_cmdline(host_, out_, driver::without_igpu_cmdline(host_, out_, facts_.boot, devices()));
  }

 private:
  static constexpr const char* no_file =
      "parameter 'file' is missing: the package i915-sriov-dkms_VERSION_amd64.deb of a release of strongtz/i915-sriov-dkms";

  bool is_xe() const { return driver_ == Driver::xe; }
  const char* own() const { return is_xe() ? "xe" : "i915"; }

  // --- which GPUs, by which driver -----------------------------------------------------------------------------------------------
  /// "" or why none of them can be split.
  std::string choose_gpus() {
    std::vector<const gpu::Gpu*> all, by_i915, by_xe;
    for (const gpu::Gpu& gpu : machine_.gpus) {
      if (!gpu.is_intel() || gpu.kind != gpu::Kind::gpu) continue;
      all.push_back(&gpu);
      if (gpu.intel && !gpu.intel->dkms_from.empty()) by_i915.push_back(&gpu);
      if (gpu.intel && gpu.intel->xe_kernel) by_xe.push_back(&gpu);
    }
    driver_ = params_.driver;
    if (driver_ == Driver::automatic) driver_ = by_i915.empty() && !by_xe.empty() ? Driver::xe : Driver::i915;
    gpus_ = is_xe() ? by_xe : by_i915;
    if (!gpus_.empty()) return {};
    if (all.empty())
      return "this host has no Intel GPU: if the processor has one, switch it on in the BIOS setup ('iGPU Multi-Monitor' or 'Internal "
             "Graphics')";
    const gpu::Gpu& gpu = *all[0];
    gpus_ = {&gpu};
    if (std::string board = why_not(gpu, "intel_board"); !board.empty()) return board;
    return fmt::format("{} ({}) is of {}, which {} gives no VFs{}", gpu.address, gpu.name,
                       gpu.intel ? gpu.intel->platform : "no known platform", is_xe() ? "the kernel's driver xe" : "i915-sriov-dkms",
                       is_xe() ? by_i915.empty() ? "" : ": take i915-sriov-dkms (driver=i915)" : ": take driver=xe");
  }

  std::string why_not(const gpu::Gpu& gpu, const char* condition) const {
    return readiness::why_not({.host = host_, .machine = machine_, .gpu = &gpu, .way = readiness::Way::intel_vgpu}, condition);
  }

  bool takes_package() {
    named_ = driver::parse_i915_file(*params_.file);
    tag_ = catalogue::find_dkms(named_.version);
    return takes_file(
        named_.version,
        named_.kind != I915File::Kind::other
            ? std::string()
            : fmt::format("{} is not named as strongtz names i915-sriov-dkms; take i915-sriov-dkms_VERSION_amd64.deb of a release, or for "
                          "kernels 6.1 to 6.7 the source archive i915-sriov-dkms-{}.tar.gz of that branch, and keep its name",
                          last_part(*params_.file), driver::i915_branch));
  }

  bool suits_cards() override {
    for (const gpu::Gpu* gpu : gpus_)
      if (const std::string held = why_not(*gpu, "not_on_vfio"); !held.empty()) return refuse(held);
    for (const gpu::Gpu* gpu : gpus_)
      if (!is_xe() && tag_ && tag_->kind != catalogue::DkmsKind::branch && version_ < gpu->intel->dkms_from)
        return refuse(fmt::format("i915-sriov-dkms {} does not know {} ({}, {}): releases from {} on do", version_, gpu->address, gpu->name,
                                  gpu->intel->platform, gpu->intel->dkms_from));
    return true;
  }

  driver::KernelVerdict judge_kernel(const std::string& kernel) const override {
    if (!is_xe()) return driver::judge_i915_on(host_, facts_, version_, kernel);
    driver::KernelVerdict out;
    for (const gpu::Gpu* gpu : gpus_) {
      out = driver::judge_xe_on(host_, *gpu, params_.max_vfs.has_value(), kernel);
      if (out.builds == Verdict::no) break;
    }
    return out;
  }

  /// Lines of modprobe.d that keep the wished driver away are not ours to change.
  bool is_kept_away() override {
    const bool bound = driver::why_not_bound(gpus_, own()).empty();
    if (!bound)  // the first reason is the one that is told
      for (const text::KernelParameter& word : blocking_words(facts_.boot.cmdline.value_or(""), own()))
        out_.reboot_if(true, fmt::format("the kernel was started with {}, which keeps {} away", word.print(), own()));
    auto lines = blocks_of(facts_.blocks, own());
    std::erase_if(lines, [](const ModuleBlock& block) { return !block.in_file; });
    if (lines.empty()) return false;
    const std::string told = fmt::format("{}: {}", block_cause(lines), block_cure(lines));
    if (!bound) return !refuse(told);
    out_.warn(fmt::format("{} runs all the same; if the next boot comes without it: {}", own(), told));
    return false;
  }

  // --- i915-sriov-dkms -----------------------------------------------------------------------------------------------------------
  bool runs() const override { return driver::why_not_running(host_, facts_, version_, max_vfs_, gpus_).empty(); }

  driver::Installer installer() override {
    // dpkg replaces a whole package by another version; all else goes first.
    const bool package = named_.kind == I915File::Kind::package;
    return {
        .clean = installed_ && (!package || !driver::i915_is_package(host_) || installed_->ends_with(")")),
        .run = [package, copy = file_.copy, version = version_](Host& host) { return driver::install_i915(host, copy, version, package); },
        .observe = driver::installed_i915};
  }

  void finish(bool, bool) override {
    const std::string why = driver::why_not_running(host_, facts_, version_, max_vfs_, gpus_);
    out_.reboot_if(!why.empty(), why);
    auto parameters = driver::i915_parameters(max_vfs_);
    if (wants_blacklist()) parameters.push_back(driver::blacklisted(facts_.boot.cmdline.value_or(""), "xe", "i915"));
    set_cmdline(std::move(parameters));
  }

  /// The releases from 2025.02.03 on want xe kept away; an older one needs it where xe has, or had, the GPU.
  bool wants_blacklist() const {
    const std::string cmdline = facts_.boot.cmdline.value_or("");
    const auto running = text::parse_kernel_cmdline(cmdline);
    return !tag_ || tag_->blacklist_xe ||
           std::find(running.begin(), running.end(), driver::blacklisted(cmdline, "xe", "i915")) != running.end() ||
           std::any_of(gpus_.begin(), gpus_.end(), [](const gpu::Gpu* gpu) { return gpu->driver == "xe"; });
  }

  void set_cmdline(std::vector<text::KernelParameter> parameters) {
    boot::plan_cmdline(host_, out_, driver::igpu_cmdline(host_, facts_.boot, own(), std::move(parameters), params_.conflicts, devices()));
    if (!out_.reboot_reason()) return;
    out_.later({"reboot", *out_.reboot_reason() +
                              (signing_ == driver::Signing::requested ? "; " + driver::signing_advice(host_, signing_) : std::string())});
  }

  /// Ids of all Intel GPUs.
  std::vector<std::string> devices() const {
    std::vector<std::string> out;
    for (const gpu::Gpu& gpu : machine_.gpus)
      if (gpu.is_intel()) out.push_back(gpu::hex4(gpu.ids.device));
    return out;
  }

  /// The driver shows VFs.
  void prove() override {
    for (const gpu::Gpu* gpu : gpus_)
      if (gpu->sriov.total == 0)
        return (void)refuse(
            fmt::format("{} runs with all that it needs and offers no VFs of {} ({}): switch on 'SR-IOV' and 'VT-d' in the BIOS "
                        "setup, and see dmesg for 'VFs could be associated'",
                        own(), gpu->address, gpu->name));
  }

  // --- the kernel's own xe: nothing to install -----------------------------------------------------------------------------------
  void present_xe() {
    lacks_.emplace();
    report();
    if (params_.file) out_.warn("the file is not used: xe is part of the kernel");
    if (!suits_cards() || is_kept_away() || !suits_kernels()) return;
    const std::string why = driver::why_not_bound(gpus_, own());
    out_.reboot_if(!why.empty(), why);
    set_cmdline(driver::xe_parameters(facts_.boot.cmdline.value_or(""), params_.max_vfs, gpus_));
    if (out_.empty() && out_.waits().empty()) prove();
  }

  // --- what is told --------------------------------------------------------------------------------------------------------------
  void report() override {
    const bool dkms = !is_xe() && !version_.empty();
    answer_.driver = {own(), dkms ? version_ : std::string(), installed_, facts_.i915.max_vfs, {}};
    for (const std::string& kernel : kernels_) {
      answer_.driver.kernels.push_back(
          {kernel, {}, driver::dkms_installed(host_, driver::i915_package, kernel), driver::module_makes_vfs(host_, own(), kernel)});
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
    answer_.lacks = lacks_;
    out_.report(answer_);
  }

  const Params& params_;
  std::vector<const gpu::Gpu*> gpus_;
  Driver driver_ = Driver::automatic;
  std::int64_t max_vfs_ = driver::most_vfs;
  I915File named_;
  std::optional<catalogue::DkmsTag> tag_;
  Answer answer_;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  Intel intel(params, host, out);
  params.state == State::present ? intel.present() : intel.absent();
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
        .param("sha256", &Params::sha256, driver::sha256_option)
        .param("allow_unverified", &Params::allow_unverified, driver::unverified_option)
        .param("missing", &Params::missing, driver::missing_option)
        .param("version", &Params::version, driver::version_option)
        .param("driver", &Params::driver,
               {.doc = "Which driver makes the VFs. V(auto) takes i915-sriov-dkms for all GPUs that it knows, and the kernel's C(xe) for "
                       "those that only this splits. V(xe) on older ones (Tiger Lake, Alder Lake, Raptor Lake) needs kernel 6.18 and "
                       "forces it on them."})
        .param("max_vfs", &Params::max_vfs,
               {.doc = "How many VFs the GPU offers at most, from 1 to 7; by default 7, and with C(xe) as many as it has."})
        .param(
            "conflicts", &Params::conflicts,
            {.doc = "What to do with kernel parameters of others that contradict: refuse with their file and line, or remove them there."})
        .param("state", &Params::state, driver::state_option)
        .param("follow_ups", &Params::follow_ups,
               {.doc = "When C(update-initramfs), C(update-grub) and C(proxmox-boot-tool refresh) run. V(later) leaves them to the module "
                       "C(follow_ups)."}),
    plan)

}  // namespace pvegpu
