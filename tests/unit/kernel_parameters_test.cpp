// SPDX-License-Identifier: MIT
// What a command line comes to.
#include "common/text/kernel_parameters.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

bool comes_to(const char* line, const char* wish) {
  const auto wanted = parse_kernel_cmdline(wish);
  const auto all = parse_kernel_cmdline(line);
  bool out = true;
  for (const KernelParameter& p : wanted) out = out && in_force(all, p);
  return out;
}

std::string contradicts(const char* line, const char* wish) {
  std::string out;
  for (const KernelParameter& p : parse_kernel_cmdline(wish))
    for (const KernelParameter& word : against(parse_kernel_cmdline(line), p)) out += (out.empty() ? "" : " ") + word.print();
  return out;
}

}  // namespace

TEST(KernelParameters, TheLastWordCounts) {
  EXPECT_TRUE(comes_to("mitigations=off mitigations=auto", "mitigations=auto"));
  EXPECT_FALSE(comes_to("mitigations=auto mitigations=off", "mitigations=auto"));
  EXPECT_EQ(contradicts("mitigations=auto mitigations=off", "mitigations=auto"), "mitigations=off");
  EXPECT_EQ(contradicts("mitigations=off mitigations=auto", "mitigations=auto"), "");
  EXPECT_FALSE(comes_to("intel_iommu=on intel_iommu=off", "intel_iommu=on"));
  EXPECT_TRUE(comes_to("intel_iommu=off intel_iommu=on", "intel_iommu=on"));
  EXPECT_TRUE(comes_to("console=tty0 console=ttyS0,115200", "console=tty0"));
  EXPECT_EQ(contradicts("console=tty0 video=efifb:off", "console=ttyS0 video=vesafb:off"), "");
}

TEST(KernelParameters, OptionsOfAListCountOneByOne) {
  for (const char* line :
       {"intel_iommu=on,relax_rmrr", "intel_iommu=on,igfx_off", "intel_iommu=on,sm_on", "intel_iommu=sm_on intel_iommu=on"}) {
    EXPECT_TRUE(comes_to(line, "intel_iommu=on")) << line;
    EXPECT_EQ(contradicts(line, "intel_iommu=on"), "") << line;
  }
  EXPECT_EQ(contradicts("intel_iommu=off,igfx_off", "intel_iommu=on"), "intel_iommu=off,igfx_off");
  EXPECT_EQ(contradicts("intel_iommu=on,off", "intel_iommu=on"), "intel_iommu=on,off");
  EXPECT_EQ(contradicts("intel_iommu=igfx_off", "intel_iommu=on"), "");
  EXPECT_TRUE(comes_to("iommu=pt,force", "iommu=pt"));
  EXPECT_TRUE(comes_to("iommu=force iommu=pt", "iommu=pt"));
  EXPECT_EQ(contradicts("iommu=soft", "iommu=pt"), "");
  EXPECT_EQ(contradicts("iommu=nopt", "iommu=pt"), "iommu=nopt");
  EXPECT_EQ(contradicts("iommu=off", "iommu=pt"), "iommu=off");
  EXPECT_FALSE(comes_to("amd_iommu=off amd_iommu=on", "amd_iommu=force_enable"));
  EXPECT_EQ(contradicts("pci=noaer,realloc=off", "pci=nommconf,realloc=on"), "pci=noaer,realloc=off");
  EXPECT_TRUE(comes_to("pci=noaer,nommconf", "pci=nommconf"));

  const auto all = parse_kernel_cmdline("iommu=pt,off intel_iommu=off intel_iommu=on");
  EXPECT_EQ(saying(all, {"iommu", "off"}).size(), 1u);
  EXPECT_EQ(saying(all, {"intel_iommu", "off"}).size(), 0u);
  EXPECT_EQ(reconciled({"intel_iommu", "off,relax_rmrr"}, {"intel_iommu", "on"})->print(), "intel_iommu=relax_rmrr");
  EXPECT_EQ(reconciled({"intel_iommu", "off"}, {"intel_iommu", "on"}), std::nullopt);
  EXPECT_EQ(without({"iommu", "pt,force"}, {"iommu", "pt"})->print(), "iommu=force");
  EXPECT_EQ(without({"quiet", std::nullopt}, {"iommu", "pt"})->print(), "quiet");
}

TEST(KernelParameters, ListsOfThings) {
  EXPECT_TRUE(comes_to("vfio-pci.ids=10de:1b06,10de:10ef", "vfio_pci.ids=10de:10ef"));
  EXPECT_EQ(contradicts("vfio-pci.ids=10de:1b06", "vfio-pci.ids=10de:10ef"), "vfio-pci.ids=10de:1b06");
  EXPECT_EQ(contradicts("module_blacklist=nouveau", "module_blacklist=nouveau,xe"), "") << "the later one has both";
  EXPECT_FALSE(comes_to("module_blacklist=xe module_blacklist=nouveau", "module_blacklist=xe"));
  EXPECT_TRUE(comes_to("modprobe.blacklist=xe modprobe.blacklist=nouveau,radeon", "modprobe.blacklist=nouveau,xe"));
  EXPECT_EQ(without({"module_blacklist", "nouveau,xe"}, {"module_blacklist", "xe"})->print(), "module_blacklist=nouveau,xe");
}

TEST(KernelParameters, HugePagesArePairs) {
  const char* pairs = "default_hugepagesz=2MB hugepagesz=1G hugepages=16 hugepagesz=2M hugepages=2048";
  EXPECT_TRUE(comes_to(pairs, "hugepagesz=1024M hugepages=16"));
  EXPECT_TRUE(comes_to(pairs, "hugepages=2048")) << "of the default size";
  EXPECT_FALSE(comes_to(pairs, "hugepagesz=1G hugepages=2048"));
  EXPECT_EQ(contradicts(pairs, "hugepagesz=1G hugepages=64"), "hugepages=16 hugepagesz=1G");
  EXPECT_EQ(contradicts("hugepagesz=1G quiet", "hugepagesz=1G hugepages=64"), "hugepagesz=1G") << "it is taken once";
  EXPECT_EQ(contradicts("hugepagesz=2M hugepages=8", "hugepagesz=1G hugepages=64"), "");
  EXPECT_EQ(without_parameters(pairs, parse_kernel_cmdline("hugepagesz=1G hugepages=16")),
            "default_hugepagesz=2MB hugepagesz=2M hugepages=2048");
}

TEST(KernelParameters, WhatMountsTheRoot) {
  for (const char* word :
       {"root=ZFS=rpool/ROOT/pve-1", "boot=zfs", "rootflags=subvol=x", "rd.luks.uuid=1", "cryptdevice=a:b", "ip=dhcp", "nfsroot=1:/x"})
    EXPECT_TRUE(mounts_root(*parse_kernel_parameter(word))) << word;
  for (const char* word : {"quiet", "iommu=pt", "rd.driver.blacklist=nouveau"})
    EXPECT_FALSE(mounts_root(*parse_kernel_parameter(word))) << word;
}

}  // namespace pvegpu::text
