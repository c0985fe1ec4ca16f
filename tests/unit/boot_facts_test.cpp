// SPDX-License-Identifier: MIT
// Which boot loader a host has, and what Secure Boot says: every combination that Proxmox VE installs, and torn ones.
#include "common/host/boot_facts.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

using std::string_literals::operator""s;

constexpr const char* efivars = "/sys/firmware/efi/efivars/";
constexpr const char* global = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";

FakeHost host(const std::string& cmdline, bool efi, bool proxmox_boot_tool) {
  FakeHost out;
  out.file("/proc/cmdline", cmdline + "\n");
  if (efi) out.file(efivars + "SecureBoot"s + global, "\x06\0\0\0\0"s);
  if (proxmox_boot_tool) out.file("/etc/kernel/proxmox-boot-uuids", "5C1A-2B3D\n6D2B-3C4E\n");
  return out;
}

BootFacts facts_of(const FakeHost& host) {
  Reader reader(host);
  return read_boot_facts(reader);
}

std::string utf16(const std::string& text) {
  std::string out;
  for (const char c : text + '\0') out += std::string{c, '\0'};
  return out;
}

std::string boot_entry(const std::string& file) {
  const std::string path = utf16(file);
  return "\x07\0\0\0\x01\0\0\0\0\0"s + utf16("proxmox") + "\x04\x04"s + static_cast<char>(path.size() + 4) + '\0' + path +
         "\x7f\xff\x04\0"s;
}

TEST(BootFacts, the_loader_is_what_booted) {
  const std::string grub = "BOOT_IMAGE=/boot/vmlinuz-6.8.12-4-pve root=/dev/mapper/pve-root ro quiet";
  const std::string systemd_boot = "initrd=\\EFI\\proxmox\\6.8.12-4-pve\\initrd.img-6.8.12-4-pve root=ZFS=rpool/ROOT/pve-1 boot=zfs";
  EXPECT_EQ(facts_of(host(grub, false, false)).loader, LoaderKind::grub);
  EXPECT_EQ(facts_of(host(grub, true, false)).loader, LoaderKind::grub);
  EXPECT_EQ(facts_of(host(grub, true, true)).loader, LoaderKind::grub_pbt) << "ZFS with Secure Boot";
  EXPECT_EQ(facts_of(host(grub, false, true)).loader, LoaderKind::grub_pbt) << "ZFS with a BIOS";
  EXPECT_EQ(facts_of(host(systemd_boot, true, true)).loader, LoaderKind::systemd_boot);
  EXPECT_EQ(facts_of(host(systemd_boot + " BOOT_IMAGE=/vmlinuz", true, true)).loader, LoaderKind::systemd_boot)
      << "copied from a boot with GRUB into /etc/kernel/cmdline";
}

TEST(BootFacts, etc_kernel_cmdline_proves_nothing) {
  FakeHost tree = host("quiet", true, false);
  tree.file("/etc/kernel/cmdline", "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n");
  EXPECT_EQ(facts_of(tree).loader, LoaderKind::unknown);
}

TEST(BootFacts, the_firmware_is_asked_where_the_command_line_is_silent) {
  FakeHost info = host("quiet", true, true);
  info.file(efivars + "LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"s, "\x06\0\0\0"s + utf16("systemd-boot 252.30-1~deb12u2"));
  EXPECT_EQ(facts_of(info).loader, LoaderKind::systemd_boot);
  for (const char* file : {"\\EFI\\proxmox\\grubx64.efi", "\\EFI\\proxmox\\shimx64.efi"}) {
    FakeHost entry = host("quiet", true, true);
    entry.file(efivars + "BootCurrent"s + global, "\x06\0\0\0\x0a\0"s).file(efivars + "Boot000A"s + global, boot_entry(file));
    const BootFacts facts = facts_of(entry);
    EXPECT_EQ(facts.loader, LoaderKind::grub_pbt) << file;
    EXPECT_EQ(facts.loader_evidence.back(), fmt::format("the firmware started {} (Boot000A)", file));
  }
}

TEST(BootFacts, what_proxmox_boot_tool_would_do_comes_last) {
  EXPECT_EQ(facts_of(host("quiet", false, true)).loader, LoaderKind::grub_pbt);
  EXPECT_EQ(facts_of(host("quiet", true, true)).loader, LoaderKind::unknown);
  FakeHost secure = host("quiet", true, true);
  secure.file(efivars + "SecureBoot"s + global, "\x06\0\0\0\x01"s);
  EXPECT_EQ(facts_of(secure).loader, LoaderKind::grub_pbt);
  FakeHost configured = host("quiet", true, false);
  configured.file("/boot/grub/grub.cfg", "");
  EXPECT_EQ(facts_of(configured).loader, LoaderKind::grub);
}

TEST(BootFacts, secure_boot_is_known_or_said_to_be_unknown) {
  EXPECT_EQ(facts_of(host("", false, false)).secure_boot, false) << "a BIOS has none";
  EXPECT_EQ(facts_of(host("", true, false)).secure_boot, false);
  FakeHost without = host("", true, false);
  without.gone(efivars + "SecureBoot"s + global).file(efivars + "Timeout"s + global, "\x07\0\0\0\x05\0"s);
  EXPECT_EQ(facts_of(without).secure_boot, false) << "this firmware has none";

  FakeHost unmounted = host("", true, false);
  unmounted.gone(efivars + "SecureBoot"s + global);
  Reader reader(unmounted);
  EXPECT_FALSE(read_boot_facts(reader).secure_boot);
  ASSERT_EQ(reader.unreadable().size(), 1u);
  EXPECT_EQ(reader.unreadable()[0].what, "Secure Boot");

  FakeHost forbidden = host("", true, false);
  forbidden.file(efivars + "SecureBoot"s + global, "\x06\0\0\0\x01"s, 0600).user(1000);
  Reader stranger(forbidden);
  EXPECT_FALSE(read_boot_facts(stranger).secure_boot);
  ASSERT_EQ(stranger.unreadable().size(), 1u);
  EXPECT_EQ(stranger.unreadable()[0].why, "Permission denied");
}

TEST(BootFacts, lockdown) {
  FakeHost locked = host("", false, false);
  locked.file("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  EXPECT_EQ(facts_of(locked).lockdown, "integrity");
  EXPECT_FALSE(facts_of(host("", false, false)).lockdown);
}

}  // namespace
}  // namespace pvegpu
