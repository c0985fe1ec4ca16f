// SPDX-License-Identifier: MIT
// GRUB's defaults.
#include "common/text/grub_defaults.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {

TEST(GrubDefaults, OurDropInReadsBack) {
  const std::vector<KernelParameter> all = {{"intel_iommu", "on"}, {"dyndbg", "file a.c +p"}, {"odd", "a$b\\c`d"}, {"quiet", std::nullopt}};
  const std::string file = print_grub_dropin(all);
  EXPECT_EQ(parse_grub_dropin(file), all);
  EXPECT_NE(file.find("dyndbg=\\\"file a.c +p\\\""), file.npos) << file;
  EXPECT_TRUE(parse_grub_dropin("GRUB_CMDLINE_LINUX=\"quiet\"\n").empty());
}

TEST(GrubDefaults, TakesAParameterOutOfPlainAssignments) {
  const std::string file =
      "# intel_iommu=off\nGRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=off\" # mine\n"
      "export GRUB_CMDLINE_LINUX='intel_iommu=off console=ttyS0'";
  const KernelParameter off{"intel_iommu", "off"};
  EXPECT_EQ(grub_line_with(file, off), 3u);
  EXPECT_EQ(grub_line_with(file, {"console", "ttyS0"}), 4u);
  EXPECT_EQ(grub_line_with(file, {"iommu", "pt"}), 0u);
  EXPECT_EQ(without_grub_parameters(file, {off}),
            "# intel_iommu=off\nGRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\" # mine\nexport GRUB_CMDLINE_LINUX='console=ttyS0'");
  EXPECT_EQ(without_grub_parameters(file, {}), file);
}

}  // namespace pvegpu::text
