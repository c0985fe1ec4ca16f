// SPDX-License-Identifier: MIT
// The state of a card as PCI and NVIDIA's driver show it, on trees with the few files that a case is about.
#include "common/base/strings.hpp"
#include "common/facts/nvidia_state.hpp"
#include "tests/laws/fake_host.hpp"
#include "tests/unit/sysfs_tree.hpp"
#include "tests/unit/temporary_directory.hpp"

namespace pvegpu {
namespace {

using gpu::CardState;

constexpr const char* address = "0000:41:00.0";

gpu::Gpu card(std::uint16_t vendor = 0x10de) {
  gpu::Gpu out;
  out.address = address;
  out.ids.vendor = vendor;
  return out;
}

/// Lines of `resource`: those given, then empty ones, 13 in all.
std::string resource(const std::vector<std::string>& first) {
  std::string out;
  for (std::size_t i = 0; i < 13; ++i)
    out += (i < first.size() && !first[i].empty() ? first[i] : "0x0000000000000000 0x0000000000000000 0x0000000000000000") + "\n";
  return out;
}

std::string config(const std::vector<std::pair<unsigned, std::uint32_t>>& registers) {
  std::string out(64, '\0');
  out.replace(0, 4, std::string("\xde\x10\x35\x22", 4));
  for (const auto& [at, value] : registers)
    for (unsigned i = 0; i < 4; ++i) out[at + i] = static_cast<char>(value >> (8 * i));
  return out;
}

class CardStateTest : public testing::Test {
 public:
  CardStateTest() : directory_(tree_.function(address, "10de", "2235", "0302")) {
    file("config", config({})).file("resource", resource({}));
  }

  CardStateTest& file(const std::string& name, const std::string& bytes) {
    tree_.file(directory_ + "/" + name, bytes);
    return *this;
  }
  CardState state() {
    const RealHost host(tree_.root());
    Reader reader(host);
    CardState out = gpu::read_card_state(reader, card());
    unreadable_ = reader.unreadable();
    return out;
  }
  static std::vector<std::string> names(const std::vector<const gpu::Bar*>& bars) {
    std::vector<std::string> out;
    for (const gpu::Bar* bar : bars) out.push_back(bar->name());
    return out;
  }

  SysfsTree tree_;
  std::string directory_;
  std::vector<Unreadable> unreadable_;
};

const std::string bar0 = "0x00000000b8000000 0x00000000b8ffffff 0x0000000000040200";
const std::string bar1 = "0x0000200000000000 0x0000200fffffffff 0x000000000014220c";
const std::string io = "0x0000000000003000 0x000000000000307f 0x0000000000040101";

TEST_F(CardStateTest, windows_with_addresses_are_told_with_their_sizes) {
  file("resource", resource({bar0, bar1, "", "0x0000201000000000 0x0000201001ffffff 0x000000000014220c", "", io, "0x0 0x0 0x46200"}));
  const CardState seen = state();
  ASSERT_TRUE(seen.bars);
  ASSERT_EQ(seen.bars->size(), 4u);
  EXPECT_EQ(seen.bar(0)->size, 16u << 20);
  EXPECT_EQ(seen.bar(1)->size, std::uint64_t{64} << 30);
  EXPECT_EQ(seen.bar(1)->start, 0x200000000000u);
  EXPECT_TRUE(seen.bar(5)->io);
  EXPECT_EQ(seen.bar(2), nullptr);
  EXPECT_TRUE(seen.unassigned().empty());
  EXPECT_EQ(seen.bar1_resizable, false);
}

TEST_F(CardStateTest, a_window_without_an_address_is_told_with_its_line) {
  file("resource", resource({bar0, "0x0000000000000000 0x0000000000000000 0x000000000014220c"}));
  const CardState seen = state();
  EXPECT_EQ(names(seen.unassigned()), std::vector<std::string>{"BAR 1"});
  EXPECT_EQ(seen.unassigned()[0]->evidence.str(),
            "/sys/bus/pci/devices/0000:41:00.0/resource line 2: 0x0000000000000000 0x0000000000000000 0x000000000014220c");
}

TEST_F(CardStateTest, the_kernel_marks_a_window_that_found_no_room) {
  file("resource", resource({bar0, "0x0000000000000000 0x0000000fffffffff 0x000000002014220c"}));
  const CardState seen = state();
  EXPECT_EQ(names(seen.unassigned()), std::vector<std::string>{"BAR 1"});
  EXPECT_EQ(seen.bar(1)->size, std::uint64_t{64} << 30);
}

TEST_F(CardStateTest, rom_and_ports_without_an_address_harm_nobody) {
  file("resource", resource({bar0, bar1, "", "", "", "0x0000000000000000 0x000000000000007f 0x0000000000040101",
                             "0x0000000000000000 0x000000000007ffff 0x0000000000046200"}));
  EXPECT_TRUE(state().unassigned().empty());
}

TEST_F(CardStateTest, windows_of_vfs_are_told_apart) {
  file("resource", resource({bar0, bar1, "", "", "", "", "", "0x00000000b9000000 0x00000000b97fffff 0x0000000000040200",
                             "0x0000000000000000 0x0000000fffffffff 0x000000002014220c"}));
  const CardState seen = state();
  EXPECT_TRUE(seen.unassigned().empty());
  EXPECT_EQ(names(seen.unassigned_of_vfs()), std::vector<std::string>{"VF BAR 1"});
}

TEST_F(CardStateTest, a_window_that_the_kernel_forgot_stands_in_its_register) {
  // 64 bits and prefetchable, no address; the place after it is its upper half
  file("resource", resource({bar0})).file("config", config({{0x10, 0xb8000000}, {0x14, 0x0000000c}, {0x18, 0x0000000c}}));
  const CardState seen = state();
  EXPECT_EQ(names(seen.unassigned()), std::vector<std::string>{"BAR 1"});
  EXPECT_TRUE(text::contains(seen.unassigned()[0]->evidence.value, "0x0000000c"));
}

TEST_F(CardStateTest, a_line_that_is_none_makes_the_windows_unknown) {
  file("resource", "0x0 0x0\n");
  const CardState seen = state();
  EXPECT_FALSE(seen.bars);
  EXPECT_FALSE(seen.bar1_resizable);
  EXPECT_TRUE(seen.unassigned().empty());
  ASSERT_EQ(unreadable_.size(), 1u);
  EXPECT_EQ(unreadable_[0].why, "line 1: '0x0 0x0' is not start, end and flags");
}

TEST_F(CardStateTest, a_resizable_window_is_told) {
  file("resource", resource({bar0, bar1})).file("resource1_resize", "00000000000fffc0\n");
  EXPECT_EQ(state().bar1_resizable, true);
}

TEST_F(CardStateTest, a_card_that_is_gone_reads_ff) {
  EXPECT_EQ(state().gone, false);
  file("config", std::string(64, '\xff')).file("power_state", "D3cold\n");
  const CardState seen = state();
  EXPECT_EQ(seen.gone, true);
  EXPECT_EQ(seen.config.str(), "/sys/bus/pci/devices/0000:41:00.0/config: ff ff ff ff …");
  EXPECT_EQ(seen.power_state, "D3cold");
}

TEST_F(CardStateTest, ids_of_ff_alone_are_no_card_that_is_gone) {
  std::string vf = config({});
  vf.replace(0, 4, std::string(4, '\xff'));
  file("config", vf);
  EXPECT_EQ(state().gone, false);
}

TEST_F(CardStateTest, reset_methods_are_unknown_where_a_kernel_does_not_tell_them) {
  EXPECT_FALSE(state().reset_methods);
  file("power_state", "D0\n");
  EXPECT_EQ(state().reset_methods, std::vector<std::string>());  // 6.5: the file is only there where a method is
  file("reset_method", "flr bus\n");
  EXPECT_EQ(state().reset_methods, (std::vector<std::string>{"flr", "bus"}));
  tree_.file("proc/sys/kernel/osrelease", "5.13.19-6-pve\n");
  std::filesystem::remove(tree_.root() + "/" + directory_ + "/reset_method");
  EXPECT_FALSE(state().reset_methods);
}

class Framebuffer : public CardStateTest {
 protected:
  gpu::FirmwareFramebuffer look(const std::string& iomem, const std::string& kernel = "6.8.12-9-pve",
                                const std::string& cmdline = "quiet") {
    tree_.file("proc/iomem", iomem).file("proc/sys/kernel/osrelease", kernel + "\n").file("proc/cmdline", cmdline + "\n");
    const RealHost host(tree_.root());
    Reader reader(host);
    auto out = gpu::framebuffer_in(gpu::read_firmware_console(reader, read_boot_facts(reader)), card());
    unreadable_ = reader.unreadable();
    return out;
  }
};

const std::string in_card =
    "00000000-00000fff : Reserved\n"
    "d0000000-dfffffff : PCI Bus 0000:40\n"
    "  d0000000-dfffffff : 0000:41:00.0\n"
    "    d0000000-d07e8fff : BOOTFB\n"
    "      d0000000-d07e8fff : simplefb\n";

TEST_F(Framebuffer, in_the_card) {
  const auto seen = look(in_card);
  EXPECT_EQ(seen.in_card, true);
  EXPECT_EQ(seen.evidence.str(), "/proc/iomem line 4: d0000000-d07e8fff : BOOTFB");
  EXPECT_EQ(seen.parameter, "initcall_blacklist=sysfb_init");
  EXPECT_FALSE(seen.given);
}

TEST_F(Framebuffer, nesting_tells_without_addresses) {
  EXPECT_EQ(look("00000000-00000000 : PCI Bus 0000:40\n  00000000-00000000 : 0000:41:00.0\n    00000000-00000000 : efifb\n").in_card, true);
  EXPECT_EQ(look("00000000-00000000 : PCI Bus 0000:00\n  00000000-00000000 : 0000:00:02.0\n    00000000-00000000 : efifb\n").in_card,
            false);
  EXPECT_FALSE(look("00000000-00000000 : PCI Bus 0000:00\n  00000000-00000000 : BOOTFB\n").in_card);
  ASSERT_EQ(unreadable_.size(), 1u);
  EXPECT_EQ(unreadable_[0].why, "it shows addresses to root only");
}

TEST_F(Framebuffer, in_another_card_or_none) {
  EXPECT_EQ(look("e0000000-efffffff : 0000:00:02.0\n  e0000000-e07e8fff : BOOTFB\nd0000000-dfffffff : 0000:41:00.0\n").in_card, false);
  EXPECT_EQ(look("d0000000-dfffffff : 0000:41:00.0\n  d0000000-dfffffff : vfio-pci\n").in_card, false);
}

TEST_F(Framebuffer, beside_the_window_that_it_lies_in) {
  EXPECT_EQ(look("d0000000-dfffffff : 0000:41:00.0\nd0000000-d07e8fff : BOOTFB\n").in_card, true);
}

TEST_F(Framebuffer, the_parameter_is_the_kernels) {
  EXPECT_EQ(look(in_card, "5.15.158-2-pve").parameter, "initcall_blacklist=sysfb_init");
  const std::string efifb = "d0000000-dfffffff : 0000:41:00.0\n  d0000000-d07e8fff : efifb\n";
  EXPECT_EQ(look(efifb, "5.13.19-6-pve").parameter, "video=efifb:off");
  EXPECT_TRUE(look(efifb, "5.13.19-6-pve", "quiet video=efifb:off").given);
  EXPECT_FALSE(look(efifb, "5.13.19-6-pve", "quiet video=vesafb:off,efifb:off").given);  // one option, for vesafb
  EXPECT_TRUE(look(in_card, "6.8.12-9-pve", "initcall_blacklist=acpi_cpufreq_init,sysfb_init").given);
  EXPECT_FALSE(look(in_card, "6.8.12-9-pve", "quiet video=efifb:off").given);
}

TEST_F(Framebuffer, no_file_is_unknown) {
  const RealHost host(tree_.root());
  Reader reader(host);
  EXPECT_FALSE(gpu::framebuffer_in(gpu::read_firmware_console(reader, {}), card()).in_card);
}

TEST_F(CardStateTest, direct_regions_are_those_that_cannot_be_relaxed) {
  tree_.file("sys/kernel/iommu_groups/9/reserved_regions",
             "0x00000000bdf83000 0x00000000bdf84fff direct\n0x00000000c0000000 0x00000000c0ffffff direct-relaxable\n"
             "0x00000000fee00000 0x00000000feefffff msi\n");
  const RealHost host(tree_.root());
  Reader reader(host);
  gpu::Gpu gpu = card();
  EXPECT_FALSE(gpu::read_direct_regions(reader, gpu));
  gpu.iommu_group = 9;
  const auto regions = gpu::read_direct_regions(reader, gpu);
  ASSERT_TRUE(regions);
  ASSERT_EQ(regions->size(), 1u);
  EXPECT_EQ((*regions)[0].str(), "/sys/kernel/iommu_groups/9/reserved_regions line 1: 0x00000000bdf83000 0x00000000bdf84fff direct");
}

TEST_F(CardStateTest, direct_regions_of_groups_whose_devices_nobody_knows) {
  tree_.file("sys/kernel/iommu_groups/1/reserved_regions", "0x00000000bdf83000 0x00000000bdf84fff direct\n");
  tree_.file("sys/kernel/iommu_groups/9/reserved_regions", "0x00000000bdf85000 0x00000000bdf86fff direct\n");
  tree_.file("sys/kernel/iommu_groups/10/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
  const RealHost host(tree_.root());
  Reader reader(host);
  const auto regions = gpu::read_host_direct_regions(reader);
  ASSERT_TRUE(regions);
  ASSERT_EQ(regions->size(), 2u);
  EXPECT_EQ((*regions)[0].group, 1);
  EXPECT_TRUE((*regions)[0].has_devices);  // the card is in it
  EXPECT_EQ((*regions)[1].group, 9);
  EXPECT_FALSE((*regions)[1].has_devices);
}

TEST(NvSwitches, are_bridges_of_nvidia_that_are_no_mainboards) {
  const std::vector<PciDevice> devices = {{"0000:05:00.0", 0x10de, 0x22a3, 0x0680},
                                          {"0000:06:00.0", 0x10de, 0x1af1, 0x0680},
                                          {"0000:00:08.0", 0x10de, 0x0373, 0x0680},  // MCP55 Ethernet
                                          {"0000:07:00.0", 0x10de, 0x2330, 0x0302},
                                          {"0000:08:00.0", 0x8086, 0x22a3, 0x0680}};
  const auto found = gpu::nvswitches(devices);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].address, "0000:05:00.0");
}

/// Written so that no trigraph is in it.
const std::string no_uuid =
    "GPU-" + std::string(8, '?') + "-" + std::string(4, '?') + "-" + std::string(4, '?') + "-" + std::string(12, '?');

class NvidiaStateTest : public CardStateTest {
 protected:
  void information(const std::string& uuid, const std::string& minor) {
    tree_.file(std::string("proc/driver/nvidia/gpus/") + address + "/information",
               "Model: \t\t NVIDIA A100\nIRQ:   \t\t 100\nGPU UUID: \t " + uuid +
                   "\nVideo BIOS: \t ?"
                   "?.?"
                   "?\nDevice Minor: \t " +
                   minor + "\n");
  }
  gpu::NvidiaState look() {
    const RealHost host(tree_.root());
    Reader reader(host);
    return gpu::read_nvidia_state(reader, card());
  }
};

TEST_F(NvidiaStateTest, a_gpu_that_has_not_answered_has_no_uuid) {
  EXPECT_FALSE(look().initialised);
  information("GPU-3ba9a4a5-5a0c-4b0e-8a63-6f0e6a3f9f5f", "2");
  EXPECT_EQ(look().initialised, true);  // whatever its BIOS reads
  EXPECT_EQ(look().minor, 2u);
  information(no_uuid, "2");
  const auto seen = look();
  EXPECT_EQ(seen.initialised, false);
  EXPECT_EQ(seen.information.str(), "/proc/driver/nvidia/gpus/0000:41:00.0/information: GPU UUID: " + no_uuid);
}

TEST_F(NvidiaStateTest, gpu_instances_are_those_of_its_minor_number) {
  information("GPU-3ba9a4a5-5a0c-4b0e-8a63-6f0e6a3f9f5f", "2");
  EXPECT_FALSE(look().gpu_instances);
  tree_.file("proc/driver/nvidia/capabilities/gpu0/mig/gi7/access", "");
  tree_.file("proc/driver/nvidia/capabilities/gpu2/mig/config", "DeviceFileMinor: 1\n");
  EXPECT_EQ(look().gpu_instances, std::vector<unsigned>());
  EXPECT_EQ(look().capabilities.str(), "/proc/driver/nvidia/capabilities/gpu2/mig: no GPU instance");
  tree_.file("proc/driver/nvidia/capabilities/gpu2/mig/gi10/access", "").file("proc/driver/nvidia/capabilities/gpu2/mig/gi9/access", "");
  EXPECT_EQ(look().gpu_instances, (std::vector<unsigned>{9, 10}));
}

std::string smi(const std::string& mig, const std::string& pending, const std::string& mixed) {
  return "GPU 00000000:41:00.0\n    MIG Mode\n        Current                           : " + mig +
         "\n        Pending                           : " + pending +
         "\n    GPU Operation Mode\n        Current                           : N/A\n        Pending                           : N/A\n"
         "    GPU Virtualization Mode\n        Virtualization Mode               : Host VGPU\n"
         "        Host VGPU Mode                    : SR-IOV\n" +
         (mixed.empty() ? "" : "        vGPU Heterogeneous Mode           : " + mixed + "\n");
}

TEST(NvidiaModes, as_nvidia_smi_prints_them) {
  auto modes = gpu::parse_nvidia_modes(smi("Enabled", "Enabled", "Disabled"), address);
  EXPECT_EQ(modes.mig.on, true);
  EXPECT_EQ(modes.mig.pending, "");
  EXPECT_EQ(modes.mixed_size.on, false);
  EXPECT_EQ(modes.mig.evidence.str(), "nvidia-smi -q -i 0000:41:00.0: MIG Mode: Current: Enabled");
  modes = gpu::parse_nvidia_modes(smi("Disabled", "Enabled", "Enabled"), address);
  EXPECT_EQ(modes.mig.on, false);
  EXPECT_EQ(modes.mig.pending, "Enabled");
  EXPECT_EQ(modes.mixed_size.on, true);
  modes = gpu::parse_nvidia_modes(smi("N/A", "N/A", ""), address);  // an L40S with 535
  EXPECT_EQ(modes.mig.on, false);
  EXPECT_EQ(modes.mig.pending, "");
  EXPECT_EQ(modes.mixed_size.on, false);
  modes = gpu::parse_nvidia_modes(smi("[Unknown Error]", "N/A", "Requested functionality has been deprecated"), address);
  EXPECT_FALSE(modes.mig.on);
  EXPECT_EQ(modes.mig.unknown, "nvidia-smi says 'MIG Mode: Current: [Unknown Error]'");
  EXPECT_FALSE(modes.mixed_size.on);
  EXPECT_FALSE(gpu::parse_nvidia_modes("No devices were found\n", address).mig.on);
  EXPECT_FALSE(gpu::parse_nvidia_modes("No devices were found\n", address).mixed_size.on);
}

TEST(NvidiaModes, unknown_with_the_reason) {
  FakeHost host;
  gpu::Gpu gpu = card();
  EXPECT_EQ(gpu::ask_nvidia_modes(host, gpu).mig.unknown, "the card has not the driver nvidia");
  gpu.driver = "nvidia";
  EXPECT_FALSE(gpu::ask_nvidia_modes(host, gpu).mig.unknown.empty());  // there is no such program
  host.answer("nvidia-smi -q -i", [](const FakeHost&, const std::vector<std::string>&) {
    return CommandResult{6, false, "No devices were found\n", ""};
  });
  EXPECT_EQ(gpu::ask_nvidia_modes(host, gpu).mixed_size.unknown, "nvidia-smi: No devices were found");
  host.answer("nvidia-smi -q -i", [](const FakeHost&, const std::vector<std::string>&) {
    return CommandResult{0, false, smi("Enabled", "Enabled", "N/A"), ""};
  });
  EXPECT_EQ(gpu::ask_nvidia_modes(host, gpu).mig.on, true);
}

TEST(NvidiaModes, another_size_beside_a_running_vgpu_proves_mixed_sizes) {
  gpu::Gpu gpu = card();
  gpu.sriov.vfs = {{"0000:41:00.4", "nvidia", {}, {}, 1519u, "DC-3Q"}, {"0000:41:00.5", "nvidia", {}, {}, 0u, ""}};
  gpu.vgpu_types = {{"nvidia-1519", "DC-3Q", 3072, 32, 31}, {"nvidia-1523", "DC-6Q", 6144, 16, 0, false}};
  EXPECT_FALSE(gpu::mixed_size_by_types(gpu).on);
  gpu.vgpu_types[1].listed = true;
  gpu.vgpu_types[1].available = 8;
  EXPECT_EQ(gpu::mixed_size_by_types(gpu).on, true);
  gpu.sriov.vfs[0].vgpu_type.clear();
  EXPECT_FALSE(gpu::mixed_size_by_types(gpu).on);
}

TEST_F(CardStateTest, vf_by_vf) {
  tree_.link(directory_ + "/driver", "../../../bus/pci/drivers/nvidia");
  const auto vfs = tree_.vfs(address, "2235", 3, "nvidia");
  tree_.file(vfs[0] + "/nvidia/creatable_vgpu_types", "ID    : vGPU Name\n557   : NVIDIA A40-1Q\n558   : NVIDIA A40-2Q\n");
  tree_.file(vfs[1] + "/nvidia/creatable_vgpu_types", "ID    : vGPU Name\n");
  tree_.link(vfs[2] + "/driver", "../../../bus/pci/drivers/vfio-pci");
  gpu::Gpu gpu = card();
  for (const char* vf : {"0000:41:00.4", "0000:41:00.5", "0000:41:00.6"}) {
    gpu.sriov.vfs.emplace_back();
    gpu.sriov.vfs.back().address = vf;
  }
  const RealHost host(tree_.root());
  Reader reader(host);
  const auto seen = gpu::read_vf_states(reader, gpu);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].creatable, 2u);
  EXPECT_EQ(seen[1].creatable, 0u);
  EXPECT_FALSE(seen[2].creatable);
  EXPECT_FALSE(seen[2].nvidia_directory);
  EXPECT_EQ(seen[0].evidence.str(), "/sys/bus/pci/devices/0000:41:00.4: driver nvidia, 2 types can be made");
  EXPECT_EQ(seen[2].evidence.str(), "/sys/bus/pci/devices/0000:41:00.6: driver vfio-pci, neither nvidia/ nor mdev_supported_types/");
}

TEST(NvidiaModules, flavour_is_their_licence) {
  EXPECT_EQ(gpu::is_open_license("Dual MIT/GPL"), true);
  EXPECT_EQ(gpu::is_open_license("NVIDIA"), false);
  EXPECT_FALSE(gpu::is_open_license("GPL"));
  EXPECT_FALSE(gpu::is_open_license(""));
  FakeHost host;
  host.release("6.17.13-2-pve");
  host.file("/lib/modules/6.17.13-2-pve/updates/dkms/nvidia.ko", "version=580.105.06\nlicense=NVIDIA\n");
  Reader reader(host);
  const auto modules = gpu::read_nvidia_modules(reader, "6.17.13-2-pve");
  EXPECT_TRUE(modules.nvidia.available);
  EXPECT_EQ(modules.nvidia.open, false);
  EXPECT_EQ(modules.nvidia.evidence.str(), "/lib/modules/6.17.13-2-pve/updates/dkms/nvidia.ko: licence NVIDIA");
  EXPECT_FALSE(modules.vgpu_vfio.available);
  EXPECT_FALSE(gpu::read_nvidia_modules(reader, "5.15.1-pve").nvidia.available);
  EXPECT_TRUE(reader.unreadable().empty());
}

/// A described host's module files say it to libkmod as real ones do.
TEST(NvidiaModules, of_described_hosts) {
  for (const bool open : {false, true}) {
    const TemporaryDirectory directory;
    const std::string description = directory.path() + "/machine.yml", tree = directory.path() + "/tree", kernel = "6.17.13-2-pve";
    std::ofstream(description) << "release: 9\nkernel: " << kernel << "\nnvidia: {version: 580.105.06, open: " << (open ? "true" : "false")
                               << "}\nmodules:\n  nvidia: {version: 580.105.06, file: updates/dkms/nvidia.ko}\n";
    const std::string command =
        fmt::format("'{}' -B '{}/tests/rack/machine.py' '{}' '{}'", PVE_GPU_PYTHON, PVE_GPU_SOURCE_DIR, description, tree);
    ASSERT_EQ(std::system(command.c_str()), 0);
    const RealHost host(tree);
    Reader reader(host);
    const auto modules = gpu::read_nvidia_modules(reader, kernel);
    EXPECT_EQ(modules.nvidia.license, open ? "Dual MIT/GPL" : "NVIDIA");
    EXPECT_EQ(modules.nvidia.open, open);
    EXPECT_EQ(modules.nvidia.version, "580.105.06");
    EXPECT_FALSE(modules.vgpu_vfio.available);
    EXPECT_TRUE(reader.unreadable().empty());
  }
}

}  // namespace
}  // namespace pvegpu
