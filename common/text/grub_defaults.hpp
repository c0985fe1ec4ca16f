// SPDX-License-Identifier: MIT
// GRUB's defaults are shell: what they come to is asked of a shell (Query::grub_cmdline). Here only what we write ourselves, and
// taking a parameter out of a plain assignment that somebody wrote.
#pragma once

#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::text {

/// A drop-in for /etc/default/grub.d that adds parameters to what other files say.
std::string print_grub_dropin(const std::vector<KernelParameter>& parameters);
/// The parameters of such a drop-in; of anything else none.
std::vector<KernelParameter> parse_grub_dropin(std::string_view file);

/// 1-based line of a plain assignment (GRUB_CMDLINE_LINUX="…", GRUB_CMDLINE_LINUX_DEFAULT='…') that holds `parameter`; 0: none.
unsigned grub_line_with(std::string_view file, const KernelParameter& parameter);
/// `file` without these parameters in its plain assignments; all else stays byte for byte.
std::string without_grub_parameters(std::string_view file, const std::vector<KernelParameter>& drop);

}  // namespace pvegpu::text
