// SPDX-License-Identifier: MIT
// The host, read once.
#include "common/facts/machine.hpp"

#include "common/facts/kernels.hpp"
#include "common/facts/scan.hpp"
#include "common/host/units.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

Machine complete(Reader& reader, std::vector<PciDevice> devices) {
  Machine out;
  out.devices = std::move(devices);
  out.facts = read_host_facts(reader, vendors_of(out.devices));
  out.gpus = scan_gpus(reader, out.devices, out.facts);
  out.guests = read_guest_facts(reader, out.facts);
  attach_guests(out.gpus, out.guests, out.facts);
  if (!out.gpus.empty()) out.console = read_firmware_console(reader, out.facts.boot);
  return out;
}

}  // namespace

const CardState& Machine::card_state(const HostView& host, const Gpu& gpu) const {
  auto& state = card_states_[gpu.address];
  if (!state) {
    Reader reader(host);
    state = std::make_shared<const CardState>(read_card_state(reader, gpu));
  }
  return *state;
}

std::optional<bool> Machine::unit_runs(const HostView& host, const std::string& unit) const {
  const auto known = units_.find(unit);
  return known != units_.end() ? known->second : units_.emplace(unit, pvegpu::unit_runs(host, unit)).first->second;
}

bool Machine::needs_intel_iommu_on(const HostView& host) const {
  if (!needs_intel_iommu_on_) needs_intel_iommu_on_ = driver::needs_intel_iommu_on(host, facts.kernel);
  return *needs_intel_iommu_on_;
}

const PciDevice* Machine::device(const std::string& address) const {
  for (const PciDevice& device : devices)
    if (device.address == address) return &device;
  return nullptr;
}

Machine read_machine(Reader& reader) {
  auto devices = reader.host().pci_devices();
  if (!devices) reader.add_unreadable("/sys/bus/pci/devices", "PCI devices", devices.error().message);
  return complete(reader, std::move(devices).value_or({}));
}

Machine require_machine(const HostView& host) {
  Reader reader(host);
  return complete(reader, host.pci_devices().or_fail("list the PCI devices"));
}

Place find_place(const std::vector<Gpu>& gpus, const text::PciAddress& address) {
  for (const Gpu& gpu : gpus) {
    if (address.covers(gpu.address)) return {&gpu, nullptr};
    for (const Vf& vf : gpu.sriov.vfs)
      if (address.covers(vf.address)) return {&gpu, &vf};
  }
  return {};
}

bool in_use(const Gpu& gpu) {
  return gpu.used_by && std::any_of(gpu.used_by->begin(), gpu.used_by->end(), [](const Use& use) { return use.running; });
}

std::vector<std::string> running_users(const std::vector<const Gpu*>& cards) {
  std::vector<std::string> out;
  for (const Gpu* card : cards)
    for (const Use& use : card->used_by.value_or(std::vector<Use>()))
      if (use.running)
        out.push_back(fmt::format("guest {}{} has {}", use.vmid, use.name.empty() ? "" : " (" + use.name + ")",
                                  use.address.empty() ? card->address : use.address));
  return out;
}

}  // namespace pvegpu::gpu
