// SPDX-License-Identifier: MIT
// A guest's start.
#include "common/guest/guest_start.hpp"

#include "common/facts/card_functions.hpp"
#include "common/guest/hostpci_rules.hpp"

#include <algorithm>
#include <map>

namespace pvegpu::gpu {
namespace {

std::string joined(const std::vector<PciDevice>& devices) {
  std::vector<std::string> out;
  for (const PciDevice& device : devices) out.push_back(device.address);
  return fmt::format("{}", fmt::join(out, ";"));
}

/// A slot that is named without a function and holds more than one card.
std::string why_no_card(const StartFacts& facts, const std::string& mapping, const text::PciAddress& member) {
  if (member.function) return {};
  const SlotFunctions slot = slot_functions(facts.host, facts.devices, member.device);
  if (slot.is_one_card()) return {};
  const std::string meaning =
      fmt::format("{}{} means all functions of the slot to Proxmox VE, also {}",
                  mapping.empty() ? std::string() : fmt::format("the mapping '{}': ", mapping), member.device, slot.others());
  if (slot.card.empty()) return fmt::format("{}; name one of them", meaning);
  if (!mapping.empty())
    return fmt::format("{}; let pve.gpu.mapping name the function: devices: [\"{}\"]{}", meaning, slot.card.front().address,
                       slot.vfs.empty() ? "" : ", or its virtual functions (vfs_of)");
  return fmt::format("{}; name the functions of the card: \"{}\"{}", meaning, joined(slot.card),
                     slot.vfs.empty() ? "" : ", or one virtual function");
}

std::vector<const text::PciMapEntry*> entries_here(const StartFacts& facts, const std::string& id) {
  std::vector<const text::PciMapEntry*> out;
  for (const text::PciMapping& mapping : facts.mappings)
    if (mapping.id == id)
      for (const text::PciMapEntry& entry : mapping.entries)
        if (entry.node == facts.node) out.push_back(&entry);
  return out;
}

Error no_mapping(const StartFacts& facts, const std::string& id) {
  std::vector<std::string> names;
  for (const text::PciMapping& mapping : facts.mappings) names.push_back(mapping.id);
  return {fmt::format("there is no mapping '{}' in /etc/pve/mapping/pci.cfg; make it with pve.gpu.mapping{}", id,
                      names.empty() ? std::string() : fmt::format(", or name one of: {}", fmt::join(names, ", ")))};
}

std::string why_not_legacy_igd(const StartDevice& device) {
  if (!device.value.legacy_igd) return {};
  if (device.alternatives.size() > 1)
    return fmt::format("legacy_igd takes one device, and the mapping '{}' has {} here; name the address of one", device.value.mapping,
                       device.alternatives.size());
  const std::vector<std::string>& functions = device.alternatives.front();
  if (functions.size() > 1)
    return fmt::format(
        "legacy_igd takes one function, and this means {} (Proxmox VE: \"legacy IGD assignment is not compatible with multifunction "
        "devices\"); name {}",
        fmt::join(functions, ", "), functions.front());
  if (!functions.front().ends_with("02.0")) return fmt::format("legacy_igd is for the iGPU at 00:02.0, not for {}", functions.front());
  return {};
}

}  // namespace

std::optional<StartFacts> start_facts(const HostView& host, const Machine& machine) {
  const auto pve = machine.facts.pve_version();
  if (!pve) return std::nullopt;
  return StartFacts{
      host, machine.facts.node.value_or(""),          machine.devices, machine.guests.mappings.value_or(std::vector<text::PciMapping>()),
      *pve, machine.facts.iommu.active.value_or(true)};
}

bool StartDevice::is_mediated(const StartFacts& facts) const {
  if (value.mdev.empty()) return false;
  const bool vendor_vfio = value.mdev.starts_with("nvidia-") && !(facts.pve < catalogue::MajorMinor{8, 3});
  return !vendor_vfio || std::none_of(alternatives.begin(), alternatives.end(), [&](const std::vector<std::string>& functions) {
    return facts.host.exists("/sys/bus/pci/devices/" + functions.front() + "/nvidia");
  });
}

Result<StartDevice> resolve(const StartFacts& facts, const text::HostPci& value) {
  std::vector<std::vector<text::PciAddress>> alternatives;
  if (value.mapping.empty()) {
    alternatives.push_back(value.addresses);
  } else {
    if (std::none_of(facts.mappings.begin(), facts.mappings.end(), [&](const text::PciMapping& each) { return each.id == value.mapping; }))
      return no_mapping(facts, value.mapping);
    for (const text::PciMapEntry* entry : entries_here(facts, value.mapping)) alternatives.push_back(entry->members);
    if (alternatives.empty())
      return Error{fmt::format("the mapping '{}' has no entry for {}, so no guest with it can start here; add one with pve.gpu.mapping",
                               value.mapping, facts.node)};
  }
  StartDevice out{value};
  for (const auto& members : alternatives) {
    for (const text::PciAddress& member : members) {
      if (functions_behind({member}, facts.devices).empty())
        return Error{value.mapping.empty()
                         ? fmt::format("there is no PCI device {} on {}; see: lspci -D", member.str(), facts.node)
                         : fmt::format("no guest with the mapping '{}' starts on {} while its entry {} is not there; pve.gpu.mapping "
                                       "with purge=node takes it out",
                                       value.mapping, facts.node, member.str())};
      if (std::string why = why_no_card(facts, value.mapping, member); !why.empty()) return Error{std::move(why)};
    }
    out.alternatives.push_back(functions_behind(members, facts.devices));
  }
  if (std::string why = why_not_legacy_igd(out); !why.empty()) return Error{std::move(why)};
  return out;
}

std::vector<StartDevice> slots_of(const StartFacts& facts, const std::vector<text::GuestSection>& guest, unsigned without,
                                  std::vector<std::string>& problems) {
  std::vector<StartDevice> out;
  for (unsigned slot = 0; slot < text::hostpci_slots; ++slot) {
    const auto text = slot == without ? std::nullopt : text::guest_option(guest, fmt::format("hostpci{}", slot)).next;
    const auto value = text ? text::parse_hostpci(*text, slot) : Result<text::HostPci>(Error{"empty"});
    if (!value || !value->names_device()) continue;
    auto device = resolve(facts, *value);
    if (const std::string why = device ? why_stale(facts, *device) : device.error().message; !why.empty())
      problems.push_back(fmt::format("hostpci{}: {}", slot, why));
    if (device) out.push_back(*std::move(device));
  }
  return out;
}

std::string why_stale(const StartFacts& facts, const StartDevice& device) {
  const auto here = mappable_here(facts.host, facts.node);
  for (const text::PciMapping& mapping : facts.mappings) {
    if (mapping.id != device.value.mapping) continue;
    for (const text::PciMapEntry& each : mapping.entries) {
      if (each.node != facts.node) continue;
      text::PciMapEntry entry = each;
      if (!facts.iommu) entry.iommu_group.reset();
      if (const std::string why = why_invalid(entry, mapping.mdev, *here, !(facts.pve < catalogue::MajorMinor{8, 4})); !why.empty())
        return fmt::format(
            "no guest with the mapping '{}' starts on {}: of its entry {} {} (Proxmox VE: \"PCI device mapping invalid (hardware probably "
            "changed)\"); pve.gpu.mapping writes what the hardware is now",
            mapping.id, facts.node, entry.path, why);
    }
  }
  return {};
}

std::string why_not_together(const StartFacts& facts, std::int64_t vmid, const std::vector<StartDevice>& devices) {
  std::map<std::string, unsigned> used;  // function -> slot
  const auto taken = [&](const std::string& function) { return used.count(function) > 0; };
  for (const StartDevice& device : devices) {
    if (device.is_mediated(facts)) continue;
    const std::vector<std::string>* chosen = &device.alternatives.front();
    if (device.alternatives.size() > 1) {
      const auto free = std::find_if(device.alternatives.begin(), device.alternatives.end(),
                                     [&](const std::vector<std::string>& each) { return std::none_of(each.begin(), each.end(), taken); });
      if (free == device.alternatives.end())
        return fmt::format(
            "guest {} would not start: all {} entries of the mapping '{}' for {} are in its other slots before hostpci{} (Proxmox VE: "
            "\"could not find a free device for 'hostpci{}'\"); give it fewer devices, or the mapping more",
            vmid, device.alternatives.size(), device.value.mapping, facts.node, device.value.slot, device.value.slot);
      chosen = &*free;
    }
    for (const std::string& function : *chosen) {
      const auto [other, fresh] = used.try_emplace(function, device.value.slot);
      if (!fresh)
        return fmt::format(
            "guest {} would not start: it would have {} twice, as hostpci{} and as hostpci{}{} (Proxmox VE: \"device '{}' assigned more "
            "than "
            "once\"); use one slot for it, or name another device",
            vmid, function, other->second, device.value.slot,
            device.value.mapping.empty() ? std::string() : fmt::format(" (mapping '{}')", device.value.mapping), function);
    }
  }
  return {};
}

std::string why_clash(const StartFacts& facts, std::int64_t vmid, const std::vector<text::GuestSection>& guest, const StartDevice& own,
                      std::vector<std::string>& of_others) {
  std::vector<std::string> problems;
  std::vector<StartDevice> all = slots_of(facts, guest, own.value.slot, problems);
  for (const std::string& problem : problems)
    of_others.push_back(fmt::format("another slot keeps guest {} from starting, {}", vmid, problem));
  if (std::string why = why_not_together(facts, vmid, all); !why.empty()) {
    of_others.push_back(std::move(why));
    return {};
  }
  all.push_back(own);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.value.slot < b.value.slot; });
  return why_not_together(facts, vmid, all);
}

}  // namespace pvegpu::gpu
