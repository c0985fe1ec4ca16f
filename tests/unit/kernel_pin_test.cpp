// SPDX-License-Identifier: MIT
// kernel_pin with a proxmox-boot-tool that behaves as the real one does (proxmox-kernel-helper 8.1.0 and 9.2.0), and all laws on it.
#include "common/core/registry.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/laws.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pvegpu {
namespace {

const std::string old_kernel = "6.5.13-6-pve", wanted = "6.8.12-4-pve", newest = "6.8.12-9-pve";
const std::string pin_file = "/etc/kernel/proxmox-boot-pin", next_file = "/etc/kernel/next-boot-pin";
const std::string dropin = "/etc/default/grub.d/proxmox-kernel-pin.cfg", menu = "/boot/grub/grub.cfg", loader_conf = "/esp/loader.conf";
const std::string apt_keep = "/etc/apt/apt.conf.d/76pveconf";
const std::string device = "2f1c7e1a-5a0b-4f0e-9d7e-6b1f0c9a7d35";

using Argv = std::vector<std::string>;

std::string first_line(const FakeHost& host, const std::string& path) {
  const auto lines = text::lines(host.read_file(path).value_or(""));
  return lines.empty() ? "" : lines[0];
}

std::string entry(const std::string& kernel) { return "gnulinux-advanced-" + device + ">gnulinux-" + kernel + "-advanced-" + device; }

/// grub-mkconfig, as far as the default entry goes.
CommandResult update_grub(FakeHost& host, const Argv&) {
  std::string fallback = "0", entries;
  for (const std::string& name : host.list_dir("/etc/default/grub.d").value_or({}))
    for (const std::string& line : text::lines(host.bytes("/etc/default/grub.d/" + name)))
      if (line.starts_with("GRUB_DEFAULT=\"")) fallback = line.substr(14, line.size() - 15);
  const bool flat = host.exists("/etc/default/grub.d/flat.cfg");
  for (const std::string& name : host.list_dir("/boot").value_or({}))
    if (name.starts_with("vmlinuz-"))
      entries += "\tmenuentry 'Proxmox VE' $menuentry_id_option 'gnulinux-" + name.substr(8) + "-advanced-" + device + "' {\n";
  host.file(menu, "if [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\nelse\n   set default=\"" + fallback + "\"\nfi\n" +
                      (flat ? "" : "submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-" + device + "' {\n") + entries);
  return {};
}

void set_grub_default(FakeHost& host, const std::string& kernel) {
  if (!kernel.empty())
    host.file(dropin, "GRUB_DEFAULT=\"" + entry(kernel) + "\"\n");
  else if (host.exists(dropin))
    host.gone(dropin);
}

CommandResult pin_kernel(FakeHost& host, const Argv& argv) {
  const std::string& kernel = argv.at(3);
  if (!host.exists("/boot/vmlinuz-" + kernel))
    return {1, false, "", "E: no kernel image found in /boot for '" + kernel + "', not setting default.\n"};
  host.file(argv.size() == 5 ? next_file : pin_file, kernel + "\n");
  if (host.exists("/etc/kernel/proxmox-boot-uuids")) return {};  // no terminal: no refresh
  const std::string next = first_line(host, next_file);
  set_grub_default(host, next.empty() ? kernel : next);
  return update_grub(host, {});
}

CommandResult unpin_kernel(FakeHost& host, const Argv& argv) {
  if (host.exists(next_file)) host.gone(next_file);
  if (argv.size() == 3 && host.exists(pin_file)) host.gone(pin_file);
  if (host.exists("/etc/kernel/proxmox-boot-uuids")) return {};
  set_grub_default(host, first_line(host, pin_file));
  return update_grub(host, {});
}

CommandResult refresh(FakeHost& host, const Argv&) {
  const std::string next = first_line(host, next_file), kernel = next.empty() ? first_line(host, pin_file) : next;
  host.file(apt_keep, first_line(host, pin_file) + "\n" + next + "\n");  // the hook proxmox-auto-removal
  if (!host.exists("/etc/kernel/proxmox-boot-uuids")) return {};
  if (host.exists("/esp/grub")) set_grub_default(host, kernel);
  host.file(loader_conf, "default proxmox-" + (kernel.empty() ? "*" : kernel + ".conf") + "\n");
  return {};
}

FakeHost bare() {
  FakeHost host;
  host.release(newest).dir("/var/lib").dir("/run").dir("/etc/default/grub.d").dir("/etc/kernel").dir("/boot/grub");
  for (const std::string& kernel : {old_kernel, wanted, newest})
    host.file("/boot/vmlinuz-" + kernel, "k").file("/boot/initrd.img-" + kernel, "i").dir("/lib/modules/" + kernel);
  host.file("/proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz-" + newest + " root=/dev/mapper/pve-root ro quiet\n");
  host.file("/usr/sbin/proxmox-boot-tool", "#!/bin/sh\n# kernel pin, kernel unpin\n", 0755);
  host.program("proxmox-boot-tool kernel pin", pin_kernel).program("proxmox-boot-tool kernel unpin", unpin_kernel);
  host.program("proxmox-boot-tool refresh", refresh).program("update-grub", update_grub);
  return host;
}
FakeHost grub_host() {
  FakeHost host = bare();
  update_grub(host, {});
  refresh(host, {});
  return host;
}
FakeHost esp_host() {
  FakeHost host = bare();
  host.file("/etc/kernel/proxmox-boot-uuids", "5C1A-2B3D\n").dir("/sys/firmware/efi");
  host.file("/proc/cmdline", "initrd=\\EFI\\proxmox\\" + newest + "\\initrd.img root=ZFS=rpool/ROOT/pve-1 boot=zfs\n");
  refresh(host, {});
  return host;
}
FakeHost pinned_by_hand(FakeHost host, const std::string& kernel, bool next_boot = false) {
  pin_kernel(host, next_boot ? Argv{"", "", "", kernel, "--next-boot"} : Argv{"", "", "", kernel});
  return host;
}

FakeHost refreshed(FakeHost host) {
  refresh(host, {});
  return host;
}

const Module& module_under_test() {
  for (const RegistryEntry& each : registry())
    if (std::string_view(each.name) == "kernel_pin") return each.module();
  throw std::runtime_error("no module kernel_pin");
}
json run(FakeHost& host, json args, RunMode mode = {.check = false, .diff = true}) {
  args["_ansible_check_mode"] = mode.check;
  args["_ansible_diff"] = mode.diff;
  return module_under_test().run(args, host);
}
json pin(FakeHost& host, bool next_boot = false) { return run(host.restart(), {{"kernel", wanted}, {"next_boot", next_boot}}); }
json unpin(FakeHost& host) { return run(host.restart(), {{"state", "absent"}}); }
std::string said(const json& answer) { return answer.value("msg", "") + dump_json(answer.value("warnings", json::array())); }

std::string menu_default(const FakeHost& host) {
  std::string out;
  for (const std::string& line : text::lines(host.bytes(menu)))
    if (text::contains(line, "set default=\"") && !text::contains(line, "$"))
      out = line.substr(line.find('"') + 1, line.rfind('"') - line.find('"') - 1);
  return out;
}

// --- the laws --------------------------------------------------------------------------------------------------------------------

void expect(const laws::Findings& findings) {
  for (std::size_t i = 0; i < findings.size() && i < 3; ++i) ADD_FAILURE() << findings[i];
}

void hold_all_laws(const std::function<FakeHost()>& world, const json& args, const json& undo) {
  const auto task = [](const json& with) { return [with](FakeHost& host, RunMode mode) { return run(host, with, mode); }; };
  const laws::Subject subject{"kernel_pin", world, task(args), task(undo)};
  for (const laws::Subject& each : {subject, laws::undoing(subject)}) {
    expect(laws::check_mode_has_no_effect(each));
    expect(laws::second_run_has_no_effect(each));
    expect(laws::check_predicts_run(each));
    expect(laws::converges_from_any_effect(each));
  }
  expect(laws::undo_restores(subject));
}

const json for_good{{"kernel", wanted}}, once{{"kernel", wanted}, {"next_boot", true}}, gone{{"state", "absent"}};

TEST(KernelPinLaws, grub) { hold_all_laws(grub_host, for_good, gone); }
TEST(KernelPinLaws, grub_pinned_by_others) {
  hold_all_laws([] { return refreshed(pinned_by_hand(grub_host(), old_kernel)); }, for_good, gone);
}
TEST(KernelPinLaws, grub_next_boot) { hold_all_laws(grub_host, once, gone); }
TEST(KernelPinLaws, grub_next_boot_over_a_pin_of_others) {
  hold_all_laws([] { return refreshed(pinned_by_hand(grub_host(), old_kernel)); }, once, gone);
}
TEST(KernelPinLaws, grub_next_boot_of_others) {
  hold_all_laws([] { return refreshed(pinned_by_hand(grub_host(), old_kernel, true)); }, for_good, gone);
}
TEST(KernelPinLaws, esp) { hold_all_laws(esp_host, for_good, gone); }
TEST(KernelPinLaws, esp_next_boot) { hold_all_laws(esp_host, once, gone); }
TEST(KernelPinLaws, esp_pinned_by_others) {
  hold_all_laws([] { return refreshed(pinned_by_hand(esp_host(), old_kernel)); }, for_good, gone);
}

// --- what the boot loader then does ------------------------------------------------------------------------------------------------

TEST(KernelPin, reaches_the_menu_of_grub_and_leaves_it_again) {
  FakeHost host = grub_host();
  const json answer = pin(host);
  EXPECT_FALSE(answer.value("failed", false)) << said(answer);
  EXPECT_EQ(menu_default(host), entry(wanted));
  EXPECT_EQ(host.bytes(pin_file), wanted + "\n");
  EXPECT_TRUE(answer["reboot_required"]);
  EXPECT_EQ(host.bytes(apt_keep), wanted + "\n\n") << "apt-get autoremove would take it away";
  unpin(host);
  EXPECT_EQ(menu_default(host), "0");
  EXPECT_FALSE(host.exists(dropin));
  EXPECT_EQ(host.bytes(apt_keep), "\n\n");
}

TEST(KernelPin, refreshes_the_partitions_which_the_tool_forgets) {
  FakeHost host = esp_host();
  pin(host);
  EXPECT_EQ(host.bytes(loader_conf), "default proxmox-" + wanted + ".conf\n");
  unpin(host);
  EXPECT_EQ(host.bytes(loader_conf), "default proxmox-*\n");
}

TEST(KernelPin, a_pin_of_others_comes_back_in_the_menu_too) {
  FakeHost host = pinned_by_hand(grub_host(), old_kernel);
  pin(host);
  EXPECT_EQ(menu_default(host), entry(wanted));
  unpin(host);
  EXPECT_EQ(host.bytes(pin_file), old_kernel + "\n");
  EXPECT_EQ(menu_default(host), entry(old_kernel));
}

TEST(KernelPin, next_boot_is_done_when_that_kernel_runs) {
  for (FakeHost host : {grub_host(), esp_host()}) {
    EXPECT_TRUE(pin(host, true)["changed"]);
    host.reboot().release(wanted);
    unpin_kernel(host, {"", "", "", "--next-boot"});  // proxmox-boot-cleanup.service
    refresh(host, {});
    const json again = pin(host, true);
    EXPECT_FALSE(again["changed"]) << dump_json(again);
    EXPECT_FALSE(again["reboot_required"]);
    EXPECT_FALSE(unpin(host).value("failed", false));
    EXPECT_FALSE(host.exists("/var/lib/pve-gpu"));
  }
}

TEST(KernelPin, next_boot_needs_nothing_where_that_kernel_is_pinned_for_good) {
  FakeHost host = pinned_by_hand(grub_host(), wanted);
  const json answer = pin(host, true);
  EXPECT_FALSE(answer["changed"]);
  EXPECT_TRUE(answer["reboot_required"]);
  EXPECT_FALSE(host.exists(next_file));
}

TEST(KernelPin, heals_what_others_broke) {
  FakeHost host = grub_host();
  pin(host);
  host.gone(dropin);
  update_grub(host, {});
  EXPECT_TRUE(pin(host)["changed"]);
  EXPECT_EQ(menu_default(host), entry(wanted));
  host.file(menu, "   set default=\"0\"\n");  // an old menu was put back
  EXPECT_TRUE(pin(host)["changed"]);
  EXPECT_EQ(menu_default(host), entry(wanted));
}

TEST(KernelPin, a_tool_that_dies_in_the_middle_leaves_no_stale_menu) {
  FakeHost host = grub_host();
  pin(host);
  host.program("proxmox-boot-tool kernel unpin", [](FakeHost& world, const Argv&) -> CommandResult {
    world.gone(dropin);
    throw Killed{};
  });
  EXPECT_THROW(unpin(host), Killed);
  EXPECT_EQ(menu_default(host), entry(wanted));
  unpin(host);
  EXPECT_EQ(menu_default(host), "0");
}

TEST(KernelPin, fails_where_grub_can_not_find_the_entry) {
  FakeHost host = bare();
  host.file("/etc/default/grub.d/flat.cfg", "GRUB_DISABLE_SUBMENU=y\n");
  update_grub(host, {});
  const json answer = pin(host);
  EXPECT_TRUE(answer.value("failed", false));
  EXPECT_TRUE(text::contains(said(answer), "an entry that is not there")) << said(answer);
}

TEST(KernelPin, fails_where_another_file_has_the_last_word) {
  FakeHost host = bare();
  host.file("/etc/default/grub.d/zz.cfg", "GRUB_DEFAULT=\"2\"\n");
  update_grub(host, {});
  const json answer = pin(host);
  EXPECT_TRUE(answer.value("failed", false));
  EXPECT_TRUE(text::contains(said(answer), "2 in /boot/grub/grub.cfg")) << said(answer);
}

TEST(KernelPin, refreshes_for_a_pin_of_others_that_grub_never_got) {
  FakeHost host = pinned_by_hand(esp_host(), wanted);
  host.dir("/esp/grub").file("/proc/cmdline", "BOOT_IMAGE=/vmlinuz-" + newest + " root=ZFS=rpool/ROOT/pve-1\n");
  const json answer = pin(host);
  EXPECT_TRUE(answer["changed"]) << dump_json(answer);
  EXPECT_EQ(host.bytes(loader_conf), "default proxmox-" + wanted + ".conf\n");
  EXPECT_FALSE(pin(host)["changed"]);
}

TEST(KernelPin, a_dropin_that_others_took_away_is_not_brought_back_by_absent) {
  FakeHost host = pinned_by_hand(grub_host(), old_kernel);
  host.gone(dropin);
  update_grub(host, {});
  EXPECT_FALSE(unpin(host)["changed"]);
  EXPECT_FALSE(host.exists(dropin));
}

TEST(KernelPin, does_not_hand_strange_names_to_anybody) {
  FakeHost host = grub_host();
  for (const char* name : {"", "-h", "../x", "6.8 12", "a;b", "6.8.12-4-pve\n", "..", "$(id)"}) {
    const json answer = run(host, {{"kernel", name}});
    EXPECT_TRUE(answer.value("failed", false)) << name;
    EXPECT_TRUE(host.effects().empty()) << name;
  }
}

}  // namespace
}  // namespace pvegpu
