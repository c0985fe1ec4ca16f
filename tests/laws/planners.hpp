// SPDX-License-Identifier: MIT
// Made-up planners on made-up worlds: each provokes something that real modules need from the executor.
#pragma once

#include "tests/laws/laws.hpp"

namespace pvegpu::laws {

/// /etc, /run, /var/lib and what every such host has; update-initramfs, update-grub and others exist and make their products.
FakeHost bare_world();

/// A step of the planner's own: the attribute reads as `value`. None where it does.
void set_attribute(const HostView& host, Plan& plan, const std::string& path, const std::string& value,
                   std::chrono::milliseconds within = {});

/// A planner as a subject. `undo` may be empty.
Subject subject_of(const std::string& name, std::function<FakeHost()> world, Planner run, Planner undo = {});

/// The planners for which all laws must hold.
std::vector<Subject> planners();

}  // namespace pvegpu::laws
