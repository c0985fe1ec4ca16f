// SPDX-License-Identifier: MIT
// The PCI resource mappings of a Proxmox VE cluster (>= 8.0): /etc/pve/mapping/pci.cfg.
#pragma once

#include "common/text/pci_address.hpp"

#include <cstdint>
#include <vector>

namespace pvegpu::text {

/// One `map` line: one alternative on one node. Several members are passed together, they are no alternatives.
struct PciMapEntry {
  std::string node;
  std::vector<PciAddress> members;
  std::string id;            ///< "10de:2235", as written
  std::string subsystem_id;  ///< empty when not given
  std::optional<std::int64_t> iommu_group;
};

struct PciMapping {
  std::string id;
  std::string description;
  bool mdev = false;
  bool live_migration_capable = false;
  std::vector<PciMapEntry> entries;  ///< of all nodes
};

struct PciMappings {
  std::vector<PciMapping> mappings;
  std::vector<std::string> warnings;
};

/// Only for reading: comments and what Proxmox VE does not know are lost. Invalid `map` lines are dropped with a warning; a
/// section that keeps none is reported and left out, as the API hides it (and refuses every write until the file is healed).
PciMappings parse_pci_mappings(std::string_view text);

}  // namespace pvegpu::text
