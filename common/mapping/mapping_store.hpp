// SPDX-License-Identifier: MIT
// Where resource mappings are kept, and how they are changed: through the API (pvesh) with the digest of the file, one writer of ours
// in the cluster at a time. The file itself is written in one case only: a section that the API can't touch.
#pragma once

#include "common/mapping/mapping_wish.hpp"
#include "common/core/plan.hpp"

namespace pvegpu::cluster {

inline constexpr const char* pci_cfg = "/etc/pve/mapping/pci.cfg";
/// pmxcfs takes no larger file (MEMDB_MAX_FILE_SIZE).
inline constexpr std::size_t largest_pmxcfs_file = std::size_t{1} << 20;

/// "" when there is none yet: that is what Proxmox VE takes it for.
Result<std::string> read_pci_cfg(const HostView& host);

/// Takes out the poisoned sections, under Proxmox VE's own lock of the file.
Step heal_step(const std::string& pci_cfg_text);

/// Makes the wish true. The wish is applied to the file as it is at that moment, so nothing that others wrote meanwhile is lost.
Step mapping_step(const MappingWish& wish, const text::PciMapping* now);

/// A guest that names the mapping, now or with its pending changes.
struct MappingUser {
  std::string vmid, name, node, via;  ///< via: "hostpci0"
};
/// Of all nodes, as pmxcfs has them.
std::vector<MappingUser> users_of_mapping(const HostView& host, const std::string& id);

/// Why guests could not start any more when `next` takes the place of `now` (nullptr: none), "" when all can.
std::string why_guests_lose(const HostView& host, const std::string& id, const text::PciMapping* now, const text::PciMapping* next);
/// Why pmxcfs does not take the file with `next` in the place of `now`, "" when it does.
std::string why_no_room(const HostView& host, const text::PciMappings& file, const text::PciMapping* now, const text::PciMapping* next);

}  // namespace pvegpu::cluster
