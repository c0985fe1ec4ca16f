// SPDX-License-Identifier: MIT
// The rungs.
#include "common/readiness/ladder.hpp"

#include "common/boot/cmdline.hpp"
#include "common/driver/i915.hpp"
#include "common/facts/kernels.hpp"
#include "common/driver/nvidia.hpp"
#include "common/guest/guest_start.hpp"
#include "common/guest/hostpci_rules.hpp"
#include "common/host/units.hpp"
#include "common/text/guest_sections.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

using catalogue::VgpuClass;

class Ladder {
 public:
  Ladder(const HostView& host, const HostDocument& document, const LadderTarget& target)
      : host_(host), doc_(document), facts_(document.facts), target_(target) {}

  std::vector<Rung> climb() {
    add("firmware", &Ladder::firmware);
    add("command_line", &Ladder::command_line);
    add("iommu", &Ladder::iommu);
    add("board", &Ladder::board);
    add("build", &Ladder::build);
    add("rival_driver", &Ladder::rival);
    add("driver", &Ladder::driver);
    add("display", &Ladder::display);
    add("sriov", &Ladder::sriov);
    add("vgpu_types", &Ladder::types);
    add("mapping", &Ladder::mapping);
    add("guest", &Ladder::guest);
    add("use", &Ladder::use);
    return std::move(rungs_);
  }

 private:
  void add(const char* name, void (Ladder::*judge)(Rung&) const) {
    Rung rung;
    rung.name = name;
    (this->*judge)(rung);
    if (rung.state == RungState::fail || rung.state == RungState::waiting) {
      if (!blamed_.empty()) {
        rung.state = RungState::waiting;
        rung.cause = fmt::format("it rests on {}: {}", blamed_, rung.cause);
      } else {
        blamed_ = rung.name;
      }
    }
    rungs_.push_back(std::move(rung));
  }

  static void fail(Rung& rung, std::string cause, std::string cure) {
    rung.state = RungState::fail;
    rung.cause = std::move(cause);
    rung.cure = std::move(cure);
  }
  static void skip(Rung& rung) { rung.state = RungState::not_needed; }

  bool vgpu() const { return target_.way == Way::nvidia_vgpu; }
  bool on_vfs() const {
    return target_.way == Way::intel_vgpu ||
           (vgpu() && target_.gpu && target_.gpu->vgpu_class() != VgpuClass::classic && target_.gpu->framework != Framework::mdev);
  }
  std::string address() const { return target_.gpu ? target_.gpu->address : ""; }
  std::string sysfs(std::string_view attribute) const { return fmt::format("/sys/bus/pci/devices/{}/{}", address(), attribute); }

  void firmware(Rung& rung) const {
    const std::string tables = "/sys/firmware/acpi/tables", table = iommu_table(facts_.cpu);
    if (host_.exists(tables + "/" + table)) {
      rung.evidence.push_back(fmt::format("{}/{} is there", tables, table));
    } else if (host_.exists(tables)) {
      rung.evidence.push_back(fmt::format("{} has no {}", tables, table));
      return fail(rung, "the firmware announces no IOMMU", iommu_switch(facts_.cpu));
    } else {
      rung.state = RungState::unknown;
      rung.cause = tables + " can't be seen";
    }
    const auto cpuinfo = host_.read_file("/proc/cpuinfo");
    if (cpuinfo && text::contains(*cpuinfo, "\nflags")) {
      const char* flag = facts_.cpu.amd() ? " svm" : " vmx";
      if (!text::contains(*cpuinfo, flag))
        return fail(
            rung, fmt::format("/proc/cpuinfo has no flag{}: the processor can't run guests", flag),
            fmt::format("switch on {} in the BIOS setup", facts_.cpu.amd() ? "'SVM'" : "'VT-x' or 'Intel Virtualization Technology'"));
    }
    // A workstation board shows SR-IOV only with its display outputs off: a later rung.
    const Gpu* gpu = target_.gpu;
    const bool shows_late = gpu && gpu->vgpu_class() == VgpuClass::sriov_display_off && gpu->pci_class == 0x0300;
    if (gpu && vgpu() && on_vfs() && gpu->vgpu_class() != VgpuClass::none && !gpu->sriov.capable && !shows_late) {
      rung.evidence.push_back(fmt::format("{} is missing", sysfs("sriov_totalvfs")));
      fail(rung, fmt::format("{} shows no SR-IOV capability", gpu->name),
           "switch on 'SR-IOV' and 'Above 4G decoding' in the BIOS setup, then power off and on");
    }
  }

  void command_line(Rung& rung) const {
    boot::CmdlineWish wish{.module = "diagnose", .present = wanted_parameters()};
    wish.forbidden = {{"intel_iommu", "off"}, {"amd_iommu", "off"}, {"iommu", "off"}};
    rung.evidence.push_back(fmt::format("/proc/cmdline: {}", facts_.boot.cmdline.value_or("(unreadable)")));
    Plan probe(host_, "diagnose");
    try {
      boot::plan_cmdline(host_, probe, wish);
    } catch (const ModuleError& error) {
      rung.state = RungState::unknown;
      rung.cause = error.what();
      return;
    }
    std::vector<std::string> places;
    if (const auto loader = probe.reports().find("loader"); loader != probe.reports().end()) {
      for (const json& place : (*loader)["places"]) places.push_back(place.get<std::string>());
      rung.evidence.push_back(
          fmt::format("the boot loader is {}; it reads {}", (*loader)["kind"].get<std::string>(), fmt::join(places, ", ")));
    }
    const bool running = !probe.reboot_reason();
    const std::string task = target_.way == Way::intel_vgpu ? "pve.gpu.i915_sriov_driver" : "pve.gpu.iommu";
    if (running && probe.refusal()) {
      rung.evidence.push_back("the next boot: " + *probe.refusal());
      return fail(rung, "the next boot will not have what runs now", task + " with conflicts=remove");
    }
    if (running) return;  // what runs is right; a file that says otherwise for the next boot was told above
    if (probe.refusal()) return fail(rung, *probe.refusal(), task + " with conflicts=remove, then a reboot");
    if (probe.empty()) {
      rung.state = RungState::waiting;
      rung.cause = *probe.reboot_reason();
      rung.cure = "reboot: the boot loader's files have it";
      return;
    }
    std::string cause = *probe.reboot_reason();
    for (const text::KernelParameter& parameter : wish.present)
      for (const char* other : {"/etc/default/grub", "/etc/kernel/cmdline"})
        if (std::find(places.begin(), places.end(), other) == places.end() && facts_.boot.loader == LoaderKind::systemd_boot &&
            text::contains(host_.read_file(other).value_or(""), parameter.print()))
          cause += fmt::format("; {} is in {}, which this host's boot loader does not read", parameter.print(), other);
    fail(rung, cause, task + ", then a reboot");
  }

  std::vector<text::KernelParameter> wanted_parameters() const {
    std::vector<text::KernelParameter> out;
    if (facts_.cpu.intel() && driver::needs_intel_iommu_on(host_, facts_.kernel)) out.push_back({"intel_iommu", "on"});
    if (target_.way == Way::intel_vgpu && target_.gpu && target_.gpu->driver != "xe" &&
        (facts_.i915.max_vfs || facts_.i915.installed_has_max_vfs)) {
      std::int64_t count = 7;  // or as many as somebody wanted
      for (const text::KernelParameter& parameter : text::parse_kernel_cmdline(facts_.boot.cmdline.value_or("")))
        if (parameter.key == "i915.max_vfs" && std::atoi(parameter.value.value_or("").c_str()) > 0)
          count = std::atoi(parameter.value->c_str());
      const auto wanted = driver::i915_parameters(count);
      out.insert(out.end(), wanted.begin(), wanted.end());
    }
    if (target_.way == Way::intel_gvtg) out.push_back({"i915.enable_gvt", "1"});
    return out;
  }

  void iommu(Rung& rung) const {
    rung.evidence = facts_.iommu.evidence;
    if (!facts_.iommu.active) {
      rung.state = RungState::unknown;
      rung.cause = "/sys/class/iommu can't be read";
      return;
    }
    if (!*facts_.iommu.active) return fail(rung, "the IOMMU is off: " + facts_.iommu.cause, "pve.gpu.iommu, which says what is missing");
    const Gpu* gpu = target_.gpu;
    if (!gpu) return;
    if (!gpu->iommu_group) return fail(rung, fmt::format("{} is in no IOMMU group", gpu->address), "see dmesg for DMAR or AMD-Vi");
    rung.evidence.push_back(fmt::format("{} is in IOMMU group {}", gpu->address, *gpu->iommu_group));
    if (target_.way != Way::passthrough) return;
    for (const Neighbour& other : gpu->iommu_siblings)
      if (!other.same_card && !other.is_bridge())
        return fail(rung,
                    fmt::format("its IOMMU group {} also holds {} ({}){}", *gpu->iommu_group, other.address, class_words(other.pci_class),
                                other.needed.empty() ? "" : ", and " + other.needed),
                    other.is_storage() || !other.needed.empty() ? "put the card into another slot: a guest gets the group as a whole"
                                                                : "put the card into another slot, or pass both with pve.gpu.vfio");
  }

  void board(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu && (target_.mapping || !target_.missing_mapping.empty())) return skip(rung);  // the mapping leads to none: its rung says so
    if (!gpu) return fail(rung, "there is no such GPU on this node", "see pve.gpu.host_info for those that are there");
    rung.evidence.push_back(fmt::format("{} is {} ({}:{})", gpu->address, gpu->name, hex4(gpu->ids.vendor), hex4(gpu->ids.device)));
    if (gpu->kind == Kind::management_display || gpu->kind == Kind::virtual_display)
      return fail(rung, "it is a console, no GPU for desktops", "choose another GPU");
    switch (target_.way) {
      case Way::passthrough:
        return;
      case Way::nvidia_vgpu:
        return nvidia_board(rung, *gpu);
      case Way::intel_vgpu: {
        if (!gpu->is_intel() || (gpu->sriov.total == 0 && (!gpu->intel || (gpu->intel->dkms_from.empty() && !gpu->intel->xe_kernel))))
          return fail(rung, fmt::format("{} has no SR-IOV", gpu->name),
                      "pass it through whole, or use a PC with Intel's 12th generation or later");
        if (gpu->sriov.total > 0 || gpu->intel->dkms_from.empty() || facts_.i915.max_vfs || facts_.i915.installed_has_max_vfs) return;
        if (!catalogue::newest_dkms(facts_.kernel) && !branch_serves_kernel())
          fail(rung, fmt::format("no release of i915-sriov-dkms builds on kernel {}", facts_.kernel),
               "gpu_platform_kernel: a series on which one does");
        return;
      }
      case Way::intel_gvtg:
        if (!gpu->intel || !gpu->intel->gvtg) fail(rung, "GVT-g is there from Broadwell to Comet Lake only", "pass it through whole");
        return;
    }
  }

  /// There are no releases of i915-sriov-dkms for this kernel, but a branch.
  bool branch_serves_kernel() const {
    return !catalogue::newest_dkms(facts_.kernel) && catalogue::dkms_builds(driver::i915_branch, facts_.kernel) == catalogue::Verdict::yes;
  }

  void nvidia_board(Rung& rung, const Gpu& gpu) const {
    if (gpu.unlocked)
      return fail(rung, "it offers another board's types only because of vgpu_unlock, which is not supported",
                  "use a board that NVIDIA supports");
    if (!gpu.is_nvidia() || gpu.vgpu_class() == VgpuClass::none)
      return fail(rung, fmt::format("NVIDIA offers no vGPU for {}", gpu.name), "pass it through whole: pve.gpu.vfio");
    const auto version = facts_.nvidia.version ? facts_.nvidia.version : facts_.nvidia.installed_version;
    if (!version) return;
    rung.evidence.push_back(fmt::format("the NVIDIA driver is {}", *version));
    if (const auto branch = catalogue::branch_of(*version))
      if (const auto service = catalogue::branch_serves(gpu.boards[0], branch->branch); service.verdict == catalogue::Verdict::no)
        return fail(rung, fmt::format("driver {} does not serve {}: {}", *version, gpu.name, service.reason),
                    "pve.gpu.nvidia_driver with a branch that does");
    if (!facts_.nvidia.loaded)
      if (const auto answer = catalogue::builds_on(*version, facts_.kernel); answer.builds == catalogue::Verdict::no)
        fail(rung, fmt::format("driver {} does not build on kernel {}: {}", *version, facts_.kernel, answer.evidence),
             "gpu_platform_kernel: a series on which it does, or another driver");
  }

  /// The module that DKMS has to make for this kernel.
  void build(Rung& rung) const {
    const bool intel = target_.way == Way::intel_vgpu;
    if ((!vgpu() && !intel) || (intel && target_.gpu && target_.gpu->sriov.total > 0)) return skip(rung);
    if (intel && target_.gpu && wished_driver(*target_.gpu, facts_) == "xe") return skip(rung);  // part of the kernel
    if (vgpu() && facts_.nvidia.loaded) return skip(rung);
    const std::string name = intel ? driver::i915_package : "nvidia", task = intel ? "pve.gpu.i915_sriov_driver" : "pve.gpu.nvidia_driver";
    const auto versions = driver::dkms_sources(host_, name);
    const std::string version = versions.empty() ? std::string() : versions.back();
    const bool built = intel ? facts_.i915.installed_has_max_vfs || facts_.i915.max_vfs : facts_.nvidia.installed_version.has_value();
    if (built) {
      rung.evidence.push_back(fmt::format("/lib/modules/{} has the module", facts_.kernel));
      if (facts_.boot.secure_boot == true && !(intel ? facts_.i915.loaded : facts_.nvidia.loaded))
        return fail(rung, "Secure Boot is on and the module is not loaded: the key that DKMS signs with is not enrolled",
                    fmt::format("mokutil --import {}, reboot, and choose 'Enroll MOK' at the console; {} says which keys to press",
                                driver::signing_key, task));
      return;
    }
    if (version.empty())
      return fail(
          rung, fmt::format("no {} is installed for DKMS, and kernel {} has no such module", name, facts_.kernel),
          intel && branch_serves_kernel() ? fmt::format("{} with the source archive of the branch {}", task, driver::i915_branch) : task);
    rung.evidence.push_back(fmt::format("/usr/src/{}-{} is there", name, version));
    if (intel && catalogue::dkms_builds(version, facts_.kernel) == catalogue::Verdict::no)
      return fail(rung, fmt::format("i915-sriov-dkms {} leaves kernel {} out: DKMS skipped it", version, facts_.kernel),
                  task + " with another release of it, or gpu_platform_kernel");
    if (const auto file = host_.kernel_module("i915", facts_.kernel); intel && file && text::contains(file->file, "/updates/"))
      if (const std::string why = driver::why_no_vfs(host_, "i915", facts_.kernel); !why.empty())
        return fail(rung, why, task + " with a release for this kernel");
    if (!host_.exists(fmt::format("/lib/modules/{}/build", facts_.kernel)))
      return fail(rung, fmt::format("/lib/modules/{}/build is missing: there are no headers for the running kernel", facts_.kernel),
                  "gpu_platform_headers: true, then " + task);
    fail(rung, fmt::format("DKMS did not build {} {} for kernel {}", name, version, facts_.kernel),
         fmt::format("{}, or dkms install {}/{} -k {}; its log: /var/lib/dkms/{}/{}/build/make.log", task, name, version, facts_.kernel,
                     name, version));
  }

  void rival(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu || target_.way == Way::passthrough) return skip(rung);
    rung.evidence.push_back(fmt::format("{}: {}", sysfs("driver"), gpu->driver.value_or("none")));
    if (gpu->driver == "vfio-pci")
      return fail(rung, "vfio-pci has it, for passing it through whole", "pve.gpu.vfio with state=absent for it");
    if (vgpu()) {
      if (gpu->driver && gpu->driver != "nvidia" && gpu->driver != "pci-pf-stub")
        return fail(rung, fmt::format("the driver {} has it", *gpu->driver),
                    "pve.gpu.nvidia_driver, which keeps that driver away, then a reboot");
      if (facts_.nvidia.loaded && facts_.nvidia.host_vgpu == false)
        return fail(rung,
                    fmt::format("the loaded NVIDIA driver {} is no vGPU host driver", facts_.nvidia.version.value_or("(version unknown)")),
                    "remove it, then pve.gpu.nvidia_driver");
    }
    const auto kernel = catalogue::parse_major_minor(facts_.kernel);
    const bool xe_serves = gpu->intel && gpu->intel->xe_kernel && kernel && !(*kernel < *gpu->intel->xe_kernel);
    if (target_.way == Way::intel_vgpu && gpu->driver == "xe" && gpu->sriov.total == 0 && !xe_serves)
      fail(rung, fmt::format("the driver xe has it, which makes no VFs of it on kernel {}", facts_.kernel),
           "pve.gpu.i915_sriov_driver, which keeps xe away, then a reboot");
  }

  /// The driver that is wished is blacklisted, or vfio-pci can't be loaded when a guest starts.
  bool is_kept_away(Rung& rung, const Gpu& gpu) const {
    const bool whole = target_.way == Way::passthrough;
    const std::string module = whole ? "vfio_pci" : wished_driver(gpu, facts_);
    const bool serves = whole ? facts_.has_driver(module) : gpu.driver == module || gpu.sriov.total > 0;
    if (module.empty() || serves) return false;
    if (vgpu() && !facts_.nvidia.installed_version) return false;  // it has to be installed first
    const BlockVerdict verdict = judge_blocks(host_, facts_.boot, module, false, whole);
    const auto blocks = blocks_of(facts_.blocks, module, whole);
    if (!verdict.refusal.empty())
      fail(rung, blocks.empty() ? verdict.refusal : block_cause(blocks),
           blocks.empty() ? "take it out, then a reboot" : block_cure(blocks));
    else if (!verdict.wait.empty())
      fail(rung, verdict.wait, "reboot");
    return rung.state == RungState::fail;
  }

  void driver(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu) return skip(rung);
    if (is_kept_away(rung, *gpu)) return;
    if (target_.way == Way::passthrough) return skip(rung);
    if (target_.way == Way::intel_vgpu) {
      if (gpu->sriov.total > 0) return rung.evidence.push_back(fmt::format("{}: {}", sysfs("sriov_totalvfs"), gpu->sriov.total));
      if (!gpu->driver) return fail(rung, "no driver has it", "see dmesg for i915");
      if (facts_.i915.max_vfs) {
        rung.evidence.push_back(fmt::format("/sys/module/i915/parameters/max_vfs: {}", *facts_.i915.max_vfs));
        return fail(rung, "i915 makes no VFs with these parameters", "pve.gpu.i915_sriov_driver, then a reboot");
      }
      rung.evidence.push_back("/sys/module/i915/parameters/max_vfs is missing");
      if (facts_.i915.installed_has_max_vfs) return fail(rung, "the SR-IOV build of i915 is installed, but the stock one runs", "reboot");
      return fail(rung, "the stock i915 runs, which makes no VFs", "pve.gpu.i915_sriov_driver, then a reboot");
    }
    if (target_.way == Way::intel_gvtg) {
      if (gpu->driver != "i915") return fail(rung, "i915 does not have it", "see dmesg for i915");
      if (!facts_.has_driver("kvmgt")) fail(rung, "the module kvmgt is not loaded", "modprobe kvmgt, and load it at boot");
      return;
    }
    if (!facts_.nvidia.loaded)
      return fail(rung,
                  facts_.nvidia.installed_version
                      ? fmt::format("the NVIDIA driver {} is installed and not loaded", *facts_.nvidia.installed_version)
                      : std::string("no NVIDIA vGPU host driver is loaded"),
                  facts_.nvidia.installed_version ? "modprobe nvidia; dmesg says why it was refused" : "pve.gpu.nvidia_driver");
    rung.evidence.push_back(fmt::format("/sys/module/nvidia/version: {}", facts_.nvidia.version.value_or("unknown")));
    if (gpu->driver == "pci-pf-stub")
      return fail(rung, "it is stuck on pci-pf-stub, where an interrupted sriov-manage left it",
                  "pve.gpu.sriov, which gives it back to nvidia");
    if (!gpu->driver) return fail(rung, "no driver has it although nvidia is loaded", "dmesg says why: look for NVRM");
    for (const std::string& problem : gpu->problems) return fail(rung, problem, "dmesg says why: look for NVRM");
    if (const std::string state = unit_state(host_, driver::vgpu_manager); !state.empty()) {
      const bool active = state == "active";
      rung.evidence.push_back(fmt::format("nvidia-vgpu-mgr is {}active", active ? "" : "not "));
      if (!active)
        return fail(rung, "the service nvidia-vgpu-mgr does not run", "systemctl start nvidia-vgpu-mgr; journalctl -u nvidia-vgpu-mgr");
    }
    if (unit_state(host_, driver::vgpu_daemon) == "failed")
      fail(rung, "the service nvidia-vgpud failed", "journalctl -u nvidia-vgpud: a board that this driver does not serve is named there");
  }

  void display(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu || target_.way == Way::intel_vgpu || target_.way == Way::intel_gvtg) return skip(rung);
    rung.evidence.push_back(fmt::format("{}: {}, class {}", sysfs("boot_vga"), gpu->boot_vga ? 1 : 0, hex4(gpu->pci_class)));
    if (gpu->boot_vga && gpu->driver != "vfio-pci")
      return fail(rung, "it is the boot display: the host's console is on it",
                  "let the firmware use another card for the console (BIOS setup: primary display)");
    if (target_.way == Way::passthrough) return;
    if (const auto connected = gpu->connected_displays(); !connected.empty())
      return fail(rung, fmt::format("a display is connected to it: {}", fmt::join(connected, ", ")), "unplug it");
    if (gpu->vgpu_class() == VgpuClass::sriov_display_off && gpu->pci_class == 0x0300)
      fail(rung, "its display outputs are on", "pve.gpu.display_mode, then power off and on");
  }

  void sriov(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu || !on_vfs()) {
      if (gpu && target_.way == Way::passthrough && gpu->sriov.enabled > 0)
        return fail(rung,
                    fmt::format("it has {} enabled, which passing the whole card through would end", counted(gpu->sriov.enabled, "VF")),
                    "pve.gpu.sriov with vfs=0");
      return skip(rung);
    }
    rung.evidence.push_back(fmt::format("{}: {} of {}", sysfs("sriov_numvfs"), gpu->sriov.enabled, gpu->sriov.total));
    if (gpu->sriov.enabled == 0) return fail(rung, "no VF is enabled", "pve.gpu.sriov now, and pve.gpu.sriov_service at each boot");
    if (!vgpu()) return;
    for (const Vf& vf : gpu->sriov.vfs)
      if (vf.driver != "nvidia" && !vf.held)
        return fail(rung, fmt::format("the VF {} has the driver {} instead of nvidia", vf.address, vf.driver.value_or("none")),
                    "pve.gpu.sriov, which gives it to nvidia");
  }

  void types(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu || target_.way == Way::passthrough || target_.way == Way::intel_vgpu) return skip(rung);
    rung.evidence.push_back(fmt::format("framework {}, {}", catalogue::to_text(gpu->framework),
                                        counted(static_cast<std::int64_t>(gpu->vgpu_types.size()), "vGPU type")));
    if (gpu->vgpu_types.empty())
      return fail(rung, "the driver offers no vGPU types on it",
                  vgpu() ? "systemctl restart nvidia-vgpud nvidia-vgpu-mgr; journalctl -u nvidia-vgpud"
                         : "raise the aperture size of the graphics in the BIOS setup");
    if (target_.vgpu_type.empty()) return;
    for (const VgpuType& type : gpu->vgpu_types)
      if (type.name == target_.vgpu_type || type.id == target_.vgpu_type) {
        rung.evidence.push_back(fmt::format("{} is {}, {} more fit", type.name, type.id, type.available));
        if (type.available == 0 && !held_by_target())
          fail(rung, fmt::format("no more {} fit: the GPU is full, or another size runs on it", type.name),
               "stop guests on it, or take another GPU; a GPU serves one size at a time");
        return;
      }
    fail(rung, fmt::format("the type {} is not offered on {}", target_.vgpu_type, gpu->name),
         fmt::format("take one that is, for example {}", gpu->vgpu_types[0].name));
  }

  bool held_by_target() const {
    if (!target_.guest || !target_.gpu->used_by) return false;
    return std::any_of(target_.gpu->used_by->begin(), target_.gpu->used_by->end(),
                       [&](const Use& use) { return use.vmid == target_.guest->vmid && use.running; });
  }

  void mapping(Rung& rung) const {
    if (!target_.missing_mapping.empty())
      return fail(rung, fmt::format("there is no mapping '{}' in /etc/pve/mapping/pci.cfg", target_.missing_mapping), "pve.gpu.mapping");
    if (!target_.mapping) {
      const Gpu* gpu = target_.gpu;
      if (gpu && vgpu() && gpu->framework == Framework::vendor_vfio)
        rung.evidence.push_back("`mdevctl types` is rightly empty with vendor VFIO: a broker needs a mapping");
      return skip(rung);
    }
    const text::PciMapping& mapping = *target_.mapping;
    std::size_t own = 0;
    for (const text::PciMapEntry& entry : mapping.entries) {
      if (entry.node != facts_.node) continue;
      ++own;
      const std::string wrong = stale_entry(mapping, entry, find_place(doc_.gpus, entry.members[0]), facts_);
      if (!wrong.empty())
        return fail(rung, fmt::format("Proxmox VE refuses the mapping {}: {}", mapping.id, wrong),
                    "pve.gpu.mapping, which writes what the card is now");
    }
    if (const auto start = start_facts())
      if (const auto device = resolve(*start, 0, {.mapping = mapping.id}); own > 0 && !device)
        return fail(rung, device.error().message, "pve.gpu.mapping, which writes what the card is now");
    rung.evidence.push_back(
        fmt::format("the mapping {} has {} for this node", mapping.id, counted(static_cast<std::int64_t>(own), "card")));
    if (own == 0)
      fail(rung, fmt::format("the mapping {} has no entry for this node", mapping.id), "pve.gpu.mapping with a card of this node");
  }

  void guest(Rung& rung) const {
    if (!target_.guest) return skip(rung);
    const std::string path = fmt::format("/etc/pve/nodes/{}/qemu-server/{}.conf", facts_.node.value_or("localhost"), target_.guest->vmid);
    if (!target_.hostpci)
      return fail(rung, fmt::format("guest {} has no hostpci line in {}", target_.guest->vmid, path), "pve.gpu.hostpci");
    const auto bytes = host_.read_file(path);
    if (!bytes) {
      rung.state = RungState::unknown;
      rung.cause = path + " can't be read";
      return;
    }
    const auto sections = text::parse_guest_sections(*bytes);
    const std::string key = fmt::format("hostpci{}", target_.hostpci->index);
    const std::string* value = sections[0].find(key);
    const std::string* machine = sections[0].find("machine");
    if (value) rung.evidence.push_back(fmt::format("{}: {}: {}", path, key, *value));
    if (value && text::contains("," + *value + ",", ",pcie=1,") && !(machine && text::contains(*machine, "q35")))
      return fail(rung, "pcie=1 needs the machine type q35", fmt::format("qm set {} --machine q35", target_.guest->vmid));
    if (target_.mapping && target_.mapping->mdev && target_.hostpci->mdev.empty())
      return fail(rung,
                  fmt::format("the mapping {} is for vGPUs and {} names no mdev type: the guest would get a device whole",
                              target_.mapping->id, key),
                  "pve.gpu.hostpci with mdev");
    if (const std::string why = why_no_start(sections); !why.empty()) return fail(rung, why, "pve.gpu.hostpci with another device or slot");
    if (const std::string* lock = sections[0].find("lock"))
      fail(rung, fmt::format("the guest is locked ({})", *lock), fmt::format("qm unlock {}", target_.guest->vmid));
  }

  std::optional<StartFacts> start_facts() const {
    auto devices = host_.pci_devices();
    const auto pve = facts_.pve_version();
    if (!devices || !pve) return std::nullopt;
    return StartFacts{
        host_, facts_.node.value_or(""),          *std::move(devices), doc_.guests.mappings.value_or(std::vector<text::PciMapping>()),
        *pve,  facts_.iommu.active.value_or(true)};
  }

  /// With the other slots of the guest. What is wrong with a mapping is told by its rung.
  std::string why_no_start(const std::vector<text::GuestSection>& sections) const {
    const auto start = start_facts();
    if (!start) return {};
    std::vector<std::string> problems;
    const auto slots = slots_of(*start, sections, hostpci_slots, problems);
    for (const std::string& problem : problems)
      if (target_.hostpci->mapping.empty() && problem.starts_with(fmt::format("hostpci{}:", target_.hostpci->index))) return problem;
    return why_not_together(*start, target_.guest->vmid, slots);
  }

  void use(Rung& rung) const {
    const Gpu* gpu = target_.gpu;
    if (!gpu || !gpu->used_by) return skip(rung);
    for (const Use& use : *gpu->used_by)
      if (use.running)
        rung.evidence.push_back(
            fmt::format("guest {} has {}{}", use.vmid, use.address, use.vgpu_type.empty() ? "" : " as " + use.vgpu_type));
    if (target_.way != Way::passthrough) return;
    for (const Use& use : *gpu->used_by)
      if (use.running && (!target_.guest || use.vmid != target_.guest->vmid) && !another_is_free())
        return fail(rung, fmt::format("guest {} has it", use.vmid),
                    fmt::format("shut guest {} down, or give the other one another card", use.vmid));
  }

  /// Of the mapping's cards of this node.
  bool another_is_free() const {
    if (!target_.mapping) return false;
    for (const text::PciMapEntry& entry : target_.mapping->entries) {
      if (entry.node != facts_.node) continue;
      const Gpu* gpu = find_place(doc_.gpus, entry.members[0]).gpu;
      if (gpu && gpu->used_by && std::none_of(gpu->used_by->begin(), gpu->used_by->end(), [](const Use& use) { return use.running; }))
        return true;
    }
    return false;
  }

  const HostView& host_;
  const HostDocument& doc_;
  const HostFacts& facts_;
  const LadderTarget& target_;
  std::vector<Rung> rungs_;
  std::string blamed_;
};

}  // namespace

const char* name_of(Way way) {
  switch (way) {
    case Way::passthrough:
      return "passthrough";
    case Way::nvidia_vgpu:
      return "nvidia_vgpu";
    case Way::intel_vgpu:
      return "intel_vgpu";
    case Way::intel_gvtg:
      return "intel_gvtg";
  }
  return "?";
}

const char* name_of(RungState state) {
  switch (state) {
    case RungState::ok:
      return "ok";
    case RungState::fail:
      return "fail";
    case RungState::unknown:
      return "unknown";
    case RungState::not_needed:
      return "not_needed";
    case RungState::waiting:
      return "waiting";
  }
  return "?";
}

Way way_of(const Gpu& gpu, const Technologies& technologies) {
  if (technologies.nvidia_mdev.possible || technologies.nvidia_sriov_mdev.possible || technologies.nvidia_vendor_vfio.possible)
    return Way::nvidia_vgpu;
  if (gpu.is_nvidia() && (gpu.vgpu_class() != VgpuClass::none || gpu.unlocked)) return Way::nvidia_vgpu;
  if (technologies.intel_sriov.possible) return Way::intel_vgpu;
  if (technologies.intel_gvtg.possible && gpu.framework == Framework::mdev) return Way::intel_gvtg;
  return Way::passthrough;
}

std::vector<Rung> climb(const HostView& host, const HostDocument& document, const LadderTarget& target) {
  return Ladder(host, document, target).climb();
}

}  // namespace pvegpu::gpu
