// SPDX-License-Identifier: MIT
// nvidia_driver: NVIDIA's vGPU host driver of one version, from the user's own file.
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/facts/kernels.hpp"
#include "common/readiness/judge.hpp"
#include "common/driver/nvidia.hpp"
#include "common/host/units.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using catalogue::Verdict;
using driver::Flavour;
using driver::Missing;

struct Params {
  std::optional<std::string> file, sha256, version;
  bool allow_unverified = false;
  std::vector<std::string> boards;
  Flavour kernel_module_type = Flavour::automatic;
  bool allow_unsupported_kernel = false;
  Missing missing = Missing::refuse;
  State state = State::present;
  FollowUps follow_ups = FollowUps::now;
};

constexpr const char* blacklist_file = "/etc/modprobe.d/pve-gpu-nvidia.conf";
constexpr const char* blacklist =
    "# Made by pve.gpu (nvidia_driver): NVIDIA's installer refuses to work beside nouveau.\nblacklist nouveau\noptions nouveau modeset=0\n";

std::optional<std::string> nothing(const std::string&) { return std::nullopt; }

std::optional<std::string> loaded_version(const HostView& host) {
  if (!host.exists("/sys/module/nvidia/initstate")) return std::nullopt;
  return host.read_attr("/sys/module/nvidia/version").value_or("unknown");
}

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
    out.field(
        "lacks", &Answer::lacks,
        {.doc =
             "What has to come to the host before the driver can be installed. Headers and tools are looked for with O(missing=wait) only.",
         .when = "unless the task is refused before it is looked for"});
  }
};

class DriverPlanner {
 public:
  DriverPlanner(const Params& params, const HostView& host, Plan& out)
      : params_(params), host_(host), out_(out), hardware_(gpu::require_machine(host)), setup_(driver::nvidia_kind, host, out) {
    for (const gpu::Gpu& gpu : hardware_.gpus)
      if (gpu.is_nvidia()) all_cards_.push_back(&gpu);
    loaded_ = loaded_version(host);
  }

  void present() {
    const driver::NvidiaFile named = driver::parse_nvidia_file(*params_.file);
    const std::string why = driver::why_not_host_driver(named, *params_.file);
    if (!setup_.takes(*params_.file, named.version, why.empty() ? params_.version : std::nullopt)) return;
    if (!why.empty()) return (void)refuse(why);
    cards_ = driver::select_boards(hardware_, params_.boards, "boards");
    for (const gpu::Gpu* card : cards_)
      if (!card->boards.empty()) boards_.push_back(card->boards[0]);
    const auto flavour = driver::needed_flavour(params_.kernel_module_type, version_, boards_);
    judge_flavour(flavour.value_or(Flavour::automatic));
    report();
    if (!suits_boards() || !suits_kernels() || is_kept_away()) return;
    const bool install = setup_.is_wanted();
    const bool fits = (!install || (can_install() && (flavour || refuse(flavour.error().message)))) && ((!install && runs_) || can_load());
    answer_.lacks = driver::Lacks{setup_.file.missing, setup_.lacks_packages};
    out_.report(answer_);
    if (!fits) return;
    out_.ensure_file(blacklist_file, blacklist, {.meta = {}, .then = {follow_up_initramfs()}});
    if (install) setup_.keep();
    if (waits_for_reboot() || setup_.waits()) return;
    if (loaded_ && (install || !runs_) && !stop()) return;  // what runs may be of a broken installation
    if (install) run_installer();
    build_for_kernels(install);
    if (install || !runs_ || lacks_vfio()) out_.ensure_loaded({"nvidia", "nvidia_vgpu_vfio"}, version_, "see dmesg for NVRM");
    driver::plan_vgpu_daemons(host_, addresses(), install, out_);
    if (out_.empty()) prove();
  }

  void absent() {
    report();
    if (setup_.record && loaded_ && !stop()) return;
    setup_.take_back();
    out_.withdraw(blacklist_file, nothing, {.meta = {}, .then = {follow_up_initramfs()}});
  }

 private:
  /// What is installed, with a remark when it is of the wrong flavour.
  static std::optional<std::string> installed_now(const HostView& host, Flavour needed) {
    auto out = driver::installed_nvidia(host);
    if (out && !out->ends_with(")")) *out += driver::wrong_flavour(needed, driver::built_flavour(host, host.kernel_release()));
    return out;
  }

  void judge_flavour(Flavour needed) {
    flavour_ = needed;
    setup_.installed = installed_now(host_, needed);
    runs_ = loaded_ == version_ && driver::wrong_flavour(needed, driver::running_flavour(host_)).empty();
  }

  bool is_built(const std::string& kernel) const {
    return driver::built_version(host_, "nvidia", kernel) == version_ &&
           driver::wrong_flavour(flavour_, driver::built_flavour(host_, kernel)).empty();
  }

  int pve_release() const { return hardware_.facts.pve ? hardware_.facts.pve->major : 8; }
  std::vector<std::string> kernels() const { return driver::kernels_to_serve(host_); }

  // --- what it must be true before anything is done ---------------------------------------------------------------------------
  bool refuse(std::string reason) {
    out_.refuse(std::move(reason));
    return false;
  }

  bool suits_boards() {
    if (cards_.empty())
      return refuse(all_cards_.empty()
                        ? "this host has no NVIDIA card"
                        : fmt::format("no NVIDIA card of this host does vGPU ({}): pass it through whole instead", all_cards_[0]->name));
    if (!hardware_.facts.unlock.traces.empty())
      return refuse(
          fmt::format("vgpu_unlock is installed ({}), which is not supported: remove it and reboot", hardware_.facts.unlock.traces[0]));
    for (const gpu::Gpu* card : cards_) {
      readiness::Question question = asked(*card);
      question.nvidia = version_;
      const readiness::Condition branch = readiness::judge(question, "nvidia_branch");
      if (branch.state == readiness::State::unmet)
        return refuse(fmt::format("{} ({}): {}{}", card->address, card->name, branch.cause, branches_that_serve()));
      if (branch.state == readiness::State::unknown) out_.warn(fmt::format("{} ({}): {}", card->address, card->name, branch.cause));
    }
    return true;
  }

  readiness::Question asked(const gpu::Gpu& card) const {
    return {.host = host_, .machine = hardware_, .gpu = &card, .way = readiness::Way::nvidia_vgpu};
  }

  /// "; branch 16 serves all of them, 535.216.01 for example builds on 6.8.12-9-pve"
  std::string branches_that_serve() const {
    for (unsigned branch = 30; branch > 7; --branch) {
      if (!catalogue::find_branch(branch)) continue;
      const bool all = std::all_of(boards_.begin(), boards_.end(), [&](const catalogue::Board& board) {
        return catalogue::branch_serves(board, branch).verdict == Verdict::yes;
      });
      if (!all) continue;
      const std::string kernel = kernels().back();
      const auto releases = catalogue::releases_of(branch);
      for (auto it = releases.rbegin(); it != releases.rend(); ++it)
        if (catalogue::builds_on(it->version, kernel).builds == Verdict::yes)
          return fmt::format("; take one of branch {} that builds on kernel {}, {} ({}) for example", branch, kernel, it->version,
                             catalogue::to_string(*it));
      return fmt::format("; branch {} does", branch);
    }
    return "; no one branch serves all selected boards, so name those that shall do vGPU in 'boards'";
  }

  bool suits_kernels() {
    const auto all = kernels();
    for (const std::string& kernel : all) {
      const auto answer = catalogue::builds_on(version_, kernel);
      if (answer.builds == Verdict::yes || driver::built_version(host_, "nvidia", kernel) == version_) continue;
      const bool next = kernel == all.back();
      if (answer.builds == Verdict::unknown || params_.allow_unsupported_kernel) {
        out_.warn(fmt::format("driver {} on kernel {}: {}", version_, kernel, answer.evidence));
      } else if (next) {
        return refuse(fmt::format("driver {} does not build on kernel {}, which {}: {} {}", version_, kernel,
                                  all.size() == 1 ? "runs" : "the next boot starts", answer.evidence, kernels_that_fit()));
      } else {
        needs_next_kernel_ = true;
        out_.reboot_if(true, fmt::format("kernel {} runs, on which driver {} does not build", kernel, version_));
      }
    }
    return true;
  }

  std::string kernels_that_fit() const {
    for (const std::string& kernel : driver::installed_kernels(host_))
      if (catalogue::builds_on(version_, kernel).builds == Verdict::yes)
        return fmt::format("It builds on {}, which is installed: pin that one, or take a newer driver.", kernel);
    return "Take another release of the driver, or install and pin an older kernel.";
  }

  bool can_install() {
    // The installer unpacks itself in /tmp and puts as much again and the modules into /usr; 16.4 is 54 MiB packed and 330 MiB unpacked.
    const auto places = [](std::uint64_t size) -> std::vector<std::pair<const char*, std::uint64_t>> {
      return {{"/var/lib", size + 200 * driver::mebibyte},
              {"/tmp", 7 * size + 100 * driver::mebibyte},
              {"/usr", 7 * size + 100 * driver::mebibyte}};
    };
    const std::string rival = driver::rival_driver(host_, host_.kernel_release());
    return setup_.has_file(params_.sha256, params_.allow_unverified, params_.missing, places) && (rival.empty() || refuse(rival));
  }

  bool can_load() {
    for (const std::string& kernel : kernels())
      if (!is_built(kernel) && !(needs_next_kernel_ && kernel == host_.kernel_release()) &&
          !setup_.has_tools(kernel, pve_release(), params_.missing))
        return false;
    for (const gpu::Gpu* card : cards_)
      if (const readiness::Condition held = readiness::judge(asked(*card), "not_on_vfio"); held.state == readiness::State::unmet)
        return refuse(readiness::told(held, fmt::format("{} ({})", card->address, card->name)));
    if (const auto users = gpu::running_users(cards_); !users.empty() && !runs_)
      return refuse(fmt::format("{}: shut {} down or move {} before the driver is changed", fmt::join(users, ", "),
                                users.size() == 1 ? "it" : "them", users.size() == 1 ? "it" : "them"));
    for (const gpu::Gpu* card : cards_)
      if (readiness::judge(asked(*card), "outputs_off").state == readiness::State::unmet)
        out_.warn(
            fmt::format("the display outputs of {} ({}) are on: run display_mode before this driver is there", card->address, card->name));
    return setup_.is_signed(hardware_.facts.boot);
  }

  /// Something blacklists the driver that is wished. What only the running kernel was started with: see waits_for_reboot.
  bool is_kept_away() {
    BlockVerdict verdict = judge_blocks(host_, hardware_.facts.boot, "nvidia", loaded_ == version_);
    if (!verdict.doubt.empty()) out_.warn(verdict.doubt);
    kept_away_ = std::move(verdict.wait);
    return !verdict.refusal.empty() && !refuse(verdict.refusal);
  }

  bool waits_for_reboot() {
    if (!kept_away_.empty()) {
      out_.reboot_if(true, kept_away_);
      out_.later({"reboot", kept_away_});
      return true;
    }
    if (hardware_.facts.has_driver("nouveau")) {
      const std::string why = "nouveau is loaded, beside which NVIDIA's installer refuses to work; from the next boot on it is kept away";
      out_.reboot_if(true, why);
      out_.later({"reboot", why});
      return true;
    }
    if (setup_.signing == driver::Signing::requested) {
      out_.reboot_if(true, "the key for Secure Boot waits to be confirmed");
      out_.later({"reboot", driver::signing_advice(host_, setup_.signing)});
      return true;
    }
    if (needs_next_kernel_ && out_.reboot_reason()) {
      out_.later({"reboot", fmt::format("{}; the next boot starts {}", *out_.reboot_reason(), kernels().back())});
      return true;
    }
    return false;
  }

  /// The second of the driver's modules, which offers the vGPUs, is there and not loaded.
  bool lacks_vfio() const {
    const auto module = host_.kernel_module("nvidia_vgpu_vfio", host_.kernel_release());
    return module && module->available && !module->loaded;
  }

  // --- steps -------------------------------------------------------------------------------------------------------------------
  /// False: it can't be stopped now.
  bool stop() {
    if (const auto users = gpu::running_users(all_cards_); !users.empty()) {
      out_.refuse(fmt::format("{}: shut {} down or move {} before the driver is changed", fmt::join(users, ", "),
                              users.size() == 1 ? "it" : "them", users.size() == 1 ? "it" : "them"));
      return false;
    }
    std::vector<std::string> with_vfs;
    for (const gpu::Gpu* card : all_cards_)
      if (card->sriov.enabled > 0) with_vfs.push_back(card->address);
    driver::plan_unload(host_, with_vfs, out_);
    return true;
  }

  void run_installer() {
    setup_.install(
        setup_.installed.value_or("").ends_with(")"),
        [version = version_, copy = setup_.file.copy, options = driver::flavour_options(flavour_, version_)](Host& host) {
          return driver::run_nvidia_installer(host, copy, version, options);
        },
        [flavour = flavour_](const HostView& host) { return installed_now(host, flavour); });
  }

  /// The installer builds for the running kernel; DKMS for the others.
  void build_for_kernels(bool install) {
    for (const std::string& kernel : kernels()) {
      if (install ? kernel == host_.kernel_release() : is_built(kernel)) continue;
      setup_.build(kernel, "NVIDIA driver for kernel " + kernel, install ? std::nullopt : driver::built_version(host_, "nvidia", kernel),
                   [kernel, version = version_](const HostView& host) -> Result<> {
                     const auto built = driver::built_version(host, "nvidia", kernel);
                     if (built == version) return {};
                     return Error{fmt::format("its module nvidia is {}", built.value_or("not there"))};
                   });
    }
  }

  /// All was done: does it work.
  void prove() {
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

  std::vector<std::string> addresses() const {
    std::vector<std::string> out;
    for (const gpu::Gpu* card : cards_) out.push_back(card->address);
    return out;
  }

  void report() {
    const auto release = version_.empty() ? std::nullopt : catalogue::find_release(version_);
    const auto branch = catalogue::branch_of(version_);
    DriverAnswer& driver = answer_.driver = {version_, {}, {}, setup_.installed, loaded_, {}};
    if (release) driver.release = catalogue::to_string(*release);
    if (branch) driver.branch = branch->branch;
    for (const std::string& kernel : kernels()) {
      driver.kernels.push_back({kernel, {}, driver::built_version(host_, "nvidia", kernel)});
      if (!version_.empty()) driver.kernels.back().builds = catalogue::builds_on(version_, kernel).builds;
    }
    answer_.boards.clear();
    answer_.licences.clear();
    for (const gpu::Gpu* card : cards_) {
      answer_.boards.push_back({card->address, card->name, card->driver});
      if (card->boards.empty()) continue;
      if (branch) answer_.boards.back().served = catalogue::branch_serves(card->boards[0], branch->branch).verdict;
      for (const auto& type : catalogue::types_of(card->boards[0])) {
        auto& names = answer_.licences[std::string(catalogue::to_text(type.licence))];
        if (std::find(names.begin(), names.end(), type.name) == names.end()) names.emplace_back(type.name);
      }
    }
    if (!version_.empty()) answer_.guest_driver_versions = driver::guest_versions(version_);
    out_.report(answer_);
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  gpu::Machine hardware_;
  std::vector<const gpu::Gpu*> all_cards_, cards_;
  std::vector<catalogue::Board> boards_;  ///< of cards_
  driver::Installation setup_;
  const std::string& version_ = setup_.version;
  Flavour flavour_ = Flavour::automatic;  ///< of its modules, as far as it matters
  std::optional<std::string> loaded_;
  bool runs_ = false;  ///< what is loaded is what is wanted
  bool needs_next_kernel_ = false;
  std::string kept_away_;  ///< until the next boot: what keeps it away, "" when nothing does
  Answer answer_;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  if (params.follow_ups == FollowUps::later) out.put_off_next_boot_work();
  DriverPlanner planner(params, host, out);
  params.state == State::present ? planner.present() : planner.absent();
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
        .param("sha256", &Params::sha256, {.doc = "SHA-256 of O(file). Required unless O(allow_unverified=true)."})
        .param("allow_unverified", &Params::allow_unverified, {.doc = "Run the file without knowing that it is the right one."})
        .param("version", &Params::version, {.doc = "The version that O(file) must have; by default whatever its name says."})
        .param(
            "boards", &Params::boards,
            {.doc = "The boards that shall do vGPU, by address or by name; by default all that can. Other cards of the host are ignored."})
        .param("kernel_module_type", &Params::kernel_module_type,
               {.doc = "Which of NVIDIA's kernel modules to install. V(auto) takes the open ones where only they drive a board, the "
                       "proprietary ones where only these do or the driver is older than 560, and else what the installer prefers. Another "
                       "flavour that is installed is replaced."})
        .param("allow_unsupported_kernel", &Params::allow_unsupported_kernel,
               {.doc = "Try to build although the driver is known not to build on the kernel."})
        .param(
            "missing", &Params::missing,
            {.doc = "What to do while O(file), or what a build needs, is not on the host: refuse, or wait, that is say the rest and answer "
                    "RV(pending_on) V(file) or V(packages). For check mode, in which earlier tasks only said that they would bring them."})
        .param("state", &Params::state, {.doc = "Whether the driver shall be there."})
        .param("follow_ups", &Params::follow_ups, {.doc = "When C(update-initramfs) runs. V(later) leaves it to the module C(follow_ups)."})
        .required_if("state", "present", {"file"}),
    plan)

}  // namespace pvegpu
