// SPDX-License-Identifier: MIT
// Reads whose failures are facts to report, not errors: host_info works unprivileged and on half-broken hosts.
#pragma once

#include "common/base/reply.hpp"
#include "common/host/host.hpp"

#include <cstdint>

namespace pvegpu {

struct Unreadable {
  std::string path, what, why;

  static void fields(Reply<Unreadable>& out);
};

/// Every question answers "not there" with nullopt. "There, but can't be read" is nullopt too, and is kept in unreadable().
class Reader {
 public:
  explicit Reader(const HostView& host) : host_(host) {}

  const HostView& host() const { return host_; }

  std::optional<std::string> file(const std::string& path, std::string_view what);
  std::optional<std::string> attr(const std::string& path, std::string_view what);  ///< without white space at its end
  std::optional<std::int64_t> number(const std::string& path, std::string_view what);
  /// The last part of what a link points to: a driver, an IOMMU group.
  std::optional<std::string> link_name(const std::string& path, std::string_view what);
  std::optional<std::string> link(const std::string& path, std::string_view what);
  std::optional<std::vector<std::string>> list(const std::string& path, std::string_view what);

  void add_unreadable(std::string path, std::string_view what, std::string why);
  void note(std::string sentence) { notes_.push_back(std::move(sentence)); }

  const std::vector<Unreadable>& unreadable() const { return unreadable_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  template <class T>
  std::optional<T> answer(Result<T> result, const std::string& path, std::string_view what);

  const HostView& host_;
  std::vector<Unreadable> unreadable_;
  std::vector<std::string> notes_;
};

/// The part after the last slash.
std::string last_part(std::string_view path);

}  // namespace pvegpu
