// SPDX-License-Identifier: MIT
#include "common/driver/i915.hpp"

#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::driver {
namespace {

using Kind = I915File::Kind;

TEST(I915FileName, says_what_it_is) {
  const auto read = [](const char* path) {
    const I915File file = parse_i915_file(path);
    return std::pair(file.kind, file.version);
  };
  EXPECT_EQ(read("/root/i915-sriov-dkms_2025.07.22_amd64.deb"), std::pair(Kind::package, std::string("2025.07.22")));
  EXPECT_EQ(read("i915-sriov-dkms_2025.10.09-2_amd64.deb"), std::pair(Kind::package, std::string("2025.10.09-2")));
  EXPECT_EQ(read("i915-sriov-dkms-intel-lts-v6.1.tar.gz"), std::pair(Kind::source, std::string("intel-lts-v6.1")));
  EXPECT_EQ(read("i915-sriov-dkms-2025.07.22.tgz"), std::pair(Kind::source, std::string("2025.07.22")));
  for (const char* other :
       {"", "i915-sriov-dkms_amd64.deb", "i915-sriov-dkms__amd64.deb", "i915-sriov-dkms_2025.07.22_arm64.deb", "v2025.07.22.tar.gz",
        "i915-sriov-dkms-2025.07.22.zip", "i915-sriov-dkms_1;rm_amd64.deb", "i915-sriov-dkms-a/b.tar.gz"})
    EXPECT_EQ(read(other).first, Kind::other) << other;
}

TEST(ModuleBlacklist, is_one_list) {
  const auto print = [](const char* cmdline) { return blacklisted(cmdline, "xe", "i915").print(); };
  EXPECT_EQ(print("quiet"), "module_blacklist=xe");
  EXPECT_EQ(print("quiet module_blacklist=nouveau"), "module_blacklist=nouveau,xe");
  EXPECT_EQ(print("module_blacklist=xe,nouveau quiet"), "module_blacklist=xe,nouveau");
  EXPECT_EQ(print("module_blacklist=nouveau module_blacklist=radeon"), "module_blacklist=radeon,xe");  // the kernel takes the last one
  EXPECT_EQ(print("module_blacklist=i915"), "module_blacklist=xe");
  EXPECT_EQ(print("module_blacklist= quiet"), "module_blacklist=xe");
}

TEST(I915Installed, is_one_word) {
  FakeHost host;
  host.dir("/lib/modules/6.8.12-4-pve");
  EXPECT_EQ(installed_i915(host), std::nullopt);
  host.file("/usr/src/i915-sriov-dkms-2025.07.22/dkms.conf", "");
  EXPECT_EQ(installed_i915(host), "2025.07.22 (not in DKMS)");
  host.dir("/var/lib/dkms/i915-sriov-dkms/2025.07.22");
  EXPECT_EQ(installed_i915(host), "2025.07.22");
  EXPECT_EQ(dkms_installed(host, i915_package, "6.8.12-4-pve"), std::nullopt);
  host.link("/var/lib/dkms/i915-sriov-dkms/kernel-6.8.12-4-pve-x86_64", "2025.07.22/6.8.12-4-pve/x86_64");
  EXPECT_EQ(dkms_installed(host, i915_package, "6.8.12-4-pve"), "2025.07.22");
  host.file("/usr/src/i915-sriov-dkms-2025.01.22/dkms.conf", "");
  EXPECT_EQ(installed_i915(host), "2025.01.22, 2025.07.22 (several versions)");
  host.file("/var/lib/pve-gpu/i915_sriov_driver/driver.json", R"({"version": "2025.07.22", "file": "", "complete": false})");
  EXPECT_EQ(installed_i915(host), "2025.07.22 (half installed)");
}

}  // namespace
}  // namespace pvegpu::driver
