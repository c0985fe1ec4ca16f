// SPDX-License-Identifier: MIT
// The version of Proxmox VE, and what EFI variables hold.
#include "common/text/efi_variable.hpp"
#include "common/text/pve_version.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

using std::string_literals::operator""s;

TEST(Pvecfg, the_version_and_not_its_relatives) {
  const auto found = parse_pvecfg(
      "package PVE::pvecfg;\n\nsub package {\n    return 'pve-manager';\n}\n\nsub version_text {\n    return '1/x';\n}\n\n"
      "sub version {\n    return '7.4-3';\n}\n\nsub release {\n    return '7.4';\n}\n1;\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, "7.4-3");
  EXPECT_EQ(found->major, 7);
}

TEST(Pvecfg, nothing_without_one) {
  EXPECT_FALSE(parse_pvecfg(""));
  EXPECT_FALSE(parse_pvecfg("sub version {\n    return $version;\n}\nsub release { return '8'; }"));
  EXPECT_FALSE(parse_pvecfg("sub version {\n    return 'eight';\n}"));
  EXPECT_FALSE(parse_pvecfg("sub version {\n    return '8.4"));
}

TEST(EfiVariable, secure_boot_and_boot_current) {
  EXPECT_EQ(efi_byte("\x06\0\0\0\x01"s), 1u);
  EXPECT_EQ(efi_byte("\x06\0\0\0\0"s), 0u);
  EXPECT_FALSE(efi_byte("\x06\0\0\0"s));
  EXPECT_EQ(efi_u16("\x06\0\0\0\x03\x01"s), 0x103u);
  EXPECT_FALSE(efi_u16("\x06\0\0\0\x03"s));
}

TEST(EfiVariable, text_is_utf16) {
  EXPECT_EQ(efi_text("\x06\0\0\0s\0d\0-\0b\0\0\0"s), "sd-b");
  EXPECT_EQ(efi_text("\x06\0\0\0s\0\x3c\x26"s), "s?");
  EXPECT_EQ(efi_text("\x06\0"s), "");
}

/// A Boot#### variable: active, a description, a hard drive node, a file node, the end.
std::string load_option(const std::string& file) {
  std::string path;
  for (const char c : file + '\0') path += std::string{c, '\0'};
  const std::string drive = "\x04\x01\x08\0abcd"s;
  const std::string node = "\x04\x04"s + static_cast<char>(path.size() + 4) + '\0' + path;
  return "\x07\0\0\0\x01\0\0\0"s + static_cast<char>(drive.size() + node.size() + 4) + '\0' + "p\0v\0e\0\0\0"s + drive + node +
         "\x7f\xff\x04\0"s;
}

TEST(EfiVariable, the_file_that_a_boot_entry_starts) {
  EXPECT_EQ(efi_boot_file(load_option("\\EFI\\systemd\\systemd-bootx64.efi")), "\\EFI\\systemd\\systemd-bootx64.efi");
  EXPECT_EQ(efi_boot_file(load_option("\\EFI\\proxmox\\shimx64.efi")), "\\EFI\\proxmox\\shimx64.efi");
}

TEST(EfiVariable, torn_boot_entries_name_no_file) {
  const std::string whole = load_option("\\EFI\\proxmox\\grubx64.efi");
  for (std::size_t size = 0; size + 4 < whole.size(); ++size) EXPECT_EQ(efi_boot_file(std::string_view(whole).substr(0, size)), "") << size;
}

}  // namespace
}  // namespace pvegpu::text
