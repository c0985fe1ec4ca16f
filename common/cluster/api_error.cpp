// SPDX-License-Identifier: MIT
// Sorting the lines that pvesh and qm write when they fail.
#include "common/cluster/api_error.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::cluster {
namespace {

bool is_usage(std::string_view line) {
  for (const std::string_view program : {"pvesh ", "qm ", "USAGE", "usage"})
    if (line.starts_with(program)) return true;
  return false;
}

/// "400 Parameter verification failed.": what follows says which parameter and why (PVE::Exception::stringify).
bool is_status(const std::string& line) { return line.size() > 4 && line.find_first_not_of("0123456789") == 3 && line[3] == ' '; }

}  // namespace

std::string cause_of(const CommandResult& result) {
  std::vector<std::string> lines;
  for (const std::string& line : text::lines(result.err))
    if (std::string words = text::trim(line); !words.empty()) lines.push_back(std::move(words));
  while (lines.size() > 1 && is_usage(lines.back())) lines.pop_back();
  if (lines.empty()) return fmt::format("exit code {}", result.exit_code);
  const auto status = std::find_if(lines.begin(), lines.end(), is_status);
  lines.erase(lines.begin(), status != lines.end() ? status : lines.end() - 1);
  return fmt::format("{}", fmt::join(lines, " "));
}

}  // namespace pvegpu::cluster
