// SPDX-License-Identifier: MIT
// The one judge of what a GPU lacks.
#pragma once

#include "common/core/plan.hpp"
#include "common/readiness/condition.hpp"

namespace pvegpu::readiness {

/// All conditions in order.
std::vector<Condition> judge(const Question& question);

/// The first condition before this rung that is not met, told as exactly as programs can; nullopt when there is none. Programs are asked
/// only when something is not met. What `own` brings is passed over: it is the step of who asks.
std::optional<Condition> first_unmet(const Question& question, Rung before, BroughtBy own = BroughtBy::nothing);
/// Those that are not met, up to the first that is no matter of choice.
std::vector<Condition> unmet(const Question& question, Rung before, BroughtBy own = BroughtBy::nothing);

/// One condition by its name, for a task that has more to say of it.
Condition judge(const Question& question, std::string_view name);

/// What a task does about it: nullopt, it has to refuse; else what it waits for.
std::optional<Wait> wait_for(const Condition& condition, const std::string& who);
/// "0000:41:00.0 (A40): its display outputs are on: pve.gpu.display_mode, then power off and on"
std::string told(const Condition& condition, const std::string& who);
/// The same of the one condition of this name; "" when it is not known to be unmet.
std::string why_not(const Question& question, std::string_view name);

/// Of a list; nullptr when all is met. What only the next boot will lack does not count.
const Condition* first_unmet(const std::vector<Condition>& conditions);

/// How the GPU is given to guests on this host: by what it is used for now (vfio-pci, mappings, guests), else what the board is made for.
Way way_of(const gpu::Gpu& gpu, const gpu::Machine& machine);

/// How a guest gets what stands at this place: `mediated`, a vGPU type of it is named.
Way way_of(const gpu::Place& place, bool mediated, const gpu::Machine& machine);

/// How guests get VFs of it.
Way vf_way_of(const gpu::Gpu& gpu);

/// The kernel module that makes guests' devices of this GPU here: "nvidia", "i915" or "xe"; "" for other makers.
std::string wished_driver(const gpu::Gpu& gpu, const gpu::HostFacts& facts);

/// "serves one size at a time, unless …": of a card for vGPUs; "" where several sizes are seen to be there beside each other.
std::string one_size_at_a_time(const gpu::Gpu& card);

/// What Proxmox VE has against a mapping on this node when a guest starts, "" when nothing: a sentence with its name.
std::string why_refused(const HostView& host, const gpu::Machine& machine, const text::PciMapping& mapping);

}  // namespace pvegpu::readiness
