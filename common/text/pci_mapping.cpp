// SPDX-License-Identifier: MIT
// PCI resource mappings.
#include "common/text/pci_mapping.hpp"

#include "common/text/property_string.hpp"
#include "common/text/section_config.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::text {
namespace {

constexpr std::size_t longest_description = 4096;
constexpr std::string_view lower_hex = "0123456789abcdef", any_hex = "0123456789abcdefABCDEF";

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool all_of(std::string_view s, std::string_view set) { return s.find_first_not_of(set) == s.npos; }

bool is_id_pair(std::string_view id, std::string_view digits) {
  return id.size() == 9 && id[4] == ':' && all_of(id.substr(0, 4), digits) && all_of(id.substr(5), digits);
}

/// $PCI_RE, whose dot is any character (it is not escaped in that double-quoted string).
bool is_path_member(std::string_view s) {
  const auto colon = s.find(':');
  if (colon == s.npos || colon < 4 || !all_of(s.substr(0, colon), lower_hex)) return false;
  const std::string_view rest = s.substr(colon + 1);
  if (rest.size() != 5 && rest.size() != 7) return false;
  if (rest[2] != ':' || !all_of(rest.substr(0, 2), lower_hex) || !all_of(rest.substr(3, 2), lower_hex)) return false;
  return rest.size() == 5 || all_of(rest.substr(6), lower_hex);
}

/// Of a valid path. What no PCI bus can have ("0000:81:00x4", function f) is kept as it is: Proxmox VE keeps it too, and finds no
/// device. (Not parse_pci_address: a file at pmxcfs's limit has 12,000 of these, all spelled as sysfs does.)
PciAddress member_of(std::string_view text) {
  const std::size_t colon = text.find(':'), device = colon + 6;
  if (text.size() == device) return {std::string(text), std::nullopt};
  const char function = text[device + 1];
  if (text[device] != '.' || function > '7') return {std::string(text), std::nullopt};
  return {std::string(text.substr(0, device)), static_cast<unsigned>(function - '0')};
}

bool is_integer(std::string_view s) {
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  return !s.empty() && all_of(s, "0123456789");
}

std::string group_text(const PciMapEntry& entry) {
  const auto properties = parse_property_string(entry.text);
  const std::string* found = properties ? properties->find("iommugroup") : nullptr;
  return found ? *found : entry.iommu_group ? std::to_string(*entry.iommu_group) : std::string();
}

}  // namespace

bool PciMapEntry::same_fingerprint(const PciMapEntry& other) const {
  return path == other.path && id == other.id && subsystem_id == other.subsystem_id && group_text(*this) == group_text(other);
}

const PciMapping* PciMappings::find(std::string_view id) const {
  for (const PciMapping& mapping : mappings)
    if (mapping.id == id) return &mapping;
  return nullptr;
}

bool is_mapping_id(std::string_view id) {
  if (id.size() < 2 || !is_alnum(id[0]) || (id[0] >= '0' && id[0] <= '9')) return false;
  return std::all_of(id.begin(), id.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

bool is_pci_id(std::string_view id) { return is_id_pair(id, lower_hex); }

bool is_node_name(std::string_view name) {
  return !name.empty() && is_alnum(name.front()) && is_alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

Result<PciMapEntry> parse_map_entry(std::string_view text) {
  constexpr std::string_view keys[] = {"node", "path", "id", "subsystem-id", "iommugroup", "description"};
  PciMapEntry out;
  out.text = text;
  bool seen[std::size(keys)] = {};
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, comma - at);
    at = comma + 1;
    if (part.find_first_not_of(" \t\r\n\v\f") == part.npos) continue;
    const std::size_t sign = part.find('=');
    if (sign == part.npos) return Error{fmt::format("'{}' has no key: write key=value", part)};
    const std::string_view key = part.substr(0, sign), value = part.substr(sign + 1);
    const auto known = static_cast<std::size_t>(std::find(std::begin(keys), std::end(keys), key) - std::begin(keys));
    if (known == std::size(keys)) return Error{fmt::format("'{}' is no key of a map entry", key)};
    if (seen[known]) return Error{fmt::format("the key '{}' is given twice", key)};
    seen[known] = true;
    if (key == "node") {
      if (!is_node_name(value)) return Error{fmt::format("'{}' is no name of a node", value)};
      out.node = value;
    } else if (key == "path") {
      out.path = value;
      for (std::size_t member = 0; member <= value.size();) {
        const std::size_t end = std::min(value.find(';', member), value.size());
        const std::string_view address = value.substr(member, end - member);
        if (!is_path_member(address))
          return Error{fmt::format("the path '{}' is not made of addresses like 0000:41:00.0 or 0000:41:00, in lower case", value)};
        out.members.push_back(member_of(address));
        member = end + 1;
      }
    } else if (key == "id" || key == "subsystem-id") {
      if (!is_id_pair(value, any_hex)) return Error{fmt::format("{} '{}' is not like 10de:2235", key, value)};
      (key == "id" ? out.id : out.subsystem_id) = value;
    } else if (key == "iommugroup") {
      if (!is_integer(value)) return Error{fmt::format("iommugroup '{}' is no number", value)};
      std::int64_t group = -1;
      (void)std::from_chars(value.data(), value.data() + value.size(), group);
      out.iommu_group = group;
    } else {
      if (value.size() > longest_description) return Error{"its description is too long"};
      out.description = value;
    }
  }
  for (std::size_t required = 0; required < 3; ++required)
    if (!seen[required]) return Error{fmt::format("'{}' is missing", keys[required])};
  return out;
}

std::string print_map_entry(const PciMapEntry& entry) {
  std::string out;
  if (!entry.description.empty()) out += fmt::format("description={},", entry.description);
  out += "id=" + entry.id;
  if (entry.iommu_group) out += fmt::format(",iommugroup={}", *entry.iommu_group);
  out += fmt::format(",node={},path={}", entry.node, entry.path);
  if (!entry.subsystem_id.empty()) out += ",subsystem-id=" + entry.subsystem_id;
  return out;
}

std::string print_pci_mapping(const PciMapping& mapping) {
  std::string out = mapping.id + "\n";
  for (const PciMapEntry& entry : mapping.entries) out += fmt::format("\tmap {}\n", entry.text);
  if (!mapping.description.empty()) out += fmt::format("\tdescription {}\n", mapping.description);
  if (mapping.live_given) out += fmt::format("\tlive-migration-capable {:d}\n", mapping.live_migration_capable);
  if (mapping.mdev_given) out += fmt::format("\tmdev {:d}\n", mapping.mdev);
  return out + "\n";
}

std::string print_pci_mappings(const std::vector<PciMapping>& mappings) {
  std::string out;
  for (const PciMapping& mapping : mappings) out += print_pci_mapping(mapping);
  return out;
}

PciMappings parse_pci_mappings(std::string_view text) {
  SectionConfig config = parse_section_config(text);
  PciMappings out{{}, std::move(config.warnings), std::move(config.comments), {}};
  for (const ConfigSection& section : config.sections) {
    PciMapping mapping;
    mapping.id = section.id;
    const auto warn = [&](const std::string& what) { out.warnings.push_back(fmt::format("mapping '{}': {}", section.id, what)); };
    if (!is_mapping_id(section.id)) {
      warn("this is no valid id (a letter, then letters, digits, - and _): Proxmox VE skips the section");
      continue;
    }
    bool described = false;
    const auto flag = [&](bool& member, bool& given, const std::string& key, const std::string& value) {
      // In the file only 0, 1 and the bare key are taken; on the command line Proxmox VE knows more spellings.
      if (value != "0" && value != "1" && !value.empty()) return warn(fmt::format("{} '{}' is neither 0 nor 1", key, value));
      if (given) return warn(fmt::format("{} is there twice: the first counts", key));
      member = value != "0";
      given = true;
    };
    for (const auto& [key, value] : section.lines) {
      if (key == "map") {
        if (auto entry = parse_map_entry(value))
          mapping.entries.push_back(*std::move(entry));
        else
          warn(fmt::format("the entry '{}' is invalid: {}", value, entry.error().message));
      } else if (key == "mdev") {
        flag(mapping.mdev, mapping.mdev_given, key, value);
      } else if (key == "live-migration-capable") {
        flag(mapping.live_migration_capable, mapping.live_given, key, value);
      } else if (key == "description") {
        if (value.empty() || value.size() > longest_description)
          warn("its description is empty or too long");
        else if (described)
          warn("description is there twice: the first counts");
        else
          mapping.description = value, described = true;
      } else {
        warn(fmt::format("unknown key '{}'", key));
      }
    }
    if (mapping.entries.empty()) {
      warn("it has no valid map entry: Proxmox VE hides it and refuses every write to pci.cfg until the file is corrected by hand");
      out.poisoned.push_back(section.id);
    } else {
      out.mappings.push_back(std::move(mapping));
    }
  }
  return out;
}

std::string without_poison(std::string_view text, std::string* removed) {
  std::string out(text);
  // Taking out the last of two sections of one name brings back the one before it, which may be poisoned too.
  while (true) {
    const std::vector<std::string> poisoned = parse_pci_mappings(out).poisoned;
    if (poisoned.empty()) return out;
    const std::vector<ConfigSection> sections = parse_section_config(out).sections;
    for (auto section = sections.rbegin(); section != sections.rend(); ++section) {
      if (std::find(poisoned.begin(), poisoned.end(), section->id) == poisoned.end()) continue;
      if (removed) removed->insert(0, out, section->begin, section->end - section->begin);
      out.erase(section->begin, section->end - section->begin);
    }
  }
}

}  // namespace pvegpu::text
