// SPDX-License-Identifier: MIT
// GPUs and their users.
#include "common/facts/hardware.hpp"

#include "common/facts/scan.hpp"

namespace pvegpu::driver {

Hardware read_hardware(const HostView& host) {
  Reader reader(host);
  const auto devices = host.pci_devices().or_fail("list the PCI devices");
  Hardware out;
  out.facts = gpu::read_host_facts(reader, gpu::vendors_of(devices));
  out.gpus = gpu::scan_gpus(reader, devices, out.facts);
  gpu::attach_guests(out.gpus, gpu::read_guest_facts(reader, out.facts), out.facts);
  return out;
}

std::vector<std::string> running_users(const std::vector<const gpu::Gpu*>& cards) {
  std::vector<std::string> out;
  for (const gpu::Gpu* card : cards)
    for (const gpu::Use& use : card->used_by.value_or(std::vector<gpu::Use>()))
      if (use.running)
        out.push_back(fmt::format("guest {}{} has {}", use.vmid, use.name.empty() ? "" : " (" + use.name + ")",
                                  use.address.empty() ? card->address : use.address));
  return out;
}

}  // namespace pvegpu::driver
