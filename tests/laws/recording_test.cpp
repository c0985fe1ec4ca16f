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

/// A host of the rack.
FakeHost machine(const std::string& name) {
  const std::string out = PVE_GPU_BINARY_DIR "/trees/recorded/" + name;
  (void)run_program({{"rm", "-rf", "--", out}, std::chrono::seconds(600)});
  (void)run_program({{"mkdir", "-p", PVE_GPU_BINARY_DIR "/trees/recorded"}});
  const auto made = run_program(
      {{PVE_GPU_PYTHON, "-B", PVE_GPU_SOURCE_DIR "/tests/rack/machine.py", PVE_GPU_SOURCE_DIR "/tests/rack/machines/" + name + ".yml", out},
       std::chrono::seconds(600)});
  if (!made || made->exit_code != 0) throw std::runtime_error(name + " can't be made: " + (made ? made->err : made.error().message));
  return world_of(out);
}

class RecordingLaw : public testing::TestWithParam<Fixture> {};

TEST_P(RecordingLaw, replay_is_the_answer) {
  if (GetParam().recorded()) GTEST_SKIP() << "it is a replay itself";
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
  const Recording hidden = record::masked(recorder.recording(), masks);
  EXPECT_EQ(record::print(record::masked(hidden, masks)), record::print(hidden)) << "a secret is left";
  ReplayHost masked(travelled(hidden));
  // A guest may be called like a word of the answer.
  EXPECT_EQ(masks.value(ask(GetParam().module, masks.value(args), masked)).dump(1), masks.value(answer).dump(1)) << "masked";
  EXPECT_EQ(masked.missing(), std::vector<std::string>{}) << "masked";
}

INSTANTIATE_TEST_SUITE_P(Fixtures, RecordingLaw, testing::ValuesIn(fixtures()), [](const auto& test) {
  std::string name = test.param.module + "_" + test.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

// --- a recording of its own accord knows what every module asks --------------------------------------------------------------------

/// Every task of the fixtures, each once.
std::vector<std::pair<std::string, json>> all_tasks() {
  std::map<std::string, std::pair<std::string, json>> out;
  for (const Fixture& fixture : fixtures()) {
    const json args = fixture.read("args.json");
    out.emplace(fixture.module + dump_json(args), std::pair(fixture.module, args));
  }
  std::vector<std::pair<std::string, json>> tasks;
  for (auto& [key, task] : out) tasks.push_back(std::move(task));
  return tasks;
}

class MachineRecording : public testing::TestWithParam<const char*> {};

TEST_P(MachineRecording, every_module_answers_from_it) {
  const FakeHost world = machine(GetParam());
  const Recording raw = travelled(record_unmasked(registry(), world, {}));
  const record::Masks masks = record::masks_for(raw);
  const Recording hidden = travelled(record_judgements(registry(), world, {}));
  EXPECT_EQ(record::print(hidden), record::print(record::masked(raw, masks)));
  const ReplayHost open_recording(raw), masked_recording(hidden);
  std::map<std::string, std::pair<int, int>> whole;  // by module: answered whole, of all
  for (const auto& [module, args] : all_tasks()) {
    FakeHost host = world;
    ReplayHost open = open_recording, masked = masked_recording;
    const json answer = ask(module, args, host), again = ask(module, args, open), other = ask(module, masks.value(args), masked);
    auto& [right, all] = whole[module];
    ++all;
    if (!open.missing().empty()) continue;
    ++right;
    EXPECT_EQ(again.dump(1), answer.dump(1)) << module << " " << args;
    EXPECT_EQ(masked.missing(), std::vector<std::string>{}) << module << " " << args;
    EXPECT_EQ(masks.value(other).dump(1), masks.value(answer).dump(1)) << "masked " << module << " " << args;
  }
  for (const auto& [module, share] : whole) {
    std::printf("%-18s %3d of %3d\n", module.c_str(), share.first, share.second);
    // What a recording can't know beforehand: what GRUB's shell makes of another drop-in, a user's file, a kernel that nobody has.
    EXPECT_GT(share.first, 0) << module;
  }
}

INSTANTIATE_TEST_SUITE_P(Machines, MachineRecording,
                         testing::Values("form-a", "form-b", "form-c", "form-d", "form-e", "form-f", "pve8", "zfs-secure-boot"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// A recording that becomes a fixture is the same host.
TEST_P(MachineRecording, is_a_world_of_the_laws) {
  const Recording hidden = record_judgements(registry(), machine(GetParam()), {});
  FakeHost world = world_of(hidden);
  for (const char* module : {"host_info", "diagnose", "iommu", "vgpu", "node_guard", "kernel_gate"}) {
    ReplayHost replay(hidden);
    EXPECT_EQ(ask(module, json::object(), world).dump(1), ask(module, json::object(), replay).dump(1)) << module;
  }
  EXPECT_TRUE(world.effects().empty());
}

}  // namespace
}  // namespace pvegpu::laws
