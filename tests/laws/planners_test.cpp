// SPDX-License-Identifier: MIT
// Every law on every made-up planner.
#include "tests/laws/planners.hpp"

#include <gtest/gtest.h>

namespace pvegpu::laws {

static std::ostream& operator<<(std::ostream& out, const Subject& subject) { return out << subject.name; }

namespace {

class PlannerLaw : public testing::TestWithParam<Subject> {
 protected:
  void hold(const Findings& findings) {
    // The first ones say what is wrong; a broken law is often broken everywhere.
    for (std::size_t i = 0; i < findings.size() && i < 5; ++i) ADD_FAILURE() << findings[i];
    if (findings.size() > 5) ADD_FAILURE() << "and " << findings.size() - 5 << " more";
  }
};

TEST_P(PlannerLaw, L1_check_mode_has_no_effect) { hold(check_mode_has_no_effect(GetParam())); }
TEST_P(PlannerLaw, L2_second_run_has_no_effect) { hold(second_run_has_no_effect(GetParam())); }
TEST_P(PlannerLaw, L3_check_predicts_run) { hold(check_predicts_run(GetParam())); }
TEST_P(PlannerLaw, L4_converges_from_any_effect) { hold(converges_from_any_effect(GetParam())); }
TEST_P(PlannerLaw, L6_undo_restores) {
  if (!GetParam().undo) GTEST_SKIP() << "nothing to take back";
  hold(undo_restores(GetParam()));
}
TEST_P(PlannerLaw, L7_absence_ends) {
  if (!GetParam().undo) GTEST_SKIP() << "nothing to take back";
  Subject subject = GetParam();
  subject.absences = {{"undo", subject.undo}};
  hold(absence_ends(subject, subject.world()));
  hold(absence_ends(subject, undoing(subject).world()));
}
TEST_P(PlannerLaw, L8_same_needs_before_and_after) { hold(same_needs_before_and_after(GetParam(), GetParam().world())); }
TEST_P(PlannerLaw, of_undo) {
  if (!GetParam().undo) GTEST_SKIP() << "nothing to take back";
  const Subject undo = undoing(GetParam());
  hold(check_mode_has_no_effect(undo));
  hold(second_run_has_no_effect(undo));
  hold(check_predicts_run(undo));
  hold(converges_from_any_effect(undo));
  hold(same_needs_before_and_after(undo, undo.world()));
}

/// The two laws on planners that break them.
TEST(BrokenPlanner, L7_notices_absence_that_flips) {
  const auto flips = [](const HostView& host, Plan& plan) {
    const std::string now = host.read_file("/etc/words").value_or("");
    plan.ensure_file("/etc/words", now == "theirs\n" ? "none\n" : "theirs\n");
  };
  // Within one run the executor notices it; between two runs only the law does.
  const auto once = [](FakeHost& host, RunMode mode) {
    const bool there = host.bytes("/etc/words") == "theirs\n";
    return execute(
        {"flips", "flips"}, [there](const HostView&, Plan& plan) { plan.ensure_file("/etc/words", there ? "none\n" : "theirs\n"); }, mode,
        host);
  };
  Subject subject = subject_of("flips", bare_world, flips, flips);
  subject.absences = {{"absent", once}};
  EXPECT_FALSE(absence_ends(subject, subject.world()).empty());
  subject.absences = {{"absent", subject.undo}};
  EXPECT_FALSE(absence_ends(subject, subject.world()).empty());
}
TEST(BrokenPlanner, L8_notices_a_reason_that_hangs_on_a_step) {
  const Subject subject = subject_of("hangs", bare_world, [](const HostView& host, Plan& plan) {
    plan.ensure_file("/etc/words", "ours\n");
    plan.reboot_if(!host.exists("/etc/words"), "the words are read at boot");
  });
  EXPECT_FALSE(same_needs_before_and_after(subject, subject.world()).empty());
}

INSTANTIATE_TEST_SUITE_P(Planners, PlannerLaw, testing::ValuesIn(planners()), [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace pvegpu::laws
