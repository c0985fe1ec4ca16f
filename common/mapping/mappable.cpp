// SPDX-License-Identifier: MIT
// Fingerprints for resource mappings.
#include "common/mapping/mappable.hpp"

#include "common/facts/card_functions.hpp"
#include "common/facts/gpu.hpp"
#include "common/facts/scan.hpp"
#include "common/facts/select.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>
#include <map>

namespace pvegpu::gpu {
namespace {

const std::string pci_root = "/sys/bus/pci/devices/";

std::string without_0x(std::string value) { return value.starts_with("0x") ? value.substr(2) : value; }

Error not_there(const std::string& address, const std::string& where) {
  return {fmt::format("no PCI function {} {}", address, where), ENOENT};
}

class Here final : public MappableHost {
 public:
  Here(const HostView& host, std::string node) : host_(host), node_(std::move(node)) {}

  std::string node() const override { return node_; }

  Result<Mappable> function(const std::string& address) const override {
    const std::string dir = pci_root + address;
    if (!host_.exists(dir)) return not_there(address, "on this host");
    const auto attr = [&](const char* name) -> Result<std::string> {
      return without_0x(PVEGPU_TRY(host_.read_attr(fmt::format("{}/{}", dir, name))));
    };
    Mappable out;
    out.address = address;
    out.id = PVEGPU_TRY(attr("vendor")) + ":" + PVEGPU_TRY(attr("device"));
    const auto subsystem_vendor = attr("subsystem_vendor"), subsystem_device = attr("subsystem_device");
    if (subsystem_vendor && subsystem_device) out.subsystem_id = *subsystem_vendor + ":" + *subsystem_device;
    if (const auto group = host_.read_link(dir + "/iommu_group")) {
      const std::string name = group->substr(group->rfind('/') + 1);
      std::int64_t number = 0;
      if (std::from_chars(name.data(), name.data() + name.size(), number).ec == std::errc()) out.iommu_group = number;
    }
    // PVE::SysFSTools::pci_device_info; the second one is NVIDIA's vendor VFIO, on a VF whose driver is there.
    out.mdev = host_.exists(dir + "/mdev_supported_types") || host_.exists(dir + "/nvidia");
    const SlotFunctions slot = slot_functions(host_, devices(), text::pci_device_part(address));
    for (const PciDevice& own : slot.card)
      if (own.address != address) out.siblings.push_back(own.address);
    out.beside = slot.others();
    return out;
  }

  HostLoss loss(const std::vector<text::PciAddress>& members) const override {
    const auto functions = functions_behind(members, devices());
    for (const PciDevice& device : devices())
      if (is_gpu_class(device.device_class) && std::find(functions.begin(), functions.end(), device.address) != functions.end()) return {};
    return loss_at_start(host_, devices(), functions);
  }

  Result<std::vector<std::string>> vfs(const std::string& card) const override {
    const auto names = host_.list_dir(pci_root + card);
    if (!names) return not_there(card, "on this host");
    std::map<std::size_t, std::string> found;
    for (const std::string& name : *names) {
      std::size_t number = 0;
      if (!name.starts_with("virtfn") || std::from_chars(name.data() + 6, name.data() + name.size(), number).ec != std::errc()) continue;
      const std::string target = PVEGPU_TRY(host_.read_link(fmt::format("{}{}/{}", pci_root, card, name)));
      found[number] = target.substr(target.rfind('/') + 1);
    }
    std::vector<std::string> out;
    for (auto& [number, address] : found) out.push_back(std::move(address));
    return out;
  }

  std::vector<std::string> cards(const std::string& model) const override {
    Reader reader(host_);
    std::vector<std::string> out;
    for (const Gpu& gpu : scan_gpus(reader, devices(), read_host_facts(reader, vendors_of(devices())))) {
      if (is_model(gpu, model) && gpu.kind == Kind::gpu) out.push_back(gpu.address);
    }
    return out;
  }

 private:
  const std::vector<PciDevice>& devices() const {
    if (!devices_) devices_ = host_.pci_devices().or_fail("list the PCI devices");
    return *devices_;
  }

  const HostView& host_;
  std::string node_;
  mutable std::optional<std::vector<PciDevice>> devices_;
};

class Documented final : public MappableHost {
 public:
  Documented(std::string node, const std::vector<DocumentedGpu>& gpus) : node_(std::move(node)) {
    if (node_.empty()) throw ModuleError("this is no document of host_info: it has no host.node, or no gpus; give what host_info returned");
    for (const DocumentedGpu& gpu : gpus) {
      Mappable card = mappable(gpu.address, gpu.ids, gpu.iommu_group);
      card.mdev = gpu.framework == Framework::mdev;
      for (const Neighbour& other : gpu.functions) card.siblings.push_back(other.address);
      std::vector<std::string> beside;
      for (const Neighbour& other : gpu.beside) beside.push_back(other.address);
      std::int64_t vfs_in_slot = 0;
      for (const Vf& each : gpu.sriov.vfs) {
        Mappable vf = mappable(each.address, gpu.sriov.vf_ids.value_or(catalogue::PciIds{}), each.iommu_group);
        vf.mdev = gpu.framework == Framework::mdev_on_vfs || gpu.framework == Framework::vendor_vfio;
        if (text::pci_device_part(vf.address) == text::pci_device_part(gpu.address)) ++vfs_in_slot;
        vfs_[gpu.address].push_back(vf.address);
        functions_.emplace(vf.address, std::move(vf));
      }
      if (vfs_in_slot > 0) beside.push_back(counted(vfs_in_slot, "virtual function"));
      card.beside = fmt::format("{}", fmt::join(beside, ", "));
      losses_.emplace(gpu.address, loss_of(gpu));
      if (gpu.kind == Kind::gpu) models_.push_back({{gpu.board_name, gpu.name}, card.id, gpu.address});
      functions_.emplace(gpu.address, std::move(card));
    }
    for (const auto& [address, function] : functions_)
      if (function.id.empty() || !text::parse_pci_address(address))
        throw ModuleError(fmt::format("the document of {} says no ids of {}; let host_info make it again", node_, address));
  }

  std::string node() const override { return node_; }
  Result<Mappable> function(const std::string& address) const override {
    const auto it = functions_.find(address);
    if (it == functions_.end()) return not_there(address, fmt::format("in the document of {}, which knows GPUs and their VFs only", node_));
    return it->second;
  }
  Result<std::vector<std::string>> vfs(const std::string& card) const override {
    if (!functions_.count(card)) return not_there(card, fmt::format("in the document of {}", node_));
    const auto it = vfs_.find(card);
    return it == vfs_.end() ? std::vector<std::string>() : it->second;
  }
  std::vector<std::string> cards(const std::string& model) const override {
    std::vector<std::string> out;
    for (const Model& card : models_)
      if (names_model(model, card.names, card.id)) out.push_back(card.address);
    return out;
  }

  HostLoss loss(const std::vector<text::PciAddress>& members) const override {
    for (const text::PciAddress& member : members)
      if (const auto it = losses_.find(member.first_function()); it != losses_.end()) return it->second;
    return {};
  }

 private:
  /// No vendor: the document tells no ids.
  static Mappable mappable(const std::string& address, const catalogue::PciIds& ids, const std::optional<std::int64_t>& group) {
    Mappable out;
    out.address = address;
    if (ids.vendor != 0) out.id = fmt::format("{:04x}:{:04x}", ids.vendor, ids.device);
    out.subsystem_id = fmt::format("{:04x}:{:04x}", ids.subsystem_vendor, ids.subsystem_device);
    out.iommu_group = group;
    return out;
  }

  HostLoss loss_of(const Gpu& gpu) const {
    HostLoss out;
    for (const Neighbour& other : gpu.iommu_siblings)
      if (!other.needed.empty() && out.needed.empty())
        out.needed =
            fmt::format("{} on {}; it shares the IOMMU group of {}, and a guest gets a group as a whole: put the card in another slot",
                        other.needed, node_, gpu.address);
    if (!gpu.sriov.vfs.empty()) out.warnings.push_back(ends_vfs(gpu.address, static_cast<std::int64_t>(gpu.sriov.vfs.size())));
    return out;
  }

  std::string node_;
  std::map<std::string, HostLoss> losses_;  ///< by the GPU's address
  std::map<std::string, Mappable> functions_;
  std::map<std::string, std::vector<std::string>> vfs_;
  struct Model {
    std::vector<std::string> names;
    std::string id, address;
  };
  std::vector<Model> models_;
};

}  // namespace

std::unique_ptr<MappableHost> mappable_here(const HostView& host, const std::string& node) { return std::make_unique<Here>(host, node); }
std::unique_ptr<MappableHost> mappable_of(const std::string& node, const std::vector<DocumentedGpu>& gpus) {
  return std::make_unique<Documented>(node, gpus);
}

text::PciMapEntry map_entry(const std::string& node, const text::PciAddress& address, const Mappable& function) {
  text::PciMapEntry out;
  out.node = node;
  out.path = address.str();
  out.members = {address};
  out.id = function.id;
  out.subsystem_id = function.subsystem_id;
  out.iommu_group = function.iommu_group;
  out.text = text::print_map_entry(out);
  return out;
}

std::string why_invalid(const text::PciMapEntry& entry, bool mdev, const MappableHost& host, bool check_mdev) {
  const auto shown = [](const std::string& value) { return value.empty() ? std::string("none") : value; };
  const auto differs = [&](const char* what, const std::string& configured, const std::string& hardware) {
    return fmt::format("it says {} {}, the device has {}", what, shown(configured), shown(hardware));
  };
  for (std::size_t i = 0; i < entry.members.size(); ++i) {
    const std::string address = entry.members[i].first_function();
    const auto function = host.function(address);
    if (!function) return fmt::format("there is no device {}", address);
    if (entry.id != function->id) return differs("id", entry.id, function->id);
    if (entry.subsystem_id != function->subsystem_id) return differs("subsystem-id", entry.subsystem_id, function->subsystem_id);
    // Only the first one's group is compared.
    const auto group = [](const std::optional<std::int64_t>& number) { return number ? std::to_string(*number) : std::string(); };
    if (i == 0 && entry.iommu_group != function->iommu_group)
      return differs("iommugroup", group(entry.iommu_group), group(function->iommu_group));
    if (check_mdev && mdev != function->mdev)
      return fmt::format("the mapping has mdev {:d}, the device {}", mdev, function->mdev ? "offers mediated devices" : "offers none");
  }
  return {};
}

}  // namespace pvegpu::gpu
