// SPDX-License-Identifier: MIT
// What keeps a kernel module from being loaded.
#include "common/host/module_block.hpp"

#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

std::string words(std::string_view cmdline, std::string_view module) {
  std::string out;
  for (const auto& word : blocking_words(cmdline, module)) out += word.print() + " ";
  return out;
}

TEST(ModuleBlock, WordsOfTheCommandLine) {
  EXPECT_EQ(words("quiet module_blacklist=xe", "xe"), "module_blacklist=xe ");
  EXPECT_EQ(words("module-blacklist=nouveau,xe,i915", "xe"), "module-blacklist=nouveau,xe,i915 ");
  EXPECT_EQ(words("module_blacklist=xe module_blacklist=nouveau", "xe"), "") << "the kernel takes the last one only";
  EXPECT_EQ(words("modprobe.blacklist=xe modprobe.blacklist=nouveau", "xe"), "modprobe.blacklist=xe ") << "these add up";
  EXPECT_EQ(words("modprobe.blacklist=vfio-pci", "vfio_pci"), "modprobe.blacklist=vfio-pci ");
  EXPECT_EQ(words("module_blacklist=vfio-pci", "vfio-pci"), "") << "the kernel compares the exact name";
  EXPECT_EQ(words("module_blacklist=xe_extra,x", "xe"), "");
  EXPECT_EQ(words("nomodeset", "i915"), "nomodeset ");
  EXPECT_EQ(words("nomodeset", "nvidia"), "");
  EXPECT_EQ(words("initcall_blacklist=xe -- module_blacklist=xe", "xe"), "");
}

TEST(ModuleBlock, ListsWithoutOneName) {
  EXPECT_EQ(without_module({"module_blacklist", "nouveau,xe"}, "xe")->print(), "module_blacklist=nouveau");
  EXPECT_EQ(without_module({"modprobe.blacklist", "a,vfio-pci,b"}, "vfio_pci")->print(), "modprobe.blacklist=a,b");
  EXPECT_FALSE(without_module({"module_blacklist", "xe"}, "xe"));
  EXPECT_FALSE(without_module({"nomodeset", std::nullopt}, "xe"));
}

TEST(ModuleBlock, LinesOfModprobe) {
  FakeHost host;
  host.file("/etc/modprobe.d/a.conf", "# blacklist i915\n\nblacklist nouveau\n  blacklist   i915 # why\ninstall xe /usr/bin/false\n");
  host.file("/etc/modprobe.d/a.conf.dpkg-old", "blacklist nvidia\n");
  host.file("/usr/lib/modprobe.d/a.conf", "blacklist nvidia\n");
  host.file("/usr/lib/modprobe.d/b.conf", "install nvidia /sbin/modprobe --ignore-install nvidia\ninstall vfio-pci /bin/true\n");
  const auto all = read_module_blocks(host, {});
  const auto of = [&](const char* module, bool by_name = false) {
    const auto blocks = blocks_of(all, module, by_name);
    return blocks.empty() ? std::string() : blocks[0].where;
  };
  EXPECT_EQ(of("i915"), "/etc/modprobe.d/a.conf line 4");
  EXPECT_EQ(of("i915", true), "") << "modprobe i915 loads it all the same";
  EXPECT_EQ(of("xe", true), "/etc/modprobe.d/a.conf line 5");
  EXPECT_EQ(of("nvidia"), "") << "hidden by the file of that name in /etc, or no .conf";
  EXPECT_EQ(of("vfio_pci", true), "/usr/lib/modprobe.d/b.conf line 2");
}

TEST(ModuleBlock, OnlyWhatAFileStillSaysIsRefused) {
  FakeHost host;
  host.file("/proc/cmdline", "root=/dev/sda1 module_blacklist=xe\n").file("/etc/kernel/cmdline", "root=/dev/sda1 quiet\n");
  BootFacts boot;
  boot.cmdline = "root=/dev/sda1 module_blacklist=xe";
  boot.loader = LoaderKind::systemd_boot;
  EXPECT_EQ(judge_blocks(host, boot, "xe", false).refusal, "");
  EXPECT_NE(judge_blocks(host, boot, "xe", false).wait, "");
  host.file("/etc/kernel/cmdline", "root=/dev/sda1 module_blacklist=xe\n");
  EXPECT_NE(judge_blocks(host, boot, "xe", false).refusal.find("'module_blacklist=xe'"), std::string::npos);
  EXPECT_EQ(judge_blocks(host, boot, "xe", false).wait, "");
  boot.cmdline = "quiet";
  host.file("/etc/kernel/cmdline", "root=/dev/sda1\n").file("/etc/modprobe.d/x.conf", "blacklist xe\n");
  EXPECT_NE(judge_blocks(host, boot, "xe", true).doubt, "") << "something loads it by its name";
  EXPECT_EQ(judge_blocks(host, boot, "xe", true).refusal, "");
}

}  // namespace
}  // namespace pvegpu
