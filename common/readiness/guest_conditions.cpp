// SPDX-License-Identifier: MIT
// The mapping and the guest through which a device is to be had. They count for devices of every kind.
#include "common/guest/guest_start.hpp"
#include "common/guest/hostpci_rules.hpp"
#include "common/readiness/conditions.hpp"
#include "common/readiness/judge.hpp"
#include "common/text/guest_sections.hpp"

#include <algorithm>

namespace pvegpu::readiness {
namespace {

/// With the other slots of the guest. What is wrong with a mapping is told by its condition.
std::string why_no_start(const Question& q, const std::vector<text::GuestSection>& sections) {
  const auto start = gpu::start_facts(q.host, q.machine);
  if (!start) return {};
  std::vector<std::string> problems;
  const auto slots = gpu::slots_of(*start, sections, text::hostpci_slots, problems);
  for (const std::string& problem : problems)
    if (q.hostpci->mapping.empty() && problem.starts_with(q.hostpci->key() + ":")) return problem;
  return gpu::why_not_together(*start, q.guest->vmid, slots);
}

/// Of the mapping's cards of this node.
bool another_is_free(const Question& q) {
  if (!q.mapping) return false;
  return std::any_of(q.mapping->entries.begin(), q.mapping->entries.end(), [&](const text::PciMapEntry& entry) {
    if (entry.node != q.facts().node) return false;
    const gpu::Gpu* gpu = gpu::find_place(q.machine.gpus, entry.members[0]).gpu;
    return gpu && gpu->used_by && !gpu::in_use(*gpu);
  });
}

}  // namespace

void mapping_valid(const Question& q, Condition& out) {
  if (!q.missing_mapping.empty())
    return out.fail(fmt::format("there is no mapping '{}' in /etc/pve/mapping/pci.cfg", q.missing_mapping),
                    task("mapping", {{"name", q.missing_mapping}}, BroughtBy::nothing, "pve.gpu.mapping"));
  if (!q.mapping) {
    if (q.gpu && q.vgpu() && q.gpu->framework == gpu::Framework::vendor_vfio)
      out.see("`mdevctl types` is rightly empty with vendor VFIO: a broker needs a mapping");
    return out.skip();
  }
  const auto own = std::count_if(q.mapping->entries.begin(), q.mapping->entries.end(),
                                 [&](const text::PciMapEntry& entry) { return entry.node == q.facts().node; });
  const Cure anew = task("mapping", {{"name", q.mapping->id}}, BroughtBy::nothing, "pve.gpu.mapping, which writes what the card is now");
  if (own > 0)
    if (std::string why = why_refused(q.host, q.machine, *q.mapping); !why.empty()) return out.fail(std::move(why), anew);
  out.see(fmt::format("the mapping {} has {} for this node", q.mapping->id, gpu::counted(own, "card")));
  if (own == 0)
    out.fail(fmt::format("the mapping {} has no entry for this node", q.mapping->id),
             task("mapping", {{"name", q.mapping->id}}, BroughtBy::nothing, "pve.gpu.mapping with a card of this node"));
}

std::string why_refused(const HostView& host, const gpu::Machine& machine, const text::PciMapping& mapping) {
  const auto start = gpu::start_facts(host, machine);
  if (!start) return {};
  const auto device = gpu::resolve(*start, {.mapping = mapping.id});
  const std::string why = device ? gpu::why_stale(*start, *device) : device.error().message;
  return why.empty() ? why : fmt::format("Proxmox VE refuses the mapping {}: {}", mapping.id, why);
}

void guest_starts(const Question& q, Condition& out) {
  if (!q.guest) return out.skip();
  const std::int64_t vmid = q.guest->vmid;
  const std::string path = fmt::format("/etc/pve/nodes/{}/qemu-server/{}.conf", q.facts().node.value_or("localhost"), vmid);
  const auto hostpci = [&](const char* text) { return task("hostpci", {{"vmid", vmid}}, BroughtBy::nothing, text); };
  if (!q.hostpci) return out.fail(fmt::format("guest {} has no hostpci line in {}", vmid, path), hostpci("pve.gpu.hostpci"));
  const auto bytes = q.host.read_file(path);
  if (!bytes) return out.doubt(path + " can't be read");
  const auto sections = text::parse_guest_sections(*bytes);
  const std::string key = q.hostpci->key();
  const std::string* value = sections[0].find(key);
  if (value) out.see(fmt::format("{}: {}: {}", path, key, *value));
  const auto pve = q.facts().pve_version();
  if (const std::string why = pve ? gpu::why_not(*q.hostpci, sections, vmid, *pve) : std::string(); !why.empty()) {
    const auto advice = why.find("; ");  // what to do is told behind it
    return advice == why.npos ? out.fail(why, hostpci("pve.gpu.hostpci with what the guest takes"))
                              : out.fail(why.substr(0, advice), hands(why.substr(advice + 2)));
  }
  if (q.mapping && q.mapping->mdev && q.hostpci->mdev.empty())
    return out.fail(
        fmt::format("the mapping {} is for vGPUs and {} names no mdev type: the guest would get a device whole", q.mapping->id, key),
        hostpci("pve.gpu.hostpci with mdev"));
  if (const std::string why = why_no_start(q, sections); !why.empty())
    return out.fail(why, hostpci("pve.gpu.hostpci with another device or slot"));
  if (const std::string* lock = sections[0].find("lock"))
    out.fail(fmt::format("the guest is locked ({})", *lock), hands(fmt::format("qm unlock {}", vmid)));
}

void nobody_else_has_it(const Question& q, Condition& out) {
  if (!q.gpu->used_by) return out.skip();
  for (const gpu::Use& use : *q.gpu->used_by)
    if (use.running) out.see(fmt::format("guest {} has {}{}", use.vmid, use.address, use.vgpu_type.empty() ? "" : " as " + use.vgpu_type));
  // A card that a guest has is in use, which is what it is there for; it lacks something only to another guest that wants it.
  if (q.way != Way::passthrough || !q.guest) return;
  for (const gpu::Use& use : *q.gpu->used_by)
    if (use.running && use.vmid != q.guest->vmid && !another_is_free(q))
      return out.fail(fmt::format("guest {} has it", use.vmid),
                      hands(fmt::format("shut guest {} down, or give the other one another card", use.vmid)));
}

}  // namespace pvegpu::readiness
