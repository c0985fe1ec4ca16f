// SPDX-License-Identifier: MIT
// Drivers of PCI functions.
#include "common/passthrough/binding.hpp"

#include "common/base/strings.hpp"

#include <cstdlib>

namespace pvegpu::gpu {
namespace {

std::string driver_dir(const std::string& driver) { return "/sys/bus/pci/drivers/" + driver; }

}  // namespace

bool is_registered(const HostView& host, const std::string& driver) { return host.exists(driver_dir(driver)); }

std::optional<std::string> busy(const HostView& host, const std::string& driver) {
  const std::string module = driver_dir(driver) + "/module";
  const auto count = host.read_attr(module + "/refcnt");
  if (!count) return std::nullopt;  // built in
  const long holders = static_cast<long>(host.list_dir(module + "/holders").value_or({}).size());
  const long users = std::strtol(count->c_str(), nullptr, 10) - holders;
  if (users <= 0) return std::nullopt;
  return fmt::format("the driver {} is in use ({} user{})", driver, users, users == 1 ? "" : "s");
}

}  // namespace pvegpu::gpu
