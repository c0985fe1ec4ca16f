// SPDX-License-Identifier: MIT
// Files of processor microcode as the kernel loads them: Intel's (SDM volume 3, 11.11 "Microcode update facilities") and AMD's containers
// (Linux, arch/x86/kernel/cpu/microcode/amd.c). Several updates lie in one file, each for some processors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pvegpu::text {

/// CPUID(1).EAX of a processor as /proc/cpuinfo describes it.
std::uint32_t cpu_signature(std::uint32_t family, std::uint32_t model, std::uint32_t stepping);
/// The newest revision in the file for this processor; nullopt: it has none. `platform`: Intel's processor flags, 0 when unknown.
std::optional<std::uint32_t> microcode_revision(std::string_view file, std::uint32_t signature, std::uint32_t platform);
/// The file with zeros for the code: what microcode_revision() reads stays.
std::string microcode_headers(std::string file);

}  // namespace pvegpu::text
