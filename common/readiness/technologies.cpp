// SPDX-License-Identifier: MIT
// The seven technologies.
#include "common/readiness/technologies.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

using catalogue::VgpuClass;

class Judge {
 public:
  Judge(const Gpu& gpu, const HostFacts& facts) : gpu_(gpu), facts_(facts) {}

  Technology passthrough() const {
    Technology out;
    if (is_console()) return impossible(console_reason());
    out.possible = true;
    need_iommu(out);
    if (gpu_.boot_vga)
      lack(out,
           "it is the boot display: the host's console would be lost; let the firmware use another card, or drop the console on purpose");
    for (const Neighbour& other : gpu_.iommu_siblings)
      if (!other.same_card && !other.is_bridge())
        lack(out, fmt::format("its IOMMU group {} also holds {} ({}{}), which would leave the host with it: put the card in another slot{}",
                              gpu_.iommu_group.value_or(0), other.address, class_words(other.pci_class),
                              other.driver ? ", driver " + *other.driver : "", other.needed.empty() ? "" : "; " + other.needed));
    if (facts_.iommu.active == true && !gpu_.iommu_group) lack(out, "it is in no IOMMU group");
    if (!facts_.has_driver("vfio_pci")) lack_block(out, "vfio_pci", true);
    if (gpu_.sriov.enabled > 0)
      lack(out, fmt::format("it has {} enabled, which passing the whole card through would end", counted(gpu_.sriov.enabled, "VF")));
    if (!gpu_.mdevs.empty()) lack(out, fmt::format("it has {}", counted(static_cast<std::int64_t>(gpu_.mdevs.size()), "vGPU")));
    const auto pve = facts_.pve_version();
    if (gpu_.framework == Framework::mdev && gpu_.mdevs.empty() && pve && !(*pve < catalogue::MajorMinor{8, 4}))
      lack(out, fmt::format("the driver {} offers vGPUs on it, so Proxmox VE from 8.4 on refuses a mapping of the whole card: take that "
                            "driver away from it",
                            gpu_.driver.value_or("(none)")));
    return finish(out);
  }

  Technology nvidia_mdev() const {
    if (!gpu_.is_nvidia()) return impossible("it is not an NVIDIA card");
    if (gpu_.framework != Framework::mdev) {
      if (const auto reason = not_a_vgpu_board(); !reason.empty()) return impossible(reason);
      if (gpu_.vgpu_class() != VgpuClass::classic)
        return impossible(gpu_.name + " is an SR-IOV board: its vGPUs are on virtual functions, not on the card");
    } else if (gpu_.unlocked) {
      return impossible(unlock_reason());
    }
    Technology out;
    out.possible = true;
    need_iommu(out);
    need_no_display(out);
    need_nvidia_driver(out);
    if (out.missing.empty() && gpu_.vgpu_types.empty())
      lack(out, "the driver offers no vGPU types on it: see the services nvidia-vgpud and nvidia-vgpu-mgr");
    return finish(out);
  }

  Technology nvidia_sriov_mdev() const { return on_vfs(Framework::mdev_on_vfs); }
  Technology nvidia_vendor_vfio() const { return on_vfs(Framework::vendor_vfio); }

  Technology intel_sriov() const {
    if (!gpu_.is_intel()) return impossible("it is not an Intel GPU");
    if (!gpu_.intel && gpu_.sriov.total == 0) return impossible("it is not in the list of Intel GPUs with SR-IOV");
    const bool dkms = gpu_.intel && !gpu_.intel->dkms_from.empty();
    const auto kernel = catalogue::parse_major_minor(facts_.kernel);
    const auto own = gpu_.intel ? gpu_.intel->xe_kernel : std::nullopt;
    if (gpu_.sriov.total == 0 && !dkms && !own)
      return impossible(fmt::format("{} ({}) has no SR-IOV", gpu_.name, gpu_.intel ? gpu_.intel->platform : "unknown"));
    Technology out;
    out.possible = true;
    need_iommu(out);
    if (gpu_.sriov.enabled == 0 && gpu_.sriov.total > 0) lack(out, fmt::format("none of {} VFs is enabled: enable them", gpu_.sriov.total));
    if (gpu_.sriov.enabled == 0 && gpu_.sriov.total == 0) lack_intel_driver(out, dkms, own, kernel);
    return finish(out);
  }

  Technology intel_gvtg() const {
    if (!gpu_.is_intel()) return impossible("it is not an Intel GPU");
    const bool offered = gpu_.framework == Framework::mdev;
    if (!offered && !(gpu_.intel && gpu_.intel->gvtg))
      return impossible("GVT-g is there from Broadwell to Comet Lake (5th to 10th generation, not Ice Lake)");
    Technology out;
    out.possible = true;
    need_iommu(out);
    if (offered && gpu_.vgpu_types.empty())
      lack(out, "i915 offers no GVT-g types: raise the aperture size of the graphics in the BIOS setup");
    if (!offered) {
      if (gpu_.driver != "i915" && !lack_block(out, "i915"))
        lack(out, fmt::format("it is bound to {}, not to i915", gpu_.driver.value_or("no driver")));
      if (facts_.i915.enable_gvt != true) lack(out, "i915.enable_gvt=1 is not in effect: put it on the kernel command line and reboot");
      if (!facts_.has_driver("kvmgt")) lack(out, "the module kvmgt is not loaded: load it at boot");
      if (out.missing.empty()) lack(out, "i915 offers no mediated devices on it: see dmesg for gvt");
    }
    return finish(out);
  }

  Technology amd_mxgpu() const {
    if (!gpu_.is_amd()) return impossible("it is not an AMD card");
    const bool known = gpu_.board() && gpu_.board()->technology == catalogue::Technology::amd_mxgpu;
    if (!known) return impossible("AMD's GIM driver does not list it: MxGPU is there for Instinct accelerators, not for desktop Radeons");
    Technology out;
    out.possible = true;
    need_iommu(out);
    if (!facts_.has_driver("gim"))
      lack(out, "AMD's driver gim is not loaded: it makes the VFs (its parameter vf_num), sriov_numvfs does not");
    else if (gpu_.sriov.enabled == 0)
      lack(out, "gim made no VFs: see its parameter vf_num and dmesg");
    return finish(out);
  }

 private:
  static Technology impossible(std::string reason) { return {false, false, {std::move(reason)}}; }
  static Technology finish(Technology out) {
    out.ready = out.missing.empty();
    return out;
  }
  static void lack(Technology& out, std::string sentence) { out.missing.push_back(std::move(sentence)); }

  /// Whether something keeps this kernel module away, which is then what is lacking.
  bool lack_block(Technology& out, const std::string& module, bool by_name = false) const {
    const auto blocks = blocks_of(facts_.blocks, module, by_name);
    if (blocks.empty()) return false;
    lack(out, fmt::format("{}: {}", block_cause(blocks), block_cure(blocks)));
    return true;
  }

  bool is_console() const { return gpu_.kind == Kind::management_display || gpu_.kind == Kind::virtual_display; }
  std::string console_reason() const {
    return gpu_.kind == Kind::management_display
               ? "it is the display of the server's management controller, the console: no GPU for desktops"
               : "it is the display of a virtual machine, which this host is: no GPU for desktops";
  }
  std::string unlock_reason() const { return "it offers vGPU types of another board only because of vgpu_unlock, which is not supported"; }

  /// Why NVIDIA vGPU is not there for it, "" when it is.
  std::string not_a_vgpu_board() const {
    if (is_console()) return console_reason();
    if (gpu_.unlocked) return unlock_reason();
    if (gpu_.vgpu_class() != VgpuClass::none) return {};
    if (const catalogue::Board* board = gpu_.board())
      return board->unlock_only ? fmt::format("{} yields vGPUs only with vgpu_unlock, which is not supported", gpu_.name)
                                : fmt::format("NVIDIA offers no vGPU for {}: it can be passed through whole", gpu_.name);
    return fmt::format("{} is not among NVIDIA's vGPU boards: it can be passed through whole", gpu_.name);
  }

  void need_iommu(Technology& out) const {
    if (facts_.iommu.active == false)
      lack(out, "the IOMMU is off, without which Proxmox VE passes no device through: " + facts_.iommu.cause);
    if (!facts_.iommu.active) lack(out, "it is not known whether the IOMMU is on");
  }

  void need_no_display(Technology& out) const {
    if (gpu_.boot_vga) lack(out, "it is the boot display: let the firmware use another card for the console");
    if (const auto connected = gpu_.connected_displays(); !connected.empty())
      lack(out, fmt::format("a display is connected to it ({}): a card for vGPUs must have none", fmt::join(connected, ", ")));
  }

  void need_nvidia_driver(Technology& out) const {
    const NvidiaDriver& driver = facts_.nvidia;
    if (gpu_.driver && gpu_.driver != "nvidia") {
      if (gpu_.driver == "vfio-pci")
        lack(out, "it is bound to vfio-pci, for passing it through whole: give it back to the driver nvidia");
      else if (gpu_.driver != "pci-pf-stub")  // a problem of its own, told below
        lack(out, fmt::format("the driver {} has it: keep that driver away and let nvidia have it", *gpu_.driver));
    }
    if (!driver.loaded && driver.installed_version && lack_block(out, "nvidia")) return;
    if (!driver.loaded && driver.installed_version)
      lack(out, fmt::format("the NVIDIA driver {} is installed for this kernel but not loaded: load it, or see dmesg why it was refused",
                            *driver.installed_version));
    else if (!driver.loaded)
      lack(out, "no NVIDIA vGPU host driver is loaded or installed for this kernel: install one");
    else if (driver.host_vgpu == false)
      lack(out, fmt::format("the loaded NVIDIA driver {} is no vGPU host driver (neither nvidia_vgpu_vfio nor nvidia-vgpu-mgr is there): "
                            "install a vGPU host "
                            "driver in its place",
                            driver.version.value_or("(version unknown)")));
    else if (!gpu_.driver)
      lack(out, "no driver has it although nvidia is loaded: see dmesg for NVRM");
    if (driver.loaded && driver.branch && !gpu_.boards.empty())
      if (const auto service = catalogue::branch_serves(gpu_.boards[0], driver.branch->branch); service.verdict == catalogue::Verdict::no)
        lack(out, fmt::format("driver {} does not serve it: {}", driver.version.value_or(""), service.reason));
    for (const std::string& problem : gpu_.problems) lack(out, problem);
  }

  Technology on_vfs(Framework framework) const {
    if (!gpu_.is_nvidia()) return impossible("it is not an NVIDIA card");
    if (gpu_.framework != framework) {
      if (const auto reason = not_a_vgpu_board(); !reason.empty()) return impossible(reason);
      if (gpu_.vgpu_class() == VgpuClass::classic)
        return impossible(
            gpu_.sriov.total > 0
                ? fmt::format("{} shows an SR-IOV capability, but its vGPUs are mediated devices on the card itself", gpu_.name)
                : fmt::format("{} has no SR-IOV: its vGPUs are mediated devices on the card itself", gpu_.name));
      // What the card shows decides; where it shows nothing yet, the kernel does (GPU-FACTS 3.1).
      const Framework expected =
          gpu_.framework != Framework::none ? gpu_.framework : catalogue::expected_framework(gpu_.boards[0], facts_.kernel);
      if (expected != framework) return impossible(other_framework(expected));
    }
    Technology out;
    out.possible = true;
    need_iommu(out);
    need_no_display(out);
    if (gpu_.pci_class == 0x0300)
      lack(out, "its display outputs are on (class 0300): switch them off with NVIDIA's displaymodeselector and reboot");
    need_nvidia_driver(out);
    if (!gpu_.sriov.capable)
      lack(out, "it shows no SR-IOV capability: switch on SR-IOV and Above 4G decoding in the BIOS setup");
    else if (gpu_.sriov.enabled == 0)
      lack(out, fmt::format("none of {} VFs is enabled: enable them with sriov-manage", gpu_.sriov.total));
    if (out.missing.empty() && gpu_.vgpu_types.empty())
      lack(out, "its VFs offer no vGPU types: see the services nvidia-vgpud and nvidia-vgpu-mgr");
    return finish(out);
  }

  std::string other_framework(Framework expected) const {
    if (gpu_.framework != Framework::none)
      return fmt::format("its driver uses {} on this host", expected == Framework::vendor_vfio ? "vendor VFIO" : "mediated devices");
    if (expected == Framework::vendor_vfio)
      return fmt::format(
          "on kernel {} NVIDIA's driver has no mediated devices for SR-IOV boards: vendor VFIO takes their place from 6.8 on",
          facts_.kernel);
    if (expected == Framework::mdev_on_vfs) return fmt::format("vendor VFIO needs kernel 6.8 or later, this is {}", facts_.kernel);
    return fmt::format("no NVIDIA vGPU driver for {} is known to run on kernel {}", gpu_.name, facts_.kernel);
  }

  void lack_intel_driver(Technology& out, bool dkms, const std::optional<catalogue::MajorMinor>& own,
                         const std::optional<catalogue::MajorMinor>& kernel) const {
    const bool own_fits = own && kernel && !(*kernel < *own);
    if (gpu_.driver == "vfio-pci") {
      lack(out, "it is bound to vfio-pci, for passing it through whole: give it back to i915");
      return;
    }
    const std::string wished = wished_driver(gpu_, facts_);
    if (gpu_.driver != wished && lack_block(out, wished)) return;
    if (gpu_.driver == "xe" && own_fits) {
      lack(out, "the driver xe shows no VFs: switch on SR-IOV in the BIOS setup and see xe.max_vfs");
      return;
    }
    if (!dkms) {
      lack(out, fmt::format("its VFs come with the kernel's driver xe from {} on, this is kernel {}",
                            own ? catalogue::to_string(*own) : "(unknown)", facts_.kernel));
      return;
    }
    if (facts_.i915.max_vfs) {
      lack(out, fmt::format("i915 runs with max_vfs={}: put i915.enable_guc=3 and i915.max_vfs=7 on the kernel command line and reboot",
                            *facts_.i915.max_vfs));
    } else if (facts_.i915.installed_has_max_vfs) {
      lack(out, "the SR-IOV build of i915 is installed, but the stock one runs: reboot");
    } else if (const auto tag = catalogue::newest_dkms(facts_.kernel)) {
      lack(out, fmt::format("the i915 of this kernel makes no VFs (it has no parameter max_vfs): install i915-sriov-dkms {}", tag->tag));
    } else {
      lack(out, fmt::format("the i915 of this kernel makes no VFs, and no release of i915-sriov-dkms builds on {}: use another kernel",
                            facts_.kernel));
    }
  }

  const Gpu& gpu_;
  const HostFacts& facts_;
};

json to_json(const Technology& technology) {
  return {{"possible", technology.possible}, {"ready", technology.ready}, {"missing", technology.missing}};
}

}  // namespace

std::string wished_driver(const Gpu& gpu, const HostFacts& facts) {
  if (gpu.is_nvidia()) return "nvidia";
  if (!gpu.is_intel()) return {};
  if (gpu.driver == "xe" || gpu.driver == "i915")
    return gpu.intel && gpu.intel->dkms_from.empty() && gpu.intel->xe_kernel ? "xe" : *gpu.driver;
  const auto kernel = catalogue::parse_major_minor(facts.kernel);
  const bool xe_serves = gpu.intel && gpu.intel->xe_kernel && kernel && !(*kernel < *gpu.intel->xe_kernel);
  // Where both can, the one that is kept away is not the one that is wished.
  return xe_serves && (gpu.intel->dkms_from.empty() || !blocks_of(facts.blocks, "i915").empty()) ? "xe" : "i915";
}

Technologies judge_technologies(const Gpu& gpu, const HostFacts& facts) {
  const Judge judge(gpu, facts);
  return {judge.passthrough(), judge.nvidia_mdev(), judge.nvidia_sriov_mdev(), judge.nvidia_vendor_vfio(),
          judge.intel_sriov(), judge.intel_gvtg(),  judge.amd_mxgpu()};
}

json to_json(const Technologies& t) {
  return {{"passthrough", to_json(t.passthrough)},
          {"nvidia_mdev", to_json(t.nvidia_mdev)},
          {"nvidia_sriov_mdev", to_json(t.nvidia_sriov_mdev)},
          {"nvidia_vendor_vfio", to_json(t.nvidia_vendor_vfio)},
          {"intel_sriov", to_json(t.intel_sriov)},
          {"intel_gvtg", to_json(t.intel_gvtg)},
          {"amd_mxgpu", to_json(t.amd_mxgpu)}};
}

}  // namespace pvegpu::gpu
