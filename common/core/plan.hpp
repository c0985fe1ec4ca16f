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
  enum class Kind { write, withdraw };
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

/// A module's own memory of something that the host does not show, kept in the journal until it is forgotten.
struct NoteName {
  std::string module, key;
  std::string formerly = {};  ///< the file in which versions without notes kept it: read while it is there, moved by the next run
};
struct NoteChange {
  NoteName name;
  std::optional<json> value = {};  ///< nullopt: it is forgotten
};

/// One difference, what makes it vanish, and how to see that it did. Most steps are made by the words of Plan; one of a module's own
/// (Plan::effect) needs a `target`, `current` and `desired` for the diff, `apply`, and `observe` or `verify`, without which nothing proves
/// that it took effect. `target`, `current` and `desired` must not say what only the run finds out: check mode tells the same.
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
  std::optional<FileChange> file = {};  ///< set: the executor applies it itself, with its undo record
  std::optional<NoteChange> note_before =
      {};                                     ///< kept before `apply`; when that fails and nothing came of it, what was kept before is back
  std::optional<NoteChange> note_after = {};  ///< kept when `apply` has done its work
  bool sensitive = false;                     ///< its contents are left out of diffs
  std::vector<std::string> warnings = {};     ///< what else comes of it: told when it is done, and before
};

struct FileOptions {
  FileMeta meta = {};
  std::vector<FollowUp> then = {};
  bool sensitive = false;
  std::vector<std::string> warnings = {};  ///< of the step
  bool old_bytes_too = false;              ///< withdraw: `without_ours` is taken out of the old bytes too before they come back
};
/// Who chooses the driver of a PCI function (drivers/base/bus.c).
enum class BindBy {
  kernel,  ///< drivers_probe: driver_override, else the ids. It reports nothing, so the outcome is read back
  name,    ///< the driver's own `bind`
};
/// Programs that a step runs, one after another, until one fails.
struct Programs {
  std::vector<std::vector<std::string>> commands;
  std::chrono::seconds timeout{600};                                             ///< for each
  std::function<std::string(const HostView&, const std::string&)> explain = {};  ///< a better message than this one, of one that failed
};
struct CopiesGone {
  std::string target = {};            ///< of the step; by default "directory PATH"
  std::string shown = "kept";         ///< for the diff
  bool after_use = false;             ///< an earlier step of this plan makes one
  std::optional<NoteName> note = {};  ///< is forgotten with them
};

struct PackageOptions {
  std::string cure = {};  ///< where no package source has it: what to do, "add the component …"
  std::vector<FollowUp> then = {};
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
  /// These kernel modules are loaded, in this order, the first of them in this version. An earlier step may bring them.
  /// `help`: where to look when the kernel refuses.
  Plan& ensure_loaded(const std::vector<std::string>& names, const std::string& version, const std::string& help = "see dmesg");
  /// The kernel module is not loaded. `devices`: what to ask fuser for when somebody uses it.
  Plan& ensure_unloaded(const std::string& name, const std::string& devices);
  /// This driver has the PCI function (nullopt: none has).
  Plan& ensure_bound(const std::string& address, const std::optional<std::string>& driver, BindBy how = BindBy::kernel);
  /// Only this driver may have the PCI function: driver_override (nullopt: any may).
  Plan& ensure_override(const std::string& address, const std::optional<std::string>& driver);
  /// A systemd unit does not run.
  Plan& ensure_stopped(const std::string& unit);
  /// Programs make the difference. `step`: what they shall change, without `apply`. An exit code proves nothing: `observe` or `verify`
  /// does. No step where `observe` reads as `desired` already; not run where `verify` already holds when its turn comes.
  Plan& ensure_program(Step step, Programs programs);
  /// The Debian package with this very name is installed, in whatever version: that one, or nullopt where it is refused. What is not
  /// installed comes from the package sources as they are, removes nothing, and is noted as this module's, with what came along.
  std::optional<std::string> ensure_package(const std::string& name, PackageOptions options = {});
  /// What ensure_package installed for this module is gone, with what came along and nobody needs. Of others it stays, with a warning.
  Plan& ensure_no_package(const std::string& name, std::vector<FollowUp> then = {});
  /// Our own copy of a user's file, below /var/lib/pve-gpu under its SHA-256: what is run, for the original may change meanwhile.
  Plan& ensure_copy(const std::string& source, const std::string& copy);
  /// No copies are left in this directory, and it is gone.
  Plan& ensure_no_copies(const std::string& directory, const CopiesGone& options = {});
  /// The module's note reads so (nullopt: is forgotten). `target`: what the step is called. A note that belongs to another step is that
  /// step's note_before or note_after.
  Plan& ensure_note(const NoteName& name, const std::optional<json>& value, const std::string& target);
  /// Work that is needed though nothing else changes.
  Plan& trigger(const std::string& target, std::vector<FollowUp> work);
  /// Anything else.
  Plan& effect(Step step);

  /// `state: absent` for one file: takes back what this module contributed. A file that is as we left it gets its old bytes
  /// (or vanishes, if we made it). One that others edited since gets `without_ours(bytes)`: our part removed, theirs kept,
  /// nullopt when nothing of it is left; that is reported as `kept_foreign_edits`. Without an undo record `without_ours` decides too.
  Plan& withdraw(const std::string& path, const std::function<std::optional<std::string>(const std::string&)>& without_ours,
                 FileOptions options = {});
  /// The files of which this module holds an undo record.
  std::vector<std::string> recorded_files() const;
  std::optional<UndoView> undo_view(const std::string& path) const;
  /// What this note says; nullopt: there is none.
  std::optional<json> note(const NoteName& name);

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
  const std::vector<NoteName>& notes_to_move() const { return notes_to_move_; }

 private:
  Plan& report_all(json keys);
  /// What an earlier step leaves there, else what is there now.
  std::optional<std::string> expected(const Step& step) const;

  const HostView& host_;
  std::string module_;
  std::vector<Step> steps_;
  std::vector<Wait> waits_;
  std::vector<NoteName> notes_to_move_;
  std::optional<std::string> refusal_, reboot_reason_;
  json reports_ = json::object();
  std::vector<std::string> warnings_;
  bool put_off_ = false;
  bool all_owed_ = false;
};

}  // namespace pvegpu
