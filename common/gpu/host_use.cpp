// SPDX-License-Identifier: MIT
// What the host itself needs.
#include "common/gpu/host_use.hpp"

#include "common/host/network.hpp"
#include "common/text/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

/// The n-th word of each line of a file of /proc.
std::vector<std::string> column(const HostView& host, const std::string& path, std::size_t n) {
  std::vector<std::string> out;
  for (const std::string& line : text::lines(host.read_file(path).value_or("")))
    if (auto words = text::words(line); words.size() > n) out.push_back(std::move(words[n]));
  return out;
}

bool has(const std::vector<std::string>& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

/// The names in a class whose devices are below this function: /sys/block/sda -> ../devices/…/0000:00:17.0/ata1/…/sda.
std::vector<std::string> below(const HostView& host, const std::string& directory, const std::string& address) {
  std::vector<std::string> out;
  for (const std::string& name : host.list_dir(directory).value_or({}))
    if (const auto target = host.read_link(directory + "/" + name); target && text::contains(*target, "/" + address + "/"))
      out.push_back(name);
  return out;
}

std::optional<std::string> disk_need(const HostView& host, const std::string& disk) {
  const std::string at = "/sys/block/" + disk;
  std::vector<std::string> parts = {disk};
  for (const std::string& name : host.list_dir(at).value_or({}))
    if (name.starts_with(disk)) parts.push_back(name);
  std::vector<std::string> used = column(host, "/proc/mounts", 0);
  const auto swap = column(host, "/proc/swaps", 0);
  used.insert(used.end(), swap.begin(), swap.end());
  for (const std::string& part : parts) {
    if (has(used, "/dev/" + part)) return fmt::format("it has the disk {}, of which the host uses {}", disk, part);
    const std::string holders = (part == disk ? at : at + "/" + part) + "/holders";
    if (const auto names = host.list_dir(holders); names && !names->empty())
      return fmt::format("it has the disk {}, of which {} uses {}", disk, names->front(), part);
  }
  if (parts.size() > 1 && has(column(host, "/proc/mounts", 2), "zfs"))
    return fmt::format("it has the disk {}, which may belong to a ZFS pool of the host", disk);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> host_need(const HostView& host, const std::string& address) {
  for (const std::string& disk : below(host, "/sys/block", address))
    if (auto need = disk_need(host, disk)) return need;
  for (const std::string& interface : below(host, "/sys/class/net", address))
    if (const auto duty = interface_duty(host, interface)) return "its network interface " + *duty;
  return std::nullopt;
}

}  // namespace pvegpu::gpu
