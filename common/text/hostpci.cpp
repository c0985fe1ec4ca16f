// SPDX-License-Identifier: MIT
// hostpciN.
#include "common/text/hostpci.hpp"

#include "common/text/property_string.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::text {
namespace {

/// PVE::JSONSchema::parse_boolean.
Result<bool> parse_flag(const std::string& key, const std::string& value) {
  const std::string word = lower(value);
  if (word == "1" || word == "on" || word == "yes" || word == "true") return true;
  if (word == "0" || word == "off" || word == "no" || word == "false") return false;
  return Error{fmt::format("{} '{}' is neither 0 nor 1", key, value)};
}

/// False: no key that is known here.
Result<bool> take_key(HostPciValue& out, const std::string& key, const std::string& text) {
  std::string* id = key == "vendor-id"       ? &out.vendor_id
                    : key == "device-id"     ? &out.device_id
                    : key == "sub-vendor-id" ? &out.sub_vendor_id
                    : key == "sub-device-id" ? &out.sub_device_id
                                             : nullptr;
  bool* flag = key == "pcie"         ? &out.pcie
               : key == "x-vga"      ? &out.x_vga
               : key == "rombar"     ? &out.rombar
               : key == "legacy-igd" ? &out.legacy_igd
                                     : nullptr;
  if (id) {
    if (!is_hex_id(text)) return Error{fmt::format("{} '{}' is not written like 0x10de", key, text)};
    *id = lower(text);
  } else if (flag) {
    *flag = PVEGPU_TRY(parse_flag(key, text));
  } else if (key == "host") {
    for (const std::string& address : split(text, ';')) out.addresses.push_back(PVEGPU_TRY(parse_pci_address(address)));
  } else if (key == "mapping") {
    out.mapping = text;
  } else if (key == "mdev") {
    out.mdev = text;
  } else if (key == "romfile") {
    out.romfile = text;
  } else if (key == "driver") {
    if (text != "vfio" && text != "keep") return Error{fmt::format("driver '{}' is neither vfio nor keep", text)};
    out.keep_driver = text == "keep";
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool is_hex_id(std::string_view text) {
  return text.size() == 6 && text.starts_with("0x") && text.substr(2).find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

Result<HostPciValue> parse_hostpci_value(std::string_view value) {
  const Properties properties = PVEGPU_TRY(parse_property_string(value, "host"));
  HostPciValue out;
  for (const auto& [key, text] : properties.pairs())
    if (!PVEGPU_TRY(take_key(out, key, text))) return Error{fmt::format("'{}' is no key of hostpci", key)};
  if (out.addresses.empty() == out.mapping.empty()) return Error{"exactly one of an address and mapping= is needed"};
  return out;
}

bool is_ignored_hostpci_value(std::string_view value) {
  const auto properties = parse_property_string(value, "host");
  if (!properties) return true;
  HostPciValue out;
  for (const auto& [key, text] : properties->pairs())
    if (!take_key(out, key, text)) return true;
  return false;
}

std::string print_hostpci_value(const HostPciValue& value) {
  std::vector<std::string> parts;
  if (value.mapping.empty()) {
    std::vector<std::string> addresses;
    for (const PciAddress& address : value.addresses) addresses.push_back(address.str());
    parts.push_back(fmt::format("{}", fmt::join(addresses, ";")));
  } else {
    parts.push_back("mapping=" + value.mapping);
  }
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) parts.push_back(fmt::format("{}={}", key, text));
  };
  add("device-id", value.device_id);
  add("driver", value.keep_driver ? "keep" : "");
  add("legacy-igd", value.legacy_igd ? "1" : "");
  add("mdev", value.mdev);
  add("pcie", value.pcie ? "1" : "");
  add("rombar", value.rombar ? "" : "0");
  add("romfile", value.romfile);
  add("sub-device-id", value.sub_device_id);
  add("sub-vendor-id", value.sub_vendor_id);
  add("vendor-id", value.vendor_id);
  add("x-vga", value.x_vga ? "1" : "");
  return fmt::format("{}", fmt::join(parts, ","));
}

GuestOption guest_option(const std::vector<GuestSection>& sections, std::string_view key) {
  GuestOption out;
  if (sections.empty()) return out;
  for (const auto& [name, value] : sections[0].values)
    if (name == key) out.now = value;
  out.next = out.now;
  for (const GuestSection& section : sections) {
    if (section.kind != GuestSection::Kind::pending) continue;
    for (const auto& [name, value] : section.values) {
      if (name == key) out.next = value;
      if (name != "delete") continue;
      for (std::string each : split(value, ',')) {
        each = trim(each);
        if (each.starts_with('!')) each.erase(0, 1);
        if (each == key) out.next = std::nullopt;
      }
    }
  }
  return out;
}

}  // namespace pvegpu::text
