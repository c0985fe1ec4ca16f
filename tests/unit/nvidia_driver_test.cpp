// SPDX-License-Identifier: MIT
#include "common/driver/nvidia.hpp"

#include "common/host/real_host.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace pvegpu::driver {
namespace {

using Kind = NvidiaFile::Kind;

TEST(NvidiaFileName, says_what_it_is) {
  const auto kind = [](const char* path) { return parse_nvidia_file(path).kind; };
  EXPECT_EQ(parse_nvidia_file("/root/NVIDIA-Linux-x86_64-535.161.05-vgpu-kvm.run").version, "535.161.05");
  EXPECT_EQ(kind("/root/NVIDIA-Linux-x86_64-535.161.05-vgpu-kvm.run"), Kind::host);
  EXPECT_EQ(kind("NVIDIA-Linux-x86_64-535.161.05-vgpu-kvm-custom.run"), Kind::patched_host);
  EXPECT_EQ(kind("NVIDIA-Linux-x86_64-535.161.08-grid.run"), Kind::guest);
  EXPECT_EQ(kind("NVIDIA-Linux-x86_64-550.163.01.run"), Kind::plain);
  EXPECT_EQ(kind("nvidia-vgpu-ubuntu-535_535.161.05_amd64.deb"), Kind::package);
  EXPECT_EQ(kind("NVIDIA-GRID-Linux-KVM-535.161.05-535.161.08-538.33.zip"), Kind::archive);
  EXPECT_EQ(kind("driver.run"), Kind::other);
  EXPECT_EQ(kind("NVIDIA-Linux-x86_64--vgpu-kvm.run"), Kind::other);
  EXPECT_EQ(kind("NVIDIA-Linux-x86_64-535.161.-vgpu-kvm.run"), Kind::other);
  EXPECT_EQ(kind(""), Kind::other);
  EXPECT_EQ(why_not_host_driver(parse_nvidia_file("NVIDIA-Linux-x86_64-470.82-vgpu-kvm.run"), ""), "");
  EXPECT_NE(why_not_host_driver(parse_nvidia_file("x-grid.run"), "x-grid.run"), "");
}

catalogue::Board board(std::string_view architecture, bool open_only = false) {
  catalogue::Board out;
  out.name = architecture;
  out.architecture = architecture;
  out.open_modules_only = open_only;
  return out;
}

TEST(Flavours, options_are_those_of_the_version) {
  const auto options = [](Flavour flavour, const char* version, std::vector<catalogue::Board> boards) {
    const auto needed = needed_flavour(flavour, version, boards);
    return needed ? fmt::format("{}", fmt::join(flavour_options(*needed, version), " ")) : "error";
  };
  const auto pascal = board("Pascal"), ampere = board("Ampere"), blackwell = board("Blackwell", true);
  EXPECT_EQ(options(Flavour::automatic, "535.216.01", {pascal}), "-m=kernel");
  EXPECT_EQ(options(Flavour::automatic, "470.82", {ampere}), "");
  EXPECT_EQ(options(Flavour::open, "470.82", {ampere}), "error");
  EXPECT_EQ(options(Flavour::automatic, "570.172.07", {ampere}), "");
  EXPECT_EQ(options(Flavour::automatic, "580.65.05", {blackwell}), "--kernel-module-type=open");
  EXPECT_EQ(options(Flavour::proprietary, "580.65.05", {ampere}), "--kernel-module-type=proprietary");
  EXPECT_EQ(options(Flavour::open, "550.163.02", {ampere}), "-m=kernel-open");
  EXPECT_EQ(options(Flavour::open, "535.216.01", {pascal}), "error");
  EXPECT_EQ(options(Flavour::proprietary, "580.65.05", {blackwell}), "error");
  EXPECT_EQ(options(Flavour::automatic, "580.65.05", {pascal, blackwell}), "error");
}

TEST(Flavours, what_is_built_is_told_by_the_licence_and_else_by_what_runs) {
  FakeHost host;
  const std::string kernel = "6.8.12-4-pve", file = "/lib/modules/6.8.12-4-pve/updates/dkms/nvidia.ko";
  host.release(kernel).dir("/lib/modules/" + kernel);
  EXPECT_EQ(built_flavour(host, kernel), Flavour::automatic);
  EXPECT_EQ(running_flavour(host), Flavour::automatic);
  host.file(file, "version=580.65.05\nlicense=NVIDIA\n");
  EXPECT_EQ(built_flavour(host, kernel), Flavour::proprietary);
  host.file(file, "version=580.65.05\nlicense=Dual MIT/GPL\n");
  EXPECT_EQ(built_flavour(host, kernel), Flavour::open);
  // What runs is of another installation than the file.
  host.file("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.05  Release Build\n");
  host.file("/sys/module/nvidia/version", "580.65.05\n");
  EXPECT_EQ(running_flavour(host), Flavour::proprietary);
  EXPECT_EQ(built_flavour(host, kernel), Flavour::open);
  host.file(file, "version=580.65.05\n");
  EXPECT_EQ(built_flavour(host, kernel), Flavour::proprietary);
  host.file(file, "version=580.105.06\n");
  EXPECT_EQ(built_flavour(host, kernel), Flavour::automatic);
  host.file("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.05  Release Build\n");
  EXPECT_EQ(running_flavour(host), Flavour::open);
}

TEST(Flavours, one_that_is_not_known_is_not_wrong) {
  EXPECT_EQ(wrong_flavour(Flavour::open, Flavour::proprietary), " (proprietary kernel modules)");
  EXPECT_EQ(wrong_flavour(Flavour::proprietary, Flavour::open), " (open kernel modules)");
  for (const Flavour any : {Flavour::automatic, Flavour::open, Flavour::proprietary}) {
    EXPECT_EQ(wrong_flavour(any, Flavour::automatic), "");
    EXPECT_EQ(wrong_flavour(Flavour::automatic, any), "");
    EXPECT_EQ(wrong_flavour(any, any), "");
  }
}

TEST(TellingLines, are_few_and_say_why) {
  const auto lines = telling_lines(
      "make[1]: Entering directory '/usr/src/linux-headers-6.14.11-5-pve'\n  CC [M]  nvidia/nv.o\n"
      "nvidia/nv.c:30:10: fatal error: nv-firmware.h: No such file or directory\ncompilation terminated.\n"
      "make[3]: *** [scripts/Makefile.build:243: nvidia/nv.o] Error 1\n");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], "nvidia/nv.c:30:10: fatal error: nv-firmware.h: No such file or directory");
  EXPECT_TRUE(telling_lines("all is well\n").empty());
  EXPECT_EQ(telling_lines("ERROR: a\nERROR: a\nERROR: b\nERROR: c\n", 2), (std::vector<std::string>{"ERROR: a", "ERROR: b"}));
}

TEST(TellingLines, keep_what_names_the_cause_and_drop_what_every_host_says) {
  // NVIDIA's installer, as threads quote it
  const char* log =
      "ERROR: Unable to load the kernel module 'nvidia.ko'.  This happens most frequently when this kernel module was built against the "
      "wrong "
      "or improperly configured kernel sources.  Please see the log entries 'Kernel module load error' and 'Kernel messages'.\n"
      "-> Kernel module load error: No such device\n-> Kernel messages:\n"
      "   [   12.1] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.08  Wed Oct 29 23:15:11 UTC 2025\n"
      "   [   12.2] NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:\n   [   12.2] NVRM: BAR1 is 0M @ 0x0 "
      "(PCI:0000:01:00.0)\n"
      "   [   12.3] nvidia_vgpu_vfio: Unknown symbol vfio_pin_pages (err -2)\n"
      "WARNING: Unable to find a suitable destination to install 32-bit compatibility libraries.\n"
      "ERROR: Installation has failed.  Please see the file '/var/log/nvidia-installer.log' for details.\n";
  EXPECT_EQ(telling_lines(log),
            (std::vector<std::string>{"ERROR: Unable to load the kernel module 'nvidia.ko'.", "-> Kernel module load error: No such device",
                                      "[   12.2] NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:",
                                      "[   12.2] NVRM: BAR1 is 0M @ 0x0 (PCI:0000:01:00.0)",
                                      "[   12.3] nvidia_vgpu_vfio: Unknown symbol vfio_pin_pages (err -2)"}));
  EXPECT_EQ(telling_lines(log, 3),
            (std::vector<std::string>{"[   12.2] NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:",
                                      "[   12.2] NVRM: BAR1 is 0M @ 0x0 (PCI:0000:01:00.0)",
                                      "[   12.3] nvidia_vgpu_vfio: Unknown symbol vfio_pin_pages (err -2)"}));
  EXPECT_EQ(telling_lines("/bin/sh: 1: cc: not found\n"), std::vector<std::string>{"/bin/sh: 1: cc: not found"});
}

TEST(HeadersPackage, is_named_by_release_and_series) {
  EXPECT_EQ(headers_package("5.15.158-2-pve", 7), "pve-headers-5.15.158-2-pve");
  EXPECT_EQ(headers_package("6.2.16-20-pve", 8), "pve-headers-6.2.16-20-pve");
  EXPECT_EQ(headers_package("6.8.12-9-pve", 8), "proxmox-headers-6.8.12-9-pve");
}

TEST(GuestVersions, own_branch_the_one_before_and_the_lts_before_an_lts) {
  const auto branches = [](const char* version) {
    std::vector<unsigned> out;
    for (const GuestDriver& entry : guest_versions(version))
      if (out.empty() || out.back() != entry.branch) out.push_back(entry.branch);
    return out;
  };
  EXPECT_EQ(branches("550.163.02"), (std::vector<unsigned>{17, 16}));
  EXPECT_EQ(branches("535.216.01"), (std::vector<unsigned>{16, 15, 13}));
  EXPECT_TRUE(branches("999.1").empty());
}

Result<std::string> sample(const std::string& name) {
  const char* shared = std::getenv("PVE_GPU_SHARED");
  return RealHost().read_file((shared ? std::string(shared) : std::string(PVE_GPU_SOURCE_DIR "/../shared")) + "/domain/samples/services/" +
                              name);
}

TEST(TellingLines, of_recorded_installations) {
  const auto failures = sample("installer_failures.txt"), success = sample("installer_output_535.54.06.txt");
  if (!failures || !success) GTEST_SKIP() << "no recordings; set PVE_GPU_SHARED to the folder that holds domain/samples";
  const auto lines = telling_lines(*failures);
  ASSERT_EQ(lines.size(), 6U) << "each recorded line is one that says why";
  EXPECT_TRUE(lines[0].find("Nouveau is loaded") != std::string::npos);
  EXPECT_EQ(lines[2], "-> Kernel module load error: No such file or directory");
  EXPECT_EQ(lines[5], "nvidia/nv.c:30:10: fatal error: nv-firmware.h: No such file or directory");
  EXPECT_TRUE(telling_lines(*success).empty());
}

TEST(VgpuDaemon, names_the_cards_that_it_refuses) {
  EXPECT_EQ(cards_refused_by_vgpud("pciId of gpu [0]: 0:82:0:0\nGPU not supported by vGPU at PCI Id: 0:82:0:0 DevID: 0x10de / 0x1b39\n"),
            (std::vector<std::string>{"0000:82:00.0"}));
  EXPECT_TRUE(cards_refused_by_vgpud("GPU not supported by vGPU at PCI Id: \nGPU not supported by vGPU at PCI Id: 1:2\n").empty());
  const auto recorded = sample("nvidia-vgpud_failed_unsupported_gpu_510.txt");
  if (!recorded) GTEST_SKIP() << "no recordings; set PVE_GPU_SHARED to the folder that holds domain/samples";
  EXPECT_EQ(cards_refused_by_vgpud(*recorded), (std::vector<std::string>{"0000:82:00.0"}));
}

}  // namespace
}  // namespace pvegpu::driver
