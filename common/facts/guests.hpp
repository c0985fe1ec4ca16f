// SPDX-License-Identifier: MIT
// Which guests of this node use which GPU: by their configurations, by resource mappings, and by what runs now.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/facts/host_facts.hpp"
#include "common/text/guest_config.hpp"
#include "common/text/pci_mapping.hpp"

namespace pvegpu::gpu {

struct Guest {
  std::int64_t vmid = 0;
  bool running = false;
  text::GuestConfig config;
};

struct GuestFacts {
  std::optional<std::vector<Guest>> guests;               ///< of this node; unset: can't be read
  std::optional<std::vector<text::PciMapping>> mappings;  ///< of the cluster; unset: can't be read
  std::vector<text::PciReservation> reservations;         ///< of this node, now
};

GuestFacts read_guest_facts(Reader& reader, const HostFacts& facts);

/// Fills used_by, marks the VFs that running guests hold, and counts again what is available.
void attach_guests(std::vector<Gpu>& gpus, const GuestFacts& guests, const HostFacts& facts);

}  // namespace pvegpu::gpu
