// SPDX-License-Identifier: MIT
// Value or error for everything that touches the host, and the one exception that ends a task.
//
// Two layers. Below (host, parsers) "file missing" and "exit code 1" are answers: Result<T>. Above (planners) an answer that
// leaves nothing to plan ends the task: ModuleError, thrown by or_fail(), caught once, in Module::run().
// Not std::expected: g++ 10 has none.
#pragma once

// fmt is used through this header only. The second macro keeps <locale> out: it is half of the executable otherwise (810 kB
// against 400 kB with no module in it).
#ifndef PVEGPU_FMT_LIBRARY  // the debug build links it, which halves what there is to compile
#define FMT_HEADER_ONLY 1
#endif
#define FMT_STATIC_THOUSANDS_SEPARATOR 44
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace pvegpu {

struct Error {
  std::string message;
  int code = 0;  ///< errno, or 0 where there is none

  static Error from_errno(std::string_view what, int code) { return {fmt::format("{}: {}", what, std::strerror(code)), code}; }
  bool not_found() const { return code == ENOENT || code == ENOTDIR; }
};

/// This task fails, and the message tells the operator what, where and what to do next.
struct ModuleError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class T = std::monostate>
class [[nodiscard]] Result {
 public:
  Result() requires std::is_same_v<T, std::monostate> : state_(T{}) {}
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  const T& operator*() const& { return std::get<0>(state_); }
  T& operator*() & { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Error& error() const { return std::get<1>(state_); }

  T value_or(T fallback) const& { return *this ? **this : std::move(fallback); }

  /// The bridge to the layer above: the value, or the end of the task with "context: cause".
  T or_fail(std::string_view context) && {
    if (!*this) throw ModuleError(fmt::format("{}: {}", context, error().message));
    return std::get<0>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

/// The value of a Result, or an early return of its error. (A GNU statement expression, as all compilers we build with take.)
#define PVEGPU_TRY(expression)                                     \
  __extension__({                                                  \
    auto pvegpu_result_ = (expression);                            \
    if (!pvegpu_result_) return std::move(pvegpu_result_).error(); \
    *std::move(pvegpu_result_);                                    \
  })

}  // namespace pvegpu
