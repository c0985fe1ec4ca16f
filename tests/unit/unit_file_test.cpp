// SPDX-License-Identifier: MIT
#include "common/text/unit_file.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

TEST(UnitFile, reads_settings_with_their_lines) {
  const auto settings =
      parse_unit_file("[Unit]\nAfter = a.service \\\n# told in between\n  b.service\n\n; no setting\n[Service]\nExecStart=/bin/x a=b\n");
  ASSERT_EQ(settings.size(), 2u);
  EXPECT_EQ(settings[0].section, "Unit");
  EXPECT_EQ(settings[0].key, "After");
  EXPECT_EQ(settings[0].value, "a.service  b.service");
  EXPECT_EQ(settings[0].line, 2);
  EXPECT_EQ(settings[1].value, "/bin/x a=b");
  EXPECT_EQ(settings[1].line, 8);
}

TEST(UnitFile, an_empty_assignment_forgets) {
  const auto settings = parse_unit_file("[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\n[Unit]\nExecStart=/c\n");
  EXPECT_EQ(unit_values(settings, "Service", "ExecStart"), std::vector<std::string>{"/b"});
  EXPECT_TRUE(unit_values(settings, "Service", "ExecStop").empty());
}

TEST(UnitFile, takes_what_is_no_unit_file) {
  EXPECT_TRUE(parse_unit_file("").empty());
  EXPECT_TRUE(parse_unit_file("[\n]\nword\n\\").empty());
}

TEST(UnitFile, names_instances) {
  EXPECT_EQ(unit_instance("pve-nvidia-sriov@0000:41:00.0.service"), "0000:41:00.0");
  EXPECT_EQ(unit_instance("pve-nvidia-sriov@ALL.service"), "ALL");
  EXPECT_EQ(unit_instance("pve-nvidia-sriov@.service"), "");
  EXPECT_EQ(unit_instance("sriov.service"), "");
}

}  // namespace
}  // namespace pvegpu::text
