// SPDX-License-Identifier: MIT
// What a guest's start takes, and why Proxmox VE would refuse it.
#include "common/guest/guest_start.hpp"

#include "common/facts/card_functions.hpp"
#include "common/facts/host_loss.hpp"
#include "common/base/strings.hpp"
#include "tests/unit/sysfs_tree.hpp"

namespace pvegpu::gpu {
namespace {

#define EXPECT_SAYS(text_, part) EXPECT_TRUE(text::contains(text_, part)) << (text_)

class GuestStart : public testing::Test {
 protected:
  /// A processor with graphics: display and HDMI sound of ATI's vendor id, the rest of AMD's.
  void apu() {
    tree_.function("0000:c5:00.0", "1002", "1900", "0300", "amdgpu");
    tree_.function("0000:c5:00.1", "1002", "1640", "0403", "snd_hda_intel");
    tree_.function("0000:c5:00.2", "1022", "15c7", "1080", "ccp");
    tree_.function("0000:c5:00.3", "1022", "15b9", "0c03", "xhci_hcd");
    tree_.function("0000:c5:00.6", "1022", "15e3", "0403", "snd_hda_intel");
  }
  void turing() {
    tree_.function("0000:01:00.0", "10de", "1e84", "0300");
    tree_.function("0000:01:00.1", "10de", "10f8", "0403");
    tree_.function("0000:01:00.2", "10de", "1ad8", "0c03");
    tree_.function("0000:01:00.3", "10de", "1ad9", "0c80");
  }
  void a4000(const char* bus) {
    tree_.function(fmt::format("0000:{}:00.0", bus), "10de", "24b0", "0300");
    tree_.function(fmt::format("0000:{}:00.1", bus), "10de", "228b", "0403");
  }
  /// Moves a function into the group of another.
  void share(const std::string& with, const std::string& address) {
    const std::string group = *RealHost(tree_.root()).read_link("/sys/bus/pci/devices/" + with + "/iommu_group");
    const std::string number = group.substr(group.rfind('/') + 1), dir = "sys/devices/pci0000:00/" + address;
    tree_.link(dir + "/iommu_group", "../../../kernel/iommu_groups/" + number);
    tree_.link("sys/kernel/iommu_groups/" + number + "/devices/" + address, "../../../../devices/pci0000:00/" + address);
  }
  void map(const std::string& id, const std::vector<std::string>& entries) {
    text::PciMapping mapping;
    mapping.id = id;
    for (const std::string& entry : entries) mapping.entries.push_back(*text::parse_map_entry(entry));
    mappings_.push_back(mapping);
  }
  StartFacts facts() { return {host_, "pve1", *host_.pci_devices(), mappings_, {9, 1}}; }
  StartDevice device(unsigned slot, std::string_view value) {
    return resolve(facts(), *text::parse_hostpci(value, slot)).or_fail(std::string(value));
  }
  std::string why(std::string_view value) {
    const auto out = resolve(facts(), *text::parse_hostpci(value));
    return out ? "" : out.error().message;
  }
  std::string together(const std::vector<std::string>& values) {
    std::vector<StartDevice> devices;
    for (const std::string& value : values) devices.push_back(device(static_cast<unsigned>(devices.size()), value));
    return why_not_together(facts(), 201, devices);
  }
  static std::string addresses(const std::vector<PciDevice>& devices) {
    std::string out;
    for (const PciDevice& each : devices) out += each.address.substr(each.address.size() - 2);
    return out;
  }
  SlotFunctions slot(const char* device) { return slot_functions(host_, *host_.pci_devices(), device); }

  SysfsTree tree_;
  RealHost host_{tree_.root()};
  std::vector<text::PciMapping> mappings_;
};

TEST_F(GuestStart, functions_of_a_card) {
  apu();
  turing();
  tree_.function("0000:41:00.0", "10de", "2235", "0302", "nvidia");
  tree_.vfs("0000:41:00.0", "2235", 8, "nvidia");
  tree_.function("0000:00:1f.0", "8086", "7a83", "0601");
  tree_.function("0000:00:1f.3", "8086", "7a50", "0403");
  EXPECT_EQ(addresses(slot("0000:c5:00").card), ".0.1");
  EXPECT_EQ(addresses(slot("0000:c5:00").beside), ".2.3.6");
  EXPECT_EQ(addresses(slot("0000:01:00").card), ".0.1.2.3") << "USB-C and its port controller are the card's";
  EXPECT_TRUE(slot("0000:01:00").is_one_card());
  EXPECT_EQ(addresses(slot("0000:41:00").card), ".0");
  EXPECT_EQ(slot("0000:41:00").others(), "4 virtual functions");
  EXPECT_EQ(addresses(slot("0000:41:01").card), "") << "virtual ones only";
  EXPECT_EQ(slot("0000:00:1f").others(), "0000:00:1f.0 (bridge)");
}

TEST_F(GuestStart, a_slot_that_is_no_card_is_refused) {
  apu();
  turing();
  tree_.function("0000:41:00.0", "10de", "2235", "0302", "nvidia");
  tree_.vfs("0000:41:00.0", "2235", 4, "nvidia");
  map("a40", {"id=10de:2235,node=pve1,path=0000:41:00"});
  EXPECT_SAYS(why("c5:00"), "0000:c5:00.3 (USB controller)");
  EXPECT_SAYS(why("c5:00"), "\"0000:c5:00.0;0000:c5:00.1\"");
  EXPECT_SAYS(why("41:00"), "4 virtual functions");
  EXPECT_SAYS(why("mapping=a40"), "vfs_of");
  for (const char* good : {"c5:00.0;c5:00.1", "c5:00.3", "01:00", "41:00.0", "41:00.4"}) EXPECT_EQ(why(good), "") << good;
}

TEST_F(GuestStart, a_device_once) {
  a4000("41");
  a4000("42");
  map("one", {"id=10de:24b0,node=pve1,path=0000:41:00", "id=10de:24b0,node=pve2,path=0000:81:00"});
  map("two", {"id=10de:24b0,node=pve1,path=0000:41:00", "id=10de:24b0,node=pve1,path=0000:42:00"});
  EXPECT_SAYS(together({"mapping=one", "mapping=one"}), "assigned more than once");
  EXPECT_SAYS(together({"41:00.1", "mapping=one"}), "0000:41:00.1 twice, as hostpci0 and as hostpci1");
  EXPECT_SAYS(together({"41:00", "0000:41:00.0"}), "'0000:41:00.0' assigned more than once");
  EXPECT_SAYS(together({"mapping=two", "mapping=two", "mapping=two"}), "could not find a free device for 'hostpci2'");
  EXPECT_SAYS(together({"mapping=two", "41:00"}), "assigned more than once") << "the first entry is taken first";
  EXPECT_EQ(together({"41:00", "mapping=two"}), "");
  EXPECT_EQ(together({"mapping=two", "mapping=two"}), "");
  EXPECT_EQ(together({"41:00.0", "41:00.1"}), "");
}

TEST_F(GuestStart, parts_of_a_card) {
  tree_.function("0000:41:00.0", "10de", "2235", "0302", "nvidia");
  const auto vfs = tree_.vfs("0000:41:00.0", "2235", 2, "nvidia");
  for (const std::string& vf : vfs) tree_.file(vf + "/nvidia/current_vgpu_type", "0\n");
  const std::string p4 = tree_.function("0000:81:00.0", "10de", "1bb3", "0302", "nvidia");
  tree_.mdev_type(p4, "nvidia-63", "GRID P4-1Q", 8);
  EXPECT_EQ(together({"81:00.0,mdev=nvidia-63", "81:00.0,mdev=nvidia-63"}), "") << "two of one card";
  EXPECT_SAYS(together({"41:00.4,mdev=nvidia-557", "41:00.4,mdev=nvidia-557"}), "assigned more than once") << "a VF is one vGPU";
  EXPECT_EQ(together({"41:00.4,mdev=nvidia-557", "41:00.5,mdev=nvidia-557"}), "");
}

TEST_F(GuestStart, fingerprints_as_proxmox_ve_compares_them) {
  a4000("41");  // group 1, subsystem 10de:0000
  const auto stale = [&](const std::string& entry) {
    mappings_.clear();
    map("m", {entry});
    return why_stale(facts(), device(0, "mapping=m"));
  };
  EXPECT_EQ(stale("id=10de:24b0,iommugroup=1,node=pve1,path=0000:41:00,subsystem-id=10de:0000"), "");
  EXPECT_SAYS(stale("id=10de:24b0,iommugroup=99,node=pve1,path=0000:41:00,subsystem-id=10de:0000"), "iommugroup 99, the device has 1");
  EXPECT_SAYS(stale("id=10de:2531,iommugroup=1,node=pve1,path=0000:41:00,subsystem-id=10de:0000"), "PCI device mapping invalid");
  EXPECT_SAYS(stale("id=10de:24b0,iommugroup=1,node=pve1,path=0000:41:00"), "subsystem-id none");
  EXPECT_EQ(stale("id=10de:24b0,iommugroup=1,node=pve1,path=0000:41:00,subsystem-id=10de:0000"), "");
  mappings_[0].mdev = true;
  EXPECT_SAYS(why_stale(facts(), device(0, "mapping=m")), "mdev") << "compared from 8.4 on";
}

TEST_F(GuestStart, legacy_igd) {
  tree_.function("0000:00:02.0", "8086", "4680", "0300", "i915");
  a4000("41");
  EXPECT_EQ(why("00:02.0,legacy-igd=1"), "");
  EXPECT_SAYS(why("00:02.0;41:00.1,legacy-igd=1"), "multifunction");
  EXPECT_SAYS(why("41:00.0,legacy-igd=1"), "not for 0000:41:00.0");
  map("igpu", {"id=8086:4680,node=pve1,path=0000:00:02.0", "id=8086:4680,node=pve1,path=0000:41:00.0"});
  EXPECT_SAYS(why("mapping=igpu,legacy-igd=1"), "has 2 here");
  tree_.function("0000:00:02.1", "8086", "4680", "0300", "i915");
  tree_.link("sys/devices/pci0000:00/0000:00:02.1/physfn", "../0000:00:02.0");
  EXPECT_SAYS(why("00:02,legacy-igd=1"), "1 virtual function");
}

class Loss : public GuestStart {
 protected:
  Loss() {
    a4000("07");
    tree_.function("0000:08:00.0", "15b7", "5030", "0108", "nvme");
    tree_.link("sys/block/nvme0n1", "../devices/pci0000:00/0000:08:00.0/nvme/nvme0/nvme0n1");
  }
  HostLoss loss(const std::vector<std::string>& functions, std::int64_t vmid = 0) {
    return loss_at_start(host_, *host_.pci_devices(), functions, vmid);
  }
  void run(int vmid) {
    const std::string pid = "run/qemu-server/" + std::to_string(vmid) + ".pid";
    tree_.file(pid, "4242\n").file("proc/4242/cmdline", "/usr/bin/kvm -pidfile /" + pid);
  }
};

TEST_F(Loss, a_group_goes_as_a_whole) {
  share("0000:07:00.0", "0000:08:00.0");
  tree_.file("proc/mounts", "/dev/nvme0n1p3 / ext4 rw 0 0\n");
  EXPECT_SAYS(loss({"0000:07:00.0"}).needed, "the host itself needs 0000:08:00.0 (storage controller, driver nvme)");
  EXPECT_EQ(loss({"0000:07:00.1"}).needed, "") << "of another group";
  tree_.file("proc/mounts", "");
  EXPECT_EQ(loss({"0000:07:00.0"}).needed, "");
  ASSERT_EQ(loss({"0000:07:00.0"}).warnings.size(), 1U);
  EXPECT_SAYS(loss({"0000:07:00.0"}).warnings[0], "takes 0000:08:00.0 (storage controller, driver nvme) from the host");
}

TEST_F(Loss, bridges_stay_and_the_cards_own_functions_are_no_loss) {
  tree_.function("0000:00:01.0", "1022", "1483", "0604", "pcieport");
  share("0000:07:00.0", "0000:00:01.0");
  share("0000:07:00.0", "0000:07:00.1");
  EXPECT_TRUE(loss({"0000:07:00.0"}).warnings.empty());
}

TEST_F(Loss, virtual_functions_end) {
  tree_.function("0000:41:00.0", "10de", "2235", "0302", "nvidia");
  tree_.vfs("0000:41:00.0", "2235", 2, "nvidia");
  EXPECT_SAYS(loss({"0000:41:00.0"}).warnings.at(0), "2 virtual functions, which end");
  EXPECT_EQ(loss({"0000:41:00.0"}).of_guests, "");
  tree_.file("run/qemu-server/pci-id-reservations", "0000:41:00.5 202 pid:4242\n");
  EXPECT_EQ(loss({"0000:41:00.0"}).of_guests, "") << "left by a guest that died";
  run(202);
  EXPECT_SAYS(loss({"0000:41:00.0"}).of_guests, "guest 202 has 0000:41:00.5");
  EXPECT_EQ(loss({"0000:41:00.0"}, 202).of_guests, "") << "its own";
  EXPECT_EQ(loss({"0000:41:00.4"}).of_guests, "");
}

TEST_F(Loss, vgpus_of_others_end) {
  const std::string p4 = tree_.function("0000:81:00.0", "10de", "1bb3", "0302", "nvidia");
  tree_.mdev_type(p4, "nvidia-63", "GRID P4-1Q", 7).mdev(p4, "00000000-0000-0000-0000-000000000203", "nvidia-63");
  run(203);
  EXPECT_SAYS(loss({"0000:81:00.0"}).of_guests, "guest 203 has a vGPU on 0000:81:00.0");
}

}  // namespace
}  // namespace pvegpu::gpu
