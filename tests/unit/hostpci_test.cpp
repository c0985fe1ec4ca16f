// SPDX-License-Identifier: MIT
#include "common/text/guest_config.hpp"

#include "common/base/sha1.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

std::string canonical(std::string_view value) {
  const auto parsed = parse_hostpci(value);
  return parsed ? print_hostpci(*parsed) : "error: " + parsed.error().message;
}

TEST(HostPci, the_same_value_is_printed_the_same) {
  for (const char* spelling :
       {"mapping=a40,mdev=nvidia-562,pcie=1", "pcie=1,mapping=a40,mdev=nvidia-562", "mapping=a40,,pcie=on,mdev=nvidia-562",
        "mdev=nvidia-562,pcie=yes,rombar=1,x-vga=0,driver=vfio,legacy-igd=off,mapping=a40"})
    EXPECT_EQ(canonical(spelling), "mapping=a40,mdev=nvidia-562,pcie=1");
  for (const char* spelling : {"0000:41:00", "41:00", "host=41:00", "host=0000:41:00,pcie=0", "rombar=true,0000:41:00"})
    EXPECT_EQ(canonical(spelling), "0000:41:00");
  EXPECT_EQ(canonical("01:00.0;01:00.1,x-vga=1,rombar=0"), "0000:01:00.0;0000:01:00.1,rombar=0,x-vga=1");
  EXPECT_EQ(canonical("0000:01:00,romfile=rtx.rom,vendor-id=0x10DE,sub-vendor-id=0x10de,sub-device-id=0x13d8,device-id=0x1b38,driver=keep"),
            "0000:01:00,device-id=0x1b38,driver=keep,romfile=rtx.rom,sub-device-id=0x13d8,sub-vendor-id=0x10de,vendor-id=0x10de");
  EXPECT_EQ(canonical("00:02.0,legacy-igd=1"), "0000:00:02.0,legacy-igd=1");
}

TEST(HostPci, a_function_and_a_whole_device_differ) { EXPECT_NE(canonical("0000:41:00"), canonical("0000:41:00.0")); }

TEST(HostPci, what_proxmox_does_not_take) {
  for (const char* value : {"a40", "0000:41:00,0000:42:00", "0000:41:00,pcie=2", "0000:41:00,vendor-id=10de", "0000:41:00,vendor-id=0x10dg",
                            "0000:41:00,driver=nvidia"})
    EXPECT_FALSE(parse_hostpci(value)) << value;
}

TEST(HostPci, what_names_no_device_is_taken_all_the_same) {
  for (const char* value : {"", "pcie=1", "0000:41:00,mapping=a40"}) {
    const auto parsed = parse_hostpci(value, 3);
    ASSERT_TRUE(parsed) << value;
    EXPECT_FALSE(parsed->names_device()) << value;
    EXPECT_EQ(print_hostpci(*parsed), value);
    EXPECT_EQ(parsed->key(), "hostpci3");
  }
}

TEST(HostPci, keys_of_a_newer_release_stay) {
  EXPECT_EQ(canonical("zeta=1,0000:41:00,colour=red,pcie=1"), "0000:41:00,colour=red,pcie=1,zeta=1");
  EXPECT_NE(canonical("0000:41:00,colour=red"), canonical("0000:41:00"));
  EXPECT_EQ(parse_guest_config("hostpci0: 0000:41:00,colour=red\n").hostpci.size(), 1u) << "the guest has the device";
}

TEST(GuestOption, pending_changes_are_the_next_start) {
  const auto ask = [](std::string_view text, std::string_view key) {
    const GuestOption found = guest_option(parse_guest_sections(text), key);
    return fmt::format("{} > {}", found.now.value_or("-"), found.next.value_or("-"));
  };
  constexpr std::string_view text =
      "#hostpci9: a comment\nhostpci0: mapping=a\nhostpci1: mapping=b\nmachine: q35\n\n"
      "[PENDING]\ndelete: scsi1, !hostpci1\nhostpci2: mapping=d\nhostpci0: mapping=c\n\n[before]\nhostpci0: mapping=s\nhostpci3: "
      "mapping=s\n";
  EXPECT_EQ(ask(text, "hostpci0"), "mapping=a > mapping=c");
  EXPECT_EQ(ask(text, "hostpci1"), "mapping=b > -");
  EXPECT_EQ(ask(text, "hostpci2"), "- > mapping=d");
  EXPECT_EQ(ask(text, "hostpci3"), "- > -");
  EXPECT_EQ(ask(text, "hostpci9"), "- > -");
  EXPECT_EQ(ask(text, "machine"), "q35 > q35");
  EXPECT_EQ(ask("", "machine"), "- > -");
}

TEST(Sha1, of_fips_180_and_of_every_padding) {
  EXPECT_EQ(sha1_hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(sha1_hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1_hex(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(sha1_hex(std::string(55, 'x')), "cef734ba81a024479e09eb5a75b6ddae62e6abf1");
  EXPECT_EQ(sha1_hex(std::string(64, 'x')), "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163");
}

}  // namespace
}  // namespace pvegpu::text
