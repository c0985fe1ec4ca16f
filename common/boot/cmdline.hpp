// SPDX-License-Identifier: MIT
// The kernel command line of the next boot: parameters of a module get to where this host's loader reads them, and away again.
// Where that is: PVE-FACTS 4.3. Contradicting parameters of others are never touched unless asked.
#pragma once

#include "common/core/params.hpp"
#include "common/core/plan.hpp"
#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::boot {

/// What to do with parameters of others that contradict ours, or that shall be absent.
enum class Conflicts { refuse, remove };

struct CmdlineWish {
  std::string module;                                 ///< names the drop-in, owns the undo records
  std::vector<text::KernelParameter> present = {};    ///< what the next boot shall have
  std::vector<text::KernelParameter> withdrawn = {};  ///< what this module may have added earlier and no longer wants
  std::vector<text::KernelParameter> forbidden = {};  ///< what contradicts the wish by itself, such as intel_iommu=off
  Conflicts conflicts = Conflicts::refuse;
};

struct LoaderAnswer {
  std::string kind;
  std::vector<std::string> evidence, places;

  static void fields(Reply<LoaderAnswer>& out);
};

/// A parameter of others that contradicts the wish.
struct Conflict {
  std::string parameter, file;
  unsigned line = 0;

  bool operator==(const Conflict&) const = default;
  static void fields(Reply<Conflict>& out);
};

struct CmdlineAnswer {
  LoaderAnswer loader;
  std::optional<std::vector<Conflict>> conflicting = {};  ///< unset: there was no place to look for them

  static void fields(Reply<CmdlineAnswer>& out);
};

/// Adds the differences to the plan, with update-grub or proxmox-boot-tool refresh as follow-ups, `reboot_required` judged by
/// /proc/cmdline, and reports a CmdlineAnswer. Refuses hosts whose loader has no place for them.
void plan_cmdline(const HostView& host, Plan& plan, const CmdlineWish& wish);

/// The parameters that this module's plan of the command line added and that are there still, wherever they are kept.
std::vector<text::KernelParameter> contributed(const HostView& host, const Plan& plan, const std::string& module);

}  // namespace pvegpu::boot

template <>
struct pvegpu::EnumNames<pvegpu::boot::Conflicts> {
  static constexpr std::pair<boot::Conflicts, const char*> values[] = {{boot::Conflicts::refuse, "refuse"},
                                                                       {boot::Conflicts::remove, "remove"}};
};
