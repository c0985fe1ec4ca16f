// SPDX-License-Identifier: MIT
// What `apt-get update` says about each source. Its exit code does not: it is 0 when a host can't be reached, when a signature
// no longer verifies and old lists are used instead, and when a source has no such component.
#pragma once

#include "common/apt/policy.hpp"
#include "common/host/judgement.hpp"

namespace pvegpu::apt {

/// Without the user and password that it may carry, which APT does not print either.
std::string without_login(const std::string& uri);
/// "URI SUITE" as APT prints it: without login, without a slash at the URI's end, file:/x for file:///x.
std::string source_name(const std::string& uri, const std::string& suite);

struct UpdateProblem {
  std::string source;          ///< see source_name(), or a scheme like "tor://"; empty when APT could not begin at all
  std::string reason;          ///< as APT words it, one line
  std::string component = {};  ///< the only one that is concerned; empty: all of them
};

/// Every source that could not be read, once, with the most telling reason. Tried on APT 2.2, 2.6 and 3.0 in the C locale.
std::vector<UpdateProblem> parse_update_output(const std::string& out, const std::string& err);

/// What a run wants of `apt-get update`.
struct UpdateDuty {
  std::vector<std::string> ours = {};  ///< "URI SUITE COMPONENT" of what this run changed and answers for
  std::vector<Wish> wishes = {};       ///< channels that must be offered then

  json to_json() const;
  static UpdateDuty from_json(const json& value);
};

/// Failures of `ours`, what keeps APT from reading any source, and a wish that APT does not offer then are the failure; failures
/// of other sources are warnings, and so is that APT can't be asked.
Judgement judge_update(const CommandResult& result, const UpdateDuty& duty, const HostView& host);

}  // namespace pvegpu::apt
