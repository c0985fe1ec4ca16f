// SPDX-License-Identifier: MIT
// The answer of host_info.
#include "common/inventory/host_info.hpp"

namespace pvegpu::gpu {
namespace {

std::vector<std::string> possible_boards(const Gpu& gpu) {
  std::vector<std::string> out;
  if (gpu.boards.size() > 1)
    for (const catalogue::Board& board : gpu.boards) out.emplace_back(board.name);
  return out;
}

std::optional<int> class_of(const Gpu& gpu) {
  switch (gpu.vgpu_class()) {
    case catalogue::VgpuClass::classic:
      return 1;
    case catalogue::VgpuClass::sriov:
      return 2;
    case catalogue::VgpuClass::sriov_display_off:
      return 3;
    case catalogue::VgpuClass::none:
      break;
  }
  return std::nullopt;
}

NvidiaInfo tell(const NvidiaDriver& driver) {
  NvidiaInfo out{driver.loaded, driver.version, {}, driver.release, driver.host_vgpu, driver.open_modules, driver.installed_version};
  if (driver.branch) out.branch = driver.branch->branch;
  return out;
}

HostFactsInfo tell(const HostFacts& facts) {
  HostFactsInfo out;
  out.node = facts.node;
  out.cluster = facts.cluster;
  if (facts.pve) out.pve = {facts.pve->version, facts.pve->major};
  const BootFacts& boot = facts.boot;
  out.kernel = {facts.kernel, boot.cmdline, boot.secure_boot, boot.lockdown};
  out.loader = {name_of(boot.loader), boot.efi ? "efi" : "bios", boot.proxmox_boot_tool, boot.loader_evidence};
  out.cpu = {facts.cpu};
  out.machine = {facts.dmi};
  out.iommu = {facts.iommu};
  out.drivers = {tell(facts.nvidia), {facts.i915}, {facts.xe}, facts.other_drivers};
  out.vgpu_unlock = {facts.unlock};
  return out;
}

}  // namespace

HostInfo tell(HostDocument document, const Reader& reader) {
  HostInfo out{tell(document.facts), {}, std::move(document.resources), std::move(document.form), reader.unreadable(), reader.notes()};
  out.gpus.reserve(document.gpus.size());
  for (std::size_t i = 0; i < document.gpus.size(); ++i) {
    std::string board(document.gpus[i].board() ? document.gpus[i].board()->name : "");
    out.gpus.push_back({{std::move(document.gpus[i]), std::move(board)}, std::move(document.technologies[i])});
  }
  return out;
}

void PveInfo::fields(Document<PveInfo>& out) {
  out.field("version", &PveInfo::version, {.doc = "Version of pve-manager.", .sample = "8.4.1"});
  out.field("release", &PveInfo::release, {.doc = "Its first number.", .sample = "8"});
}

void KernelInfo::fields(Reply<KernelInfo>& out) {
  out.field("release", &KernelInfo::release, {.doc = "As C(uname -r) says.", .sample = "6.8.12-4-pve"});
  out.field("cmdline", &KernelInfo::cmdline, {.doc = "Its command line."});
  out.field("secure_boot", &KernelInfo::secure_boot, {.doc = "Whether Secure Boot is on."});
  out.field("lockdown", &KernelInfo::lockdown, {.doc = "V(none), V(integrity) or V(confidentiality)."});
}

void LoaderInfo::fields(Reply<LoaderInfo>& out) {
  out.field(
      "kind", &LoaderInfo::kind,
      {.doc = "V(grub), V(grub-pbt) (GRUB on the partitions of proxmox-boot-tool), V(systemd-boot) or V(unknown).", .sample = "grub"});
  out.field("firmware", &LoaderInfo::firmware, {.doc = "V(efi) or V(bios)."});
  out.field("proxmox_boot_tool", &LoaderInfo::proxmox_boot_tool, {.doc = "Whether proxmox-boot-tool manages the EFI system partitions."});
  out.field("evidence", &LoaderInfo::evidence, {.doc = "What says so."});
}

void CpuInfo::fields(Reply<CpuInfo>& out) {
  out.field("vendor", &CpuInfo::vendor, {.doc = "V(GenuineIntel) or V(AuthenticAMD)."});
  out.field("model", &CpuInfo::model, {.doc = "Its name."});
}

void MachineInfo::fields(Reply<MachineInfo>& out) {
  out.field("vendor", &MachineInfo::vendor, {.doc = "The vendor."});
  out.field("product", &MachineInfo::product, {.doc = "The model."});
  out.field("chassis_type", &MachineInfo::chassis_type, {.doc = "Type of the chassis by SMBIOS, for example 23 for a rack mount chassis."});
}

void IommuInfo::fields(Reply<IommuInfo>& out) {
  out.field("active", &IommuInfo::active, {.doc = "Whether it is on, as Proxmox VE judges it before it passes a device through."});
  out.field("groups", &IommuInfo::groups, {.doc = "How many IOMMU groups there are."});
  out.field("evidence", &IommuInfo::evidence, {.doc = "What was found."});
  out.field("cause", &IommuInfo::cause, {.doc = "When it is off, why and what to do.", .null_if_empty = true});
}

void NvidiaInfo::fields(Document<NvidiaInfo>& out) {
  out.field("loaded", &NvidiaInfo::loaded);
  out.field("version", &NvidiaInfo::version);
  out.field("branch", &NvidiaInfo::branch);
  out.field("release", &NvidiaInfo::release, {.null_if_empty = true});
  out.field("host_vgpu", &NvidiaInfo::host_vgpu);
  out.field("open_modules", &NvidiaInfo::open_modules);
  out.field("installed_version", &NvidiaInfo::installed_version);
}

void IntelInfo::fields(Reply<IntelInfo>& out) {
  out.field("loaded", &IntelInfo::loaded);
  out.field("version", &IntelInfo::version);
  out.field("max_vfs", &IntelInfo::max_vfs);
  out.field("enable_gvt", &IntelInfo::enable_gvt);
}

void DriversInfo::fields(Document<DriversInfo>& out) {
  out.field("nvidia", &DriversInfo::nvidia,
            {.doc = "NVIDIA's driver. RV(host.drivers.nvidia.branch) is the vGPU software branch, RV(host.drivers.nvidia.release) the "
                    "release as far as the catalogue knows the version, RV(host.drivers.nvidia.host_vgpu) whether it is a vGPU host "
                    "driver, RV(host.drivers.nvidia.installed_version) what is installed for the running kernel when nothing is loaded.",
             .sample = "{\"loaded\": true, \"version\": \"550.144.02\", \"branch\": 17, \"release\": \"17.5\", \"host_vgpu\": true, "
                       "\"open_modules\": false, \"installed_version\": null}"});
  out.field("i915", &DriversInfo::i915,
            {.doc = "Intel's driver i915. RV(host.drivers.i915.max_vfs) is V(null) for a driver that can't make virtual functions.",
             .sample = "{\"loaded\": true, \"version\": null, \"max_vfs\": 7, \"enable_gvt\": null}"});
  out.field("xe", &DriversInfo::xe, {.doc = "Intel's driver xe, likewise."});
  out.field("others", &DriversInfo::others, {.doc = "Which of amdgpu, gim, kvmgt, nouveau and vfio_pci are loaded."});
}

void UnlockInfo::fields(Reply<UnlockInfo>& out) {
  out.field("present", [](const UnlockInfo& unlock) { return !unlock.traces.empty(); }, {.doc = "Whether there are any."});
  out.field("traces", &UnlockInfo::traces, {.doc = "Their paths."});
  out.field("supported", [](const UnlockInfo&) { return false; }, {.doc = "Always V(false)."});
}

void HostFactsInfo::fields(Document<HostFactsInfo>& out) {
  out.field("node", &HostFactsInfo::node, {.doc = "Name of the node, V(null) when nothing says it.", .sample = "pve1"});
  out.field("cluster", &HostFactsInfo::cluster, {.doc = "Name of the Proxmox VE cluster, V(null) for a node alone."});
  out.field("pve", &HostFactsInfo::pve, {.doc = "Proxmox VE, both V(null) where it is not installed."});
  out.field("kernel", &HostFactsInfo::kernel, {.doc = "The running kernel."});
  out.field("loader", &HostFactsInfo::loader, {.doc = "The boot loader."});
  out.field("cpu", &HostFactsInfo::cpu, {.doc = "The processor."});
  out.field("machine", &HostFactsInfo::machine, {.doc = "The machine as its firmware names it (DMI)."});
  out.field("iommu", &HostFactsInfo::iommu, {.doc = "The IOMMU."});
  out.field("drivers", &HostFactsInfo::drivers, {.doc = "Kernel drivers of GPUs."});
  out.field("vgpu_unlock", &HostFactsInfo::vgpu_unlock, {.doc = "Whether there are traces of vgpu_unlock, which is not supported."});
}

void GpuInfo::fields(Document<GpuInfo>& out) {
  out.field("address", &GpuInfo::address, {.doc = "PCI address, with its domain.", .sample = "0000:41:00.0"});
  out.field(
      "kind", &GpuInfo::kind,
      {.doc = "V(gpu), V(accelerator), V(management_display) (the console of a server's management controller) or V(virtual_display)."});
  out.field("vendor_id", at(&GpuInfo::ids, &catalogue::PciIds::vendor),
            {.doc = "Four hexadecimal digits, as the other ids.", .sample = "10de"});
  out.field("device_id", at(&GpuInfo::ids, &catalogue::PciIds::device), {.doc = "The device.", .sample = "2235"});
  out.field("subsystem_vendor_id", at(&GpuInfo::ids, &catalogue::PciIds::subsystem_vendor),
            {.doc = "The vendor of the board, which may be a maker of servers.", .sample = "10de"});
  out.field("subsystem_device_id", at(&GpuInfo::ids, &catalogue::PciIds::subsystem_device), {.doc = "The board.", .sample = "145a"});
  out.field("name", &GpuInfo::name, {.doc = "Its name in the catalogue, else in pci.ids.", .sample = "A40"});
  out.field("board", &GpuInfo::board_name,
            {.doc = "The board in the catalogue, V(null) when it is not there or not certain.", .sample = "A40", .null_if_empty = true});
  out.field("possible_boards", [](const GpuInfo& gpu) { return possible_boards(gpu); },
            {.doc = "The boards that its ids fit, when these are several."});
  out.field("vgpu_class", [](const GpuInfo& gpu) { return class_of(gpu); },
            {.doc = "1 for a classic NVIDIA vGPU board without SR-IOV, 2 for a data-centre board with SR-IOV, 3 for a workstation board "
                    "with SR-IOV whose display outputs must be switched off, else V(null).",
             .sample = "2"});
  out.field("pci_class", &GpuInfo::pci_class,
            {.doc = "V(0300) VGA, V(0302) 3D, V(0380) display, V(1200) processing accelerator.", .sample = "0302"});
  out.field("driver", &GpuInfo::driver, {.doc = "The driver that has it.", .sample = "nvidia"});
  out.field("driver_override", &GpuInfo::driver_override, {.doc = "The only driver that may have it."});
  out.field("boot_vga", &GpuInfo::boot_vga, {.doc = "Whether it is the boot display."});
  out.field("displays", &GpuInfo::displays, {.doc = "Its display connectors, V(null) when its driver shows none."});
  out.field("numa_node", &GpuInfo::numa_node, {.doc = "The NUMA node."});
  out.field("iommu_group", &GpuInfo::iommu_group, {.doc = "The IOMMU group."});
  out.field("iommu_siblings", &GpuInfo::iommu_siblings, {.doc = "The other members of its IOMMU group."});
  out.field("functions", &GpuInfo::functions, {.doc = "The other functions of the card, such as audio."});
  out.field("sriov", &GpuInfo::sriov, {.doc = "Virtual functions."});
  out.field(
      "framework", &GpuInfo::framework,
      {.doc = "How the driver offers vGPUs, V(none), V(mdev) (on the card), V(mdev_on_vfs) or V(vendor_vfio).", .sample = "vendor_vfio"});
  out.field("vgpu_types", &GpuInfo::vgpu_types, {.doc = "The vGPU types that it offers."});
  out.field("mdevs", &GpuInfo::mdevs, {.doc = "Mediated devices on it and on its virtual functions."});
  out.field("vgpu_unlocked", &GpuInfo::unlocked,
            {.doc = "Whether it offers another board's types, which vgpu_unlock does and which is not supported."});
  out.field("technologies", &GpuInfo::technologies,
            {.doc = "For C(passthrough), C(nvidia_mdev), C(nvidia_sriov_mdev), C(nvidia_vendor_vfio), C(intel_sriov), C(intel_gvtg) and "
                    "C(amd_mxgpu) whether it is C(possible) with this board, kernel and release, whether it is C(ready), and as sentences "
                    "what is C(missing), or why it is not possible.",
             .sample = "{\"passthrough\": {\"possible\": true, \"ready\": false, \"missing\": [\"it is the boot display\"]}}"});
  out.field("used_by", &GpuInfo::used_by,
            {.doc = "Guests of this node that use it or may, V(null) when their configurations can't be read."});
  out.field("problems", &GpuInfo::problems, {.doc = "What is wrong with the card or its driver, as sentences."});
  out.field("slot_neighbours", &GpuInfo::beside,
            {.doc = "Functions of the same slot that are no part of the card, as in the slot of a processor's graphics.",
             .when = "when there are any"});
}

void HostInfo::fields(Document<HostInfo>& out) {
  out.field("host", &HostInfo::host, {.doc = "The host."});
  out.field("gpus", &HostInfo::gpus,
            {.doc = "The GPUs by address. Virtual functions and the audio and USB functions of a card are not GPUs of their own."});
  out.field("resources", &HostInfo::resources,
            {.doc = "What a desktop broker can assign, a line for each model and type and for each resource mapping of this node."});
  out.field("form", &HostInfo::form, {.doc = "The hardware form that the host looks like."});
  out.field("unreadable", &HostInfo::unreadable, {.doc = "What could not be read. The facts that depend on it are V(null) or incomplete."});
  out.field("notes", &HostInfo::notes, {.doc = "What else is worth knowing, for example a device that vanished while it was looked at."});
}

}  // namespace pvegpu::gpu
