// SPDX-License-Identifier: MIT
// The note of a guest's hostpciN.
#include "common/guest/hostpci_memory.hpp"

#include "common/core/journal.hpp"

#include <algorithm>

namespace pvegpu::gpu {
bool HostPciMemory::wrote(const std::optional<std::string>& value) const {
  return value && std::find(ours.begin(), ours.end(), text::canonical_hostpci(*value)) != ours.end();
}

HostPciMemory remember(const std::optional<HostPciMemory>& old, const std::optional<std::string>& now, const std::string& wanted) {
  HostPciMemory out = old.value_or(HostPciMemory{now, {}});
  // Others changed it since.
  if (now != out.before && !out.wrote(now)) out.before = now;
  if (!out.wrote(wanted)) out.ours.push_back(text::canonical_hostpci(wanted));
  return out;
}

bool same_device(const std::string& value, const text::HostPci& other) {
  const auto parsed = text::parse_hostpci(value);
  const auto device = [](const text::HostPci& whole) {
    return text::print_hostpci({.addresses = whole.addresses, .mapping = whole.mapping});
  };
  return parsed && device(*parsed) == device(other);
}

NoteName hostpci_note(std::int64_t vmid, unsigned slot) {
  const std::string key = fmt::format("{}-{}", vmid, slot);
  return {"hostpci", key, fmt::format("{}/hostpci/{}.json", state_dir, key)};
}

json to_json(const HostPciMemory& memory) {
  return {{"before", memory.before ? json(*memory.before) : json(nullptr)}, {"ours", memory.ours}};
}

std::optional<HostPciMemory> hostpci_memory(const std::optional<json>& note) {
  if (!note || !note->is_object() || !note->contains("before") || !note->contains("ours")) return std::nullopt;
  const json &before = (*note)["before"], &ours = (*note)["ours"];
  if (!(before.is_null() || before.is_string()) || !ours.is_array()) return std::nullopt;
  HostPciMemory out;
  if (before.is_string()) out.before = before.get<std::string>();
  for (const json& each : ours)
    if (each.is_string()) out.ours.push_back(each.get<std::string>());
  return out;
}

}  // namespace pvegpu::gpu
