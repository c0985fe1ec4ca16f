// SPDX-License-Identifier: MIT
// hostpciN.
#include "common/text/hostpci.hpp"

#include "common/text/property_string.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::text {
namespace {

/// PVE::JSONSchema::parse_boolean.
Result<bool> parse_flag(const std::string& key, const std::string& value) {
  const std::string word = lower(value);
  if (word == "1" || word == "on" || word == "yes" || word == "true") return true;
  if (word == "0" || word == "off" || word == "no" || word == "false") return false;
  return Error{fmt::format("{} '{}' is neither 0 nor 1", key, value)};
}

Result<> take_key(HostPci& out, const std::string& key, const std::string& text) {
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
    out.unknown.emplace_back(key, text);
  }
  return {};
}

}  // namespace

bool is_hex_id(std::string_view text) {
  return text.size() == 6 && text.starts_with("0x") && text.substr(2).find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

std::string HostPci::key() const { return fmt::format("hostpci{}", slot); }

Result<HostPci> parse_hostpci(std::string_view value, unsigned slot) {
  const Properties properties = PVEGPU_TRY(parse_property_string(value, "host"));
  HostPci out{slot};
  for (const auto& [key, text] : properties.pairs()) PVEGPU_TRY(take_key(out, key, text));
  return out;
}

std::string canonical_hostpci(const std::string& value) {
  const auto parsed = parse_hostpci(value);
  return parsed ? print_hostpci(*parsed) : value;
}

std::string print_hostpci(const HostPci& value) {
  std::vector<std::string> device, keys;
  for (const PciAddress& address : value.addresses) device.push_back(address.str());
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) keys.push_back(fmt::format("{}={}", key, text));
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
  for (const auto& [key, text] : value.unknown) keys.push_back(fmt::format("{}={}", key, text));
  std::sort(keys.begin(), keys.end());
  if (!value.mapping.empty()) keys.insert(keys.begin(), "mapping=" + value.mapping);
  if (!device.empty()) keys.insert(keys.begin(), fmt::format("{}", fmt::join(device, ";")));
  return fmt::format("{}", fmt::join(keys, ","));
}

}  // namespace pvegpu::text
