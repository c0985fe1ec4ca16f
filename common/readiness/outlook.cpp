// SPDX-License-Identifier: MIT
// Outlooks.
#include "common/readiness/outlook.hpp"

#include "common/facts/card_functions.hpp"

#include <algorithm>
#include <set>

namespace pvegpu::readiness {
namespace {

gpu::Place place_of(const gpu::Machine& machine, const std::string& address) {
  return gpu::find_place(machine.gpus, text::parse_pci_address(address).or_fail("address of a function"));
}

/// The GPU of which this function is a part (audio, USB-C) without being it.
const gpu::Gpu* card_of(const gpu::Machine& machine, const std::string& function) {
  for (const gpu::Gpu& gpu : machine.gpus)
    for (const gpu::Neighbour& own : gpu.functions)
      if (own.address == function) return &gpu;
  return nullptr;
}

void add(const Condition& unmet, const gpu::Gpu& gpu, Outlook& out) {
  const std::string who = fmt::format("{} ({})", gpu.address, gpu.name);
  if (unmet.by_choice)
    out.warnings.push_back(told(unmet, who));
  else if (auto wait = wait_for(unmet, who); wait && !out.wait)
    out.wait = std::move(wait);
  else if (!wait && out.refusal.empty())
    out.refusal = told(unmet, who);
}

void merge(Outlook one, Outlook& out) {
  for (std::string& warning : one.warnings)
    if (std::find(out.warnings.begin(), out.warnings.end(), warning) == out.warnings.end()) out.warnings.push_back(std::move(warning));
  if (out.refusal.empty()) out.refusal = std::move(one.refusal);
  if (!out.wait) out.wait = std::move(one.wait);
}

Outlook of_one(const HostView& host, const gpu::Machine& machine, const std::vector<std::string>& functions, bool mediated,
               const gpu::Guest* guest) {
  Outlook out;
  const gpu::Gpu* seen = nullptr;
  for (const std::string& function : functions) {
    const gpu::Place place = place_of(machine, function);
    if (!place.gpu || place.gpu == seen) continue;
    seen = place.gpu;
    const Question question{
        .host = host, .machine = machine, .gpu = place.gpu, .way = way_of(place, mediated, machine), .guest = guest, .along = functions};
    for (const Condition& each : unmet(question, Rung::mapping)) add(each, *place.gpu, out);
  }
  std::vector<std::string> others;
  for (const std::string& function : functions) {
    const gpu::Gpu* card = card_of(machine, function);
    const bool judged =
        place_of(machine, function).gpu || (card && std::find(functions.begin(), functions.end(), card->address) != functions.end());
    if (!judged) others.push_back(function);
  }
  if (others.empty() || mediated) return out;
  gpu::HostLoss loss = gpu::loss_at_start(host, machine.devices, others, guest ? guest->vmid : 0);
  if (out.refusal.empty()) out.refusal = loss.needed.empty() ? std::move(loss.of_guests) : std::move(loss.needed);
  if (!seen) out.warnings.insert(out.warnings.end(), loss.warnings.begin(), loss.warnings.end());
  return out;
}

}  // namespace

Outlook outlook(const HostView& host, const gpu::Machine& machine, const std::vector<std::vector<std::string>>& alternatives, bool mediated,
                const gpu::Guest* guest) {
  Outlook out;
  bool any = false;
  for (const std::vector<std::string>& functions : alternatives) {
    Outlook one = of_one(host, machine, functions, mediated, guest);
    any = any || one.good();
    merge(std::move(one), out);
  }
  if (mediated && any) {
    out.refusal.clear();
    out.wait.reset();
  }
  return out;
}

Outlook outlook(const HostView& host, const gpu::Machine& machine, const gpu::MappingSelection& selection, const std::string& node) {
  Outlook out;
  std::set<std::pair<const gpu::Gpu*, bool>> seen;
  for (const text::PciMapEntry& entry : selection.entries) {
    if (entry.node != node) continue;
    const gpu::Place place = gpu::find_place(machine.gpus, entry.members[0]);
    if (!place.gpu || !seen.insert({place.gpu, place.vf != nullptr}).second) continue;
    const bool mediated = !place.vf && place.gpu->framework == gpu::Framework::mdev;
    merge(of_one(host, machine, gpu::functions_behind(entry.members, machine.devices), mediated, nullptr), out);
  }
  for (const gpu::PlannedCard& card : selection.without_vfs) {
    const gpu::Place place = place_of(machine, card.address);
    if (card.node != node || !place.gpu) continue;
    const Question question{.host = host, .machine = machine, .gpu = place.gpu, .way = vf_way_of(*place.gpu)};
    if (place.gpu->is_nvidia() && !question.on_vfs())
      out.refusal = fmt::format("{} ({}): its vGPUs are mediated devices on the card itself: map the card (devices)", place.gpu->address,
                                place.gpu->name);
    else if (const auto unmet = first_unmet(question, Rung::vgpu_types))
      add(*unmet, *place.gpu, out);
  }
  return out;
}

void Outlook::tell(Plan& out) const {
  if (!refusal.empty()) out.refuse(refusal);
  if (wait) out.later(*wait);
  for (const std::string& warning : warnings) out.warn(warning);
}

}  // namespace pvegpu::readiness
