// SPDX-License-Identifier: MIT
// What becomes of the first line of /etc/kernel/cmdline on its way to the kernel: proxmox-boot-tool puts it into the entries of
// systemd-boot.
#pragma once

#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::text {

/// The options that systemd-boot hands over. proxmox-boot-tool gives the line on by `echo` (zz-proxmox-boot of proxmox-kernel-helper), for
/// which dash takes backslashes as printf's %b does; systemd-boot ends a value at a line break, trims it, and takes off a pair of quotes
/// around the whole (src/boot/efi/boot.c: line_get_key_value).
std::string boot_entry_options(std::string_view line);

/// Why a parameter can't be given to the kernel in this way: the character, in words. Empty: it can.
std::string not_for_boot_entry(const KernelParameter& parameter);

}  // namespace pvegpu::text
