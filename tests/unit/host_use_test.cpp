// SPDX-License-Identifier: MIT
// What the host itself needs of a device.
#include "common/gpu/host_use.hpp"
#include "tests/unit/sysfs_tree.hpp"

namespace pvegpu::gpu {
namespace {

constexpr const char* disk_controller = "0000:02:00.0";
constexpr const char* nic = "0000:04:00.0";

class HostUse : public testing::Test {
 protected:
  HostUse() {
    tree_.link("sys/block/sda", "../devices/pci0000:00/0000:02:00.0/ata1/host0/target0:0:0/0:0:0:0/block/sda");
    tree_.file(disk_ + "/sda/sda2/partition", "2\n").file(disk_ + "/sda/size", "1\n");
    tree_.link("sys/class/net/eno1", "../../devices/pci0000:00/0000:04:00.0/net/eno1");
    tree_.file(nic_ + "/eno1/operstate", "up\n");
    mounts("");
  }
  void mounts(const std::string& text) { tree_.file("proc/mounts", "proc /proc proc rw 0 0\n" + text); }
  std::string need(const char* address) { return host_need(RealHost(tree_.root()), address).value_or("nothing"); }

  SysfsTree tree_;
  const std::string disk_ = "sys/devices/pci0000:00/0000:02:00.0/ata1/host0/target0:0:0/0:0:0:0/block";
  const std::string nic_ = "sys/devices/pci0000:00/0000:04:00.0/net";
};

TEST_F(HostUse, idle_devices_are_not_needed) {
  EXPECT_EQ(need(disk_controller), "nothing");
  EXPECT_EQ(need(nic), "nothing");
  EXPECT_EQ(need("0000:09:00.0"), "nothing");
}

TEST_F(HostUse, mounted_disk) {
  mounts("/dev/sda2 /boot/efi vfat rw 0 0\n");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which the host uses sda2");
  EXPECT_EQ(need(nic), "nothing");
}

TEST_F(HostUse, swap) {
  tree_.file("proc/swaps", "Filename Type Size Used Priority\n/dev/sda partition 8388604 0 -2\n");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which the host uses sda");
}

TEST_F(HostUse, disk_of_lvm) {
  tree_.file(disk_ + "/sda/sda2/holders/dm-3", "");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which dm-3 uses sda2");
}

TEST_F(HostUse, whole_disk_of_md) {
  tree_.file(disk_ + "/sda/holders/md0", "");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which md0 uses sda");
}

TEST_F(HostUse, disk_that_zfs_may_have) {
  mounts("rpool/ROOT/pve-1 / zfs rw 0 0\n");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, which may belong to a ZFS pool of the host");
}

TEST_F(HostUse, port_of_a_bridge) {
  tree_.link(nic_ + "/eno1/master", "../../../../virtual/net/vmbr0");
  EXPECT_EQ(need(nic), "its network interface eno1 is a port of vmbr0");
}

TEST_F(HostUse, interface_below_a_vlan) {
  tree_.link(nic_ + "/eno1/upper_eno1.100", "../../../../virtual/net/eno1.100");
  EXPECT_EQ(need(nic), "its network interface eno1 carries eno1.100");
}

TEST_F(HostUse, interface_with_an_address) {
  tree_.file("proc/net/route", "Iface\tDestination\tGateway\neno1\t000200C0\t00000000\n");
  EXPECT_EQ(need(nic), "its network interface eno1 has an IP address");
  tree_.file("proc/net/route", "Iface\tDestination\tGateway\neno12\t000200C0\t00000000\n");
  EXPECT_EQ(need(nic), "nothing");
  tree_.file("proc/net/if_inet6", "fe80000000000000025056fffe000001 02 40 20 80     eno1\n");
  EXPECT_EQ(need(nic), "nothing");  // every interface that is up gives itself one
  tree_.file("proc/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80     eno1\n");
  EXPECT_EQ(need(nic), "its network interface eno1 has an IP address");
}

}  // namespace
}  // namespace pvegpu::gpu
