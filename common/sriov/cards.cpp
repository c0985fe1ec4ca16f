// SPDX-License-Identifier: MIT
// Which cards get virtual functions.
#include "common/sriov/cards.hpp"

#include "common/facts/machine.hpp"
#include "common/facts/select.hpp"
#include "common/readiness/judge.hpp"
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
      : reader_(host), device_(device), count_(count), all_(device == "all"), machine_(require_machine(host)) {}

  SriovChoice run() {
    if (!choose()) return std::move(out_);
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
  bool choose() {
    const auto address = text::parse_pci_address(device_);
    if (all_ || !address) {
      for (const Gpu& gpu : machine_.gpus)
        if (all_ ? gpu.pci_class >> 8 == 0x03 : is_model(gpu, device_)) chosen_.push_back(gpu);
      if (chosen_.empty() && !all_) {
        std::string known;
        for (const Gpu& gpu : machine_.gpus) known += (known.empty() ? "" : ", ") + titled(gpu);
        refuse(fmt::format("no card of this host is '{}': give an address, a model or all; its GPUs: {}", device_,
                           known.empty() ? "none" : known));
      }
      return out_.refusal.empty();
    }
    const std::string wanted = address->first_function();
    for (const Gpu& gpu : machine_.gpus) {
      if (gpu.address == wanted) {
        chosen_.push_back(gpu);
        return true;
      }
    }
    if (const auto card = reader_.link_name(pci_root + wanted + "/physfn", "card of a virtual function")) {
      refuse(fmt::format("{} is itself a virtual function; name its card, {}", wanted, *card));
      return false;
    }
    for (const PciDevice& device : machine_.devices) {
      if (device.address != wanted) continue;
      chosen_.push_back(other_device(reader_, device));
      attach_guests(chosen_, machine_.guests, machine_.facts);
      if (const auto duties = network_duties(reader_.host(), wanted); !duties.empty())
        refuse(fmt::format("{} is a network card that this host uses ({}): its VFs are left as they are", wanted, fmt::join(duties, "; ")));
      return out_.refusal.empty();
    }
    refuse(fmt::format("there is no PCI device at {}: see lspci -D", wanted));
    return false;
  }

  bool is_graphics(const Gpu& gpu) const { return gpu.pci_class >> 8 == 0x03 || gpu.is_nvidia(); }

  readiness::Question asked(const Gpu& gpu) const {
    return {.host = reader_.host(), .machine = machine_, .gpu = &gpu, .way = readiness::vf_way_of(gpu)};
  }

  /// Why this card rightly has no VFs, "" when it may have some.
  std::string not_meant(const Gpu& gpu) const {
    if (gpu.is_nvidia() && on_card(gpu))
      return gpu.sriov.total > 0
                 ? "it shows an SR-IOV capability, but its vGPUs are mediated devices on the card itself: its VFs are not touched"
                 : "its vGPUs are mediated devices on the card itself";
    if (gpu.is_amd()) return "AMD's driver gim makes its VFs by itself (its parameter vf_num), sriov_numvfs does not";
    if (is_graphics(gpu)) {
      std::vector<const char*> names = {"no_console"};
      if (gpu.is_nvidia()) names.insert(names.end(), {"nvidia_board", "boot_display"});
      if (gpu.is_intel()) names.push_back("intel_board");
      for (const char* name : names)
        if (const readiness::Condition each = readiness::judge(asked(gpu), name); each.state == readiness::State::unmet)
          return each.never ? each.cause : fmt::format("{}: {}", each.cause, each.cure.text);
    }
    if (!gpu.is_nvidia() && !gpu.is_intel() && !gpu.sriov.capable)
      return fmt::format("it shows no SR-IOV capability; if it has one, {}", bios_switches);
    return {};
  }

  /// A T4 with newer firmware shows an SR-IOV capability and still is such a card (GPU-FACTS 2).
  static bool on_card(const Gpu& gpu) { return gpu.framework == Framework::mdev || gpu.vgpu_class() == VgpuClass::classic; }

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
    if (is_graphics(gpu) && (gpu.is_nvidia() || gpu.is_intel())) {
      if (const auto unmet = readiness::first_unmet(asked(gpu), readiness::Rung::sriov, readiness::BroughtBy::sriov)) {
        card.wait = readiness::wait_for(*unmet, titled(gpu));
        if (!card.wait) refuse(readiness::told(*unmet, titled(gpu)));
      }
    } else if (machine_.facts.iommu.active == false) {
      card.wait =
          Wait{"reboot", fmt::format("{}: the IOMMU is off, so no guest could have its VFs: {}", titled(gpu), machine_.facts.iommu.cause)};
    } else if (gpu.driver == "vfio-pci") {
      refuse(fmt::format("{} is bound to vfio-pci, for passing it through whole: give it back to its own driver first", titled(gpu)));
    } else if (!gpu.driver) {
      card.wait = Wait{"driver", fmt::format("{}: no driver has it", titled(gpu))};
    }
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

  Reader reader_;
  const std::string& device_;
  const VfCount& count_;
  const bool all_;
  const Machine machine_;
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

void SriovSkipped::fields(Reply<SriovSkipped>& out) {
  out.field("address", &SriovSkipped::address, {.doc = "PCI address."});
  out.field("name", &SriovSkipped::name, {.doc = "Its name."});
  out.field("reason", &SriovSkipped::reason, {.doc = "Why it gets none."});
}

SriovChoice choose_sriov_cards(const HostView& host, const std::string& device, const VfCount& count) {
  return Chooser(host, device, count).run();
}

}  // namespace pvegpu::gpu
