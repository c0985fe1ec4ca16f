// SPDX-License-Identifier: MIT
// GRUB's defaults are shell, and what they come to is GRUB's language (grub_script.hpp). What they come to is asked of a shell
// (Query::grub_cmdline). Here only what we write ourselves, and editing a plain assignment that somebody wrote.
#pragma once

#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::text {

/// A drop-in of ours in /etc/default/grub.d: one marked line of ours, and what others added to the file.
struct GrubDropin {
  std::vector<KernelParameter> parameters = {};  ///< of our line
  std::string foreign = {};                      ///< the file without our lines: bytes of others
  bool has_ours = false;
};
/// A line counts as ours by its mark, or by the head that earlier versions wrote right before it.
GrubDropin parse_grub_dropin(std::string_view file);
/// The file with our line for these parameters, where ours was or at its end; lines of others stay. `module` made it.
std::string print_grub_dropin(const std::vector<KernelParameter>& parameters, std::string_view module, std::string_view file = {});

/// 1-based line of a plain assignment (GRUB_CMDLINE_LINUX="…", GRUB_CMDLINE_LINUX_DEFAULT='…') that holds `parameter`; 0: none.
unsigned grub_line_with(std::string_view file, const KernelParameter& parameter);
/// 1-based line of the last assignment to GRUB_CMDLINE_LINUX_DEFAULT, or else to GRUB_CMDLINE_LINUX; 0: none.
unsigned grub_assignment_line(std::string_view file);
/// 1-based line of the first assignment whose value has a line break or GRUB's own characters in it, else as above.
unsigned grub_broken_line(std::string_view file);
/// `file` with the parameters of its plain assignments edited; all else stays byte for byte.
std::string edit_grub_parameters(std::string_view file, const ParameterEdit& edit);

}  // namespace pvegpu::text
