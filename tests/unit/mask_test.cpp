// SPDX-License-Identifier: MIT
// Secrets in answers.
#include "common/core/mask.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

std::string masked(const char* text, const std::vector<std::string>& secrets) { return dump_json(mask(*parse_json(text), secrets)); }

TEST(Mask, every_string_everywhere) {
  EXPECT_EQ(masked(R"({"msg":"login with hunter2 failed","list":["hunter2",{"deep":"xhunter2x"}]})", {"hunter2"}),
            R"({"msg":"login with ******** failed","list":["********",{"deep":"x********x"}]})");
}

TEST(Mask, keys_below_the_answers_own) { EXPECT_EQ(masked(R"({"env":{"hunter2":1}})", {"hunter2"}), R"({"env":{"********":1}})"); }

TEST(Mask, keys_of_the_answer_itself_stay) {
  EXPECT_EQ(masked(R"({"failed":true,"msg":"failed"})", {"failed"}), R"({"failed":true,"msg":"********"})");
}

TEST(Mask, numbers_that_are_a_secret) {
  EXPECT_EQ(masked(R"({"pin":1234,"other":12345})", {"1234"}), R"({"pin":"********","other":12345})");
}

TEST(Mask, more_than_one_occurrence_and_more_than_one_secret) {
  EXPECT_EQ(masked(R"({"a":"xx-secret-secret-xx","b":"other"})", {"secret", "other"}), R"({"a":"xx-********-********-xx","b":"********"})");
}

TEST(Mask, a_secret_that_is_part_of_another_leaves_no_rest) {
  EXPECT_EQ(masked(R"({"a":"abcdef abc"})", {"abc", "abcdef"}), R"({"a":"******** ********"})");
}

TEST(Mask, a_secret_of_asterisks_ends) { EXPECT_EQ(masked(R"({"a":"**x*"})", {"*"}), R"({"a":"****************x********"})"); }

TEST(Mask, empty_secrets_mask_nothing) { EXPECT_EQ(masked(R"({"a":"b"})", {""}), R"({"a":"b"})"); }

}  // namespace
}  // namespace pvegpu
