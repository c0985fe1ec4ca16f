// SPDX-License-Identifier: MIT
#include "common/guest/hostpci_rules.hpp"

#include "common/cluster/vm.hpp"
#include "common/guest/hostpci_memory.hpp"
#include "common/guest/mdev_choice.hpp"
#include "common/base/sha1.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::gpu {
namespace {

using catalogue::MajorMinor;

std::string ask(std::string_view value, std::string_view guest, MajorMinor pve = {9, 1}, unsigned slot = 0) {
  return why_not(*text::parse_hostpci(value, slot), text::parse_guest_sections(guest), 201, pve);
}

#define EXPECT_SAYS(text_, part) EXPECT_TRUE(text::contains(text_, part)) << (text_)

TEST(HostPciRules, by_release) {
  EXPECT_EQ(ask("mapping=a40", "", {8, 0}), "");
  EXPECT_SAYS(ask("mapping=a40", "", {7, 4}), "came with Proxmox VE 8.0");
  EXPECT_EQ(ask("41:00,driver=keep", "", {9, 1}), "");
  EXPECT_SAYS(ask("41:00,driver=keep", "", {9, 0}), "came with Proxmox VE 9.1");
  EXPECT_EQ(ask("41:00,vendor-id=0x10de", "", {7, 2}), "");
  EXPECT_SAYS(ask("41:00,sub-device-id=0x10de", "", {7, 1}), "came with Proxmox VE 7.2");
}

TEST(HostPciRules, pcie_needs_q35_at_the_next_start) {
  EXPECT_EQ(ask("41:00,pcie=1", "machine: pc-q35-8.1\n"), "");
  EXPECT_SAYS(ask("41:00,pcie=1", ""), "needs the machine type q35");
  EXPECT_SAYS(ask("41:00,pcie=1", "machine: q35\n\n[PENDING]\nmachine: pc\n"), "has pc");
  EXPECT_EQ(ask("41:00,pcie=1", "machine: pc\n\n[PENDING]\nmachine: q35\n"), "");
}

TEST(HostPciRules, legacy_igd) {
  EXPECT_EQ(ask("00:02.0,legacy-igd=1", "vga: none\n"), "");
  EXPECT_SAYS(ask("00:02.0,legacy-igd=1", ""), "--vga none");
  EXPECT_SAYS(ask("00:02.0,legacy-igd=1", "vga: none\nmachine: q35\n"), "i440fx");
  EXPECT_SAYS(ask("00:02.0,legacy-igd=1,rombar=0", "vga: none\n"), "rombar");
  EXPECT_SAYS(ask("00:02.0,legacy-igd=1,x-vga=1", "vga: none\n"), "x_vga");
  EXPECT_SAYS(ask("00:02.0,legacy-igd=1,mdev=i915-GVTg_V5_4", "vga: none\n"), "mdev");
  EXPECT_SAYS(ask("00:02.0,legacy-igd=1", "vga: none\nhostpci3: 03:00,legacy-igd=1\n"), "hostpci3");
}

TEST(HostPciMemory, what_others_had_is_remembered_through_our_changes) {
  HostPciMemory memory = remember(std::nullopt, "41:00.0", "mapping=a");
  EXPECT_EQ(memory.before, "41:00.0");
  memory = remember(memory, "mapping=a,pcie=0", "mapping=b");  // ours in another spelling
  EXPECT_EQ(memory.before, "41:00.0");
  EXPECT_TRUE(memory.wrote("mapping=a") && memory.wrote("x-vga=0,mapping=b"));
  EXPECT_FALSE(memory.wrote("mapping=c") || memory.wrote(std::nullopt));
  memory = remember(memory, "mapping=c", "mapping=b");  // others changed it
  EXPECT_EQ(memory.before, "mapping=c");
  memory = remember(memory, std::nullopt, "mapping=d");  // others took it away
  EXPECT_EQ(memory.before, std::nullopt);
}

TEST(HostPciMemory, is_noted) {
  for (const HostPciMemory& memory : {HostPciMemory{"41:00.0", {"mapping=a"}}, HostPciMemory{std::nullopt, {"mapping=b"}}}) {
    const auto read = hostpci_memory(to_json(memory));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->before, memory.before);
    EXPECT_EQ(read->ours, memory.ours);
  }
  EXPECT_FALSE(hostpci_memory(std::nullopt));
  EXPECT_FALSE(hostpci_memory(json{{"before", 3}}));
  EXPECT_NE(hostpci_note(201, 0).key, hostpci_note(20, 10).key);
}

constexpr const char* conf = "/etc/pve/nodes/pve1/qemu-server/201.conf";

TEST(SetVmOption, tries_again_while_others_write) {
  FakeHost host;
  host.file(conf, "name: a\n");
  int asked = 0;
  host.program("qm set", [&](FakeHost& world, const std::vector<std::string>& argv) {
    EXPECT_EQ(argv.back(), text::sha1_hex(world.bytes(conf)));
    if (++asked < 3) {
      world.file(conf, fmt::format("name: a{}\n", asked));
      return CommandResult{255, false, "", "checksum mismatch (file change by other user?)\n"};
    }
    world.file(conf, "hostpci0: mapping=a\nname: a\n");
    return CommandResult{};
  });
  EXPECT_TRUE(cluster::set_vm_option(host, conf, 201, "hostpci0", std::nullopt, "mapping=a"));
  EXPECT_EQ(asked, 3);
}

TEST(SetVmOption, gives_up_when_the_option_itself_was_changed_or_it_never_ends) {
  FakeHost host;
  host.file(conf, "name: a\n");
  int asked = 0;
  host.program("qm set", [&](FakeHost& world, const std::vector<std::string>&) {
    if (++asked == 1) world.file(conf, "hostpci0: mapping=b\nname: a\n");
    return CommandResult{255, false, "", "checksum mismatch (file change by other user?)\n"};
  });
  const auto changed = cluster::set_vm_option(host, conf, 201, "hostpci0", std::nullopt, "mapping=a");
  ASSERT_FALSE(changed);
  EXPECT_SAYS(changed.error().message, "somebody else changed hostpci0");
  EXPECT_EQ(asked, 1);
  const auto storm = cluster::set_vm_option(host, conf, 201, "hostpci0", "mapping=b", std::nullopt);
  ASSERT_FALSE(storm);
  EXPECT_SAYS(storm.error().message, "checksum mismatch");
  EXPECT_EQ(asked, 9);
}

Gpu p4(const std::string& address) {
  Gpu out;
  out.address = address;
  out.name = "Tesla P4";
  out.driver = "nvidia";
  out.framework = Framework::mdev;
  out.vgpu_types = {{.id = "nvidia-63", .name = "GRID P4-1Q"}, {.id = "i915-GVTg_V5_4", .name = ""}};
  return out;
}

std::vector<std::string> at(const char* address) { return {std::string("0000:") + address}; }

TEST(MdevChoice, by_name_and_by_id) {
  for (const char* wish : {"GRID P4-1Q", "grid p4-1q", "nvidia-63"})
    EXPECT_EQ(choose_mdev(wish, {at("41:00.0")}, {p4("0000:41:00.0")})->id, "nvidia-63");
  EXPECT_EQ(choose_mdev("i915-GVTg_V5_4", {at("41:00.0")}, {p4("0000:41:00.0")})->name, "i915-GVTg_V5_4");
  EXPECT_FALSE(choose_mdev("", {at("41:00.0")}, {p4("0000:41:00.0")}));
}

TEST(MdevChoice, one_card_of_the_mapping_is_enough_and_the_others_are_told) {
  const auto choice = choose_mdev("GRID P4-1Q", {at("41:00.0"), at("42:00.0")}, {p4("0000:41:00.0")});
  ASSERT_TRUE(choice);
  ASSERT_EQ(choice->warnings.size(), 1U);
  EXPECT_SAYS(choice->warnings[0], "there is no GPU at 0000:42:00.0");
}

TEST(MdevChoice, ids_that_differ_between_cards_are_no_choice) {
  Gpu other = p4("0000:42:00.0");
  other.vgpu_types[0].id = "nvidia-157";
  const auto choice = choose_mdev("GRID P4-1Q", {at("41:00.0"), at("42:00.0")}, {p4("0000:41:00.0"), other});
  ASSERT_FALSE(choice);
  EXPECT_SAYS(choice.error().message, "cards of one model");
}

TEST(MdevChoice, only_one_function) {
  const auto whole = choose_mdev("nvidia-63", {{"0000:41:00.0", "0000:41:00.1"}}, {p4("0000:41:00.0")});
  ASSERT_FALSE(whole);
  EXPECT_SAYS(whole.error().message, "one function only");
}

}  // namespace
}  // namespace pvegpu::gpu
