// SPDX-License-Identifier: MIT
// What the executor promises beyond the laws: how it waits, reverts, fails, and what its answers say.
#include "common/core/executor.hpp"

#include "common/core/journal.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/planners.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

using laws::bare_world;
using laws::state_of;
using std::chrono::seconds;

constexpr RunMode check{.check = true, .diff = true};
constexpr RunMode real{.check = false, .diff = true};
const std::string sources = "/etc/sources/main";

json run(FakeHost& host, const Planner& planner, RunMode mode = real, const std::string& module = "m") {
  host.restart();
  return execute({module, module + " 1"}, planner, mode, host);
}
bool failed(const json& answer) { return answer.value("failed", false); }
std::string msg(const json& answer) { return answer.value("msg", ""); }
json strings(std::vector<std::string> words) { return words; }
bool says(const json& answer, std::string_view part) { return text::contains(msg(answer), part); }

FollowUp program(std::vector<std::string> argv) { return {.kind = "program", .argv = std::move(argv)}; }
FollowUp reverting(std::vector<std::string> argv) {
  FollowUp out = program(std::move(argv));
  out.on_failure = FollowUp::OnFailure::revert;
  return out;
}
FakeHost::Program exits(int code, const std::string& err = "") {
  return [code, err](FakeHost&, const std::vector<std::string>&) { return CommandResult{code, false, "", err}; };
}
std::vector<std::string> programs_run(const FakeHost& host) {
  std::vector<std::string> out;
  for (const std::string& effect : host.effects())
    if (effect.starts_with("run ")) out.push_back(effect);
  return out;
}
// --- failure ---------------------------------------------------------------------------------------------------------------------

TEST(Executor, refusal_comes_before_the_first_effect_and_in_check_mode_too) {
  const Planner planner = [](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n").refuse("the card drives the console; choose another");
  };
  FakeHost host = bare_world();
  for (const RunMode mode : {check, real}) {
    const json answer = run(host, planner, mode);
    EXPECT_TRUE(failed(answer));
    EXPECT_EQ(msg(answer), "the card drives the console; choose another");
    EXPECT_FALSE(answer["changed"]);
    EXPECT_TRUE(host.effects().empty());
  }
}

TEST(Executor, failure_at_a_step_says_what_was_done_before) {
  FakeHost host = bare_world().file("/sys/numvfs", "0\n");
  host.attribute("/sys/numvfs",
                 [](FakeHost&, const std::string&) -> Result<> { return Error::from_errno("write '8' to /sys/numvfs", EBUSY); });
  const json answer = run(host, [](const HostView& view, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n");
    laws::set_attribute(view, plan, "/sys/numvfs", "8");
    plan.ensure_file("/etc/y", "y\n");
  });
  EXPECT_TRUE(failed(answer));
  EXPECT_EQ(answer["failed_step"], "attribute /sys/numvfs");
  EXPECT_TRUE(says(answer, "Device or resource busy")) << msg(answer);
  EXPECT_EQ(answer["steps"], strings({"file /etc/x"}));
  EXPECT_TRUE(answer["changed"]);
  EXPECT_FALSE(host.exists("/etc/y"));
}

TEST(Executor, failure_at_the_first_step_changed_nothing) {
  FakeHost host = bare_world().file("/sys/numvfs", "0\n");
  host.attribute("/sys/numvfs", [](FakeHost&, const std::string&) -> Result<> { return Error::from_errno("write", EINVAL); });
  const json answer = run(host, [](const HostView& view, Plan& plan) { laws::set_attribute(view, plan, "/sys/numvfs", "8"); });
  EXPECT_TRUE(failed(answer));
  EXPECT_FALSE(answer["changed"]);
}

TEST(Executor, nothing_is_owed_for_a_step_of_which_nothing_came) {
  bool works = false;
  const auto tool = [&works](FakeHost& host, const std::vector<std::string>&) {
    if (works) host.file("/etc/tool", "on\n");
    return CommandResult{works ? 0 : 1, false, "", "no"};
  };
  const Planner planner = [](const HostView&, Plan& plan) {
    Step step;
    step.target = "tool";
    step.desired = "on";
    step.observe = [](const HostView& h) -> Result<std::optional<std::string>> {
      return h.exists("/etc/tool") ? std::optional(h.read_attr("/etc/tool").value_or("")) : std::nullopt;
    };
    step.then = {follow_up_initramfs()};
    plan.ensure_program(std::move(step), {{{"tool"}}});
  };
  FakeHost host = bare_world();
  host.program("tool", tool);
  const auto before = state_of(host);
  EXPECT_TRUE(failed(run(host, planner)));
  EXPECT_EQ(difference(before, state_of(host)), "");
  // What was owed before stays owed.
  journal::owe(host, {follow_up_initramfs(), {"other"}}).or_fail("owe");
  EXPECT_TRUE(failed(run(host, planner)));
  EXPECT_EQ(journal::owed(host).or_fail("look").size(), 1u);
  works = true;
  EXPECT_EQ(run(host, planner)["steps"], strings({"tool", "run update-initramfs -u -k all"}));
}

TEST(Executor, planner_that_fails_after_a_step_still_says_what_was_done) {
  const json answer = [] {
    FakeHost host = bare_world();
    return run(host, [](const HostView& view, Plan& plan) {
      plan.ensure_file("/etc/x", "x\n");
      if (view.exists("/etc/x")) throw ModuleError("the driver vanished; see dmesg");
      plan.later({"step", "the rest needs /etc/x"});
    });
  }();
  EXPECT_TRUE(failed(answer));
  EXPECT_EQ(msg(answer), "the driver vanished; see dmesg");
  EXPECT_EQ(answer["steps"], strings({"file /etc/x"}));
  EXPECT_TRUE(answer["changed"]);
}

TEST(Executor, information_module_with_a_step_is_refused) {
  FakeHost host = bare_world();
  const json answer = execute(
      {"info", "info 1", Effects::none}, [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x"); }, real, host);
  EXPECT_TRUE(failed(answer));
  EXPECT_NE(answer.value("msg", "").find("is an information module"), std::string::npos) << answer;
  EXPECT_TRUE(host.effects().empty());
  EXPECT_EQ(host.locks_taken(), 0);
}

struct Listed {
  std::vector<std::string> gpus = {};

  static void fields(Reply<Listed>& out) { out.field("gpus", &Listed::gpus); }
};

TEST(Executor, information_module_answers_without_the_keys_of_changers) {
  FakeHost host = bare_world().user(1000);
  const json answer = execute(
      {"info", "info 1", Effects::none}, [](const HostView&, Plan& plan) { plan.report(Listed{}); }, real, host);
  EXPECT_EQ(dump_json(answer), R"({"changed":false,"gpus":[]})");
}

// --- effects that do not take place ---------------------------------------------------------------------------------------------------

TEST(Executor, exit_code_zero_proves_nothing) {
  FakeHost host = bare_world().file("/sys/vfs", "0\n").program("sriov-manage", exits(0));
  const json answer = run(host, [](const HostView&, Plan& plan) {
    Step step;
    step.target = "VFs of 0000:01:00.0";
    step.current = "0";
    step.desired = "16";
    step.observe = [](const HostView& h) -> Result<std::optional<std::string>> {
      return std::optional<std::string>(PVEGPU_TRY(h.read_attr("/sys/vfs")));
    };
    step.apply = [](Host& h) -> Result<> {
      (void)PVEGPU_TRY(h.run({{"sriov-manage", "-e", "0000:01:00.0"}}));
      return {};
    };
    plan.effect(step);
  });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "did not take effect: it is '0', not '16'")) << msg(answer);
  EXPECT_EQ(answer["failed_step"], "VFs of 0000:01:00.0");
}

TEST(Executor, file_that_something_else_changes_back_fails) {
  FakeHost host = bare_world();
  // Something else on the host writes the file whenever our follow-up runs.
  host.program("noop", exits(0));
  host.before_effect([](FakeHost& world, const std::string& effect) {
    if (effect == "run noop") world.file("/etc/x", "other\n");
  });
  const json answer = run(host, [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x\n", {.then = {program({"noop"})}}); });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "did not take effect")) << msg(answer);
  EXPECT_TRUE(says(answer, "/etc/x")) << msg(answer);
}

TEST(Executor, waits_for_a_late_effect_and_no_longer) {
  FakeHost host = bare_world().file("/sys/state", "off\n");
  host.attribute("/sys/state", [](FakeHost& world, const std::string&) -> Result<> {
    world.after(seconds(3), [](FakeHost& later) { later.file("/sys/state", "on\n"); });
    return {};
  });
  const auto start = host.now();
  const json answer = run(host, [](const HostView& view, Plan& plan) { laws::set_attribute(view, plan, "/sys/state", "on", seconds(10)); });
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_GE(host.now() - start, seconds(3));
  EXPECT_LT(host.now() - start, seconds(4));
}

TEST(Executor, gives_up_on_an_effect_that_comes_too_late) {
  FakeHost host = bare_world().file("/sys/state", "off\n");
  host.attribute("/sys/state", [](FakeHost& world, const std::string&) -> Result<> {
    world.after(seconds(30), [](FakeHost& later) { later.file("/sys/state", "on\n"); });
    return {};
  });
  const auto start = host.now();
  const json answer = run(host, [](const HostView& view, Plan& plan) { laws::set_attribute(view, plan, "/sys/state", "on", seconds(10)); });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "did not take effect")) << msg(answer);
  EXPECT_GE(host.now() - start, seconds(10));
  EXPECT_LT(host.now() - start, seconds(12));
}

TEST(Executor, planner_that_is_never_content_does_not_run_for_ever) {
  FakeHost host = bare_world();
  int calls = 0;
  const json answer = run(host, [&calls](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/x", fmt::format("{}\n", ++calls)).later({"step", "there is more"});
  });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "does not settle")) << msg(answer);
  EXPECT_LE(calls, 6);
}

// --- the world changes underneath
// ---------------------------------------------------------------------------------------------------------

TEST(Executor, file_that_changed_since_it_was_planned_for_is_planned_anew) {
  FakeHost host = bare_world().file("/etc/x", "old\n");
  bool edited = false;
  host.before_effect([&edited](FakeHost& world, const std::string&) {
    if (!std::exchange(edited, true)) world.file("/etc/x", "edited meanwhile\n");
  });
  host.program("noop", exits(0));
  const json answer = run(host, [](const HostView& view, Plan& plan) {
    const std::string now = view.read_file("/etc/x").or_fail("read");
    if (!text::contains(now, "ours")) plan.ensure_file("/etc/x", now + "ours\n", {.then = {program({"noop"})}});
  });
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_EQ(host.bytes("/etc/x"), "edited meanwhile\nours\n");
  ASSERT_EQ(answer["diff"].size(), 1u);
  EXPECT_EQ(answer["diff"][0]["before"], "edited meanwhile\n");
  EXPECT_EQ(journal::undo(host, "m", "/etc/x").or_fail("undo")->before, "edited meanwhile\n");
}

// --- waits ------------------------------------------------------------------------------------------------------------------------------

const Planner needs_iommu = [](const HostView& host, Plan& plan) {
  if (text::contains(host.read_attr("/proc/cmdline").or_fail("read"), "iommu=on")) return;
  plan.later({"reboot", "the IOMMU is off; switch on VT-d in the BIOS"});
};

TEST(Executor, wait_is_no_failure_in_the_boot_in_which_it_began) {
  FakeHost host = bare_world();
  for (int i = 0; i < 2; ++i) {
    const json answer = run(host, needs_iommu);
    EXPECT_FALSE(failed(answer)) << msg(answer);
    EXPECT_FALSE(answer["changed"]);
    EXPECT_EQ(answer["pending_on"], "reboot");
    EXPECT_EQ(answer["pending_reason"], "the IOMMU is off; switch on VT-d in the BIOS");
  }
  EXPECT_TRUE(host.effects().empty());
}

TEST(Executor, wait_that_outlives_a_reboot_fails_with_its_cause) {
  FakeHost host = bare_world();
  (void)run(host, needs_iommu);
  host.reboot();
  for (const RunMode mode : {check, real, real}) {
    const json answer = run(host, needs_iommu, mode);
    EXPECT_TRUE(failed(answer));
    EXPECT_TRUE(says(answer, "switch on VT-d in the BIOS")) << msg(answer);
    EXPECT_TRUE(says(answer, "rebooted")) << msg(answer);
  }
}

TEST(Executor, wait_that_came_true_is_forgotten) {
  FakeHost host = bare_world();
  (void)run(host, needs_iommu);
  host.reboot().file("/proc/cmdline", "ro iommu=on\n");
  const json answer = run(host, needs_iommu);
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_FALSE(answer.contains("pending_on"));
  EXPECT_FALSE(host.exists(state_dir));
  // A new wait begins anew.
  host.file("/proc/cmdline", "ro\n");
  EXPECT_FALSE(failed(run(host, needs_iommu)));
}

TEST(Executor, a_change_begins_the_wait_anew) {
  const Planner planner = [](const HostView& host, Plan& plan) {
    plan.ensure_file("/etc/default/grub.d/pve-gpu.cfg", "iommu=on\n", {.then = {follow_up_grub()}});
    needs_iommu(host, plan);
  };
  FakeHost host = bare_world();
  (void)run(host, planner);
  host.reboot().gone("/etc/default/grub.d/pve-gpu.cfg");  // someone took our file away, so the reboot brought nothing
  EXPECT_FALSE(failed(run(host, planner, check)));
  const json answer = run(host, planner);
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_EQ(answer["pending_on"], "reboot");
  EXPECT_FALSE(failed(run(host, planner)));
  host.reboot();
  EXPECT_TRUE(failed(run(host, planner)));
}

TEST(Executor, check_mode_alone_starts_no_wait) {
  FakeHost host = bare_world();
  EXPECT_EQ(run(host, needs_iommu, check)["pending_on"], "reboot");
  host.reboot();
  EXPECT_FALSE(failed(run(host, needs_iommu)));
}

TEST(Executor, waits_of_other_tasks_are_their_own) {
  FakeHost host = bare_world();
  (void)run(host, needs_iommu, real, "one");
  host.reboot();
  EXPECT_FALSE(failed(run(host, needs_iommu, real, "two")));
  EXPECT_TRUE(failed(run(host, needs_iommu, real, "one")));
}

TEST(Executor, reboot_is_asked_for_by_what_runs_not_by_what_was_changed) {
  FakeHost host = bare_world();
  const Planner planner = [](const HostView& view, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n");
    plan.reboot_if(!text::contains(view.read_attr("/proc/cmdline").or_fail("read"), "iommu=on"),
                   "iommu=on is not on the running command line");
  };
  EXPECT_TRUE(run(host, planner)["reboot_required"]);
  const json second = run(host, planner);
  EXPECT_FALSE(second["changed"]);
  EXPECT_TRUE(second["reboot_required"]);
  EXPECT_EQ(second["reboot_reason"], "iommu=on is not on the running command line");
  host.file("/proc/cmdline", "iommu=on\n");
  EXPECT_FALSE(run(host, planner)["reboot_required"]);
}

// --- follow-ups
// ------------------------------------------------------------------------------------------------------------------------------

TEST(Executor, follow_ups_run_once_each_in_the_order_of_their_ranks) {
  FakeHost host = bare_world();
  FollowUp late = program({"late"}), early = program({"early"});
  late.rank = 70;
  early.rank = 5;
  host.program("late", exits(0)).program("early", exits(0)).program("middle", exits(0));
  const json answer = run(host, [=](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n", {.then = {late, program({"middle"})}});
    plan.ensure_file("/etc/y", "y\n", {.then = {late, early}});
  });
  EXPECT_EQ(programs_run(host), (std::vector<std::string>{"run early", "run middle", "run late"}));
  EXPECT_EQ(answer["steps"], strings({"file /etc/x", "file /etc/y", "run early", "run middle", "run late"}));
}

TEST(Executor, same_program_with_other_arguments_is_other_work) {
  FakeHost host = bare_world().program("systemctl restart", exits(0));
  (void)run(host, [](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n", {.then = {program({"systemctl", "restart", "a"}), program({"systemctl", "restart", "b"})}});
  });
  EXPECT_EQ(programs_run(host), (std::vector<std::string>{"run systemctl restart a", "run systemctl restart b"}));
}

TEST(Executor, failed_follow_up_stays_owed_and_is_tried_again) {
  FakeHost host = bare_world().program("rebuild", exits(3, "no space left\n"));
  const Planner planner = [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x\n", {.then = {program({"rebuild"})}}); };
  json answer = run(host, planner);
  EXPECT_TRUE(failed(answer));
  EXPECT_EQ(answer["failed_step"], "run rebuild");
  EXPECT_TRUE(says(answer, "no space left")) << msg(answer);
  EXPECT_TRUE(says(answer, "still owed")) << msg(answer);
  EXPECT_TRUE(answer["changed"]);
  EXPECT_EQ(host.bytes("/etc/x"), "x\n");

  EXPECT_EQ(run(host, planner, check)["steps"], strings({"run rebuild"}));
  EXPECT_TRUE(failed(run(host, planner)));
  host.program("rebuild", exits(0));
  answer = run(host, planner);
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_EQ(answer["steps"], strings({"run rebuild"}));
  EXPECT_TRUE(answer["changed"]);
  EXPECT_FALSE(run(host, planner)["changed"]);
}

TEST(Executor, missing_program_is_a_failed_follow_up) {
  FakeHost host = bare_world();
  const json answer = run(host, [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x\n", {.then = {program({"no-such"})}}); });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "no-such is not installed")) << msg(answer);
}

TEST(Executor, owed_work_runs_first_and_alone_then_the_plan_is_made_anew) {
  FakeHost host = bare_world().file("/sys/vfs", "0\n");
  // Restarting the driver drops the VFs: run after the step it would undo it.
  host.program("restart-driver", [](FakeHost& world, const std::vector<std::string>&) {
    world.file("/sys/vfs", "0\n");
    return CommandResult{};
  });
  ASSERT_TRUE(journal::owe(host, {program({"restart-driver"}), {"m"}}));
  const json answer = run(host, [](const HostView& view, Plan& plan) { laws::set_attribute(view, plan, "/sys/vfs", "8"); });
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_EQ(answer["steps"], strings({"run restart-driver", "attribute /sys/vfs"}));
  EXPECT_EQ(host.bytes("/sys/vfs"), "8\n");
}

TEST(Executor, what_other_modules_owe_is_left_to_them) {
  FakeHost host = bare_world().program("rebuild", exits(0));
  ASSERT_TRUE(journal::owe(host, {program({"rebuild"}), {"other"}}));
  const json answer = run(host, [](const HostView&, Plan&) {});
  EXPECT_FALSE(answer["changed"]);
  EXPECT_EQ(journal::owed(host).or_fail("owed").size(), 1u);
}

TEST(Executor, only_next_boot_work_can_be_put_off) {
  FakeHost host = bare_world();
  bool later = true;
  const Planner planner = [&later](const HostView&, Plan& plan) {
    if (later) plan.put_off_next_boot_work();
    plan.ensure_file("/etc/modprobe.d/x.conf", "x\n", {.then = {follow_up_initramfs(), follow_up_daemon_reload()}});
    plan.ensure_file("/etc/modprobe.d/y.conf", "y\n", {.then = {follow_up_initramfs()}});
  };
  EXPECT_EQ(run(host, planner, check)["follow_ups_pending"], strings({"run update-initramfs -u -k all"}));
  json answer = run(host, planner);
  EXPECT_EQ(programs_run(host), (std::vector<std::string>{"run systemctl daemon-reload"}));
  EXPECT_EQ(answer["follow_ups_pending"], strings({"run update-initramfs -u -k all"}));
  ASSERT_EQ(journal::owed(host).or_fail("owed").size(), 1u);
  EXPECT_TRUE(journal::owed(host).or_fail("owed")[0].put_off);

  answer = run(host, planner);
  EXPECT_FALSE(answer["changed"]);
  EXPECT_TRUE(programs_run(host).empty());

  later = false;  // a run that does not put off does what is owed
  answer = run(host, planner);
  EXPECT_EQ(answer["steps"], strings({"run update-initramfs -u -k all"}));
  EXPECT_TRUE(journal::owed(host).or_fail("owed").empty());
}

TEST(Executor, unreadable_memory_fails_the_run_and_names_the_file) {
  FakeHost host = bare_world().file("/var/lib/pve-gpu/pending/0123.json", "{\"follow");
  const json answer = run(host, [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x\n"); });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "/var/lib/pve-gpu/pending/0123.json")) << msg(answer);
  EXPECT_FALSE(host.exists("/etc/x"));
}

// --- revert
// ----------------------------------------------------------------------------------------------------------------------------------

FakeHost world_with_sources() {
  FakeHost host = bare_world();
  host.file(sources, std::string("old\0source", 10), 0640, 3, 4).make_products();
  host.program("fetch-lists", exits(100, "E: the mirror is down\n"));
  return host;
}
const Planner new_sources = [](const HostView&, Plan& plan) {
  plan.ensure_file(sources, "new\n", {.meta = {.mode = 0644}, .then = {reverting({"fetch-lists"})}});
  plan.ensure_file("/etc/sources/more/extra", "extra\n", {.then = {reverting({"fetch-lists"})}});
};

TEST(Executor, revert_puts_everything_back_byte_for_byte) {
  FakeHost host = world_with_sources();
  const State before = state_of(host);
  const json answer = run(host, new_sources);
  EXPECT_TRUE(failed(answer));
  EXPECT_FALSE(answer["changed"]);
  EXPECT_TRUE(says(answer, "the mirror is down")) << msg(answer);
  EXPECT_TRUE(says(answer, "old content")) << msg(answer);
  EXPECT_EQ(answer["failed_step"], "run fetch-lists");
  EXPECT_EQ(answer["reverted"].size(), 2u);
  EXPECT_EQ(difference(before, state_of(host)), "");
}

TEST(Executor, revert_leaves_an_earlier_undo_record_as_it_was) {
  FakeHost host = world_with_sources();
  const State original = state_of(host);
  host.program("fetch-lists", exits(0));
  const Planner first = [](const HostView&, Plan& plan) { plan.ensure_file(sources, "first\n", {.then = {reverting({"fetch-lists"})}}); };
  ASSERT_FALSE(failed(run(host, first)));
  const State after_first = state_of(host);
  host.program("fetch-lists", exits(100));
  ASSERT_TRUE(failed(run(host, new_sources)));
  EXPECT_EQ(difference(after_first, state_of(host)), "");
  host.program("fetch-lists", exits(0));
  const json undone = run(host, [](const HostView&, Plan& plan) {
    for (const auto& path : plan.recorded_files()) plan.withdraw(path, [](const std::string&) { return std::nullopt; });
  });
  EXPECT_FALSE(failed(undone)) << msg(undone);
  EXPECT_EQ(difference(original, state_of(host)), "");
}

TEST(Executor, revert_that_is_killed_or_fails_anywhere_is_completed_by_the_next_run) {
  FakeHost clean = world_with_sources();
  const State before = state_of(clean);
  (void)run(clean, new_sources);
  const int effects = static_cast<int>(clean.effects().size());
  ASSERT_GT(effects, 8);
  for (int n = 1; n <= effects; ++n)
    for (const Fault fault : {Fault::error, Fault::fails, Fault::kill_before, Fault::kill_after, Fault::kill_torn}) {
      FakeHost host = world_with_sources();
      host.fault_at(n, fault);
      try {
        const json answer = execute({"m", "m 1"}, new_sources, real, host);
        EXPECT_TRUE(failed(answer)) << name_of(fault) << " at " << n;
      } catch (const Killed&) {
      }
      // The mirror is still down: nothing may be left of the attempt.
      FakeHost down = host;
      EXPECT_TRUE(failed(run(down, new_sources)));
      EXPECT_EQ(difference(before, state_of(down)), "")
          << name_of(fault) << " at effect " << n << " " << clean.effects()[static_cast<std::size_t>(n) - 1];
      // It is back: all is done.
      host.program("fetch-lists", exits(0));
      const json answer = run(host, new_sources);
      EXPECT_FALSE(failed(answer)) << msg(answer);
      EXPECT_EQ(host.bytes(sources), "new\n");
      EXPECT_EQ(host.bytes("/etc/sources/more/extra"), "extra\n");
      EXPECT_TRUE(journal::owed(host).or_fail("owed").empty());
    }
}

TEST(Executor, failed_step_takes_back_the_files_of_a_follow_up_that_reverts) {
  FakeHost host = world_with_sources();
  host.file("/sys/state", "off\n").attribute("/sys/state", [](FakeHost&, const std::string&) -> Result<> {
    return Error::from_errno("write", EIO);
  });
  const State before = state_of(host);
  const json answer = run(host, [](const HostView& view, Plan& plan) {
    new_sources(view, plan);
    laws::set_attribute(view, plan, "/sys/state", "on");
  });
  EXPECT_TRUE(failed(answer));
  EXPECT_EQ(answer["failed_step"], "attribute /sys/state");
  EXPECT_EQ(difference(before, state_of(host)), "");
}

TEST(Executor, step_that_throws_takes_back_files_too) {
  FakeHost host = world_with_sources();
  const State before = state_of(host);
  const json answer = run(host, [](const HostView& view, Plan& plan) {
    new_sources(view, plan);
    Step step;
    step.target = "something";
    step.apply = [](Host& h) -> Result<> {
      (void)h.read_file("/etc/missing").or_fail("read what must be there");
      return {};
    };
    plan.effect(step);
  });
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "read what must be there")) << msg(answer);
  EXPECT_EQ(difference(before, state_of(host)), "");
}

TEST(Executor, failure_of_a_revert_does_not_hide_what_went_wrong_first) {
  FakeHost host = world_with_sources();
  bool fetched = false;
  host.before_effect([&fetched](FakeHost& world, const std::string& effect) {
    if (effect == "run fetch-lists") fetched = true;
    if (fetched && effect == "write " + sources) world.fault_at(1, Fault::error);
  });
  const json answer = run(host, new_sources);
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(answer["changed"]);
  EXPECT_TRUE(says(answer, "the mirror is down")) << msg(answer);
  EXPECT_TRUE(says(answer, "put back")) << msg(answer);
}

TEST(Executor, revert_does_not_overwrite_what_someone_edited_since) {
  FakeHost host = world_with_sources();
  host.program("fetch-lists", exits(0));
  FakeHost probe = host;
  (void)run(probe, new_sources);
  int n = 1;
  for (const std::string& effect : probe.effects())
    if (effect != "run fetch-lists")
      ++n;
    else
      break;
  host.restart().fault_at(n, Fault::kill_before);
  EXPECT_THROW((void)execute({"m", "m 1"}, new_sources, real, host), Killed);
  // The administrator sees the half-done work and repairs the file by hand. Then the mirror fails.
  host.file(sources, "repaired by hand\n");
  host.program("fetch-lists", exits(100, "E: down\n"));
  const json answer = run(host, [](const HostView&, Plan&) {});
  EXPECT_TRUE(failed(answer));
  EXPECT_EQ(host.bytes(sources), "repaired by hand\n");
}

// --- undo
// ------------------------------------------------------------------------------------------------------------------------------------

std::optional<std::string> without_our_line(const std::string& bytes) {
  std::string out;
  for (const std::string& line : text::lines(bytes))
    if (line != "ours") out += line + "\n";
  if (out.empty()) return std::nullopt;
  return out;
}
const Planner add_line = [](const HostView& host, Plan& plan) {
  const std::string now = host.read_file("/etc/list").value_or("");
  if (!text::contains(now, "ours\n")) plan.ensure_file("/etc/list", now + "ours\n");
};
const Planner drop_line = [](const HostView&, Plan& plan) { plan.withdraw("/etc/list", without_our_line); };

TEST(Executor, foreign_edits_between_present_and_absent_are_kept_and_named) {
  FakeHost host = bare_world().file("/etc/list", "theirs\n");
  (void)run(host, add_line);
  host.file("/etc/list", "theirs\nours\nadded by hand\n");
  for (const RunMode mode : {check, real}) {
    const json answer = run(host, drop_line, mode);
    EXPECT_FALSE(failed(answer)) << msg(answer);
    EXPECT_EQ(answer.value("kept_foreign_edits", json()), strings({"/etc/list"})) << dump_json(answer);
  }
  EXPECT_EQ(host.bytes("/etc/list"), "theirs\nadded by hand\n");
  EXPECT_FALSE(host.exists(state_dir));
  EXPECT_FALSE(run(host, drop_line)["changed"]);
}

TEST(Executor, file_of_ours_with_foreign_lines_stays_with_them) {
  FakeHost host = bare_world();
  (void)run(host, add_line);
  host.file("/etc/list", "ours\ntheirs\n");
  (void)run(host, drop_line);
  EXPECT_EQ(host.bytes("/etc/list"), "theirs\n");
}

TEST(Executor, file_that_someone_removed_is_not_brought_back) {
  FakeHost host = bare_world().file("/etc/list", "theirs\n");
  (void)run(host, add_line);
  host.gone("/etc/list");
  const json answer = run(host, drop_line);
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_FALSE(host.exists("/etc/list"));
  EXPECT_FALSE(host.exists(state_dir));
}

TEST(Executor, without_a_record_only_our_part_goes) {
  FakeHost host = bare_world().file("/etc/list", "a\nours\nb\n");
  const json answer = run(host, drop_line);
  EXPECT_FALSE(answer.contains("kept_foreign_edits"));
  EXPECT_EQ(host.bytes("/etc/list"), "a\nb\n");
  EXPECT_FALSE(host.exists(state_dir));
}

TEST(Executor, edit_between_two_of_our_changes_is_not_lost) {
  FakeHost host = bare_world().file("/etc/list", "theirs\n");
  (void)run(host, add_line);
  host.file("/etc/list", "theirs\nby hand\n");
  (void)run(host, add_line);
  (void)run(host, drop_line);
  EXPECT_EQ(host.bytes("/etc/list"), "theirs\nby hand\n");
}

TEST(Executor, directory_with_a_foreign_file_stays) {
  FakeHost host = bare_world();
  (void)run(host, [](const HostView&, Plan& plan) { plan.ensure_file("/etc/ours/a", "a\n"); });
  host.file("/etc/ours/theirs", "x\n");
  const json answer =
      run(host, [](const HostView&, Plan& plan) { plan.withdraw("/etc/ours/a", [](const std::string&) { return std::nullopt; }); });
  EXPECT_FALSE(failed(answer)) << msg(answer);
  EXPECT_EQ(host.list_dir("/etc/ours").or_fail("list"), std::vector<std::string>{"theirs"});
}

Planner adds(const std::string& line) {
  return [line](const HostView& host, Plan& plan) {
    const std::string now = host.read_file("/etc/list").value_or("");
    if (!text::contains(now, line + "\n")) plan.ensure_file("/etc/list", now + line + "\n");
  };
}
Planner drops(const std::string& line) {
  return [line](const HostView&, Plan& plan) {
    plan.withdraw("/etc/list", [line](const std::string& bytes) -> std::optional<std::string> {
      std::string out;
      for (const std::string& each : text::lines(bytes))
        if (each != line) out += each + "\n";
      if (out.empty()) return std::nullopt;
      return out;
    });
  };
}

TEST(Executor, two_modules_in_one_file_withdraw_in_any_order) {
  for (const char* before : {"", "theirs\n"})
    for (const bool first_goes_first : {true, false}) {
      FakeHost host = bare_world();
      if (*before) host.file("/etc/list", before);
      const State original = state_of(host);
      (void)run(host, adds("one"), real, "one");
      (void)run(host, adds("two"), real, "two");
      ASSERT_EQ(host.bytes("/etc/list"), std::string(before) + "one\ntwo\n");
      const std::string goes = first_goes_first ? "one" : "two", stays = first_goes_first ? "two" : "one";
      EXPECT_FALSE(failed(run(host, drops(goes), real, goes)));
      EXPECT_EQ(host.bytes("/etc/list"), std::string(before) + stays + "\n");
      const json last = run(host, drops(stays), real, stays);
      EXPECT_FALSE(failed(last));
      EXPECT_FALSE(last.contains("kept_foreign_edits")) << "what the other module took out is no foreign edit";
      EXPECT_EQ(difference(original, state_of(host)), "") << "'" << before << "', first out: " << goes;
      EXPECT_FALSE(host.exists(state_dir));
    }
}

// --- the lock
// ----------------------------------------------------------------------------------------------------------------------------------

TEST(Executor, another_run_is_waited_for_then_named) {
  FakeHost host = bare_world();
  const Planner planner = [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x\n"); };
  host.restart().hold_lock("/run/pve-gpu.lock");
  const json answer = execute({"m", "m 1"}, planner, real, host);
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "another run")) << msg(answer);
  EXPECT_FALSE(answer["changed"]);
  EXPECT_TRUE(host.effects().empty());
  EXPECT_FALSE(failed(execute({"m", "m 1"}, planner, check, host)));
}

TEST(Executor, unprivileged_run_is_told_to_become_root_and_may_check) {
  FakeHost host = bare_world().file("/var/lib/pve-gpu/pending/x.json", "secret", 0600).dir("/var/lib/pve-gpu", 0700).user(1000);
  const Planner planner = [](const HostView&, Plan& plan) { plan.ensure_file("/etc/x", "x\n"); };
  const json answer = run(host, planner);
  EXPECT_TRUE(failed(answer));
  EXPECT_TRUE(says(answer, "become")) << msg(answer);
  const json checked = run(host, planner, check);
  EXPECT_FALSE(failed(checked)) << msg(checked);
  EXPECT_TRUE(checked["changed"]);
}

// --- what modules remember

const NoteName noted{"m", "thing", "/var/lib/pve-gpu/m/thing.json"};

Step noting(std::optional<json> before, std::optional<json> after) {
  Step step;
  step.target = "thing";
  step.desired = "new";
  step.observe = [](const HostView& host) -> Result<std::optional<std::string>> {
    const auto now = host.read_attr("/etc/thing");
    return now ? std::optional(*now) : std::nullopt;
  };
  step.apply = [](Host& host) -> Result<> {
    const CommandResult done = PVEGPU_TRY(host.run({{"make-thing"}}));
    return done.exit_code == 0 ? Result<>() : Result<>(Error{"can't be made"});
  };
  if (before) step.note_before = NoteChange{noted, *before};
  if (after) step.note_after = NoteChange{noted, *after};
  return step;
}

FakeHost world_with_thing(int exit_code, bool made) {
  FakeHost host = bare_world();
  host.program("make-thing", [=](FakeHost& world, const std::vector<std::string>&) {
    if (made) world.file("/etc/thing", "new\n");
    return CommandResult{exit_code, false, "", ""};
  });
  return host;
}

TEST(Executor, note_of_what_came_to_nothing_is_as_before) {
  for (const bool earlier : {false, true}) {
    FakeHost host = world_with_thing(1, false);
    if (earlier) (void)journal::keep_note(host, {noted, json("earlier")}).or_fail("keep");
    EXPECT_TRUE(run(host, [](const HostView&, Plan& plan) { plan.effect(noting("begun", {})); }).contains("failed"));
    EXPECT_EQ(journal::note(host, noted).or_fail("note"), earlier ? std::optional<json>("earlier") : std::nullopt);
    EXPECT_EQ(host.exists(state_dir), earlier) << "a run that did nothing leaves nothing";
  }
  FakeHost host = world_with_thing(1, true);
  const json answer = run(host, [](const HostView&, Plan& plan) { plan.effect(noting("begun", {})); });
  EXPECT_TRUE(answer["changed"].get<bool>());
  EXPECT_EQ(journal::note(host, noted).or_fail("note"), json("begun"));
}

TEST(Executor, note_after_the_effect_is_kept_when_it_was_done_only) {
  const Planner planner = [](const HostView& host, Plan& plan) {
    if (!host.exists("/etc/thing")) plan.effect(noting("begun", "done"));
  };
  FakeHost host = world_with_thing(0, true);
  EXPECT_FALSE(run(host, planner).contains("failed"));
  EXPECT_EQ(journal::note(host, noted).or_fail("note"), json("done"));
  FakeHost other = world_with_thing(1, true);
  EXPECT_TRUE(run(other, planner).contains("failed"));
  EXPECT_EQ(journal::note(other, noted).or_fail("note"), json("begun"));
}

TEST(Executor, note_is_moved_without_a_step) {
  FakeHost host = bare_world().file(noted.formerly, "{\"a\": 1}", 0600);
  std::optional<json> told;
  const Planner planner = [&](const HostView&, Plan& plan) { told = plan.note(noted); };
  EXPECT_FALSE(run(host, planner)["changed"].get<bool>());
  EXPECT_FALSE(host.exists("/var/lib/pve-gpu/m"));
  host.restart();
  run(host, planner);
  EXPECT_EQ(told, std::optional<json>(json{{"a", 1}}));
  EXPECT_TRUE(host.effects().empty());
}

// --- what the answer shows
// --------------------------------------------------------------------------------------------------------------------------

TEST(Executor, diff_shows_both_sides_and_hides_what_is_sensitive) {
  FakeHost host = bare_world().file("/etc/x", "old\n");
  const json answer = run(host, [](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/x", "new\n").ensure_file("/etc/key", "-----BEGIN", {.sensitive = true});
    plan.withdraw("/etc/hostname", [](const std::string&) { return std::optional<std::string>(); });
  });
  const json& diff = answer["diff"];
  ASSERT_EQ(diff.size(), 3u);
  EXPECT_EQ(diff[0]["before"], "old\n");
  EXPECT_EQ(diff[0]["after"], "new\n");
  EXPECT_EQ(diff[0]["before_header"], "file /etc/x");
  EXPECT_FALSE(text::contains(dump_json(diff[1]), "BEGIN"));
  EXPECT_EQ(diff[2]["before"], "pve1\n");
  EXPECT_EQ(diff[2]["after"], "");
  EXPECT_FALSE(execute(
                   {"m", "m 1"}, [](const HostView&, Plan&) {}, {}, host)
                   .contains("diff"));
}

TEST(Executor, a_failed_step_is_not_in_the_diff) {
  FakeHost host = bare_world().file("/sys/numvfs", "0\n");
  host.attribute("/sys/numvfs", [](FakeHost&, const std::string&) -> Result<> { return Error::from_errno("write", EBUSY); });
  const json answer = run(host, [](const HostView& view, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n");
    laws::set_attribute(view, plan, "/sys/numvfs", "8");
  });
  EXPECT_EQ(answer["diff"].size(), 1u) << dump_json(answer["diff"]);
}

TEST(Executor, reports_and_warnings_are_in_the_answer) {
  FakeHost host = bare_world();
  const json answer = run(host, [](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/x", "x\n").report(Listed{{"test"}}).warn("another source was broken before");
  });
  EXPECT_EQ(answer["gpus"], strings({"test"}));
  EXPECT_EQ(answer["warnings"], strings({"another source was broken before"}));
}

}  // namespace
}  // namespace pvegpu
