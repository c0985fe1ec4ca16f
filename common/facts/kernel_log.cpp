// SPDX-License-Identifier: MIT
// Sources: NVIDIA/open-gpu-kernel-modules (nv.c, nv-pci.c, osinit.c, kernel_gsp.c) and its threads 322, 393, 673, 696, 943, 1230; drivers
// of Linux: pci/iov.c, pci/pci.c, iommu/intel, iommu/amd, vfio/pci, gpu/drm/i915; kernel/module; DualCoder/vgpu_unlock 99,
// mbilker/vgpu_unlock-rs 10 (nvidia-vgpu-mgr); GPU-FACTS 1.3 and 8 (nvidia-vgpud).
#include "common/facts/kernel_log.hpp"

#include "common/base/strings.hpp"
#include "common/text/pci_address.hpp"

#include <algorithm>
#include <cctype>

namespace pvegpu::gpu {
namespace {

/// Where the card's address is, when the line itself has none.
enum class Subject {
  line,    ///< nowhere else
  before,  ///< NVRM names the GPU in the line before, and goes on
  after,   ///< NVRM says what failed, and then for which GPU: "GPU 0000:a1:00.0: RmInitAdapter failed!"
};

struct Sentence {
  Log log;
  const char* says;  ///< lower case, in the line
  const char* also;  ///< the same
  Subject subject;
  const char *name, *cause, *cure, *brought_by;
  const char* module = "";
};

constexpr const char* power_off =
    "shut the host down, take it off the power for half a minute and start it again: a reboot does not reset the GPU";
constexpr const char* bios_window =
    "switch on 'Above 4G Decoding' (with it SR-IOV and Resizable BAR, where they are offered) in the BIOS setup; where it is on, "
    "pci=realloc "
    "on the kernel's command line lets the kernel move the windows";
constexpr const char* other_kernel =
    "build the driver again for this kernel: pve.gpu.nvidia_driver, or pve.gpu.i915_sriov_driver for Intel's";

/// The most telling first: of several about one card the first is its cause, the others its consequences.
constexpr Sentence sentences[] = {
    {Log::kernel, "requires use of the nvidia open kernel modules", "", Subject::before, "open_modules_required",
     "only NVIDIA's open kernel modules drive this GPU, and the proprietary ones run",
     "install the driver with them: pve.gpu.nvidia_driver kernel_module_type=open", "driver", "nvidia_driver"},
    {Log::kernel, "is not supported by open", "", Subject::before, "proprietary_modules_required",
     "NVIDIA's open kernel modules do not drive this GPU: it has no GSP",
     "install the driver with the proprietary modules: pve.gpu.nvidia_driver kernel_module_type=proprietary", "driver", "nvidia_driver"},
    {Log::kernel, "open nvidia.ko is only ready for use on data center gpus", "", Subject::before, "proprietary_modules_required",
     "NVIDIA's open kernel modules of this version do not drive this GPU",
     "install the driver with the proprietary modules: pve.gpu.nvidia_driver kernel_module_type=proprietary", "driver", "nvidia_driver"},
    {Log::kernel, "supported through the nvidia", "legacy drivers", Subject::before, "legacy_branch",
     "this branch of the driver serves the GPU no more", "install a driver of an older branch: pve.gpu.nvidia_driver", "driver",
     "nvidia_driver"},
    {Log::kernel, "in this system is not supported by the", "", Subject::before, "driver_without_board",
     "this release of the driver does not serve the GPU", "install a driver that does: pve.gpu.nvidia_driver", "driver", "nvidia_driver"},
    {Log::kernel, " is 0m @ 0x0", "", Subject::line, "bar_unassigned",
     "a memory window (BAR) of the GPU has no address, so no driver can use it", bios_window, ""},
    {Log::kernel, "necessary power cables", "", Subject::line, "power_cables", "the GPU's own power cables are not connected",
     "shut the host down and connect them", "power_off"},
    {Log::kernel, "fallen off the bus", "", Subject::line, "fallen_off_the_bus",
     "the GPU does not answer any more: it lost its power or its slot's link, or grew too hot", power_off, "power_off"},
    {Log::kernel, "unable to change power state", "device inaccessible", Subject::line, "inaccessible",
     "the GPU does not wake up: its configuration space can't be read", power_off, "power_off"},
    {Log::kernel, "change power state", "config space inaccessible", Subject::line, "inaccessible",
     "the GPU does not wake up: its configuration space can't be read", power_off, "power_off"},
    {Log::kernel, "wpr2 already up", "", Subject::after, "wpr2_already_up",
     "the GPU is in a bad state (WPR2 already up): its firmware is still the one that an earlier start left", power_off, "power_off"},
    {Log::kernel, "direct firmware load for nvidia/", "failed with error", Subject::line, "gsp_firmware_missing",
     "the driver does not find its GSP firmware in /lib/firmware/nvidia", "install the driver again: pve.gpu.nvidia_driver", "driver",
     "nvidia_driver"},
    {Log::kernel, "loading /lib/firmware/nvidia/", "failed with error", Subject::line, "gsp_firmware_missing",
     "the driver could not read its GSP firmware in /lib/firmware/nvidia", "install the driver again: pve.gpu.nvidia_driver", "driver",
     "nvidia_driver"},
    {Log::kernel, "waiting for rpc response from gpu", "", Subject::line, "gsp_timeout", "the GPU's firmware (GSP) does not answer",
     power_off, "power_off"},
    {Log::kernel, "disagrees about version of symbol", "nvidia", Subject::line, "module_of_other_kernel",
     "a module was built for another kernel or driver than the one that runs", other_kernel, "driver", "nvidia_driver"},
    {Log::kernel, "disagrees about version of symbol", "i915", Subject::line, "module_of_other_kernel",
     "a module was built for another kernel or driver than the one that runs", other_kernel, "driver", "i915_sriov_driver"},
    {Log::kernel, "unknown symbol", "nvidia", Subject::line, "module_of_other_kernel",
     "a module misses what another one or the kernel does not have: they are of different builds", other_kernel, "driver", "nvidia_driver"},
    {Log::kernel, "unknown symbol", "i915", Subject::line, "module_of_other_kernel",
     "a module misses what another one or the kernel does not have: they are of different builds", other_kernel, "driver",
     "i915_sriov_driver"},
    {Log::kernel, "disagrees about version of symbol", "", Subject::line, "module_of_other_kernel",
     "a module was built for another kernel or driver than the one that runs", other_kernel, "driver"},
    {Log::kernel, "unknown symbol", "", Subject::line, "module_of_other_kernel",
     "a module misses what another one or the kernel does not have: they are of different builds", other_kernel, "driver"},
    {Log::kernel, "unsigned module", "restricted", Subject::line, "unsigned_module", "Secure Boot lets no unsigned module be loaded",
     "enrol DKMS's key with mokutil --import /var/lib/dkms/mok.pub, or switch Secure Boot off", ""},
    {Log::kernel, "unsigned module is rejected", "", Subject::line, "unsigned_module", "Secure Boot lets no unsigned module be loaded",
     "enrol DKMS's key with mokutil --import /var/lib/dkms/mok.pub, or switch Secure Boot off", ""},
    {Log::kernel, "nvrm: api mismatch", "", Subject::line, "version_mismatch",
     "NVIDIA's programs are of another version than the kernel module that runs", "reboot, so that the installed module runs", "reboot"},
    {Log::kernel, "nvrm: gpu", "is already bound to", Subject::line, "held_by_driver", "another driver has the GPU",
     "let go of it there: pve.gpu.vfio state=absent, or pve.gpu.nvidia_driver, which keeps nouveau away", ""},
    {Log::kernel, "probe routine was not called for", "", Subject::line, "held_by_driver",
     "another driver, or a driver_override, has an NVIDIA card", "let go of it there, where it is meant for NVIDIA's driver", ""},
    {Log::kernel, "not enough mmio resources for sr-iov", "", Subject::line, "vf_bar_unassigned",
     "the memory windows (BARs) of the VFs have no address, so no VF can be made", bios_window, ""},
    {Log::kernel, "iov bars not allocated", "", Subject::line, "vf_bar_unassigned",
     "the memory windows (BARs) of the VFs have no address, so no VF can be made", bios_window, ""},
    {Log::kernel, "can't enable", "out of range of", Subject::line, "vf_bus_numbers",
     "the VFs need bus numbers that the bridge above the card does not have",
     "switch on ARI and SR-IOV in the BIOS setup, or add pci=assign-busses to the kernel's command line", ""},
    {Log::kernel, "sr-iov: bus number out of range", "", Subject::line, "vf_bus_numbers",
     "the VFs need bus numbers that the bridge above the card does not have",
     "switch on ARI and SR-IOV in the BIOS setup, or add pci=assign-busses to the kernel's command line", ""},
    {Log::kernel, "no vfs could be associated with this pf", "", Subject::line, "no_vfs_provisioned", "i915 could give this GPU no VFs",
     "see that i915.enable_guc=3 and i915.max_vfs are on the kernel's command line: pve.gpu.i915_sriov_driver", "reboot"},
    {Log::kernel, "i915: unknown parameter 'max_vfs'", "", Subject::line, "stock_module", "the kernel's own i915 runs, which makes no VFs",
     "pve.gpu.i915_sriov_driver", "driver", "i915_sriov_driver"},
    {Log::kernel, "guc", "fetch failed", Subject::line, "intel_firmware_missing", "Intel's GuC firmware is missing",
     "install the package pve-firmware, run update-initramfs -u and reboot", "packages"},
    {Log::kernel, "guc initialization failed", "", Subject::line, "intel_firmware_failed", "Intel's GuC firmware does not start",
     "install the newest package pve-firmware, run update-initramfs -u and reboot", "packages"},
    {Log::kernel, "direct firmware load for i915/", "failed with error", Subject::line, "intel_firmware_missing",
     "a firmware of Intel's GPU is missing", "install the package pve-firmware, run update-initramfs -u and reboot", "packages"},
    {Log::kernel, "ineligible for iommu domain attach", "", Subject::line, "rmrr",
     "the firmware demands a memory region (RMRR) for this device, so the IOMMU gives it to no guest",
     "switch off what the firmware wants it for (HPE: shared memory of the slot, with conrep), or take another slot", ""},
    {Log::kernel, "vfio", "can't reserve", Subject::line, "bar_held",
     "something of the host holds a memory window (BAR) of the card, mostly the firmware's console",
     "add initcall_blacklist=sysfb_init to the kernel's command line: pve.gpu.vfio with bind=boot, or pve.gpu.kernel_cmdline", "reboot"},
    {Log::kernel, "no interrupt remapping", "", Subject::line, "interrupt_remapping",
     "the IOMMU remaps no interrupts, so vfio refuses the device",
     "switch interrupt remapping (x2APIC) on in the BIOS setup, or accept the risk: pve.gpu.iommu", ""},
    {Log::kernel, "not ready", "giving up", Subject::line, "reset_failed", "the card did not come back from a reset", power_off,
     "power_off"},
    {Log::kernel, "request device", "fault addr", Subject::line, "dma_fault",
     "the IOMMU stopped the device from reading or writing memory that is not its own",
     "shut the guest down that has it; where the host's driver has it, add iommu=pt to the kernel's command line: pve.gpu.iommu", ""},
    {Log::kernel, "io_page_fault", "", Subject::line, "dma_fault",
     "the IOMMU stopped the device from reading or writing memory that is not its own",
     "shut the guest down that has it; where the host's driver has it, add iommu=pt to the kernel's command line: pve.gpu.iommu", ""},
    {Log::kernel, "cannot initialize gsp firmware rm", "", Subject::after, "gsp_failed", "the GPU's firmware (GSP) did not start",
     power_off, "power_off"},
    {Log::kernel, "rminitadapter failed", "", Subject::line, "initialisation_failed", "NVIDIA's driver could not start the GPU", power_off,
     "power_off"},
    {Log::kernel, "vf flr failed during close", "", Subject::line, "vf_stuck", "a VF did not come back from the guest that had it",
     "cycle the card's VFs: pve.gpu.sriov state=absent, then pve.gpu.sriov", "sriov"},
    {Log::kernel, "failed to add vgpu create request", "", Subject::line, "vgpu_refused",
     "the driver refused to make a vGPU: the GPU is full, or serves another size now",
     "choose a type that can be made: pve.gpu.host_info lists them", ""},

    {Log::vgpu_daemon, "gpu not supported by vgpu", "", Subject::line, "board_refused",
     "nvidia-vgpud does not know the board: this driver has no vGPU for it",
     "install a branch of the vGPU driver that serves it: pve.gpu.nvidia_driver", "driver", "nvidia_driver"},
    {Log::vgpu_daemon, "failed to send vgpu configuration info", "", Subject::line, "types_refused",
     "nvidia-vgpud could not give its vGPU types to the driver",
     "see that its board and the driver's version fit, then restart nvidia-vgpud", ""},

    {Log::vgpu_manager, "failed to initialize rm client", "", Subject::line, "rm_client",
     "nvidia-vgpu-mgr gets no connection to the kernel module (RM client): they are of different versions, or no GPU has started",
     "reboot, so that the installed module runs; if it stays, install the driver again: pve.gpu.nvidia_driver", "reboot"},
    {Log::vgpu_manager, "incompatible guest/host drivers", "", Subject::line, "guest_driver",
     "the guest's driver does not fit the host's: the host switched the vGPU off",
     "install a guest driver of the host's branch, or of the one before", ""},
    {Log::vgpu_manager, "nvos status 0x56", "", Subject::line, "board_refused",
     "the driver refuses vGPUs on this board (status 0x56: not supported)",
     "install a branch of the vGPU driver that serves it: pve.gpu.nvidia_driver", "driver", "nvidia_driver"},
};

bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

/// How many hex digits stand at `at`.
std::size_t digits(std::string_view line, std::size_t at) {
  std::size_t out = 0;
  while (at + out < line.size() && is_hex(line[at + out])) ++out;
  return out;
}

/// "0:82:0:0", as nvidia-vgpud writes it.
std::string address_of_vgpud(std::string_view line) {
  constexpr std::string_view mark = "PCI Id: ";
  const auto at = line.find(mark);
  if (at == line.npos) return {};
  const std::string_view rest = line.substr(at + mark.size());
  const auto parts = text::split(rest.substr(0, rest.find(' ')), ':');
  if (parts.size() != 4) return {};
  const auto address = text::parse_pci_address(fmt::format("{:0>4}:{:0>2}:{:0>2}.{}", parts[0], parts[1], parts[2], parts[3]));
  return address ? address->str() : std::string();
}

/// "[   12.100001] ", as dmesg and some journals begin a line.
std::string without_time(const std::string& line) {
  const std::string trimmed = text::trim(line);
  const auto end = trimmed.find("] ");
  if (!trimmed.starts_with("[") || end == trimmed.npos) return trimmed;
  return trimmed.find_first_not_of(" 0123456789.", 1) == end ? text::trim(trimmed.substr(end + 2)) : trimmed;
}

const char* command_of(Log log) {
  switch (log) {
    case Log::kernel:
      return "journalctl -b -k";
    case Log::vgpu_daemon:
      return "journalctl -b -u nvidia-vgpud";
    case Log::vgpu_manager:
      return "journalctl -b -u nvidia-vgpu-mgr";
  }
  return "";
}

/// Where what was said before is past: the kernel module was loaded again (nv.c says so first), the unit was started again.
std::size_t begin_of_now(Log log, const std::vector<std::string>& lower) {
  const char* mark = log == Log::kernel ? "nvlink core is being initialized" : "starting nvidia";
  for (std::size_t at = lower.size(); at > 0; --at)
    if (text::contains(lower[at - 1], mark)) return at;
  return 0;
}

constexpr std::size_t lines_after = 12, lines_before = 2;

std::string address_near(const std::vector<std::string>& lines, std::size_t at, Subject subject) {
  if (std::string own = address_in_line(lines[at]); !own.empty() || subject == Subject::line) return own;
  if (subject == Subject::before) {
    for (std::size_t back = 1; back <= lines_before && back <= at; ++back)
      if (text::contains(lines[at - back], "NVIDIA GPU")) return address_in_line(lines[at - back]);
    return {};
  }
  for (std::size_t ahead = 1; ahead <= lines_after && at + ahead < lines.size(); ++ahead)
    if (text::contains(lines[at + ahead], "RmInitAdapter failed")) return address_in_line(lines[at + ahead]);
  return {};
}

}  // namespace

std::string address_in_line(std::string_view line) {
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (!is_hex(line[at]) || (at > 0 && (is_hex(line[at - 1]) || line[at - 1] == '.'))) continue;
    const std::size_t first = digits(line, at);
    // a domain of 4 digits or more, then bus and device
    const bool whole = first >= 4 && at + first < line.size() && line[at + first] == ':';
    const std::size_t bus = whole ? at + first + 1 : at;
    if (digits(line, bus) != 2 || bus + 2 >= line.size() || line[bus + 2] != ':' || digits(line, bus + 3) != 2) continue;
    const std::size_t end = bus + 5;
    const bool function =
        end + 1 < line.size() && line[end] == '.' && line[end + 1] >= '0' && line[end + 1] <= '7' && digits(line, end + 1) == 1;
    if (!function && !(whole && line.substr(0, at).ends_with("PCI:"))) continue;
    if (!whole && at > 0 && line[at - 1] == ':') continue;  // the end of something longer
    std::string domain = whole ? std::string(line.substr(at, first)) : "0000";
    while (domain.size() > 4 && domain[0] == '0') domain.erase(0, 1);
    return text::lower(fmt::format("{}:{}.{}", domain, line.substr(bus, 5), function ? line[end + 1] : '0'));
  }
  return address_of_vgpud(line);
}

std::vector<LogFinding> find_in_log(Log log, std::string_view text) {
  std::vector<std::string> lines = text::lines(text), lower;
  for (std::string& line : lines) {
    line = without_time(line).substr(0, 400);
    lower.push_back(text::lower(line));
  }
  const std::size_t now = begin_of_now(log, lower);
  std::vector<LogFinding> out;
  for (const Sentence& sentence : sentences) {
    if (sentence.log != log) continue;
    for (std::size_t at = 0; at < lines.size(); ++at) {
      if (at < now && (log != Log::kernel || text::contains(lower[at], "nvrm"))) continue;
      if (!text::contains(lower[at], sentence.says) || !text::contains(lower[at], sentence.also)) continue;
      LogFinding found{sentence.name, sentence.cause, sentence.cure, sentence.brought_by, sentence.module, lines[at], command_of(log), {}};
      found.address = address_near(lines, at, sentence.subject);
      const auto same = std::find_if(out.begin(), out.end(), [&](const LogFinding& each) {
        return std::string_view(each.name) == found.name && each.address == found.address;
      });
      if (same == out.end())
        out.push_back(std::move(found));
      else
        *same = std::move(found);
    }
  }
  return out;
}

std::optional<std::vector<LogFinding>> read_log(Reader& reader, Log log) {
  const Query query = log == Log::kernel        ? Query::kernel_log()
                      : log == Log::vgpu_daemon ? Query::unit_log("nvidia-vgpud.service")
                                                : Query::unit_log("nvidia-vgpu-mgr.service");
  const auto unknown = [&](std::string why) -> std::optional<std::vector<LogFinding>> {
    reader.add_unreadable(command_of(log), log == Log::kernel ? "messages of the kernel" : "journal of a unit", std::move(why));
    return std::nullopt;
  };
  const auto answer = reader.host().query(query);
  if (!answer) return unknown(answer.error().message);
  if (answer->timed_out) return unknown("journalctl did not answer in time");
  const std::string said = text::trim(answer->err);
  // With a pattern journalctl ends with 1 when nothing matches; then it says nothing, or "-- No entries --".
  if (answer->exit_code != 0 && !(answer->exit_code == 1 && said.empty()))
    return unknown(said.empty() ? fmt::format("journalctl: exit code {}", answer->exit_code) : said);
  const std::string out = text::trim(answer->out);
  if ((out.empty() || out.starts_with("-- ")) && reader.host().effective_uid() != 0) return unknown("only root may read it");
  return find_in_log(log, answer->out);
}

}  // namespace pvegpu::gpu
