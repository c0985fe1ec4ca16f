// SPDX-License-Identifier: MIT
// A GPU as this host shows it: what is looked up, counted and read, before anything is concluded from it. What host_info tells of it:
// gpu_fields.cpp.
#pragma once

#include "common/catalogue/catalogue.hpp"
#include "common/base/reply.hpp"

#include <map>
#include <set>

namespace pvegpu::gpu {

using catalogue::Framework;

/// What a display-class function is good for.
enum class Kind {
  gpu,
  accelerator,         ///< class 1200 of a vendor that makes no GPUs: passthrough only
  management_display,  ///< the console of a server's management controller (BMC)
  virtual_display,     ///< the console of a virtual machine: this host is one
};

/// Another PCI function beside the GPU: of the same card, or of the same IOMMU group.
struct Neighbour {
  std::string address;
  std::uint16_t vendor = 0, device = 0;
  std::uint16_t pci_class = 0;
  std::optional<std::string> driver;
  bool same_card = false;
  std::string needed;  ///< why the host can't spare it (host_loss.hpp); not told of siblings of the same card: see its functions

  bool is_bridge() const { return pci_class >> 8 == 0x06; }
  bool is_storage() const { return pci_class >> 8 == 0x01; }
  static void fields(Document<Neighbour>& out);
};

struct Vf {
  std::string address;
  std::optional<std::string> driver;
  std::optional<std::int64_t> iommu_group;
  std::vector<std::string> mdevs;   ///< UUIDs
  std::optional<unsigned> type_id;  ///< vendor VFIO: `current_vgpu_type`, 0 is none; unset where there is no such file
  std::string vgpu_type;            ///< name of the type that runs on it, empty when none does
  bool held = false;                ///< a guest that runs has it
  bool offers = true;               ///< false: a VF of an NVIDIA card whose driver makes no vGPUs on it (vfio-pci, none)

  bool is_free() const { return !held && mdevs.empty() && type_id.value_or(0) == 0; }
  static void fields(Document<Vf>& out);
};

struct Sriov {
  bool capable = false;
  std::int64_t total = 0, enabled = 0;
  std::optional<catalogue::PciIds> vf_ids;  ///< of its VFs, which all have the same; unset without VFs
  std::vector<Vf> vfs;

  static void fields(Document<Sriov>& out);
};

/// A mediated device.
struct Mdev {
  std::string uuid, parent, type_id;
  std::string type_name;
  std::optional<std::int64_t> vmid;  ///< the guest that Proxmox VE named it after

  static void fields(Document<Mdev>& out);
};

struct VgpuType {
  std::string id;    ///< as a guest's mdev= takes it: "nvidia-63", "i915-GVTg_V5_4"
  std::string name;  ///< the stable key: ids move between driver branches
  std::optional<std::int64_t> framebuffer_mb, max_instances;
  std::int64_t available = 0;  ///< how many more can be made on this GPU now
  bool listed = true;          ///< false: the driver hides it because it does not fit now; known from the catalogue

  static void fields(Document<VgpuType>& out);
};

struct Display {
  std::string connector;  ///< "DP-1"
  std::string status;     ///< connected, disconnected, unknown

  static void fields(Document<Display>& out);
};

/// A guest that uses the GPU, or is configured to.
struct Use {
  std::int64_t vmid = 0;
  std::string name;
  std::string via;  ///< "hostpci0"; empty when only its running state shows the use
  std::string address;
  std::string mapping;
  std::string vgpu_type;
  bool running = false;  ///< it runs now and has it

  static void fields(Document<Use>& out);
};

struct Gpu {
  std::string address;
  catalogue::PciIds ids;
  std::uint16_t pci_class = 0;
  Kind kind = Kind::gpu;
  std::string name;
  std::vector<catalogue::Board> boards;  ///< of the catalogue: one, or several when the ids fit more than one
  std::optional<catalogue::IntelGpu> intel;
  std::optional<std::string> driver, driver_override;
  bool boot_vga = false;
  std::optional<std::int64_t> numa_node;
  std::optional<std::int64_t> iommu_group;
  std::vector<Neighbour> iommu_siblings;  ///< the other members of its IOMMU group
  std::vector<Neighbour> functions;       ///< the other functions of the card: audio, USB
  std::vector<Neighbour> beside;          ///< functions of its slot that are no part of the card, as an APU has them (slot_functions)
  Sriov sriov;
  Framework framework = Framework::none;
  std::vector<VgpuType> vgpu_types;
  std::vector<Mdev> mdevs;                       ///< on the card itself and on its VFs
  std::optional<std::vector<Display>> displays;  ///< unset: the driver makes no connectors, so nobody knows
  std::optional<std::vector<Use>> used_by;       ///< unset: the guests' configurations can't be read
  bool unlocked = false;                         ///< it offers another board's types: vgpu_unlock
  std::vector<std::string> problems;             ///< sentences

  bool is_nvidia() const { return ids.vendor == 0x10de; }
  bool is_intel() const { return ids.vendor == 0x8086; }
  bool is_amd() const { return ids.vendor == 0x1002; }
  bool integrated() const { return intel && intel->integrated; }
  const catalogue::Board* board() const { return boards.size() == 1 ? &boards[0] : nullptr; }
  /// Also when the ids fit several boards, if these are of one class.
  catalogue::VgpuClass vgpu_class() const;
  std::vector<std::string> connected_displays() const;
};

/// "network controller", "display controller" … for messages.
std::string class_words(std::uint16_t pci_class);

/// "1 VF", "2 VFs"
std::string counted(std::int64_t count, std::string_view what);

/// "10de"
std::string hex4(unsigned value);

}  // namespace pvegpu::gpu

template <>
struct pvegpu::EnumNames<pvegpu::gpu::Kind> {
  static constexpr std::pair<gpu::Kind, const char*> values[] = {{gpu::Kind::gpu, "gpu"},
                                                                 {gpu::Kind::accelerator, "accelerator"},
                                                                 {gpu::Kind::management_display, "management_display"},
                                                                 {gpu::Kind::virtual_display, "virtual_display"}};
};
