// SPDX-License-Identifier: MIT
// Files that give a card to vfio-pci, as guides for passthrough and their readers write them.
#include "common/base/strings.hpp"
#include "common/facts/holders.hpp"
#include "common/text/vfio_script.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

gpu::Gpu p4(const std::string& address = "0000:81:00.0") {
  gpu::Gpu out;
  out.address = address;
  out.ids = {0x10de, 0x1bb3, 0x10de, 0x11d8};
  out.pci_class = 0x0302;
  return out;
}

/// "PATH line N: HOW", with " (ours)" where it is.
std::vector<std::string> holders(const FakeHost& host, const gpu::Gpu& gpu = p4()) {
  Reader reader(host);
  std::vector<std::string> out;
  for (const auto& each : gpu::read_holders(reader, gpu)) out.push_back(each.where() + ": " + each.how() + (each.ours ? " (ours)" : ""));
  return out;
}

using Lines = std::vector<std::string>;

TEST(Holders, none_on_a_plain_host) {
  FakeHost host;
  host.file("/proc/cmdline", "quiet intel_iommu=on\n").file("/etc/modprobe.d/blacklist.conf", "blacklist nouveau\n");
  host.file("/usr/lib/udev/rules.d/50-default.rules", "SUBSYSTEM==\"pci\", ENV{MODALIAS}==\"?*\", RUN{builtin}+=\"kmod load\"\n");
  EXPECT_EQ(holders(host), Lines());
}

TEST(Holders, udev_rules_by_address_and_by_ids) {
  FakeHost host;
  host.file("/etc/udev/rules.d/90-vfio-pci.rules",
            "# for the desktop\nACTION==\"add\", SUBSYSTEM==\"pci\", KERNELS==\"0000:81:00.0\", DRIVERS==\"*\", "
            "ATTR{driver_override}=\"vfio-pci\"\n");
  EXPECT_EQ(holders(host), Lines{"/etc/udev/rules.d/90-vfio-pci.rules line 2: a udev rule gives it to vfio-pci"});
  EXPECT_EQ(holders(host, p4("0000:41:00.0")), Lines());
  host.file("/etc/udev/rules.d/90-vfio-pci.rules",
            "SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", \\\n  ATTR{device}==\"0x1bb3\", \\\n  ATTR{driver_override}=\"vfio-pci\"\n");
  EXPECT_EQ(holders(host), Lines{"/etc/udev/rules.d/90-vfio-pci.rules line 1: a udev rule gives it to vfio-pci"});
}

TEST(Holders, a_file_of_udev_hides_the_one_of_its_name) {
  FakeHost host;
  const char* rule = "KERNEL==\"0000:81:00.0\", ATTR{driver_override}=\"vfio-pci\"\n";
  host.file("/usr/lib/udev/rules.d/90-x.rules", rule);
  EXPECT_EQ(holders(host).size(), 1u);
  host.file("/etc/udev/rules.d/90-x.rules", "");
  EXPECT_EQ(holders(host), Lines());
}

TEST(Holders, what_a_rule_asks_for) {
  const auto takes = [](const char* rule) { return gpu::rule_takes(rule, p4()); };
  EXPECT_TRUE(takes("KERNEL==\"0000:81:00.*\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_TRUE(takes("KERNEL==\"0000:41:00.0|0000:81:00.0\", RUN+=\"/bin/sh -c 'echo vfio-pci > /sys/x'\""));
  EXPECT_TRUE(takes("SUBSYSTEM==\"pci\", ATTRS{vendor}==\"0x10DE\", ATTR{class}==\"0x0302*\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_FALSE(takes("SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", KERNEL!=\"0000:81:00.0\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_TRUE(takes("SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", KERNEL!=\"0000:41:00.0\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_FALSE(takes("SUBSYSTEM==\"pci\", ATTR{vendor}==\"0x10de\", ATTR{device}==\"0x2235\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_FALSE(takes("SUBSYSTEM==\"usb\", KERNELS==\"0000:81:00.0\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_FALSE(takes("ACTION==\"remove\", KERNEL==\"0000:81:00.0\", ATTR{driver_override}=\"vfio-pci\""));
  EXPECT_FALSE(takes("SUBSYSTEM==\"pci\", ATTR{driver_override}=\"vfio-pci\""));  // asks for no name and no id
  EXPECT_FALSE(takes("KERNEL==\"0000:81:00.0"));
}

TEST(Holders, ids_of_modprobe) {
  FakeHost host;
  host.file("/etc/modprobe.d/vfio.conf", "options vfio_pci disable_vga=1 ids=8086:56c0,10de:1bb3\nsoftdep nvidia pre: vfio-pci\n");
  EXPECT_EQ(holders(host), (Lines{"/etc/modprobe.d/vfio.conf line 1: an option of modprobe gives all cards with its ids to vfio-pci",
                                  "/etc/modprobe.d/vfio.conf line 2: vfio-pci is loaded before its driver"}));
  host.file("/etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1bb3:10de:11d8\n");
  EXPECT_EQ(holders(host).size(), 1u);
  for (const char* other : {"options vfio-pci ids=10de:1bb3:10de:1111\n", "options vfio-pci ids=10de:2235\n",
                            "#options vfio-pci ids=10de:1bb3\n", "softdep nvidia pre: vfio-pci\n", "options nvidia ids=10de:1bb3\n"}) {
    host.file("/etc/modprobe.d/vfio.conf", other);
    EXPECT_EQ(holders(host), Lines()) << other;
  }
}

TEST(Holders, ids_of_the_command_line_in_the_file_that_makes_it) {
  FakeHost host;
  host.file("/proc/cmdline", "quiet vfio-pci.ids=10de:1bb3,10de:10f1\n");
  EXPECT_EQ(holders(host), Lines{"/proc/cmdline line 1: the kernel's command line gives all cards with its ids to vfio-pci"});
  host.file("/etc/default/grub",
            "GRUB_DEFAULT=0\n#GRUB_CMDLINE_LINUX=\"vfio-pci.ids=10de:1bb3\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"vfio-pci.ids=10de:1bb3\"\n");
  EXPECT_EQ(holders(host), Lines{"/etc/default/grub line 3: the kernel's command line gives all cards with its ids to vfio-pci"});
}

TEST(Holders, scripts_and_units) {
  FakeHost host;
  host.file("/etc/initramfs-tools/scripts/init-top/vfio",
            "#!/bin/sh\nfor f in 0 1; do\n  echo vfio-pci > /sys/bus/pci/devices/0000:81:00.$f/driver_override\ndone\n");
  EXPECT_EQ(holders(host), Lines{"/etc/initramfs-tools/scripts/init-top/vfio line 3: a script gives it to vfio-pci"});
  host.gone("/etc/initramfs-tools");
  host.file("/etc/systemd/system/gpu.service", "[Service]\nType=oneshot\nExecStart=/usr/local/bin/bind-gpu 1\n");
  host.file("/usr/local/bin/bind-gpu", "#!/bin/sh\n# 81:00.0\nmodprobe vfio-pci\necho 10de 1bb3 > /sys/bus/pci/drivers/vfio-pci/new_id\n");
  EXPECT_EQ(holders(host), Lines{"/usr/local/bin/bind-gpu line 4: a script gives it to vfio-pci"});
  host.file("/etc/systemd/system/gpu.service",
            "[Service]\nExecStart=/bin/sh -c 'echo vfio-pci > /sys/bus/pci/devices/0000:81:00.0/driver_override'\n");
  EXPECT_EQ(holders(host), Lines{"/etc/systemd/system/gpu.service line 2: a unit gives it to vfio-pci"});
  host.gone("/etc/systemd/system/gpu.service");
  host.file("/etc/modprobe.d/vfio.conf", "install vfio-pci /sbin/vfio-pci-override.sh\n");
  host.file("/sbin/vfio-pci-override.sh",
            "#!/bin/sh\necho vfio-pci > /sys/bus/pci/devices/0000:81:00.0/driver_override\nmodprobe -i vfio-pci\n");
  EXPECT_EQ(holders(host), Lines{"/sbin/vfio-pci-override.sh line 2: a script gives it to vfio-pci"});
}

TEST(Holders, driverctl) {
  FakeHost host;
  host.file("/etc/driverctl.d/pci-0000:81:00.0", "vfio-pci\n").file("/etc/driverctl.d/pci-0000:41:00.0", "vfio-pci\n");
  EXPECT_EQ(holders(host), Lines{"/etc/driverctl.d/pci-0000:81:00.0 line 1: driverctl gives it to vfio-pci"});
}

TEST(Holders, our_own_script_is_ours) {
  FakeHost host;
  host.file(text::vfio_script_file, text::print_vfio_script({{"0000:81:00.0", {0x10de, 0x1bb3, 0x10de, 0x11d8}, "nvidia"}}, true));
  const auto found = holders(host);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].starts_with("/etc/initramfs-tools/scripts/init-top/pve-gpu-vfio line "));
  EXPECT_TRUE(found[0].ends_with(": a script gives it to vfio-pci (ours)"));
  EXPECT_EQ(holders(host, p4("0000:41:00.0")), Lines());
}

TEST(Holders, lines_that_name_a_card) {
  const auto names = [](const char* line) { return gpu::names_card(line, p4()); };
  for (const char* line :
       {"0000:81:00.0", "echo 81:00.0", "/devices/0000:81:00.$f/", "/devices/0000:81:00.*/driver", "DEVS=\"0000:81:00.0 0000:81:00.1\"",
        "slot=81:00", "0000:81:00", "/sys/bus/pci/devices/0000\\:81\\:00.0/x", "echo 10DE 1BB3 > new_id"})
    EXPECT_TRUE(names(line)) << line;
  for (const char* line : {"0000:81:00.1", "0001:81:00.0", "mac 52:81:00:00", "81:00:12", "10de 1bb4", "181:00.0", ""})
    EXPECT_FALSE(names(line)) << line;
  EXPECT_TRUE(gpu::names_card("0001:81:00.0", p4("0001:81:00.0")));
  EXPECT_FALSE(gpu::names_card("81:00.0", p4("0001:81:00.0")));
}

TEST(Holders, a_large_file_is_left_out_with_a_note) {
  FakeHost host;
  host.file("/etc/rc.local", "echo vfio-pci > /sys/bus/pci/devices/0000:81:00.0/driver_override\n" + std::string(300 << 10, '#'));
  Reader reader(host);
  EXPECT_TRUE(gpu::read_holders(reader, p4()).empty());
  EXPECT_EQ(reader.notes(), std::vector<std::string>{"/etc/rc.local has more than 256 KiB and was not looked at"});
}

}  // namespace
}  // namespace pvegpu
