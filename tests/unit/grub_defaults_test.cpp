// SPDX-License-Identifier: MIT
// GRUB's defaults.
#include "common/text/grub_defaults.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

std::string without(const std::string& file, const KernelParameter& drop) {
  return edit_grub_parameters(file, [&](const KernelParameter& p) { return p == drop ? std::nullopt : std::optional<KernelParameter>(p); });
}

}  // namespace

TEST(GrubDefaults, OurDropInReadsBack) {
  const std::vector<KernelParameter> all = {
      {"intel_iommu", "on"}, {"dyndbg", "file a.c +p"}, {"memmap", "1G$4G"}, {"odd", "a;b`c"}, {"quiet", std::nullopt}};
  const std::string file = print_grub_dropin(all, "kernel_cmdline");
  EXPECT_EQ(parse_grub_dropin(file).parameters, all) << file;
  EXPECT_EQ(parse_grub_dropin(file).foreign, "");
  EXPECT_NE(file.find(" memmap=1G\\\\\\$4G odd=a\\\\;b\\`c quiet\"  # pve.gpu\n"), file.npos) << file;
  EXPECT_EQ(print_grub_dropin(all, "kernel_cmdline", file), file);
  EXPECT_FALSE(parse_grub_dropin("GRUB_CMDLINE_LINUX=\"quiet\"\n").has_ours);
}

TEST(GrubDefaults, LinesOfOthersInOurDropInStay) {
  const std::string ours = print_grub_dropin({{"iommu", "pt"}}, "iommu");
  const std::string theirs = "# mine\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT nomodeset\"\n";
  const GrubDropin both = parse_grub_dropin("GRUB_TIMEOUT=1\n" + ours + theirs);
  EXPECT_EQ(both.parameters, (std::vector<KernelParameter>{{"iommu", "pt"}}));
  EXPECT_EQ(both.foreign, "GRUB_TIMEOUT=1\n" + theirs);
  const std::string changed = print_grub_dropin({{"quiet", std::nullopt}}, "iommu", "GRUB_TIMEOUT=1\n" + ours + theirs);
  EXPECT_EQ(changed, "GRUB_TIMEOUT=1\n" + print_grub_dropin({{"quiet", std::nullopt}}, "iommu") + theirs);
  EXPECT_EQ(print_grub_dropin({{"iommu", "pt"}}, "iommu", "# mine"), "# mine\n" + ours);
  EXPECT_FALSE(parse_grub_dropin("GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT a\"; b=\"  # pve.gpu\n").has_ours)
      << "a line that ends earlier is not ours any more";
}

TEST(GrubDefaults, TheDropInOfEarlierVersionsIsOurs) {
  const std::string head = "# Made by pve.gpu; `state: absent` takes it back.\n";
  const GrubDropin old =
      parse_grub_dropin(head + "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT memmap=1G\\$4G a=\\\"b c\\\"\"\n# theirs\n");
  EXPECT_EQ(old.parameters, (std::vector<KernelParameter>{{"memmap", "1G$4G"}, {"a", "b c"}})) << "it was written for the kernel";
  EXPECT_EQ(old.foreign, "# theirs\n");
}

TEST(GrubDefaults, TakesAParameterOutOfPlainAssignments) {
  const std::string file =
      "# intel_iommu=off\nGRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=off\" # mine\n"
      "export GRUB_CMDLINE_LINUX='intel_iommu=off console=ttyS0'";
  const KernelParameter off{"intel_iommu", "off"};
  EXPECT_EQ(grub_line_with(file, off), 3u);
  EXPECT_EQ(grub_line_with(file, {"console", "ttyS0"}), 4u);
  EXPECT_EQ(grub_line_with(file, {"iommu", "pt"}), 0u);
  EXPECT_EQ(grub_assignment_line(file), 3u);
  EXPECT_EQ(without(file, off),
            "# intel_iommu=off\nGRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\" # mine\nexport GRUB_CMDLINE_LINUX='console=ttyS0'");
  EXPECT_EQ(without(file, {"quiet", "1"}), file);
}

TEST(GrubDefaults, WordsOfOthersAreReadInGrubsLanguage) {
  const std::string file = "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet memmap=1G\\\\\\$4G a=\\\"b c\\\" $MORE x=1\"\nGRUB_CMDLINE_LINUX=iommu=pt\n";
  EXPECT_EQ(grub_line_with(file, {"memmap", "1G$4G"}), 1u);
  EXPECT_EQ(grub_line_with(file, {"iommu", "pt"}), 2u);
  EXPECT_EQ(without(file, {"a", "b c"}),
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet memmap=1G\\\\\\$4G $MORE x=1\"\nGRUB_CMDLINE_LINUX=iommu=pt\n");
  EXPECT_EQ(without(file, {"iommu", "pt"}),
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet memmap=1G\\\\\\$4G a=\\\"b c\\\" $MORE x=1\"\nGRUB_CMDLINE_LINUX=\n");
  EXPECT_EQ(edit_grub_parameters(file,
                                 [](const KernelParameter& p) {
                                   return std::optional<KernelParameter>(p.key == "x" ? KernelParameter{"x", "a;b"} : p);
                                 }),
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet memmap=1G\\\\\\$4G a=\\\"b c\\\" $MORE x=a\\\\;b\"\nGRUB_CMDLINE_LINUX=iommu=pt\n");
  const std::string lines = "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\nsplash\"\n";
  EXPECT_EQ(grub_assignment_line(lines), 1u);
  EXPECT_EQ(grub_broken_line("GRUB_DEFAULT=0\n" + lines + "GRUB_CMDLINE_LINUX=\"\"\n"), 2u);
  EXPECT_EQ(grub_broken_line("GRUB_CMDLINE_LINUX=\"x=1;y\"\nGRUB_CMDLINE_LINUX_DEFAULT=quiet\n"), 1u);
  EXPECT_EQ(without(lines, {"quiet", std::nullopt}), lines) << "not plain";
}

}  // namespace pvegpu::text
