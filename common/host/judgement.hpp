// SPDX-License-Identifier: MIT
// Work that a program does for a run, and whether it did it.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu {

/// Whether a program did its work.
struct Judgement {
  std::optional<Error> failure = {};
  bool stays_owed = false;                 ///< the next run may succeed with the same files
  std::vector<std::string> warnings = {};  ///< worth telling, not ours to fail for
};

/// The key in the data of such work that no journal keeps: what only the run that asks for it wants of it. A later one that does it for a
/// run that died may want something else.
inline constexpr const char* this_run = "this_run";

}  // namespace pvegpu
