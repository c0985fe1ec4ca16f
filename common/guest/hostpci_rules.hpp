// SPDX-License-Identifier: MIT
// What Proxmox VE asks of a guest's hostpciN before it starts the guest, as far as the guest's own configuration and the release decide it.
#pragma once

#include "common/catalogue/catalogue.hpp"
#include "common/text/guest_sections.hpp"
#include "common/text/hostpci.hpp"

#include <optional>

namespace pvegpu::gpu {

/// A sentence: why a guest with this configuration would not take or not start with `value` in its slot, and what to do. Empty when
/// nothing is against it. PVE::QemuServer::PCI (parse_hostpci_devices, choose_hostpci_devices, $hostpci_fmt by release).
std::string why_not(const text::HostPci& value, const std::vector<text::GuestSection>& guest, std::int64_t vmid, catalogue::MajorMinor pve);

}  // namespace pvegpu::gpu
