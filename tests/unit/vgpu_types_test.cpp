// SPDX-License-Identifier: MIT
// Virtual GPU types as the drivers write them.
#include "common/text/vgpu_types.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

TEST(MdevDescription, nvidia) {
  const auto type = parse_mdev_description("num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8\n");
  EXPECT_EQ(type.framebuffer_mb, 1024);
  EXPECT_EQ(type.max_instances, 8);
}

TEST(MdevDescription, gvtg) {
  const auto type = parse_mdev_description("low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4\n");
  EXPECT_EQ(type.framebuffer_mb, 512);
  EXPECT_FALSE(type.max_instances);
}

TEST(MdevDescription, free_text_is_no_error) {
  for (const char* text : {"", "a virtual GPU", "framebuffer=", "framebuffer=many, max_instance=x", "=,:,\n"}) {
    EXPECT_FALSE(parse_mdev_description(text).framebuffer_mb) << text;
    EXPECT_FALSE(parse_mdev_description(text).max_instances) << text;
  }
}

TEST(CreatableTypes, names_may_hold_spaces_and_colons) {
  const auto types =
      parse_creatable_types("ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n12345 : NVIDIA RTX Pro 6000 Blackwell DC-1Q\n7     : odd: name\n");
  ASSERT_TRUE(types);
  EXPECT_EQ(*types,
            (std::vector<CreatableType>{{1145, "NVIDIA L40S-1B"}, {12345, "NVIDIA RTX Pro 6000 Blackwell DC-1Q"}, {7, "odd: name"}}));
}

TEST(CreatableTypes, header_only_and_nothing_are_empty) {
  EXPECT_TRUE(parse_creatable_types("ID    : vGPU Name\n")->empty());
  EXPECT_TRUE(parse_creatable_types("")->empty());
}

TEST(CreatableTypes, another_format_is_an_error) {
  EXPECT_FALSE(parse_creatable_types("nvidia-1145 NVIDIA L40S-1B\n"));
  EXPECT_FALSE(parse_creatable_types("ID    : vGPU Name\n0x392 : NVIDIA L4-6Q\n"));
}

TEST(MdevTypeNumber, the_prefix_is_the_parent_drivers_name) {
  EXPECT_EQ(mdev_type_number("nvidia-63"), 63u);
  EXPECT_EQ(mdev_type_number("vfio-pci-575"), 575u);
  EXPECT_FALSE(mdev_type_number("i915-GVTg_V5_4"));
  EXPECT_FALSE(mdev_type_number("nvidia"));
  EXPECT_FALSE(mdev_type_number("nvidia-"));
}

TEST(VgpuNameBoard, ends_before_the_size) {
  EXPECT_EQ(vgpu_name_board("GRID P40-1Q"), "GRID P40");
  EXPECT_EQ(vgpu_name_board("NVIDIA RTX6000-Ada-8Q"), "NVIDIA RTX6000-Ada");
  EXPECT_EQ(vgpu_name_board("odd"), "");
}

}  // namespace
}  // namespace pvegpu::text
