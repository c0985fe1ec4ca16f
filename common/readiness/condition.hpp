// SPDX-License-Identifier: MIT
// What a GPU needs before guests can have it in one of the ways there are, as an ordered list of conditions: each rests on those before it.
// Nothing else in the project decides what a GPU lacks; who asks takes the conditions up to its own step (judge.hpp).
#pragma once

#include "common/facts/card_state.hpp"
#include "common/facts/machine.hpp"
#include "common/text/hostpci.hpp"

namespace pvegpu::readiness {

/// How guests get a GPU: as a whole, or in parts.
enum class Way { passthrough, nvidia_vgpu, intel_vgpu, intel_gvtg, amd_mxgpu };
const char* name_of(Way way);

/// The rungs of the ladder, in order. A rung is the conditions of one subject.
enum class Rung {
  firmware,
  command_line,
  iommu,
  board,
  display,
  card,
  build,
  rival_driver,
  driver,
  sriov,
  vgpu_types,
  mapping,
  guest,
  use,
};
const char* name_of(Rung rung);

/// What makes a condition true that is not.
enum class BroughtBy {
  nothing,  ///< nothing does by itself: a person has to
  reboot,
  power_off,
  driver,        ///< the installation of a driver
  sriov,         ///< making VFs
  display_mode,  ///< switching the display outputs off
  file,          ///< a file that the user brings
  packages,
};
const char* name_of(BroughtBy by);

/// What cures it: a task, or words for hands.
struct Cure {
  std::string text;
  BroughtBy by = BroughtBy::nothing;
  std::string module = {};     ///< the task's, without "pve.gpu."; empty: nothing that this collection does
  json args = json::object();  ///< the task's, as far as they are known
};

enum class State {
  met,
  unmet,
  unknown,     ///< it can't be told; `cause` says why
  not_needed,  ///< this way does without
};

struct Condition {
  Rung rung = Rung::firmware;
  std::string name;  ///< "nvidia_flavour"
  State state = State::met;
  std::vector<std::string> evidence = {};  ///< a file and its value, a sentence each
  std::string cause = {};                  ///< why it is not met
  Cure cure = {};
  bool never = false;      ///< not met, and no cure makes this GPU go this way
  bool next_boot = false;  ///< it is met now and will not be after the next boot
  bool by_choice = false;  ///< not met, and Proxmox VE gives the card to a guest all the same: what is lost then, a person may want to lose

  void see(std::string sentence) { evidence.push_back(std::move(sentence)); }
  void fail(std::string why, Cure with);
  void fail_for_ever(std::string why, std::string instead);
  void doubt(std::string why);
  void skip() { state = State::not_needed; }
};

/// What is asked about.
struct Question {
  const HostView& host;
  const gpu::Machine& machine;
  const gpu::Gpu* gpu = nullptr;  ///< nullptr: the guest or the mapping leads to none
  Way way = Way::passthrough;
  /// Programs may be asked too (systemd, the boot loader's defaults, logs): the cause of what is not met is told more exactly. It decides
  /// about no condition but those of the next boot.
  bool asks_programs = false;
  std::string vgpu_type = {};                 ///< wanted, by name or as a guest's mdev= has it; empty: any
  const text::PciMapping* mapping = nullptr;  ///< through which it is to be had; nullptr: none is asked for
  std::string missing_mapping = {};           ///< of the guest, but there is none of this name
  const gpu::Guest* guest = nullptr;          ///< that shall get it
  const text::HostPci* hostpci = nullptr;     ///< of that guest
  std::vector<std::string> along = {};        ///< functions that go to the same guest on purpose
  std::optional<std::string> nvidia = {};     ///< a driver version that is judged instead of the one that is there

  const gpu::HostFacts& facts() const { return machine.facts; }
  bool vgpu() const { return way == Way::nvidia_vgpu; }
  /// Guests get virtual functions of the card.
  bool on_vfs() const;
  const gpu::CardState& card() const { return machine.card_state(host, *gpu); }
  /// Of the GPU: "/sys/bus/pci/devices/0000:41:00.0/NAME".
  std::string sysfs(std::string_view name) const;
};

}  // namespace pvegpu::readiness
