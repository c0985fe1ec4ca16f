// SPDX-License-Identifier: MIT
// Misbehaviour on demand: errors, writes without effect, attributes that appear late.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace simfs {

// Patterns are matched with fnmatch(3) against a path below /sys without links in it; `*` matches slashes too.
class Faults {
 public:
  // "fault" and its words: errno GLOB open|read|write NAME [TIMES] · ignore GLOB [TIMES] · late GLOB MILLISECONDS · clear · list.
  // Returns what is wrong with them, or the list.
  struct Answer {
    bool good;
    std::string text;
  };
  Answer command(const std::vector<std::string>& words);

  // An errno, 0 for a write without effect, nothing: behave.
  std::optional<int> on(const char* operation, const std::string& path);
  [[nodiscard]] std::chrono::milliseconds lateness(const std::string& path) const;

 private:
  struct Fault {
    std::string pattern, operation;  // "late": `value` is milliseconds
    int value = 0;
    long times = -1;  // left; -1: always
  };
  std::vector<Fault> faults_;
};

}  // namespace simfs
