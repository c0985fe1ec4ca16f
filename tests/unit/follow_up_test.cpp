// SPDX-License-Identifier: MIT
// Follow-ups: identity, record, judgement.
#include "common/core/follow_up.hpp"
#include "tests/laws/fake_host.hpp"

#include "common/base/strings.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

FollowUp program(std::vector<std::string> argv) { return {.kind = "program", .argv = std::move(argv)}; }

TEST(FollowUp, identity_is_kind_and_arguments_only) {
  const FollowUp a = program({"update-initramfs", "-u"});
  FollowUp same = a;
  same.rank = 1;
  same.timeout = std::chrono::seconds(5);
  same.when = FollowUp::When::next_boot;
  same.data = {"x"};
  EXPECT_EQ(a.id(), same.id());
  FollowUp other_kind = a;
  other_kind.kind = "apt-update";
  EXPECT_NE(a.id(), other_kind.id());
  EXPECT_NE(a.id(), program({"update-initramfs", "-u", ""}).id());
  EXPECT_NE(a.id(), program({"update-initramfs -u"}).id());
  EXPECT_NE(program({"a", "b"}).id(), program({"b", "a"}).id());
}

TEST(FollowUp, identity_is_the_same_in_every_build) {
  // Records of an older executable must be found by a newer one.
  EXPECT_EQ(follow_up_initramfs().id(), "f6b7f881b4ce6895");
}

TEST(FollowUp, record_comes_back_whole) {
  FollowUp f = program({"apt-get", "update"});
  f.kind = "apt-update";
  f.when = FollowUp::When::next_boot;
  f.on_failure = FollowUp::OnFailure::revert;
  f.rank = 7;
  f.timeout = std::chrono::seconds(77);
  f.data = {"http://ftp.debian.org bookworm"};
  const FollowUp back = FollowUp::from_json(f.to_json()).or_fail("record");
  EXPECT_EQ(back.to_json(), f.to_json());
  EXPECT_EQ(back.id(), f.id());
  EXPECT_EQ(FollowUp::from_json(program({"x"}).to_json()).or_fail("record").to_json(), program({"x"}).to_json());
}

TEST(FollowUp, damaged_record_is_an_error) {
  for (const char* text :
       {"{}", "[]", "null", R"({"kind":"program","argv":[],"when":"now","on_failure":"revert","rank":1,"timeout":1,"data":null})",
        R"({"kind":"program","argv":"x","when":"now","on_failure":"revert","rank":1,"timeout":1,"data":null})"})
    EXPECT_FALSE(FollowUp::from_json(*parse_json(text))) << text;
}

TEST(FollowUp, what_only_the_next_boot_needs_can_be_put_off) {
  for (const FollowUp& f : {follow_up_initramfs(), follow_up_grub(), follow_up_boot_refresh()})
    EXPECT_EQ(f.when, FollowUp::When::next_boot) << f.title();
  EXPECT_EQ(follow_up_daemon_reload().when, FollowUp::When::now);
  EXPECT_EQ(follow_up_apt_update({}).when, FollowUp::When::now);
  EXPECT_EQ(follow_up_apt_update({}).on_failure, FollowUp::OnFailure::revert);
}

TEST(FollowUp, boot_loader_comes_after_the_initramfs_that_it_copies) {
  EXPECT_LT(follow_up_initramfs().rank, follow_up_boot_refresh().rank);
  EXPECT_LT(follow_up_initramfs().rank, follow_up_grub().rank);
  EXPECT_LT(follow_up_daemon_reload().rank, follow_up_initramfs().rank);
}

TEST(FollowUp, program_is_judged_by_its_exit_code_and_quoted_with_its_last_lines) {
  const FollowUp f = program({"update-grub"});
  EXPECT_FALSE(judge(f, CommandResult{0, false, "", "warning: os-prober"}, FakeHost()).failure);
  const auto failure = judge(f, CommandResult{1, false, "not this\n", "one\ntwo\nthree\nfour\nfive\n\nsix\nseven\n"}, FakeHost()).failure;
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->message, "exit code 1: three | four | five | six | seven");
  EXPECT_EQ(judge(f, CommandResult{2, false, "only here\n", " \n"}, FakeHost()).failure->message, "exit code 2: only here");
}

TEST(FollowUp, update_grub_stays_owed_unless_the_menu_is_wrong) {
  const FollowUp f = follow_up_grub();
  EXPECT_TRUE(judge(f, CommandResult{1, false, "", "No space left on device\n"}, FakeHost()).stays_owed);
  EXPECT_TRUE(judge(f, Error{"update-grub is not there"}, FakeHost()).stays_owed);
  const CommandResult check{1, false, "", "error: syntax error.\nSyntax errors are detected in generated GRUB config file.\nEnsure that\n"};
  EXPECT_FALSE(judge(f, check, FakeHost()).stays_owed);
  EXPECT_FALSE(judge(follow_up_apt_update({}), CommandResult{100, false, "", "E: gone\n"}, FakeHost()).stays_owed);
}

TEST(FollowUp, program_that_did_not_end_failed) {
  FollowUp f = program({"update-initramfs", "-u"});
  f.timeout = std::chrono::seconds(1800);
  const auto failure = judge(f, CommandResult{143, true, "", ""}, FakeHost()).failure;
  ASSERT_TRUE(failure);
  EXPECT_TRUE(text::contains(failure->message, "1800 s")) << failure->message;
}

}  // namespace
}  // namespace pvegpu
