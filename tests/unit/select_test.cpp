// SPDX-License-Identifier: MIT
// The words by which people name cards.
#include "common/facts/select.hpp"

#include <gtest/gtest.h>

namespace pvegpu::gpu {
namespace {

Gpu a40() {
  Gpu out;
  out.address = "0000:41:00.0";
  out.ids = {0x10de, 0x2235, 0x10de, 0x145a};
  out.name = "A40";
  out.boards = catalogue::find_board(out.ids).boards;
  return out;
}

TEST(Select, a_model_by_name_with_or_without_its_maker_and_by_ids) {
  for (const char* word : {"A40", "a40", "NVIDIA A40", "nvidia a40", " A40 ", "10de:2235", "10DE:2235"})
    EXPECT_TRUE(is_model(a40(), word)) << word;
  for (const char* word : {"", "A4", "A40-4Q", "A400", "10de:2236", "Intel A40x", "NVIDIA"}) EXPECT_FALSE(is_model(a40(), word)) << word;
}

TEST(Select, a_card_by_address_slot_model_or_all) {
  for (const char* word : {"all", "0000:41:00.0", "0000:41:00", "41:00.0", "A40"}) EXPECT_TRUE(is_meant(a40(), word)) << word;
  for (const char* word : {"0000:41:00.1", "0000:42:00.0", "ALL", "A16"}) EXPECT_FALSE(is_meant(a40(), word)) << word;
}

}  // namespace
}  // namespace pvegpu::gpu
