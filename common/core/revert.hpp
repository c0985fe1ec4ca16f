// SPDX-License-Identifier: MIT
// The parts of a run: how it fails, and how files are put back whose follow-up failed.
#pragma once

#include "common/core/journal.hpp"

#include <map>

namespace pvegpu {

/// Ends the run with a failed answer.
struct Failure {
  std::string message;
  std::string step = {};  ///< the step that failed, if one did
};

template <class T>
T must(Result<T> result, const std::string& step) {
  if (!result) throw Failure{fmt::format("{}: {}", step, result.error().message), step};
  return *std::move(result);
}

/// Directories of ours, outermost first, go when nothing is in them.
void remove_if_empty(Host& host, const std::vector<std::string>& directories, const std::string& step);

/// Takes images of files before steps change them, for the follow-ups that want them back when they fail, and puts them back. What can't be
/// done is a Failure.
class Reverter {
 public:
  explicit Reverter(Host& host) : host_(host) {}

  /// The file as it is now, before `change`.
  BeforeImage image_of(const FileChange& change);
  /// Puts back what was there before the steps that named `f`; true if there was something to put back.
  bool revert(const FollowUp& f, std::vector<std::string>& warnings);

  /// The files that were put back; whether what an earlier run wrote went with it.
  const std::vector<std::string>& reverted() const { return reverted_; }
  bool took_earlier() const { return took_earlier_; }

 private:
  bool edited_since(const BeforeImage& image) const;
  void put_back(const BeforeImage& image, const std::string& step);

  Host& host_;
  std::map<std::string, std::pair<bool, std::string>> images_;  ///< path -> whether it was there as this run began, and its bytes
  std::vector<std::string> reverted_;
  bool took_earlier_ = false;
};

}  // namespace pvegpu
