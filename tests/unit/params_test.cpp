// SPDX-License-Identifier: MIT
// Parameters: Ansible's coercions, defaults, aliases, constraints, secrets, and what the documentation says of them.
#include "common/core/params.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pvegpu {

enum class Channel { keep, no_subscription, off };
template <>
struct EnumNames<Channel> {
  static constexpr std::pair<Channel, const char*> values[] = {
      {Channel::keep, "keep"}, {Channel::no_subscription, "no-subscription"}, {Channel::off, "off"}};
};

namespace {

struct Entry {
  std::string slot;
  std::int64_t vfs = 4;
  Secret key = {};
  static const Spec<Entry>& spec() {
    static const Spec<Entry> out = Spec<Entry>{}
                                       .param("slot", &Entry::slot, {.doc = "Address.", .required = true})
                                       .param("vfs", &Entry::vfs, {.doc = "VFs."})
                                       .param("key", &Entry::key, {.doc = "Key."});
    return out;
  }
};

struct Params {
  std::string name = "pve";
  bool wanted = true;
  std::int64_t count = 3;
  Channel channel = Channel::keep;
  std::optional<std::string> url = {};
  std::optional<std::int64_t> vmid = {};
  std::vector<std::string> ids = {};
  std::vector<std::int64_t> numbers = {1, 2};
  std::vector<Entry> entries = {};
  Secret password = {};
  std::vector<Secret> tokens = {};
};

Spec<Params> spec() {
  return Spec<Params>{}
      .param("name", &Params::name, {.doc = "Name.", .aliases = {"node", "host"}})
      .param("wanted", &Params::wanted, {.doc = "Wanted."})
      .param("count", &Params::count, {.doc = "Count."})
      .param("channel", &Params::channel, {.doc = "Channel."})
      .param("url", &Params::url, {.doc = "URL."})
      .param("vmid", &Params::vmid, {.doc = "VMID."})
      .param("ids", &Params::ids, {.doc = "Ids."})
      .param("numbers", &Params::numbers, {.doc = "Numbers."})
      .param("entries", &Params::entries, {.doc = "Entries."})
      .param("password", &Params::password, {.doc = "Password.", .aliases = {"pass"}})
      .param("tokens", &Params::tokens, {.doc = "Tokens."})
      .mutually_exclusive({"url", "vmid"})
      .required_if("channel", "no-subscription", {"url"});
}

Params parse(const char* text) { return spec().parse(parse_json(text).or_fail("test")); }
bool knows(const json& args, const std::string& secret) {
  const auto secrets = spec().secrets(args);
  return std::find(secrets.begin(), secrets.end(), secret) != secrets.end();
}
std::string refused(const char* text) {
  try {
    (void)parse(text);
  } catch (const ModuleError& e) {
    return e.what();
  }
  return "(accepted)";
}

TEST(Params, nothing_given_is_the_defaults) {
  const Params p = parse("{}");
  EXPECT_EQ(p.name, "pve");
  EXPECT_TRUE(p.wanted);
  EXPECT_EQ(p.count, 3);
  EXPECT_EQ(p.channel, Channel::keep);
  EXPECT_FALSE(p.url);
  EXPECT_EQ(p.numbers, (std::vector<std::int64_t>{1, 2}));
}

TEST(Params, null_is_as_not_given) {
  EXPECT_EQ(parse(R"({"name": null, "count": null, "numbers": null})").name, "pve");
  EXPECT_EQ(parse(R"({"name": null, "node": "x"})").name, "x");
}

TEST(Params, bools_are_ansibles) {
  for (const char* yes : {"true", "\"yes\"", "\"On\"", "\"1\"", "1", "\"TRUE\"", "\"t\"", "\"y\"", "1.0", "\" yes \""})
    EXPECT_TRUE(params::parse_bool(*parse_json(yes)).value_or(false)) << yes;
  for (const char* no : {"false", "\"no\"", "\"OFF\"", "\"0\"", "0", "\"f\"", "\"n\"", "0.0"})
    EXPECT_FALSE(params::parse_bool(*parse_json(no)).value_or(true)) << no;
  for (const char* neither : {"2", "\"maybe\"", "\"\"", "[]", "{}", "\"truee\""})
    EXPECT_FALSE(params::parse_bool(*parse_json(neither))) << neither;
}

TEST(Params, ints_are_ansibles) {
  EXPECT_EQ(parse(R"({"count": "17"})").count, 17);
  EXPECT_EQ(parse(R"({"count": " -5 "})").count, -5);
  EXPECT_EQ(parse(R"({"count": "+5"})").count, 5);
  EXPECT_EQ(parse(R"({"count": 8.0})").count, 8);
  EXPECT_EQ(parse(R"({"count": -9223372036854775808})").count, INT64_MIN);
  for (const char* bad :
       {"1.5", "\"1.5\"", "\"x\"", "\"\"", "\"1x\"", "\"+-1\"", "\"+\"", "[]", "18446744073709551615", "1e300", "\"9223372036854775808\""})
    EXPECT_FALSE(params::parse_int(*parse_json(bad))) << bad;
}

TEST(Params, strings_take_scalars) {
  EXPECT_EQ(parse(R"({"name": 5})").name, "5");
  EXPECT_EQ(parse(R"({"name": true})").name, "True");
  EXPECT_NE(refused(R"({"name": ["x"]})"), "(accepted)");
  EXPECT_NE(refused(R"({"name": {"x": 1}})"), "(accepted)");
  EXPECT_NE(refused(R"({"name": "a\u0000b"})"), "(accepted)");
}

TEST(Params, lists_are_ansibles) {
  EXPECT_EQ(parse(R"({"ids": "a,b"})").ids, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parse(R"({"ids": ["a", 2]})").ids, (std::vector<std::string>{"a", "2"}));
  EXPECT_EQ(parse(R"({"ids": ""})").ids, std::vector<std::string>{});
  EXPECT_EQ(parse(R"({"ids": []})").ids, std::vector<std::string>{});
  EXPECT_EQ(parse(R"({"numbers": "3,4"})").numbers, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(parse(R"({"numbers": 7})").numbers, std::vector<std::int64_t>{7});
  EXPECT_NE(refused(R"({"ids": [null]})"), "(accepted)");
  EXPECT_NE(refused(R"({"numbers": ["x"]})"), "(accepted)");
}

TEST(Params, choices_are_spelled_exactly) {
  EXPECT_EQ(parse(R"({"channel": "off"})").channel, Channel::off);
  EXPECT_EQ(parse(R"({"channel": false})").channel, Channel::off) << "YAML reads off as a bool";
  EXPECT_EQ(refused(R"({"channel": "beta"})"), "parameter 'channel': 'beta' is not one of: keep, no-subscription, off");
  EXPECT_NE(refused(R"({"channel": "Keep"})"), "(accepted)");
  EXPECT_NE(refused(R"({"channel": true})"), "(accepted)");
}

TEST(Params, suboptions_are_checked_like_parameters) {
  const Params p = parse(R"({"entries": [{"slot": "0000:01:00.0"}, {"slot": "0000:02:00.0", "vfs": "8"}]})");
  ASSERT_EQ(p.entries.size(), 2u);
  EXPECT_EQ(p.entries[0].vfs, 4);
  EXPECT_EQ(p.entries[1].vfs, 8);
  EXPECT_NE(refused(R"({"entries": [{"vfs": 1}]})").find("missing parameter 'slot'"), std::string::npos);
  EXPECT_NE(refused(R"({"entries": [{"slot": "x", "slots": 1}]})").find("unsupported parameter 'slots'"), std::string::npos);
}

TEST(Params, control_characters_are_refused_unless_a_text_may_have_lines) {
  EXPECT_NE(refused(R"({"name": "a\nb"})").find("parameter 'name': the value holds a line break"), std::string::npos);
  EXPECT_NE(refused(R"({"name": "a\n"})").find(">-"), std::string::npos);
  EXPECT_NE(refused(R"({"name": "a\u0007"})").find("control character 0x07"), std::string::npos);
  EXPECT_NE(refused(R"({"name": "a\u007f"})").find("control character 0x7f"), std::string::npos);
  EXPECT_NE(refused(R"({"host": "a\rb"})").find("control character 0x0d"), std::string::npos) << "by an alias";
  EXPECT_NE(refused(R"({"ids": ["a", "b\tc"]})").find("control character 0x09"), std::string::npos);
  EXPECT_NE(refused(R"({"ids": "a,b\nc"})").find("line break"), std::string::npos);
  EXPECT_NE(refused(R"({"entries": [{"slot": "x\n"}]})").find("parameter 'slot': the value holds a line break"), std::string::npos);
  EXPECT_EQ(refused(R"({"password": "a\nb", "tokens": ["a\nb"]})"), "(accepted)");
  EXPECT_EQ(refused(R"({"name": "\u00fcn\u00efc\u00f6d\u00e9"})"), "(accepted)");
}

TEST(Params, unknown_keys_are_refused_but_ansibles_own) {
  EXPECT_EQ(refused(R"({"nmae": "x"})").find("unsupported parameter 'nmae'; this module takes: name, wanted"), 0u);
  EXPECT_EQ(refused(R"({"_ansible_version": "2.19", "_ansible_check_mode": false})"), "(accepted)");
  EXPECT_NE(refused(R"({"_ansibl": 1})"), "(accepted)");
  EXPECT_NE(refused(R"({"entries": [{"slot": "x", "_ansible_check_mode": true}]})"), "(accepted)");
  EXPECT_NE(refused("[]"), "(accepted)");
}

TEST(Params, aliases_are_the_same_parameter) {
  EXPECT_EQ(parse(R"({"host": "x"})").name, "x");
  EXPECT_EQ(parse(R"({"host": "x", "name": "y"})").name, "y");
}

TEST(Params, exclusive_and_conditional_parameters) {
  EXPECT_NE(refused(R"({"url": "u", "vmid": 1})").find("url, vmid"), std::string::npos);
  EXPECT_EQ(refused(R"({"url": "u", "vmid": null})"), "(accepted)");
  EXPECT_NE(refused(R"({"channel": "no-subscription"})").find("missing parameter 'url'"), std::string::npos);
  EXPECT_EQ(refused(R"({"channel": "no-subscription", "url": "u"})"), "(accepted)");
}

TEST(Params, secrets_are_in_no_message_and_not_in_the_invocation) {
  json invocation;
  const json args = parse_json(R"({"password": "hunter2", "tokens": ["t1", "t2"], "name": "x"})").or_fail("test");
  EXPECT_EQ(spec().parse(args, &invocation).password.value, "hunter2");
  EXPECT_EQ(invocation["password"], "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER");
  EXPECT_EQ(invocation["tokens"], "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER");
  EXPECT_EQ(invocation["name"], "x");
  for (const char* secret : {"hunter2", "t1", "t2"}) EXPECT_TRUE(knows(args, secret)) << secret;
  EXPECT_FALSE(knows(args, "x"));
  EXPECT_EQ(refused(R"({"password": {"x": "hunter2"}})").find("hunter2"), std::string::npos);
  EXPECT_EQ(refused(R"({"tokens": [["hunter2"]]})").find("hunter2"), std::string::npos);
}

TEST(Params, secrets_are_known_however_they_are_written) {
  const auto known = [](const char* text, const char* secret) { return knows(parse_json(text).or_fail("test"), secret); };
  EXPECT_TRUE(known(R"({"tokens": "t1,t2"})", "t1"));
  EXPECT_TRUE(known(R"({"tokens": "t1,t2"})", "t2"));
  EXPECT_FALSE(known(R"({"password": "a,b"})", "a")) << "a lone secret is one, or every letter a would be masked";
  EXPECT_TRUE(known(R"({"password": "a,b"})", "a,b"));
  EXPECT_TRUE(known(R"({"password": {"x": ["deep", 5]}})", "deep"));
  EXPECT_TRUE(known(R"({"password": {"x": ["deep", 5]}})", "5"));
  EXPECT_TRUE(known(R"({"password": true})", "True"));
  EXPECT_TRUE(known(R"({"password": "one", "pass": "two"})", "two")) << "the spelling that is not used";
  EXPECT_TRUE(known(R"({"entries": [{"slot": "x", "key": "nested"}]})", "nested"));
  EXPECT_TRUE(known(R"({"entries": "{\"slot\": \"x\", \"key\": \"nested\"}"})", "nested"));
}

TEST(Params, invocation_shows_what_ran_defaults_included) {
  json invocation;
  (void)spec().parse(parse_json(R"({"count": "5", "ids": "a,b", "_ansible_diff": true})").or_fail("test"), &invocation);
  EXPECT_EQ(dump_json(invocation),
            R"({"name":"pve","wanted":true,"count":5,"channel":"keep","url":null,"vmid":null,"ids":["a","b"],"numbers":[1,2],"entries":[],)"
            R"("password":null,"tokens":null})");
}

TEST(Params, documentation_is_read_off_the_members) {
  const json options = spec().describe();
  EXPECT_EQ(dump_json(options["name"]), R"({"description":["Name."],"type":"str","default":"pve","aliases":["node","host"]})");
  EXPECT_EQ(dump_json(options["wanted"]), R"({"description":["Wanted."],"type":"bool","default":true})");
  EXPECT_EQ(dump_json(options["channel"]),
            R"({"description":["Channel."],"type":"str","choices":["keep","no-subscription","off"],"default":"keep"})");
  EXPECT_EQ(dump_json(options["url"]), R"({"description":["URL."],"type":"str"})");
  EXPECT_EQ(dump_json(options["numbers"]), R"({"description":["Numbers."],"type":"list","elements":"int","default":[1,2]})");
  EXPECT_EQ(options["entries"]["elements"], "dict");
  EXPECT_EQ(options["entries"]["suboptions"]["slot"]["required"], true);
  EXPECT_FALSE(options["password"].contains("default"));
  EXPECT_EQ(spec().constraints().size(), 2u);
}

TEST(Params, a_long_wrong_value_is_cut_short) {
  const std::string message = refused(("{\"channel\": \"" + std::string(100000, 'x') + "\"}").c_str());
  EXPECT_LT(message.size(), 300u);
}

}  // namespace
}  // namespace pvegpu
