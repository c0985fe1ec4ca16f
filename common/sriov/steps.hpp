// SPDX-License-Identifier: MIT
// The differences between a card's virtual functions and the wish.
#pragma once

#include "common/sriov/cards.hpp"

namespace pvegpu::gpu {

/// As many VFs as wanted, each with its driver where NVIDIA's must have one; a card that sriov-manage left without its driver gets it
/// back first. Refuses to take VFs that something runs on. What the card waits for becomes the plan's wait.
void plan_vfs(Plan& out, const SriovCard& card);

}  // namespace pvegpu::gpu
