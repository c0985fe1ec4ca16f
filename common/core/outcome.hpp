// SPDX-License-Identifier: MIT
// What every module answers beside its own keys.
#pragma once

#include "common/base/reply.hpp"

namespace pvegpu {

struct Outcome {
  bool changed = false;
  std::optional<bool> failed = {};
  std::optional<std::string> msg = {};
  std::string failed_step = {};
  std::vector<std::string> reverted = {};
  /// Of modules that change something.
  std::optional<std::vector<std::string>> steps = {};
  std::optional<bool> reboot_required = {};
  std::optional<std::string> reboot_reason = {};
  std::vector<std::string> follow_ups_pending = {}, kept_foreign_edits = {};
  std::string pending_on = {}, pending_reason = {};

  static void fields(Reply<Outcome>& out);
};

}  // namespace pvegpu
