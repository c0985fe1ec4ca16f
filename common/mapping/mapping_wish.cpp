// SPDX-License-Identifier: MIT
// Wishes about resource mappings.
#include "common/mapping/mapping_wish.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace pvegpu::cluster {
namespace {

using text::PciMapEntry;
using text::PciMapping;

std::string place_of(const PciMapEntry& entry) { return entry.node + " " + entry.members[0].first_function(); }

/// The entries of a wish by their place: a cluster may have thousands.
class Wished {
 public:
  explicit Wished(const MappingWish& wish) {
    for (const PciMapEntry& entry : wish.entries) by_place_.try_emplace(place_of(entry), &entry);
  }
  const PciMapEntry* find(const PciMapEntry& entry) const {
    const auto it = by_place_.find(place_of(entry));
    return it == by_place_.end() ? nullptr : it->second;
  }

 private:
  std::map<std::string, const PciMapEntry*> by_place_;
};

bool purged(const MappingWish& wish, const PciMapEntry& entry) {
  return wish.purge == Purge::all ||
         (wish.purge == Purge::node && std::find(wish.nodes.begin(), wish.nodes.end(), entry.node) != wish.nodes.end());
}

void set_flag(bool& member, bool& given, std::optional<bool> wish) {
  if (!wish || member == *wish) return;  // an explicit 0 and no line mean the same
  member = given = *wish;
}

std::set<std::string> nodes_of(const PciMapping* mapping) {
  std::set<std::string> out;
  if (mapping)
    for (const PciMapEntry& entry : mapping->entries) out.insert(entry.node);
  return out;
}

}  // namespace

std::optional<PciMapping> fulfilled(const MappingWish& wish, const PciMapping* now) {
  if (!wish.present && (!now || wish.whole)) return std::nullopt;
  PciMapping out;
  out.id = wish.id;
  if (now) out = *now;
  out.entries.clear();
  const Wished wished(wish);
  std::set<const PciMapEntry*> placed;
  if (now)
    for (const PciMapEntry& entry : now->entries) {
      const PciMapEntry* own = wished.find(entry);
      if (!wish.present) {
        if (!own && !purged(wish, entry)) out.entries.push_back(entry);
      } else if (own) {
        if (!placed.insert(own).second) continue;  // the same place twice
        PciMapEntry next = entry;
        if (!next.same_fingerprint(*own)) {
          next = *own;
          if (next.description.empty()) next.description = entry.description;
          next.text = text::print_map_entry(next);
        }
        out.entries.push_back(std::move(next));
      } else if (!purged(wish, entry)) {
        out.entries.push_back(entry);
      }
    }
  if (wish.present) {
    for (const PciMapEntry& own : wish.entries)
      if (placed.insert(wished.find(own)).second) {
        out.entries.push_back(own);
        out.entries.back().text = text::print_map_entry(own);
      }
    if (wish.description) out.description = *wish.description;
    set_flag(out.mdev, out.mdev_given, wish.mdev);
    set_flag(out.live_migration_capable, out.live_given, wish.live_migration_capable);
  }
  if (out.entries.empty()) return std::nullopt;
  return out;
}

std::optional<std::string> concerned(const MappingWish& wish, const PciMapping* mapping) {
  if (!mapping) return std::nullopt;
  const Wished wished(wish);
  PciMapping shown;
  shown.id = mapping->id;
  for (const PciMapEntry& entry : mapping->entries)
    if (wish.whole || wished.find(entry) || purged(wish, entry)) shown.entries.push_back(entry);
  if (wish.whole || wish.description) shown.description = mapping->description;
  if ((wish.whole || wish.mdev) && mapping->mdev) shown.mdev = shown.mdev_given = true;
  if ((wish.whole || wish.live_migration_capable) && mapping->live_migration_capable)
    shown.live_migration_capable = shown.live_given = true;
  if (shown.entries.empty() && shown.description.empty() && !shown.mdev_given && !shown.live_given) return std::nullopt;
  std::string out = text::print_pci_mapping(shown);
  out.pop_back();  // the empty line after it
  return out;
}

std::vector<std::string> pvesh_arguments(const std::string& id, const PciMapping* now, const PciMapping* next, const std::string& digest) {
  const std::string base = "/cluster/mapping/pci";
  if (!next) return {"pvesh", "delete", base + "/" + id};
  std::vector<std::string> out = {"pvesh", now ? "set" : "create", now ? base + "/" + id : base};
  if (!now) out.insert(out.end(), {"--id", id});
  // The list is replaced as a whole, and can't be left out.
  for (const PciMapEntry& entry : next->entries) out.insert(out.end(), {"--map", entry.text});
  std::vector<std::string> gone;
  if (const std::string before = now ? now->description : ""; next->description != before) {
    if (next->description.empty())
      gone.emplace_back("description");
    else
      out.insert(out.end(), {"--description", next->description});
  }
  const auto flag = [&](const char* key, bool before, bool after) {
    if (after && !before) out.insert(out.end(), {std::string("--") + key, "1"});
    if (before && !after) gone.emplace_back(key);
  };
  flag("live-migration-capable", now && now->live_migration_capable, next->live_migration_capable);
  flag("mdev", now && now->mdev, next->mdev);
  if (!gone.empty()) out.insert(out.end(), {"--delete", fmt::format("{}", fmt::join(gone, ","))});
  if (now) out.insert(out.end(), {"--digest", digest});
  return out;
}

std::vector<std::string> nodes_that_lose(const PciMapping* now, const PciMapping* next) {
  std::vector<std::string> out;
  const auto after = nodes_of(next);
  for (const std::string& node : nodes_of(now))
    if (!after.count(node)) out.push_back(node);
  return out;
}

}  // namespace pvegpu::cluster
