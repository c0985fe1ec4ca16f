// SPDX-License-Identifier: MIT
// What the kernel does when somebody writes to sysfs: PCI drivers and SR-IOV, mediated devices, NVIDIA's vendor VFIO files, modules.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tree.hpp"

namespace simfs {

// struct pci_device_id: what a driver matches; `any` in a field matches everything.
struct DeviceId {
  static constexpr std::uint32_t any = 0xffffffff;
  std::uint32_t vendor = any, device = any, subvendor = any, subdevice = any, pci_class = 0, class_mask = 0;
};

struct Driver {
  std::string name;
  std::string module;             // empty: built in
  std::vector<DeviceId> ids;      // compiled in
  std::vector<DeviceId> dynamic;  // new_id
  bool sriov = false;             // has sriov_configure
  bool keeps_vfs = false;         // leaves VFs alone when it lets go of the PF (pci-pf-stub does)
  bool takes_vfs = true;
  bool vfio = false;  // vfio-pci: needs an IOMMU group, declines bridges and PFs with VFs
  bool registered = false;
};

struct VgpuType {
  std::string id;
  std::optional<std::string> name, description;
  std::optional<unsigned> size, max_instances;  // framebuffer in MB; how many of this size fit on the card
  // with a size: fixed, whatever is created; without (GVT-g): how many there are of this type alone, a share of the whole
  std::optional<unsigned> available;
};

enum class Framework { none, mdev, mdev_on_vfs, vendor_vfio };

// What the hardware and its driver know about a card, and no file shows before VFs exist.
struct Card {
  std::uint32_t vf_device = 0, vf_class = 0, vf_subvendor = 0, vf_subdevice = 0;
  std::string totalvfs_parameter;  // "i915.max_vfs": the module parameter that limits sriov_totalvfs
  int enable_error = 0;            // errno of every attempt to enable VFs (no room above 4 GB, for example)
  Framework framework = Framework::none;
  std::string vgpu_driver;  // the one that registers the types
  int full_error = 0;       // errno when no instance is left
  std::vector<VgpuType> types;
};

struct Module {
  std::string version;
  std::vector<std::string> needs;
  std::map<std::string, std::string> parameters;  // name -> default
};

struct Device;

struct Mdev {
  std::string uuid;
  const VgpuType* type;
  Node* directory;
};

struct Device {
  std::string slot;
  Node* directory = nullptr;
  std::uint32_t vendor = 0, device = 0, subvendor = 0, subdevice = 0, pci_class = 0;
  Driver* driver = nullptr;
  std::optional<std::string> override;
  Card* card = nullptr;  // of the PF, for a VF
  Device* physfn = nullptr;
  std::vector<Device*> vfs;
  bool autoprobe = true;  // sriov_drivers_autoprobe
  unsigned hardware_vfs = 0;
  std::list<Mdev> mdevs;
  bool is_mdev_parent = false;
  Node* vendor_vfio = nullptr;         // its nvidia/ directory
  const VgpuType* assigned = nullptr;  // current_vgpu_type
};

class Sysfs {
 public:
  // Reads the devices, drivers and instances out of the tree; throws std::runtime_error when tree and model don't fit.
  Sysfs(Tree& tree, const nlohmann::json& model);

  // write(2) on an attribute: 0 or an errno.
  int store(Node& node, std::string_view data);
  int load_module(const std::string& name, const std::string& parameters);
  int unload_module(const std::string& name);

 private:
  struct Removed {  // by `remove`, until a rescan
    std::unique_ptr<Node> directory;
    Node* parent;
    std::unique_ptr<Device> device;
    std::string group;  // its number; empty: none
  };

  void read_model(const nlohmann::json& model);
  void adopt();
  void adopt_instances(Device& device);

  int store_device(Device& device, Node& node, const std::string& text, std::size_t length);
  int store_driver(Driver& driver, std::string_view attribute, const std::string& text);
  int store_bus(Node& node, const std::string& text);
  int store_numvfs(Device& device, const std::string& text);
  int store_vgpu_type(Device& device, const std::string& text);
  int new_id(Driver& driver, const std::string& text);
  static int remove_id(Driver& driver, const std::string& text);

  [[nodiscard]] bool matches(const Driver& driver, const Device& device) const;
  int bind(Driver& driver, Device& device);
  void unbind(Device& device);
  void probe(Device& device);
  void attach_driver(Driver& driver);
  void register_driver(Driver& driver);
  void unregister_driver(Driver& driver);

  void add_vf(Device& physfn, unsigned index);
  void disable_vfs(Device& physfn);
  void destroy(Device& device);
  void remove_device(Device& device);
  void rescan();

  void add_frameworks(Device& device);
  void remove_frameworks(Device& device);
  int create_mdev(Device& parent, const VgpuType& type, Node& kind, const std::string& text);
  void remove_mdev(Device& parent, std::list<Mdev>::iterator mdev);
  void count_instances(Card& card);
  [[nodiscard]] std::vector<const VgpuType*> used_types(const Card& card) const;

  // Into the group of that number if it is there, else into a new one.
  void join_group(Node& directory, std::string number, std::string_view kind);
  std::string leave_group(Node& directory);
  void change_refcount(const std::string& module, int by);
  [[nodiscard]] Device* device(std::string_view slot);
  [[nodiscard]] Device* device_of(const Node* directory);
  [[nodiscard]] Driver* driver_of(const Node* directory);

  Tree& tree_;
  std::map<std::string, Driver> drivers_;
  std::vector<Driver*> driver_order_;  // of registration: the first that matches gets a device
  std::map<std::string, Module> modules_;
  std::map<std::string, Card> cards_;
  std::map<std::string, std::unique_ptr<Device>, std::less<>> devices_;
  std::vector<Removed> removed_;
};

}  // namespace simfs
