// SPDX-License-Identifier: MIT
// kernel_pin: the kernel that the boot loader starts, until somebody says otherwise or for the next boot alone.
//
// Facts: PVE-FACTS 5.2, and proxmox-boot-tool itself (proxmox-kernel-helper 8.1.0 and 9.2.0: pin_kernel, unpin_kernel,
// set_grub_default, update_esp_func). The pins are two files with one line each. Where proxmox-boot-tool manages EFI system partitions
// its `refresh` brings them into effect, which `kernel pin` leaves to the operator when there is no terminal. Elsewhere `kernel pin`
// and `kernel unpin` do it at once, with a drop-in for GRUB. So the files are ours to write, and to put back byte for byte; everything
// that follows from them is the tool's. `refresh` also tells APT to keep the pinned kernel, on any host.
#include "common/boot/boot_pools.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/facts/kernels.hpp"
#include "common/host/boot_facts.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

struct Params {
  std::optional<std::string> kernel;
  bool next_boot = false;
  State state = State::present;
  FollowUps follow_ups = FollowUps::now;
};

using driver::next_boot_file, driver::pin_file;
constexpr const char* esp_list = "/etc/kernel/proxmox-boot-uuids";
constexpr const char* grub_dropin = "/etc/default/grub.d/proxmox-kernel-pin.cfg";
constexpr const char* grub_menu = "/boot/grub/grub.cfg";
constexpr const char* tool = "/usr/sbin/proxmox-boot-tool";

/// "" where nothing is pinned: the tool takes the first line of each file.
struct Pins {
  std::string always, next_boot;
  const std::string& effective() const { return next_boot.empty() ? always : next_boot; }
};

std::string first_line(const std::string& bytes) { return bytes.substr(0, bytes.find('\n')); }

std::string pin_in(const HostView& host, const char* path) {
  const auto bytes = host.read_file(path);
  if (!bytes && !bytes.error().not_found()) throw ModuleError(bytes.error().message);
  return first_line(bytes.value_or(""));
}

std::optional<std::string> some(const std::string& value) { return value.empty() ? std::nullopt : std::optional(value); }

bool is_release(const std::string& name) {
  return !name.empty() && name[0] != '-' && name[0] != '.' &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+~_-") == name.npos;
}

bool is_installed(const HostView& host, const std::string& kernel) {
  return host.exists("/boot/vmlinuz-" + kernel) && host.exists("/lib/modules/" + kernel);
}

std::vector<std::string> installed_kernels(const HostView& host) {
  std::vector<std::string> out;
  for (const std::string& kernel : driver::installed_kernels(host))
    if (is_installed(host, kernel)) out.push_back(kernel);
  return out;
}

/// The kernel in "gnulinux-advanced-ID>gnulinux-KERNEL-advanced-ID", which is how the tool names a menu entry.
std::string kernel_in_entry(const std::string& text) {
  constexpr std::string_view before = ">gnulinux-", after = "-advanced-";
  const auto start = text.find(before);
  if (start == text.npos) return {};
  const auto end = text.find(after, start);
  return end == text.npos ? std::string() : text.substr(start + before.size(), end - start - before.size());
}

/// What GRUB's menu starts by default, as grub-mkconfig wrote it: `   set default="…"`. nullopt when the menu does not say.
std::optional<std::string> menu_default(const HostView& host) {
  constexpr std::string_view assignment = "set default=\"";
  std::optional<std::string> out;
  const auto menu = host.read_file(grub_menu);
  for (const std::string& line : text::lines(menu.value_or(""))) {
    const std::string command = text::trim(line);
    // The entries of grub-reboot and of a power button that starts another one are variables.
    if (command.starts_with(assignment) && command[assignment.size()] != '$')
      out = command.substr(assignment.size(), command.find('"', assignment.size()) - assignment.size());
  }
  if (!out) return std::nullopt;
  const std::string kernel = kernel_in_entry(*out);
  // GRUB starts the first entry when it does not find the one that is named, for example with GRUB_DISABLE_SUBMENU.
  const auto is_id = [&](const std::string& id) { return text::contains(*menu, "'" + id + "'"); };
  const auto arrow = out->find('>');
  if (!kernel.empty() && (!is_id(out->substr(0, arrow)) || !is_id(out->substr(arrow + 1)))) return "an entry that is not there";
  return kernel.empty() ? *out : kernel;
}

using Observed = Result<std::optional<std::string>>;

/// The kernel that GRUB is told to start by the tool's drop-in.
Observed pin_in_dropin(const HostView& host) {
  const auto dropin = host.read_file(grub_dropin);
  if (!dropin && dropin.error().not_found()) return std::optional<std::string>();
  const std::string kernel = kernel_in_entry(PVEGPU_TRY(dropin));
  return std::optional(kernel.empty() ? std::string("something else") : kernel);
}

/// The same, where it has reached the menu in /boot.
Observed pin_in_menu(const HostView& host) {
  auto kernel = PVEGPU_TRY(pin_in_dropin(host));
  if (!kernel) return kernel;
  const std::string menu = menu_default(host).value_or(*kernel);
  if (menu == *kernel) return kernel;
  return std::optional(fmt::format("{} in {}, {} in {}", *kernel, grub_dropin, menu, grub_menu));
}

struct Answer {
  std::string running;
  std::string pinned;
  std::string pinned_next_boot;
  std::vector<std::string> installed;

  static void fields(Reply<Answer>& out) {
    out.field("running", &Answer::running, {.doc = "The kernel that runs.", .sample = "6.8.12-9-pve"});
    out.field("pinned", &Answer::pinned,
              {.doc = "The kernel that is pinned for good, null when none is; in check mode as it is before the run.",
               .sample = "6.8.12-4-pve",
               .null_if_empty = true});
    out.field("pinned_next_boot", &Answer::pinned_next_boot,
              {.doc = "The kernel that is pinned for the next boot alone, null when none is; in check mode as it is before the run.",
               .sample = "6.14.8-2-pve",
               .null_if_empty = true});
    out.field("installed", &Answer::installed,
              {.doc = "Kernels that have an image in C(/boot) and modules in C(/lib/modules).",
               .sample = "[\"6.14.8-2-pve\", \"6.8.12-4-pve\"]"});
  }
};

class PinPlanner {
 public:
  PinPlanner(const Params& params, const HostView& host, Plan& out)
      : params_(params),
        host_(host),
        out_(out),
        on_esps_(host.exists(esp_list)),
        now_{pin_in(host, pin_file), pin_in(host, next_boot_file)} {}

  void run() {
    const auto installed = installed_kernels(host_);
    out_.report(Answer{host_.kernel_release(), now_.always, now_.next_boot, installed});
    if (params_.follow_ups == FollowUps::later) out_.put_off_next_boot_work();
    params_.state == State::present ? present(*params_.kernel, installed) : absent();
  }

 private:
  void present(const std::string& kernel, const std::vector<std::string>& installed) {
    if (!is_release(kernel))
      throw ModuleError(
          fmt::format("parameter 'kernel': '{}' is not a kernel release; write it as uname -r does, for example 6.8.12-4-pve", kernel));
    const bool runs = host_.kernel_release() == kernel;
    // After the boot that was wished for, the pin is gone: proxmox-boot-cleanup.service removes it.
    if (params_.next_boot && runs) return;
    if (!can_pin(kernel, installed)) return;
    Pins wanted = now_;
    std::string& pin = params_.next_boot ? wanted.next_boot : wanted.always;
    const char* path = params_.next_boot ? next_boot_file : pin_file;
    if (pin != kernel && !(params_.next_boot && now_.effective() == kernel)) {
      pin = kernel;
      out_.ensure_file(path, kernel + "\n", {.meta = {}, .then = work()});
    } else if (on_esps_ && !runs && wanted.effective() == kernel && out_.recorded_files().empty()) {
      doubt_refresh(kernel);
    }
    if (wanted.effective() == kernel)
      sync_grub(wanted);
    else
      out_.warn(fmt::format("the next boot starts {} all the same: {} pins it for once", now_.next_boot, next_boot_file));
    out_.reboot_if(!runs, fmt::format("kernel {} runs, {} is pinned{}", host_.kernel_release(), kernel,
                                      params_.next_boot ? " for the next boot" : ""));
  }

  bool can_pin(const std::string& kernel, const std::vector<std::string>& installed) {
    const auto script = host_.read_file(tool);
    if (!script && script.error().not_found()) {
      out_.refuse(fmt::format("{} is missing: install the package proxmox-kernel-helper (Proxmox VE 7: pve-kernel-helper)", tool));
    } else if (script && !text::contains(*script, "unpin")) {
      out_.refuse(fmt::format("this {} can't pin kernels, which came with Proxmox VE 7.2: upgrade the package that brings it", tool));
    } else if (!is_installed(host_, kernel)) {
      const bool image = host_.exists("/boot/vmlinuz-" + kernel);
      out_.refuse(fmt::format("kernel {} is not installed: {}{} is missing; install its package, or name one of: {}", kernel,
                              image ? "/lib/modules/" : "/boot/vmlinuz-", kernel,
                              installed.empty() ? std::string("(none is installed)") : fmt::format("{}", fmt::join(installed, ", "))));
    } else if (on_esps_ && !host_.exists("/boot/initrd.img-" + kernel)) {
      // The tool skips it (copy_and_config_kernels) and would still make it the default.
      out_.refuse(
          fmt::format("kernel {0} has no /boot/initrd.img-{0}, and proxmox-boot-tool does not copy such a kernel to the EFI system "
                      "partitions; make it with: update-initramfs -c -k {0}",
                      kernel));
    } else {
      const boot::PoolVerdict pools = boot::judge_boot_pools(host_, kernel);
      for (const std::string& warning : pools.warnings) out_.warn(warning);
      if (pools.refusals.empty()) return true;
      out_.refuse(pools.refusals[0] + "; pin a kernel with the ZFS that runs, or newer");
    }
    return false;
  }

  void absent() {
    Pins after = now_;
    after.next_boot = withdraw(next_boot_file, now_.next_boot);
    if (!params_.next_boot) after.always = withdraw(pin_file, now_.always);
    const std::string& comes_back = after.effective();
    if (!comes_back.empty() && comes_back != now_.effective() && !is_installed(host_, comes_back)) {
      out_.refuse(
          fmt::format("{} was pinned before and is not installed any more, so that pin can't come back; pin another kernel, or take "
                      "the pin away with: proxmox-boot-tool kernel unpin",
                      comes_back));
      return;
    }
    // Somebody took the tool's drop-in away by hand: that is not ours to bring back.
    if (host_.exists(grub_dropin)) sync_grub(after);
  }

  /// What is pinned by this file afterwards.
  std::string withdraw(const char* path, const std::string& now) {
    const auto undo = out_.undo_view(path);
    out_.withdraw(path, [](const std::string& theirs) { return std::optional(theirs); }, {.meta = {}, .then = work()});
    if (!undo && !now.empty())
      out_.warn(fmt::format("kernel {} stays pinned: others wrote {}; proxmox-boot-tool kernel unpin{} takes it away", now, path,
                            path == next_boot_file ? " --next-boot" : ""));
    if (undo && undo->untouched) return undo->existed ? first_line(undo->before) : std::string();
    return now;
  }

  /// Where the tool has no partitions, refresh still makes APT keep the pinned kernel: proxmox-auto-removal writes 76pveconf.
  static std::vector<FollowUp> work() { return {follow_up_boot_refresh()}; }

  /// Others pinned it; without a terminal the tool left it at that. (state: absent leaves their pin, and what we do for it here.)
  void doubt_refresh(const std::string& kernel) {
    Reader reader(host_);
    if (read_boot_facts(reader).loader == LoaderKind::grub_pbt)
      run_tool(pin_in_dropin, kernel, {"proxmox-boot-tool", "refresh"}, {});
    else
      out_.warn(fmt::format(
          "others pinned kernel {}, and the EFI system partitions don't tell whether it reached them; if the next boot does not "
          "start it: proxmox-boot-tool refresh",
          kernel));
  }

  void sync_grub(const Pins& wanted) {
    if (on_esps_) return;  // refresh does it
    std::vector<std::string> argv = {"proxmox-boot-tool", "kernel"};
    if (!wanted.next_boot.empty())
      argv.insert(argv.end(), {"pin", wanted.next_boot, "--next-boot"});
    else if (!wanted.always.empty())
      argv.insert(argv.end(), {"pin", wanted.always});
    else
      argv.emplace_back("unpin");
    // The tool runs update-grub itself; that is owed all the same, in case the tool dies in between.
    run_tool(pin_in_menu, wanted.effective(), std::move(argv), {follow_up_grub()});
  }

  void run_tool(Observed (*observe)(const HostView&), const std::string& wanted, std::vector<std::string> argv,
                std::vector<FollowUp> then) {
    Step step;
    step.target = "kernel that GRUB starts";
    step.desired = some(wanted);
    step.observe = observe;
    step.then = std::move(then);
    out_.ensure_program(std::move(step), {{std::move(argv)}});
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  const bool on_esps_;  ///< proxmox-boot-tool manages EFI system partitions
  const Pins now_;
};

void plan(const Params& params, const HostView& host, Plan& out) { PinPlanner(params, host, out).run(); }

}  // namespace

PVEGPU_MODULE(
    kernel_pin, Params,
    (ModuleDoc{
        .name = "kernel_pin",
        .summary = "The kernel that the boot loader starts",
        .description =
            {"Pins one of the installed kernels, for good or for the next boot alone, as C(proxmox-boot-tool kernel pin) does; with the "
             "refresh of the EFI system partitions that the tool leaves out when it has no terminal.",
             "A kernel that is not installed is refused, with a list of those that are. So is one whose ZFS does not know a feature that "
             "is active on a pool that holds C(/) or C(/boot): it would stop in the initramfs.",
             "C(state=absent) takes back what this module pinned: the pin that was there before comes back. A pin that somebody else made, "
             "before or since, stays, and the task says so."},
        .examples = R"(- name: Stay on the kernel for which the GPU driver is built
  pve.gpu.kernel_pin:
    kernel: 6.8.12-4-pve

- name: Boot another kernel once
  pve.gpu.kernel_pin:
    kernel: 6.14.8-2-pve
    next_boot: true

- name: Whatever kernel is the newest
  pve.gpu.kernel_pin:
    state: absent
)",
        .answer = answer_of<Answer>,
        .notes = {"C(reboot_required) says that another kernel than the pinned one runs; the module does not reboot.",
                  "With C(next_boot) the wish is fulfilled when that kernel runs. It is no trial boot: the boot loader's setting is taken "
                  "back by "
                  "the kernel that was started, so one that hangs is started again.",
                  "Pinning needs Proxmox VE 7.2 or later."},
    }),
    Spec<Params>{}
        .param("kernel", &Params::kernel, {.doc = "Release of the kernel as C(uname -r) writes it."})
        .param(
            "next_boot", &Params::next_boot,
            {.doc = "Whether it is for the next boot alone. With C(state=absent) only such a pin is taken back, otherwise both kinds are."})
        .param("state", &Params::state, {.doc = "Whether it shall be pinned. C(absent) takes back what this module pinned."})
        .param(
            "follow_ups", &Params::follow_ups,
            {.doc =
                 "When C(proxmox-boot-tool refresh) and C(update-grub) run. C(later) leaves them to the module C(follow_ups). Where GRUB "
                 "boots from C(/boot), C(proxmox-boot-tool kernel pin) runs C(update-grub) at once all the same."})
        .required_if("state", "present", {"kernel"}),
    plan)

}  // namespace pvegpu
