// SPDX-License-Identifier: MIT
// PCI addresses.
#include "common/text/pci_address.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::text {
namespace {

bool is_hex(std::string_view s) { return !s.empty() && s.find_first_not_of("0123456789abcdef") == s.npos; }

}  // namespace

std::string PciAddress::str() const { return function ? fmt::format("{}.{:x}", device, *function) : device; }

std::string PciAddress::first_function() const { return function ? str() : device + ".0"; }

bool PciAddress::covers(std::string_view address) const {
  const std::string_view part = pci_device_part(address);
  if (part != device) return false;
  return !function || (address.size() == part.size() + 2 && address.back() == static_cast<char>('0' + *function));
}

Result<PciAddress> parse_pci_address(std::string_view text) {
  const Error wrong{fmt::format("'{}' is not a PCI address like 0000:41:00.0 or 0000:41:00", text)};
  std::string rest = lower(text);
  PciAddress out;
  if (const auto dot = rest.rfind('.'); dot != rest.npos) {
    const std::string function = rest.substr(dot + 1);
    if (function.size() != 1 || function[0] < '0' || function[0] > '7') return wrong;
    out.function = static_cast<unsigned>(function[0] - '0');
    rest.resize(dot);
  }
  std::vector<std::string> parts = split(rest, ':');
  if (parts.size() == 2) parts.insert(parts.begin(), "0000");
  if (parts.size() != 3 || parts[0].size() < 4 || parts[0].size() > 8 || parts[1].size() != 2 || parts[2].size() != 2) return wrong;
  if (!std::all_of(parts.begin(), parts.end(), [](const std::string& part) { return is_hex(part); })) return wrong;
  if (parts[2] > "1f") return wrong;
  out.device = fmt::format("{}:{}:{}", parts[0], parts[1], parts[2]);
  return out;
}

std::string_view pci_device_part(std::string_view address) { return address.substr(0, address.rfind('.')); }

}  // namespace pvegpu::text
