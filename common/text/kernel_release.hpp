// SPDX-License-Identifier: MIT
// Kernel releases as uname writes them, compared by version.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace pvegpu::text {

struct KernelVersion {
  int major = 0, minor = 0;
  auto operator<=>(const KernelVersion&) const = default;
};

/// "6.8.12-4-pve" is 6.8; nullopt for what does not begin with two numbers.
std::optional<KernelVersion> parse_kernel_release(std::string_view release);

}  // namespace pvegpu::text
