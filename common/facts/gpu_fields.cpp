// SPDX-License-Identifier: MIT
// What host_info tells of the parts of a GPU.
#include "common/facts/gpu.hpp"

namespace pvegpu {

void catalogue::PciIds::fields(Document<PciIds>& out) {
  out.field("vendor_id", &PciIds::vendor, {.doc = "PCI vendor, four hexadecimal digits."});
  out.field("device_id", &PciIds::device, {.doc = "PCI device."});
  out.field("subsystem_vendor_id", &PciIds::subsystem_vendor, {.doc = "PCI vendor of the subsystem."});
  out.field("subsystem_device_id", &PciIds::subsystem_device, {.doc = "PCI device of the subsystem."});
}

namespace gpu {

namespace {

/// Documents may leave the class out.
struct IsBridge {
  bool operator()(const Neighbour& function) const { return function.is_bridge(); }
  static bool read(Neighbour& function, const json& told) {
    if (told.is_boolean() && told.get<bool>() && !function.is_bridge()) function.pci_class = 0x0600;
    return told.is_boolean();
  }
};

}  // namespace

void Neighbour::fields(Document<Neighbour>& out) {
  out.field("address", &Neighbour::address, {.doc = "PCI address."});
  out.field("vendor_id", &Neighbour::vendor, {.doc = "Vendor."});
  out.field("device_id", &Neighbour::device, {.doc = "Device."});
  out.field("pci_class", &Neighbour::pci_class, {.doc = "Class and subclass."});
  out.field("driver", &Neighbour::driver, {.doc = "The driver that has it."});
  out.field("same_card", &Neighbour::same_card, {.doc = "Whether it is a function of the same card."});
  out.field("bridge", IsBridge(), {.doc = "Whether it is a bridge, which stays with the host."});
  out.field("needed", &Neighbour::needed,
            {.doc = "What the host needs it for, so that it can't go to a guest along with the GPU.", .when = "when the host uses it"});
}

void Display::fields(Document<Display>& out) {
  out.field("connector", &Display::connector, {.doc = "Name of the connector.", .sample = "DP-1"});
  out.field("status", &Display::status, {.doc = "V(connected), V(disconnected) or V(unknown)."});
}

void Vf::fields(Document<Vf>& out) {
  out.field("address", &Vf::address, {.doc = "PCI address."});
  out.field("driver", &Vf::driver, {.doc = "The driver that has it."});
  out.field("iommu_group", &Vf::iommu_group, {.doc = "The IOMMU group."});
  out.field("mdevs", &Vf::mdevs, {.doc = "UUIDs of mediated devices on it."});
  out.field("vgpu_type", &Vf::vgpu_type, {.doc = "Name of the vGPU type that is set on it.", .null_if_empty = true});
  out.field("held", &Vf::held, {.doc = "Whether a running guest has it."});
}

void Sriov::fields(Document<Sriov>& out) {
  out.field("capable", &Sriov::capable,
            {.doc = "Whether it shows an SR-IOV capability. A Tesla T4 may, and has its vGPUs on the card itself all the same."});
  out.field("total", &Sriov::total, {.doc = "How many are possible."});
  out.field("enabled", &Sriov::enabled, {.doc = "How many are enabled."});
  out.field("vf_ids", &Sriov::vf_ids, {.doc = "The ids of its virtual functions, null without any. A resource mapping has to name them."});
  out.field("vfs", &Sriov::vfs, {.doc = "Those that are there."});
}

void VgpuType::fields(Document<VgpuType>& out) {
  out.field("id", &VgpuType::id,
            {.doc = "As a guest's C(mdev=) takes it. It may change with the driver, the name does not.",
             .sample = "nvidia-562",
             .null_if_empty = true});
  out.field("name", &VgpuType::name, {.doc = "The name.", .sample = "NVIDIA A40-8Q"});
  out.field("framebuffer_mb", &VgpuType::framebuffer_mb, {.doc = "Memory that an instance takes; of GVT-g its high graphics memory."});
  out.field("max_instances", &VgpuType::max_instances, {.doc = "How many fit on the GPU when all are of this type."});
  out.field("available", &VgpuType::available, {.doc = "How many more can be made now."});
  out.field("listed", &VgpuType::listed,
            {.doc = "Whether the driver lists it now. With vendor VFIO it hides what does not fit beside what runs."});
}

void Mdev::fields(Document<Mdev>& out) {
  out.field("uuid", &Mdev::uuid, {.doc = "The UUID."});
  out.field("parent", &Mdev::parent, {.doc = "Address of the function it is on."});
  out.field("vgpu_type", &Mdev::type_name, {.doc = "Name of its type."});
  out.field("vmid", &Mdev::vmid, {.doc = "The guest that Proxmox VE named it after."});
}

void Use::fields(Document<Use>& out) {
  out.field("vmid", &Use::vmid, {.doc = "The guest."});
  out.field("name", &Use::name, {.doc = "Its name.", .null_if_empty = true});
  out.field("via", &Use::via,
            {.doc = "The property of its configuration, V(null) when only its running state shows the use.",
             .sample = "hostpci0",
             .null_if_empty = true});
  out.field("mapping", &Use::mapping, {.doc = "The resource mapping that it names.", .null_if_empty = true});
  out.field("address", &Use::address,
            {.doc = "The function that it has or will have, V(null) while a mapping leaves that open.", .null_if_empty = true});
  out.field("vgpu_type", &Use::vgpu_type, {.doc = "Name of the vGPU type.", .null_if_empty = true});
  out.field("running", &Use::running, {.doc = "Whether it runs and has it."});
}

}  // namespace gpu
}  // namespace pvegpu
