// SPDX-License-Identifier: MIT
// /var/lib/pve-gpu/hostpci/VMID-SLOT.json
#include "common/guest/hostpci_memory.hpp"

#include "common/core/journal.hpp"
#include "common/base/json.hpp"
#include "common/guest/hostpci_rules.hpp"
#include "common/host/trust.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

std::string directory() { return std::string(state_dir) + "/hostpci"; }
std::string path_of(std::int64_t vmid, unsigned slot) { return fmt::format("{}/{}-{}.json", directory(), vmid, slot); }

}  // namespace

bool HostPciMemory::wrote(const std::optional<std::string>& value) const {
  return value && std::find(ours.begin(), ours.end(), canonical_hostpci(*value)) != ours.end();
}

HostPciMemory remember(const std::optional<HostPciMemory>& old, const std::optional<std::string>& now, const std::string& wanted) {
  HostPciMemory out = old.value_or(HostPciMemory{now, {}});
  // Others changed it since.
  if (now != out.before && !out.wrote(now)) out.before = now;
  if (!out.wrote(wanted)) out.ours.push_back(canonical_hostpci(wanted));
  return out;
}

std::optional<HostPciMemory> read_hostpci_memory(const HostView& host, std::int64_t vmid, unsigned slot) {
  trusted_below(host, state_dir, path_of(vmid, slot)).or_fail(fmt::format("what hostpci{} was before", slot));
  const auto bytes = host.read_file(path_of(vmid, slot));
  const auto parsed = bytes ? parse_json(*bytes) : Result<json>(bytes.error());
  if (!parsed || !parsed->is_object() || !parsed->contains("before") || !parsed->contains("ours")) return std::nullopt;
  const json &before = (*parsed)["before"], &ours = (*parsed)["ours"];
  if (!(before.is_null() || before.is_string()) || !ours.is_array()) return std::nullopt;
  HostPciMemory out;
  if (before.is_string()) out.before = before.get<std::string>();
  for (const json& each : ours)
    if (each.is_string()) out.ours.push_back(each.get<std::string>());
  return out;
}

bool has_hostpci_memory(const HostView& host, std::int64_t vmid, unsigned slot) {
  const std::string path = path_of(vmid, slot);
  const auto names = host.list_dir(directory());
  return names && (names->empty() || host.exists(path) || host.exists(path + temporary_suffix));
}

Result<> write_hostpci_memory(Host& host, std::int64_t vmid, unsigned slot, const HostPciMemory& memory) {
  for (const std::string& each : {std::string(state_dir), directory()})
    if (!host.exists(each)) (void)PVEGPU_TRY(host.make_dir(each, 0700));
  const json content{{"before", memory.before ? json(*memory.before) : json(nullptr)}, {"ours", memory.ours}};
  return host.write_file(path_of(vmid, slot), dump_json(content) + "\n", {.mode = 0600});
}

Result<> remove_hostpci_memory(Host& host, std::int64_t vmid, unsigned slot) {
  const std::string path = path_of(vmid, slot);
  for (const std::string& each : {path, path + temporary_suffix})
    if (host.exists(each)) (void)PVEGPU_TRY(host.remove_file(each));
  if (const auto names = host.list_dir(directory()); names && names->empty()) (void)PVEGPU_TRY(host.remove_dir(directory()));
  return journal::tidy(host);
}

}  // namespace pvegpu::gpu
