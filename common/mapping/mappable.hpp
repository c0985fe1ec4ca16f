// SPDX-License-Identifier: MIT
// PCI functions as a resource mapping has to name them, of this host or of another one whose host_info document is at hand.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/facts/host_loss.hpp"
#include "common/text/pci_mapping.hpp"

#include <memory>

namespace pvegpu::gpu {

/// What Proxmox VE compares when a guest starts (PVE::Mapping::PCI::assert_valid).
struct Mappable {
  std::string address;
  std::string id, subsystem_id;             ///< subsystem: empty when the device has none
  std::optional<std::int64_t> iommu_group;  ///< none: the mapping may have none either
  bool mdev = false;                        ///< it offers mediated devices or NVIDIA's vendor VFIO now
  std::vector<std::string> siblings;        ///< the other functions of the same card, by address
  /// What else Proxmox VE would pass for the slot without a function: "0000:c5:00.2 (USB controller)", "8 virtual functions"; empty when
  /// the slot is the card.
  std::string beside;
};

class MappableHost {
 public:
  virtual ~MappableHost() = default;
  virtual std::string node() const = 0;
  /// Error with ENOENT when there is no such function.
  virtual Result<Mappable> function(const std::string& address) const = 0;
  /// The VFs of a card, by their number. Error when there is no such card.
  virtual Result<std::vector<std::string>> vfs(const std::string& card) const = 0;
  /// The GPUs of a model, by the catalogue's name of the board or the one that host_info shows; case does not matter.
  virtual std::vector<std::string> cards(const std::string& model) const = 0;
  /// Of a guest's start with these members of an entry, whole; of this host's GPUs readiness::outlook tells it.
  virtual HostLoss loss(const std::vector<text::PciAddress>& members) const = 0;
};

/// This host, out of sysfs.
std::unique_ptr<MappableHost> mappable_here(const HostView& host, const std::string& node);
/// A GPU out of a host_info document.
struct DocumentedGpu : Gpu {
  std::string board_name;  ///< of the catalogue; "" when it is not there or not certain
};
/// A host out of its host_info document; throws ModuleError when that is none.
std::unique_ptr<MappableHost> mappable_of(const std::string& node, const std::vector<DocumentedGpu>& gpus);

/// The entry for one function or, without a function in the address, for the whole card (whose function 0 is compared).
text::PciMapEntry map_entry(const std::string& node, const text::PciAddress& address, const Mappable& function);

/// Why a guest could not start with this entry of this host; "" when it could. `check_mdev`: whether the release compares the flag (8.4).
std::string why_invalid(const text::PciMapEntry& entry, bool mdev, const MappableHost& host, bool check_mdev);

}  // namespace pvegpu::gpu
