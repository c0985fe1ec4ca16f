// SPDX-License-Identifier: MIT
// The laws that hold for every module and every planner, as functions over something that can be run on a FakeHost. Each returns
// what is broken, one finding a line; nothing when the law holds.
#pragma once

#include "common/core/executor.hpp"
#include "tests/laws/fake_host.hpp"

namespace pvegpu::laws {

/// One task on one world.
struct Subject {
  std::string name;
  std::function<FakeHost()> world;
  std::function<json(FakeHost&, RunMode)> run;
  /// Takes back what `run` did; empty where nothing can be taken back.
  std::function<json(FakeHost&, RunMode)> undo = {};
  /// What happens between `run` and `undo`, or between two runs: a reboot, for instance.
  std::function<void(FakeHost&)> afterwards = {};
  /// Every way to ask for absence, by name: `state: absent` with each value of `conflicts`. Some may be refused.
  std::vector<std::pair<std::string, std::function<json(FakeHost&, RunMode)>>> absences = {};
};

using Findings = std::vector<std::string>;

/// What a run may leave in the world without having changed the host: products of programs (they are checked for being up to
/// date instead), the lock, clocks.
State state_of(const FakeHost& host);

/// L1: check mode performs no effect, takes no lock.
Findings check_mode_has_no_effect(const Subject& subject);
/// L2: after a run the plan is empty: a second run has no effect, neither has a check.
Findings second_run_has_no_effect(const Subject& subject);
/// L3: check's steps are a prefix of the run's, and the same when nothing was `later`.
Findings check_predicts_run(const Subject& subject);
/// L4: whatever happens at any effect, a rerun ends in the same files with every follow-up done, and `undo` still undoes. `at_most`: of a
/// run with more effects only so many are tried, evenly.
Findings converges_from_any_effect(const Subject& subject, int at_most = 1000000);
/// L6: `undo` after `run` leaves the host as it was, without a state directory.
Findings undo_restores(const Subject& subject);
/// L7: each of the ways to ask for absence ends: from this world the run after it has an empty plan. One that is refused did nothing.
Findings absence_ends(const Subject& subject, const FakeHost& world);
/// L8: whether a reboot is required, what is waited for and why: the same in check mode, after the run and in the run after it. Check mode
/// may say less where it could not foresee all steps.
Findings same_needs_before_and_after(const Subject& subject, const FakeHost& world);

/// `undo` as a subject of its own, on the world that `run` leaves.
Subject undoing(const Subject& subject);

}  // namespace pvegpu::laws
