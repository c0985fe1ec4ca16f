// SPDX-License-Identifier: MIT
// Choices that many modules offer.
#pragma once

#include "common/core/params.hpp"

namespace pvegpu {

enum class State { present, absent };
template <>
struct EnumNames<State> {
  static constexpr std::pair<State, const char*> values[] = {{State::present, "present"}, {State::absent, "absent"}};
};

/// Whether the work that a change makes necessary (initramfs, boot menus) is done at once or left to the module follow_ups.
enum class FollowUps { now, later };
template <>
struct EnumNames<FollowUps> {
  static constexpr std::pair<FollowUps, const char*> values[] = {{FollowUps::now, "now"}, {FollowUps::later, "later"}};
};

}  // namespace pvegpu
