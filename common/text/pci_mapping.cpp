// SPDX-License-Identifier: MIT
// PCI resource mappings.
#include "common/text/pci_mapping.hpp"

#include "common/text/property_string.hpp"
#include "common/text/section_config.hpp"
#include "common/text/strings.hpp"

#include <charconv>

namespace pvegpu::text {
namespace {

Result<PciMapEntry> parse_entry(std::string_view text) {
  const Properties properties = PVEGPU_TRY(parse_property_string(text));
  PciMapEntry out;
  for (const char* key : {"node", "path", "id"})
    if (!properties.find(key)) return Error{fmt::format("'{}' is missing", key)};
  for (const auto& [key, value] : properties.pairs()) {
    if (key == "node") {
      out.node = value;
    } else if (key == "path") {
      for (const std::string& member : split(value, ';')) out.members.push_back(PVEGPU_TRY(parse_pci_address(member)));
    } else if (key == "id") {
      out.id = value;
    } else if (key == "subsystem-id") {
      out.subsystem_id = value;
    } else if (key == "iommugroup") {
      std::int64_t group = 0;
      const auto number = std::from_chars(value.data(), value.data() + value.size(), group);
      if (number.ec != std::errc() || number.ptr != value.data() + value.size())
        return Error{fmt::format("iommugroup '{}' is no number", value)};
      out.iommu_group = group;
    } else if (key != "description") {
      return Error{fmt::format("'{}' is no key of a map entry", key)};
    }
  }
  return out;
}

}  // namespace

PciMappings parse_pci_mappings(std::string_view text) {
  SectionConfig config = parse_section_config(text);
  PciMappings out{{}, std::move(config.warnings)};
  for (const ConfigSection& section : config.sections) {
    PciMapping mapping;
    mapping.id = section.id;
    const auto warn = [&](const std::string& what) { out.warnings.push_back(fmt::format("mapping '{}': {}", section.id, what)); };
    const auto flag = [&](bool& member, const std::string& key, const std::string& value) {
      // In the file only 0, 1 and the bare key are taken; on the command line Proxmox VE knows more spellings.
      if (value == "0" || value == "1" || value.empty())
        member = value != "0";
      else
        warn(fmt::format("{} '{}' is neither 0 nor 1", key, value));
    };
    for (const auto& [key, value] : section.lines) {
      if (key == "map") {
        if (auto entry = parse_entry(value))
          mapping.entries.push_back(*std::move(entry));
        else
          warn(fmt::format("the entry '{}' is invalid: {}", value, entry.error().message));
      } else if (key == "mdev") {
        flag(mapping.mdev, key, value);
      } else if (key == "live-migration-capable") {
        flag(mapping.live_migration_capable, key, value);
      } else if (key == "description") {
        mapping.description = value;
      } else {
        warn(fmt::format("unknown key '{}'", key));
      }
    }
    if (mapping.entries.empty())
      warn("it has no valid map entry: Proxmox VE hides it and refuses every write to pci.cfg until the file is corrected by hand");
    else
      out.mappings.push_back(std::move(mapping));
  }
  return out;
}

}  // namespace pvegpu::text
