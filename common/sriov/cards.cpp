// SPDX-License-Identifier: MIT
// Which cards get virtual functions.
#include "common/sriov/cards.hpp"

#include "common/facts/guests.hpp"
#include "common/facts/scan.hpp"
#include "common/readiness/technologies.hpp"
#include "common/host/network.hpp"
#include "common/text/pci_address.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::gpu {
namespace {

using catalogue::VgpuClass;

constexpr const char* pci_root = "/sys/bus/pci/devices/";
constexpr const char* bios_switches = "switch on SR-IOV and Above 4G decoding in the BIOS setup";

std::string titled(const Gpu& gpu) { return gpu.name.empty() ? gpu.address : fmt::format("{} ({})", gpu.address, gpu.name); }

/// Names differ in the maker's name and in case: "NVIDIA A40", "a40".
std::string plain_name(const std::string& name) {
  const std::string lower = text::lower(text::trim(name));
  return lower.starts_with("nvidia ") ? lower.substr(7) : lower;
}

bool is_model(const Gpu& gpu, const std::string& wanted) {
  if (text::lower(wanted) == fmt::format("{:04x}:{:04x}", gpu.ids.vendor, gpu.ids.device)) return true;
  if (plain_name(gpu.name) == plain_name(wanted)) return true;
  return std::any_of(gpu.boards.begin(), gpu.boards.end(),
                     [&](const catalogue::Board& board) { return plain_name(std::string(board.name)) == plain_name(wanted); });
}

/// A function that is no GPU, as far as VFs go.
Gpu other_device(Reader& reader, const PciDevice& device) {
  const std::string dir = pci_root + device.address;
  Gpu out;
  out.address = device.address;
  out.ids = {device.vendor, device.device, 0, 0};
  out.pci_class = device.device_class;
  out.name = class_words(device.device_class);
  out.driver = reader.link_name(dir + "/driver", "driver");
  out.sriov.capable = reader.host().exists(dir + "/sriov_totalvfs");
  if (!out.sriov.capable) return out;
  out.sriov.total = reader.number(dir + "/sriov_totalvfs", "possible VFs").value_or(0);
  out.sriov.enabled = reader.number(dir + "/sriov_numvfs", "enabled VFs").value_or(0);
  for (std::int64_t index = 0; index < out.sriov.enabled; ++index)
    if (const auto vf = reader.link_name(fmt::format("{}/virtfn{}", dir, index), "virtual function")) {
      out.sriov.vfs.push_back({});
      out.sriov.vfs.back().address = *vf;
      out.sriov.vfs.back().driver = reader.link_name(pci_root + *vf + "/driver", "driver");
    }
  return out;
}

class Chooser {
 public:
  Chooser(const HostView& host, const std::string& device, const VfCount& count)
      : reader_(host),
        device_(device),
        count_(count),
        all_(device == "all"),
        devices_(host.pci_devices().or_fail("list the PCI devices")),
        facts_(read_host_facts(reader_, vendors_of(devices_))) {}

  SriovChoice run() {
    std::vector<Gpu> gpus = scan_gpus(reader_, devices_, facts_);
    if (!choose(gpus)) return std::move(out_);
    attach_guests(chosen_, read_guest_facts(reader_, facts_), facts_);
    std::vector<const Gpu*> meant;
    for (const Gpu& gpu : chosen_) {
      if (const std::string reason = not_meant(gpu); !reason.empty())
        skip(gpu, reason);
      else
        meant.push_back(&gpu);
    }
    // A processor's graphics beside the card for which a host was bought: only wanted when its driver makes VFs, or by name.
    const bool others = std::any_of(meant.begin(), meant.end(), [](const Gpu* gpu) { return !gpu->is_intel(); });
    for (const Gpu* gpu : meant) {
      if (all_ && others && gpu->is_intel() && gpu->sriov.total == 0)
        skip(*gpu, "its driver makes no VFs, and another card does");
      else
        judge(*gpu);
    }
    return std::move(out_);
  }

 private:
  void refuse(std::string reason) {
    if (out_.refusal.empty()) out_.refusal = std::move(reason);
  }
  void skip(const Gpu& gpu, std::string reason) {
    out_.skipped.push_back({gpu.address, gpu.name, std::move(reason), gpu.is_nvidia() && on_card(gpu)});
  }

  /// What was named; false if it is not there.
  bool choose(std::vector<Gpu>& gpus) {
    const auto address = text::parse_pci_address(device_);
    if (all_ || !address) {
      for (Gpu& gpu : gpus)
        if (all_ ? gpu.pci_class >> 8 == 0x03 : is_model(gpu, device_)) chosen_.push_back(std::move(gpu));
      if (chosen_.empty() && !all_) {
        std::string known;
        for (const Gpu& gpu : gpus) known += (known.empty() ? "" : ", ") + titled(gpu);
        refuse(fmt::format("no card of this host is '{}': give an address, a model or all; its GPUs: {}", device_,
                           known.empty() ? "none" : known));
      }
      return out_.refusal.empty();
    }
    const std::string wanted = address->first_function();
    for (Gpu& gpu : gpus) {
      if (gpu.address == wanted) {
        chosen_.push_back(std::move(gpu));
        return true;
      }
    }
    if (const auto card = reader_.link_name(pci_root + wanted + "/physfn", "card of a virtual function")) {
      refuse(fmt::format("{} is itself a virtual function; name its card, {}", wanted, *card));
      return false;
    }
    for (const PciDevice& device : devices_) {
      if (device.address != wanted) continue;
      chosen_.push_back(other_device(reader_, device));
      if (const auto duties = network_duties(reader_.host(), wanted); !duties.empty())
        refuse(fmt::format("{} is a network card that this host uses ({}): its VFs are left as they are", wanted, fmt::join(duties, "; ")));
      return out_.refusal.empty();
    }
    refuse(fmt::format("there is no PCI device at {}: see lspci -D", wanted));
    return false;
  }

  /// Why this card rightly has no VFs, "" when it may have some.
  std::string not_meant(const Gpu& gpu) const {
    if (gpu.kind == Kind::management_display) return "it is the display of the server's management controller";
    if (gpu.kind == Kind::virtual_display) return "it is the display of a virtual machine, which this host is";
    if (gpu.is_nvidia()) return nvidia_not_meant(gpu);
    if (gpu.is_amd()) return "AMD's driver gim makes its VFs by itself (its parameter vf_num), sriov_numvfs does not";
    if (gpu.is_intel() && gpu.pci_class >> 8 == 0x03 && gpu.sriov.total == 0) {
      const Technology sriov = judge_technologies(gpu, facts_).intel_sriov;
      if (!sriov.possible) return sriov.missing.at(0);
    }
    if (!gpu.is_intel() && !gpu.sriov.capable) return fmt::format("it shows no SR-IOV capability; if it has one, {}", bios_switches);
    return {};
  }

  /// A T4 with newer firmware shows an SR-IOV capability and still is such a card (GPU-FACTS 2).
  static bool on_card(const Gpu& gpu) { return gpu.framework == Framework::mdev || gpu.vgpu_class() == VgpuClass::classic; }

  static std::string nvidia_not_meant(const Gpu& gpu) {
    if (on_card(gpu))
      return gpu.sriov.total > 0
                 ? "it shows an SR-IOV capability, but its vGPUs are mediated devices on the card itself: its VFs are not touched"
                 : "its vGPUs are mediated devices on the card itself";
    if (gpu.unlocked) return "it offers vGPU types of another board only because of vgpu_unlock, which is not supported";
    if (gpu.vgpu_class() == VgpuClass::none && (gpu.board() || gpu.sriov.total == 0)) return "NVIDIA offers no vGPU for it";
    if (gpu.boot_vga) return "it is the boot display: let the firmware use another card for the console";
    return {};
  }

  void judge(const Gpu& gpu) {
    SriovCard card;
    card.gpu = gpu;
    card.tool = gpu.is_nvidia() ? SriovTool::nvidia_script : SriovTool::kernel;
    card.wanted = count_.number.value_or(gpu.sriov.total);
    card.unknown_guests = !gpu.used_by;
    find_busy(card);
    if (card.wanted != 0 || !count_.number) lacks(card);
    if (card.tool == SriovTool::nvidia_script && !card.has_vfs_wanted() && !card.wait && out_.refusal.empty() &&
        !reader_.host().exists(sriov_manage))
      refuse(fmt::format("{} is missing, which makes the VFs of {}: install NVIDIA's vGPU host driver again", sriov_manage, titled(gpu)));
    out_.cards.push_back(std::move(card));
  }

  static void find_busy(SriovCard& card) {
    const Gpu& gpu = card.gpu;
    const auto by_guest = [&](const std::string& address) {
      return gpu.used_by &&
             std::any_of(gpu.used_by->begin(), gpu.used_by->end(), [&](const Use& use) { return use.running && use.address == address; });
    };
    for (const Use& use : gpu.used_by.value_or(std::vector<Use>()))
      if (use.running && !use.address.empty())
        card.busy.push_back(
            fmt::format("guest {}{} uses {}", use.vmid, use.name.empty() ? "" : fmt::format(" ({})", use.name), use.address));
    for (const Vf& vf : gpu.sriov.vfs)
      if ((!vf.mdevs.empty() || vf.type_id.value_or(0) != 0) && !by_guest(vf.address))
        card.busy.push_back(fmt::format("{} has a vGPU ({})", vf.address, vf.vgpu_type));
  }

  /// What keeps the card from having VFs now: something that another step or a reboot brings, or something to be told.
  void lacks(SriovCard& card) {
    const Gpu& gpu = card.gpu;
    const auto wait = [&](const char* on, const std::string& why) {
      if (!card.wait) card.wait = Wait{on, fmt::format("{}: {}", titled(gpu), why)};
    };
    if (facts_.iommu.active == false) wait("reboot", "the IOMMU is off, so no guest could have its VFs: " + facts_.iommu.cause);
    if (gpu.driver == "vfio-pci") {
      refuse(fmt::format("{} is bound to vfio-pci, for passing it through whole: give it back to its own driver first", titled(gpu)));
      return;
    }
    if (gpu.is_nvidia())
      nvidia_lacks(gpu, wait);
    else if (gpu.is_intel() && gpu.pci_class >> 8 == 0x03)
      intel_lacks(gpu, wait);
    else if (!gpu.driver)
      wait("driver", "no driver has it");
    if (card.wait || !out_.refusal.empty()) return;
    if (gpu.sriov.total == 0)
      refuse(fmt::format("{} offers no VFs ({}): {}", titled(gpu), gpu.sriov.capable ? "sriov_totalvfs is 0" : "it has no sriov_totalvfs",
                         bios_switches));
    else if (card.wanted > gpu.sriov.total)
      refuse(fmt::format("{} has {} VFs, {} are wanted: lower the number, or let it be max", titled(gpu), gpu.sriov.total, card.wanted));
    else if (card.tool == SriovTool::nvidia_script && card.wanted != gpu.sriov.total)
      refuse(fmt::format(
          "NVIDIA's sriov-manage makes all {} VFs of {} or none, not {}: let the number be max; VFs that nobody uses cost nothing",
          gpu.sriov.total, titled(gpu), card.wanted));
  }

  /// Its driver is blacklisted: a reboot helps only where the next one is without that.
  template <class WaitFor>
  bool is_kept_away(const Gpu& gpu, const WaitFor& wait) {
    const BlockVerdict verdict = judge_blocks(reader_.host(), facts_.boot, wished_driver(gpu, facts_), false);
    if (!verdict.refusal.empty()) refuse(fmt::format("{}: {}", titled(gpu), verdict.refusal));
    if (!verdict.wait.empty()) wait("reboot", verdict.wait);
    return !verdict.refusal.empty() || !verdict.wait.empty();
  }

  template <class WaitFor>
  void nvidia_lacks(const Gpu& gpu, const WaitFor& wait) {
    const NvidiaDriver& driver = facts_.nvidia;
    if (gpu.pci_class == 0x0300 && gpu.sriov.enabled == 0)
      wait("display_mode",
           "its display outputs are on (class 0300), so it makes no VFs: switch them off with NVIDIA's displaymodeselector, then power the "
           "host "
           "off and on");
    if (!driver.loaded && driver.installed_version && is_kept_away(gpu, wait)) return;
    if (!driver.loaded && driver.installed_version)
      wait("reboot", fmt::format("the NVIDIA driver {} is installed for this kernel but not loaded", *driver.installed_version));
    else if (!driver.loaded)
      wait("driver", "no NVIDIA vGPU host driver is loaded or installed for this kernel");
    else if (driver.host_vgpu == false)
      wait("driver", fmt::format("the loaded NVIDIA driver {} is no vGPU host driver", driver.version.value_or("(version unknown)")));
    else if (gpu.driver && gpu.driver != "nvidia" && gpu.driver != "pci-pf-stub")
      wait("driver", fmt::format("the driver {} has it, not nvidia", *gpu.driver));
    if (driver.loaded && driver.branch && !gpu.boards.empty())
      if (const auto service = catalogue::branch_serves(gpu.boards[0], driver.branch->branch); service.verdict == catalogue::Verdict::no)
        refuse(fmt::format("driver {} does not serve {}: {}", driver.version.value_or(""), titled(gpu), service.reason));
  }

  template <class WaitFor>
  void intel_lacks(const Gpu& gpu, const WaitFor& wait) {
    if (gpu.sriov.total > 0 && gpu.driver) return;
    if (gpu.driver != wished_driver(gpu, facts_) && is_kept_away(gpu, wait)) return;
    const Technology sriov = judge_technologies(gpu, facts_).intel_sriov;
    const std::string why = sriov.missing.empty() ? "no driver has it" : sriov.missing.back();
    // With the right build installed, or running with max_vfs=0, its command line takes effect at the next boot.
    wait(facts_.i915.installed_has_max_vfs || facts_.i915.max_vfs ? "reboot" : "driver", why);
  }

  Reader reader_;
  const std::string& device_;
  const VfCount& count_;
  const bool all_;
  const std::vector<PciDevice> devices_;
  const HostFacts facts_;
  std::vector<Gpu> chosen_;
  SriovChoice out_;
};

}  // namespace

VfCount parse_vf_count(const std::string& text) {
  VfCount out;
  if (text == "max") return out;
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || number < 0 || number > 0xffff)
    throw ModuleError(fmt::format("parameter 'vfs': '{}' is neither a number of VFs nor max", text));
  out.number = number;
  return out;
}

SriovChoice choose_sriov_cards(const HostView& host, const std::string& device, const VfCount& count) {
  return Chooser(host, device, count).run();
}

}  // namespace pvegpu::gpu
