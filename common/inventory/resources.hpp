// SPDX-License-Identifier: MIT
// The GPUs of a host as a desktop broker sees them: what it can give to desktops, and by which name.
#pragma once

#include "common/facts/guests.hpp"
#include "common/readiness/technologies.hpp"

namespace pvegpu::gpu {

/// One line of the broker's list, in one of four forms: "Tesla P4 → GRID P4-1Q", "Intel UHD Graphics → Intel-vGPU",
/// "mapping TeslaP4 → GRID P4-1Q", "mapping A4000 → GPU Passthrough".
struct Resource {
  std::string mapping;  ///< empty: by type
  std::string gpu_model;
  std::string vgpu_type;
  std::int64_t count = 0;        ///< desktops that this line serves when nothing else runs on its GPUs
  std::int64_t free = 0;         ///< of these, now
  bool visible_by_type = false;  ///< `mdevctl types` (or the list of VFs of an Intel GPU) shows it
  bool assignable = false;
  std::string reason;  ///< why it is not
};

/// By model and type, then by mapping. Mappings that Proxmox VE would refuse are noted. A whole card is assignable only through a mapping,
/// and so are vGPUs of vendor VFIO: a broker that looks for types runs `mdevctl types`, which is rightly empty there.
std::vector<Resource> list_resources(Reader& reader, const std::vector<Gpu>& gpus, const std::vector<Technologies>& technologies,
                                     const GuestFacts& guests, const HostFacts& facts);

json to_json(const Resource& resource);

/// Where a mapping's entry leads on this node.
struct Place {
  const Gpu* gpu = nullptr;  ///< nullptr: there is no such GPU
  const Vf* vf = nullptr;
};
Place find_place(const std::vector<Gpu>& gpus, const text::PciAddress& address);

/// What PVE::Mapping::PCI::assert_valid would say of the entry, "" when it is valid. Only what the scan has read is compared.
std::string stale_entry(const text::PciMapping& mapping, const text::PciMapEntry& entry, const Place& place, const HostFacts& facts);

}  // namespace pvegpu::gpu
