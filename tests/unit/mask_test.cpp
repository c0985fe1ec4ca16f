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

TEST(Mask, logins_in_urls) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://user:secret@host/debian", "https://********@host/debian"},
      {"HTTPS://user:secret@host", "HTTPS://********@host"},
      {"http://token@host:8080/x", "http://********@host:8080/x"},
      {"http://:secret@[fe80::1]/x", "http://********@[fe80::1]/x"},
      {"http://user:se@cret@host/x", "http://********@host/x"},
      {"http://user:se/cret@host/x", "http://********@host/x"},
      {"http:/user:secret@host/x", "http:/********@host/x"},
      {"http:user:secret@host/x", "http:********@host/x"},
      {"tor+http://user:secret@host/x", "tor+http://********@host/x"},
      {"'http://a:b@c', \\\"http://d:e@f\\\"", "'http://********@c', \\\"http://********@f\\\""},
      {"URIs: http://a:b@c http://d:e@f", "URIs: http://********@c http://********@f"},
      // no logins
      {"http://host:8080/x@1.2/y", "http://host:8080/x@1.2/y"},
      {"http://[fe80::1]/x@y", "http://[fe80::1]/x@y"},
      {"pci=resource_alignment=20@0000:c5:00.0;20@0000:c6:00.0", "pci=resource_alignment=20@0000:c5:00.0;20@0000:c6:00.0"},
      {"mail: root@host; see http://host", "mail: root@host; see http://host"},
      {"https:", "https:"},
      {"://a:b@c", "://a:b@c"}};
  for (const auto& [text, wanted] : cases)
    EXPECT_EQ(masked(fmt::format("{{\"a\":[\"{}\"]}}", text).c_str(), {}), fmt::format("{{\"a\":[\"{}\"]}}", wanted));
}

TEST(Mask, what_is_too_long_to_read_is_cut_and_says_so) {
  const std::string text = std::string(50000, 'a') + std::string(50000, 'z');
  json list = json::array();
  for (int i = 0; i < 5000; ++i) list.push_back("0000:41:00.4");
  const json answer{{"msg", "the value '" + text + "' is no path"},
                    {"steps", {text}},
                    {"warnings", {text, "short"}},
                    {"data", text},
                    {"invocation", {{"module_args", {{"text", text}, {"list", list}, {"number", 7}}}}}};
  const json cut = cut_short(answer);
  EXPECT_LT(dump_json(cut).size(), text.size() + 20000);
  EXPECT_EQ(cut["data"], text) << "what a module reports is data";
  const std::string msg = cut["msg"];
  EXPECT_TRUE(msg.starts_with("the value 'aaaa") && msg.ends_with("zzzz' is no path")) << msg;
  EXPECT_NE(msg.find("aaa ... [100023 bytes in all] ... zzz"), msg.npos) << msg;
  EXPECT_EQ(cut["warnings"][1], "short");
  const json& arguments = cut["invocation"]["module_args"];
  EXPECT_EQ(arguments["number"], 7);
  EXPECT_NE(arguments["text"].get<std::string>().find("[100000 bytes in all]"), msg.npos);
  EXPECT_LT(dump_json(arguments).size(), 3000u);
}

}  // namespace
}  // namespace pvegpu
