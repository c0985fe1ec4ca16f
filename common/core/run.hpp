// SPDX-License-Identifier: MIT
// From the bytes that Ansible (or a person) hands over to the one line that goes back.
#pragma once

#include "common/core/registry.hpp"

namespace pvegpu {

struct Answer {
  std::string line;  ///< one JSON object, no newline in or after it
  bool failed = true;
};

/// `name`: the module, or empty when the arguments' `_ansible_module_name` says it. Never throws.
Answer run_task(const std::vector<RegistryEntry>& modules, std::string name, std::string args_text, Host& host);

/// An answer that only says what is wrong.
Answer failed_answer(std::string_view message);

}  // namespace pvegpu
