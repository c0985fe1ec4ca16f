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
  std::string path;                 ///< as written: "0000:41:00.0", "0000:41:00", "0000:41:00.0;0000:42:00.0"
  std::vector<PciAddress> members;  ///< of the path, never empty
  std::string id;                   ///< "10de:2235", as written
  std::string subsystem_id;         ///< empty when not given
  std::optional<std::int64_t> iommu_group;
  std::string description;
  std::string text;  ///< the line as written: Proxmox VE keeps it verbatim, and so must who writes the list anew

  /// What Proxmox VE compares when a guest starts, as strings ("007" is not group 7).
  bool same_fingerprint(const PciMapEntry& other) const;
};

struct PciMapping {
  std::string id;
  std::string description;
  bool mdev = false;
  bool live_migration_capable = false;
  bool mdev_given = false, live_given = false;  ///< there is a line for it: an explicit 0 is kept
  std::vector<PciMapEntry> entries;             ///< of all nodes
};

struct PciMappings {
  std::vector<PciMapping> mappings;
  std::vector<std::string> warnings;  ///< what Proxmox VE warns about, and loses at its next write
  std::vector<int> comments;          ///< lines that it loses silently
  /// Sections without any valid entry: the API hides them and refuses every write until the file is healed.
  std::vector<std::string> poisoned;

  const PciMapping* find(std::string_view id) const;
};

/// As PVE::Mapping::PCI reads it: invalid lines are dropped with a warning, of a key that is there twice the first counts.
PciMappings parse_pci_mappings(std::string_view text);
/// One `map` value by the rules of PVE::Mapping::PCI's $map_fmt.
Result<PciMapEntry> parse_map_entry(std::string_view text);
/// The canonical form, keys sorted as the GUI writes them.
std::string print_map_entry(const PciMapEntry& entry);
/// A section as PVE::SectionConfig writes it, the empty line after it included.
std::string print_pci_mapping(const PciMapping& mapping);
/// The whole file as Proxmox VE will write it next.
std::string print_pci_mappings(const std::vector<PciMapping>& mappings);

/// The text without its poisoned sections; every other byte is kept. `removed`: what was taken out, verbatim.
std::string without_poison(std::string_view text, std::string* removed = nullptr);

/// pve-configid: a letter, then at least one of letters, digits, "-", "_".
bool is_mapping_id(std::string_view id);
/// Lower-case vendor:device, four digits each.
bool is_pci_id(std::string_view id);
/// A node name as PVE::JSONSchema takes it.
bool is_node_name(std::string_view name);

}  // namespace pvegpu::text
