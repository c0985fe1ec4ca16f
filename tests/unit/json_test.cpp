// SPDX-License-Identifier: MIT
// JSON that neither crashes nor quotes its input.
#include "common/base/json.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

TEST(Json, keeps_the_order_of_keys) { EXPECT_EQ(dump_json(*parse_json(R"({"z":1,"a":{"y":2,"b":3}})")), R"({"z":1,"a":{"y":2,"b":3}})"); }

TEST(Json, the_last_of_duplicate_keys_counts) { EXPECT_EQ(dump_json(*parse_json(R"({"a":1,"b":2,"a":3})")), R"({"a":3,"b":2})"); }

TEST(Json, errors_say_where_and_never_what) {
  for (const char* text : {R"({"password": "hunter2)", R"({"password": hunter2})", R"(["hunter2",])", "hunter2", R"({"a":"hunter2\x"})",
                           "{\"hunter2\": 1e999}", "\"hunter2\xff\""}) {
    const auto parsed = parse_json(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().message.find("hunter2"), std::string::npos) << parsed.error().message;
    EXPECT_NE(parsed.error().message.find("not valid JSON"), std::string::npos) << parsed.error().message;
  }
  EXPECT_NE(parse_json("[1,}").error().message.find("byte 4"), std::string::npos);
}

TEST(Json, depth_is_limited_but_brackets_in_strings_are_not) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(64)));
  EXPECT_FALSE(parse_json(nested(65)));
  EXPECT_FALSE(parse_json(nested(1000000)));
  EXPECT_FALSE(parse_json(std::string(1000000, '[')));
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\""));
  EXPECT_TRUE(parse_json(R"(["\"[[[", "]"])"));
  std::string objects;
  for (int i = 0; i < 100; ++i) objects += R"({"a":)";
  EXPECT_FALSE(parse_json(objects));
}

TEST(Json, empty_and_trailing_input_is_refused) {
  for (const char* text : {"", " ", "{} {}", "{}x", "nul"}) EXPECT_FALSE(parse_json(text)) << text;
}

TEST(Json, dump_is_one_line_of_utf8_whatever_is_in_it) {
  const std::string line = dump_json({{"a", "x\ny\xff\xfez"}, {"b", std::string("\0", 1)}});
  EXPECT_EQ(line, "{\"a\":\"x\\ny\xEF\xBF\xBD\xEF\xBF\xBDz\",\"b\":\"\\u0000\"}");
}

}  // namespace
}  // namespace pvegpu
