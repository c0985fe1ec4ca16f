// SPDX-License-Identifier: MIT
// Kernel parameters in GRUB's defaults, in /etc/kernel/cmdline, or in both.
#include "common/boot/cmdline.hpp"

#include "common/host/boot_facts.hpp"
#include "common/text/grub_defaults.hpp"
#include "common/text/strings.hpp"

#include <algorithm>

namespace pvegpu::boot {
namespace {

using text::KernelParameter;
using Parameters = std::vector<KernelParameter>;

constexpr const char* grub_defaults = "/etc/default/grub";
constexpr const char* grub_dropins = "/etc/default/grub.d";
constexpr const char* grub_menu = "/boot/grub/grub.cfg";
constexpr const char* cmdline_file = "/etc/kernel/cmdline";

bool holds(const Parameters& all, const KernelParameter& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

/// Keys that add up when given more than once (kernel's admin-guide/kernel-parameters.txt); of all others the last one counts.
bool adds_up(const KernelParameter& p) {
  for (const char* key :
       {"console", "earlycon", "iommu", "pci", "video", "memmap", "hugepages", "hugepagesz", "isolcpus", "dyndbg", "netconsole"})
    if (text::same_key(p.key, key)) return true;
  return p.key.starts_with("systemd.") || p.key.starts_with("rd.");
}

bool contradicts(const KernelParameter& theirs, const KernelParameter& ours) {
  return text::same_key(theirs.key, ours.key) && theirs.value != ours.value && !adds_up(ours);
}

Parameters contradictions(const Parameters& theirs, const CmdlineWish& wish) {
  Parameters out;
  for (const KernelParameter& t : theirs)
    if (!holds(out, t) && (holds(wish.forbidden, t) || std::any_of(wish.present.begin(), wish.present.end(),
                                                                   [&](const KernelParameter& o) { return contradicts(t, o); })))
      out.push_back(t);
  return out;
}

std::string listed(const Parameters& all) {
  std::vector<std::string> words;
  for (const KernelParameter& p : all) words.push_back(p.print());
  return fmt::format("{}", fmt::join(words, " "));
}

/// One run for one wish.
class Planner {
 public:
  Planner(const HostView& host, Plan& plan, const CmdlineWish& wish)
      : host_(host), plan_(plan), wish_(wish), reader_(host), facts_(read_boot_facts(reader_)) {}

  void run() {
    const bool unknown = facts_.loader == LoaderKind::unknown;
    const bool grub =
        facts_.loader == LoaderKind::grub || facts_.loader == LoaderKind::grub_pbt || (unknown && host_.exists(grub_defaults));
    const bool file = facts_.proxmox_boot_tool || facts_.loader == LoaderKind::systemd_boot;
    std::vector<std::string> places;
    if (grub) places.push_back(dropin());
    if (file) places.push_back(cmdline_file);
    plan_.report("loader", {{"kind", name_of(facts_.loader)}, {"evidence", facts_.loader_evidence}, {"places", places}});
    if (places.empty()) {
      plan_.refuse(fmt::format("can't tell which boot loader this host uses ({}); neither {} nor partitions of proxmox-boot-tool are there",
                               fmt::join(facts_.loader_evidence, "; "), grub_defaults));
      return;
    }
    if (grub) plan_grub();
    if (file) plan_file();
    // Files of others that conflicts: remove once changed for us.
    if (absent())
      for (const std::string& path : plan_.recorded_files())
        if (path == grub_defaults || (path.starts_with(grub_dropins) && path != dropin()))
          plan_.withdraw(path, [](const std::string& bytes) { return std::optional<std::string>(bytes); }, {.meta = {}, .then = work()});
    plan_.report("conflicting", conflicting_);
    judge_running();
  }

 private:
  /// Nothing is wished any more: what was changed for this module goes back.
  bool absent() const { return wish_.present.empty() && wish_.forbidden.empty(); }

  std::string dropin() const { return fmt::format("{}/pve-gpu-{}.cfg", grub_dropins, wish_.module); }

  std::vector<FollowUp> work() const {
    std::vector<FollowUp> out = {follow_up_grub()};
    // On its partitions GRUB reads what the tool copied there, not /boot/grub.
    if (facts_.proxmox_boot_tool) out.push_back(follow_up_boot_refresh());
    return out;
  }

  /// What is unwanted of others: contradictions, and with `remove` the withdrawn parameters themselves.
  Parameters unwanted(const Parameters& theirs) const {
    Parameters out = contradictions(theirs, wish_);
    if (wish_.conflicts == Conflicts::remove)
      for (const KernelParameter& p : wish_.withdrawn)
        if (holds(theirs, p)) out.push_back(p);
    return out;
  }

  /// A parameter that shall go but is not ours to take.
  void keep_foreign(const Parameters& theirs, const char* where) {
    if (wish_.conflicts == Conflicts::remove) return;
    for (const KernelParameter& p : wish_.withdrawn)
      if (holds(theirs, p) && !holds(wish_.present, p))
        plan_.warn(fmt::format("'{}' stays on the command line: others wrote it ({}); conflicts: remove takes it away", p.print(), where));
  }

  void note_conflict(const KernelParameter& theirs, const std::string& file, unsigned line) {
    conflicting_.push_back({{"parameter", theirs.print()}, {"file", file}, {"line", line}});
    if (wish_.conflicts == Conflicts::remove) return;
    plan_.refuse(fmt::format("'{}' in {} contradicts what is wished{}; take it out there, or give conflicts: remove", theirs.print(),
                             line > 0 ? fmt::format("{} line {}", file, line) : file,
                             wish_.present.empty() ? std::string() : fmt::format(" ({})", listed(wish_.present))));
  }

  // --- GRUB -----------------------------------------------------------------------------------------------------------------
  void plan_grub() {
    const auto answer = host_.query(Query::grub_cmdline(dropin())).or_fail("ask what GRUB's defaults come to");
    if (answer.exit_code != 0)
      throw ModuleError(fmt::format("{} or a file in {} can't be sourced, so update-grub fails too: {}; repair it first", grub_defaults,
                                    grub_dropins, text::trim(answer.err)));
    Parameters theirs = text::parse_kernel_cmdline(answer.out);
    for (const KernelParameter& p : unwanted(theirs)) {
      remove_from_grub(p);
      theirs.erase(std::remove(theirs.begin(), theirs.end(), p), theirs.end());
    }
    keep_foreign(theirs, grub_defaults);
    for (auto& [path, change] : grub_edits_) plan_.ensure_file(path, change, {.meta = {}, .then = work()});

    const auto now = host_.read_file(dropin());
    if (!now && !now.error().not_found()) throw ModuleError(now.error().message);
    Parameters ours;
    for (const KernelParameter& p : text::parse_grub_dropin(now.value_or("")))
      if (!holds(wish_.withdrawn, p) && !holds(theirs, p) && contradictions({p}, wish_).empty()) ours.push_back(p);
    for (const KernelParameter& p : wish_.present)
      if (!holds(theirs, p) && !holds(ours, p)) ours.push_back(p);
    if (ours.empty())
      plan_.withdraw(dropin(), [](const std::string&) { return std::optional<std::string>(); }, {.meta = {}, .then = work()});
    else
      plan_.ensure_file(dropin(), text::print_grub_dropin(ours), {.meta = {.mode = 0644, .uid = {}, .gid = {}}, .then = work()});
    next_.insert(next_.end(), theirs.begin(), theirs.end());
    next_.insert(next_.end(), ours.begin(), ours.end());
    if (plan_.empty() && !plan_.puts_off_next_boot_work()) check_menu(ours);
  }

  /// update-grub may have been lost, or may have done nothing.
  void check_menu(const Parameters& ours) {
    const auto stale = [ours](const HostView& host) -> Result<std::optional<std::string>> {
      for (const std::string& line : text::lines(PVEGPU_TRY(host.read_file(grub_menu)))) {
        const std::string entry = text::trim(line);
        if (!entry.starts_with("linux") || text::contains(entry, "recovery") || text::contains(entry, " single")) continue;
        const Parameters have = text::parse_kernel_cmdline(entry);
        for (const KernelParameter& p : ours)
          if (!holds(have, p)) return std::optional<std::string>("without " + p.print());
        return std::optional<std::string>("as the defaults say");  // the first entry is the one that boots
      }
      return std::optional<std::string>("as the defaults say");
    };
    const auto now = stale(host_);
    if (!now || **now == "as the defaults say") return;
    Step step;
    step.target = fmt::format("entries of {}", grub_menu);
    step.current = *now;
    step.desired = "as the defaults say";
    step.observe = stale;
    step.apply = [](Host& host) -> Result<> {
      const CommandResult done = PVEGPU_TRY(host.run({{"update-grub"}, std::chrono::seconds(600)}));
      if (done.exit_code != 0) return Error{"update-grub: " + text::trim(done.err)};
      return {};
    };
    if (facts_.proxmox_boot_tool) step.then = {follow_up_boot_refresh()};
    plan_.effect(std::move(step));
  }

  void remove_from_grub(const KernelParameter& theirs) {
    std::vector<std::string> files = {grub_defaults};
    for (const std::string& name : host_.list_dir(grub_dropins).value_or({}))
      if (name.ends_with(".cfg") && fmt::format("{}/{}", grub_dropins, name) != dropin())
        files.push_back(fmt::format("{}/{}", grub_dropins, name));
    bool found = false;
    for (const std::string& path : files) {
      const auto bytes = host_.read_file(path);
      const unsigned line = bytes ? text::grub_line_with(*bytes, theirs) : 0;
      if (line == 0) continue;
      found = true;
      note_conflict(theirs, path, line);
      auto edit = grub_edits_.find(path);
      if (edit == grub_edits_.end()) edit = grub_edits_.emplace(path, *bytes).first;
      edit->second = text::without_grub_parameters(edit->second, {theirs});
    }
    if (found) return;
    note_conflict(theirs, grub_defaults, 0);
    plan_.refuse(fmt::format("'{}' comes from {} or a file in {}, but not from a plain assignment there; take it out by hand",
                             theirs.print(), grub_defaults, grub_dropins));
  }

  // --- /etc/kernel/cmdline --------------------------------------------------------------------------------------------------
  void plan_file() {
    const auto bytes = host_.read_file(cmdline_file);
    if (!bytes && !bytes.error().not_found())
      return (void)plan_.refuse(
          fmt::format("{}; without it proxmox-boot-tool can't build boot entries: repair it first", bytes.error().message));
    const bool decides = facts_.loader != LoaderKind::grub_pbt;  // with GRUB nobody reads it
    if (!bytes && !decides) return;
    if (!bytes)
      return (void)plan_.refuse(
          fmt::format("{} is missing, so the boot entries are made from whatever command line runs; write the wished one there first, as "
                      "/proc/cmdline has it but without initrd=",
                      cmdline_file));
    const std::string& text = *bytes;

    const auto newline = text.find('\n');
    std::string line = text.substr(0, newline);
    const std::string rest = newline == text.npos ? std::string() : text.substr(newline);
    Parameters all = text::parse_kernel_cmdline(line);
    if (std::none_of(all.begin(), all.end(), [](const KernelParameter& p) { return p.key == "root" && p.value && !p.value->empty(); }))
      return (void)plan_.refuse(
          fmt::format("the first line of {} has no root=, with which this host would not boot; write the whole command line "
                      "there, as /proc/cmdline has it",
                      cmdline_file));

    const auto undo = plan_.undo_view(cmdline_file);
    const Parameters foreign =
        undo ? text::parse_kernel_cmdline(text::lines(undo->before).empty() ? "" : text::lines(undo->before)[0]) : all;
    Parameters drop;
    for (const KernelParameter& p : wish_.withdrawn)
      if (holds(all, p) && (!holds(foreign, p) || wish_.conflicts == Conflicts::remove)) drop.push_back(p);
    for (const KernelParameter& p : contradictions(all, wish_)) {
      if (holds(foreign, p)) note_conflict(p, cmdline_file, 1);
      drop.push_back(p);
    }
    if (decides) keep_foreign(foreign, cmdline_file);
    line = text::without_parameters(line, drop);
    all = text::parse_kernel_cmdline(line);
    Parameters missing;
    for (const KernelParameter& p : wish_.present)
      if (!holds(all, p)) missing.push_back(p);
    line = text::with_parameters(line, missing);
    all = text::parse_kernel_cmdline(line);
    if (decides) next_.insert(next_.end(), all.begin(), all.end());

    const FileOptions options{.meta = {}, .then = {follow_up_boot_refresh()}};
    const bool all_withdrawn = undo && std::all_of(all.begin(), all.end(), [&](const KernelParameter& p) { return holds(foreign, p); });
    if (all_withdrawn && absent())
      plan_.withdraw(
          cmdline_file, [line, rest](const std::string&) { return std::optional<std::string>(line + rest); }, options);
    else
      plan_.ensure_file(cmdline_file, line + (rest.empty() ? "\n" : rest), options);
  }

  // --- what runs now --------------------------------------------------------------------------------------------------------
  void judge_running() {
    const Parameters running = text::parse_kernel_cmdline(facts_.cmdline.value_or(""));
    Parameters lacking, left;
    for (const KernelParameter& p : wish_.present)
      if (!holds(running, p)) lacking.push_back(p);
    for (const KernelParameter& p : wish_.withdrawn)
      if (holds(running, p) && !holds(next_, p) && !holds(wish_.present, p)) left.push_back(p);
    plan_.reboot_if(!lacking.empty(), fmt::format("the kernel was started without {}", listed(lacking)));
    for (const KernelParameter& p : wish_.forbidden)
      if (holds(running, p)) left.push_back(p);
    plan_.reboot_if(!left.empty(), fmt::format("the kernel was started with {}", listed(left)));
  }

  const HostView& host_;
  Plan& plan_;
  const CmdlineWish& wish_;
  Reader reader_;
  const BootFacts facts_;
  Parameters next_;  ///< what the next boot gets, as far as known
  std::map<std::string, std::string> grub_edits_;
  json conflicting_ = json::array();
};

}  // namespace

void plan_cmdline(const HostView& host, Plan& plan, const CmdlineWish& wish) { Planner(host, plan, wish).run(); }

}  // namespace pvegpu::boot
