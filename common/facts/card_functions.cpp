// SPDX-License-Identifier: MIT
// Functions of a card.
#include "common/facts/card_functions.hpp"

#include "common/facts/gpu.hpp"
#include "common/facts/scan.hpp"
#include "common/host/reader.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

constexpr const char* pci_root = "/sys/bus/pci/devices/";
constexpr std::uint16_t hd_audio = 0x0403;

}  // namespace

bool is_bridge_class(std::uint16_t pci_class) { return pci_class >> 8 == 0x06; }

std::string SlotFunctions::others() const {
  std::vector<std::string> out;
  for (const PciDevice& device : beside) out.push_back(fmt::format("{} ({})", device.address, class_words(device.device_class)));
  if (!vfs.empty()) out.push_back(counted(static_cast<std::int64_t>(vfs.size()), "virtual function"));
  return fmt::format("{}", fmt::join(out, ", "));
}

SlotFunctions slot_functions(const HostView& host, const std::vector<PciDevice>& devices, std::string_view device) {
  SlotFunctions out;
  const PciDevice* gpu = nullptr;
  bool mixed = false;
  for (const PciDevice& each : devices) {
    if (text::pci_device_part(each.address) != device) continue;
    if (host.exists(pci_root + each.address + "/physfn")) {
      out.vfs.push_back(each);
      continue;
    }
    out.card.push_back(each);
    mixed = mixed || each.vendor != out.card.front().vendor;
    if (!gpu && is_gpu_class(each.device_class)) gpu = &each;
  }
  const auto belongs = [&](const PciDevice& each) {
    if (is_bridge_class(each.device_class)) return false;
    if (!gpu || each.address == gpu->address) return true;
    if (each.vendor != gpu->vendor) return false;
    return !mixed || each.device_class == hd_audio || is_gpu_class(each.device_class);
  };
  const auto parted = std::stable_partition(out.card.begin(), out.card.end(), belongs);
  out.beside.assign(parted, out.card.end());
  out.card.erase(parted, out.card.end());
  return out;
}

std::vector<std::string> functions_behind(const std::vector<text::PciAddress>& members, const std::vector<PciDevice>& devices) {
  std::vector<std::string> out;
  for (const text::PciAddress& member : members)
    for (const PciDevice& device : devices)
      if (member.covers(device.address)) out.push_back(device.address);
  return out;
}

std::string described(const HostView& host, const PciDevice& device) {
  const auto driver = host.read_link(pci_root + device.address + "/driver");
  return fmt::format("{} ({}{})", device.address, class_words(device.device_class), driver ? ", driver " + last_part(*driver) : "");
}

}  // namespace pvegpu::gpu
