// SPDX-License-Identifier: MIT
// An ordered list of differences between the host and the wish. Empty plan = nothing to do. The executor (executor.hpp) turns
// it into effects; check mode is not doing so, diff mode is printing it, idempotence is that it comes out empty.
#pragma once

#include "common/core/follow_up.hpp"
#include "common/base/reply.hpp"

#include <functional>

namespace pvegpu {

/// How a step touches a file that the executor keeps an undo record and a before-image of.
struct FileChange {
  enum class Kind { write, remove, withdraw };
  Kind kind = Kind::write;
  std::string path;
  std::string content;  ///< write: the new bytes; withdraw: what remains, unless `gone`
  bool gone = false;    ///< the file shall not exist any more
  FileMeta meta = {};
  std::vector<std::string> directories = {};  ///< write: to be made first; withdraw: made by us, to be removed if empty
  bool keeps_foreign = false;                 ///< withdraw: others edited the file since; their part stays, and the answer says so
  /// withdraw: takes our part out of any version of the file.
  std::function<std::optional<std::string>(const std::string&)> without_ours = {};
};

/// One difference, what makes it vanish, and how to see that it did.
struct Step {
  std::string target;                                     ///< "file /etc/default/grub.d/pve-gpu.cfg"
  std::optional<std::string> current = {}, desired = {};  ///< nullopt: absent
  /// Reads the value now. It is compared with `current` before the step (else the run plans anew) and with `desired` after it.
  std::function<Result<std::optional<std::string>>(const HostView&)> observe = {};
  std::function<Result<>(Host&)> apply = {};
  /// Instead of comparing observe() with `desired`: error = did not take effect.
  std::function<Result<>(const HostView&)> verify = {};
  std::chrono::milliseconds within{0};  ///< how late the effect may show
  std::vector<FollowUp> then = {};
  std::optional<FileChange> file = {};     ///< set: the executor applies it itself, with its undo record
  bool sensitive = false;                  ///< its contents are left out of diffs
  std::vector<std::string> warnings = {};  ///< what else comes of it: told when it is done, and before
};

struct FileOptions {
  FileMeta meta = {};
  std::vector<FollowUp> then = {};
  bool sensitive = false;
  std::vector<std::string> warnings = {};  ///< of the step
  bool old_bytes_too = false;              ///< withdraw: `without_ours` is taken out of the old bytes too before they come back
};
struct AttrOptions {
  std::chrono::milliseconds within{0};
  std::vector<FollowUp> then = {};
};

struct UnitWish {
  enum class AtBoot { keep, enabled, disabled };
  enum class Now { keep, active, inactive };
  AtBoot at_boot = AtBoot::keep;
  Now now = Now::keep;
};

/// What a plan waits for when the rest can't be planned yet.
struct Wait {
  std::string on;      ///< "reboot", "driver", …: the answer `pending_on`
  std::string reason;  ///< a sentence: what is missing and what will bring it
};

/// What undo knows of a file that `module` changed: journal.hpp keeps it.
struct UndoView {
  std::string path;
  bool existed = false;
  std::string before;                         ///< bytes before our first change
  FileMeta meta = {};                         ///< mode and owner before
  bool untouched = false;                     ///< the file still is byte for byte as we left it (or not written yet)
  std::vector<std::string> directories = {};  ///< made by us for it, outermost first
};

class Plan {
 public:
  /// `module` owns the undo records of the files that this plan changes.
  Plan(const HostView& host, std::string module) : host_(host), module_(std::move(module)) {}

  // --- differences -------------------------------------------------------------------------------------------------------
  /// The file exists with exactly these bytes (and mode and owner, where given). Missing directories are made, 0755.
  Plan& ensure_file(const std::string& path, const std::string& content, FileOptions options = {});
  /// The file does not exist. For files that are ours or whose removal was asked for; see withdraw() for undo.
  Plan& ensure_absent(const std::string& path, FileOptions options = {});
  /// A sysfs or procfs attribute reads as `value` (compared without white space at the end).
  Plan& ensure_attr(const std::string& path, const std::string& value, AttrOptions options = {});
  /// The kernel module is loaded.
  Plan& ensure_loaded(const std::string& name, const std::string& options = {});
  /// A systemd unit is enabled or disabled, active or not.
  Plan& ensure_unit(const std::string& unit, UnitWish wish);
  /// Anything else: write-only attributes, installers.
  Plan& effect(Step step);

  /// `state: absent` for one file: takes back what this module contributed. A file that is as we left it gets its old bytes
  /// (or vanishes, if we made it). One that others edited since gets `without_ours(bytes)`: our part removed, theirs kept,
  /// nullopt when nothing of it is left; that is reported as `kept_foreign_edits`. Without an undo record `without_ours` decides too.
  Plan& withdraw(const std::string& path, const std::function<std::optional<std::string>(const std::string&)>& without_ours,
                 FileOptions options = {});
  /// The files of which this module holds an undo record.
  std::vector<std::string> recorded_files() const;
  std::optional<UndoView> undo_view(const std::string& path) const;

  // --- what can't be planned, must not be done, or is only told -----------------------------------------------------------
  /// The rest can only be planned after an earlier step or a reboot took effect.
  Plan& later(Wait wait);
  /// Must not run: fails before the first effect, in check mode too.
  Plan& refuse(std::string reason);
  /// `differs`: what runs now is not what is wished. Never "did I change something".
  Plan& reboot_if(bool differs, std::string reason);
  /// Keys of the result, as their struct declares them (reply.hpp). A key that is told again has the newer value.
  template <class Answer>
  Plan& report(const Answer& answer) {
    return report_all(reply_of<Answer>().print(answer));
  }
  Plan& warn(std::string message);
  /// Follow-ups of kind next_boot stay in the journal for the module `follow_ups`.
  Plan& put_off_next_boot_work();
  /// Everything that any module owes is done in this run.
  Plan& do_all_owed_work();

  bool empty() const { return steps_.empty(); }
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<Wait>& waits() const { return waits_; }
  const std::optional<std::string>& refusal() const { return refusal_; }
  const std::optional<std::string>& reboot_reason() const { return reboot_reason_; }
  const json& reports() const { return reports_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  bool puts_off_next_boot_work() const { return put_off_; }
  bool does_all_owed_work() const { return all_owed_; }

 private:
  Plan& report_all(json keys);

  const HostView& host_;
  std::string module_;
  std::vector<Step> steps_;
  std::vector<Wait> waits_;
  std::optional<std::string> refusal_, reboot_reason_;
  json reports_ = json::object();
  std::vector<std::string> warnings_;
  bool put_off_ = false;
  bool all_owed_ = false;
};

}  // namespace pvegpu
