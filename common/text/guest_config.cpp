// SPDX-License-Identifier: MIT
// PCI devices of guests.
#include "common/text/guest_config.hpp"

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

}  // namespace

GuestConfig current_config(const std::vector<GuestSection>& sections) {
  GuestConfig out;
  for (const auto& [key, value] : sections.at(0).values) {
    if (key == "name") out.name = value;
    unsigned slot = 0;
    if (numbered_key(key) != "hostpci" || !parse_number(std::string_view(key).substr(7), slot)) continue;
    auto entry = parse_hostpci(value, slot);
    if (entry && entry->names_device())
      out.hostpci.push_back(*std::move(entry));
    else
      out.warnings.push_back(fmt::format("{} '{}': exactly one of an address and mapping= is needed", key, value));
  }
  std::sort(out.hostpci.begin(), out.hostpci.end(), [](const HostPci& a, const HostPci& b) { return a.slot < b.slot; });
  return out;
}

GuestConfig parse_guest_config(std::string_view text) {
  const auto sections = parse_guest_sections(text);
  GuestConfig out = current_config(sections);
  out.warnings.insert(out.warnings.begin(), sections[0].ignored.begin(), sections[0].ignored.end());
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
