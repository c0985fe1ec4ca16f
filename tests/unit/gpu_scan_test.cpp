// SPDX-License-Identifier: MIT
// The GPU scan on hosts that change or fail under it, and how much of a large host it reads.
#include "tests/unit/sysfs_tree.hpp"

namespace pvegpu {
namespace {

using gpu::Framework;

/// A host whose reads fail as told, and which remembers them.
class Faulty final : public HostView {
 public:
  explicit Faulty(const SysfsTree& tree) : disk_(tree.root()) {}

  Faulty& fails(const std::string& path, int code) {
    faults_[path] = code;
    return *this;
  }
  /// libpci listed it, and then it was gone.
  Faulty& also_lists(PciDevice device) {
    more_.push_back(std::move(device));
    return *this;
  }
  std::size_t reads(const std::string& part) const {
    std::size_t out = 0;
    for (const auto& [path, count] : reads_)
      if (path.find(part) != path.npos) out += count;
    return out;
  }
  std::size_t most_reads_of_one_file() const {
    std::size_t out = 0;
    for (const auto& [path, count] : reads_) out = std::max(out, count);
    return out;
  }

  Result<std::string> read_file(const std::string& path) const override {
    ++reads_[path];
    if (const auto fault = faults_.find(path); fault != faults_.end()) return Error::from_errno("read " + path, fault->second);
    return disk_.read_file(path);
  }
  Result<std::string> read_link(const std::string& path) const override { return disk_.read_link(path); }
  Result<std::string> sha256_of(const std::string& path) const override { return disk_.sha256_of(path); }
  Result<std::vector<std::string>> list_dir(const std::string& path) const override {
    if (const auto fault = faults_.find(path); fault != faults_.end()) return Error::from_errno("list " + path, fault->second);
    return disk_.list_dir(path);
  }
  Result<FileInfo> stat(const std::string& path, Links links) const override { return disk_.stat(path, links); }
  Result<std::uint64_t> free_space(const std::string& path) const override { return disk_.free_space(path); }
  uid_t effective_uid() const override { return 1000; }
  std::chrono::system_clock::time_point now() const override { return disk_.now(); }
  std::string kernel_release() const override { return disk_.kernel_release(); }
  Result<CommandResult> query(const Query&) const override { return Error{"host_info runs no programs"}; }
  Result<std::vector<PciDevice>> pci_devices() const override {
    if (const auto fault = faults_.find("libpci"); fault != faults_.end()) return Error::from_errno("list PCI devices", fault->second);
    std::vector<PciDevice> out = PVEGPU_TRY(disk_.pci_devices());
    out.insert(out.end(), more_.begin(), more_.end());
    return out;
  }
  std::string pci_name(std::uint16_t, std::uint16_t) const override {
    ++names_;
    return "GP102 [GeForce GTX 1080 Ti]";
  }
  Result<KernelModule> kernel_module(const std::string& name, const std::string& release) const override {
    return disk_.kernel_module(name, release);
  }
  int names() const { return names_; }

 private:
  RealHost disk_;
  std::map<std::string, int> faults_;
  std::vector<PciDevice> more_;
  mutable std::map<std::string, std::size_t> reads_;
  mutable int names_ = 0;
};

void add_p4(SysfsTree& tree) {
  tree.nvidia("535.161.05", {"0000:81:00.0"});
  const std::string card = tree.function("0000:81:00.0", "10de", "1bb3", "0302", "nvidia", "11d8");
  const char* one_gb = "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8";
  tree.mdev_type(card, "nvidia-63", "GRID P4-1Q", 8, one_gb).mdev_type(card, "nvidia-71", "GRID P4-1B", 8, one_gb);
}

TEST(GpuScan, no_pci_bus_is_no_error) {
  SysfsTree tree;
  Faulty host(tree);
  host.fails("libpci", ENOENT);
  const Looked seen(host);
  EXPECT_TRUE(seen.document.gpus.empty());
  ASSERT_EQ(seen.reader.unreadable().size(), 1u);
  EXPECT_EQ(seen.reader.unreadable()[0].path, "/sys/bus/pci/devices");
}

TEST(GpuScan, a_device_that_vanishes_is_left_out_with_a_note) {
  SysfsTree tree;
  add_p4(tree);
  Faulty host(tree);
  host.also_lists({"0000:99:00.0", 0x10de, 0x2235, 0x0302});
  const Looked seen(host);
  EXPECT_EQ(seen.only().address, "0000:81:00.0");
  EXPECT_EQ(seen.reader.notes(), std::vector<std::string>{"0000:99:00.0 vanished while it was looked at"});
}

TEST(GpuScan, libpci_leaves_out_what_vanished) {
  SysfsTree tree;
  add_p4(tree);
  tree.link("sys/bus/pci/devices/0000:99:00.0", "../../../devices/gone");
  const auto devices = RealHost(tree.root()).pci_devices();
  ASSERT_TRUE(devices);
  EXPECT_EQ(devices->size(), 1u);
}

TEST(GpuScan, a_driver_that_fails_to_list_its_types) {
  SysfsTree tree;
  add_p4(tree);
  Faulty host(tree);
  host.fails("/sys/bus/pci/devices/0000:81:00.0/mdev_supported_types", EIO);
  const Looked seen(host);
  EXPECT_EQ(seen.only().framework, Framework::mdev);
  ASSERT_EQ(seen.only().problems.size(), 1u);
  EXPECT_EQ(seen.only().problems[0],
            "the driver offers vGPU types in /sys/bus/pci/devices/0000:81:00.0/mdev_supported_types, but they can't be read (Input/output "
            "error): see dmesg");
  EXPECT_FALSE(seen.technologies().nvidia_mdev.ready);
  ASSERT_EQ(seen.reader.unreadable().size(), 1u);
  EXPECT_EQ(seen.reader.unreadable()[0].why, "Input/output error");
}

TEST(GpuScan, a_type_whose_count_cannot_be_read_is_not_available) {
  SysfsTree tree;
  add_p4(tree);
  Faulty host(tree);
  host.fails("/sys/bus/pci/devices/0000:81:00.0/mdev_supported_types/nvidia-63/available_instances", EIO);
  const Looked seen(host);
  EXPECT_EQ(seen.available("GRID P4-1Q"), 0);
  EXPECT_EQ(seen.available("GRID P4-1B"), 8);
  EXPECT_EQ(seen.only().problems,
            std::vector<std::string>{"the driver does not say how many instances of 1 of 2 vGPU types are available: see dmesg"});
}

TEST(GpuScan, a_read_that_ends_because_the_device_went) {
  SysfsTree tree;
  add_p4(tree);
  Faulty host(tree);
  host.fails("/sys/bus/pci/devices/0000:81:00.0/subsystem_device", ENODEV);
  const Looked seen(host);
  EXPECT_EQ(seen.only().name, "Tesla P4");
  EXPECT_EQ(seen.reader.unreadable().at(0).why, "No such device");
}

TEST(GpuScan, names_of_unknown_boards_are_asked_once) {
  SysfsTree tree;
  add_p4(tree);
  Faulty known(tree);
  EXPECT_EQ(Looked(known).only().name, "Tesla P4");
  EXPECT_EQ(known.names(), 0) << "pci.ids costs more than all the rest";
  tree.function("0000:82:00.0", "10de", "1b06", "0300", "vfio-pci");
  tree.function("0000:83:00.0", "10de", "1b06", "0300", "vfio-pci");
  Faulty host(tree);
  const Looked seen(host);
  EXPECT_EQ(seen.document.gpus[1].name, "GeForce GTX 1080 Ti");
  EXPECT_EQ(host.names(), 1);
}

TEST(GpuScan, a_vf_whose_card_is_hidden_is_no_gpu) {
  SysfsTree tree;
  add_p4(tree);
  const std::string vf = tree.function("0000:41:00.4", "10de", "2235", "0302", "nvidia");
  tree.link(vf + "/physfn", "../0000:41:00.0");
  const Looked seen(tree);
  EXPECT_EQ(seen.only().address, "0000:81:00.0");
  EXPECT_EQ(seen.reader.notes(), std::vector<std::string>{"0000:41:00.4 is a virtual function whose card is not listed"});
}

TEST(GpuScan, some_vfs_of_a_card_are_bound_elsewhere) {
  SysfsTree tree;
  tree.file("proc/sys/kernel/osrelease", "6.8.12-4-pve\n").nvidia("550.144.02", {"0000:41:00.0"});
  tree.function("0000:41:00.0", "10de", "2235", "0302", "nvidia", "145a");
  const auto vfs = tree.vfs("0000:41:00.0", "2235", 4, "nvidia");
  tree.link(vfs[0] + "/driver", "../../../bus/pci/drivers/vfio-pci");
  std::filesystem::remove(tree.root() + "/" + vfs[1] + "/driver");
  for (std::size_t i : {2u, 3u}) {
    tree.file(vfs[i] + "/nvidia/creatable_vgpu_types", i == 2 ? "ID    : vGPU Name\n" : "ID    : vGPU Name\n562   : NVIDIA A40-8Q\n");
    tree.file(vfs[i] + "/nvidia/current_vgpu_type", i == 2 ? "562\n" : "0\n");
  }
  const Looked seen(tree);
  EXPECT_EQ(seen.only().framework, Framework::vendor_vfio);
  EXPECT_EQ(seen.only().sriov.vfs[2].vgpu_type, "NVIDIA A40-8Q");
  EXPECT_EQ(seen.available("NVIDIA A40-8Q"), 1) << "the other driver's VF and the bare one take none";
  EXPECT_EQ(seen.only().problems, std::vector<std::string>{"1 of 4 VFs have no driver: bind them to nvidia"});
}

TEST(GpuScan, a_large_host_is_read_once_and_on_one_vf_of_each_card) {
  SysfsTree tree;
  std::vector<std::string> cards;
  for (unsigned i = 0; i < 8; ++i) cards.push_back(fmt::format("0000:{:02x}:00.0", 0x11 + 0x10 * i));
  tree.nvidia("535.161.05", cards);
  for (const std::string& card : cards) {
    tree.function(card, "10de", "2235", "0302", "nvidia", "145a");
    for (const std::string& vf : tree.vfs(card, "2235", 32, "nvidia"))
      for (int type = 0; type < 4; ++type)
        tree.mdev_type(vf, fmt::format("nvidia-{}", 557 + type), fmt::format("NVIDIA A40-{}Q", type + 1), 1);
  }
  Faulty host(tree);
  const Looked seen(host);
  EXPECT_EQ(seen.document.gpus.size(), 8u);
  EXPECT_EQ(host.most_reads_of_one_file(), 1u);
  EXPECT_EQ(host.reads("/available_instances"), 8u * 4) << "not 8 x 32 x 4";
}

}  // namespace
}  // namespace pvegpu
