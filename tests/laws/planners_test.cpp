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
TEST_P(PlannerLaw, of_undo) {
  if (!GetParam().undo) GTEST_SKIP() << "nothing to take back";
  const Subject undo = undoing(GetParam());
  hold(check_mode_has_no_effect(undo));
  hold(second_run_has_no_effect(undo));
  hold(check_predicts_run(undo));
  hold(converges_from_any_effect(undo));
}

INSTANTIATE_TEST_SUITE_P(Planners, PlannerLaw, testing::ValuesIn(planners()), [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace pvegpu::laws
