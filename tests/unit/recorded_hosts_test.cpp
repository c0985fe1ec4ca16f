// SPDX-License-Identifier: MIT
// Recorded outputs and sysfs trees of real hosts: host_info says what these hosts really were. The recordings are not part of this
// repository: they are looked for beside it, or where PVE_GPU_SHARED points.
#include "common/base/strings.hpp"
#include "tests/unit/sysfs_tree.hpp"

namespace pvegpu {
namespace {

using gpu::Framework;

std::string samples() {
  const char* shared = std::getenv("PVE_GPU_SHARED");
  return (shared ? std::string(shared) : std::string(PVE_GPU_SOURCE_DIR "/../shared")) + "/domain/samples";
}

class RecordedHosts : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(samples()))
      GTEST_SKIP() << "no recordings in " << samples() << "; set PVE_GPU_SHARED to the folder that holds domain/samples";
  }
  static std::string read(const std::string& name) { return RealHost().read_file(samples() + "/" + name).or_fail("read a recording"); }
};

struct Type {
  std::string id, name, description;
  int available = 0;
};

/// `mdevctl types`: parents at the margin, types below them, values below these.
std::map<std::string, std::vector<Type>> mdevctl_types(const std::string& text) {
  std::map<std::string, std::vector<Type>> out;
  std::vector<Type>* types = nullptr;
  for (const std::string& line : text::lines(text)) {
    const std::string content = text::trim(line);
    const auto colon = content.find(": ");
    if (line.empty()) continue;
    if (line[0] != ' ') {
      types = &out[content];
    } else if (colon == content.npos) {
      if (!types) types = &out["(cut off)"];
      types->push_back({content, "", "", 0});
    } else {
      const std::string key = content.substr(0, colon), value = content.substr(colon + 2);
      if (key == "Available instances") types->back().available = std::stoi(value);
      if (key == "Name") types->back().name = value;
      if (key == "Description") types->back().description = value;
    }
  }
  return out;
}

void add(SysfsTree& tree, const std::string& parent, const std::vector<Type>& types) {
  for (const Type& type : types) tree.mdev_type(parent, type.id, type.name, type.available, type.description);
}

TEST_F(RecordedHosts, a2_vf_with_three_4_gb_instances_on_other_vfs) {
  SysfsTree tree;
  tree.nvidia("525.105.14", {"0000:08:00.0"});
  tree.function("0000:08:00.0", "10de", "25b6", "0302", "nvidia", "157e");
  const auto vfs = tree.vfs("0000:08:00.0", "25b6", 16, "nvidia");
  ASSERT_TRUE(vfs[11].ends_with("0000:08:01.7")) << "offset 4, stride 1";
  tree.copy(samples() + "/sysfs_a2_vf_mdev/mdev_supported_types", vfs[11] + "/mdev_supported_types");
  tree.copy(samples() + "/sysfs_a2_vf_mdev/uevent", vfs[11] + "/uevent");
  tree.mdev(vfs[0], "11111111-aaaa-4aaa-8aaa-000000000001", "nvidia-754");
  tree.mdev(vfs[1], "11111111-aaaa-4aaa-8aaa-000000000002", "nvidia-746");
  tree.mdev(vfs[2], "11111111-aaaa-4aaa-8aaa-000000000003", "nvidia-751");
  const Looked seen(tree);
  const gpu::Gpu& card = seen.only();
  EXPECT_EQ(card.name, "A2");
  EXPECT_EQ(card.vgpu_class(), catalogue::VgpuClass::sriov);
  EXPECT_EQ(card.framework, Framework::mdev_on_vfs);
  EXPECT_EQ(card.sriov.vfs.size(), 16u);
  EXPECT_EQ(card.vgpu_types.size(), 15u);
  EXPECT_FALSE(card.unlocked);
  EXPECT_EQ(card.mdevs.size(), 3u);
  EXPECT_EQ(card.sriov.vfs[1].vgpu_type, "NVIDIA A2-4Q");
  for (const gpu::VgpuType& type : card.vgpu_types)
    EXPECT_EQ(type.available, type.framebuffer_mb == 4096 ? 1 : 0) << type.name << ": one 4 GB instance is left, of whichever series";
  EXPECT_TRUE(seen.technologies().nvidia_sriov_mdev.ready);
  EXPECT_FALSE(seen.technologies().nvidia_mdev.possible);
  EXPECT_TRUE(card.problems.empty());
}

TEST_F(RecordedHosts, p4_that_is_full) {
  const auto hosts = mdevctl_types(read("mdevctl_types/tesla_p4_525.105.14_all_zero.txt"));
  SysfsTree tree;
  tree.nvidia("525.105.14", {"0000:01:00.0"});
  add(tree, tree.function("0000:01:00.0", "10de", "1bb3", "0302", "nvidia", "11d8"), hosts.at("0000:01:00.0"));
  const Looked seen(tree);
  EXPECT_EQ(seen.only().name, "Tesla P4");
  EXPECT_EQ(seen.only().vgpu_class(), catalogue::VgpuClass::classic);
  EXPECT_EQ(seen.only().framework, Framework::mdev);
  EXPECT_EQ(seen.only().vgpu_types.size(), hosts.at("0000:01:00.0").size());
  EXPECT_EQ(seen.available("GRID P4-1Q"), 0);
  EXPECT_TRUE(seen.technologies().nvidia_mdev.ready) << "no free instance is no sign of a missing driver";
  const auto& lines = seen.document.resources;
  ASSERT_FALSE(lines.empty());
  for (const gpu::Resource& line : lines)
    EXPECT_TRUE(line.visible_by_type && line.assignable && line.free == 0 && line.count > 0) << line.vgpu_type;
}

std::vector<Type> short_list(const std::string& text) {
  std::vector<Type> out;
  for (const std::string& line : text::lines(text)) {
    const auto comma = line.find(", "), space = line.rfind(' ');  // names hold spaces
    if (comma != line.npos)
      out.push_back({line.substr(0, comma), line.substr(comma + 2, space - comma - 2), "", std::stoi(line.substr(space))});
  }
  return out;
}

TEST_F(RecordedHosts, a40_whose_first_vf_owns_an_instance) {
  SysfsTree tree;
  tree.nvidia("550.163.02", {"0000:e8:00.0"});
  tree.function("0000:e8:00.0", "10de", "2235", "0302", "nvidia", "145a");
  const auto vfs = tree.vfs("0000:e8:00.0", "2235", 32, "nvidia");
  EXPECT_TRUE(vfs[31].ends_with("0000:e8:04.3"));
  std::string listed;
  for (const std::string& dir : vfs) listed += dir.substr(dir.rfind('/') + 1) + " ";
  for (const std::string& recorded : text::words(read("sriov_manage/ls_mdev_bus_a40_32vf.txt")))
    EXPECT_TRUE(text::contains(listed, recorded + " ")) << recorded;
  add(tree, vfs[0], short_list(read("mdevctl_types/a40_same_vf_after_create_550.163.02.txt")));
  const std::vector<Type> fresh = short_list(read("mdevctl_types/a40_vf_before_create_550.163.02.txt"));
  {
    add(tree, vfs[1], fresh);
    tree.mdev(vfs[0], "11111111-aaaa-4aaa-8aaa-000000000001", "nvidia-566");
    const Looked seen(tree);
    EXPECT_EQ(seen.only().vgpu_types.size(), fresh.size());
    EXPECT_EQ(seen.only().sriov.vfs[0].vgpu_type, "NVIDIA A40-48Q");
    // The second VF's recording is of a fresh card, so its yes is taken for one: the first VF's zeros would deny it.
    EXPECT_EQ(seen.available("NVIDIA A40-48Q"), 1);
    EXPECT_TRUE(seen.technologies().nvidia_sriov_mdev.ready);
  }
}

TEST_F(RecordedHosts, m60_with_types_of_510) {
  SysfsTree tree;
  tree.nvidia("510.47.03", {"0000:3d:00.0"});
  const std::string card = tree.function("0000:3d:00.0", "10de", "13f2", "0300", "nvidia", "113a");
  for (const std::string& line : text::lines(read("mdevctl_types/m60_sysfs_types_510.txt"))) {
    const auto description = line.find(" --- description: "), name = line.find(" --- name: ");
    tree.mdev_type(card, line.substr(11, description - 11), line.substr(name + 11), 1,
                   line.substr(description + 18, name - description - 18));
  }
  const Looked seen(tree);
  EXPECT_EQ(seen.only().name, "Tesla M60");
  EXPECT_EQ(seen.only().vgpu_class(), catalogue::VgpuClass::classic);
  EXPECT_EQ(seen.only().vgpu_types.size(), 14u);
  EXPECT_FALSE(seen.only().unlocked);
  for (const gpu::VgpuType& type : seen.only().vgpu_types) EXPECT_TRUE(type.framebuffer_mb && type.max_instances) << type.name;
  EXPECT_TRUE(seen.technologies().nvidia_mdev.ready);
}

TEST_F(RecordedHosts, a6000_that_shows_its_types_on_the_card) {
  const auto hosts = mdevctl_types(read("mdevctl_types/rtxa6000_16q_indent_variant.txt"));
  SysfsTree tree;
  tree.nvidia("470.82", {"0000:01:00.0"});
  add(tree, tree.function("0000:01:00.0", "10de", "2230", "0302", "nvidia", "1459"), hosts.at("0000:01:00.0"));
  const Looked seen(tree);
  EXPECT_EQ(seen.only().name, "RTX A6000");
  EXPECT_EQ(seen.only().vgpu_class(), catalogue::VgpuClass::sriov_display_off);
  EXPECT_EQ(seen.only().framework, Framework::mdev) << "by looking, not by generation";
  EXPECT_TRUE(seen.technologies().nvidia_mdev.possible);
  EXPECT_EQ(seen.available("NVIDIA RTXA6000-16Q"), 3);
}

TEST_F(RecordedHosts, v100_with_two_instances_of_others) {
  SysfsTree tree;
  tree.nvidia("470.68", {"0000:41:00.0"});
  const std::string card = tree.function("0000:41:00.0", "10de", "1db4", "0302", "nvidia", "1214");
  add(tree, card, mdevctl_types(read("mdevctl_types/v100_8c_excerpt_two_running.txt")).at("(cut off)"));
  for (const std::string& line : text::lines(read("mdevctl_types/mdevctl_list_defined_v100.txt"))) {
    const auto words = text::words(line);
    ASSERT_EQ(words[1], "0000:41:00.0");
    tree.mdev(card, words[0], words[2]);
  }
  const Looked seen(tree);
  EXPECT_EQ(seen.only().name, "Tesla V100-PCIE-16GB");
  ASSERT_EQ(seen.only().mdevs.size(), 2u);
  EXPECT_FALSE(seen.only().mdevs[0].vmid) << "Proxmox VE did not name them";
  EXPECT_EQ(seen.available("GRID V100-8C"), 0);
  EXPECT_FALSE(seen.technologies().passthrough.ready);
}

TEST_F(RecordedHosts, vendor_vfio_has_no_types_for_mdevctl) {
  EXPECT_TRUE(mdevctl_types(read("mdevctl_types/vendor_vfio_host_empty.txt")).empty());
  SysfsTree tree;
  tree.file("proc/sys/kernel/osrelease", "6.8.12-4-pve\n").nvidia("550.144.02", {"0000:26:00.0"});
  tree.function("0000:26:00.0", "10de", "26b9", "0302", "nvidia", "1851");
  for (const std::string& vf : tree.vfs("0000:26:00.0", "26b9", 4, "nvidia"))
    tree.file(vf + "/nvidia/creatable_vgpu_types", "ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n")
        .file(vf + "/nvidia/current_vgpu_type", "0\n");
  const Looked seen(tree);
  EXPECT_EQ(seen.only().framework, Framework::vendor_vfio);
  EXPECT_TRUE(seen.technologies().nvidia_vendor_vfio.ready) << "an empty `mdevctl types` is healthy here";
  ASSERT_EQ(seen.document.resources.size(), 1u);
  EXPECT_FALSE(seen.document.resources[0].visible_by_type);
  EXPECT_EQ(seen.document.resources[0].free, 4) << "32 fit, 4 VFs are there";
}

TEST_F(RecordedHosts, mdevctls_own_test_data) {
  const auto json_text = parse_json(read("mdevctl_json/types-full.json")).or_fail("types-full.json");
  const auto hosts = mdevctl_types(read("mdevctl_json/types-full.text"));
  SysfsTree tree;
  tree.nvidia("535.161.05", {"0000:00:03.0"});
  for (const auto& [parent, types] : json_text[0].items()) {
    if (!parent.starts_with("0000:")) continue;  // an s390 channel
    const bool m10 = parent == "0000:00:03.0";
    const std::string card =
        tree.function(parent, m10 ? "10de" : "8086", m10 ? "13bd" : "1912", m10 ? "0302" : "0300", m10 ? "nvidia" : "i915", "1160");
    for (const json& type : types)
      for (const auto& [id, values] : type.items())
        tree.mdev_type(card, id, values["name"], values["available_instances"], values.value("description", ""));
  }
  const Looked seen(tree);
  ASSERT_EQ(seen.document.gpus.size(), 2u);
  for (const gpu::Gpu& card : seen.document.gpus) {
    const std::vector<Type>& recorded = hosts.at(card.address);
    ASSERT_EQ(card.vgpu_types.size(), recorded.size());
    for (std::size_t i = 0; i < recorded.size(); ++i) {
      EXPECT_EQ(card.vgpu_types[i].id, recorded[i].id);
      EXPECT_EQ(card.vgpu_types[i].name, recorded[i].name);
      EXPECT_EQ(card.vgpu_types[i].available, recorded[i].available);
    }
  }
  EXPECT_EQ(seen.document.gpus[1].name, "Tesla M10");
  EXPECT_EQ(seen.document.gpus[1].vgpu_types[1].framebuffer_mb, 512) << "from the catalogue: the driver gives no description";
}

TEST_F(RecordedHosts, gvtg_of_skylake) {
  SysfsTree tree;
  tree.file("sys/module/i915/parameters/enable_gvt", "Y\n");
  const std::string card = tree.function("0000:00:02.0", "8086", "1912", "0300", "i915", "0001");
  std::string id, description;
  const auto put = [&] {
    if (!id.empty())
      tree.file(card + "/mdev_supported_types/" + id + "/description", description)
          .file(card + "/mdev_supported_types/" + id + "/available_instances", "1\n");
  };
  for (const std::string& line : text::lines(read("intel/gvtg_description_V5.txt"))) {
    if (text::contains(line, "/description")) {
      put();
      id = line.substr(line.find("i915-"), line.rfind('/') - line.find("i915-"));
      description.clear();
    } else if (!id.empty() && text::contains(line, ": ")) {
      description += line + "\n";
    }
  }
  put();
  const Looked seen(tree);
  ASSERT_EQ(seen.only().vgpu_types.size(), 2u);
  EXPECT_EQ(seen.only().vgpu_types[0].name, "i915-GVTg_V5_4") << "i915 gives types no name";
  EXPECT_EQ(seen.only().vgpu_types[0].framebuffer_mb, 512);
  EXPECT_EQ(seen.only().vgpu_types[1].framebuffer_mb, 384);
  EXPECT_TRUE(seen.technologies().intel_gvtg.ready);
}

}  // namespace
}  // namespace pvegpu
