// SPDX-License-Identifier: MIT
// What the host itself needs.
#include "common/facts/host_use.hpp"

#include "common/host/network.hpp"
#include "common/host/reader.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <cstdlib>

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

/// "nvme0n1" of "nvme0c1n1": a disk of two ports has one such path for each, and its own node is below no card (nvme_core.multipath).
std::string disk_of_path(const std::string& name) {
  const auto path = name.find('c', 4), end = name.find('n', 4);
  const bool is_path = name.starts_with("nvme") && path != name.npos && end != name.npos && path < end;
  return is_path ? name.substr(0, path) + name.substr(end) : name;
}

/// Whether "sda2" or "nvme0n1p3" is a partition of the disk, by its name: the kernel's rule (disk_name) puts a "p" after a digit.
bool is_partition(std::string_view name, const std::string& disk) {
  if (!name.starts_with(disk)) return false;
  name.remove_prefix(disk.size());
  if (disk.back() >= '0' && disk.back() <= '9') {
    if (!name.starts_with('p')) return false;
    name.remove_prefix(1);
  }
  return !name.empty() && name.find_first_not_of("0123456789") == name.npos;
}

/// Names of block devices that are mounted, swapped to, or one of several devices of a btrfs, of which /proc/mounts names the first only.
std::vector<std::string> used_devices(const HostView& host) {
  std::vector<std::string> out = column(host, "/proc/mounts", 0);
  const auto swap = column(host, "/proc/swaps", 0);
  out.insert(out.end(), swap.begin(), swap.end());
  std::erase_if(out, [](const std::string& path) { return !path.starts_with("/dev/"); });
  for (std::string& path : out) path.erase(0, 5);
  for (const std::string& id : host.list_dir("/sys/fs/btrfs").value_or({}))
    for (std::string& name : host.list_dir("/sys/fs/btrfs/" + id + "/devices").value_or({})) out.push_back(std::move(name));
  return out;
}

std::optional<std::string> disk_need(const HostView& host, const std::string& disk) {
  const std::string at = "/sys/block/" + disk;
  const auto entries = host.list_dir(at);
  std::vector<std::string> parts = {disk};
  for (const std::string& name : entries.value_or({}))
    if (name.starts_with(disk)) parts.push_back(name);
  for (const std::string& used : used_devices(host))
    if (used == disk || is_partition(used, disk)) return fmt::format("it has the disk {}, of which the host uses {}", disk, used);
  for (const std::string& part : parts) {
    const std::string holders = (part == disk ? at : at + "/" + part) + "/holders";
    if (const auto names = host.list_dir(holders); names && !names->empty())
      return fmt::format("it has the disk {}, of which {} uses {}", disk, names->front(), part);
  }
  for (const std::string& upper : host.list_dir("/sys/block").value_or({}))
    for (const std::string& lower : host.list_dir("/sys/block/" + upper + "/slaves").value_or({}))
      if (lower == disk || is_partition(lower, disk)) return fmt::format("it has the disk {}, of which {} uses {}", disk, upper, lower);
  if ((!entries || parts.size() > 1) && has(column(host, "/proc/mounts", 2), "zfs"))
    return fmt::format("it has the disk {}, which may belong to a ZFS pool of the host", disk);
  return std::nullopt;
}

/// Whether an input device has the keys of a keyboard, not only buttons: bits 1 to 31 of the last word, Escape to S
/// (linux/input-event-codes.h; what udev's input_id asks).
bool is_keyboard(const HostView& host, const std::string& input) {
  const auto words = text::words(host.read_attr("/sys/class/input/" + input + "/capabilities/key").value_or(""));
  return !words.empty() && (std::strtoull(words.back().c_str(), nullptr, 16) & 0xfffffffeULL) == 0xfffffffeULL;
}

}  // namespace

std::optional<std::string> host_need(const HostView& host, const std::string& address) {
  for (const std::string& disk : below(host, "/sys/block", address))
    if (auto need = disk_need(host, disk_of_path(disk))) return need;
  for (const std::string& interface : below(host, "/sys/class/net", address))
    if (const auto duty = interface_duty(host, interface)) return "its network interface " + *duty;
  return std::nullopt;
}

std::optional<std::string> console_need(const HostView& host, const std::string& address) {
  const std::string at = "/sys/bus/pci/devices/" + address;
  const auto driver = host.read_link(at + "/driver");
  if (!driver || last_part(*driver) == "vfio-pci") return std::nullopt;
  if (host.read_attr(at + "/boot_vga").value_or("") == "1") return "it is the boot display, on which the host's console is";
  bool any = false;
  for (const std::string& input : host.list_dir("/sys/class/input").value_or({})) {
    if (!input.starts_with("input") || !is_keyboard(host, input)) continue;
    const auto target = host.read_link("/sys/class/input/" + input);
    if (!target || !text::contains(*target, "/" + address + "/")) return std::nullopt;
    any = true;
  }
  return any ? std::optional<std::string>("the only keyboard of the host is on it") : std::nullopt;
}

}  // namespace pvegpu::gpu
