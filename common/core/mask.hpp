// SPDX-License-Identifier: MIT
// Secrets never leave: not in results, diffs or errors, whatever string they are part of.
#pragma once

#include "common/core/json.hpp"

namespace pvegpu {

/// Every string in an answer with each secret replaced by asterisks, keys too but for the answer's own: those are ours, and
/// "failed" must stay "failed" when that is somebody's password. Empty secrets mask nothing.
json mask(const json& value, const std::vector<std::string>& secrets);

}  // namespace pvegpu
