// SPDX-License-Identifier: MIT
// From wishes to differences: what is already so is no step, and planning has no effect.
#include "common/core/plan.hpp"

#include "common/base/strings.hpp"
#include "tests/laws/planners.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

using laws::bare_world;

TEST(Plan, what_is_so_is_no_step) {
  FakeHost host = bare_world().file("/etc/x", "x\n", 0640, 1, 2).file("/sys/a", "1  \n");
  Plan plan(host, "m");
  plan.ensure_file("/etc/x", "x\n")
      .ensure_file("/etc/x", "x\n", {.meta = {.mode = 0640, .uid = 1, .gid = 2}})
      .ensure_absent("/etc/none")
      .ensure_absent("/etc/none/below")
      .ensure_attr("/sys/a", "1");
  EXPECT_TRUE(plan.empty());
  EXPECT_TRUE(host.effects().empty());
}

TEST(Plan, file_step_shows_both_sides) {
  FakeHost host = bare_world().file("/etc/x", "old\n");
  Plan plan(host, "m");
  plan.ensure_file("/etc/x", "new\n").ensure_file("/etc/a/b/y", "y\n").ensure_absent("/etc/hostname");
  ASSERT_EQ(plan.steps().size(), 3u);
  EXPECT_EQ(plan.steps()[0].target, "file /etc/x");
  EXPECT_EQ(plan.steps()[0].current, "old\n");
  EXPECT_EQ(plan.steps()[0].desired, "new\n");
  EXPECT_EQ(plan.steps()[1].current, std::nullopt);
  EXPECT_EQ(plan.steps()[1].file->directories, (std::vector<std::string>{"/etc/a", "/etc/a/b"}));
  EXPECT_EQ(plan.steps()[2].desired, std::nullopt);
  EXPECT_TRUE(plan.steps()[2].file->gone);
}

TEST(Plan, empty_file_is_not_an_absent_one) {
  FakeHost host = bare_world().file("/etc/empty", "");
  Plan plan(host, "m");
  plan.ensure_file("/etc/empty", "").ensure_file("/etc/new", "");
  ASSERT_EQ(plan.steps().size(), 1u);
  EXPECT_EQ(plan.steps()[0].target, "file /etc/new");
}

TEST(Plan, mode_and_owner_alone_are_a_step) {
  FakeHost host = bare_world().file("/etc/x", "x\n", 0644, 5, 6);
  Plan plan(host, "m");
  plan.ensure_file("/etc/x", "x\n", {.meta = {.mode = 0600, .uid = 0}});
  ASSERT_EQ(plan.steps().size(), 1u);
  EXPECT_EQ(plan.steps()[0].current, "mode 0644 owner 5:6");
  EXPECT_EQ(plan.steps()[0].desired, "mode 0600 owner 0:6");
}

TEST(Plan, what_can_not_be_read_ends_the_task_with_its_name) {
  FakeHost host = bare_world().dir("/etc/d").file("/root/x", "x", 0600).user(1000);
  for (const char* path : {"/etc/d", "/root/x"}) {
    Plan plan(host, "m");
    try {
      plan.ensure_file(path, "x\n");
      FAIL() << path;
    } catch (const ModuleError& e) {
      EXPECT_TRUE(text::contains(e.what(), path)) << e.what();
    }
  }
  Plan plan(host, "m");
  EXPECT_THROW(plan.ensure_attr("/sys/none", "1"), ModuleError);
}

TEST(Plan, missing_kernel_module_is_refused_and_a_loaded_one_is_no_step) {
  FakeHost host = bare_world().file("/lib/modules/6.8.12-4-pve/kernel/drv.ko", "ELF").file("/sys/module/drv/initstate", "live\n");
  Plan plan(host, "m");
  plan.ensure_loaded("drv");
  EXPECT_TRUE(plan.empty());
  EXPECT_FALSE(plan.refusal());
  plan.ensure_loaded("none");
  EXPECT_TRUE(plan.empty());
  ASSERT_TRUE(plan.refusal());
  EXPECT_TRUE(text::contains(*plan.refusal(), "none")) << *plan.refusal();
}

TEST(Plan, units_are_asked_for_not_guessed) {
  FakeHost host = bare_world();
  std::string shown = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=static\n";
  host.answer("systemctl show", [&shown](const FakeHost&, const std::vector<std::string>& argv) {
    EXPECT_EQ(argv.back(), "x.service");
    return CommandResult{0, false, shown, ""};
  });
  const UnitWish wish{.at_boot = UnitWish::AtBoot::enabled, .now = UnitWish::Now::active};
  Plan content(host, "m");
  content.ensure_unit("x.service", wish);
  EXPECT_TRUE(content.empty()) << "a static unit can't be enabled, and need not";
  shown = "LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\n";
  Plan plan(host, "m");
  plan.ensure_unit("x.service", wish);
  ASSERT_EQ(plan.steps().size(), 2u);
  EXPECT_EQ(plan.steps()[0].current, "disabled");
  EXPECT_EQ(plan.steps()[1].current, "failed");
  EXPECT_TRUE(host.effects().empty());
}

TEST(Plan, the_first_refusal_and_the_first_reason_to_reboot_are_told) {
  FakeHost host = bare_world();
  Plan plan(host, "m");
  plan.refuse("one").refuse("two").reboot_if(false, "no").reboot_if(true, "this").reboot_if(true, "that");
  EXPECT_EQ(plan.refusal(), "one");
  EXPECT_EQ(plan.reboot_reason(), "this");
}

TEST(Plan, withdrawing_what_was_never_ours_is_nothing) {
  FakeHost host = bare_world().file("/etc/x", "theirs\n");
  Plan plan(host, "m");
  plan.withdraw("/etc/x", [](const std::string& bytes) { return bytes; }).withdraw("/etc/none", [](const std::string&) {
    return std::nullopt;
  });
  EXPECT_TRUE(plan.empty());
}

}  // namespace
}  // namespace pvegpu
