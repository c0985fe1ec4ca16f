// SPDX-License-Identifier: MIT
// Guests' configurations in their sections (PVE::QemuServer::parse_vm_config, PVE::LXC::Config::parse_pct_config).
#include "common/text/guest_sections.hpp"

#include "common/text/hostpci.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::text {

const std::string* GuestSection::find(std::string_view key) const {
  for (const auto& entry : values)
    if (entry.first == key) return &entry.second;
  return nullptr;
}

std::vector<GuestSection> parse_guest_sections(std::string_view text) {
  std::vector<GuestSection> out(1);
  for (const std::string& line : lines(text)) {
    if (line.starts_with('#')) continue;
    if (const auto end = line.find(']'); line.starts_with('[') && end != line.npos) {
      GuestSection section;
      section.name = line.substr(1, end - 1);
      const std::string name = lower(section.name);
      section.kind = name == "pending" || name == "pve:pending"    ? GuestSection::Kind::pending
                     : name.find(':') != name.npos || name.empty() ? GuestSection::Kind::other
                                                                   : GuestSection::Kind::snapshot;
      out.push_back(std::move(section));
      continue;
    }
    // Containers also take "lxc.key = value", the same key more than once.
    const bool raw = line.starts_with("lxc.");
    const auto sign = line.find_first_of(raw ? ":=" : ":");
    if (sign == line.npos) continue;
    std::string key = raw ? trim(line.substr(0, sign)) : line.substr(0, sign), value = trim(line.substr(sign + 1));
    if (key.empty() || key[0] < 'a' || key[0] > 'z' || key.find_first_of(" \t") != key.npos || value.empty()) continue;
    if (numbered_key(key) == "hostpci")
      if (const auto parsed = parse_hostpci(value); !parsed) {
        out.back().ignored.push_back(fmt::format("{} '{}': {}", key, value, parsed.error().message));
        continue;
      }
    auto& values = out.back().values;
    const auto twice =
        raw ? values.end() : std::find_if(values.begin(), values.end(), [&](const auto& entry) { return entry.first == key; });
    if (twice == values.end())
      values.emplace_back(std::move(key), std::move(value));
    else
      twice->second = std::move(value);  // the last one counts
  }
  return out;
}

GuestOption guest_option(const std::vector<GuestSection>& sections, std::string_view key) {
  GuestOption out;
  if (sections.empty()) return out;
  for (const auto& [name, value] : sections[0].values)
    if (name == key) out.now = value;
  out.next = out.now;
  for (const GuestSection& section : sections) {
    if (section.kind != GuestSection::Kind::pending) continue;
    for (const auto& [name, value] : section.values) {
      if (name == key) out.next = value;
      if (name != "delete") continue;
      for (std::string each : split(value, ',')) {
        each = trim(each);
        if (each.starts_with('!')) each.erase(0, 1);
        if (each == key) out.next = std::nullopt;
      }
    }
  }
  return out;
}

std::string_view numbered_key(std::string_view key) {
  const auto last = key.find_last_not_of("0123456789");
  if (last == key.npos || last + 1 == key.size()) return {};
  return key.substr(0, last + 1);
}

}  // namespace pvegpu::text
