// SPDX-License-Identifier: MIT
// tests/ladder/table.yml: each fault leads to its rung, with its cause and its cure; without the fault the same question is answered with
// "ready".
#include "common/host/real_host.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fixtures.hpp"

#include <gtest/gtest.h>

namespace pvegpu::laws {
namespace {

const std::string trees = PVE_GPU_BINARY_DIR "/ladder";

json diagnose(const std::string& tree, const json& ask, const json& world) {
  FakeHost host = world_of(trees + "/" + tree);
  host.world(world);
  return run_task("diagnose", ask, host);
}

TEST(Ladder, every_fault_leads_to_its_rung_and_its_cure) {
  const CommandResult made =
      run_program({{PVE_GPU_PYTHON, "-B", PVE_GPU_SOURCE_DIR "/tests/ladder/make.py", trees}, std::chrono::seconds(300)})
          .or_fail("make the trees of the ladder");
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const json rows = *parse_json(made.out);
  ASSERT_GE(rows.size(), 40u);
  for (const json& row : rows) {
    const std::string fault = row["fault"];
    SCOPED_TRACE(fault);
    json world = json::object();
    if (row.contains("answers")) world["answers"] = row["answers"];
    const json answer = diagnose(row["tree"], row["ask"], world);
    ASSERT_FALSE(answer.value("failed", false)) << answer.dump(1);
    ASSERT_EQ(answer["targets"].size(), 1u) << answer.dump(1);
    const json& blamed = answer["targets"][0]["blamed"];
    ASSERT_FALSE(blamed.is_null()) << answer.dump(1);
    EXPECT_EQ(blamed["name"], row["rung"]) << answer["text"].dump(1);
    EXPECT_TRUE(text::contains(blamed["cause"].get<std::string>(), row["cause"].get<std::string>())) << blamed.dump(1);
    EXPECT_TRUE(text::contains(blamed["cure"].get<std::string>(), row["cure"].get<std::string>())) << blamed.dump(1);
    int failed = 0;
    for (const json& rung : answer["targets"][0]["rungs"]) failed += rung["state"] == "fail" ? 1 : 0;
    EXPECT_LE(failed, 1);
    if (row.value("never_green", false)) continue;
    const json cured = diagnose(row["base"], row.contains("fixed_ask") ? row["fixed_ask"] : row["ask"], json::object());
    EXPECT_TRUE(cured.value("ok", false)) << cured["text"].dump(1);
  }
}

}  // namespace
}  // namespace pvegpu::laws
