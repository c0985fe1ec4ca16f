// SPDX-License-Identifier: MIT
// The conditions in their order, and for which ways each counts.
#include "common/readiness/judge.hpp"

#include "common/readiness/conditions.hpp"

#include <algorithm>

namespace pvegpu::readiness {
namespace {

constexpr unsigned bit(Way way) { return 1u << static_cast<unsigned>(way); }
constexpr unsigned whole = bit(Way::passthrough), nvidia = bit(Way::nvidia_vgpu), intel = bit(Way::intel_vgpu), gvtg = bit(Way::intel_gvtg),
                   amd = bit(Way::amd_mxgpu), all = whole | nvidia | intel | gvtg | amd;

struct Entry {
  Rung rung;
  const char* name;
  unsigned ways;
  void (*judge)(const Question&, Condition&);
  bool without_gpu = false;  ///< it is about the host, the mapping or the guest
  bool programs = false;     ///< without programs nothing can be said
};

constexpr Entry table[] = {
    {Rung::firmware, "iommu_table", all, firmware_table, true},
    {Rung::firmware, "virtualization", all, virtualization, true},
    {Rung::command_line, "command_line", all, command_line, true},
    {Rung::command_line, "next_boot", all, next_command_line, true, true},
    {Rung::iommu, "iommu_on", all, iommu_on, true},
    {Rung::iommu, "iommu_group", all, iommu_group},
    {Rung::iommu, "group_alone", whole, group_alone},
    {Rung::board, "card_there", all, card_there, true},
    {Rung::board, "no_console", all, no_console},
    {Rung::board, "host_spares_it", whole, host_spares_it},
    {Rung::board, "nvidia_board", nvidia, nvidia_board},
    {Rung::board, "nvidia_kernel", nvidia, nvidia_kernel},
    {Rung::board, "nvidia_branch", nvidia, nvidia_branch},
    {Rung::board, "intel_board", intel, intel_board},
    {Rung::board, "intel_kernel", intel, intel_kernel},
    {Rung::board, "gvtg_board", gvtg, gvtg_board},
    {Rung::board, "amd_board", amd, amd_board},
    {Rung::display, "boot_display", whole | nvidia, boot_display},
    {Rung::display, "displays_free", nvidia, displays_free},
    {Rung::display, "outputs_off", nvidia, nvidia_outputs},
    {Rung::card, "card_answers", all, card_answers},
    {Rung::card, "windows_assigned", whole | nvidia | amd, windows_assigned},
    {Rung::card, "sriov_capability", nvidia, nvidia_capability},
    {Rung::card, "vf_windows_assigned", nvidia, vf_windows_assigned},
    {Rung::card, "no_reserved_memory", whole, no_reserved_memory},
    {Rung::card, "no_firmware_framebuffer", whole, no_firmware_framebuffer},
    {Rung::card, "can_be_reset", whole, can_be_reset},
    {Rung::card, "alone_on_its_board", whole, alone_on_its_board},
    {Rung::build, "nvidia_built", nvidia, nvidia_built},
    {Rung::build, "intel_built", intel, intel_built},
    {Rung::rival_driver, "not_on_vfio", nvidia | intel | gvtg, held_by_vfio},
    {Rung::rival_driver, "nvidia_rival", nvidia, nvidia_rival},
    {Rung::rival_driver, "intel_rival", intel, intel_rival},
    {Rung::driver, "vfio_allowed", whole, vfio_kept_away},
    {Rung::driver, "nvidia_allowed", nvidia, nvidia_kept_away},
    {Rung::driver, "intel_allowed", intel | gvtg, intel_kept_away},
    {Rung::driver, "nvidia_flavour", nvidia, nvidia_flavour},
    {Rung::driver, "nvidia_loaded", nvidia, nvidia_loaded},
    {Rung::driver, "nvidia_bound", nvidia, nvidia_bound},
    {Rung::driver, "nvidia_initialised", nvidia, nvidia_initialised},
    {Rung::driver, "nvidia_vgpu_vfio", nvidia, nvidia_vgpu_vfio},
    {Rung::driver, "nvidia_manager", nvidia, nvidia_manager},
    {Rung::driver, "intel_makes_vfs", intel, intel_makes_vfs},
    {Rung::driver, "gvtg_driver", gvtg, gvtg_driver},
    {Rung::driver, "amd_driver", amd, amd_driver},
    {Rung::sriov, "no_vfs", whole, no_vfs_on_whole_card},
    {Rung::sriov, "vfs_enabled", nvidia | intel, vfs_enabled},
    {Rung::sriov, "vf_drivers", nvidia, nvidia_vf_drivers},
    {Rung::vgpu_types, "no_vgpus", whole, no_vgpus_on_whole_card},
    {Rung::vgpu_types, "types_offered", nvidia, nvidia_types},
    {Rung::vgpu_types, "types_offered", gvtg, gvtg_types},
    {Rung::vgpu_types, "type_wanted", nvidia | gvtg, wanted_type},
    {Rung::mapping, "mapping_valid", all, mapping_valid, true},
    {Rung::guest, "guest_starts", all, guest_starts, true},
    {Rung::use, "free", all, nobody_else_has_it},
};

Condition answer(const Entry& entry, const Question& question) {
  Condition out;
  out.rung = entry.rung;
  out.name = entry.name;
  if ((entry.ways & bit(question.way)) == 0 || (!question.gpu && !entry.without_gpu) || (entry.programs && !question.asks_programs))
    out.skip();
  else
    entry.judge(question, out);
  if (out.state == State::unmet && question.asks_programs) explain(question, out);
  return out;
}

}  // namespace

std::vector<Condition> judge(const Question& question) {
  std::vector<Condition> out;
  bool never = false;
  for (const Entry& entry : table) {
    if (never && !entry.without_gpu) {  // what this GPU lacks for a way that it can't go is no question
      out.push_back({entry.rung, entry.name, State::not_needed});
      continue;
    }
    out.push_back(answer(entry, question));
    never = never || out.back().never;
  }
  return out;
}

Condition judge(const Question& question, std::string_view name) {
  for (const Entry& entry : table)
    if (name == entry.name && (entry.ways & bit(question.way)) != 0) return answer(entry, question);
  throw std::logic_error(fmt::format("no condition {} for {}", name, name_of(question.way)));
}

const Condition* first_unmet(const std::vector<Condition>& conditions) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [](const Condition& each) { return each.state == State::unmet && !each.next_boot; });
  return found == conditions.end() ? nullptr : &*found;
}

std::vector<Condition> unmet(const Question& question, Rung before, BroughtBy own) {
  Question exact = question;
  exact.asks_programs = true;
  std::vector<Condition> out;
  for (const Entry& entry : table) {
    if (entry.rung >= before) break;
    Condition found = answer(entry, question);
    if (found.state != State::unmet || found.next_boot) continue;
    if (own != BroughtBy::nothing && found.cure.by == own) continue;
    out.push_back(question.asks_programs ? std::move(found) : answer(entry, exact));
    if (!out.back().by_choice) break;
  }
  return out;
}

std::optional<Condition> first_unmet(const Question& question, Rung before, BroughtBy own) {
  auto found = unmet(question, before, own);
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::string told(const Condition& condition, const std::string& who) {
  return fmt::format("{}: {}: {}", who, condition.cause, condition.cure.text);
}

std::string why_not(const Question& question, std::string_view name) {
  const Condition condition = judge(question, name);
  if (condition.state != State::unmet) return {};
  return told(condition, fmt::format("{} ({})", question.gpu->address, question.gpu->name));
}

std::optional<Wait> wait_for(const Condition& condition, const std::string& who) {
  if (condition.cure.by == BroughtBy::nothing || condition.cure.by == BroughtBy::power_off) return std::nullopt;
  return Wait{name_of(condition.cure.by), told(condition, who)};
}

}  // namespace pvegpu::readiness
