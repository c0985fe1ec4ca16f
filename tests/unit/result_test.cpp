// SPDX-License-Identifier: MIT
// Result and Error: values, errors, and the bridge to ModuleError.
#include "common/base/result.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace pvegpu {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{"odd", EINVAL};
  return n / 2;
}
Result<int> quarter(int n) {
  const int h = PVEGPU_TRY(half(n));
  return half(h);
}
Result<> only_even(int n) {
  (void)PVEGPU_TRY(half(n));
  return {};
}

TEST(Result, holds_a_value_or_an_error) {
  EXPECT_TRUE(half(4));
  EXPECT_EQ(*half(4), 2);
  EXPECT_FALSE(half(3));
  EXPECT_EQ(half(3).error().message, "odd");
  EXPECT_EQ(half(3).error().code, EINVAL);
  EXPECT_TRUE(only_even(2));
  EXPECT_FALSE(only_even(1));
}

TEST(Result, value_or_is_for_errors_only) {
  EXPECT_EQ(half(4).value_or(9), 2);
  EXPECT_EQ(half(3).value_or(9), 9);
}

TEST(Result, try_returns_the_first_error) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(quarter(3).error().message, "odd");
}

TEST(Result, or_fail_ends_the_task_with_context_and_cause) {
  EXPECT_EQ(half(4).or_fail("halve"), 2);
  try {
    (void)half(3).or_fail("halve 3");
    FAIL() << "did not throw";
  } catch (const ModuleError& e) {
    EXPECT_STREQ(e.what(), "halve 3: odd");
  }
}

TEST(Result, moves_what_can_only_be_moved) {
  Result<std::unique_ptr<int>> owner(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = *std::move(owner);
  EXPECT_EQ(*taken, 5);
  EXPECT_EQ(*Result<std::unique_ptr<int>>(std::make_unique<int>(6)).or_fail("take"), 6);
}

TEST(Error, from_errno_says_what_and_why) {
  const Error error = Error::from_errno("read /x", ENOENT);
  EXPECT_EQ(error.message, "read /x: No such file or directory");
  EXPECT_TRUE(error.not_found());
  EXPECT_TRUE(Error::from_errno("read /x/y", ENOTDIR).not_found());
  EXPECT_FALSE(Error::from_errno("read /x", EACCES).not_found());
  EXPECT_FALSE(Error{"no errno"}.not_found());
}

}  // namespace
}  // namespace pvegpu
