// SPDX-License-Identifier: MIT
// /etc/pve/mapping/pci.cfg: what Proxmox VE takes, warns about and hides.
#include "common/text/pci_mapping.hpp"
#include "common/text/section_config.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

TEST(PciMappings, as_proxmox_writes_them) {
  const auto [mappings, warnings, comments, poisoned] = parse_pci_mappings(
      "a2000\n"
      "\tmap id=10de:2531,iommugroup=31,node=pve1,path=0000:81:00.4,subsystem-id=10de:151d\n"
      "\tmap id=10de:2531,iommugroup=32,node=pve1,path=0000:81:00.5,subsystem-id=10de:151d\n"
      "\tdescription RTX A2000, two of them\n"
      "\tlive-migration-capable 1\n"
      "\tmdev 1\n\n"
      "whole\n"
      "\tmap id=10de:2484,node=pve2,path=0000:01:00\n\n");
  EXPECT_TRUE(warnings.empty() && comments.empty() && poisoned.empty());
  ASSERT_EQ(mappings.size(), 2u);
  EXPECT_EQ(mappings[0].id, "a2000");
  EXPECT_EQ(mappings[0].description, "RTX A2000, two of them");
  EXPECT_TRUE(mappings[0].mdev && mappings[0].live_migration_capable);
  ASSERT_EQ(mappings[0].entries.size(), 2u);
  const PciMapEntry& entry = mappings[0].entries[1];
  EXPECT_EQ(entry.node, "pve1");
  EXPECT_EQ(entry.members[0].str(), "0000:81:00.5");
  EXPECT_EQ(entry.id, "10de:2531");
  EXPECT_EQ(entry.subsystem_id, "10de:151d");
  EXPECT_EQ(entry.iommu_group, 32);
  EXPECT_FALSE(mappings[1].mdev);
  EXPECT_EQ(mappings[1].entries[0].members[0].str(), "0000:01:00");
  EXPECT_FALSE(mappings[1].entries[0].iommu_group);
}

TEST(PciMappings, a_section_ends_at_an_empty_line_only) {
  const auto config = parse_section_config("one\n\tmap a\ntwo\n\tmap b\n \n\tmap c\n\nthree\n\tmdev\n");
  ASSERT_EQ(config.sections.size(), 2u);
  EXPECT_EQ(config.sections[0].lines.size(), 3u) << "the header 'two' is ignored, its lines belong to 'one'";
  EXPECT_EQ(config.sections[1].id, "three");
  EXPECT_EQ(config.sections[1].lines[0], (std::pair<std::string, std::string>{"mdev", ""}));
  EXPECT_EQ(config.warnings, (std::vector<std::string>{"line 3: 'two' is ignored", "line 5: ' ' is ignored"}));
}

TEST(PciMappings, a_line_of_blanks_is_no_section) {
  const auto config = parse_section_config("\r\none\n\tmap a\n");
  ASSERT_EQ(config.sections.size(), 1u);
  EXPECT_EQ(config.sections[0].id, "one");
  EXPECT_EQ(config.warnings.size(), 1u);
}

TEST(PciMappings, comments_and_repeated_sections) {
  const auto config = parse_section_config("# note\none\n  # note\n\tmap a\n\none\n\tmap b\n");
  ASSERT_EQ(config.sections.size(), 1u);
  EXPECT_EQ(config.sections[0].lines[0].second, "b");
  EXPECT_EQ(config.warnings.size(), 1u);
}

TEST(PciMappings, invalid_entries_are_dropped_and_a_section_without_any_is_hidden) {
  const auto [mappings, warnings, comments, poisoned] = parse_pci_mappings(
      "gpu\n"
      "\tmap node=pve1,path=0000:81:00.0\n"
      "\tmap id=10de:2531,node=pve1,path=somewhere\n"
      "\tmap id=10de:2531,node=pve1,path=0000:81:00.0,color=red\n"
      "\tmap id=10de:2531,node=pve1,path=0000:81:00.0,iommugroup=x\n"
      "\tmap id=10de:2531,node=pve1,node=pve2,path=0000:81:00.0\n"
      "\tmap id=10de:2531,node=pve1,path=0000:81:00.0;0000:81:00.1\n"
      "\tmdev yes\n"
      "\tcolor red\n\n"
      "poisoned\n"
      "\tmap nothing\n\n");
  ASSERT_EQ(mappings.size(), 1u);
  ASSERT_EQ(mappings[0].entries.size(), 1u);
  EXPECT_EQ(mappings[0].entries[0].members.size(), 2u);
  EXPECT_FALSE(mappings[0].mdev);
  EXPECT_TRUE(comments.empty());
  EXPECT_EQ(poisoned, std::vector<std::string>{"poisoned"});
  EXPECT_EQ(warnings.size(), 9u);
  EXPECT_EQ(warnings.back(),
            "mapping 'poisoned': it has no valid map entry: Proxmox VE hides it and refuses every write to pci.cfg until the file is "
            "corrected by hand");
}

}  // namespace
}  // namespace pvegpu::text
