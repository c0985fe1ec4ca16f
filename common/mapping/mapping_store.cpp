// SPDX-License-Identifier: MIT
// Reading and writing /etc/pve/mapping/pci.cfg.
#include "common/mapping/mapping_store.hpp"

#include "common/cluster/api_error.hpp"
#include "common/cluster/cluster_lock.hpp"
#include "common/text/guest_sections.hpp"
#include "common/text/hostpci.hpp"
#include "common/base/sha1.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::cluster {
namespace {

using namespace std::chrono_literals;
using text::PciMapping;

/// Writers of ours queue here, so that they don't spend minutes on each other's digests: 20 at once were seen to need 180 tries and 138 s
/// to 222 s with retries alone. Others (the GUI) don't queue, and who is in it for more than 120 s may lose it: the digest keeps
/// it right, the queue makes it quick.
constexpr const char* queue = "pve-gpu-mapping";
constexpr std::chrono::seconds queue_patience{600}, file_patience{180}, pvesh_timeout{80};
constexpr int most_tries = 20;

using Observed = Result<std::optional<std::string>>;

Observed concerned_now(const HostView& host, const MappingWish& wish) {
  const auto parsed = text::parse_pci_mappings(PVEGPU_TRY(read_pci_cfg(host)));
  return concerned(wish, parsed.find(wish.id));
}

/// The API's exit codes say nothing (pvesh ends with whatever errno was left), its texts do: another one wrote in between, or holds the
/// file for more than 10 s.
bool lost_a_race(const std::string& err) {
  for (const char* text : {"detected modified configuration", "already defined", "does not exist", "got lock request timeout"})
    if (text::contains(err, text)) return true;
  return false;
}

Result<> write(Host& host, const MappingWish& wish) {
  std::string last;
  for (int attempt = 0; attempt < most_tries; ++attempt) {
    const std::string bytes = PVEGPU_TRY(read_pci_cfg(host));
    const text::PciMappings parsed = text::parse_pci_mappings(bytes);
    const PciMapping* now = parsed.find(wish.id);
    const auto next = fulfilled(wish, now);
    if ((!now && !next) || (now && next && text::print_pci_mapping(*now) == text::print_pci_mapping(*next))) return {};
    const CommandResult result =
        PVEGPU_TRY(host.run({pvesh_arguments(wish.id, now, next ? &*next : nullptr, text::sha1_hex(bytes)), pvesh_timeout}));
    if (result.timed_out)
      return Error{fmt::format("pvesh did not end within {} s; see: systemctl status pve-cluster", pvesh_timeout.count())};
    if (result.exit_code == 0) return {};
    last = cause_of(result);
    if (!lost_a_race(result.err)) return Error{fmt::format("pvesh: {}", last)};
    pause_about(host, std::min(100ms * (attempt + 1), 1000ms), attempt);
  }
  return Error{fmt::format(
      "{} tries, and each time others had changed or locked {} in between (pvesh: {}); find who writes it all the time, then run "
      "again",
      most_tries, pci_cfg, last)};
}

}  // namespace

Result<std::string> read_pci_cfg(const HostView& host) {
  auto bytes = host.read_file(pci_cfg);
  if (!bytes && bytes.error().not_found()) return std::string();
  return bytes;
}

Step heal_step(const std::string& pci_cfg_text) {
  const auto poison = [](const std::string& text) {
    std::string removed;
    (void)text::without_poison(text, &removed);
    return removed.empty() ? std::optional<std::string>() : removed;
  };
  Step step;
  step.target = std::string("poisoned sections of ") + pci_cfg;
  step.current = poison(pci_cfg_text);
  step.observe = [poison](const HostView& host) -> Observed { return poison(PVEGPU_TRY(read_pci_cfg(host))); };
  step.apply = [](Host& host) {
    return with_cluster_lock(host, pci_cfg_lock, file_patience, [&host]() -> Result<> {
      const std::string bytes = PVEGPU_TRY(read_pci_cfg(host));
      return host.write_file(pci_cfg, text::without_poison(bytes));
    });
  };
  return step;
}

Step mapping_step(const MappingWish& wish, const PciMapping* now) {
  const auto next = fulfilled(wish, now);
  Step step;
  step.target = "mapping " + wish.id;
  step.current = concerned(wish, now);
  step.desired = concerned(wish, next ? &*next : nullptr);
  step.observe = [wish](const HostView& host) { return concerned_now(host, wish); };
  step.apply = [wish](Host& host) { return with_cluster_lock(host, queue, queue_patience, [&] { return write(host, wish); }); };
  step.verify = [wish](const HostView& host) -> Result<> {
    const auto parsed = text::parse_pci_mappings(PVEGPU_TRY(read_pci_cfg(host)));
    const PciMapping* mapping = parsed.find(wish.id);
    const auto wanted = fulfilled(wish, mapping);
    if (concerned(wish, mapping) == concerned(wish, wanted ? &*wanted : nullptr)) return {};
    return Error{fmt::format("{} does not have it; see: journalctl -u pve-cluster", pci_cfg)};
  };
  return step;
}

std::vector<MappingUser> users_of_mapping(const HostView& host, const std::string& id) {
  std::vector<MappingUser> out;
  const std::string nodes = "/etc/pve/nodes";
  for (const std::string& node : host.list_dir(nodes).or_fail("look for guests that use the mapping")) {
    const std::string directory = fmt::format("{}/{}/qemu-server", nodes, node);
    for (const std::string& name : host.list_dir(directory).value_or({})) {
      if (!name.ends_with(".conf")) continue;
      const auto config = host.read_file(directory + "/" + name);
      if (!config && config.error().not_found()) continue;  // it moved or was destroyed meanwhile
      const std::string bytes = Result<std::string>(config).or_fail("look for guests that use the mapping");
      std::string guest;
      for (const text::GuestSection& section : text::parse_guest_sections(bytes)) {
        if (section.kind != text::GuestSection::Kind::current && section.kind != text::GuestSection::Kind::pending) continue;
        if (const std::string* given = section.find("name"); given && guest.empty()) guest = *given;
        for (const auto& [key, value] : section.values) {
          if (text::numbered_key(key) != "hostpci") continue;
          const auto device = text::parse_hostpci(value);
          const std::string vmid = name.substr(0, name.size() - 5);
          const auto known = [&](const MappingUser& user) { return user.vmid == vmid && user.via == key; };
          if (device && device->mapping == id && std::none_of(out.begin(), out.end(), known)) out.push_back({vmid, guest, node, key});
        }
      }
    }
  }
  return out;
}

std::string why_guests_lose(const HostView& host, const std::string& id, const text::PciMapping* now, const text::PciMapping* next) {
  const auto losing = nodes_that_lose(now, next);
  if (losing.empty()) return {};
  for (const MappingUser& user : users_of_mapping(host, id))
    if (!next || std::find(losing.begin(), losing.end(), user.node) != losing.end())
      return fmt::format("guest {}{} on {} uses mapping {} ({}) and could not start any more; take it from the guest first, or set 'force'",
                         user.vmid, user.name.empty() ? "" : fmt::format(" ({})", user.name), user.node, id, user.via);
  return {};
}

std::string why_no_room(const HostView& host, const text::PciMappings& file, const text::PciMapping* now, const text::PciMapping* next) {
  const auto section = [](const text::PciMapping* mapping) { return mapping ? text::print_pci_mapping(*mapping).size() : 0; };
  const std::size_t size = text::print_pci_mappings(file.mappings).size() - section(now) + section(next);
  if (size > largest_pmxcfs_file)
    return fmt::format(
        "{} would have {} bytes, and the cluster file system takes {}; map only as many virtual functions as there are "
        "seats",
        pci_cfg, size, largest_pmxcfs_file);
  if (const auto free = host.free_space("/etc/pve"); free && *free < size)
    return fmt::format(
        "the cluster file system is full: {} bytes are free in /etc/pve and {} are needed; remove what fills it (pmxcfs "
        "keeps it in /var/lib/pve-cluster)",
        *free, size);
  return {};
}

}  // namespace pvegpu::cluster
