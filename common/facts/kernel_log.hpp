// SPDX-License-Identifier: MIT
// What the kernel and NVIDIA's daemons have said since the host booted, as far as it names what a GPU lacks: sentence by sentence from a
// table. What NVIDIA's module said before it was loaded again, and a daemon before it was started again, is left out; any other sentence
// tells of its moment: what holds now is for other facts to say, where they can.
#pragma once

#include "common/host/reader.hpp"

namespace pvegpu::gpu {

/// Who writes.
enum class Log { kernel, vgpu_daemon, vgpu_manager };

struct LogFinding {
  const char* name = "";        ///< "open_modules_required"
  const char* cause = "";       ///< a sentence without its full stop
  const char* cure = "";        ///< the same; what to do
  const char* brought_by = "";  ///< reboot, power_off, driver, sriov, packages; empty: hands
  const char* module = "";      ///< whose task brings it, without "pve.gpu."; empty: none's
  std::string line;             ///< what was said
  std::string where;            ///< the command that shows it: "journalctl -b -k"
  std::string address;          ///< of the card; empty: the line names none, it may be any card of that driver

  /// Whether it may be about this card.
  bool concerns(std::string_view card) const { return address.empty() || address == card; }
};

/// One finding for each sentence and card, the most telling sentences first, each with the line that said it last.
std::vector<LogFinding> find_in_log(Log log, std::string_view text);

/// Asks the journal. Unset: it can't be read, the reader has the reason. nvidia-vgpud and nvidia-vgpu-mgr are asked as units.
std::optional<std::vector<LogFinding>> read_log(Reader& reader, Log log);

/// The card that a line of a log names, as in sysfs: "0000:41:00.0"; empty when it names none. "PCI:0000:41:00" means its function 0.
std::string address_in_line(std::string_view line);

}  // namespace pvegpu::gpu
