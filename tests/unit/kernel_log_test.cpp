// SPDX-License-Identifier: MIT
// Sentences of logs, as threads and recorded hosts have them.
#include "common/facts/kernel_log.hpp"

#include "common/base/strings.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

using gpu::find_in_log;
using gpu::Log;

std::string brief(Log log, std::string_view text) {
  std::string out;
  for (const auto& found : find_in_log(log, text)) out += fmt::format("{}{}@{}", out.empty() ? "" : " ", found.name, found.address);
  return out;
}

TEST(KernelLog, flavour_and_branch_with_the_card_of_the_line_before) {
  EXPECT_EQ(brief(Log::kernel,
                  "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.08  Wed Oct 29 23:15:11 UTC 2025\n"
                  "NVRM: The NVIDIA GPU 0000:02:00.0 (PCI ID: 10de:2c58)\n"
                  "               NVRM: installed in this system requires use of the NVIDIA open kernel modules.\n"
                  "NVRM: GPU 0000:02:00.0: RmInitAdapter failed! (0x22:0x56:884)\n"
                  "NVRM: GPU 0000:02:00.0: rm_init_adapter failed, device minor number 0\n"),
            "open_modules_required@0000:02:00.0 initialisation_failed@0000:02:00.0");
  EXPECT_EQ(brief(Log::kernel,
                  "[   14.2] NVRM: The NVIDIA GPU 0000:42:00.0 (PCI ID: 10de:2bb5) installed in this system requires use of the NVIDIA "
                  "open kernel modules.\n"),
            "open_modules_required@0000:42:00.0");
  EXPECT_EQ(brief(Log::kernel,
                  "[ 1157.046099] NVRM: The NVIDIA GPU 0000:af:00.0 (PCI ID: 10de:1db5)\n"
                  "               NVRM: installed in this system is not supported by open\n"
                  "               NVRM: nvidia.ko because it does not include the required GPU\n"
                  "               NVRM: System Processor (GSP).\n"),
            "proprietary_modules_required@0000:af:00.0");
  EXPECT_EQ(brief(Log::kernel,
                  "[   12.100001] NVRM: The NVIDIA GPU 0000:01:00.0 (PCI ID: 10de:15f8)\n"
                  "[   12.100002] NVRM: installed in this system is supported through the NVIDIA 580.xx Legacy drivers.\n"),
            "legacy_branch@0000:01:00.0");
  EXPECT_EQ(brief(Log::kernel,
                  "NVRM: The NVIDIA GPU 0000:01:00.0 (PCI ID: 10de:25a0)\n              NVRM: installed in this system is not supported by "
                  "the\n              NVRM: NVIDIA 520.56.06 driver release.\n"),
            "driver_without_board@0000:01:00.0");
}

TEST(KernelLog, the_card_may_come_after_what_failed) {
  EXPECT_EQ(brief(Log::kernel,
                  "NVRM: GPU6 _kgspBootGspRm: unexpected WPR2 already up, cannot proceed with booting GSP\n"
                  "NVRM: GPU6 _kgspBootGspRm: (the GPU is likely in a bad state and may need to be reset)\n"
                  "NVRM: GPU6 RmInitAdapter: Cannot initialize GSP firmware RM\n"
                  "NVRM: GPU 0000:a1:00.0: RmInitAdapter failed! (0x62:0x40:2168)\n"),
            "wpr2_already_up@0000:a1:00.0 gsp_failed@0000:a1:00.0 initialisation_failed@0000:a1:00.0");
  const auto found = find_in_log(Log::kernel, "NVRM: _kgspBootGspRm: unexpected WPR2 already up, cannot proceed with booting GSP\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].address, "");
  EXPECT_TRUE(found[0].concerns("0000:41:00.0"));
  EXPECT_STREQ(found[0].brought_by, "power_off");
}

TEST(KernelLog, each_card_once_with_its_last_line) {
  const auto found = find_in_log(Log::kernel,
                                 "NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x26:0x56:1)\n"
                                 "NVRM: GPU 0000:a1:00.0: RmInitAdapter failed! (0x26:0x56:2)\n"
                                 "NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x62:0x40:3)\n");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].line, "NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x62:0x40:3)");
  EXPECT_EQ(found[0].where, "journalctl -b -k");
  EXPECT_TRUE(found[0].concerns("0000:41:00.0"));
  EXPECT_FALSE(found[0].concerns("0000:a1:00.0"));
}

/// What the kernel said, and what is found in it.
const std::pair<const char*, const char*> kernel_lines[] = {
    {"NVRM: BAR1 is 0M @ 0x0 (PCI:0000:01:00.0)", "bar_unassigned@0000:01:00.0"},
    {"NVRM: Xid (PCI:0000:01:00): 79, pid=7992, GPU has fallen off the bus.", "fallen_off_the_bus@0000:01:00.0"},
    {"NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.", "fallen_off_the_bus@0000:01:00.0"},
    {"vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible", "inaccessible@0000:01:00.0"},
    {"nvidia 0000:01:00.0: can't change power state from D3cold to D0 (config space inaccessible)", "inaccessible@0000:01:00.0"},
    {"nvidia 0000:01:00.0: Direct firmware load for nvidia/515.43.04/gsp.bin failed with error -2", "gsp_firmware_missing@0000:01:00.0"},
    {"NVRM: The NVIDIA probe routine was not called for 1 device(s).", "held_by_driver@"},
    {"nvidia_vgpu_vfio: Unknown symbol vfio_pin_pages (err -2)", "module_of_other_kernel@"},
    {"nvidia: disagrees about version of symbol module_layout", "module_of_other_kernel@"},
    {"Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7", "unsigned_module@"},
    {"NVRM: API mismatch: the client has the version 570.148.08, but", "version_mismatch@"},
    {"nvidia 0000:41:00.0: not enough MMIO resources for SR-IOV", "vf_bar_unassigned@0000:41:00.0"},
    {"pci-pf-stub 0000:41:00.0: can't enable 32 VFs (bus 42 out of range of [bus 41])", "vf_bus_numbers@0000:41:00.0"},
    {"i915: unknown parameter 'max_vfs' ignored", "stock_module@"},
    {"i915 0000:00:02.0: [drm] GT0: GuC firmware i915/adlp_guc_70.bin: fetch failed -ENOENT", "intel_firmware_missing@0000:00:02.0"},
    {"i915 0000:00:02.0: [drm] *ERROR* GT0: GuC initialization failed -ETIMEDOUT", "intel_firmware_failed@0000:00:02.0"},
    {"vfio-pci 0000:07:00.0: DMAR: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your "
     "platform vendor.",
     "rmrr@0000:07:00.0"},
    {"vfio-pci 0000:0b:00.0: BAR 1: can't reserve [mem 0xd0000000-0xdfffffff 64bit pref]", "bar_held@0000:0b:00.0"},
    {"vfio-pci 0000:0b:00.0: not ready 65535ms after FLR; giving up", "reset_failed@0000:0b:00.0"},
    {"DMAR: [DMA Read NO_PASID] Request device [41:00.0] fault addr 0xbdf83000 [fault reason 0x06] PTE Read access is not set",
     "dma_fault@0000:41:00.0"},
    {"vfio-pci 0000:0b:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000f address=0x80 flags=0x0000]", "dma_fault@0000:0b:00.0"},
    {"vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param \"allow_unsafe_interrupts\"",
     "interrupt_remapping@"},
    {"[nvidia-vgpu-vfio] 00000000-0000-0000-0000-000000000101: VF FLR failed during close -25", "vf_stuck@"},
    {"NVRM: Failed to add vgpu create request: 0x56", "vgpu_refused@"},
    {"NVRM: GPU 0000:01:00.0 is already bound to nouveau.", "held_by_driver@0000:01:00.0"},
};

TEST(KernelLog, single_lines) {
  for (const auto& [line, expected] : kernel_lines) EXPECT_EQ(brief(Log::kernel, line), expected) << line;
}

TEST(KernelLog, a_healthy_start_says_nothing) {
  for (const char* sample : {"nvidia: module verification failed: signature and/or required key missing - tainting kernel",
                             "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  525.147.01  Wed Oct 11 10:20:43 UTC 2023",
                             "NVRM: GPU at 0000:01:00.0 has software scheduler DISABLED with policy BEST_EFFORT.",
                             "nvidia 0000:01:00.0: MDEV: Registered", "DMAR: Intel(R) Virtualization Technology for Directed I/O",
                             "DMAR: RMRR base: 0x00000079174000 end: 0x00000079176fff", "AMD-Vi: Interrupt remapping enabled",
                             "vfio-pci 0000:01:00.0: vgaarb: deactivate vga console", "i915 0000:00:02.0: Running in SR-IOV PF mode",
                             "i915 0000:00:02.0: Enabled 7 VFs", "vfio-pci 0000:0b:00.0: not ready 1023ms after FLR; waiting"})
    EXPECT_EQ(brief(Log::kernel, sample), "") << sample;
}

TEST(KernelLog, what_was_said_before_the_module_was_loaded_again_is_past) {
  const std::string said =
      "nvidia-nvlink: Nvlink Core is being initialized, major device number 234\n"
      "NVRM: The NVIDIA GPU 0000:42:00.0 (PCI ID: 10de:2bb5) installed in this system requires use of the NVIDIA open kernel modules.\n"
      "vfio-pci 0000:07:00.0: not ready 65535ms after FLR; giving up\n";
  EXPECT_EQ(brief(Log::kernel, said), "open_modules_required@0000:42:00.0 reset_failed@0000:07:00.0");
  EXPECT_EQ(brief(Log::kernel, said + "nvidia-nvlink: Unregistered Nvlink Core, major device number 234\n"
                                      "nvidia-nvlink: Nvlink Core is being initialized, major device number 234\n"),
            "reset_failed@0000:07:00.0");
  const std::string failed = "error: vmiop_env_log: Failed to initialize RM client: 0x26\n";
  EXPECT_EQ(brief(Log::vgpu_manager, failed + "Starting NVIDIA vGPU Manager Daemon...\n"), "");
  EXPECT_EQ(brief(Log::vgpu_manager, "Starting nvidia-vgpu-mgr.service - NVIDIA vGPU Manager Daemon...\n" + failed), "rm_client@");
}

TEST(KernelLog, daemons) {
  EXPECT_EQ(brief(Log::vgpu_manager, "error: vmiop_env_log: Failed to initialize RM client: 0x26\n"), "rm_client@");
  EXPECT_EQ(brief(Log::vgpu_manager,
                  "error: vmiop_log: (0x0): Incompatible Guest/Host drivers: Guest VGX version is older than the minimum version supported "
                  "by the Host. Disabling vGPU.\n"),
            "guest_driver@");
  EXPECT_EQ(brief(Log::vgpu_daemon,
                  "pciId of gpu [0]: 0:82:0:0\nGPU not supported by vGPU at PCI Id: 0:82:0:0 DevID: 0x10de / 0x1b39 / 0x10de / 0x1217\n"
                  "error: failed to send vGPU configuration info to RM: 6\n"),
            "board_refused@0000:82:00.0 types_refused@");
  EXPECT_EQ(brief(Log::kernel, "Failed to initialize RM client: 0x26\n"), "");
  EXPECT_EQ(brief(Log::vgpu_manager, "notice: vmiop_env_log: nvidia-vgpu-mgr daemon started\n"), "");
}

TEST(KernelLog, addresses_in_lines) {
  EXPECT_EQ(gpu::address_in_line("nvidia 0000:C1:00.0: x"), "0000:c1:00.0");
  EXPECT_EQ(gpu::address_in_line("GPU 00000000:41:00.0"), "0000:41:00.0");
  EXPECT_EQ(gpu::address_in_line("nvidia 10000:e1:00.0: a VMD's domain"), "10000:e1:00.0");
  EXPECT_EQ(gpu::address_in_line("(PCI:0000:01:00): 79"), "0000:01:00.0");
  EXPECT_EQ(gpu::address_in_line("Request device [03:1f.7] fault"), "0000:03:1f.7");
  EXPECT_EQ(gpu::address_in_line("Wed Oct 29 23:15:11 UTC 2025"), "");
  EXPECT_EQ(gpu::address_in_line("mac 52:54:00:12:34:56"), "");
  EXPECT_EQ(gpu::address_in_line("IPv6 2001:db8:00:00.0"), "");
  EXPECT_EQ(gpu::address_in_line(""), "");
}

/// What a journal that knows only this line answers to the query; nullopt: its pattern leaves the line out.
bool asked_for(std::string_view line) {
  const Query query = Query::kernel_log();
  for (const std::string& word : query.argv()) {
    if (!word.starts_with("--grep=")) continue;
    for (const std::string& part : text::split(word.substr(7), '|'))
      if (text::contains(text::lower(line), part)) return true;
  }
  return false;
}

TEST(KernelLog, the_query_asks_for_every_sentence) {
  for (const auto& [line, name] : kernel_lines) EXPECT_TRUE(asked_for(line)) << name;
  EXPECT_TRUE(asked_for("NVRM: installed in this system requires use of the NVIDIA open kernel modules."));
  EXPECT_FALSE(asked_for("vmbr0: port 2(tap100i0) entered forwarding state"));
}

TEST(KernelLog, unknown_with_the_reason) {
  FakeHost host;
  const auto ask = [&](CommandResult answer) {
    host.answer("journalctl --dmesg", [=](const FakeHost&, const std::vector<std::string>&) { return answer; });
    Reader reader(host);
    const auto found = gpu::read_log(reader, Log::kernel);
    return found ? fmt::format("{} found", found->size()) : reader.unreadable().at(0).path + ": " + reader.unreadable().at(0).why;
  };
  EXPECT_EQ(ask({1, false, "", ""}), "0 found");  // nothing matches
  EXPECT_EQ(ask({0, false, "-- No entries --\n", ""}), "0 found");
  EXPECT_EQ(ask({0, false, "NVRM: BAR1 is 0M @ 0x0 (PCI:0000:01:00.0)\n", ""}), "1 found");
  EXPECT_EQ(ask({1, false, "", "Compiled without pattern matching support\n"}),
            "journalctl -b -k: Compiled without pattern matching support");
  EXPECT_EQ(ask({0, true, "", ""}), "journalctl -b -k: journalctl did not answer in time");
  host.user(1000);
  EXPECT_EQ(ask({1, false, "", ""}), "journalctl -b -k: only root may read it");
  Reader reader(host);
  EXPECT_FALSE(gpu::read_log(reader, Log::vgpu_manager));
  EXPECT_EQ(reader.unreadable().at(0).path, "journalctl -b -u nvidia-vgpu-mgr");
}

}  // namespace
}  // namespace pvegpu
