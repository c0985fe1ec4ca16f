// SPDX-License-Identifier: MIT
// What a task wants of one PCI resource mapping, and what becomes of the mapping as it is: pure, so that it can be applied again to
// whatever others made of the file meanwhile.
#pragma once

#include "common/text/pci_mapping.hpp"

namespace pvegpu::cluster {

enum class Purge { none, node, all };

struct MappingWish {
  std::string id;
  bool present = true;
  bool whole = false;  ///< absent: the mapping itself, with all its entries
  /// Entries that shall be there with just this fingerprint; of an absent wish: places whose entries shall go.
  std::vector<text::PciMapEntry> entries = {};
  Purge purge = Purge::none;            ///< which entries go that are not listed
  std::vector<std::string> nodes = {};  ///< of Purge::node
  std::optional<std::string> description = {};
  std::optional<bool> mdev = {}, live_migration_capable = {};
};

/// What shall be instead of `now` (nullptr: there is no such mapping). nullopt: none. A mapping has at least one entry, so the last one
/// takes it along.
/// An entry is known by its node and its first function ("0000:41:00" and "0000:41:00.0" are the same place).
std::optional<text::PciMapping> fulfilled(const MappingWish& wish, const text::PciMapping* now);

/// The lines that the wish is about, as the file has them; nullopt: none of them is there. What others write meanwhile, for their nodes,
/// does not show here.
std::optional<std::string> concerned(const MappingWish& wish, const text::PciMapping* mapping);

/// The arguments of pvesh that make `next` of `now`; both there is a set with the digest of the whole file.
std::vector<std::string> pvesh_arguments(const std::string& id, const text::PciMapping* now, const text::PciMapping* next,
                                         const std::string& digest);

/// Nodes whose guests can't start with this mapping any more.
std::vector<std::string> nodes_that_lose(const text::PciMapping* now, const text::PciMapping* next);

}  // namespace pvegpu::cluster
