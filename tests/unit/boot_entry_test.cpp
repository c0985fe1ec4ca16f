// SPDX-License-Identifier: MIT
// The line of a boot entry.
#include "common/text/boot_entry.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {

TEST(BootEntry, WhatSystemdBootHandsOver) {
  EXPECT_EQ(boot_entry_options(" root=x  quiet \t"), "root=x  quiet");
  EXPECT_EQ(boot_entry_options("a=it's;$x|&*"), "a=it's;$x|&*");
  EXPECT_EQ(boot_entry_options("root=x \\n quiet"), "root=x");
  EXPECT_EQ(boot_entry_options("root=x\\c quiet"), "root=x");
  EXPECT_EQ(boot_entry_options("a\\\\b c\\d e\\"), "a\\b c\\d e\\");
  EXPECT_EQ(boot_entry_options("a\\0101b\\101c"), "aAbAc");
  EXPECT_EQ(boot_entry_options("\"x=a b\" root=x y=\"c d\""), "x=a b\" root=x y=\"c d") << "a pair of quotes around the whole goes";
  EXPECT_EQ(boot_entry_options("\"x=a b\" root=x"), "\"x=a b\" root=x");
  EXPECT_EQ(not_for_boot_entry({"a", "it's\"$;"}), "");
  EXPECT_NE(not_for_boot_entry({"a", "b\\c"}), "");
}

}  // namespace pvegpu::text
