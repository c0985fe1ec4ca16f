// SPDX-License-Identifier: MIT
// Addresses and ids by their form.
#include "common/record/forms.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::record {

std::size_t uuid_at(std::string_view text, std::size_t i) {
  const std::size_t begin = i;
  for (const std::size_t length : {8u, 4u, 4u, 4u, 12u}) {
    if (i != begin && at(text, i++) != '-') return 0;
    if (run_of(text, i, is_hex) != length) return 0;
    i += length;
  }
  return is_alnum(at(text, i)) ? 0 : i - begin;
}

std::size_t id_at(std::string_view text, std::size_t i) {
  return run_of(text, i, is_alnum) == 32 && run_of(text, i, is_hex) == 32 ? 32 : 0;
}

std::size_t mac_at(std::string_view text, std::size_t i) {
  const char separator = at(text, i + 2);
  if (separator != ':' && separator != '-') return 0;
  if (i > 0 && text[i - 1] == separator) return 0;
  const std::size_t begin = i;
  int pairs = 0;
  while (run_of(text, i, is_hex) == 2) {
    ++pairs;
    i += 2;
    if (at(text, i) != separator) break;
    ++i;
  }
  if (at(text, i - 1) == separator || is_alnum(at(text, i))) return 0;
  return pairs == 6 || (pairs > 6 && separator == ':') ? i - begin : 0;
}

std::size_t ipv4_at(std::string_view text, std::size_t i) {
  if (i > 0 && is_one_of(text[i - 1], "._")) return 0;
  const std::size_t begin = i;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && at(text, i++) != '.') return 0;
    const std::size_t length = run_of(text, i, is_digit);
    if (length == 0 || length > 3 || (length > 1 && text[i] == '0')) return 0;
    int number = 0;
    for (std::size_t k = 0; k < length; ++k) number = number * 10 + (text[i + k] - '0');
    if (number > 255) return 0;
    i += length;
  }
  return is_alnum(at(text, i)) || (at(text, i) == '.' && is_digit(at(text, i + 1))) ? 0 : i - begin;
}

std::size_t ipv6_at(std::string_view text, std::size_t i) {
  if (i > 0 && is_one_of(text[i - 1], ":.")) return 0;
  const std::size_t begin = i;
  int colons = 0, groups = 0, doubles = 0;
  while (is_hex(at(text, i)) || at(text, i) == ':') {
    if (at(text, i) == ':') {
      ++colons;
      if (at(text, i + 1) == ':') ++doubles;
      ++i;
    } else {
      const std::size_t length = run_of(text, i, is_hex);
      if (length > 4) return 0;
      ++groups;
      i += length;
    }
  }
  if (is_alnum(at(text, i)) || (at(text, i) == '.' && is_alnum(at(text, i + 1)))) return 0;
  const std::string_view all = text.substr(begin, i - begin);
  if (std::none_of(all.begin(), all.end(), is_digit) || all.ends_with(":::")) return 0;
  return (doubles == 1 && groups >= 2 && groups < 8) || (doubles == 0 && groups == 8 && colons == 7) ? all.size() : 0;
}

std::size_t volume_at(std::string_view text, std::size_t i) {
  const auto upper = [](char c) { return is_digit(c) || (c >= 'A' && c <= 'F'); };
  return run_of(text, i, upper) == 4 && at(text, i + 4) == '-' && run_of(text, i + 5, upper) == 4 && !is_alnum(at(text, i + 9)) ? 9 : 0;
}

bool is_public_uuid(std::string_view uuid) {
  constexpr std::string_view efi[] = {"8be4df61-93ca-11d2-aa0d-00e098032b8c", "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"};
  return std::all_of(uuid.begin(), uuid.begin() + 8, is_digit)
             ? uuid.substr(8, 16) == "-0000-0000-0000-" || uuid.starts_with("00000000-0000-")
             : std::find(std::begin(efi), std::end(efi), text::lower(uuid)) != std::end(efi);
}

bool is_public_address(std::string_view address) {
  for (const char* begin : {"127.", "0.0.0.0", "255."})
    if (address.starts_with(begin)) return true;
  return false;
}

bool is_public_machine(std::string_view name) {
  constexpr std::string_view domains[] = {"debian.org", "proxmox.com", "ceph.com",    "nvidia.com",  "intel.com",  "kernel.org",
                                          "github.com", "example.org", "example.com", "example.net", "ubuntu.com", "localhost"};
  for (const std::string_view domain : domains)
    if (name == domain || (name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.')) return true;
  return false;
}

}  // namespace pvegpu::record
