// SPDX-License-Identifier: MIT
// Which of the six hardware forms a host looks like. A guess with its reasons: the operator's word counts.
#pragma once

#include "common/readiness/technologies.hpp"

namespace pvegpu::gpu {

struct Form {
  char letter = 0;  ///< 'A' to 'F', 0 when no form fits
  std::string name;
  std::vector<std::string> reasons;

  static void fields(Reply<Form>& out);
};

Form guess_form(const std::vector<Gpu>& gpus, const std::vector<Technologies>& technologies, const HostFacts& facts);

}  // namespace pvegpu::gpu
