// SPDX-License-Identifier: MIT
// Work that a change makes necessary: rebuilding an initramfs, updating package lists. Steps name theirs (Step::then), the
// journal keeps them until they are done, so that a run that dies in between owes them to the next.
#pragma once

#include "common/base/json.hpp"
#include "common/host/judgement.hpp"

namespace pvegpu {

struct FollowUp {
  enum class When {
    now,        ///< the change has no effect without it, or other steps need it: never put off
    next_boot,  ///< only the next boot needs it: `follow_ups: later` may put it off
  };
  enum class OnFailure {
    keep_pending,  ///< stays owed and is tried again at the next run
    revert,        ///< the files written for it get their old bytes back, unless judge() says that another try may help
  };

  std::string kind;  ///< names the judge of its outcome, see judge()
  std::vector<std::string> argv;
  When when = When::now;
  OnFailure on_failure = OnFailure::keep_pending;
  int rank = 50;  ///< lower runs first
  std::chrono::seconds timeout{600};
  json data = nullptr;  ///< what judge() needs to know; not part of the identity

  /// Stable hash of kind and argv: the same work asked for twice is done once.
  std::string id() const;
  /// "run update-initramfs -u -k all"
  std::string title() const;

  json to_json() const;
  static Result<FollowUp> from_json(const json& value);
};

/// `apt-get update`. `duty`: what the run wants of it, see apt::UpdateDuty.
FollowUp follow_up_apt_update(json duty);
/// `systemctl daemon-reload`
FollowUp follow_up_daemon_reload();
/// `update-initramfs -u -k all`
FollowUp follow_up_initramfs();
/// `update-grub`. It writes the new menu beside the old one and checks it (grub-script-check) before it takes its place: when the check
/// fails the old menu stays, and with the old files the next one, of a kernel upgrade, works again. Other failures leave it owed.
FollowUp follow_up_grub();
/// `proxmox-boot-tool refresh`
FollowUp follow_up_boot_refresh();

/// Whether the program did its work. A kind of its own judges its program's output and what it left on the host; all others go
/// by the exit code.
Judgement judge(const FollowUp& follow_up, const Result<CommandResult>& ended, const HostView& host);

}  // namespace pvegpu
