// SPDX-License-Identifier: MIT
// The keys that all modules share. Ansible documents `failed`, `warnings` and `diff` itself.
#include "common/core/outcome.hpp"

namespace pvegpu {

void Outcome::fields(Reply<Outcome>& out) {
  out.field("changed", &Outcome::changed, {.doc = "Whether the host was changed, or would be in check mode."})
      .field("failed", &Outcome::failed, {.when = "on failure"})
      .field("msg", &Outcome::msg, {.doc = "What went wrong, where, and what to do next.", .when = "on failure"})
      .field("failed_step", &Outcome::failed_step,
             {.doc = "The step that failed. The steps before it are done.", .when = "when a step failed"})
      .field("reverted", &Outcome::reverted,
             {.doc = "Files that have their old content again, because the work that the change made necessary failed.",
              .when = "when files were put back"})
      .field("steps", &Outcome::steps,
             {.doc = "What was done, or would be in check mode, in order. Follow-up work reads C(run PROGRAM).", .when = "always"})
      .field("reboot_required", &Outcome::reboot_required,
             {.doc = "What runs now is not what the configuration wishes, and only a reboot brings it.", .when = "always"})
      .field("reboot_reason", &Outcome::reboot_reason, {.doc = "Why a reboot is required.", .when = "when reboot_required"})
      .field("follow_ups_pending", &Outcome::follow_ups_pending,
             {.doc = "Work that was put off to the module C(follow_ups).", .when = "when work was put off"})
      .field("kept_foreign_edits", &Outcome::kept_foreign_edits,
             {.doc = "Files that others edited since this module changed them, so that only its own part was taken out.",
              .when = "with C(state=absent), when there are any"})
      .field("pending_on", &Outcome::pending_on,
             {.doc = "What the rest of the work waits for, for example C(reboot) or C(driver).",
              .when = "when something can only be planned later"})
      .field("pending_reason", &Outcome::pending_reason, {.doc = "A sentence for C(pending_on).", .when = "with pending_on"});
}

}  // namespace pvegpu
