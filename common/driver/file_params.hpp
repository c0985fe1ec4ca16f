// SPDX-License-Identifier: MIT
// The parameters that every module has which installs a driver from the user's file.
#pragma once

#include "common/core/choices.hpp"
#include "common/driver/install.hpp"

namespace pvegpu::driver {

/// What a task says of the file, and of when what comes of it takes effect.
struct FileParams {
  std::optional<std::string> file, sha256, version;
  bool allow_unverified = false;
  Missing missing = Missing::refuse;
  State state = State::present;
  FollowUps follow_ups = FollowUps::now;
};

// What each of them means; a module documents `file` and `follow_ups` itself.
inline const params::Options sha256_option = {.doc = "SHA-256 of O(file). Required with it unless O(allow_unverified=true)."};
inline const params::Options unverified_option = {.doc = "Install the file without knowing that it is the right one."};
inline const params::Options version_option = {.doc = "The version that O(file) must have; by default whatever its name says."};
inline const params::Options missing_option = {
    .doc =
        "What to do while O(file), or what a build needs, is not on the host: refuse, or wait, that is say the rest and answer "
        "RV(pending_on) V(file) or V(packages). For check mode, in which earlier tasks only said that they would bring them."};
inline const params::Options state_option = {.doc = "Whether the driver shall be there."};

}  // namespace pvegpu::driver
