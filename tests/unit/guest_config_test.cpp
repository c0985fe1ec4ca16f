// SPDX-License-Identifier: MIT
// PCI devices in guests' configurations and at run time.
#include "common/text/guest_config.hpp"
#include "common/text/property_string.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

TEST(GuestConfig, addresses_mappings_and_types) {
  const auto guest = parse_guest_config(
      "#hostpci9: 0000:99:00.0\n"
      "hostpci2: mapping=a40,mdev=nvidia-562,pcie=1\n"
      "hostpci0: 0000:81:00.0,mdev=nvidia-64\n"
      "hostpci1: host=01:00;0000:02:00.1,x-vga=1\n"
      "machine: q35\n"
      "name: desktop-1\n"
      "\n[snap]\nhostpci3: 0000:01:00.0\nname: old\n");
  EXPECT_EQ(guest.name, "desktop-1");
  EXPECT_TRUE(guest.warnings.empty());
  ASSERT_EQ(guest.hostpci.size(), 3u) << "comments and snapshots don't count";
  EXPECT_EQ(guest.hostpci[0].addresses[0].str(), "0000:81:00.0");
  EXPECT_EQ(guest.hostpci[0].mdev, "nvidia-64");
  ASSERT_EQ(guest.hostpci[1].addresses.size(), 2u);
  EXPECT_EQ(guest.hostpci[1].addresses[0].str(), "0000:01:00");
  EXPECT_EQ(guest.hostpci[2].mapping, "a40");
  EXPECT_EQ(guest.hostpci[2].slot, 2u);
  EXPECT_TRUE(guest.hostpci[2].addresses.empty());
}

TEST(GuestConfig, what_cannot_be_read_is_said) {
  const auto guest = parse_guest_config(
      "hostpci0: a40\nhostpci1: mapping=a,host=01:00.0\nhostpci2: pcie=1\nhostpci: 01:00.0\nhostpci3: 01:00.0,pcie=1,pcie=0\n");
  EXPECT_TRUE(guest.hostpci.empty());
  EXPECT_EQ(guest.warnings.size(), 4u);
}

TEST(Reservations, lines_of_running_and_starting_guests) {
  const auto held = parse_pci_reservations(
      "0000:41:00.4 201 pid:4242\n0001:41:00.5 202 time:1700000000\n\nnonsense\n0000:41:00.6 x pid:1\n0000:41:00.7 203 other:1\n");
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].address, "0000:41:00.4");
  EXPECT_EQ(held[0].vmid, 201);
  EXPECT_EQ(held[1].vmid, 202);
}

TEST(MdevUuid, names_the_guest_only_in_proxmoxs_form) {
  const auto owner = parse_mdev_uuid("00000001-0000-0000-0000-000000000102");
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->vmid, 102);
  EXPECT_EQ(owner->index, 1u);
  EXPECT_FALSE(parse_mdev_uuid("bc127e23-aaaa-4d06-a7aa-88db2dd538e0"));
  EXPECT_FALSE(parse_mdev_uuid("00000001-0000-0000-0000-00000000000a"));
  EXPECT_FALSE(parse_mdev_uuid("00000000-0000-0000-0000-000000000000"));
  EXPECT_FALSE(parse_mdev_uuid(""));
}

TEST(PropertyString, parts_in_order) {
  const auto parsed = parse_property_string("0000:01:00.0,,pcie=1,romfile=a=b", "host");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed->find("host"), "0000:01:00.0");
  EXPECT_EQ(*parsed->find("romfile"), "a=b");
  EXPECT_EQ(parsed->find("mdev"), nullptr);
  EXPECT_FALSE(parse_property_string("alone"));
  EXPECT_FALSE(parse_property_string("a=1,a=2"));
}

}  // namespace
}  // namespace pvegpu::text
