// SPDX-License-Identifier: MIT
// The GPUs of a host as a desktop broker sees them: what it can give to desktops, and by which name.
#pragma once

#include "common/facts/machine.hpp"
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

  std::string source() const { return mapping.empty() ? gpu_model : "mapping " + mapping; }
  static void fields(Reply<Resource>& out);
};

/// By model and type, then by mapping. Mappings that Proxmox VE would refuse are noted. A whole card is assignable only through a mapping,
/// and so are vGPUs of vendor VFIO: a broker that looks for types runs `mdevctl types`, which is rightly empty there.
std::vector<Resource> list_resources(Reader& reader, const Machine& machine, const std::vector<Technologies>& technologies);

}  // namespace pvegpu::gpu
