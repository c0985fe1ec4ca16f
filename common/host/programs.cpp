// SPDX-License-Identifier: MIT
// Running what must succeed.
#include "common/host/programs.hpp"

#include "common/base/strings.hpp"

namespace pvegpu {

Result<> run_checked(Host& host, const std::vector<std::string>& argv, std::chrono::seconds timeout) {
  const CommandResult done = PVEGPU_TRY(host.run({argv, timeout}));
  if (done.timed_out) return Error{fmt::format("{} did not end within {} s", fmt::join(argv, " "), timeout.count())};
  if (done.exit_code == 0) return {};
  const std::string said = text::trim(done.err.empty() ? done.out : done.err);
  return Error{fmt::format("{}: {}", fmt::join(argv, " "), said.empty() ? fmt::format("exit code {}", done.exit_code) : said)};
}

}  // namespace pvegpu
