// SPDX-License-Identifier: MIT
// What a start takes away.
#include "common/facts/host_loss.hpp"

#include "common/cluster/vm.hpp"
#include "common/facts/card_functions.hpp"
#include "common/facts/gpu.hpp"
#include "common/facts/host_use.hpp"
#include "common/host/reader.hpp"
#include "common/text/guest_config.hpp"

#include <algorithm>
#include <cstdlib>

namespace pvegpu::gpu {
namespace {

std::string sysfs(const std::string& address) { return "/sys/bus/pci/devices/" + address; }

/// A function that leaves the host.
struct Taken {
  const PciDevice* device = nullptr;
  std::string with;   ///< the passed function in whose IOMMU group it is; empty when it is passed itself
  std::string group;  ///< its number
};

std::vector<Taken> taken(const HostView& host, const std::vector<PciDevice>& devices, const std::vector<std::string>& functions) {
  std::vector<Taken> out;
  const auto add = [&](const std::string& address, const std::string& with, const std::string& group) {
    const auto device = std::find_if(devices.begin(), devices.end(), [&](const PciDevice& each) { return each.address == address; });
    if (device == devices.end() || (!with.empty() && is_bridge_class(device->device_class))) return;
    if (std::none_of(out.begin(), out.end(), [&](const Taken& each) { return each.device == &*device; }))
      out.push_back({&*device, with, group});
  };
  for (const std::string& function : functions) add(function, "", "");
  for (const std::string& function : functions) {
    const auto group = host.read_link(sysfs(function) + "/iommu_group");
    if (!group) continue;
    for (const std::string& member : host.list_dir(sysfs(function) + "/iommu_group/devices").value_or({}))
      add(member, function, last_part(*group));
  }
  return out;
}

std::vector<std::string> vfs_of(const HostView& host, const std::string& address) {
  std::vector<std::string> out;
  for (const std::string& name : host.list_dir(sysfs(address)).value_or({}))
    if (name.starts_with("virtfn"))
      if (const auto target = host.read_link(sysfs(address) + "/" + name)) out.push_back(last_part(*target));
  return out;
}

/// Parts of the function that guests which run have: VFs that are reserved for them, and mediated devices, named after their guest.
std::string parts_in_use(const HostView& host, const std::string& address, const std::vector<std::string>& vfs, std::int64_t own) {
  const auto has_it = [&](std::int64_t vmid) { return vmid != own && cluster::vm_runs(host, vmid); };
  for (const text::PciReservation& held : text::parse_pci_reservations(host.read_file("/run/qemu-server/pci-id-reservations").value_or("")))
    if (std::find(vfs.begin(), vfs.end(), held.address) != vfs.end() && has_it(held.vmid))
      return fmt::format("guest {} has {}", held.vmid, held.address);
  std::vector<std::string> parents = vfs;
  parents.push_back(address);
  for (const std::string& parent : parents)
    for (const std::string& name : host.list_dir(sysfs(parent)).value_or({}))
      if (const auto owner = text::parse_mdev_uuid(name); owner && has_it(owner->vmid))
        return fmt::format("guest {} has a vGPU on {}", owner->vmid, parent);
  return {};
}

}  // namespace

std::string why_needed(const HostView& host, const PciDevice& device) {
  const auto need = host_need(host, device.address);
  return need ? fmt::format("the host itself needs {}: {}", described(host, device), *need) : std::string();
}

std::string ends_vfs(const std::string& address, std::int64_t count) {
  return fmt::format(
      "{} has {}, which {} when a guest starts with the card itself; to give guests these, map them (vfs_of of pve.gpu.mapping)", address,
      counted(count, "virtual function"), count == 1 ? "ends" : "end");
}

HostLoss loss_at_start(const HostView& host, const std::vector<PciDevice>& devices, const std::vector<std::string>& functions,
                       std::int64_t vmid) {
  HostLoss out;
  std::vector<std::string> along;  // of other cards, by no fault of theirs
  std::string group, with;
  for (const Taken& each : taken(host, devices, functions)) {
    const std::string& address = each.device->address;
    const std::string how =
        each.with.empty()
            ? std::string()
            : fmt::format("; it shares the IOMMU group {} with {}, and a guest gets a group as a whole: put the card in another slot",
                          each.group, each.with);
    if (std::string need = why_needed(host, *each.device); !need.empty() && out.needed.empty()) out.needed = std::move(need) + how;
    if (const auto need = console_need(host, address))
      out.warnings.push_back(fmt::format("the console of this host ends when a guest starts with {}: {}", address, *need));
    if (const auto vfs = vfs_of(host, address); !vfs.empty() || host.exists(sysfs(address) + "/mdev_supported_types")) {
      const std::string use = parts_in_use(host, address, vfs, vmid);
      if (!use.empty() && out.of_guests.empty())
        out.of_guests = fmt::format("{}, which would end with {} going to a guest whole{}", use, address, how);
      if (!vfs.empty()) out.warnings.push_back(ends_vfs(address, static_cast<std::int64_t>(vfs.size())));
    }
    if (each.with.empty()) continue;
    const SlotFunctions slot = slot_functions(host, devices, text::pci_device_part(each.with));
    if (std::any_of(slot.card.begin(), slot.card.end(), [&](const PciDevice& own) { return own.address == address; })) continue;
    const auto driver = host.read_link(sysfs(address) + "/driver");
    if (!driver || last_part(*driver) == "vfio-pci") continue;
    along.push_back(described(host, *each.device));
    group = each.group;
    with = each.with;
  }
  if (!along.empty() && out.needed.empty())
    out.warnings.push_back(fmt::format("a guest that starts with {} takes {} from the host along with it: they share the IOMMU group {}",
                                       with, fmt::join(along, " and "), group));
  return out;
}

}  // namespace pvegpu::gpu
