// SPDX-License-Identifier: MIT
// A host's tree in a temporary directory, for tests of the GPU scan: the few files of sysfs and procfs that a case is about.
#pragma once

#include "common/inventory/host_document.hpp"
#include "common/host/real_host.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace pvegpu {

class SysfsTree {
 public:
  SysfsTree() {
    std::string name = testing::TempDir() + "pve-gpu-tree-XXXXXX";
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
    root_ = name;
    for (const char* dir : {"sys/bus/pci/devices", "sys/class/iommu/dmar0", "sys/kernel/iommu_groups"})
      std::filesystem::create_directories(root_ / dir);
    file("proc/sys/kernel/osrelease", "6.5.13-5-pve\n");
    file("proc/cmdline", "quiet\n");
  }
  SysfsTree(const SysfsTree&) = delete;
  SysfsTree& operator=(const SysfsTree&) = delete;
  ~SysfsTree() { std::filesystem::remove_all(root_); }

  std::string root() const { return root_.string(); }

  SysfsTree& file(const std::string& path, const std::string& bytes) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << bytes;
    return *this;
  }
  SysfsTree& link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::filesystem::remove(root_ / path);
    std::filesystem::create_symlink(target, root_ / path);
    return *this;
  }
  SysfsTree& copy(const std::string& from, const std::string& path) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::filesystem::copy(from, root_ / path, std::filesystem::copy_options::recursive);
    return *this;
  }

  /// The directory of a function, made with what every function has, in an IOMMU group of its own.
  std::string function(const std::string& address, const std::string& vendor, const std::string& device, const std::string& pci_class,
                       const std::string& driver = "", const std::string& subsystem = "0000") {
    const std::string dir = "sys/devices/pci0000:00/" + address;
    file(dir + "/vendor", "0x" + vendor + "\n").file(dir + "/device", "0x" + device + "\n").file(dir + "/class", "0x" + pci_class + "00\n");
    file(dir + "/modalias", fmt::format("pci:v0000{}d0000{}sv0000{}sd0000{}bc{}sc{}i00\n", vendor, device, vendor, subsystem,
                                        pci_class.substr(0, 2), pci_class.substr(2)));
    file(dir + "/subsystem_vendor", "0x" + vendor + "\n").file(dir + "/subsystem_device", "0x" + subsystem + "\n");
    if (!driver.empty()) link(dir + "/driver", "../../../bus/pci/drivers/" + driver);
    link("sys/bus/pci/devices/" + address, "../../../devices/pci0000:00/" + address);
    const std::string group = std::to_string(++groups_);
    link(dir + "/iommu_group", "../../../kernel/iommu_groups/" + group);
    link("sys/kernel/iommu_groups/" + group + "/devices/" + address, "../../../../devices/pci0000:00/" + address);
    return dir;
  }

  /// VFs of a card by the routing ids of the SR-IOV specification; their directories.
  std::vector<std::string> vfs(const std::string& address, const std::string& device, unsigned count, const std::string& driver) {
    const std::string dir = "sys/devices/pci0000:00/" + address;
    file(dir + "/sriov_totalvfs", std::to_string(count) + "\n").file(dir + "/sriov_numvfs", std::to_string(count) + "\n");
    std::vector<std::string> out;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned id = 4 + i;
      const std::string vf = fmt::format("{}:{:02x}.{:x}", address.substr(0, 7), id / 8, id % 8);
      out.push_back(function(vf, "10de", device, "0302", driver));
      link(fmt::format("{}/virtfn{}", dir, i), "../" + vf).link(out.back() + "/physfn", "../" + address);
    }
    return out;
  }

  /// The loaded vGPU host driver, which knows these cards.
  SysfsTree& nvidia(const std::string& version, const std::vector<std::string>& cards) {
    file("sys/module/nvidia/version", version + "\n").file("sys/module/nvidia_vgpu_vfio/refcnt", "0\n");
    for (const std::string& card : cards) file("proc/driver/nvidia/gpus/" + card + "/information", "");
    return *this;
  }

  SysfsTree& mdev_type(const std::string& parent, const std::string& id, const std::string& name, int available,
                       const std::string& description = "") {
    const std::string dir = parent + "/mdev_supported_types/" + id;
    file(dir + "/name", name + "\n").file(dir + "/available_instances", std::to_string(available) + "\n");
    if (!description.empty()) file(dir + "/description", description + "\n");
    return *this;
  }

  /// `parent`: the directory of a function.
  SysfsTree& mdev(const std::string& parent, const std::string& uuid, const std::string& type) {
    link(parent + "/" + uuid + "/mdev_type", "../mdev_supported_types/" + type);
    link("sys/bus/mdev/devices/" + uuid, "../../../../" + parent + "/" + uuid);
    return *this;
  }

 private:
  std::filesystem::path root_;
  int groups_ = 0;
};

/// The document and what the reader has to say about it.
struct Looked {
  explicit Looked(const HostView& host) : reader(host), document(gpu::read_host(reader)) {}
  explicit Looked(const SysfsTree& tree) : disk(std::make_unique<RealHost>(tree.root())), reader(*disk), document(gpu::read_host(reader)) {}

  const gpu::Gpu& only() const {
    if (document.gpus.size() != 1) throw std::runtime_error(fmt::format("there are {} GPUs, not one", document.gpus.size()));
    return document.gpus[0];
  }
  const gpu::Technologies& technologies() const { return document.technologies.at(0); }
  std::int64_t available(const std::string& type) const {
    for (const gpu::VgpuType& each : only().vgpu_types)
      if (each.name == type) return each.available;
    return -1;
  }

  std::unique_ptr<RealHost> disk;
  Reader reader;
  gpu::HostDocument document;
};

}  // namespace pvegpu
