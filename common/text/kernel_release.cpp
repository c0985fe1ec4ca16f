// SPDX-License-Identifier: MIT
// Kernel releases.
#include "common/text/kernel_release.hpp"

#include <charconv>

namespace pvegpu::text {

std::optional<KernelVersion> parse_kernel_release(std::string_view release) {
  KernelVersion out;
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, out.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  if (std::from_chars(major.ptr + 1, end, out.minor).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace pvegpu::text
