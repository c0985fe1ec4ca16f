// SPDX-License-Identifier: MIT
#include "common/text/display_modes.hpp"

#include "common/host/real_host.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace pvegpu::text {
namespace {

constexpr const char* old_listing =
    "NVIDIA Display Mode Selector Utility (Version 1.48.0)\nCopyright (C) 2015-2020, NVIDIA Corporation. All Rights Reserved.\n\n"
    "Adapter: Graphics Device (10DE,2230,1028,1459) S:00,B:65,D:00,F:00\n\n\nEEPROM ID (EF,6015) : WBond W25Q16FW/JW\n\n"
    "GPU Mode: Graphics mode with physical display disabled\n\n"
    "Adapter: Graphics Device (10DE,2231,10DE,147E) S:01,B:B3,D:00,F:00\n\nGPU Mode: N/A\n";

TEST(DisplayAdapters, old_listing_has_modes_and_no_numbers) {
  const auto found = parse_display_adapters(old_listing);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].index, 0U);
  EXPECT_EQ(found[0].address, "0000:65:00.0");
  EXPECT_EQ(found[0].mode, "Graphics mode with physical display disabled");
  EXPECT_EQ(found[1].index, 1U);
  EXPECT_EQ(found[1].address, "0001:b3:00.0");
  EXPECT_EQ(found[1].mode, "N/A");
}

TEST(DisplayAdapters, numbers_of_a_list_are_taken) {
  const auto found = parse_display_adapters(
      "NVIDIA display adapters present in system:\n<3> Graphics Device      (10DE,25B6,10DE,157E) S:00,B:84,D:00,F:00\n"
      "<1> Graphics Device      (10DE,25B6,10DE,157E) S:00,B:0B,D:00,F:00\n");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].index, 3U);
  EXPECT_EQ(found[0].address, "0000:84:00.0");
  EXPECT_EQ(found[1].index, 1U);
}

TEST(DisplayAdapters, what_is_no_adapter_is_skipped) {
  EXPECT_TRUE(parse_display_adapters("").empty());
  EXPECT_TRUE(parse_display_adapters("GPU Mode: Compute\nS:00,B:ZZ,D:00,F:00\nS:00,B:1FF,D:00,F:00\n").empty());
}

TEST(ModeChange, each_ending_is_told_apart) {
  EXPECT_EQ(
      judge_mode_change("Write InfoROM object succesfully\nSuccessfully updated GPU mode to \"physical_display_disabled\" ( Mode 4 ).\n"),
      ModeOutcome::updated);
  EXPECT_EQ(judge_mode_change("Specified GPU mode not supported on this device 0x25B6.\n"), ModeOutcome::unsupported);
  EXPECT_EQ(judge_mode_change("ERROR: In order to avoid the irreparable damage to your graphics adapter"), ModeOutcome::driver_loaded);
  EXPECT_EQ(judge_mode_change("ERROR: Falcon In HALT or STOP state, abort uCode command issuing process.\n"), ModeOutcome::falcon);
  EXPECT_EQ(judge_mode_change("/dev/mem: Operation not permitted. Access to physical memory denied\n"), ModeOutcome::no_dev_mem);
  EXPECT_EQ(judge_mode_change("/var/lib/x: Permission denied\n"), ModeOutcome::not_executable);
  EXPECT_EQ(judge_mode_change("Press 'y' to confirm (any other key to abort):\n"), ModeOutcome::aborted);
  EXPECT_EQ(judge_mode_change(""), ModeOutcome::unknown);
}

std::optional<std::string> sample(const std::string& name) {
  const char* shared = std::getenv("PVE_GPU_SHARED");
  const std::string folder = shared ? std::string(shared) : std::string(PVE_GPU_SOURCE_DIR "/../shared");
  const auto bytes = RealHost().read_file(folder + "/domain/samples/displaymodeselector/" + name);
  return bytes ? std::optional(*bytes) : std::nullopt;
}

TEST(DisplayModeRecordings, are_read_right) {
  const auto a6000 = sample("1.48.0_listgpumodes_a6000_disabled.txt");
  if (!a6000) GTEST_SKIP() << "no recordings; set PVE_GPU_SHARED to the folder that holds domain/samples";
  ASSERT_EQ(parse_display_adapters(*a6000).size(), 1U);
  EXPECT_EQ(parse_display_adapters(*a6000)[0].address, "0000:af:00.0");
  EXPECT_EQ(parse_display_adapters(*a6000)[0].mode, "Graphics mode with physical display disabled");
  const auto three = parse_display_adapters(sample("1.72.0_list_three_a2.txt").value_or(""));
  ASSERT_EQ(three.size(), 3U);
  EXPECT_EQ(three[2].index, 2U);
  EXPECT_EQ(three[2].address, "0000:88:00.0");
  EXPECT_EQ(judge_mode_change(sample("1.72.0_gpumode_menu_8gb_a2_unsupported.txt").value_or("")), ModeOutcome::unsupported);
  EXPECT_EQ(judge_mode_change(sample("1.72.0_menu_all_adapters_success_rtxpro6000maxq.txt").value_or("")), ModeOutcome::updated);
  EXPECT_EQ(judge_mode_change(sample("driver_loaded_abort.stderr.txt").value_or("")), ModeOutcome::driver_loaded);
}

}  // namespace
}  // namespace pvegpu::text
