// SPDX-License-Identifier: MIT
// The only place that turns plans into effects, and so the only place that knows check mode, diff, locks, the journal, undo.
#pragma once

#include "common/core/plan.hpp"

namespace pvegpu {

/// Whether a module may change the host at all.
enum class Effects { allowed, none };

struct RunMode {
  bool check = false;
  bool diff = false;
};

/// Which task runs: `module` owns follow-ups and undo records, `instance` (module and what the task is about) owns waits.
struct Task {
  std::string module;
  std::string instance;
  Effects effects = Effects::allowed;
};

using Planner = std::function<void(const HostView&, Plan&)>;

/// Plan, run, plan again until nothing is left (at most 5 rounds), one process per host at a time. The result is the module's
/// answer without `invocation`:
///   changed, steps, diff (if asked), reboot_required, reboot_reason, pending_on, pending_reason, follow_ups_pending, warnings,
///   on failure failed, msg, failed_step, reverted; and what the plan reports.
/// ModuleError of the planner becomes a failed answer that still says what was done before.
json execute(const Task& task, const Planner& planner, RunMode mode, Host& host);

}  // namespace pvegpu
