// SPDX-License-Identifier: MIT
// microcode: Debian's microcode package for this processor, and the proof that what it has runs.
//
// The kernel loads microcode from the initramfs as it starts; /proc/cpuinfo says which revision runs, and the headers of the package's
// files which it would be: newer or not, for the firmware brings one too. The packages make the initramfs of the newest kernel anew
// (update-initramfs -u), of a pinned one not, so that all are made.
#include "common/apt/packages.hpp"
#include "common/apt/source_set.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/facts/host_facts.hpp"
#include "common/base/strings.hpp"
#include "common/text/microcode.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

struct Params {
  State state = State::present;
  FollowUps follow_ups = FollowUps::now;
};

constexpr const char *intel_package = "intel-microcode", *amd_package = "amd64-microcode";

std::string hex(std::optional<std::uint32_t> revision) { return revision ? fmt::format("0x{:x}", *revision) : std::string(); }

struct Answer {
  std::string vendor, package, version, running, available;

  static void fields(Reply<Answer>& out) {
    const char* when = "when O(state=present)";
    out.field("vendor", &Answer::vendor, {.doc = "The processor's vendor.", .sample = "GenuineIntel", .when = when});
    out.field("package", &Answer::package, {.doc = "The package with its microcode.", .sample = "intel-microcode", .when = when});
    out.field(
        "version", &Answer::version,
        {.doc = "The version of the package that is there when the task has succeeded.", .sample = "3.20250812.1~deb12u1", .when = when});
    out.field("running", &Answer::running, {.doc = "The revision that runs.", .sample = "0xd0003e7", .when = when});
    out.field(
        "available", &Answer::available,
        {.doc = "The newest revision that the package has for this processor. Not told while it is not installed, and where it has none.",
         .sample = "0xd000404",
         .when = when});
  }
};

/// What to do where no source has the package: repo has no word for components.
std::string cure(const HostView& host) {
  const apt::Release& release = apt::release_of(host);
  const std::string component = release.pve == 7 ? "non-free" : "non-free-firmware";
  std::string debian;
  for (const apt::ActiveSource& each : apt::SourceSet(host, release, {}).active()) {
    if (each.archive != apt::Archive::debian ||
        std::find(each.source.suites.begin(), each.source.suites.end(), release.codename) == each.source.suites.end())
      continue;
    const auto& components = each.source.components;
    if (std::find(components.begin(), components.end(), component) != components.end())
      return fmt::format("{} asks for {}, where it should be: run apt-get update, and see whether that mirror has it", each.place,
                         component);
    if (debian.empty()) debian = each.place;
  }
  if (debian.empty())
    return fmt::format("add the line 'deb http://deb.debian.org/debian {} {}' to /etc/apt/sources.list, and run apt-get update",
                       release.codename, component);
  return fmt::format("it is in Debian's component {0}: write {0} behind the components in {1}, and run apt-get update", component, debian);
}

/// Of the package's file for this processor; nullopt: there is none.
std::optional<std::uint32_t> available_revision(const HostView& host, const gpu::Cpu& cpu) {
  if (!cpu.family || !cpu.model_number || !cpu.stepping) return std::nullopt;
  const std::string name = cpu.intel() ? fmt::format("intel-ucode/{:02x}-{:02x}-{:02x}", *cpu.family, *cpu.model_number, *cpu.stepping)
                           : *cpu.family < 0x15 ? std::string("amd-ucode/microcode_amd.bin")
                                                : fmt::format("amd-ucode/microcode_amd_fam{:02x}h.bin", *cpu.family);
  auto file = host.read_file("/lib/firmware/" + name);
  if (!file && file.error().not_found()) return std::nullopt;
  const std::string bytes = std::move(file).or_fail("read the microcode");
  const std::string flags = host.read_attr("/sys/devices/system/cpu/cpu0/microcode/processor_flags").value_or("0");
  return text::microcode_revision(bytes, text::cpu_signature(*cpu.family, *cpu.model_number, *cpu.stepping),
                                  static_cast<std::uint32_t>(std::strtoul(flags.c_str(), nullptr, 0)));
}

void present(const HostView& host, Plan& out) {
  Reader reader(host);
  const gpu::Cpu cpu = gpu::read_cpu(reader);
  const std::string vendor = cpu.vendor.value_or("");
  if (!cpu.intel() && !cpu.amd())
    return (void)out.refuse(
        fmt::format("/proc/cpuinfo names the vendor '{}': Debian has microcode for GenuineIntel and AuthenticAMD", vendor));
  if (cpu.is_virtual)
    return (void)out.refuse(
        "this host is a virtual machine (/proc/cpuinfo has the flag hypervisor), whose processor gets its microcode from the "
        "machine below it: run the task there");
  const std::string package = cpu.intel() ? intel_package : amd_package;
  if (text::contains(host.read_attr("/proc/cmdline").value_or(""), "dis_ucode_ldr"))
    return (void)out.refuse(
        "the kernel was started with dis_ucode_ldr, which keeps it from loading microcode: take that off its command line "
        "and reboot");
  const auto now = apt::find_package(host, package).or_fail("look at " + package);
  const bool installed = now && now->is_installed();
  const auto version = out.ensure_package(package, {.cure = installed ? std::string() : cure(host), .then = {follow_up_initramfs()}});
  const auto available = installed ? available_revision(host, cpu) : std::nullopt;
  out.report(Answer{vendor, package, version.value_or(""), hex(cpu.microcode), hex(available)});
  if (!installed) {
    out.later({"packages", fmt::format("which microcode {} has for this processor is known when it is installed", package)});
  } else if (available && cpu.microcode && *available > *cpu.microcode) {
    const std::string why = fmt::format("microcode {} runs, {} {} has {}", hex(cpu.microcode), package, *version, hex(available));
    out.reboot_if(true, why);
    out.later({"reboot",
               fmt::format("{}; where a reboot does not bring it, see /etc/default/{} and what the kernel says of microcode (dmesg): some "
                           "revisions need a newer BIOS",
                           why, package)});
  }
}

void plan(const Params& params, const HostView& host, Plan& out) {
  if (params.follow_ups == FollowUps::later) out.put_off_next_boot_work();
  if (params.state == State::present) return present(host, out);
  for (const char* package : {intel_package, amd_package}) out.ensure_no_package(package, {follow_up_initramfs()});
}

}  // namespace

PVEGPU_MODULE(
    microcode, Params,
    (ModuleDoc{
        .name = "microcode",
        .summary = "Microcode of the processor, and the proof that it runs",
        .description =
            {"Installs Debian's package of microcode for this processor, C(intel-microcode) or C(amd64-microcode), as the package sources "
             "have "
             "it, and makes the initramfs of every kernel anew, from which the kernel loads it.",
             "Then it compares the revision that runs with the one that the package has for this processor. While the package's is newer, "
             "it "
             "answers C(pending_on=reboot). After that reboot it proves that it runs, or fails with what to look at. A newer one of the "
             "firmware's is fine.",
             "The package is in Debian's component C(non-free-firmware), C(non-free) on Proxmox VE 7. Where no source has that, the task "
             "says "
             "which line has to be changed.",
             "C(state=absent) removes the package, and what came along and nobody needs, if this module installed it. A microcode that "
             "runs "
             "is never replaced by an older one before the next power-on."},
        .examples = R"(- name: The processor's microcode
  pve.gpu.microcode:

- name: With what else the next boot needs
  pve.gpu.microcode:
    follow_ups: later
)",
        .answer = answer_of<Answer>,
        .notes = {"An old package is replaced by upgrades of the host, not by this module.", "The module does not reboot."},
    }),
    Spec<Params>{}
        .param("state", &Params::state, {.doc = "V(absent) removes what this module installed."})
        .param("follow_ups", &Params::follow_ups,
               {.doc = "When the initramfs is made anew. V(later) leaves that to the module M(pve.gpu.follow_ups)."}),
    plan)

}  // namespace pvegpu
