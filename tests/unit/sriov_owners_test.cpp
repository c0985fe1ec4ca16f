// SPDX-License-Identifier: MIT
#include "common/sriov/owners.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::gpu {
namespace {

constexpr const char* manage = "/usr/lib/nvidia/sriov-manage";

FakeHost with_unit(const std::string& name, const std::string& text, const std::string& enabled = {}) {
  FakeHost host;
  host.file("/etc/systemd/system/" + name, text);
  host.link("/etc/systemd/system/multi-user.target.wants/" + (enabled.empty() ? name : enabled), "../" + name);
  return host;
}

std::vector<BootOwner> find(const FakeHost& host) { return find_boot_owners(host, "pve-gpu.conf"); }

TEST(SriovOwners, a_unit_of_a_guide) {
  const auto owners =
      find(with_unit("sriov.service", fmt::format("[Service]\nType=simple\nExecStartPre=/bin/sleep 5\nExecStart={} -e ALL\n", manage)));
  ASSERT_EQ(owners.size(), 1u);
  EXPECT_EQ(owners[0].kind, BootOwner::Kind::guide);
  EXPECT_TRUE(owners[0].all_nvidia);
  EXPECT_TRUE(owners[0].may_concern("0000:41:00.0", true));
  EXPECT_FALSE(owners[0].may_concern("0000:00:02.0", false));
}

TEST(SriovOwners, an_address_in_any_spelling) {
  const auto owners = find(with_unit("x.service", fmt::format("[Service]\nExecStart={} -e AF:00.0\n", manage)));
  ASSERT_EQ(owners.size(), 1u);
  EXPECT_EQ(owners[0].cards, std::vector<std::string>{"0000:af:00.0"});
  EXPECT_FALSE(owners[0].may_concern("0000:41:00.0", true));
}

TEST(SriovOwners, a_unit_that_does_more_is_none_of_a_guide) {
  const auto owners =
      find(with_unit("x.service", "[Service]\nExecStart=/bin/sh -c 'echo 7 > /sys/devices/pci0000:00/0000:00:02.0/sriov_numvfs; other'\n"));
  ASSERT_EQ(owners.size(), 1u);
  EXPECT_EQ(owners[0].kind, BootOwner::Kind::unit);
  EXPECT_EQ(owners[0].cards, std::vector<std::string>{"0000:00:02.0"});
}

TEST(SriovOwners, a_script_behind_a_unit) {
  FakeHost host = with_unit("x.service", "[Service]\nExecStart=-/usr/local/bin/sr-iov.sh\n");
  EXPECT_TRUE(find(host).empty());
  host.file("/usr/local/bin/sr-iov.sh", "#!/bin/sh\necho 4 > /sys/bus/pci/devices/0000:00:02.0/sriov_numvfs\n");
  ASSERT_EQ(find(host).size(), 1u);
  EXPECT_EQ(find(host)[0].kind, BootOwner::Kind::unit);
  EXPECT_EQ(find(host)[0].cards, std::vector<std::string>{"0000:00:02.0"});
}

TEST(SriovOwners, only_what_is_enabled_and_not_switched_off) {
  FakeHost host;
  host.file("/etc/systemd/system/sriov.service", fmt::format("[Service]\nExecStart={} -e ALL\n", manage));
  EXPECT_TRUE(find(host).empty());
  host.link("/etc/systemd/system/multi-user.target.wants/sriov.service", "../sriov.service");
  EXPECT_EQ(find(host).size(), 1u);
  host.file("/etc/systemd/system/sriov.service.d/pve-gpu.conf", "");
  EXPECT_TRUE(find(host).empty());
}

TEST(SriovOwners, instances_of_templates) {
  const auto own = find(with_unit("vf@.service", fmt::format("[Service]\nExecStart={} -e %i\n", manage), "vf@0000:41:00.0.service"));
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].text, "vf@0000:41:00.0.service");
  EXPECT_EQ(own[0].cards, std::vector<std::string>{"0000:41:00.0"});
  FakeHost host;
  host.file("/usr/lib/systemd/system/pve-nvidia-sriov@.service", "[Service]\n");
  EXPECT_TRUE(find(host).empty());
  host.link("/etc/systemd/system/multi-user.target.wants/pve-nvidia-sriov@ALL.service",
            "/usr/lib/systemd/system/pve-nvidia-sriov@.service");
  ASSERT_EQ(find(host).size(), 1u);
  EXPECT_EQ(find(host)[0].kind, BootOwner::Kind::shipped);
  EXPECT_TRUE(find(host)[0].all_nvidia);
}

TEST(SriovOwners, lines_of_other_tools) {
  FakeHost host;
  host.file("/etc/sysfs.conf", "# sriov_numvfs\ndevices/pci0000:00/0000:00:01.0/0000:03:00.0/sriov_numvfs = 7\n");
  host.file("/etc/tmpfiles.d/i915.conf", "w /sys/class/drm/card0/device/sriov_numvfs - - - - 7\n");
  host.file("/etc/cron.d/vfs", "@reboot root /usr/lib/nvidia/sriov-manage -e ALL\n");
  const auto owners = find(host);
  ASSERT_EQ(owners.size(), 3u);
  EXPECT_EQ(owners[0].kind, BootOwner::Kind::sysfs);
  EXPECT_EQ(owners[0].line, 2);
  EXPECT_EQ(owners[0].cards, std::vector<std::string>{"0000:03:00.0"});
  EXPECT_EQ(owners[1].kind, BootOwner::Kind::tmpfiles);
  EXPECT_TRUE(owners[1].may_concern("0000:00:02.0", false));  // nobody knows which card it is
  EXPECT_EQ(owners[2].kind, BootOwner::Kind::other);
}

}  // namespace
}  // namespace pvegpu::gpu
