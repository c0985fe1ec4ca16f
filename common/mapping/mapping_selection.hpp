// SPDX-License-Identifier: MIT
// From "these cards" to the entries of a resource mapping.
#pragma once

#include "common/mapping/mappable.hpp"

namespace pvegpu::gpu {

/// An entry as somebody wrote it. Without an id its fingerprint is looked up.
struct EntryByHand {
  std::string node, path;
  std::optional<std::string> id, subsystem_id;
  std::optional<std::int64_t> iommu_group;
};

/// A GPU of a plan: the card itself, or as many of its virtual functions as it has seats.
struct PlannedCard {
  std::string node, address;
  bool vfs = false;
  std::int64_t seats = 0;
};

struct MappingSelectors {
  bool fingerprints = true;  ///< false: only places are wanted, of devices that need not be there any more
  std::vector<std::string> devices, vfs_of;
  std::optional<std::string> model;
  std::optional<bool> whole_device;
  std::vector<PlannedCard> planned;
  std::vector<EntryByHand> by_hand;

  bool derive() const { return !devices.empty() || !vfs_of.empty() || model || !planned.empty(); }
};

using MappableHosts = std::vector<std::shared_ptr<MappableHost>>;

struct MappingSelection {
  std::vector<text::PciMapEntry> entries;
  std::vector<std::string> nodes;      ///< that were looked at, or are named by hand
  std::vector<std::string> with_mdev;  ///< functions whose hardware is known and offers mediated devices
  std::vector<std::string> without_mdev;
  std::string refusal;                   ///< a guest's start with one of the entries would take what its host needs
  std::vector<std::string> warnings;     ///< what such a start takes else, and what of a card is not mapped
  std::vector<PlannedCard> without_vfs;  ///< cards whose VFs are wanted and are not there yet; nothing is selected on their nodes for them
};

/// What the mapping's flag shall be, given what is wished: it is the whole mapping's, and from 8.4 on (`compared`) a guest does not start
/// unless it is what the hardware says. `now`: the mapping as it is.
Result<std::optional<bool>> mdev_flag(const MappingSelection& selection, std::optional<bool> wished, const text::PciMapping* now,
                                      bool compared);

/// Throws ModuleError for what is not there, and for lists of functions that could never validate.
MappingSelection select_entries(const MappingSelectors& selectors, const MappableHosts& hosts);

}  // namespace pvegpu::gpu
