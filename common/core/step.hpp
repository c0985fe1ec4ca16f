// SPDX-License-Identifier: MIT
// What is asked of one step: whether it does anything, whether it took effect, and its difference as it is shown.
#pragma once

#include "common/core/plan.hpp"

namespace pvegpu {

/// One that does nothing itself is there for what follows it.
bool acts(const Step& step);

/// The host is as the step says; else why not.
Result<> took_effect(const Step& step, const HostView& host);

/// Ansible's diff of it. What is sensitive is left out.
json difference_of(const Step& step);

}  // namespace pvegpu
