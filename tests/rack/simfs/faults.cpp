// SPDX-License-Identifier: MIT
// Misbehaviour on demand.
#include "faults.hpp"

#include <fnmatch.h>

#include <cstdlib>
#include <cstring>

#include "wire.hpp"

namespace simfs {

Faults::Answer Faults::command(const std::vector<std::string>& words) {
  const std::string kind = words.size() > 1 ? words[1] : "";
  const auto times = [&](std::size_t at) { return words.size() > at ? std::strtol(words[at].c_str(), nullptr, 10) : -1; };
  if (kind == "clear" && words.size() == 2) {
    faults_.clear();
  } else if (kind == "list" && words.size() == 2) {
    std::string text;
    for (const Fault& fault : faults_) {
      const bool late = fault.operation == "late";
      text += fault.operation + ' ' + fault.pattern + ' ' + (late ? std::to_string(fault.value) : wire::error_name(fault.value)) + ' ' +
              std::to_string(fault.times) + '\n';
    }
    return {true, text};
  } else if (kind == "errno" && (words.size() == 5 || words.size() == 6)) {
    const int number = wire::error_number(words[4]);
    if (number == 0 || (words[3] != "open" && words[3] != "read" && words[3] != "write")) {
      return {false, "fault errno GLOB open|read|write NAME [TIMES]"};
    }
    faults_.push_back({words[2], words[3], number, times(5)});
  } else if (kind == "ignore" && (words.size() == 3 || words.size() == 4)) {
    faults_.push_back({words[2], "write", 0, times(3)});
  } else if (kind == "late" && words.size() == 4) {
    faults_.push_back({words[2], "late", std::atoi(words[3].c_str()), -1});
  } else {
    return {false, "fault errno|ignore|late|clear|list …"};
  }
  return {true, ""};
}

std::optional<int> Faults::on(const char* operation, const std::string& path) {
  for (Fault& fault : faults_) {
    if (fault.operation == operation && fault.times != 0 && fnmatch(fault.pattern.c_str(), path.c_str(), 0) == 0) {
      fault.times -= fault.times > 0 ? 1 : 0;
      return fault.value;
    }
  }
  return std::nullopt;
}

std::chrono::milliseconds Faults::lateness(const std::string& path) const {
  for (const Fault& fault : faults_) {
    if (fault.operation == "late" && fnmatch(fault.pattern.c_str(), path.c_str(), 0) == 0) {
      return std::chrono::milliseconds(fault.value);
    }
  }
  return {};
}

}  // namespace simfs
