// SPDX-License-Identifier: MIT
// The user's own file, from which modules install: our copy of it with its SHA-256, room for it, what has to come first.
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

inline const replies::FieldOptions lacks_doc = {
    .doc = "What has to come to the host before the driver can be installed. Headers and tools are looked for with O(missing=wait) only.",
    .when = "with C(state=present), unless the task is refused before it is looked for"};

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

/// "" when each place has so many bytes left, else a sentence.
std::string lack_of_room(const HostView& host, const std::vector<std::pair<const char*, std::uint64_t>>& places);
inline constexpr std::uint64_t mebibyte = 1U << 20;

}  // namespace pvegpu::driver

namespace pvegpu {
template <>
struct EnumNames<driver::Missing> {
  static constexpr std::pair<driver::Missing, const char*> values[] = {{driver::Missing::refuse, "refuse"},
                                                                       {driver::Missing::wait, "wait"}};
};
}  // namespace pvegpu
