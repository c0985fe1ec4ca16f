// SPDX-License-Identifier: MIT
// Which cards get virtual functions (VFs), how many, and what keeps them from having them now.
#pragma once

#include "common/core/plan.hpp"
#include "common/facts/gpu.hpp"
#include "common/facts/host_facts.hpp"

namespace pvegpu::gpu {

/// "max" or a number.
struct VfCount {
  std::optional<std::int64_t> number;  ///< unset: as many as the card has

  std::string str() const { return number ? std::to_string(*number) : "max"; }
};
VfCount parse_vf_count(const std::string& text);  ///< throws ModuleError

/// NVIDIA's driver has no sriov_configure: its VFs are made by NVIDIA's script, which lends the card to pci-pf-stub meanwhile, and
/// always all of them (GPU-FACTS 3). All other drivers take a number in sriov_numvfs.
enum class SriovTool { nvidia_script, kernel };
inline constexpr const char* sriov_manage = "/usr/lib/nvidia/sriov-manage";

struct SriovCard {
  Gpu gpu;  ///< of another class too, where it was named by its address
  SriovTool tool = SriovTool::kernel;
  std::int64_t wanted = 0;        ///< once there is nothing to wait for
  std::optional<Wait> wait = {};  ///< the VFs can't be made yet
  std::vector<std::string> busy;  ///< what runs on the VFs, a phrase each: guests, vGPUs
  bool unknown_guests = false;    ///< the guests' configurations can't be read
  bool has_vfs_wanted() const { return gpu.sriov.enabled == wanted; }
};

struct SriovSkipped {
  std::string address, name, reason;
  bool healthy = false;  ///< it works without VFs, so it is no mistake to have named it

  static void fields(Reply<SriovSkipped>& out);
};

struct SriovChoice {
  std::vector<SriovCard> cards;
  std::vector<SriovSkipped> skipped;  ///< chosen, and rightly without VFs
  std::string refusal;                ///< why nothing must be done
};

/// `device`: a PCI address, a model ("A40", "10de:2235"), or "all", which means display-class functions (03xx) only: what has VFs
/// may be a network or storage card too.
SriovChoice choose_sriov_cards(const HostView& host, const std::string& device, const VfCount& count);

}  // namespace pvegpu::gpu
