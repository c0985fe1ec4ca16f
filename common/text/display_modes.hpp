// SPDX-License-Identifier: MIT
// What NVIDIA's displaymodeselector prints, 1.48 to 1.75. Its exit codes are not documented: the text decides.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

struct DisplayAdapter {
  unsigned index = 0;   ///< as `-i` takes it; where the list has no numbers, the place in the list
  std::string address;  ///< "0000:af:00.0"
  std::string mode;     ///< as printed: "Graphics mode with physical display disabled", "Compute", "N/A"; empty when it is not said
};
/// The adapters of `--list` and `--listgpumodes`.
std::vector<DisplayAdapter> parse_display_adapters(std::string_view output);

enum class ModeOutcome {
  updated,
  unsupported,     ///< this board has no such mode
  driver_loaded,   ///< NVIDIA's kernel driver is loaded
  falcon,          ///< the card's controller is stopped: "Falcon In HALT or STOP state"
  no_dev_mem,      ///< /dev/mem is closed: lockdown, Secure Boot
  not_executable,  ///< noexec, or not a program
  aborted,         ///< it asked a question and got no answer
  unknown,
};
ModeOutcome judge_mode_change(std::string_view output);

}  // namespace pvegpu::text
