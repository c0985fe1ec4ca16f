// SPDX-License-Identifier: MIT
// A recording answers as the host did.
#include "common/core/judgements.hpp"
#include "common/host/real_host.hpp"
#include "common/record/privacy.hpp"
#include "tests/laws/fixtures.hpp"

#include <gtest/gtest.h>

namespace pvegpu::laws {

static std::ostream& operator<<(std::ostream& out, const Fixture& fixture) { return out << fixture.module << "/" << fixture.name; }

namespace {

using record::Recording, record::ReplayHost;

json ask(const std::string& module, json args, Host& host) {
  args["_ansible_check_mode"] = args["_ansible_diff"] = true;
  for (const RegistryEntry& entry : registry())
    if (module == entry.name) return entry.module().run(args, host);
  throw std::runtime_error("there is no module " + module);
}

/// As a file, and out of it again.
Recording travelled(const Recording& recording) {
  auto got = record::unpack(record::pack(recording));
  if (!got) throw std::runtime_error(got.error().message);
  return *std::move(got);
}

class RecordingLaw : public testing::TestWithParam<Fixture> {};

TEST_P(RecordingLaw, replay_is_the_answer) {
  const FakeHost world = GetParam().world();
  const json args = GetParam().read("args.json");
  FakeHost asked = world;
  const json answer = ask(GetParam().module, args, asked);
  record::Recorder recorder(world);
  EXPECT_EQ(ask(GetParam().module, args, recorder).dump(1), answer.dump(1)) << "the recorder itself";

  ReplayHost whole(travelled(recorder.recording()));
  EXPECT_EQ(ask(GetParam().module, args, whole).dump(1), answer.dump(1));
  EXPECT_EQ(whole.missing(), std::vector<std::string>{});

  const record::Masks masks = record::masks_for(recorder.recording());
  ReplayHost masked(travelled(record::masked(recorder.recording(), masks)));
  EXPECT_EQ(ask(GetParam().module, masks.value(args), masked).dump(1), masks.value(answer).dump(1)) << "masked";
  EXPECT_EQ(masked.missing(), std::vector<std::string>{}) << "masked";
}

INSTANTIATE_TEST_SUITE_P(Fixtures, RecordingLaw, testing::ValuesIn(fixtures()), [](const auto& test) {
  std::string name = test.param.module + "_" + test.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

}  // namespace
}  // namespace pvegpu::laws
