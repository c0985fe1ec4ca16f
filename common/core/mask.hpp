// SPDX-License-Identifier: MIT
// Secrets never leave: not in results, diffs or errors, whatever string they are part of.
#pragma once

#include "common/base/json.hpp"

namespace pvegpu {

/// Every string in an answer with each secret and each login in a URL replaced by asterisks, keys too but for the answer's own: those
/// are ours, and "failed" must stay "failed" when that is somebody's password. Empty secrets mask nothing.
json mask(const json& value, const std::vector<std::string>& secrets);

/// An answer whose sentences and parameters are cut where they are too long to be read, and say so. Cut what is masked already: half a
/// secret would not be found any more.
json cut_short(json answer);
/// A text of at most about so many bytes: its beginning, its length, its end.
std::string cut_short(const std::string& text, std::size_t most);

}  // namespace pvegpu
