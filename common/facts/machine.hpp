// SPDX-License-Identifier: MIT
// The host as everything that judges GPUs sees it: read once, then passed on.
#pragma once

#include "common/facts/card_state.hpp"
#include "common/facts/guests.hpp"
#include "common/facts/host_facts.hpp"

namespace pvegpu::gpu {

struct Machine {
  HostFacts facts;
  std::vector<PciDevice> devices;  ///< all of them, by address
  std::vector<Gpu> gpus;           ///< by address, with their users
  GuestFacts guests;
  FirmwareConsole console;

  /// Of a GPU of this machine, read when it is first asked for.
  const CardState& card_state(const HostView& host, const Gpu& gpu) const;
  /// pvegpu::unit_runs and driver::needs_intel_iommu_on of the running kernel, asked once for all GPUs and ways.
  std::optional<bool> unit_runs(const HostView& host, const std::string& unit) const;
  bool needs_intel_iommu_on(const HostView& host) const;
  /// nullptr: there is none at this address.
  const PciDevice* device(const std::string& address) const;

 private:
  mutable std::map<std::string, std::shared_ptr<const CardState>> card_states_ = {};  ///< by address
  mutable std::map<std::string, std::optional<bool>> units_ = {};
  mutable std::optional<bool> needs_intel_iommu_on_ = {};
};

/// What can't be read is noted with the reader; without PCI devices there are no GPUs.
Machine read_machine(Reader& reader);
/// The same for a task that acts: a ModuleError when the PCI devices can't be listed.
Machine require_machine(const HostView& host);

/// Where an address leads: to a GPU, or to a VF of one.
struct Place {
  const Gpu* gpu = nullptr;  ///< nullptr: there is no such GPU
  const Vf* vf = nullptr;
};
Place find_place(const std::vector<Gpu>& gpus, const text::PciAddress& address);

/// A guest runs that has the card or something of it; false also where the guests can't be read.
bool in_use(const Gpu& gpu);

/// "guest 101 (desktop) has 0000:41:00.4": the running guests that have one of the cards or something of it.
std::vector<std::string> running_users(const std::vector<const Gpu*>& cards);

}  // namespace pvegpu::gpu
