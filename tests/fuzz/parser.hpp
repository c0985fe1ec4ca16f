// SPDX-License-Identifier: MIT
// What is fuzzed: functions over bytes that say when something that must always hold does not.
#pragma once

#include "common/base/result.hpp"

#include <vector>

namespace pvegpu::fuzz {

struct Broken {
  std::string what;
};

/// Something that must hold for whatever input.
inline void must(bool holds, const char* what) {
  if (!holds) throw Broken{what};
}

struct Parser {
  const char* name;
  void (*run)(const std::string& input);
  std::vector<std::string> seeds;
};

/// A task from its arguments' bytes to its answer, on a host in memory.
void run_args(const std::string& input);

}  // namespace pvegpu::fuzz
