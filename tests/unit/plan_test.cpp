// SPDX-License-Identifier: MIT
// From wishes to differences: what is already so is no step, and planning has no effect.
#include "common/core/plan.hpp"

#include "common/base/strings.hpp"
#include "common/core/executor.hpp"
#include "tests/laws/planners.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

using laws::bare_world;

TEST(Plan, what_is_so_is_no_step) {
  FakeHost host = bare_world().file("/etc/x", "x\n", 0640, 1, 2).file("/sys/bus/pci/devices/0000:01:00.0/driver_override", "vfio-pci\n");
  Plan plan(host, "m");
  plan.ensure_file("/etc/x", "x\n").ensure_file("/etc/x", "x\n", {.meta = {.mode = 0640, .uid = 1, .gid = 2}});
  plan.ensure_override("0000:01:00.0", "vfio-pci");
  EXPECT_TRUE(plan.empty());
  EXPECT_TRUE(host.effects().empty());
}

TEST(Plan, file_step_shows_both_sides) {
  FakeHost host = bare_world().file("/etc/x", "old\n");
  Plan plan(host, "m");
  plan.ensure_file("/etc/x", "new\n").ensure_file("/etc/a/b/y", "y\n");
  ASSERT_EQ(plan.steps().size(), 2u);
  EXPECT_EQ(plan.steps()[0].target, "file /etc/x");
  EXPECT_EQ(plan.steps()[0].current, "old\n");
  EXPECT_EQ(plan.steps()[0].desired, "new\n");
  EXPECT_EQ(plan.steps()[1].current, std::nullopt);
  EXPECT_EQ(plan.steps()[1].file->directories, (std::vector<std::string>{"/etc/a", "/etc/a/b"}));
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
  EXPECT_THROW(plan.ensure_override("0000:01:00.0", "vfio-pci"), ModuleError);
}

json result_of(FakeHost& host, const std::function<void(Plan&)>& plan) {
  return execute(
      {"m", "m"}, [&](const HostView&, Plan& out) { plan(out); }, {}, host);
}

TEST(Plan, modules_are_loaded_in_order_and_the_first_in_its_version) {
  FakeHost host =
      bare_world().file("/lib/modules/6.8.12-4-pve/kernel/drv.ko", "ELF").file("/lib/modules/6.8.12-4-pve/kernel/more.ko", "ELF");
  host.on_module("drv", [](FakeHost& world, bool) -> Result<> { return world.file("/sys/module/drv/version", "1.0\n"), Result<>(); });
  const auto load = [](Plan& plan) { plan.ensure_loaded({"drv", "more"}, "2.0"); };
  EXPECT_EQ(result_of(host, load)["msg"], "kernel module drv: did not take effect: loaded is 1.0");
  EXPECT_TRUE(host.exists("/sys/module/more/initstate"));
  host.on_module("none", [](FakeHost&, bool) -> Result<> { return Error{"load kernel module none", ENODEV}; });
  const json answer = result_of(host, [](Plan& plan) { plan.ensure_loaded({"none"}, "2.0", "see the log"); });
  EXPECT_TRUE(text::contains(answer["msg"].get<std::string>(), "see the log")) << answer;
}

TEST(Plan, a_program_is_judged_by_what_it_changed) {
  FakeHost host = bare_world();
  host.program("tool", [](FakeHost&, const std::vector<std::string>&) { return CommandResult{0, false, "all is well\n", ""}; });
  Step step;
  step.target = "thing";
  step.desired = "b";
  step.observe = [](const HostView& view) -> Result<std::optional<std::string>> {
    return std::optional(PVEGPU_TRY(view.read_attr("/etc/thing")));
  };
  const auto run_tool = [&](Plan& plan) { plan.ensure_program(step, {{{"tool"}}}); };
  host.file("/etc/thing", "a\n");
  EXPECT_EQ(result_of(host, run_tool)["msg"], "thing: did not take effect: it is 'a', not 'b'");
  host.file("/etc/thing", "b\n").restart();
  EXPECT_FALSE(result_of(host, run_tool)["changed"].get<bool>());
  EXPECT_EQ(host.times("run tool"), 1);

  step.observe = {};
  step.verify = [](const HostView& view) {
    return view.read_attr("/etc/thing").value_or("") == "b" ? Result<>() : Result<>(Error{"not b"});
  };
  bool first = true;
  const auto once = [&](Plan& plan) {
    if (first) plan.ensure_program(step, {{{"no-such-tool"}}});
    first = false;
  };
  EXPECT_FALSE(result_of(host, once).contains("failed"));
}

TEST(Plan, the_driver_that_an_earlier_step_takes_away_is_not_there_any_more) {
  FakeHost host = bare_world().dir("/sys/bus/pci/drivers/old").link("/sys/bus/pci/devices/0000:01:00.0/driver", "/sys/bus/pci/drivers/old");
  Plan plan(host, "m");
  plan.ensure_bound("0000:01:00.0", "old");
  EXPECT_TRUE(plan.empty());
  plan.ensure_bound("0000:01:00.0", std::nullopt).ensure_bound("0000:01:00.0", "old", BindBy::name);
  ASSERT_EQ(plan.steps().size(), 2u);
  EXPECT_EQ(plan.steps()[0].current, "old");
  EXPECT_EQ(plan.steps()[1].current, std::nullopt);
}

TEST(Plan, units_are_asked_for_not_guessed) {
  FakeHost host = bare_world();
  std::string shown = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=static\n";
  host.answer("systemctl show", [&shown](const FakeHost&, const std::vector<std::string>& argv) {
    EXPECT_EQ(argv.back(), "x.service");
    return CommandResult{0, false, shown, ""};
  });
  Plan plan(host, "m");
  plan.ensure_stopped("x.service");
  ASSERT_EQ(plan.steps().size(), 1u);
  EXPECT_EQ(plan.steps()[0].current, "active");
  for (const char* state : {"inactive", "failed"}) {
    shown = fmt::format("LoadState=loaded\nActiveState={}\nUnitFileState=disabled\n", state);
    Plan content(host, "m");
    content.ensure_stopped("x.service");
    EXPECT_TRUE(content.empty()) << state;
  }
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
