// SPDX-License-Identifier: MIT
// Integers in records that anything may have happened to.
#pragma once

#include "common/base/json.hpp"

namespace pvegpu {

/// Throws as the getters of json do for a value of another type.
[[noreturn]] void throw_type_error();

/// An integer in these limits. Throws as json's own getters do, which take 1e300, true and 2^40 for an int.
std::int64_t integer_of(const json& value, std::int64_t least, std::int64_t most);

}  // namespace pvegpu
