// SPDX-License-Identifier: MIT
// The first line of /etc/kernel/cmdline, from which proxmox-boot-tool makes the entries of systemd-boot.
#include "common/boot/places.hpp"
#include "common/text/boot_entry.hpp"
#include "common/text/kernel_parameters.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::boot {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// What systemd-boot puts behind the line: " initrd=\EFI\proxmox\RELEASE\initrd.img-RELEASE".
std::size_t loaders_part(const Parameters& running) {
  for (const KernelParameter& p : running)
    if (p.key == "initrd") return p.print().size() + 1;
  return sizeof " initrd=\\EFI\\proxmox\\0.00.00-00-pve\\initrd.img-0.00.00-00-pve";
}

/// Words that somebody wrote where nobody reads them.
void tell_lost_lines(Job& job, const std::string& text) {
  unsigned number = 0;
  for (const std::string& line : text::lines(text)) {
    const std::string words = text::trim(line);
    if (++number > 1 && !words.empty() && !words.starts_with('#'))
      job.plan.warn(
          fmt::format("{} line {}: nobody reads '{}', for only the first line counts; move it there", cmdline_file, number, words));
  }
}

}  // namespace

void plan_file(Job& job) {
  Plan& plan = job.plan;
  const CmdlineWish& wish = job.wish;
  const auto bytes = job.host.read_file(cmdline_file);
  if (!bytes && !bytes.error().not_found())
    return (void)plan.refuse(
        fmt::format("{}; without it proxmox-boot-tool can't build boot entries: repair it first", bytes.error().message));
  const bool decides = job.facts.loader != LoaderKind::grub_pbt;  // with GRUB nobody reads it
  if (!bytes && !decides) return;
  if (!bytes)
    return (void)plan.refuse(
        fmt::format("{} is missing, so the boot entries are made from whatever command line runs; write the wished one there first, as "
                    "/proc/cmdline has it but without initrd=",
                    cmdline_file));
  for (const KernelParameter& p : wish.present)
    if (const std::string why = text::not_for_boot_entry(p); decides && !why.empty())
      return (void)plan.refuse(fmt::format("'{}' can't be given to the kernel by systemd-boot: it has {}", p.print(), why));
  const std::string line = first_line(*bytes), rest = bytes->substr(line.size());
  const Parameters all = text::parse_kernel_cmdline(line);
  if (std::none_of(all.begin(), all.end(), [](const KernelParameter& p) { return p.key == "root" && p.value && !p.value->empty(); }))
    return (void)plan.refuse(
        fmt::format("the first line of {} has no root=, with which this host would not boot; write the whole command line "
                    "there, as /proc/cmdline has it",
                    cmdline_file));
  if (decides) tell_lost_lines(job, *bytes);

  const auto undo = plan.undo_view(cmdline_file);
  const Parameters foreign = undo ? text::parse_kernel_cmdline(first_line(undo->before)) : all;
  const Parameters leave = leaving(all, wish);
  // Ours that is withdrawn goes; what is unwanted goes, whoever wrote it.
  const auto edit = [foreign, leave, wish](const std::string& text) {
    std::string out = first_line(text);
    const std::string behind = text.substr(out.size());
    out = text::edit_parameters(out, [&](const KernelParameter& p) {
      return holds(leave, p) && !holds(foreign, p) ? std::nullopt : std::optional<KernelParameter>(p);
    });
    out = text::edit_parameters(out, without_unwanted(text::parse_kernel_cmdline(out), wish));
    return out + behind;
  };
  for (const KernelParameter& p : unwanted(all, wish))
    if (holds(foreign, p) && !(holds(leave, p) && wish.conflicts == Conflicts::remove)) note_conflict(job, p, cmdline_file, 1);
  if (decides) keep_foreign(job, foreign, cmdline_file);

  const std::string kept = first_line(edit(*bytes));
  Parameters after = text::parse_kernel_cmdline(kept);
  std::string result = text::with_parameters(kept, lacking(after, wish));
  after = text::parse_kernel_cmdline(result);
  const bool all_withdrawn = std::all_of(after.begin(), after.end(), [&](const KernelParameter& p) {
    return std::any_of(foreign.begin(), foreign.end(), [&](const KernelParameter& theirs) { return text::in_force({theirs}, p); });
  });
  const FileOptions options{.meta = {}, .then = {follow_up_boot_refresh()}, .sensitive = false, .warnings = {}, .old_bytes_too = true};
  const std::size_t steps = plan.steps().size();
  if (job.absent() && ((undo && all_withdrawn) || (!undo && result != line))) {
    plan.withdraw(
        cmdline_file, [edit](const std::string& text) { return std::optional<std::string>(edit(text)); }, options);
    if (undo && undo->untouched) after = text::parse_kernel_cmdline(result = first_line(edit(undo->before)));
  } else {
    plan.ensure_file(cmdline_file, result == line ? *bytes : result + (rest.empty() ? "\n" : rest), options);
  }

  Parameters others;  // what we added may go again
  for (const KernelParameter& p : all)
    if (holds(foreign, p) || !holds(leave, p)) others.push_back(p);
  const std::size_t own = decides ? loaders_part(text::parse_kernel_cmdline(job.facts.cmdline.value_or(""))) : 0;
  const std::string against = objection(
      {.before = others, .after = after, .length = result.size() + own, .longer = result.size() > line.size(), .loader_adds_root = false},
      wish, job.facts);
  const bool changes = plan.steps().size() > steps;
  if (changes && !against.empty()) plan.refuse(fmt::format("{}: {}", cmdline_file, against));
  if (!decides) return;
  job.next = text::parse_kernel_cmdline(text::boot_entry_options(result));
  for (const KernelParameter& p : wish.present)
    if (!text::in_force(job.next, p) || !text::in_force(after, p))
      plan.refuse(
          fmt::format("{} line 1: behind what stands there, '{}' would not be a parameter of its own; look for a quote that is not "
                      "closed, a quote at the beginning of the line, or a backslash",
                      cmdline_file, p.print()));
}

}  // namespace pvegpu::boot
