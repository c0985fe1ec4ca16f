// SPDX-License-Identifier: MIT
// What the host itself needs of a device.
#include "common/facts/host_use.hpp"
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

TEST_F(HostUse, partition_that_sysfs_does_not_list) {
  tree_.link("sys/block/nvme0n1", "../devices/pci0000:00/0000:08:00.0/nvme/nvme0/nvme0n1");
  mounts("/dev/nvme0n1p3 / ext4 rw 0 0\n");
  EXPECT_EQ(need("0000:08:00.0"), "it has the disk nvme0n1, of which the host uses nvme0n1p3");
  mounts("/dev/nvme0n10p3 / ext4 rw 0 0\n/dev/sdaa1 /mnt ext4 rw 0 0\n");
  EXPECT_EQ(need("0000:08:00.0"), "nothing");
  EXPECT_EQ(need(disk_controller), "nothing");
}

TEST_F(HostUse, disk_of_two_ports) {
  tree_.link("sys/block/nvme1c1n1", "../devices/pci0000:00/0000:08:00.0/nvme/nvme1/nvme1c1n1");
  tree_.link("sys/block/nvme1n1", "../devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1");
  mounts("/dev/nvme1n1p2 /boot/efi vfat rw 0 0\n");
  EXPECT_EQ(need("0000:08:00.0"), "it has the disk nvme1n1, of which the host uses nvme1n1p2");
}

TEST_F(HostUse, second_disk_of_a_btrfs) {
  mounts("/dev/nvme0n1p3 / btrfs rw 0 0\n");
  tree_.file("sys/fs/btrfs/5c4b1c1e-0000-4000-8000-000000000001/devices/sda3", "");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which the host uses sda3");
}

class Console : public HostUse {
 protected:
  Console() {
    usb_ = tree_.function("0000:c5:00.3", "1022", "15b9", "0c03", "xhci_hcd");
    keyboard("input3", usb_ + "/usb1/1-1/1-1:1.0/0003:046D:C31C.0001/input/input3",
             "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe");
  }
  void keyboard(const std::string& name, const std::string& dir, const std::string& keys) {
    tree_.file(dir + "/capabilities/key", keys + "\n").link("sys/class/input/" + name, "../../../" + dir);
  }
  std::string console(const char* address) { return console_need(RealHost(tree_.root()), address).value_or("nothing"); }
  std::string usb_;
};

TEST_F(Console, the_only_keyboard) {
  keyboard("input1", "sys/devices/LNXSYSTM:00/LNXPWRBN:00/input/input1", "10000000000000 0");  // a power button
  EXPECT_EQ(console("0000:c5:00.3"), "the only keyboard of the host is on it");
  keyboard("input4", "sys/devices/pci0000:00/0000:00:14.0/usb3/3-1/input/input4", "fffffffffffffffe");
  EXPECT_EQ(console("0000:c5:00.3"), "nothing") << "there is another";
}

TEST_F(Console, boot_display_until_a_guest_has_it) {
  const std::string gpu = tree_.function("0000:01:00.0", "10de", "2489", "0300", "nouveau");
  tree_.file(gpu + "/boot_vga", "1\n");
  EXPECT_EQ(console("0000:01:00.0"), "it is the boot display, on which the host's console is");
  tree_.link(gpu + "/driver", "../../../bus/pci/drivers/vfio-pci");
  EXPECT_EQ(console("0000:01:00.0"), "nothing");
}

TEST_F(HostUse, disk_of_lvm) {
  tree_.file(disk_ + "/sda/sda2/holders/dm-3", "");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which dm-3 uses sda2");
}

TEST_F(HostUse, disk_below_another_block_device) {
  tree_.file("sys/block/dm-0/slaves/sda3", "");
  EXPECT_EQ(need(disk_controller), "it has the disk sda, of which dm-0 uses sda3");
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
