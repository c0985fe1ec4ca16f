// SPDX-License-Identifier: MIT
// What the host must be before any GPU of it can be given away: firmware, command line, IOMMU.
#include "common/base/strings.hpp"
#include "common/boot/cmdline.hpp"
#include "common/driver/i915.hpp"
#include "common/facts/scan.hpp"
#include "common/readiness/conditions.hpp"
#include "common/text/kernel_parameters.hpp"

#include <algorithm>

namespace pvegpu::readiness {
namespace {

using text::KernelParameter;

/// What this way needs on the kernel's command line.
std::vector<KernelParameter> wanted_parameters(const Question& q) {
  std::vector<KernelParameter> out;
  const gpu::HostFacts& facts = q.facts();
  if (facts.cpu.intel() && q.machine.needs_intel_iommu_on(q.host)) out.push_back({"intel_iommu", "on"});
  if (q.way == Way::intel_vgpu && q.gpu && q.gpu->driver != "xe" && (facts.i915.max_vfs || facts.i915.installed_has_max_vfs)) {
    std::int64_t count = 7;  // or as many as somebody wanted
    for (const KernelParameter& parameter : text::parse_kernel_cmdline(facts.boot.cmdline.value_or("")))
      if (parameter.key == "i915.max_vfs" && std::atoi(parameter.value.value_or("").c_str()) > 0)
        count = std::atoi(parameter.value->c_str());
    const auto wanted = driver::i915_parameters(count);
    out.insert(out.end(), wanted.begin(), wanted.end());
  }
  if (q.way == Way::intel_gvtg && q.gpu && q.gpu->intel && q.gpu->intel->gvtg && q.gpu->framework != gpu::Framework::mdev)
    out.push_back({"i915.enable_gvt", "1"});  // where it offers vGPUs, it is in effect
  return out;
}

const std::vector<KernelParameter> forbidden = {{"intel_iommu", "off"}, {"amd_iommu", "off"}, {"iommu", "off"}};

/// The task that writes these parameters.
Cure writer(const Question& q, bool conflicts) {
  const std::string with = conflicts ? " with conflicts=remove" : "";
  if (q.way == Way::intel_vgpu) return task("i915_sriov_driver", json::object(), BroughtBy::driver, "pve.gpu.i915_sriov_driver" + with);
  if (q.way == Way::intel_gvtg) {
    json present = json::array();
    for (const KernelParameter& parameter : wanted_parameters(q)) present.push_back(parameter.print());
    json args = {{"parameters", present}};
    if (conflicts) args["conflicts"] = "remove";
    return task("kernel_cmdline", args, BroughtBy::reboot,
                fmt::format("pve.gpu.kernel_cmdline with parameters=[{}]{}", fmt::join(present.get<std::vector<std::string>>(), ", "),
                            conflicts ? " and conflicts=remove" : ""));
  }
  return task("iommu", conflicts ? json{{"conflicts", "remove"}} : json::object(), BroughtBy::reboot, "pve.gpu.iommu" + with);
}

Cure then_reboot(Cure cure) {
  cure.text += ", then a reboot";
  return cure;
}

/// What a task would do to the command line, without doing it.
struct Probe {
  explicit Probe(const Question& q) : plan(q.host, "diagnose") {
    boot::CmdlineWish wish{.module = "diagnose", .present = wanted_parameters(q)};
    wish.forbidden = forbidden;
    try {
      boot::plan_cmdline(q.host, plan, wish);
    } catch (const ModuleError& error) {
      doubt = error.what();
      return;
    }
    if (const auto loader = plan.reports().find("loader"); loader != plan.reports().end()) {
      for (const json& place : (*loader)["places"]) places.push_back(place.get<std::string>());
      kind = (*loader)["kind"].get<std::string>();
    }
  }

  Plan plan;
  std::string doubt, kind;
  std::vector<std::string> places;
};

/// ", but it is in FILE, which this host's boot loader does not read"
std::string misplaced(const Question& q, const std::vector<std::string>& places) {
  std::string out;
  if (q.facts().boot.loader != LoaderKind::systemd_boot) return out;
  for (const KernelParameter& parameter : wanted_parameters(q))
    for (const char* other : {"/etc/default/grub", "/etc/kernel/cmdline"})
      if (std::find(places.begin(), places.end(), other) == places.end() &&
          text::contains(q.host.read_file(other).value_or(""), parameter.print()))
        out += fmt::format("; {} is in {}, which this host's boot loader does not read", parameter.print(), other);
  return out;
}

}  // namespace

void firmware_table(const Question& q, Condition& out) {
  const std::string tables = "/sys/firmware/acpi/tables", name = gpu::iommu_table(q.facts().cpu);
  if (q.host.exists(tables + "/" + name)) return out.see(fmt::format("{}/{} is there", tables, name));
  if (!q.host.exists(tables)) return out.doubt(tables + " can't be seen");
  out.see(fmt::format("{} has no {}", tables, name));
  out.fail("the firmware announces no IOMMU", hands(gpu::iommu_switch(q.facts().cpu)));
}

void virtualization(const Question& q, Condition& out) {
  if (!q.facts().cpu.runs_guests) return out.skip();
  const bool amd = q.facts().cpu.amd();
  if (!*q.facts().cpu.runs_guests)
    out.fail(fmt::format("/proc/cpuinfo has no flag {}: the processor can't run guests", amd ? "svm" : "vmx"),
             hands(fmt::format("switch on {} in the BIOS setup", amd ? "'SVM'" : "'VT-x' or 'Intel Virtualization Technology'")));
}

void command_line(const Question& q, Condition& out) {
  out.see(fmt::format("/proc/cmdline: {}", q.facts().boot.cmdline.value_or("(unreadable)")));
  if (!q.facts().boot.cmdline) return out.doubt("/proc/cmdline can't be read");
  const auto running = text::parse_kernel_cmdline(*q.facts().boot.cmdline);
  std::vector<std::string> lacking, against;
  for (const KernelParameter& wanted : wanted_parameters(q)) {
    if (!text::in_force(running, wanted)) lacking.push_back(wanted.print());
    for (const KernelParameter& other : text::against(running, wanted)) against.push_back(other.print());
  }
  for (const KernelParameter& unwanted : forbidden)
    for (const KernelParameter& other : text::saying(running, unwanted))
      if (std::find(against.begin(), against.end(), other.print()) == against.end()) against.push_back(other.print());
  if (lacking.empty() && against.empty()) return;
  const std::string cause = !against.empty() ? fmt::format("the running kernel was started with {}", fmt::join(against, " "))
                                             : fmt::format("the running kernel was started without {}", fmt::join(lacking, " "));
  out.fail(cause, then_reboot(writer(q, !against.empty())));
  if (!q.asks_programs) return;
  const Probe probe(q);
  if (!probe.doubt.empty()) return;
  if (!probe.kind.empty()) out.see(fmt::format("the boot loader is {}; it reads {}", probe.kind, fmt::join(probe.places, ", ")));
  if (probe.plan.refusal()) return out.fail(*probe.plan.refusal(), then_reboot(writer(q, true)));
  if (probe.plan.empty())
    return out.fail(probe.plan.reboot_reason().value_or(cause), {"reboot: the boot loader's files have it", BroughtBy::reboot});
  out.fail(probe.plan.reboot_reason().value_or(cause) + misplaced(q, probe.places), then_reboot(writer(q, false)));
}

void next_command_line(const Question& q, Condition& out) {
  const Probe probe(q);
  if (!probe.doubt.empty()) return out.doubt(probe.doubt);
  if (!probe.kind.empty()) out.see(fmt::format("the boot loader is {}; it reads {}", probe.kind, fmt::join(probe.places, ", ")));
  if (probe.plan.reboot_reason() || !probe.plan.refusal()) return;  // what runs is not right yet; or what comes is
  out.see("the next boot: " + *probe.plan.refusal());
  out.fail("the next boot will not have what runs now", writer(q, true));
  out.next_boot = true;
}

void iommu_on(const Question& q, Condition& out) {
  const gpu::Iommu& iommu = q.facts().iommu;
  out.evidence = iommu.evidence;
  if (!iommu.active) return out.doubt("/sys/class/iommu can't be read");
  if (*iommu.active) return;
  out.fail("the IOMMU is off: " + iommu.cause,
           task("iommu", json::object(), BroughtBy::reboot, "pve.gpu.iommu, which says what is missing"));
}

void iommu_group(const Question& q, Condition& out) {
  if (q.facts().iommu.active != true) return out.skip();
  if (!q.gpu->iommu_group) return out.fail(fmt::format("{} is in no IOMMU group", q.gpu->address), hands("see dmesg for DMAR or AMD-Vi"));
  out.see(fmt::format("{} is in IOMMU group {}", q.gpu->address, *q.gpu->iommu_group));
}

void group_alone(const Question& q, Condition& out) {
  const gpu::Neighbour* blamed = nullptr;
  for (const gpu::Neighbour& other : q.gpu->iommu_siblings) {
    const bool along = std::find(q.along.begin(), q.along.end(), other.address) != q.along.end();
    // Two guests can't share a group; what is no GPU and kept free for guests goes along.
    const bool kept_free = other.driver == "vfio-pci" && !gpu::is_gpu_class(other.pci_class);
    if (other.same_card || other.is_bridge() || along || kept_free) continue;
    if (!blamed || (blamed->needed.empty() && !other.needed.empty())) blamed = &other;
  }
  if (!blamed) return;
  out.fail(fmt::format("its IOMMU group {} also holds {} ({}){}", q.gpu->iommu_group.value_or(0), blamed->address,
                       gpu::class_words(blamed->pci_class), blamed->needed.empty() ? "" : ", and " + blamed->needed),
           hands(blamed->is_storage() || !blamed->needed.empty() ? "put the card into another slot: a guest gets the group as a whole"
                                                                 : "put the card into another slot, or pass both with pve.gpu.vfio"));
  out.by_choice = blamed->needed.empty();
}

}  // namespace pvegpu::readiness
