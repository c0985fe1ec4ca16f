// SPDX-License-Identifier: MIT
// displaymodeselector's output.
#include "common/text/display_modes.hpp"

#include "common/base/result.hpp"
#include "common/base/strings.hpp"

#include <cstdlib>

namespace pvegpu::text {
namespace {

/// "0000:af:00.0" of "... S:00,B:AF,D:00,F:00"; "" without one.
std::string address_in(const std::string& line) {
  const auto part = [&](const char* mark) -> std::optional<unsigned long> {
    const auto at = line.find(mark);
    if (at == line.npos) return std::nullopt;
    const char* start = line.c_str() + at + 2;
    char* end = nullptr;
    const unsigned long value = std::strtoul(start, &end, 16);
    return end == start ? std::nullopt : std::optional(value);
  };
  const auto segment = part("S:"), bus = part("B:"), device = part("D:"), function = part("F:");
  if (!segment || !bus || !device || !function || *bus > 0xff || *device > 0x1f || *function > 7) return {};
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", *segment, *bus, *device, *function);
}

}  // namespace

std::vector<DisplayAdapter> parse_display_adapters(std::string_view output) {
  std::vector<DisplayAdapter> out;
  for (const std::string& raw : lines(output)) {
    const std::string line = trim(raw);
    if (const std::string address = address_in(line); !address.empty()) {
      DisplayAdapter adapter{static_cast<unsigned>(out.size()), address, {}};
      if (line.front() == '<') {
        char* end = nullptr;
        const unsigned long number = std::strtoul(line.c_str() + 1, &end, 10);
        if (*end == '>') adapter.index = static_cast<unsigned>(number);
      }
      out.push_back(std::move(adapter));
      continue;
    }
    if (const auto at = lower(line).find("gpu mode:"); at == 0 && !out.empty() && out.back().mode.empty())
      out.back().mode = trim(line.substr(9));
  }
  return out;
}

ModeOutcome judge_mode_change(std::string_view output) {
  const std::string text = lower(output);
  const auto says = [&](const char* words) { return contains(text, words); };
  if (says("not supported on this device")) return ModeOutcome::unsupported;
  if (says("in order to avoid the irreparable damage") || says("unload the nvidia kernel driver")) return ModeOutcome::driver_loaded;
  if (says("falcon in halt or stop")) return ModeOutcome::falcon;
  if (says("/dev/mem") && (says("not permitted") || says("denied") || says("restricted"))) return ModeOutcome::no_dev_mem;
  if (says("access to physical memory denied")) return ModeOutcome::no_dev_mem;
  if (says("successfully updated gpu mode") || says("succesfully updated gpu mode")) return ModeOutcome::updated;
  if (says("permission denied") || says("exec format error")) return ModeOutcome::not_executable;
  if (says("press 'y'") || says("select a number")) return ModeOutcome::aborted;
  return ModeOutcome::unknown;
}

}  // namespace pvegpu::text
