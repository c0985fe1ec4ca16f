// SPDX-License-Identifier: MIT
// What the executor remembers between runs, below /var/lib/pve-gpu: follow-ups that are owed (pending/), what files were before
// we changed them (undo/), since which boot a task waits (waits/), and what modules remember (notes/). One JSON file each, written before
// the effect it is for.
#pragma once

#include "common/core/plan.hpp"

namespace pvegpu {

inline constexpr const char* state_dir = "/var/lib/pve-gpu";

/// The bytes of a file before a follow-up's steps changed it, for FollowUp::OnFailure::revert.
struct BeforeImage {
  std::string path;
  bool existed = false;
  std::string bytes;
  FileMeta meta = {};
  std::string after = {};                       ///< SHA-256 of what the change writes; "" where it removes the file
  std::vector<std::string> directories = {};    ///< that the change makes, outermost first
  std::optional<std::string> undo_record = {};  ///< the undo record as it was, so that reverting takes ours back too
};

struct Owed {
  FollowUp follow_up;
  std::vector<std::string> modules = {};  ///< which modules asked for it
  bool put_off = false;                   ///< `follow_ups: later`: only the module `follow_ups`, or a run that needs it now, does it
  std::vector<BeforeImage> images = {};
};

/// Reads with a HostView; writes with a Host. Records that are unreadable, damaged or not root's alone are errors that name the
/// file.
namespace journal {

Result<std::vector<Owed>> owed(const HostView& host);
/// Adds to an owed follow-up with the same id: its oldest images stay. True: there was none.
Result<bool> owe(Host& host, const Owed& owed);
Result<> settle(Host& host, const FollowUp& done);

/// How this module found and left `path`.
Result<std::optional<UndoView>> undo(const HostView& host, const std::string& module, const std::string& path);
Result<std::vector<std::string>> undo_paths(const HostView& host, const std::string& module);
/// The record as it is on the disk, for BeforeImage.
Result<std::optional<std::string>> undo_record(const HostView& host, const std::string& path);
/// Before `module` writes `after` to `path`. The first image of a module stays; edits by others in between are noted.
Result<> record_undo(Host& host, const std::string& module, const FileChange& change);
/// After `module` withdrew from a file that read `before`. Modules that changed the file after it get records without its part.
Result<> forget_undo(Host& host, const std::string& module, const FileChange& withdrawn, const std::optional<std::string>& before);
Result<> restore_undo_record(Host& host, const std::string& path, const std::optional<std::string>& record);

/// The boot in which this wait was first seen, if it was.
Result<std::optional<std::string>> waiting_since(const HostView& host, const std::string& instance, const Wait& wait);
Result<> record_waits(Host& host, const std::string& instance, const std::vector<Wait>& waits, const std::string& boot_id);

/// What a module remembers; nullopt: nothing, or nothing that this user may see. The place of versions before is read too.
Result<std::optional<json>> note(const HostView& host, const NoteName& name);
/// Keeps it, or forgets it, in the place of versions before as well.
Result<> keep_note(Host& host, const NoteChange& change);

/// Removes the temporary files that killed runs left beside files of ours: owed work would take them up (an initramfs takes all that is in
/// its directories).
Result<> clear_torn(Host& host);

/// Removes the state directories that are empty and no mount points, and what killed runs left in them.
Result<> tidy(Host& host);

}  // namespace journal
}  // namespace pvegpu
