// SPDX-License-Identifier: MIT
// A GPU as this host shows it.
#include "common/facts/gpu.hpp"

#include <algorithm>

namespace pvegpu::gpu {

catalogue::VgpuClass Gpu::vgpu_class() const {
  if (boards.empty()) return catalogue::VgpuClass::none;
  const bool same =
      std::all_of(boards.begin(), boards.end(), [&](const catalogue::Board& b) { return b.vgpu_class == boards[0].vgpu_class; });
  return same ? boards[0].vgpu_class : catalogue::VgpuClass::none;
}

std::vector<std::string> Gpu::connected_displays() const {
  std::vector<std::string> out;
  if (displays)
    for (const Display& display : *displays)
      if (display.status == "connected") out.push_back(display.connector);
  return out;
}

std::string class_words(std::uint16_t pci_class) {
  if (pci_class == 0x0c03) return "USB controller";
  switch (pci_class >> 8) {
    case 0x01:
      return "storage controller";
    case 0x02:
      return "network controller";
    case 0x03:
      return "display controller";
    case 0x04:
      return "multimedia device";
    case 0x06:
      return "bridge";
    case 0x10:
      return "encryption controller";
    case 0x12:
      return "processing accelerator";
    default:
      return fmt::format("device of class {:04x}", pci_class);
  }
}

std::string counted(std::int64_t count, std::string_view what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

std::string hex4(unsigned value) { return fmt::format("{:04x}", value); }

}  // namespace pvegpu::gpu
