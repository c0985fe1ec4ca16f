// SPDX-License-Identifier: MIT
// EFI variables as /sys/firmware/efi/efivars shows them: four bytes of attributes, then the value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pvegpu::text {

/// The first byte of the value: SecureBoot is 1 when it is on.
std::optional<unsigned> efi_byte(std::string_view variable);
/// A 16-bit value: BootCurrent.
std::optional<unsigned> efi_u16(std::string_view variable);
/// A text value (UTF-16): LoaderInfo. What is not ASCII becomes '?'.
std::string efi_text(std::string_view variable);
/// The file that a Boot#### variable (EFI_LOAD_OPTION, UEFI 2.10 section 3.1.3) starts: "\EFI\proxmox\grubx64.efi". Empty when
/// its device path names no file.
std::string efi_boot_file(std::string_view variable);

}  // namespace pvegpu::text
