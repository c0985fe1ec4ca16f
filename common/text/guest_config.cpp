// SPDX-License-Identifier: MIT
// PCI devices of guests.
#include "common/text/guest_config.hpp"

#include "common/text/property_string.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::text {
namespace {

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto number = std::from_chars(text.data(), text.data() + text.size(), out);
  return number.ec == std::errc() && number.ptr == text.data() + text.size();
}

Result<HostPci> parse_hostpci(unsigned index, std::string_view value) {
  const Properties properties = PVEGPU_TRY(parse_property_string(value, "host"));
  HostPci out;
  out.index = index;
  if (const std::string* mapping = properties.find("mapping")) out.mapping = *mapping;
  if (const std::string* mdev = properties.find("mdev")) out.mdev = *mdev;
  if (const std::string* host = properties.find("host"))
    for (const std::string& address : split(*host, ';')) out.addresses.push_back(PVEGPU_TRY(parse_pci_address(address)));
  if (out.addresses.empty() == out.mapping.empty()) return Error{"exactly one of an address and mapping= is needed"};
  return out;
}

}  // namespace

GuestConfig parse_guest_config(std::string_view text) {
  constexpr std::string_view prefix = "hostpci";
  GuestConfig out;
  for (const std::string& line : lines(text)) {
    if (line.starts_with('[')) break;
    const auto colon = line.find(':');
    if (line.starts_with('#') || colon == line.npos) continue;
    const std::string key = line.substr(0, colon), value = trim(line.substr(colon + 1));
    unsigned index = 0;
    if (key == "name") {
      out.name = value;
    } else if (key.starts_with(prefix) && parse_number(std::string_view(key).substr(prefix.size()), index)) {
      if (auto entry = parse_hostpci(index, value))
        out.hostpci.push_back(*std::move(entry));
      else
        out.warnings.push_back(fmt::format("{} '{}': {}", key, value, entry.error().message));
    }
  }
  std::sort(out.hostpci.begin(), out.hostpci.end(), [](const HostPci& a, const HostPci& b) { return a.index < b.index; });
  return out;
}

std::vector<PciReservation> parse_pci_reservations(std::string_view text) {
  std::vector<PciReservation> out;
  for (const std::string& line : lines(text)) {
    const std::vector<std::string> parts = words(line);
    PciReservation entry;
    if (parts.size() != 3 || !(parts[2].starts_with("pid:") || parts[2].starts_with("time:")) || !parse_number(parts[1], entry.vmid))
      continue;
    const auto address = parse_pci_address(parts[0]);
    if (!address) continue;
    entry.address = address->first_function();
    out.push_back(std::move(entry));
  }
  return out;
}

std::optional<MdevOwner> parse_mdev_uuid(std::string_view uuid) {
  constexpr std::string_view middle = "-0000-0000-0000-";
  MdevOwner out;
  if (uuid.size() != 36 || uuid.substr(8, middle.size()) != middle) return std::nullopt;
  if (!parse_number(uuid.substr(0, 8), out.index) || !parse_number(uuid.substr(24), out.vmid) || out.vmid < 100) return std::nullopt;
  return out;
}

}  // namespace pvegpu::text
