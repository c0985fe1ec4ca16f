// SPDX-License-Identifier: MIT
// Kernel command lines.
#include "common/text/kernel_cmdline.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {

TEST(KernelCmdline, TakesTokensApartAsTheKernelDoes) {
  const auto all =
      parse_kernel_cmdline("BOOT_IMAGE=/vmlinuz root=ZFS=rpool/ROOT/pve-1 ro quiet dyndbg=\"file a.c +p\" \"x=1 2\" -- init_arg\n");
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[1].key, "root");
  EXPECT_EQ(all[1].value, "ZFS=rpool/ROOT/pve-1");
  EXPECT_EQ(all[3].value, std::nullopt);
  EXPECT_EQ(all[4].value, "file a.c +p");
  EXPECT_EQ(all[5].key, "x");
  EXPECT_EQ(all[5].value, "1 2");
}

TEST(KernelCmdline, KeysDifferingInDashesAreTheSame) {
  EXPECT_TRUE(*parse_kernel_parameter("vfio-pci.ids=1") == *parse_kernel_parameter("vfio_pci.ids=1"));
  EXPECT_FALSE(*parse_kernel_parameter("iommu=pt") == *parse_kernel_parameter("iommu"));
  EXPECT_FALSE(*parse_kernel_parameter("vfioXpci.ids=1") == *parse_kernel_parameter("vfio.pci.ids=1"));
}

TEST(KernelCmdline, OneParameterOnly) {
  EXPECT_FALSE(parse_kernel_parameter(""));
  EXPECT_FALSE(parse_kernel_parameter("a b"));
  EXPECT_FALSE(parse_kernel_parameter("a=\"b"));
  EXPECT_FALSE(parse_kernel_parameter("a\nb"));
  EXPECT_FALSE(parse_kernel_parameter("=x"));
  EXPECT_FALSE(parse_kernel_parameter("--"));
  EXPECT_EQ(parse_kernel_parameter("a=\"b c\"")->print(), "a=\"b c\"");
  EXPECT_EQ(parse_kernel_parameter("\"a=b c\"")->print(), "a=\"b c\"");
  EXPECT_EQ(parse_kernel_parameter("a=b\"c d\"")->print(), "a=b\"c d\"") << "quotes within a value are part of it";
  EXPECT_FALSE(parse_kernel_parameter("\"a b\"")) << "a key with a blank can't be written so that it reads back";
}

TEST(KernelCmdline, AddsAndTakesBack) {
  const std::vector<KernelParameter> ours = {*parse_kernel_parameter("intel_iommu=on"), *parse_kernel_parameter("iommu=pt")};
  for (const std::string line : {"quiet", "", "root=UUID=1 ro  quiet", "root=UUID=1 quiet\n", "quiet -- x", "  quiet "}) {
    const std::string with = with_parameters(line, ours);
    EXPECT_EQ(without_parameters(with, ours), line) << "'" << with << "'";
  }
  EXPECT_EQ(with_parameters("quiet -- x", ours), "quiet intel_iommu=on iommu=pt -- x");
  EXPECT_EQ(with_parameters("quiet\n", ours), "quiet intel_iommu=on iommu=pt\n");
  EXPECT_EQ(without_parameters("intel_iommu=on quiet iommu=pt iommu=pt splash", ours), "quiet splash");
  EXPECT_EQ(without_parameters("quiet intel_iommu=off", ours), "quiet intel_iommu=off");
}

}  // namespace pvegpu::text
