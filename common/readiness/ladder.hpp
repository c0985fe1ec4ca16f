// SPDX-License-Identifier: MIT
// The why-not ladder: what a GPU, a mapping or a guest needs, from the firmware to the guest, in the order in which one thing rests on
// the other. The first rung that is false is blamed, and no other.
#pragma once

#include "common/inventory/host_document.hpp"

namespace pvegpu::gpu {

/// How guests shall get the GPU.
enum class Way { passthrough, nvidia_vgpu, intel_vgpu, intel_gvtg };
const char* name_of(Way way);

/// What the hardware suggests: a vGPU board and an Intel GPU that can be split are split, the rest is passed through whole.
Way way_of(const Gpu& gpu, const Technologies& technologies);

enum class RungState {
  ok,
  fail,
  unknown,     ///< it can't be told
  not_needed,  ///< this way does without
  waiting,     ///< it fails too, but rests on a lower one that fails; or a reboot that is still to come will bring it
};
const char* name_of(RungState state);

struct Rung {
  std::string name;  ///< "firmware"
  RungState state = RungState::ok;
  std::vector<std::string> evidence;  ///< a file and its value, a sentence each
  std::string cause;                  ///< why it fails
  std::string cure;                   ///< the task or the command that cures it
};

struct LadderTarget {
  const Gpu* gpu = nullptr;  ///< nullptr: the guest or the mapping leads to none
  Way way = Way::passthrough;
  std::string vgpu_type;                      ///< wanted, by name or as a guest's mdev= has it; empty: any
  const text::PciMapping* mapping = nullptr;  ///< through which it is to be had; nullptr: none is asked for
  std::string missing_mapping;                ///< of the guest, but there is none of this name
  const Guest* guest = nullptr;               ///< that shall get it
  const text::HostPci* hostpci = nullptr;     ///< of that guest
};

/// All rungs, in order. At most one of them is `fail`, or `waiting` for a reboot.
std::vector<Rung> climb(const HostView& host, const HostDocument& document, const LadderTarget& target);

}  // namespace pvegpu::gpu
