// SPDX-License-Identifier: MIT
// iommu: the IOMMU on, with what this CPU and kernel need and nothing more, and the proof of it after the reboot.
#include "common/boot/cmdline.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/facts/kernels.hpp"
#include "common/facts/host_facts.hpp"
#include "common/text/kernel_parameters.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

enum class DmaMode { standard, pt };

struct Params {
  State state = State::present;
  DmaMode dma_mode = DmaMode::standard;
  bool vfio_at_boot = true;
  bool allow_unsafe_interrupts = false;
  boot::Conflicts conflicts = boot::Conflicts::refuse;
  FollowUps follow_ups = FollowUps::now;
};

constexpr const char* modules_file = "/etc/modules-load.d/pve-gpu-iommu.conf";
constexpr const char* options_file = "/etc/modprobe.d/pve-gpu-iommu.conf";

const text::KernelParameter intel_on{"intel_iommu", "on"};
const text::KernelParameter identity{"iommu", "pt"};
/// What switches interrupt remapping off (drivers/iommu/irq_remapping.c).
const std::vector<text::KernelParameter> no_remapping = {{"intremap", "off"}, {"nointremap", std::nullopt}};

std::optional<std::string> nothing(const std::string&) { return std::nullopt; }

/// The kernels that run or may run next.
std::vector<std::string> kernels(const HostView& host) {
  std::vector<std::string> out = driver::pinned_kernels(host);
  out.push_back(host.kernel_release());
  return out;
}

bool older_than(const std::string& release, catalogue::MajorMinor series) {
  const auto own = catalogue::parse_major_minor(release);
  return own && *own < series;
}

/// Module names that some file loads at boot.
std::vector<std::string> loaded_at_boot(const HostView& host) {
  std::vector<std::string> files = {"/etc/modules"}, out;
  for (const std::string& name : host.list_dir("/etc/modules-load.d").value_or({}))
    if (name.ends_with(".conf")) files.push_back("/etc/modules-load.d/" + name);
  for (const std::string& file : files) {
    if (file == modules_file) continue;
    for (const std::string& line : text::lines(host.read_file(file).value_or("")))
      if (const auto words = text::words(line); !words.empty() && !words[0].starts_with('#')) {
        out.push_back(words[0]);
        std::replace(out.back().begin(), out.back().end(), '-', '_');
      }
  }
  return out;
}

void plan_files(const Params& params, const HostView& host, Plan& out) {
  const bool present = params.state == State::present;
  std::string load;
  if (present && params.vfio_at_boot) {
    const auto others = loaded_at_boot(host);
    std::vector<std::string> wanted = {"vfio", "vfio_iommu_type1", "vfio_pci"};
    if (older_than(host.kernel_release(), {6, 2})) wanted.emplace_back("vfio_virqfd");  // part of vfio since 6.2
    for (const std::string& name : wanted)
      if (std::find(others.begin(), others.end(), name) == others.end()) load += name + "\n";
  }
  const FileOptions options{.meta = {}, .then = {follow_up_initramfs()}};
  if (load.empty())
    out.withdraw(modules_file, nothing, options);
  else
    out.ensure_file(modules_file, "# Made by pve.gpu (iommu).\n" + load, options);

  if (present && params.allow_unsafe_interrupts) {
    out.warn("allow_unsafe_interrupts: a guest with a passed-through device can inject interrupts into this host");
    out.ensure_file(options_file, "# Made by pve.gpu (iommu).\noptions vfio_iommu_type1 allow_unsafe_interrupts=1\n", options);
  } else {
    out.withdraw(options_file, nothing, options);
  }
}

struct IommuAnswer {
  std::optional<bool> active;
  std::optional<std::size_t> groups;
  std::vector<std::string> evidence;
  std::optional<bool> interrupt_remapping;

  static void fields(Reply<IommuAnswer>& out) {
    out.field("active", &IommuAnswer::active, {.doc = "Whether C(/sys/class/iommu) has a unit."});
    out.field("groups", &IommuAnswer::groups, {.doc = "Number of IOMMU groups."});
    out.field("evidence", &IommuAnswer::evidence, {.doc = "What was seen, one sentence each."});
    out.field("interrupt_remapping", &IommuAnswer::interrupt_remapping,
              {.doc = "Whether interrupts go through the IOMMU; null where C(/proc/interrupts) can't be read."});
  }
};

struct Answer {
  IommuAnswer iommu;

  static void fields(Reply<Answer>& out) {
    out.also<boot::CmdlineAnswer>({.doc = "See C(kernel_cmdline)."});
    out.field("iommu", &Answer::iommu, {.doc = "What runs now."});
  }
};

/// The IOMMU is there, or a reboot will bring it, or the task fails with the cause.
void prove(const gpu::HostFacts& facts, const boot::CmdlineWish& wish, const HostView& host, Plan& out) {
  const auto interrupts = host.read_file("/proc/interrupts");
  Answer answer{{facts.iommu.active, facts.iommu.groups, facts.iommu.evidence, {}}};
  if (interrupts) answer.iommu.interrupt_remapping = text::contains(*interrupts, " IR-");
  out.report(answer);
  if (wish.present.empty() && wish.forbidden.empty()) return;  // absent
  if (facts.iommu.active.value_or(false)) {
    if (!interrupts || text::contains(*interrupts, " IR-")) return;
    const auto running = text::parse_kernel_cmdline(facts.boot.cmdline.value_or(""));
    for (const text::KernelParameter& off : no_remapping)
      if (!text::saying(running, off).empty())
        return (void)out.warn(
            fmt::format("interrupts are not remapped by the IOMMU: the kernel was started with {}; passthrough needs a "
                        "start without it, or allow_unsafe_interrupts with its risk",
                        off.print()));
    out.warn("interrupts are not remapped by the IOMMU: passthrough needs a newer BIOS, or allow_unsafe_interrupts with its risk");
    return;
  }
  const std::string table = gpu::iommu_table(facts.cpu);
  if (host.exists("/sys/firmware/acpi/tables") && !host.exists("/sys/firmware/acpi/tables/" + table)) {
    out.refuse(fmt::format("no IOMMU: the firmware has no ACPI table {}; {}", table, gpu::iommu_switch(facts.cpu)));
    return;
  }
  if (out.reboot_reason()) {
    out.later({"reboot", fmt::format("the IOMMU comes with the next boot: {}", *out.reboot_reason())});
    return;
  }
  out.refuse(fmt::format("no IOMMU although the kernel command line is right: {}",
                         facts.iommu.cause.empty() ? std::string("see dmesg for DMAR (Intel) or AMD-Vi (AMD)") : facts.iommu.cause));
}

void plan(const Params& params, const HostView& host, Plan& out) {
  Reader reader(host);
  const gpu::HostFacts facts = gpu::read_host_facts(reader, {});
  const bool intel = facts.cpu.vendor == "GenuineIntel";
  boot::CmdlineWish wish{.module = "iommu", .conflicts = params.conflicts};
  if (params.state == State::present) {
    const auto all = kernels(host);
    if (intel &&
        std::any_of(all.begin(), all.end(), [&](const std::string& release) { return driver::needs_intel_iommu_on(host, release); }))
      wish.present.push_back(intel_on);
    if (params.dma_mode == DmaMode::pt) wish.present.push_back(identity);
    wish.forbidden = {{"intel_iommu", "off"}, {"amd_iommu", "off"}, {"iommu", "off"}};
    if (!params.allow_unsafe_interrupts) wish.forbidden.insert(wish.forbidden.end(), no_remapping.begin(), no_remapping.end());
  }
  // A newer kernel does not need intel_iommu=on any more, but taking it away would be a change, and a reboot, for nothing.
  if (params.state == State::absent) wish.withdrawn.push_back(intel_on);
  if (params.dma_mode != DmaMode::pt || params.state == State::absent) wish.withdrawn.push_back(identity);
  if (params.follow_ups == FollowUps::later) out.put_off_next_boot_work();
  boot::plan_cmdline(host, out, wish);
  plan_files(params, host, out);
  prove(facts, wish, host, out);
}

}  // namespace

template <>
struct EnumNames<DmaMode> {
  static constexpr std::pair<DmaMode, const char*> values[] = {{DmaMode::standard, "standard"}, {DmaMode::pt, "pt"}};
};

PVEGPU_MODULE(
    iommu, Params,
    (ModuleDoc{
        .name = "iommu",
        .summary = "IOMMU on, and proven after the reboot",
        .description =
            {"Puts on the kernel command line what this CPU and this kernel need for the IOMMU, and nothing more: Intel before kernel 6.8 "
             "needs C(intel_iommu=on), later kernels and AMD need nothing. Loads the vfio modules at boot.",
             "Then it proves it: C(/sys/class/iommu) and IOMMU groups. While the reboot is still to come it answers C(pending_on=reboot). "
             "If the command line is right and there is no IOMMU, it fails with the cause, at every later run too."},
        .examples = R"(- name: IOMMU on
  pve.gpu.iommu:

- name: IOMMU on, without translation for the host's own devices
  pve.gpu.iommu:
    dma_mode: pt
)",
        .answer = answer_of<Answer>,
    }),
    Spec<Params>{}
        .param("state", &Params::state, {.doc = "C(absent) takes back what this module added."})
        .param("dma_mode", &Params::dma_mode,
               {.doc = "C(pt) adds C(iommu=pt): devices that the host keeps go untranslated, which is faster for them."})
        .param("vfio_at_boot", &Params::vfio_at_boot,
               {.doc = "Whether the vfio modules are loaded at boot. vGPU on mdev does not need them."})
        .param("allow_unsafe_interrupts", &Params::allow_unsafe_interrupts,
               {.doc = "For hosts without interrupt remapping, C(intremap=off) and C(nointremap) among them. A guest can then inject "
                       "interrupts into "
                       "the host."})
        .param(
            "conflicts", &Params::conflicts,
            {.doc =
                 "What to do with parameters of others that switch the IOMMU, or its interrupt remapping, off: refuse with their file and "
                 "line, or remove them there."})
        .param("follow_ups", &Params::follow_ups,
               {.doc = "When C(update-grub), C(proxmox-boot-tool refresh) and C(update-initramfs) run. C(later) leaves them to the module "
                       "C(follow_ups)."}),
    plan)

}  // namespace pvegpu
