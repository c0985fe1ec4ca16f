// SPDX-License-Identifier: MIT
// The conditions, by the file of their subject. Each is given its name and rung by the table in judge.cpp.
#pragma once

#include "common/readiness/condition.hpp"

namespace pvegpu::readiness {

// host_conditions.cpp
void firmware_table(const Question&, Condition&);
void virtualization(const Question&, Condition&);
void command_line(const Question&, Condition&);
void next_command_line(const Question&, Condition&);
void iommu_on(const Question&, Condition&);
void iommu_group(const Question&, Condition&);
void group_alone(const Question&, Condition&);
// card_conditions.cpp
void card_there(const Question&, Condition&);
void no_console(const Question&, Condition&);
void host_spares_it(const Question&, Condition&);
void card_answers(const Question&, Condition&);
void windows_assigned(const Question&, Condition&);
void vf_windows_assigned(const Question&, Condition&);
void no_reserved_memory(const Question&, Condition&);
void no_firmware_framebuffer(const Question&, Condition&);
void can_be_reset(const Question&, Condition&);
void alone_on_its_board(const Question&, Condition&);
void boot_display(const Question&, Condition&);
void displays_free(const Question&, Condition&);
void no_vfs_on_whole_card(const Question&, Condition&);
void no_vgpus_on_whole_card(const Question&, Condition&);
void vfio_kept_away(const Question&, Condition&);
void held_by_vfio(const Question&, Condition&);
void vfs_enabled(const Question&, Condition&);
// nvidia_conditions.cpp
void nvidia_board(const Question&, Condition&);
void nvidia_kernel(const Question&, Condition&);
void nvidia_branch(const Question&, Condition&);
void nvidia_outputs(const Question&, Condition&);
void nvidia_capability(const Question&, Condition&);
void nvidia_built(const Question&, Condition&);
void nvidia_rival(const Question&, Condition&);
void nvidia_kept_away(const Question&, Condition&);
void nvidia_loaded(const Question&, Condition&);
void nvidia_flavour(const Question&, Condition&);
void nvidia_bound(const Question&, Condition&);
void nvidia_initialised(const Question&, Condition&);
void nvidia_vgpu_vfio(const Question&, Condition&);
void nvidia_manager(const Question&, Condition&);
void nvidia_vf_drivers(const Question&, Condition&);
void nvidia_types(const Question&, Condition&);
void wanted_type(const Question&, Condition&);
// intel_conditions.cpp
void intel_board(const Question&, Condition&);
void intel_kernel(const Question&, Condition&);
void intel_built(const Question&, Condition&);
void intel_rival(const Question&, Condition&);
void intel_kept_away(const Question&, Condition&);
void intel_makes_vfs(const Question&, Condition&);
void gvtg_board(const Question&, Condition&);
void gvtg_driver(const Question&, Condition&);
void gvtg_types(const Question&, Condition&);
// amd_conditions.cpp
void amd_board(const Question&, Condition&);
void amd_driver(const Question&, Condition&);
// guest_conditions.cpp
void mapping_valid(const Question&, Condition&);
void guest_starts(const Question&, Condition&);
void nobody_else_has_it(const Question&, Condition&);

/// "pve.gpu.sriov", and what it is asked for: `args` as a person writes them after "with".
Cure task(std::string module, json args, BroughtBy by, std::string text = {});
/// Words for a person.
Cure hands(std::string text);

/// What the logs say of a condition that is not met, in its place. explain.cpp
void explain(const Question&, Condition&);

/// A driver is kept away by the command line or a line of modprobe.d, at the next boot too or only now.
void judge_kept_away(const Question&, Condition&, const std::string& module, bool by_name);

}  // namespace pvegpu::readiness
