// SPDX-License-Identifier: MIT
// Programs that must succeed.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu {

/// Runs it. The error names it with what it said, or how it ended.
Result<> run_checked(Host& host, const std::vector<std::string>& argv, std::chrono::seconds timeout = std::chrono::seconds(600));

}  // namespace pvegpu
