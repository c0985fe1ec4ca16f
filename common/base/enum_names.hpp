// SPDX-License-Identifier: MIT
// The spelling of an enum's values in parameters and answers.
#pragma once

#include <type_traits>
#include <utility>

namespace pvegpu {

/// In the order that the documentation shows:
///   template <> struct EnumNames<Channel> { static constexpr std::pair<Channel, const char*> values[] = {{Channel::keep, "keep"}, …}; };
template <class E>
struct EnumNames;

template <class E>
constexpr const char* enum_name(E value) {
  for (const auto& [each, name] : EnumNames<E>::values)
    if (each == value) return name;
  return nullptr;
}

}  // namespace pvegpu
