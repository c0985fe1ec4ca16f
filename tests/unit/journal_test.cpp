// SPDX-License-Identifier: MIT
// The executor's memory: what is owed, what was there before, since when a task waits.
#include "common/core/journal.hpp"

#include "common/base/strings.hpp"
#include "tests/laws/planners.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace pvegpu {
namespace {

using laws::bare_world;

FollowUp program(const char* name, int rank = 50) { return {.kind = "program", .argv = {name}, .rank = rank}; }
std::vector<Owed> owed(const FakeHost& host) { return journal::owed(host).or_fail("owed"); }

TEST(Journal, nothing_is_owed_at_first) {
  FakeHost host = bare_world();
  EXPECT_TRUE(owed(host).empty());
  EXPECT_TRUE(journal::undo_paths(host, "m").or_fail("paths").empty());
  EXPECT_FALSE(journal::undo(host, "m", "/etc/x").or_fail("undo"));
  EXPECT_FALSE(journal::waiting_since(host, "m", {"reboot", "why"}).or_fail("wait"));
  EXPECT_TRUE(journal::tidy(host));
  EXPECT_TRUE(host.effects().empty());
}

TEST(Journal, owed_work_comes_back_in_order_and_is_settled) {
  FakeHost host = bare_world();
  ASSERT_TRUE(journal::owe(host, {program("late", 90), {"m"}}));
  ASSERT_TRUE(journal::owe(host, {program("early", 10), {"m"}, true}));
  ASSERT_EQ(owed(host).size(), 2u);
  EXPECT_EQ(owed(host)[0].follow_up.argv, std::vector<std::string>{"early"});
  EXPECT_TRUE(owed(host)[0].put_off);
  ASSERT_TRUE(journal::settle(host, program("early")));
  ASSERT_EQ(owed(host).size(), 1u);
  ASSERT_TRUE(journal::settle(host, program("late")));
  ASSERT_TRUE(journal::settle(host, program("late"))) << "twice does not matter";
  ASSERT_TRUE(journal::tidy(host));
  EXPECT_FALSE(host.exists(state_dir));
}

TEST(Journal, same_work_owed_twice_keeps_the_oldest_images_and_all_who_asked) {
  FakeHost host = bare_world();
  BeforeImage first, again, other;
  first.path = again.path = "/etc/x";
  first.existed = true;
  first.bytes = std::string("old\0\xff", 5);
  first.meta = {0640, 3, 4};
  again.bytes = "half-way";
  again.existed = true;
  again.after = "hash of what is written now";
  other.path = "/etc/y";
  ASSERT_TRUE(journal::owe(host, {program("p"), {"one"}, false, {first}}));
  ASSERT_TRUE(journal::owe(host, {program("p"), {"two"}, false, {again, other}}));
  ASSERT_EQ(owed(host).size(), 1u);
  const Owed merged = owed(host)[0];
  EXPECT_EQ(merged.modules.size(), 2u);
  ASSERT_EQ(merged.images.size(), 2u);
  EXPECT_EQ(merged.images[0].bytes, first.bytes);
  EXPECT_EQ(merged.images[0].after, again.after);
  EXPECT_EQ(merged.images[0].meta.mode, 0640u);
  EXPECT_EQ(merged.images[0].meta.uid, 3u);
  EXPECT_EQ(merged.images[1].path, "/etc/y");
}

TEST(Journal, is_for_root_alone) {
  FakeHost host = bare_world();
  ASSERT_TRUE(journal::owe(host, {program("p"), {"m"}}));
  EXPECT_EQ(host.stat(state_dir).or_fail("stat").mode, 0700u);
  EXPECT_EQ(host.stat(std::string(state_dir) + "/pending").or_fail("stat").mode, 0700u);
  EXPECT_EQ(host.stat(fmt::format("{}/pending/{}.json", state_dir, program("p").id())).or_fail("stat").mode, 0600u);
}

TEST(Journal, damaged_records_are_errors_that_name_the_file) {
  for (const char* text : {"", "{", "[]", "{}", "{\"follow_up\":{}}", "\xff"}) {
    FakeHost host = bare_world().file("/var/lib/pve-gpu/pending/x.json", text);
    const auto result = journal::owed(host);
    ASSERT_FALSE(result) << text;
    EXPECT_TRUE(text::contains(result.error().message, "/var/lib/pve-gpu/pending/x.json")) << result.error().message;
  }
}

TEST(Journal, damaged_wait_is_an_error_too) {
  FakeHost host = bare_world();
  const Wait wait{"reboot", "why"};
  ASSERT_TRUE(journal::record_waits(host, "task", {wait}, "boot-1"));
  const std::string name = host.list_dir("/var/lib/pve-gpu/waits").or_fail("list")[0];
  for (const char* text : {"{\"half", "{}", R"({"waits":[1]})", R"({"waits":[{"on":"reboot","reason":"why","boot_id":7}]})"}) {
    host.file("/var/lib/pve-gpu/waits/" + name, text);
    const auto since = journal::waiting_since(host, "task", wait);
    ASSERT_FALSE(since) << text;
    EXPECT_TRUE(text::contains(since.error().message, name)) << since.error().message;
  }
}

TEST(Journal, damaged_undo_record_is_not_passed_over) {
  for (const char* text : {"{\"half", "{}", R"({"path":"/etc/x"})", R"({"path":"/etc/x","contributions":[{}]})"}) {
    FakeHost host = bare_world();
    ASSERT_TRUE(journal::record_undo(host, "m", {.path = "/etc/x", .content = "x"}));
    const std::string file = "/var/lib/pve-gpu/undo/" + host.list_dir("/var/lib/pve-gpu/undo").or_fail("list")[0];
    host.file(file, text);
    const auto paths = journal::undo_paths(host, "m");
    ASSERT_FALSE(paths) << text;
    EXPECT_TRUE(text::contains(paths.error().message, file)) << paths.error().message;
  }
}

TEST(Journal, notes_are_kept_until_they_are_forgotten) {
  FakeHost host = bare_world();
  const NoteName one{"m", "one"}, other{"m", "other"}, same_key{"n", "one"};
  EXPECT_FALSE(journal::note(host, one).or_fail("note"));
  ASSERT_TRUE(journal::keep_note(host, {one, json{{"a", 1}}}));
  ASSERT_TRUE(journal::keep_note(host, {same_key, json("text")}));
  EXPECT_EQ(journal::note(host, one).or_fail("note"), (json{{"a", 1}}));
  EXPECT_EQ(journal::note(host, same_key).or_fail("note"), json("text"));
  EXPECT_FALSE(journal::note(host, other).or_fail("note"));
  EXPECT_EQ(host.stat("/var/lib/pve-gpu/notes").or_fail("stat").mode, 0700u);
  ASSERT_TRUE(journal::keep_note(host, {one, std::nullopt}));
  ASSERT_TRUE(journal::keep_note(host, {other, std::nullopt}));
  EXPECT_FALSE(journal::note(host, one).or_fail("note"));
  ASSERT_TRUE(journal::tidy(host));
  EXPECT_TRUE(host.exists("/var/lib/pve-gpu/notes"));
  ASSERT_TRUE(journal::keep_note(host, {same_key, std::nullopt}));
  ASSERT_TRUE(journal::tidy(host));
  EXPECT_FALSE(host.exists(state_dir));
}

TEST(Journal, note_where_versions_before_kept_it) {
  const std::string old = "/var/lib/pve-gpu/m/one.json";
  const NoteName name{"m", "one", old};
  FakeHost host = bare_world().file(old, R"({"a": 1})", 0600);
  EXPECT_EQ(journal::note(host, name).or_fail("note"), (json{{"a", 1}}));
  ASSERT_TRUE(journal::keep_note(host, {name, json{{"a", 2}}}));
  EXPECT_FALSE(host.exists("/var/lib/pve-gpu/m"));
  EXPECT_EQ(journal::note(host, name).or_fail("note"), (json{{"a", 2}}));

  host.file(old, R"({"a": 1})", 0600).file("/var/lib/pve-gpu/m/copy", "of something");
  EXPECT_EQ(journal::note(host, name).or_fail("note"), (json{{"a", 2}})) << "of a run that was killed while it moved it";
  ASSERT_TRUE(journal::keep_note(host, {name, std::nullopt}));
  EXPECT_FALSE(journal::note(host, name).or_fail("note"));
  EXPECT_EQ(host.list_dir("/var/lib/pve-gpu/m").or_fail("list"), std::vector<std::string>{"copy"});

  for (const char* text : {"{", "[]", ""}) {
    host.file(old, text, 0600);
    const auto damaged = journal::note(host, name);
    ASSERT_FALSE(damaged) << text;
    EXPECT_TRUE(text::contains(damaged.error().message, old)) << damaged.error().message;
  }
  host.file(old, "{}", 0622);
  EXPECT_FALSE(journal::note(host, name)) << "what others may write is not taken";
  FakeHost other = bare_world().file(old, "{}", 0600).dir(state_dir, 0700).user(1000);
  EXPECT_FALSE(journal::note(other, name).or_fail("what only root may see is none for others"));
}

TEST(Journal, what_a_killed_write_left_beside_a_file_goes) {
  FakeHost host = bare_world();
  ASSERT_TRUE(journal::record_undo(host, "m", FileChange{FileChange::Kind::write, "/etc/x", "new\n"}));
  host.file(std::string("/etc/x") + temporary_suffix, "ne").file(std::string("/etc/y") + temporary_suffix, "of others");
  ASSERT_TRUE(journal::clear_torn(host));
  EXPECT_FALSE(host.exists(std::string("/etc/x") + temporary_suffix));
  EXPECT_TRUE(host.exists(std::string("/etc/y") + temporary_suffix));
  host.file("/var/lib/pve-gpu/undo/damaged.json", "{");
  EXPECT_TRUE(journal::clear_torn(host)) << "a damaged record is told by whoever needs it";
}

TEST(Journal, what_a_killed_write_left_is_no_record) {
  FakeHost host = bare_world().file(std::string("/var/lib/pve-gpu/pending/x.json") + temporary_suffix, "{\"half");
  EXPECT_TRUE(owed(host).empty());
  ASSERT_TRUE(journal::tidy(host));
  EXPECT_FALSE(host.exists(state_dir));
}

TEST(Journal, undo_remembers_the_first_state_through_many_changes) {
  FakeHost host = bare_world().file("/etc/x", "first\n", 0640, 1, 2);
  for (const char* content : {"second\n", "third\n"}) {
    ASSERT_TRUE(journal::record_undo(host, "m", {.path = "/etc/x", .content = content}));
    host.file("/etc/x", content, 0644);
  }
  const UndoView view = *journal::undo(host, "m", "/etc/x").or_fail("undo");
  EXPECT_TRUE(view.existed);
  EXPECT_EQ(view.before, "first\n");
  EXPECT_EQ(view.meta.mode, 0640u);
  EXPECT_EQ(view.meta.uid, 1u);
  EXPECT_TRUE(view.untouched);
  EXPECT_EQ(journal::undo_paths(host, "m").or_fail("paths"), std::vector<std::string>{"/etc/x"});
  EXPECT_TRUE(journal::undo_paths(host, "other").or_fail("paths").empty());
}

TEST(Journal, foreign_edits_are_noticed_now_and_between_changes) {
  FakeHost host = bare_world();
  ASSERT_TRUE(journal::record_undo(host, "m", {.path = "/etc/x", .content = "ours\n"}));
  host.file("/etc/x", "ours\n");
  EXPECT_TRUE(journal::undo(host, "m", "/etc/x").or_fail("undo")->untouched);
  host.file("/etc/x", "ours\ntheirs\n");
  EXPECT_FALSE(journal::undo(host, "m", "/etc/x").or_fail("undo")->untouched);
  ASSERT_TRUE(journal::record_undo(host, "m", {.path = "/etc/x", .content = "ours again\n"}));
  host.file("/etc/x", "ours again\n");
  EXPECT_FALSE(journal::undo(host, "m", "/etc/x").or_fail("undo")->untouched) << "their line was in between";
}

TEST(Journal, directories_of_a_neighbour_are_ours_to_remove_too) {
  FakeHost host = bare_world();
  ASSERT_TRUE(journal::record_undo(host, "one", {.path = "/etc/new/d/a", .directories = {"/etc/new", "/etc/new/d"}}));
  ASSERT_TRUE(journal::record_undo(host, "two", {.path = "/etc/new/d/b"}));
  ASSERT_TRUE(journal::record_undo(host, "two", {.path = "/etc/newer"}));
  EXPECT_EQ(journal::undo(host, "two", "/etc/new/d/b").or_fail("undo")->directories, (std::vector<std::string>{"/etc/new", "/etc/new/d"}));
  EXPECT_TRUE(journal::undo(host, "two", "/etc/newer").or_fail("undo")->directories.empty());
}

TEST(Journal, wait_keeps_the_boot_in_which_it_began) {
  FakeHost host = bare_world();
  const Wait wait{"reboot", "the IOMMU is off"}, other{"reboot", "another reason"};
  ASSERT_TRUE(journal::record_waits(host, "task", {wait}, "boot-1"));
  ASSERT_TRUE(journal::record_waits(host, "task", {wait, other}, "boot-2"));
  EXPECT_EQ(journal::waiting_since(host, "task", wait).or_fail("wait"), "boot-1");
  EXPECT_EQ(journal::waiting_since(host, "task", other).or_fail("wait"), "boot-2");
  EXPECT_FALSE(journal::waiting_since(host, "task 2", wait).or_fail("wait"));
  const auto effects = host.effects().size();
  ASSERT_TRUE(journal::record_waits(host, "task", {wait, other}, "boot-2"));
  EXPECT_EQ(host.effects().size(), effects) << "what is known is not written again";
  ASSERT_TRUE(journal::record_waits(host, "task", {}, "boot-2"));
  EXPECT_FALSE(journal::waiting_since(host, "task", wait).or_fail("wait"));
}

const std::string pending_record = fmt::format("{}/pending/{}.json", state_dir, program("p").id());

/// One owed follow-up, and how its record reads after `edit`.
json edited_record(FakeHost& host, const std::function<void(json&)>& edit) {
  json record = *parse_json(host.bytes(pending_record));
  edit(record);
  host.file(pending_record, dump_json(record), 0600);
  return record;
}

TEST(Journal, records_that_are_not_roots_alone_are_refused) {
  const std::string pending = std::string(state_dir) + "/pending";
  const auto refused = [&](const std::function<void(FakeHost&)>& change, std::string_view why) {
    FakeHost host = bare_world();
    ASSERT_TRUE(journal::owe(host, {program("p"), {"m"}}));
    change(host);
    const auto answer = journal::owed(host);
    ASSERT_FALSE(answer) << why;
    EXPECT_TRUE(text::contains(answer.error().message, why)) << answer.error().message;
    EXPECT_FALSE(journal::owe(host, {program("p"), {"m"}}));
  };
  const std::string bytes = [&] {
    FakeHost host = bare_world();
    EXPECT_TRUE(journal::owe(host, {program("p"), {"m"}}));
    return host.bytes(pending_record);
  }();
  refused([&](FakeHost& host) { host.file(pending_record, bytes, 0600, 1000); }, "belongs to the user with the id 1000");
  refused([&](FakeHost& host) { host.file(pending_record, bytes, 0602); }, "can be written by others than its owner (mode 0602)");
  refused([&](FakeHost& host) { host.file(pending_record, bytes, 0620); }, "(mode 0620)");
  refused([&](FakeHost& host) { host.file("/tmp/x", bytes).gone(pending_record).link(pending_record, "/tmp/x"); },
          pending_record + " is neither");
  refused([&](FakeHost& host) { host.dir(pending, 0777); }, pending + " can be written");
  refused([&](FakeHost& host) { host.dir(state_dir, 0777); }, std::string(state_dir) + " can be written");
  refused(
      [&](FakeHost& host) {
        host.dir("/tmp/x/pending", 0700).file("/tmp/x/pending/" + pending_record.substr(pending.size() + 1), bytes).gone(state_dir);
        host.link(state_dir, "/tmp/x");
      },
      std::string(state_dir) + " is neither");
}

TEST(Journal, undo_records_of_others_are_refused_too) {
  FakeHost host = bare_world();
  FileChange change;
  change.path = "/etc/x";
  change.content = "new";
  ASSERT_TRUE(journal::record_undo(host, "m", change));
  const std::string directory = std::string(state_dir) + "/undo";
  const std::string record = directory + "/" + host.list_dir(directory).or_fail("list")[0];
  host.file(record, host.bytes(record), 0666);
  EXPECT_FALSE(journal::undo(host, "m", "/etc/x"));
  EXPECT_FALSE(journal::undo_paths(host, "m"));
  EXPECT_FALSE(journal::undo_record(host, "/etc/x"));
  EXPECT_FALSE(journal::record_undo(host, "m", change));
}

TEST(Journal, numbers_and_bytes_that_are_none_are_damage) {
  BeforeImage image;
  image.path = "/etc/x";
  image.existed = true;
  image.bytes = "old";
  image.meta = {0640, 3, 4};
  const auto damaged = [&](const char* what, const std::function<void(json&)>& edit) {
    FakeHost host = bare_world();
    ASSERT_TRUE(journal::owe(host, {program("p"), {"m"}, false, {image}}));
    edited_record(host, edit);
    const auto answer = journal::owed(host);
    ASSERT_FALSE(answer) << what;
    EXPECT_EQ(answer.error().message, pending_record + " is damaged; look at what it says, then move it away");
  };
  const json wrong[] = {std::numeric_limits<std::int64_t>::max(),
                        std::numeric_limits<std::uint64_t>::max(),
                        -1,
                        0,
                        1e300,
                        1.5,
                        true,
                        "60",
                        nullptr,
                        json::array()};
  for (const json& value : wrong) damaged("timeout", [&](json& record) { record["follow_up"]["timeout"] = value; });
  for (const json& value : wrong)
    if (value != 0) damaged("rank", [&](json& record) { record["follow_up"]["rank"] = value; });
  for (const char* key : {"mode", "uid", "gid"})
    for (const json& value : wrong)
      if (value != 0) damaged(key, [&, key](json& record) { record["images"][0]["meta"][key] = value; });
  damaged("bytes", [](json& record) { record["images"][0]["bytes"] = "not base64"; });
  FakeHost host = bare_world();
  ASSERT_TRUE(journal::owe(host, {program("p"), {"m"}}));
  edited_record(host, [](json& record) { record["follow_up"]["timeout"] = 86400; });
  EXPECT_EQ(owed(host).size(), 1u);
}

}  // namespace
}  // namespace pvegpu
