// SPDX-License-Identifier: MIT
// nvidia_driver: NVIDIA's vGPU host driver of one version, from the user's own file.
#include "common/core/module.hpp"
#include "common/readiness/judge.hpp"
#include "common/driver/file_params.hpp"
#include "common/driver/nvidia.hpp"
#include "common/host/units.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using driver::Flavour;

struct Params : driver::FileParams {
  std::vector<std::string> boards;
  Flavour kernel_module_type = Flavour::automatic;
  bool allow_unsupported_kernel = false;
};

constexpr const char* blacklist_file = "/etc/modprobe.d/pve-gpu-nvidia.conf";
constexpr const char* blacklist =
    "# Made by pve.gpu (nvidia_driver): NVIDIA's installer refuses to work beside nouveau.\nblacklist nouveau\noptions nouveau modeset=0\n";

std::optional<std::string> nothing(const std::string&) { return std::nullopt; }

struct KernelAnswer {
  std::string kernel;
  std::optional<catalogue::Verdict> builds;
  std::optional<std::string> built;

  static void fields(Reply<KernelAnswer>& out) {
    out.field("kernel", &KernelAnswer::kernel, {.doc = "Kernel release."});
    out.field("builds", &KernelAnswer::builds,
              {.doc = "Whether the wanted driver is known to build on it, one of V(yes), V(no), V(unknown)."});
    out.field("built", &KernelAnswer::built, {.doc = "Version of its module nvidia, null without one."});
  }
};

struct DriverAnswer {
  std::string wanted;
  std::optional<std::string> release;
  std::optional<std::int64_t> branch;
  std::optional<std::string> installed;
  std::optional<std::string> loaded;
  std::vector<KernelAnswer> kernels;

  static void fields(Reply<DriverAnswer>& out) {
    out.field("wanted", &DriverAnswer::wanted,
              {.doc = "Version, from the name of the file.", .sample = "535.216.01", .null_if_empty = true});
    out.field("release", &DriverAnswer::release,
              {.doc = "Its vGPU release, null when the catalogue does not know the version.", .sample = "16.8"});
    out.field("branch", &DriverAnswer::branch, {.doc = "Its vGPU branch.", .sample = "16"});
    out.field("installed", &DriverAnswer::installed,
              {.doc = "Version that is installed, with a remark in brackets when it has to be installed again; null for none."});
    out.field("loaded", &DriverAnswer::loaded, {.doc = "Version that runs, null for none."});
    out.field("kernels", &DriverAnswer::kernels, {.doc = "The running kernel, and the one that the next boot starts if that is another."});
  }
};

struct BoardAnswer {
  std::string address;
  std::string board;
  std::optional<std::string> driver;
  catalogue::Verdict served = catalogue::Verdict::unknown;

  static void fields(Reply<BoardAnswer>& out) {
    out.field("address", &BoardAnswer::address, {.doc = "PCI address."});
    out.field("board", &BoardAnswer::board, {.doc = "Name."});
    out.field("driver", &BoardAnswer::driver, {.doc = "The driver that has it, null for none."});
    out.field("served", &BoardAnswer::served, {.doc = "Whether the driver's branch serves it, one of V(yes), V(no), V(unknown)."});
  }
};

struct Answer {
  DriverAnswer driver;
  std::vector<BoardAnswer> boards;
  std::map<std::string, std::vector<std::string>> licences;
  std::vector<driver::GuestDriver> guest_driver_versions;
  std::optional<driver::Lacks> lacks;

  static void fields(Reply<Answer>& out) {
    out.field("driver", &Answer::driver, {.doc = "The driver that is wanted and the one that is there."});
    out.field("boards", &Answer::boards, {.doc = "The selected boards."});
    out.field("licences", &Answer::licences,
              {.doc = "The vGPU types of the selected boards by the licence that a guest with them needs, one of C(vapps), C(vpc), C(vws), "
                      "C(ai_enterprise), C(vgaming)."});
    out.field("guest_driver_versions", &Answer::guest_driver_versions,
              {.doc = "Linux guest drivers that fit this host driver, with their branch and release, as far as they are known."});
    out.field("lacks", &Answer::lacks, driver::lacks_doc);
  }
};

class Nvidia final : driver::Installation {
 public:
  Nvidia(const Params& params, const HostView& host, Plan& out) : Installation(driver::nvidia_kind, params, host, out), params_(params) {
    for (const gpu::Gpu& gpu : machine_.gpus)
      if (gpu.is_nvidia()) all_cards_.push_back(&gpu);
    if (host.exists("/sys/module/nvidia/initstate")) loaded_ = host.read_attr("/sys/module/nvidia/version").value_or("unknown");
  }

  void present() {
    const driver::NvidiaFile named = driver::parse_nvidia_file(*params_.file);
    if (!takes_file(named.version, driver::why_not_host_driver(named, *params_.file))) return;
    cards_ = driver::select_boards(machine_, params_.boards, "boards");
    for (const gpu::Gpu* card : cards_)
      if (!card->boards.empty()) boards_.push_back(card->boards[0]);
    flavour_ = driver::needed_flavour(params_.kernel_module_type, version_, boards_);
    installed_ = installed_now(host_, flavour());
    report();
    carry_out();
  }

  void absent() {
    report();
    if (record_ && loaded_ && !stop(true)) return;
    take_back();
    out_.withdraw(blacklist_file, nothing, {.meta = {}, .then = {follow_up_initramfs()}});
  }

 private:
  // --- the flavour of its modules ------------------------------------------------------------------------------------------------
  /// As far as it matters and can be had.
  Flavour flavour() const { return flavour_.value_or(Flavour::automatic); }

  /// What is installed, with a remark when it is of the wrong flavour.
  static std::optional<std::string> installed_now(const HostView& host, Flavour needed) {
    auto out = driver::installed_nvidia(host);
    if (out && !out->ends_with(")")) *out += driver::wrong_flavour(needed, driver::built_flavour(host, host.kernel_release()));
    return out;
  }

  bool is_served(const std::string& kernel) const override {
    return Installation::is_served(kernel) && driver::wrong_flavour(flavour(), driver::built_flavour(host_, kernel)).empty();
  }

  bool runs() const override { return loaded_ == version_ && driver::wrong_flavour(flavour(), driver::running_flavour(host_)).empty(); }

  // --- what must be true before anything is done ---------------------------------------------------------------------------------
  bool suits_cards() override {
    if (cards_.empty())
      return refuse(all_cards_.empty()
                        ? "this host has no NVIDIA card"
                        : fmt::format("no NVIDIA card of this host does vGPU ({}): pass it through whole instead", all_cards_[0]->name));
    if (!facts_.unlock.traces.empty())
      return refuse(fmt::format("vgpu_unlock is installed ({}), which is not supported: remove it and reboot", facts_.unlock.traces[0]));
    for (const gpu::Gpu* card : cards_) {
      readiness::Question question = asked(*card);
      question.nvidia = version_;
      const readiness::Condition branch = readiness::judge(question, "nvidia_branch");
      const std::string told = fmt::format("{} ({}): {}", card->address, card->name, branch.cause);
      if (branch.state == readiness::State::unmet) return refuse(told + driver::branch_advice(boards_, kernels_.back()));
      if (branch.state == readiness::State::unknown) out_.warn(told);
    }
    return true;
  }

  readiness::Question asked(const gpu::Gpu& card) const {
    return {.host = host_, .machine = machine_, .gpu = &card, .way = readiness::Way::nvidia_vgpu};
  }

  driver::KernelVerdict judge_kernel(const std::string& kernel) const override {
    return driver::judge_nvidia_on(host_, version_, kernel, params_.allow_unsupported_kernel);
  }

  /// Something blacklists it. What only the running kernel was started with: see must_wait.
  bool is_kept_away() override {
    BlockVerdict verdict = judge_blocks(host_, facts_.boot, "nvidia", loaded_ == version_);
    if (!verdict.doubt.empty()) out_.warn(verdict.doubt);
    kept_away_ = std::move(verdict.wait);
    return !verdict.refusal.empty() && !refuse(verdict.refusal);
  }

  bool may_install() override {
    const std::string rival = driver::rival_driver(host_, host_.kernel_release());
    return (rival.empty() || refuse(rival)) && (flavour_ || refuse(flavour_.error().message));
  }

  bool may_load() override {
    for (const gpu::Gpu* card : cards_)
      if (const std::string held = readiness::why_not(asked(*card), "not_on_vfio"); !held.empty()) return refuse(held);
    if (!runs() && are_used(cards_)) return false;
    for (const gpu::Gpu* card : cards_)
      if (readiness::judge(asked(*card), "outputs_off").state == readiness::State::unmet)
        out_.warn(
            fmt::format("the display outputs of {} ({}) are on: run display_mode before this driver is there", card->address, card->name));
    return true;
  }

  bool are_used(const std::vector<const gpu::Gpu*>& cards) {
    const auto users = gpu::running_users(cards);
    if (users.empty()) return false;
    const char* them = users.size() == 1 ? "it" : "them";
    return !refuse(fmt::format("{}: shut {} down or move {} before the driver is changed", fmt::join(users, ", "), them, them));
  }

  // --- steps ---------------------------------------------------------------------------------------------------------------------
  void prepare() override { out_.ensure_file(blacklist_file, blacklist, {.meta = {}, .then = {follow_up_initramfs()}}); }

  bool must_wait() override {
    const auto wait = [&](const std::string& reason, std::string told = {}) {
      out_.reboot_if(true, reason);
      out_.later({"reboot", told.empty() ? reason : std::move(told)});
      return true;
    };
    if (!kept_away_.empty()) return wait(kept_away_);
    if (facts_.has_driver("nouveau"))
      return wait("nouveau is loaded, beside which NVIDIA's installer refuses to work; from the next boot on it is kept away");
    if (signing_ == driver::Signing::requested)
      return wait("the key for Secure Boot waits to be confirmed", driver::signing_advice(host_, signing_));
    if (build_for_[0] == host_.kernel_release()) return false;
    out_.later({"reboot", fmt::format("{}; the next boot starts {}", out_.reboot_reason().value_or(""), kernels_.back())});
    return true;
  }

  /// It may be of a broken installation. In the order in which the kernel lets it go.
  bool stop(bool install) override {
    if (!loaded_ || (!install && runs())) return true;
    if (are_used(all_cards_)) return false;
    std::vector<std::string> with_vfs;
    for (const gpu::Gpu* card : all_cards_)
      if (card->sriov.enabled > 0) with_vfs.push_back(card->address);
    driver::plan_unload(host_, with_vfs, out_);
    return true;
  }

  driver::Installer installer() override {
    return {.clean = installed_.value_or("").ends_with(")"),
            .run = [version = version_, copy = file_.copy, options = driver::flavour_options(flavour(), version_)](
                       Host& host) { return driver::run_nvidia_installer(host, copy, version, options); },
            .observe = [flavour = flavour()](const HostView& host) { return installed_now(host, flavour); }};
  }

  void finish(bool built, bool install) override {
    if (!built) return;
    // The second of the driver's modules offers the vGPUs.
    const auto vfio = host_.kernel_module("nvidia_vgpu_vfio", host_.kernel_release());
    if (install || !runs() || (vfio && vfio->available && !vfio->loaded))
      out_.ensure_loaded({"nvidia", "nvidia_vgpu_vfio"}, version_, "see dmesg for NVRM");
    std::vector<std::string> addresses;
    for (const gpu::Gpu* card : cards_) addresses.push_back(card->address);
    driver::plan_vgpu_daemons(host_, addresses, install, out_);
  }

  void prove() override {
    const auto seen = host_.list_dir("/proc/driver/nvidia/gpus").value_or({});
    for (const gpu::Gpu* card : cards_)
      if (std::find(seen.begin(), seen.end(), card->address) == seen.end())
        return (void)refuse(fmt::format("the loaded driver {} does not see {} ({}){}: see dmesg for NVRM", version_, card->address,
                                        card->name,
                                        card->driver && card->driver != "nvidia" ? ", which the driver " + *card->driver + " has" : ""));
    if (unit_state(host_, driver::vgpu_daemon) != "failed") return;
    const auto log = host_.query(Query::unit_log(driver::vgpu_daemon));
    out_.warn(fmt::format("nvidia-vgpud failed because of {}, which is not among the selected boards",
                          fmt::join(driver::cards_refused_by_vgpud(log ? log->out : std::string()), ", ")));
  }

  // --- what is told --------------------------------------------------------------------------------------------------------------
  void report() override {
    const auto release = version_.empty() ? std::nullopt : catalogue::find_release(version_);
    const auto branch = catalogue::branch_of(version_);
    DriverAnswer& driver = answer_.driver = {version_, {}, {}, installed_, loaded_, {}};
    if (release) driver.release = catalogue::to_string(*release);
    if (branch) driver.branch = branch->branch;
    for (const std::string& kernel : kernels_) {
      driver.kernels.push_back({kernel, {}, driver::built_nvidia(host_, kernel)});
      if (!version_.empty()) driver.kernels.back().builds = catalogue::builds_on(version_, kernel).builds;
    }
    answer_.boards.clear();
    for (const gpu::Gpu* card : cards_) {
      answer_.boards.push_back({card->address, card->name, card->driver});
      if (branch && !card->boards.empty()) answer_.boards.back().served = catalogue::branch_serves(card->boards[0], branch->branch).verdict;
    }
    answer_.licences = driver::types_by_licence(boards_);
    if (!version_.empty()) answer_.guest_driver_versions = driver::guest_versions(version_);
    answer_.lacks = lacks_;
    out_.report(answer_);
  }

  const Params& params_;
  std::vector<const gpu::Gpu*> all_cards_, cards_;
  std::vector<catalogue::Board> boards_;  ///< of cards_
  Result<Flavour> flavour_ = Flavour::automatic;
  std::optional<std::string> loaded_;
  std::string kept_away_;  ///< until the next boot: what keeps it away, "" when nothing does
  Answer answer_;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  Nvidia nvidia(params, host, out);
  params.state == State::present ? nvidia.present() : nvidia.absent();
}

}  // namespace

template <>
struct EnumNames<Flavour> {
  static constexpr std::pair<Flavour, const char*> values[] = {
      {Flavour::automatic, "auto"}, {Flavour::open, "open"}, {Flavour::proprietary, "proprietary"}};
};

PVEGPU_MODULE(
    nvidia_driver, Params,
    (ModuleDoc{
        .name = "nvidia_driver",
        .summary = "NVIDIA's vGPU host driver of one version",
        .description =
            {"Installs the vGPU host driver from the file that NVIDIA gives to its customers, unattended and with DKMS, loads it, starts "
             "NVIDIA's daemons, and sees that the selected boards are there. Another version that is installed is replaced, newer or "
             "older.",
             "Before it does anything it judges whether that can work: is it a vGPU I(host) driver, does its branch serve the selected "
             "boards, "
             "does it build on the kernel that runs and on the one that the next boot starts, is there what a build needs, do guests use "
             "the "
             "cards, would Secure Boot let the driver in, is there room.",
             "While nouveau is loaded it only keeps nouveau away from the next boot and answers C(pending_on=reboot).",
             "A failed installation is cleared away again; the message quotes what the logs say."},
        .examples = R"(- name: NVIDIA vGPU host driver 16.8
  pve.gpu.nvidia_driver:
    file: /root/NVIDIA-Linux-x86_64-535.216.01-vgpu-kvm.run
    sha256: 1f0e8cd3b1b6a2d0f6b6a7a5a8f7c7f3c1a9a3e3b5d4c2b1a0f9e8d7c6b5a493

- name: Only for the A5000, there is an A2000 for the console
  pve.gpu.nvidia_driver:
    file: /root/NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run
    sha256: 5b3f0b7a2c1d4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7
    boards: [RTX A5000]

- name: Remove it
  pve.gpu.nvidia_driver:
    state: absent
)",
        .answer = answer_of<Answer>,
        .notes = {"The driver is not in this collection and is not downloaded: NVIDIA gives it to its customers only.",
                  "C(state=absent) removes a driver that this module installed. One that was there before is named and left."},
    }),
    Spec<Params>{}
        .param("file", &Params::file,
               {.doc = "The driver on the host, with the name that NVIDIA gave it, C(NVIDIA-Linux-x86_64-VERSION-vgpu-kvm.run). It is not "
                       "needed any more once that version is installed."})
        .param("sha256", &Params::sha256, driver::sha256_option)
        .param("allow_unverified", &Params::allow_unverified, driver::unverified_option)
        .param("version", &Params::version, driver::version_option)
        .param(
            "boards", &Params::boards,
            {.doc = "The boards that shall do vGPU, by address or by name; by default all that can. Other cards of the host are ignored."})
        .param("kernel_module_type", &Params::kernel_module_type,
               {.doc = "Which of NVIDIA's kernel modules to install. V(auto) takes the open ones where only they drive a board, the "
                       "proprietary ones where only these do or the driver is older than 560, and else what the installer prefers. Another "
                       "flavour that is installed is replaced."})
        .param("allow_unsupported_kernel", &Params::allow_unsupported_kernel,
               {.doc = "Try to build although the driver is known not to build on the kernel."})
        .param("missing", &Params::missing, driver::missing_option)
        .param("state", &Params::state, driver::state_option)
        .param("follow_ups", &Params::follow_ups, {.doc = "When C(update-initramfs) runs. V(later) leaves it to the module C(follow_ups)."})
        .required_if("state", "present", {"file"}),
    plan)

}  // namespace pvegpu
