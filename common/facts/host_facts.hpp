// SPDX-License-Identifier: MIT
// What the host is, as far as GPUs are concerned: Proxmox VE, kernel, CPU, IOMMU, GPU drivers, traces of vgpu_unlock.
#pragma once

#include "common/catalogue/catalogue.hpp"
#include "common/base/json.hpp"
#include "common/host/module_block.hpp"
#include "common/text/pve_version.hpp"

namespace pvegpu::gpu {

struct Cpu {
  bool amd() const { return vendor == "AuthenticAMD"; }
  bool intel() const { return vendor == "GenuineIntel"; }

  std::optional<std::string> vendor, model;  ///< "GenuineIntel", "12th Gen Intel(R) Core(TM) i5-12400"
  std::optional<bool> runs_guests;           ///< the flag vmx or svm; unset: /proc/cpuinfo has no flags
  bool is_virtual = false;                   ///< the flag hypervisor: it is a virtual machine's
  std::optional<std::uint32_t> family, model_number, stepping;
  std::optional<std::uint32_t> microcode;  ///< the revision that runs
};
/// Of the first processor.
Cpu read_cpu(Reader& reader);

/// From DMI; unset where the firmware says nothing.
struct Dmi {
  std::optional<std::string> vendor, product;
  std::optional<std::int64_t> chassis_type;  ///< SMBIOS type 3: 3 desktop, 17 main server chassis, 23 rack mount …
};

struct Iommu {
  std::optional<bool> active;  ///< /sys/class/iommu has a unit: what Proxmox VE asks before it passes a device through
  std::optional<std::size_t> groups;
  std::vector<std::string> evidence;
  std::string cause;  ///< a sentence when it is off: why, and what to do
};

struct NvidiaDriver {
  bool loaded = false;
  std::optional<std::string> version;  ///< of the loaded module
  std::optional<bool> host_vgpu;       ///< whether it is a vGPU host driver
  std::optional<bool> open_modules;
  std::optional<catalogue::DriverBranch> branch;
  std::string release;                           ///< "16.4/16.5", empty when the catalogue does not know the version
  std::optional<std::string> installed_version;  ///< of the file for the running kernel, asked when no module is loaded
  std::optional<std::vector<std::string>> gpus;  ///< addresses under /proc/driver/nvidia/gpus
};

struct IntelDriver {
  bool loaded = false;
  std::optional<std::string> version;
  std::optional<std::int64_t> max_vfs;  ///< unset: the loaded module has no such parameter and makes no VFs
  std::optional<bool> enable_gvt;
  bool installed_has_max_vfs = false;  ///< the file for the running kernel has it, asked when the loaded one has not
};

struct Unlock {
  std::vector<std::string> traces;  ///< paths of a vgpu_unlock installation
};

/// What only matters when a card of that vendor is there.
struct Vendors {
  bool nvidia = false, intel = false;
};

struct HostFacts {
  std::optional<std::string> node;
  std::optional<std::string> cluster;  ///< its name; unset: the node is alone, or corosync.conf can't be read
  std::optional<text::PveVersion> pve;
  std::string kernel;
  BootFacts boot;
  std::vector<ModuleBlock> blocks;  ///< of any module
  Cpu cpu;
  Dmi dmi;
  Iommu iommu;
  NvidiaDriver nvidia;
  IntelDriver i915, xe;
  std::vector<std::string> other_drivers;  ///< loaded ones that matter: nouveau, kvmgt, amdgpu, gim, vfio_pci
  Unlock unlock;

  bool has_driver(std::string_view name) const;
  /// Version of Proxmox VE, unset where this is none.
  std::optional<catalogue::MajorMinor> pve_version() const;
  /// Proxmox VE knows resource mappings from 8 on.
  bool has_mappings() const { return pve && pve->major >= 8; }
};

/// The ACPI table by which firmware announces an IOMMU, and what to switch on in the BIOS setup where it is missing.
std::string iommu_table(const Cpu& cpu);
std::string iommu_switch(const Cpu& cpu);

HostFacts read_host_facts(Reader& reader, Vendors vendors);

}  // namespace pvegpu::gpu
