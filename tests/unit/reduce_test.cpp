// SPDX-License-Identifier: MIT
#include "common/core/reduce.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

Kept kept_of(std::initializer_list<const char*> paths, bool others = false) {
  Kept out{.others = others, .members = {}};
  for (const char* path : paths) out.add(path);
  return out;
}

TEST(reduce, keeps_what_is_named) {
  EXPECT_EQ(reduce_json(R"({"a": 1, "b": {"c": [1, {"d": 2}], "e": "x"}, "f": [3]})", kept_of({"a", "b.c"})),
            R"({"a":1,"b":{"c":[1, {"d": 2}]}})");
}

TEST(reduce, looks_into_each_element) {
  EXPECT_EQ(reduce_json(R"([{"a": {"x": 1, "y": 2}}, {"a": {"y": 2}}, 5, []])", kept_of({"a.x"})), R"([{"a":{"x":1}},{"a":{}},5,[]])");
}

TEST(reduce, keeps_others_where_told) {
  EXPECT_EQ(reduce_json(R"({"a": {"x": 1, "y": 2}, "z": {"y": 2}})", kept_of({"a.x"}, true)), R"({"a":{"x":1},"z":{"y": 2}})");
}

TEST(reduce, strings_may_hold_anything) {
  EXPECT_EQ(reduce_json(R"({"drop": "}],\"{\\", "keep": "]}\\\"{", "drop2": ["\\"]})", kept_of({"keep"})), R"({"keep":"]}\\\"{"})");
}

TEST(reduce, what_is_not_json_is_left_to_the_parser) {
  for (const char* text : {"", "{", "{\"a\"", "{\"a\": }", "{\"a\": 1", "{\"a\": [1}", "{\"a\": 1} x", "{\"drop\": [1, 2", "{\"drop\": \"x",
                           "{a: 1}", "{\"a\": \"\\\"}"})
    EXPECT_EQ(reduce_json(text, kept_of({"a.b"})), std::nullopt) << text;
}

TEST(reduce, nesting_without_end_is_copied_not_descended) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(reduce_json(deep, kept_of({"a"})), deep);
}

TEST(reduce, top_level_string) {
  EXPECT_EQ(top_level_string(R"({"x": {"name": "no"}, "name": "pve.gpu.pools"})", "name"), "pve.gpu.pools");
  EXPECT_EQ(top_level_string(R"({"x": 1})", "name"), std::nullopt);
  EXPECT_EQ(top_level_string(R"({"name": 1})", "name"), std::nullopt);
  EXPECT_EQ(top_level_string("garbage", "name"), std::nullopt);
}

}  // namespace
}  // namespace pvegpu
