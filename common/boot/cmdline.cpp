// SPDX-License-Identifier: MIT
// Kernel parameters in GRUB's defaults, in /etc/kernel/cmdline, or in both.
#include "common/boot/cmdline.hpp"

#include "common/boot/places.hpp"
#include "common/text/grub_defaults.hpp"
#include "common/text/kernel_parameters.hpp"

#include <algorithm>

namespace pvegpu::boot {
namespace {

/// What runs now is not what is wished.
void judge_running(Job& job) {
  const Parameters running = text::parse_kernel_cmdline(job.facts.cmdline.value_or(""));
  Parameters missing, left;
  for (const KernelParameter& p : job.wish.present)
    if (!text::in_force(running, p)) missing.push_back(p);
  for (const KernelParameter& p : leaving(running, job.wish))
    if (!text::saying(running, p).empty() && text::saying(job.next, p).empty()) left.push_back(p);
  job.plan.reboot_if(!missing.empty(), fmt::format("the kernel was started without {}", listed(missing)));
  for (const KernelParameter& p : job.wish.forbidden)
    if (!text::saying(running, p).empty()) left.push_back(p);
  job.plan.reboot_if(!left.empty(), fmt::format("the kernel was started with {}", listed(left)));
}

}  // namespace

void LoaderAnswer::fields(Reply<LoaderAnswer>& out) {
  out.field("kind", &LoaderAnswer::kind,
            {.doc = "One of C(grub), C(grub-pbt) (GRUB on partitions of proxmox-boot-tool), C(systemd-boot), C(unknown)."});
  out.field("evidence", &LoaderAnswer::evidence, {.doc = "What was seen, one sentence each."});
  out.field("places", &LoaderAnswer::places, {.doc = "Files in which the parameters are kept."});
}

void Conflict::fields(Reply<Conflict>& out) {
  out.field("parameter", &Conflict::parameter, {.doc = "The parameter."});
  out.field("file", &Conflict::file, {.doc = "The file that has it."});
  out.field("line", &Conflict::line, {.doc = "Its line, 0 where no plain assignment holds it."});
}

void CmdlineAnswer::fields(Reply<CmdlineAnswer>& out) {
  out.field("loader", &CmdlineAnswer::loader, {.doc = "The boot loader, how that is known, and the files that are kept for it."});
  out.field("conflicting", &CmdlineAnswer::conflicting,
            {.doc = "Parameters of others that contradict the wish, with their file and line.", .when = "always"});
}

void plan_cmdline(const HostView& host, Plan& plan, const CmdlineWish& wish) {
  Reader reader(host);
  const BootFacts facts = read_boot_facts(reader);
  Job job{host, plan, wish, facts};
  const bool unknown = facts.loader == LoaderKind::unknown;
  const bool grub = facts.loader == LoaderKind::grub || facts.loader == LoaderKind::grub_pbt || (unknown && host.exists(grub_defaults));
  const bool file = facts.proxmox_boot_tool || facts.loader == LoaderKind::systemd_boot;
  std::vector<std::string> places;
  if (grub) places.push_back(job.dropin());
  if (file) places.push_back(cmdline_file);
  CmdlineAnswer answer{{name_of(facts.loader), facts.loader_evidence, places}};
  plan.report(answer);
  if (places.empty()) {
    plan.refuse(fmt::format("can't tell which boot loader this host uses ({}); neither {} nor partitions of proxmox-boot-tool are there",
                            fmt::join(facts.loader_evidence, "; "), grub_defaults));
    return;
  }
  if (grub) plan_grub(job);
  if (file) plan_file(job);
  for (const KernelParameter& p : wish.withdrawn)
    if (p.key == "hugepagesz" && holds(job.next, p) && !holds(wish.present, p) && !holds(leaving(job.next, wish), p))
      plan.warn(
          fmt::format("'{}' stays on the command line, for a hugepages= behind it counts its pages; name both, in this order", p.print()));
  answer.conflicting = job.conflicting;
  plan.report(answer);
  judge_running(job);
}

std::vector<KernelParameter> contributed(const HostView& host, const Plan& plan, const std::string& module) {
  Parameters out = text::parse_grub_dropin(host.read_file(dropin_of(module)).value_or("")).parameters;
  const auto undo = plan.undo_view(cmdline_file);
  if (!undo) return out;
  const Parameters before = text::parse_kernel_cmdline(undo->before);
  for (KernelParameter& p : text::parse_kernel_cmdline(host.read_file(cmdline_file).value_or("")))
    if (!holds(before, p)) out.push_back(std::move(p));
  return out;
}

}  // namespace pvegpu::boot
