// SPDX-License-Identifier: MIT
// Getters of json that look at the value too.
#include "common/base/json_integer.hpp"

#include <cstdlib>

namespace pvegpu {

void throw_type_error() {
  (void)json().get<std::int64_t>();  // the exception's own maker differs between releases
  std::abort();
}

std::int64_t integer_of(const json& value, std::int64_t least, std::int64_t most) {
  if (!value.is_number_integer()) throw_type_error();
  const auto number = value.get<std::int64_t>();
  const bool wrapped = value.is_number_unsigned() && number < 0;
  if (wrapped || number < least || number > most) throw_type_error();
  return number;
}

}  // namespace pvegpu
