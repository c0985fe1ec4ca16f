// SPDX-License-Identifier: MIT
// What modules have in common that install a driver from the user's own file: a copy of it with its SHA-256, the record of what they
// began, room for it, programs that they run.
#pragma once

#include "common/core/params.hpp"
#include "common/core/plan.hpp"

namespace pvegpu::driver {

/// What has to come to the host before a driver can be installed.
struct Lacks {
  bool file = false;
  std::vector<std::string> packages;

  static void fields(Reply<Lacks>& out);
};

/// What a task does while files or packages are not there yet: in check mode an earlier task has only said that it would bring them.
enum class Missing { refuse, wait };

/// The user's file, and our copy of it below the module's directory: the copy is what is run, under its own SHA-256.
struct UserFile {
  std::string file, copy;
  bool kept = false;     ///< the copy is there, so the file itself is not needed any more
  std::string refusal;   ///< why it must not be run, "" when it may
  bool missing = false;  ///< it is not on the host, and that may be so for now
};
/// Throws ModuleError for what is no SHA-256. Without one the file is taken as it is, if `allow_unverified`.
UserFile check_user_file(const HostView& host, const std::string& file, const std::optional<std::string>& sha256, bool allow_unverified,
                         const std::string& directory, Missing missing);
/// Leaves the plan waiting for what is not there yet, the file and these packages; false when nothing is.
bool plan_wait(const UserFile& file, const std::vector<std::string>& packages, Plan& out);
/// A step that makes the copy, if it is not there.
void plan_keep(const UserFile& file, Plan& out);

/// What a module began to install: DIRECTORY/driver.json, written before the installer is run, and again when it has ended.
struct InstallRecord {
  std::string version, file;  ///< `file`: our copy
  bool complete = false;
};
std::optional<InstallRecord> read_record(const HostView& host, const std::string& directory);
Result<> write_record(Host& host, const std::string& directory, const InstallRecord& record);
/// After an installation: the copies of versions before it go, and the record says that it is complete.
Result<> complete_record(Host& host, const std::string& directory, const std::string& version, const std::string& copy);
/// A step that removes the directory with all that is in it, if it is there.
void plan_forget(const HostView& host, const std::string& directory, Plan& out);

/// "" when each place has so many bytes left, else a sentence.
std::string lack_of_room(const HostView& host, const std::vector<std::pair<const char*, std::uint64_t>>& places);
inline constexpr std::uint64_t mebibyte = 1U << 20;

/// Runs a program that must succeed; the error quotes it.
Result<> run(Host& host, const std::vector<std::string>& argv, std::chrono::seconds timeout = std::chrono::seconds(600));

}  // namespace pvegpu::driver

namespace pvegpu {
template <>
struct EnumNames<driver::Missing> {
  static constexpr std::pair<driver::Missing, const char*> values[] = {{driver::Missing::refuse, "refuse"},
                                                                       {driver::Missing::wait, "wait"}};
};
}  // namespace pvegpu
