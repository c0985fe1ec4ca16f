// SPDX-License-Identifier: MIT
// Answers: one table gives what is told, what is taken in, and what the documentation says.
#include "common/base/reply.hpp"
#include "common/base/strings.hpp"
#include "common/inventory/host_info.hpp"
#include "common/pools/documents.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace pvegpu {

enum class Colour { red, green };
template <>
struct EnumNames<Colour> {
  static constexpr std::pair<Colour, const char*> values[] = {{Colour::red, "red"}, {Colour::green, "green"}};
};

namespace {

struct Inner {
  std::string name;
  std::optional<std::int64_t> number = {};

  static void fields(Document<Inner>& out) {
    out.field("name", &Inner::name, {.doc = "A name.", .sample = "7"});
    out.field("number", &Inner::number, {.doc = "A number.", .sample = "7"});
  }
};

struct Base {
  Inner inner = {};
};

struct Silent {
  bool told = true;

  static void fields(Reply<Silent>& out) { out.field("told", &Silent::told); }
};

struct Outer : Base {
  bool flag = false;
  std::uint16_t id = 0;
  Colour colour = Colour::red;
  std::string text = {};
  std::optional<std::string> maybe = {};
  std::optional<std::optional<std::string>> perhaps = {};
  std::vector<Inner> list = {};
  std::vector<std::string> some = {};
  std::set<std::string> set = {};
  std::map<std::string, std::int64_t> counts = {};
  Silent silent = {};

  static void fields(Document<Outer>& out) {
    out.field("inner", &Outer::inner, {.doc = "Of the base."});
    out.field("inner_name", at(&Outer::inner, &Inner::name));
    out.field("flag", &Outer::flag, {.doc = "A flag."});
    out.field("id", &Outer::id, {.doc = "An id."});
    out.field("colour", &Outer::colour, {.doc = "A colour."});
    out.field("text", &Outer::text, {.doc = "A text.", .null_if_empty = true});
    out.field("maybe", &Outer::maybe, {.doc = "It may be null."});
    out.field("perhaps", &Outer::perhaps, {.doc = "It may be null, or not there.", .when = "at times"});
    out.field("list", &Outer::list, {.doc = "A list."});
    out.field("some", &Outer::some, {.doc = "Words.", .sample = "[\"a\"]", .when = "when there are any"});
    out.field("set", &Outer::set, {.doc = "A set."});
    out.field("counts", &Outer::counts, {.doc = "A dict."});
    out.field("silent", &Outer::silent, {.doc = "A dict whose insides this sentence tells."});
    out.field("length", [](const Outer& value) { return value.text.size(); }, {.doc = "Worked out."});
  }
};

struct Other {
  static void fields(Reply<Other>& out) {
    out.also<Outer>({.doc = "See there.", .when = "at times"});
    out.field("own", [](const Other&) { return true; }, {.doc = "Its own."});
  }
};

std::string printed(const Outer& value) { return reply_of<Outer>().print(value).dump(); }

TEST(Reply, TellsMembersInTheirOrder) {
  EXPECT_EQ(printed({}),
            R"({"inner":{"name":"","number":null},"inner_name":"","flag":false,"id":"0000","colour":"red","text":null,"maybe":null,)"
            R"("list":[],"set":[],"counts":{},"silent":{"told":true},"length":0})");
  Outer full;
  full.inner = {"i", 3};
  full.flag = true;
  full.id = 0x10de;
  full.colour = Colour::green;
  full.text = "four";
  full.maybe = "m";
  full.perhaps = std::optional<std::string>();
  full.list = {{"a", 1}, {"b", {}}};
  full.some = {"x"};
  full.set = {"z", "y"};
  full.counts = {{"n", 2}};
  EXPECT_EQ(printed(full),
            R"({"inner":{"name":"i","number":3},"inner_name":"i","flag":true,"id":"10de","colour":"green","text":"four","maybe":"m",)"
            R"("perhaps":null,"list":[{"name":"a","number":1},{"name":"b","number":null}],"some":["x"],"set":["y","z"],"counts":{"n":2},)"
            R"("silent":{"told":true},"length":4})");
}

TEST(Reply, TakesInWhatItTold) {
  Outer full;
  full.inner = {"i", 3};
  full.flag = true;
  full.id = 0xffff;
  full.colour = Colour::green;
  full.maybe = "m";
  full.list = {{"a", 1}, {"b", {}}};
  full.some = {"x", "y"};
  const json told = reply_of<Outer>().print(full);
  json again = reply_of<Outer>().print(reply_of<Outer>().read(told));
  EXPECT_EQ(again.dump(), told.dump());
}

TEST(Reply, WhatDoesNotFitStaysAsItWas) {
  const Outer out = reply_of<Outer>().read(*parse_json(
      R"({"flag":"yes","id":"xyz","colour":"blue","text":5,"maybe":null,"list":{"a":1},"some":["a",7,"b"],"inner":"none","unknown":1})"));
  Outer expected;
  expected.some = {"a", "b"};
  EXPECT_EQ(printed(out), printed(expected));
  EXPECT_EQ(printed(reply_of<Outer>().read(json::array())), printed({}));
  // Templates of Ansible make strings of numbers.
  EXPECT_EQ(reply_of<Inner>().read({{"number", "12"}}).number, 12);
  EXPECT_EQ(reply_of<Inner>().read({{"number", "12 "}}).number, std::nullopt);
  EXPECT_EQ(reply_of<Inner>().read({{"number", 1.5}}).number, std::nullopt);
}

TEST(Reply, IsDocumented) {
  const json all = reply_of<Outer>().describe();
  EXPECT_EQ(all["flag"].dump(), R"({"description":"A flag.","returned":"always","type":"bool"})");
  EXPECT_EQ(all["id"]["type"], "str");
  EXPECT_EQ(all["some"].dump(),
            R"({"description":"Words.","returned":"when there are any","type":"list","elements":"str","sample":["a"]})");
  EXPECT_EQ(all["list"]["contains"].dump(),
            R"({"name":{"description":"A name.","type":"str","sample":"7"},"number":{"description":"A number.","type":"int","sample":7}})");
  EXPECT_EQ(all["length"]["type"], "int");
  EXPECT_EQ(all["counts"]["type"], "dict");
  EXPECT_FALSE(all.contains("inner_name"));          // without a text
  EXPECT_FALSE(all["silent"].contains("contains"));  // none of its members has one
}

TEST(Reply, TellsThatAnotherIsToldToo) {
  EXPECT_EQ(reply_of<Other>().print({}).dump(), R"({"own":true})");
  const json all = reply_of<Other>().describe();
  EXPECT_EQ(all["list"].dump(), R"({"description":"A list. See there.","returned":"at times","type":"list","elements":"dict"})");
  EXPECT_EQ(all["own"]["returned"], "always");
}

TEST(Reply, PoolsReadsWhatHostInfoTells) {
  for (const std::string& key : pools::document_keys()) {
    const replies::ReplyBase* reply = &reply_of<gpu::HostInfo>();
    for (const std::string& name : text::split(key, '.')) {
      ASSERT_TRUE(reply) << key;
      const auto& fields = reply->fields();
      const auto found = std::find_if(fields.begin(), fields.end(), [&](const replies::Field& field) { return field.name == name; });
      ASSERT_NE(found, fields.end()) << key;
      ASSERT_TRUE(found->kind->read) << key << " is told and not taken in";
      reply = found->nested ? &found->nested() : nullptr;
    }
  }
}

}  // namespace
}  // namespace pvegpu
