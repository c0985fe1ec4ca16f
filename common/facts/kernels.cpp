// SPDX-License-Identifier: MIT
// Installed kernels and the next one.
#include "common/facts/kernels.hpp"

#include "common/catalogue/catalogue.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <cctype>

namespace pvegpu::driver {
namespace {

/// Order of Debian's versions as far as kernel releases need it: numbers by value, the rest by byte.
bool is_older(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const auto number = [&](std::string_view& text) {
    unsigned long value = 0;
    while (!text.empty() && digit(text[0])) {
      value = value * 10 + static_cast<unsigned long>(text[0] - '0');
      text.remove_prefix(1);
    }
    return value;
  };
  while (!a.empty() && !b.empty()) {
    if (digit(a[0]) && digit(b[0])) {
      const auto left = number(a), right = number(b);
      if (left != right) return left < right;
    } else {
      if (a[0] != b[0]) return a[0] < b[0];
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.empty() && !b.empty();
}

}  // namespace

std::vector<std::string> pinned_kernels(const HostView& host) {
  std::vector<std::string> out;
  for (const char* pin : {next_boot_file, pin_file})
    if (const auto release = host.read_attr(pin); release && !release->empty()) out.push_back(text::lines(*release)[0]);
  return out;
}

std::vector<std::string> installed_kernels(const HostView& host) {
  constexpr std::string_view image = "vmlinuz-";
  std::vector<std::string> out;
  for (const std::string& name : host.list_dir("/boot").value_or({}))
    if (name.starts_with(image)) out.push_back(name.substr(image.size()));
  std::sort(out.begin(), out.end(), is_older);
  return out;
}

std::string next_kernel(const HostView& host, const std::vector<std::string>& installed) {
  if (const auto pinned = pinned_kernels(host); !pinned.empty()) return pinned[0];
  return installed.empty() ? host.kernel_release() : installed.back();
}

std::vector<std::string> kernels_to_serve(const HostView& host) {
  std::vector<std::string> out = {host.kernel_release()};
  if (const std::string next = next_kernel(host, installed_kernels(host)); next != out[0]) out.push_back(next);
  return out;
}

bool needs_intel_iommu_on(const HostView& host, const std::string& kernel) {
  const std::string config = host.read_file("/boot/config-" + kernel).value_or("");
  if (text::contains(config, "\nCONFIG_INTEL_IOMMU_DEFAULT_ON=y")) return false;
  if (text::contains(config, "\n# CONFIG_INTEL_IOMMU_DEFAULT_ON is not set")) return true;
  const auto series = catalogue::parse_major_minor(kernel);
  return series && *series < catalogue::MajorMinor{6, 8};
}

}  // namespace pvegpu::driver
