// SPDX-License-Identifier: MIT
// Large arguments: what nobody will read is dropped from the text, before a parser makes objects of it that take ten times the memory.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu {

/// What is kept of a JSON value. Of a list each element counts; what is no object is kept whole.
struct Kept {
  bool others = false;  ///< members that are not named are kept
  std::map<std::string, Kept, std::less<>> members;

  /// A leaf, and so the whole of a value, is one without members.
  bool whole() const { return members.empty(); }
  /// "gpus.sriov.total"
  void add(std::string_view path);
};

/// The same JSON text with only what is kept. Nothing for text that is not well-formed where it was looked at: parse that to get the error.
std::optional<std::string> reduce_json(std::string_view text, const Kept& kept);

/// The string value of a member of the object that the text is.
std::optional<std::string> top_level_string(std::string_view text, std::string_view key);

}  // namespace pvegpu
