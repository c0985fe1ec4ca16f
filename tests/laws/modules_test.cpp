// SPDX-License-Identifier: MIT
// Every law on every module × fixture.
#include "common/host/real_host.hpp"
#include "tests/laws/fixtures.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace pvegpu::laws {

static std::ostream& operator<<(std::ostream& out, const Fixture& fixture) { return out << fixture.module << "/" << fixture.name; }

namespace {

constexpr RunMode check{.check = true, .diff = true};
constexpr RunMode real{.check = false, .diff = true};

/// Every effect with --all only. Fixtures begin at different ones, so that those of a module together try all kinds of its effects.
int most_effects() { return std::getenv("PVE_GPU_TEST_ALL") ? 1000000 : 4; }

/// What a recording can't be asked: it does not act.
#define NEEDS_A_WORLD_THAT_ACTS() \
  if (GetParam().recorded()) GTEST_SKIP() << "a recording answers, it does not act"

class ModuleLaw : public testing::TestWithParam<Fixture> {
 protected:
  void SetUp() override {
    // The tests of one fixture share its world and the run in it.
    static std::map<std::string, Known> known;
    Known& mine = known[GetParam().directory];
    if (!mine.after) {
      mine.subject = GetParam().subject();
      mine.after = mine.subject.world();
      mine.answer = mine.subject.run(*mine.after, real);
      mine.after->restart();
    }
    subject_ = mine.subject;
    after_ = &*mine.after;
    answer_ = mine.answer;
    fails_ = answer_.value("failed", false);
  }
  void hold(const Findings& findings) {
    for (std::size_t i = 0; i < findings.size() && i < 5; ++i) ADD_FAILURE() << findings[i];
    if (findings.size() > 5) ADD_FAILURE() << "and " << findings.size() - 5 << " more";
  }

  struct Known {
    Subject subject;
    std::optional<FakeHost> after = {};  ///< the world after the run
    json answer = {};
  };
  Subject subject_;
  const FakeHost* after_ = nullptr;  ///< the world after the run
  json answer_;                      ///< of the run
  bool fails_ = false;
};

TEST_P(ModuleLaw, L1_check_mode_has_no_effect) { hold(check_mode_has_no_effect(subject_)); }

TEST_P(ModuleLaw, L2_second_run_has_no_effect) {
  NEEDS_A_WORLD_THAT_ACTS();
  if (fails_) GTEST_SKIP() << "the run is meant to fail";
  hold(second_run_has_no_effect(subject_));
}

TEST_P(ModuleLaw, L3_check_predicts_run) {
  NEEDS_A_WORLD_THAT_ACTS();
  if (fails_) GTEST_SKIP() << "the run is meant to fail";
  hold(check_predicts_run(subject_));
}

TEST_P(ModuleLaw, L4_converges_from_any_effect) {
  NEEDS_A_WORLD_THAT_ACTS();
  if (fails_) GTEST_SKIP() << "the run is meant to fail";
  hold(converges_from_any_effect(subject_, most_effects()));
}

TEST_P(ModuleLaw, L5_golden_answer) {
  FakeHost host = subject_.world();
  const json checked = subject_.run(host, check);
  const std::string at = GetParam().directory;
  if (std::getenv("PVE_GPU_REGENERATE")) {
    RealHost disk;
    const auto put = [&](const std::string& path, const json& value) {
      ASSERT_TRUE(disk.write_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + "\n"));
    };
    put(at + "/expected.json", checked);
    (void)disk.remove_file(at + "/expected_run.json");
    if (answer_ != checked && !GetParam().recorded()) put(at + "/expected_run.json", answer_);
    return;
  }
  const auto expected = GetParam().read_if_there("expected.json");
  ASSERT_TRUE(expected) << at << "/expected.json is missing; PVE_GPU_REGENERATE=1 writes it, then read what it says";
  EXPECT_EQ(checked.dump(2), expected->dump(2));
  NEEDS_A_WORLD_THAT_ACTS();
  EXPECT_EQ(answer_.dump(2), GetParam().read_if_there("expected_run.json").value_or(*expected).dump(2));
}

TEST_P(ModuleLaw, L6_undo_restores) {
  NEEDS_A_WORLD_THAT_ACTS();
  if (fails_) GTEST_SKIP() << "the run is meant to fail";
  if (!subject_.undo) GTEST_SKIP() << "nothing to take back";
  hold(undo_restores(subject_));
  const Subject undo = undoing(subject_);
  hold(check_mode_has_no_effect(undo));
  hold(second_run_has_no_effect(undo));
  hold(check_predicts_run(undo));
  hold(converges_from_any_effect(undo, most_effects()));
}

TEST_P(ModuleLaw, L7_absence_ends) {
  NEEDS_A_WORLD_THAT_ACTS();
  if (subject_.absences.empty()) GTEST_SKIP() << "nothing to take back";
  hold(absence_ends(subject_, subject_.world()));
  if (!fails_) hold(absence_ends(subject_, *after_));
}

TEST_P(ModuleLaw, L8_same_needs_before_and_after) {
  NEEDS_A_WORLD_THAT_ACTS();
  hold(same_needs_before_and_after(subject_, subject_.world()));
  for (const auto& [name, ask] : subject_.absences) {
    Subject absence;
    absence.run = ask;
    hold(same_needs_before_and_after(absence, subject_.world()));
    if (!fails_) hold(same_needs_before_and_after(absence, *after_));
  }
}

TEST_P(ModuleLaw, a_failed_run_tells_the_truth) {
  NEEDS_A_WORLD_THAT_ACTS();
  if (!fails_) GTEST_SKIP() << "the run is meant to succeed";
  FakeHost host = subject_.world();
  const State before = state_of(host);
  const json again = subject_.run(host, real);
  EXPECT_FALSE(again.value("msg", "").empty());
  if (!again.value("changed", false)) {
    EXPECT_EQ(difference(before, state_of(host)), "");
  }
  if (subject_.run(host, check).value("failed", false)) {
    EXPECT_TRUE(host.effects().empty()) << "what check mode refuses was refused after an effect";
  }
}

/// The host in memory lists the PCI functions of its tree as libpci does.
TEST_P(ModuleLaw, world_is_what_libpci_sees) {
  NEEDS_A_WORLD_THAT_ACTS();
  const auto fake = subject_.world().pci_devices(), real_list = RealHost(GetParam().tree).pci_devices();
  ASSERT_EQ(static_cast<bool>(fake), static_cast<bool>(real_list));
  if (!fake) return;
  ASSERT_EQ(fake->size(), real_list->size());
  for (std::size_t i = 0; i < fake->size(); ++i) {
    const PciDevice &a = (*fake)[i], &b = (*real_list)[i];
    EXPECT_EQ(std::tie(a.address, a.vendor, a.device, a.device_class), std::tie(b.address, b.vendor, b.device, b.device_class));
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ModuleLaw);
INSTANTIATE_TEST_SUITE_P(Modules, ModuleLaw, testing::ValuesIn(fixtures()), [](const auto& test) {
  std::string name = test.param.module + "_" + test.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

}  // namespace
}  // namespace pvegpu::laws

int main(int argc, char** argv) {
  try {
    pvegpu::laws::make_trees();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "laws: %s\n", e.what());
    return 1;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
