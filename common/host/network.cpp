// SPDX-License-Identifier: MIT
// What a network card does for this host.
#include "common/host/network.hpp"

#include "common/host/reader.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

/// An interface with an IPv4 address has a route, to its own network at least. (No file tells addresses by interface.)
bool has_ipv4_route(const HostView& host, const std::string& interface) {
  for (const std::string& line : text::lines(host.read_file("/proc/net/route").value_or("")))
    if (const auto words = text::words(line); !words.empty() && words[0] == interface) return true;
  return false;
}

/// An IPv6 address other than the link's own, which every interface gives itself (scope 20: IPV6_ADDR_LINKLOCAL).
bool has_ipv6_address(const HostView& host, const std::string& interface) {
  for (const std::string& line : text::lines(host.read_file("/proc/net/if_inet6").value_or("")))
    if (const auto words = text::words(line); words.size() == 6 && words[5] == interface && words[3] != "20") return true;
  return false;
}

}  // namespace

std::optional<std::string> interface_duty(const HostView& host, const std::string& interface) {
  const std::string dir = "/sys/class/net/" + interface;
  if (const auto master = host.read_link(dir + "/master")) return fmt::format("{} is a port of {}", interface, last_part(*master));
  for (const std::string& entry : host.list_dir(dir).value_or({}))
    if (entry.starts_with("upper_")) return fmt::format("{} carries {}", interface, entry.substr(6));
  if (has_ipv4_route(host, interface) || has_ipv6_address(host, interface)) return interface + " has an IP address";
  return std::nullopt;
}

std::vector<std::string> network_duties(const HostView& host, const std::string& address) {
  std::vector<std::string> out;
  for (const std::string& interface : host.list_dir(fmt::format("/sys/bus/pci/devices/{}/net", address)).value_or({}))
    if (auto duty = interface_duty(host, interface)) out.push_back(std::move(*duty));
  return out;
}

}  // namespace pvegpu
