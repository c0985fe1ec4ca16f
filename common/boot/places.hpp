// SPDX-License-Identifier: MIT
// What planning one place of the command line needs of the whole: for cmdline.cpp, grub_place.cpp and file_place.cpp.
#pragma once

#include "common/boot/cmdline.hpp"
#include "common/host/boot_facts.hpp"

namespace pvegpu::boot {

using text::KernelParameter;
using Parameters = std::vector<KernelParameter>;

inline constexpr const char* grub_defaults = "/etc/default/grub";
inline constexpr const char* grub_dropins = "/etc/default/grub.d";
inline constexpr const char* grub_menu = "/boot/grub/grub.cfg";
inline constexpr const char* cmdline_file = "/etc/kernel/cmdline";

/// A module's own file of GRUB's defaults.
inline std::string dropin_of(const std::string& module) { return fmt::format("{}/pve-gpu-{}.cfg", grub_dropins, module); }

/// One run for one wish.
struct Job {
  const HostView& host;
  Plan& plan;
  const CmdlineWish& wish;
  const BootFacts& facts;
  Parameters next = {};  ///< what the next boot gets, as far as known
  std::vector<Conflict> conflicting = {};

  /// Nothing is wished any more: what was changed for this module goes back.
  bool absent() const { return wish.present.empty() && wish.forbidden.empty(); }
  std::string dropin() const { return dropin_of(wish.module); }
};

void plan_grub(Job& job);
void plan_file(Job& job);

bool holds(const Parameters& all, const KernelParameter& one);
std::string listed(const Parameters& all);

/// `wish.withdrawn` as far as it can leave `all`: hugepagesz= stays where a count of it stays.
Parameters leaving(const Parameters& all, const CmdlineWish& wish);
/// The words of others that are unwanted: contradictions, and with `remove` what is withdrawn.
Parameters unwanted(const Parameters& theirs, const CmdlineWish& wish);
/// What becomes of the words of others: all unwanted is taken out, what comes into force by that too.
text::ParameterEdit without_unwanted(Parameters theirs, const CmdlineWish& wish);
/// All words that an edit leaves.
Parameters edited(const Parameters& all, const text::ParameterEdit& edit);
/// What is added so that the kernel that gets `all` and then this does what is wished.
Parameters lacking(Parameters all, const CmdlineWish& wish);

/// A word of others that has to go stands in `file`; `line` 0: in no plain assignment there.
void note_conflict(Job& job, const KernelParameter& theirs, const std::string& file, unsigned line);
/// Words that shall go but are not ours to take.
void keep_foreign(Job& job, const Parameters& theirs, const char* where);

/// A command line as the kernel gets it from one place.
struct Outcome {
  Parameters before;       ///< as others wrote it
  Parameters after;        ///< as it will be
  std::size_t length = 0;  ///< of all that the loader hands over
  bool longer = false;     ///< than it is now
  bool loader_adds_root = false;
};
/// Why a host with such a command line may not boot or not do what is wished; empty: nothing is against it.
std::string objection(const Outcome& outcome, const CmdlineWish& wish, const BootFacts& facts);

}  // namespace pvegpu::boot
