// SPDX-License-Identifier: MIT
// Secrets never leave: not in results, diffs or errors, whatever string they are part of.
#pragma once

#include "common/core/json.hpp"

namespace pvegpu {

/// Every string in `value`, keys too, with each secret replaced by asterisks. Empty secrets mask nothing.
json mask(const json& value, const std::vector<std::string>& secrets);

}  // namespace pvegpu
