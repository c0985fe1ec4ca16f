// SPDX-License-Identifier: MIT
// PCI addresses.
#include "common/text/pci_address.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

TEST(PciAddress, is_normalised) {
  EXPECT_EQ(parse_pci_address("0000:41:00.0")->str(), "0000:41:00.0");
  EXPECT_EQ(parse_pci_address("41:00.0")->str(), "0000:41:00.0") << "guests' configurations may leave the domain out";
  EXPECT_EQ(parse_pci_address("0001:E8:1f.7")->str(), "0001:e8:1f.7");
  EXPECT_EQ(parse_pci_address("10000:01:00.0")->str(), "10000:01:00.0") << "VMD's domains have five digits";
  EXPECT_EQ(parse_pci_address("0000:41:00")->str(), "0000:41:00");
  EXPECT_EQ(parse_pci_address("0000:41:00")->first_function(), "0000:41:00.0");
}

TEST(PciAddress, a_whole_device_covers_its_functions_only) {
  const PciAddress whole = *parse_pci_address("41:00"), one = *parse_pci_address("0000:41:00.1");
  EXPECT_TRUE(whole.covers("0000:41:00.0") && whole.covers("0000:41:00.1"));
  EXPECT_FALSE(whole.covers("0000:41:01.0") || whole.covers("0001:41:00.0"));
  EXPECT_TRUE(one.covers("0000:41:00.1"));
  EXPECT_FALSE(one.covers("0000:41:00.0"));
}

TEST(PciAddress, refuses_what_is_none) {
  for (const char* text : {"", "41", "0000:41:00.", "0000:41:00.8", "0000:41:20.0", "0000:4:00.0", "000:41:00.0", "0000:gg:00.0",
                           "0000:41:00x4", "0000:41:00.00", "0000:41:00.0 ", "0000:41:00:0", "a40"})
    EXPECT_FALSE(parse_pci_address(text)) << text;
  EXPECT_EQ(parse_pci_address("a40").error().message, "'a40' is not a PCI address like 0000:41:00.0 or 0000:41:00");
}

}  // namespace
}  // namespace pvegpu::text
