// SPDX-License-Identifier: MIT
// The catalogue: what its functions say against what its CSV files say, and the facts that are easy to get wrong.
#include "common/catalogue/catalogue.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace pvegpu::catalogue {

void PrintTo(const MajorMinor& value, std::ostream* os) { *os << to_string(value); }

namespace {

using Row = std::map<std::string, std::string>;

std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      out.back() += line[++i];
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back() += line[i];
    }
  }
  return out;
}

std::vector<Row> table(const std::string& name) {
  std::ifstream file(std::string(PVE_GPU_SOURCE_DIR) + "/common/catalogue/" + name);
  EXPECT_TRUE(file) << "cannot read common/catalogue/" << name;
  std::string line;
  std::getline(file, line);
  const auto columns = fields(line);
  std::vector<Row> rows;
  while (std::getline(file, line)) {
    const auto values = fields(line);
    EXPECT_EQ(values.size(), columns.size()) << name << ": " << line;
    Row row;
    for (std::size_t i = 0; i < columns.size() && i < values.size(); ++i) row[columns[i]] = values[i];
    rows.push_back(row);
  }
  return rows;
}

std::uint16_t hex(const std::string& digits) { return static_cast<std::uint16_t>(std::stoul(digits, nullptr, 16)); }
unsigned number(const std::string& digits) { return digits.empty() ? 0U : static_cast<unsigned>(std::stoul(digits)); }

PciIds nvidia(std::uint16_t device, std::uint16_t subsystem_device, std::uint16_t subsystem_vendor = 0x10de) {
  return {.vendor = 0x10de, .device = device, .subsystem_vendor = subsystem_vendor, .subsystem_device = subsystem_device};
}

Board board(std::uint16_t device, std::uint16_t subsystem_device = 0) {
  auto match = find_board(nvidia(device, subsystem_device));
  EXPECT_EQ(match.match, Match::found) << std::hex << device;
  return match.boards.empty() ? Board{} : match.boards[0];
}

std::set<std::string> names(const std::vector<Board>& boards) {
  std::set<std::string> out;
  for (const Board& b : boards) out.emplace(b.name);
  return out;
}

std::set<std::string> names(const std::vector<VgpuType>& types) {
  std::set<std::string> out;
  for (const VgpuType& t : types) out.emplace(t.name);
  return out;
}

using Names = std::set<std::string>;

// --- Boards ---

TEST(CatalogueBoards, EveryRowIsFoundByItsIds) {
  std::map<std::string, Row> boards;
  for (const Row& r : table("boards.csv")) boards[r.at("board")] = r;
  std::set<std::string> found;
  for (const Row& r : table("board_ids.csv")) {
    const PciIds ids{.vendor = hex(r.at("vendor_id")),
                     .device = hex(r.at("device_id")),
                     .subsystem_vendor = hex(r.at("vendor_id")),
                     .subsystem_device = r.at("subsystem_device_id").empty() ? std::uint16_t{0x4242} : hex(r.at("subsystem_device_id"))};
    const BoardMatch match = find_board(ids);
    ASSERT_EQ(match.match, Match::found) << r.at("board");
    ASSERT_EQ(match.boards.size(), 1u);
    const Board& b = match.boards[0];
    const Row& want = boards.at(r.at("board"));
    EXPECT_EQ(b.name, r.at("board"));
    EXPECT_EQ(b.memory_mb, number(want.at("memory_mb"))) << b.name;
    EXPECT_EQ(b.gpus_per_board, number(want.at("gpus_per_board"))) << b.name;
    EXPECT_EQ(std::to_string(static_cast<int>(b.vgpu_class)), want.at("vgpu_class") == "none" ? "0" : want.at("vgpu_class")) << b.name;
    EXPECT_EQ(to_text(b.technology), want.at("technology")) << b.name;
    EXPECT_EQ(to_text(b.display_mode), want.at("display_mode")) << b.name;
    EXPECT_EQ(to_text(b.mixed_size), want.at("mixed_size")) << b.name;
    EXPECT_EQ(to_text(b.confidence), want.at("confidence")) << b.name;
    EXPECT_EQ(to_text(expected_framework(b, "6.5.13-5-pve")), want.at("framework_below_6_8")) << b.name;
    EXPECT_EQ(to_text(expected_framework(b, "6.14.11-4-pve")), want.at("framework_from_6_8")) << b.name;
    EXPECT_EQ(b.unlock_only, want.at("unlock_only") == "yes") << b.name;
    EXPECT_EQ(b.open_modules_only, want.at("open_modules_only") == "yes") << b.name;
    EXPECT_EQ(b.mig_slices, number(want.at("mig_slices"))) << b.name;
    EXPECT_EQ(b.architecture, want.at("architecture"));
    EXPECT_EQ(b.types_from, want.at("types_from"));
    EXPECT_EQ(b.source, want.at("source"));
    EXPECT_EQ(b.notes, want.at("notes"));
    found.insert(r.at("board"));
  }
  for (const Row& r : table("intel_platforms.csv")) found.insert(r.at("board"));
  for (const auto& [name, row] : boards)
    EXPECT_EQ(found.count(name), name == "RTX PRO 4500 Blackwell Server Edition" ? 0u : 1u)
        << name << ": the one board whose ids are not known";
}

TEST(CatalogueBoards, TheOemsVendorDoesNotMatter) {
  for (const Row& r : table("board_ids.csv")) {
    if (r.at("vendor_id") != "10de" || r.at("subsystem_device_id").empty()) continue;
    for (const auto oem : std::initializer_list<std::uint16_t>{0x1028, 0x103c, 0x17aa}) {
      const auto match = find_board(nvidia(hex(r.at("device_id")), hex(r.at("subsystem_device_id")), oem));
      ASSERT_EQ(match.match, Match::found) << r.at("board");
      EXPECT_EQ(match.boards[0].name, r.at("board"));
    }
  }
  EXPECT_EQ(find_board(nvidia(0x2230, 0x1459, 0x1028)).boards.at(0).name, "RTX A6000");
  EXPECT_EQ(find_board(nvidia(0x1e30, 0x129e, 0x103c)).boards.at(0).name, "Quadro RTX 8000");
}

TEST(CatalogueBoards, OneBoardOfADeviceIdTakesAnySubsystem) {
  EXPECT_EQ(board(0x2235, 0xbeef).name, "A40");
  EXPECT_EQ(board(0x26b5, 0x169d).name, "L40");
  EXPECT_EQ(board(0x26b5, 0x17da).name, "L40");
  EXPECT_EQ(board(0x26b5, 0xbeef).name, "L40");
  EXPECT_EQ(board(0x1bb3, 0).name, "Tesla P4");
}

TEST(CatalogueBoards, SharedDeviceIdsAreDecidedByTheSubsystemDeviceOrAmbiguous) {
  EXPECT_EQ(board(0x25b6, 0x157e).name, "A2");
  EXPECT_EQ(board(0x25b6, 0x14a9).name, "A16");
  EXPECT_EQ(board(0x1e30, 0x12ba).name, "Quadro RTX 6000");
  EXPECT_EQ(board(0x1e78, 0x13d8).name, "Quadro RTX 8000 passive");
  EXPECT_EQ(board(0x2bb3, 0x227a).memory_mb, 72u * 1024);

  std::map<std::string, Names> shared;
  for (const Row& r : table("board_ids.csv"))
    if (r.at("vendor_id") == "10de") shared[r.at("device_id")].insert(r.at("board"));
  unsigned ambiguous = 0;
  for (const auto& [device, boards] : shared) {
    for (const auto subsystem : std::initializer_list<std::uint16_t>{0x0000, 0xbeef}) {  // 0000 is what a VF shows
      const auto match = find_board(nvidia(hex(device), subsystem));
      EXPECT_EQ(match.match, boards.size() == 1 ? Match::found : Match::ambiguous) << device;
      EXPECT_EQ(names(match.boards), boards) << device;
    }
    ambiguous += boards.size() > 1;
  }
  EXPECT_EQ(names(find_board(nvidia(0x25b6, 0xbeef)).boards), (Names{"A2", "A16"}));
  EXPECT_EQ(names(find_board(nvidia(0x1e30, 0xbeef)).boards), (Names{"Quadro RTX 6000", "Quadro RTX 8000"}));
  EXPECT_EQ(names(find_board(nvidia(0x1e78, 0xbeef)).boards), (Names{"Quadro RTX 6000 passive", "Quadro RTX 8000 passive"}));
  EXPECT_EQ(ambiguous, 7u) << "1e30 1e37 1e78 1ff2 25b6 28b0 2bb3";
}

TEST(CatalogueBoards, Unknown) {
  for (const PciIds& ids : {nvidia(0x2204, 0x1454), PciIds{.vendor = 0x1002, .device = 0x744c}, PciIds{.vendor = 0x8086, .device = 0x1521},
                            PciIds{.vendor = 0x1af4, .device = 0x1050}, PciIds{}, PciIds{.vendor = 0xffff, .device = 0xffff}}) {
    const auto match = find_board(ids);
    EXPECT_EQ(match.match, Match::unknown) << std::hex << ids.vendor << ":" << ids.device;
    EXPECT_TRUE(match.boards.empty());
  }
}

TEST(CatalogueBoards, Classes) {
  EXPECT_EQ(board(0x1eb8, 0x12a2).vgpu_class, VgpuClass::classic) << "a T4 may show SR-IOV and is plain mdev all the same";
  EXPECT_EQ(expected_framework(board(0x1eb8), "6.8.12-4-pve"), Framework::mdev);
  EXPECT_EQ(board(0x2235).vgpu_class, VgpuClass::sriov);
  EXPECT_EQ(board(0x2235).display_mode, DisplayMode::ships_disabled);
  for (const auto device : std::initializer_list<std::uint16_t>{0x2230, 0x2231, 0x2233, 0x26b1, 0x26b2, 0x26b3, 0x2bb1, 0x2bb4}) {
    EXPECT_EQ(board(device).vgpu_class, VgpuClass::sriov_display_off) << std::hex << device;
    EXPECT_EQ(board(device).display_mode, DisplayMode::switch_required) << std::hex << device;
  }
  EXPECT_EQ(board(0x13f2).display_mode, DisplayMode::other_tool);
  EXPECT_EQ(board(0x13f2).gpus_per_board, 2u);
  EXPECT_EQ(board(0x13bd).gpus_per_board, 4u);
  EXPECT_EQ(board(0x2231).mixed_size, Verdict::no);
  EXPECT_EQ(board(0x2230).mixed_size, Verdict::yes);
}

TEST(CatalogueBoards, FrameworkChangesAt68AndNotByText) {
  const Board a40 = board(0x2235);
  EXPECT_EQ(expected_framework(a40, "5.15.158-2-pve"), Framework::mdev_on_vfs);
  EXPECT_EQ(expected_framework(a40, "6.5.13-5-pve"), Framework::mdev_on_vfs);
  EXPECT_EQ(expected_framework(a40, "6.8.12-4-pve"), Framework::vendor_vfio);
  EXPECT_EQ(expected_framework(a40, "6.14.0-1-pve"), Framework::vendor_vfio) << "6.14 comes after 6.8";
  EXPECT_EQ(expected_framework(a40, "7.0.2-6-pve"), Framework::vendor_vfio);
  EXPECT_EQ(expected_framework(a40, "nonsense"), Framework::none);
}

TEST(CatalogueBoards, BlackwellTakesOpenModulesOnly) {
  for (const Row& r : table("board_ids.csv")) {
    const auto match = find_board(
        {.vendor = hex(r.at("vendor_id")), .device = hex(r.at("device_id")), .subsystem_device = hex("0" + r.at("subsystem_device_id"))});
    ASSERT_FALSE(match.boards.empty());
    const Board& b = match.boards[0];
    EXPECT_EQ(b.open_modules_only, b.architecture.substr(0, 9) == "Blackwell") << b.name;
  }
}

TEST(CatalogueBoards, PassthroughOnlyAndUnlockOnlyAreRecognised) {
  const Board p10 = board(0x1b39, 0x1217);
  EXPECT_TRUE(p10.unlock_only);
  EXPECT_EQ(p10.vgpu_class, VgpuClass::none);
  EXPECT_TRUE(types_of(p10).empty());
  EXPECT_EQ(offers(p10, "GRID P40-1Q"), Verdict::no) << "types of the P40 on it are vgpu_unlock's work";
  EXPECT_EQ(branch_serves(p10, 16).verdict, Verdict::no);
  EXPECT_NE(branch_serves(p10, 16).reason.find("vgpu_unlock"), std::string::npos);
  const Board a4000 = board(0x24b0, 0x14ad);
  EXPECT_FALSE(a4000.unlock_only);
  EXPECT_EQ(a4000.technology, Technology::none);
  EXPECT_EQ(branch_serves(a4000, 17).verdict, Verdict::no);
  EXPECT_EQ(board(0x2531, 0x151d).name, "RTX A2000");
  EXPECT_EQ(board(0x2232, 0x163c).name, "RTX A4500");
}

TEST(CatalogueBoards, WhichBranchServesWhich) {
  const auto verdicts = [](const Board& b) {
    std::string out;
    for (unsigned branch = 13; branch <= 20; ++branch) out += to_text(branch_serves(b, branch).verdict).front();
    return out;
  };
  for (const auto pascal : std::initializer_list<std::uint16_t>{0x1bb3, 0x1bb4, 0x1b38, 0x15f7, 0x15f8, 0x15f9}) {
    EXPECT_EQ(verdicts(board(pascal)), "yyyynnnn") << "16 is the last branch of Pascal: " << std::hex << pascal;
    EXPECT_EQ(board(pascal).architecture, "Pascal");
  }
  EXPECT_EQ(verdicts(board(0x13f2)), "yyyynnnn") << "M60";
  EXPECT_EQ(verdicts(board(0x13bd)), "yyyyunnn") << "M10: one list has 17 too";
  EXPECT_EQ(verdicts(board(0x1db6)), "yyyyyuun") << "Volta: 18 and 19 are disputed";
  EXPECT_EQ(verdicts(board(0x1eb8)), "yyyyyyyy") << "T4";
  EXPECT_EQ(verdicts(board(0x2235)), "yyyyyyyy") << "A40";
  EXPECT_EQ(verdicts(board(0x2231)), "uyyyyyyy") << "A5000: first served by 12 to 14";
  EXPECT_EQ(verdicts(board(0x26b5)), "nnyyyyyy") << "L40";
  EXPECT_EQ(verdicts(board(0x26b9)), "nnnyyyyy") << "L40S";
  EXPECT_EQ(verdicts(board(0x26b3)), "nnnnyyyy") << "RTX 5880 Ada";
  EXPECT_EQ(verdicts(board(0x2bb5)), "nnnnnnyy") << "RTX PRO 6000 Blackwell";
  EXPECT_EQ(verdicts(board(0x2901)), "uuuuuuuy") << "B200: seen in the name table of R595";
  EXPECT_EQ(branch_serves(board(0x1eb8), 42).verdict, Verdict::unknown);
  EXPECT_EQ(branch_serves(board(0x1bb3), 17).reason, "Tesla P4 is last served by branch 16");
  EXPECT_EQ(branch_serves(board(0x26b5), 14).reason, "L40 is first served by branch 15");
  EXPECT_TRUE(branch_serves(board(0x1bb3), 16).reason.empty());
}

// --- vGPU types ---

TEST(CatalogueTypes, EveryRowIsFoundByItsName) {
  const auto rows = table("vgpu_types.csv");
  for (const Row& r : rows) {
    const auto t = find_type(r.at("type_name"));
    ASSERT_TRUE(t) << r.at("type_name");
    EXPECT_EQ(t->name, r.at("type_name"));
    EXPECT_EQ(t->board, r.at("board"));
    EXPECT_EQ(t->id, number(r.at("type_id"))) << t->name;
    EXPECT_EQ(t->other_id, number(r.at("alt_type_id"))) << t->name;
    EXPECT_EQ(t->other_id_branch, number(r.at("alt_type_id_branch"))) << t->name;
    EXPECT_EQ(t->framebuffer_mb, number(r.at("profile_mb"))) << t->name;
    EXPECT_EQ(t->size_from_name, r.at("profile_from") == "name") << t->name;
    EXPECT_EQ(t->guest_framebuffer_mb, number(r.at("guest_fb_mb"))) << t->name;
    EXPECT_EQ(t->max_instances, number(r.at("max_instances"))) << t->name;
    EXPECT_EQ(t->max_instances_mixed, number(r.at("max_instances_mixed"))) << t->name;
    EXPECT_EQ(t->num_heads, number(r.at("num_heads"))) << t->name;
    EXPECT_EQ(t->max_resolution, r.at("max_resolution")) << t->name;
    EXPECT_EQ(t->mig_profile, r.at("mig_profile")) << t->name;
    EXPECT_EQ(t->backing == Backing::mig, r.at("backing") == "mig") << t->name;
    EXPECT_EQ(to_text(t->licence), r.at("licence")) << t->name;
    EXPECT_EQ(to_text(t->confidence), r.at("confidence")) << t->name;
    EXPECT_EQ(t->source, r.at("source")) << t->name;
  }
  EXPECT_FALSE(find_type(""));
  EXPECT_FALSE(find_type("GRID P4-1"));
  EXPECT_FALSE(find_type("GRID P4-1Qx"));
  EXPECT_FALSE(find_type("zzz"));
}

TEST(CatalogueTypes, EveryBoardHasItsTypes) {
  std::map<std::string, Names> owned;
  for (const Row& r : table("vgpu_types.csv")) owned[r.at("board")].insert(r.at("type_name"));
  for (const Row& r : table("board_ids.csv")) {
    const auto match = find_board(
        {.vendor = hex(r.at("vendor_id")), .device = hex(r.at("device_id")), .subsystem_device = hex("0" + r.at("subsystem_device_id"))});
    ASSERT_EQ(match.match, Match::found);
    const auto types = types_of(match.boards[0]);
    EXPECT_EQ(types.size(), owned[std::string(match.boards[0].types_from)].size()) << match.boards[0].name;
    EXPECT_EQ(names(types), owned[std::string(match.boards[0].types_from)]) << match.boards[0].name;
  }
  EXPECT_EQ(types_of(board(0x1bb3)).size(), 17u);
  EXPECT_EQ(names(types_of(board(0x2bb1))), names(types_of(board(0x2bb5)))) << "the workstation edition offers the server edition's types";
}

TEST(CatalogueTypes, TheP4sTypes) {
  const Board p4 = board(0x1bb3);
  const auto q = find_type("GRID P4-1Q");
  ASSERT_TRUE(q);
  EXPECT_EQ(q->id, 63u);
  EXPECT_EQ(q->framebuffer_mb, 1024u);
  EXPECT_EQ(q->guest_framebuffer_mb, 896u);
  EXPECT_EQ(q->max_instances, 8u);
  EXPECT_EQ(q->licence, Licence::vws);
  EXPECT_EQ(names(types_by_id(p4, 63, 16)), Names{"GRID P4-1Q"});
  EXPECT_EQ(names(types_by_id(p4, 63, 0)), Names{"GRID P4-1Q"});
  for (const unsigned wrong : {222U, 223U, 224U, 42U}) EXPECT_TRUE(types_by_id(p4, wrong, 0).empty()) << "the wrong table that circulates";
  EXPECT_EQ(names(types_by_id(board(0x1eb8), 222, 16)), Names{"GRID T4-1B"});
  EXPECT_EQ(names(types_by_id(board(0x13bd), 42, 16)), Names{"GRID M10-4A"});
  EXPECT_TRUE(types_by_id(p4, 0, 0).empty()) << "0 means that the id is not known";
}

TEST(CatalogueTypes, IdsMoveBetweenBranches) {
  const Board a5500 = board(0x2233);
  EXPECT_EQ(names(types_by_id(a5500, 771, 16)), Names{"NVIDIA RTXA5500-2A"});
  EXPECT_EQ(names(types_by_id(a5500, 782, 14)), Names{"NVIDIA RTXA5500-2A"});
  EXPECT_EQ(types_by_id(a5500, 771, 14).size(), 1u);
  EXPECT_NE(names(types_by_id(a5500, 771, 14)), Names{"NVIDIA RTXA5500-2A"});
  EXPECT_EQ(types_by_id(a5500, 771, 0).size(), 2u) << "without a branch both are possible";
  EXPECT_EQ(names(types_by_id(a5500, 781, 14)), Names{"NVIDIA RTXA5500-1A"}) << "not the -24, whose id in 14 is not known";
  EXPECT_EQ(names(types_by_id(a5500, 781, 16)), Names{"NVIDIA RTXA5500-24"});
  EXPECT_EQ(names(types_by_id(board(0x2235), 793, 16)).size(), 1u) << "the A40's game types took 793 to 797";
  EXPECT_TRUE(types_by_id(a5500, 793, 16).empty());
  EXPECT_EQ(types_by_id(a5500, 793, 14).size(), 1u);
  std::map<std::string, Board> boards;
  for (const Row& r : table("board_ids.csv")) {
    if (r.at("vendor_id") != "10de") continue;
    boards.emplace(r.at("board"), board(hex(r.at("device_id")), hex("0" + r.at("subsystem_device_id"))));
  }
  for (const Row& r : table("vgpu_types.csv")) {
    if (r.at("type_id").empty()) continue;
    const Board& b = boards.at(r.at("board"));
    EXPECT_EQ(names(types_by_id(b, number(r.at("type_id")), 16)), Names{r.at("type_name")});
    if (!r.at("alt_type_id").empty()) {
      EXPECT_EQ(names(types_by_id(b, number(r.at("alt_type_id")), 14)), Names{r.at("type_name")});
    }
  }
}

TEST(CatalogueTypes, WhoseTypesTheyAre) {
  EXPECT_EQ(offers(board(0x1bb3), "GRID P4-1Q"), Verdict::yes);
  EXPECT_EQ(offers(board(0x1bb3), "GRID P40-1Q"), Verdict::no) << "a P4 under vgpu_unlock shows these";
  EXPECT_EQ(offers(board(0x1bb3), "GRID P4-99Q"), Verdict::unknown);
  EXPECT_EQ(offers(board(0x2bb4), "NVIDIA RTX Pro 6000 Blackwell DC-4Q"), Verdict::yes);
}

// --- NVIDIA driver ---

TEST(CatalogueDrivers, ReleasesByHostVersion) {
  const auto r = find_release("535.161.05");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->branch, 16u);
  EXPECT_EQ(r->minor, 4u);
  EXPECT_EQ(r->minor_last, 5u);
  EXPECT_EQ(to_string(*r), "16.4/16.5");
  const auto branch = branch_of(r->version);
  ASSERT_TRUE(branch);
  EXPECT_EQ(branch->series, 535u);
  EXPECT_EQ(branch->kind, BranchKind::lts);
  EXPECT_EQ(branch->end_of_life, 202607u);
  EXPECT_EQ(to_string(*find_release("550.90.05")), "17.2/17.3");
  EXPECT_EQ(to_string(*find_release("535.247.02")), "16.10");
  EXPECT_EQ(to_string(*find_release("570.172.07")), "18.4");
  EXPECT_EQ(to_string(*find_release("580.65.05")), "19.0");
  EXPECT_EQ(to_string(*find_release("595.91.04")), "20.x") << "its number was not seen";
  EXPECT_FALSE(find_release("535.161.07")) << "a guest driver";
  EXPECT_FALSE(find_release("535.161.25.05")) << "a typo that circulates";
  EXPECT_FALSE(find_release(""));
  for (const Row& row : table("driver_releases.csv")) {
    const auto release = find_release(row.at("version"));
    ASSERT_TRUE(release) << row.at("version");
    EXPECT_EQ(release->branch, number(row.at("branch")));
    EXPECT_EQ(branch_of(row.at("version"))->branch, release->branch);
    EXPECT_EQ(release->minor.has_value(), !row.at("minor").empty());
    EXPECT_EQ(release->minor.value_or(0), number(row.at("minor")));
    EXPECT_EQ(release->minor_last.value_or(0), number(row.at("minor_last")));
    EXPECT_EQ(to_text(release->confidence), row.at("confidence"));
  }
}

TEST(CatalogueDrivers, TheBranchIsKnownEvenIfTheReleaseIsNot) {
  for (const char* version : {"535.x", "535", "R535", "r535", "535.999.99", "535.161.07"}) {
    ASSERT_TRUE(branch_of(version)) << version;
    EXPECT_EQ(branch_of(version)->branch, 16u) << version;
  }
  for (const char* version : {"", "R", "560.35.03", "545.29.06", "53", "5355.1", "535x", "x535", "99999999999.1"})
    EXPECT_FALSE(branch_of(version)) << version;
  for (const Row& row : table("driver_branches.csv")) {
    const auto branch = find_branch(number(row.at("branch")));
    ASSERT_TRUE(branch);
    EXPECT_EQ(branch->series, number(row.at("series")));
    EXPECT_EQ(to_text(branch->kind), row.at("kind"));
    EXPECT_EQ(branch_of(row.at("series") + ".1.2")->branch, branch->branch);
    std::string end = row.at("end_of_life");
    if (!end.empty()) end.erase(4, 1);
    EXPECT_EQ(branch->end_of_life, number(end));
  }
  EXPECT_FALSE(find_branch(0));
  EXPECT_FALSE(find_branch(21));
}

TEST(CatalogueDrivers, WhatBuildsOnWhat) {
  struct Case {
    const char* version;
    const char* kernel;
    Verdict builds;
  };
  const auto yes = Verdict::yes, no = Verdict::no, unknown = Verdict::unknown;
  // GPU-FACTS 1.5, its table and its list of failures, and what was found since.
  const Case cases[] = {
      {"470.256.02", "5.15.158-2-pve", yes},  // 13 to 16 on Proxmox VE 7
      {"510.108.03", "5.15.158-2-pve", yes},
      {"525.147.01", "5.15.158-2-pve", yes},
      {"535.161.05", "5.15.158-2-pve", yes},
      {"470.256.02", "6.2.16-20-pve", yes},
      {"460.107", "5.15.27-1-pve", no},
      {"535.54.06", "6.2.16-3-pve", yes},  // 16.0 to 16.7 up to 6.5
      {"535.161.05", "6.5.13-5-pve", yes},
      {"535.183.04", "6.5.13-5-pve", yes},
      {"535.161.05", "6.8.12-4-pve", no},  // 16.4
      {"535.183.04", "6.8.12-4-pve", no},  // 16.7
      {"525.147.01", "6.8.12-4-pve", no},
      {"535.216.01", "6.8.12-4-pve", yes},  // 16.8
      {"535.230.02", "6.8.12-4-pve", yes},
      {"535.309.01", "6.8.12-4-pve", yes},
      {"550.54.10", "6.8.12-4-pve", yes},  // 17.x on 6.8
      {"550.163.02", "6.8.12-4-pve", yes},
      {"550.144.02", "6.11.11-2-pve", yes},  // 17.5 on 6.11
      {"550.90.05", "6.11.11-2-pve", unknown},
      {"550.54.10", "6.11.11-2-pve", no},
      {"550.163.02", "5.15.0-141-generic", yes},
      {"535.230.02", "6.14.11-5-pve", no},  // 16.9
      {"535.230.02", "6.17.13-1-pve", no},
      {"535.216.01", "6.14.11-5-pve", no},
      {"535.261.04", "6.14.11-5-pve", unknown},
      {"550.163.02", "6.17.13-2-pve", no},  // 550
      {"570.124.03", "6.8.12-10-pve", yes},
      {"570.172.07", "6.14.8-2-pve", yes},  // 18.x, 19.x on 6.14
      {"580.65.05", "6.14.8-2-pve", yes},
      {"570.211.01", "6.17.2-1-pve", no},
      {"580.65.05", "6.17.2-1-pve", no},  // 6.17 needs 19.3 or 20
      {"580.95.02", "6.17.2-1-pve", no},
      {"580.105.06", "6.17.2-1-pve", yes},
      {"580.126.08", "6.17.2-1-pve", yes},
      {"595.58.02", "6.17.2-1-pve", yes},
      {"595.58.02", "7.0.2-6-pve", yes},  // 7.0 needs 20
      {"595.71.03", "7.0.2-6-pve", yes},
      {"570.211.01", "7.0.2-6-pve", no},
      {"580.126.08", "7.0.2-6-pve", no},
      {"580.159.01", "7.0.2-6-pve", yes},  // or 19.5
      {"535.309.01", "6.18.44", yes},      // 16.14
      {"535.309.01", "7.0.2-6-pve", unknown},
  };
  for (const Case& c : cases) {
    const auto answer = builds_on(c.version, c.kernel);
    EXPECT_EQ(answer.builds, c.builds) << c.version << " on " << c.kernel << ": " << answer.evidence;
    EXPECT_FALSE(answer.evidence.empty()) << c.version << " on " << c.kernel;
    EXPECT_EQ(answer.source.empty(), answer.evidence == "The catalogue has no report of this driver on this kernel.");
  }
  EXPECT_NE(builds_on("535.230.02", "6.14.11-5-pve").evidence.find("nv-firmware.h"), std::string_view::npos);
  EXPECT_EQ(builds_on("535.230.02", "6.14.11-5-pve").confidence, Confidence::medium);
}

TEST(CatalogueDrivers, VersionsThatAreNotReleases) {
  EXPECT_EQ(builds_on("535.999.01", "6.8.12-4-pve").builds, Verdict::yes) << "newer than all of 16: what holds from 16.8 on";
  EXPECT_EQ(builds_on("580.999.01", "7.0.2-6-pve").builds, Verdict::yes);
  EXPECT_EQ(builds_on("595.91.04", "7.0.2-6-pve").builds, Verdict::yes) << "its number is not known, but it is newer than 20.1";
  EXPECT_EQ(builds_on("535.161.07", "6.8.12-4-pve").builds, Verdict::unknown) << "16.x before 16.8 or not";
  EXPECT_EQ(builds_on("535.x", "6.8.12-4-pve").builds, Verdict::unknown);
  EXPECT_EQ(builds_on("550.x", "6.8.12-4-pve").builds, Verdict::yes) << "holds for the whole branch";
  EXPECT_EQ(builds_on("550.163.01", "6.17.13-2-pve").builds, Verdict::no);
  for (const char* version : {"", "abc", "560.35.03", "....", "-1"})
    EXPECT_EQ(builds_on(version, "6.8.12").builds, Verdict::unknown) << version;
  for (const char* kernel : {"", "abc", "6", "6.", ".8", "262.8.12", "5.520.12", "4.19.0-6-amd64", "9.9"})
    EXPECT_EQ(builds_on("535.216.01", kernel).builds, Verdict::unknown) << kernel;
}

TEST(CatalogueDrivers, EveryWindowOfTheTableAnswersWithItsEvidence) {
  const auto releases = table("driver_releases.csv");
  unsigned asked = 0;
  for (const Row& w : table("driver_kernels.csv")) {
    for (const Row& r : releases) {
      if (r.at("branch") != w.at("branch") || r.at("minor").empty()) continue;
      const unsigned last = w.at("minor_last").empty() ? 255U : number(w.at("minor_last"));
      if (number(r.at("minor")) < number(w.at("minor_first")) || number(r.at("minor_last")) > last) continue;
      for (const auto& end : {w.at("kernel_first"), w.at("kernel_last")}) {
        const auto answer = builds_on(r.at("version"), end + ".9-1-pve");
        if (answer.evidence != w.at("evidence")) continue;  // an earlier row decides
        ++asked;
        EXPECT_EQ(to_text(answer.builds), w.at("builds")) << r.at("version") << " on " << end;
        EXPECT_EQ(to_text(answer.confidence), w.at("confidence"));
        EXPECT_EQ(answer.source, w.at("source"));
      }
    }
  }
  EXPECT_GT(asked, 200u);
}

// --- Proxmox VE ---

TEST(CataloguePve, KernelsOfReleases) {
  const auto all = [](const char* release) {
    std::string out;
    for (const PveKernel& k : pve_kernels(release))
      out += (out.empty() ? "" : " ") + to_string(k.kernel) + "doa"[static_cast<int>(k.role)];  // default, opt-in, accepted
    return out;
  };
  EXPECT_EQ(all("7.4-17"), "5.15d 6.2o");
  EXPECT_EQ(all("8.0.3"), "6.2d");
  EXPECT_EQ(all("8.1"), "6.5d");
  EXPECT_EQ(all("8.2.8"), "6.8d 6.11o 6.14o");
  EXPECT_EQ(all("8.4.0"), "6.8d 6.11o 6.14o");
  EXPECT_EQ(all("9.0.3"), "6.14d 6.17a 7.0a");
  EXPECT_EQ(all("9.1.1"), "6.17d 6.14a 7.0a");
  EXPECT_EQ(all("9.2.2"), "7.0d 6.14a 6.17a");
  EXPECT_EQ(all("6.4"), "");
  EXPECT_EQ(all("10.0"), "");
  EXPECT_EQ(all(""), "");
  EXPECT_EQ(pve_kernels("8.4.0").at(0).debian, "bookworm");
  EXPECT_EQ(pve_kernels("9.2").at(0).debian, "trixie");
}

TEST(CataloguePve, ReleaseStrings) {
  EXPECT_EQ(parse_major_minor("6.8.12-4-pve"), (MajorMinor{6, 8}));
  EXPECT_EQ(parse_major_minor("6.14"), (MajorMinor{6, 14}));
  EXPECT_TRUE((MajorMinor{6, 8} < MajorMinor{6, 14}));
  EXPECT_TRUE((MajorMinor{6, 19} < MajorMinor{7, 0}));
  EXPECT_FALSE((MajorMinor{7, 0} < MajorMinor{6, 19}));
  for (const char* bad : {"", "6", "6.", "a.b", "-6.8", " 6.8", "6..8", "99999999999.1"}) EXPECT_FALSE(parse_major_minor(bad)) << bad;
}

// --- Intel ---

TEST(CatalogueIntel, EveryGpuIsFound) {
  std::map<std::string, Row> platforms;
  for (const Row& r : table("intel_platforms.csv")) platforms[r.at("platform")] = r;
  for (const Row& r : table("intel_gpus.csv")) {
    const auto gpu = find_intel_gpu(hex(r.at("device_id")));
    ASSERT_TRUE(gpu) << r.at("device_id");
    const Row& p = platforms.at(r.at("platform"));
    EXPECT_EQ(gpu->name, r.at("name"));
    EXPECT_EQ(gpu->platform, r.at("platform"));
    EXPECT_EQ(gpu->gvtg, p.at("gvtg") == "yes") << gpu->name;
    EXPECT_EQ(gpu->integrated, p.at("integrated") == "yes") << gpu->name;
    EXPECT_EQ(gpu->dkms_from, p.at("dkms_from")) << gpu->name;
    EXPECT_EQ(gpu->xe_kernel ? to_string(*gpu->xe_kernel) : "", p.at("xe_kernel")) << gpu->name;
    EXPECT_EQ(gpu->xe_force_probe, p.at("xe_force_probe") == "yes") << gpu->name;
    EXPECT_EQ(gpu->max_vfs, number(p.at("max_vfs"))) << gpu->name;
    const auto match =
        find_board({.vendor = 0x8086, .device = hex(r.at("device_id")), .subsystem_vendor = 0x1028, .subsystem_device = 0x0a5d});
    if (p.at("board").empty()) continue;  // cards have rows in board_ids.csv
    ASSERT_EQ(match.match, Match::found) << gpu->name;
    EXPECT_EQ(match.boards[0].name, p.at("board"));
    EXPECT_EQ(match.boards[0].technology, gpu->gvtg ? Technology::intel_gvtg : Technology::intel_sriov);
  }
  EXPECT_FALSE(find_intel_gpu(0x1521));
  EXPECT_FALSE(find_intel_gpu(0));
  EXPECT_FALSE(find_intel_gpu(0xffff));
}

TEST(CatalogueIntel, WhoCanDoWhat) {
  const auto words = [](std::uint16_t device) {
    const auto gpu = find_intel_gpu(device);
    if (!gpu) return std::string("?");
    return std::string(gpu->gvtg ? "gvtg " : "") + (gpu->dkms_from.empty() ? "" : "dkms ") + (gpu->xe_kernel ? "xe" : "");
  };
  EXPECT_EQ(words(0x1616), "gvtg ") << "Broadwell";
  EXPECT_EQ(words(0x1912), "gvtg ") << "Skylake";
  EXPECT_EQ(words(0x5912), "gvtg ") << "Kaby Lake";
  EXPECT_EQ(words(0x3e92), "gvtg ") << "Coffee Lake";
  EXPECT_EQ(words(0x9bc5), "gvtg ") << "Comet Lake";
  EXPECT_EQ(words(0x8a52), "") << "Ice Lake";
  EXPECT_EQ(words(0x4c8a), "") << "Rocket Lake";
  EXPECT_EQ(words(0x9a49), "dkms xe") << "Tiger Lake";
  EXPECT_EQ(words(0x4680), "dkms xe") << "Alder Lake-S";
  EXPECT_EQ(words(0x46d1), "dkms xe") << "Alder Lake-N";
  EXPECT_EQ(words(0xa780), "dkms xe") << "Raptor Lake-S";
  EXPECT_EQ(words(0x7d55), "dkms ") << "Meteor Lake: the xe module has it off";
  EXPECT_EQ(words(0x7d67), "dkms ") << "Arrow Lake";
  EXPECT_EQ(find_intel_gpu(0x7d67)->dkms_from, "2025.05.18");
  EXPECT_EQ(words(0x64a0), "") << "Lunar Lake";
  EXPECT_EQ(words(0xb080), "xe") << "Panther Lake";
  EXPECT_EQ(words(0xe20b), "xe") << "Battlemage";
  EXPECT_EQ(words(0x56a0), "") << "Arc A770";
  EXPECT_EQ(find_intel_gpu(0x56c0)->max_vfs, 31u);
  EXPECT_EQ(find_intel_gpu(0x4680)->max_vfs, 7u);
  EXPECT_EQ(find_board({.vendor = 0x8086, .device = 0x56c1}).boards.at(0).name, "Intel Data Center GPU Flex 140");
  EXPECT_EQ(find_board({.vendor = 0x8086, .device = 0x8a52}).match, Match::unknown) << "Ice Lake shares nothing: it has no board row";
}

TEST(CatalogueIntel, DkmsWindows) {
  std::vector<std::string> kernels;
  for (unsigned minor = 0; minor <= 19; ++minor) kernels.push_back("6." + std::to_string(minor));
  kernels.insert(kernels.end(), {"5.15", "7.0", "7.1"});
  const auto window = [&](std::string_view tag) {
    Names out;
    for (const auto& k : kernels)
      if (dkms_builds(tag, k + ".3-1-pve") == Verdict::yes) out.insert(k);
    return out;
  };
  const auto six = [](unsigned first, unsigned last, Names out = {}) {
    for (unsigned minor = first; minor <= last; ++minor) out.insert("6." + std::to_string(minor));
    return out;
  };
  // dkms.conf of every tag (GPU-FACTS 5.1).
  const std::map<std::string, Names> want = {
      {"intel-lts-v6.1", six(1, 7)},        {"2024.12.30", six(8, 13)},           {"2025.01.22", six(8, 13)},
      {"2025.02.03", six(8, 14)},           {"2025.03.26", six(8, 14)},           {"2025.03.27", six(8, 14)},
      {"2025.05.11", six(8, 15)},           {"2025.05.18", six(8, 15)},           {"2025.07.22", six(8, 16)},
      {"2025.10.09", six(12, 17)},          {"2025.10.09-2", six(12, 17)},        {"2025.10.10", six(12, 17)},
      {"2025.11.04-rc1", six(12, 18)},      {"2025.11.09-rc2", six(12, 18)},      {"2025.11.10", six(12, 18)},
      {"2025.12.10", six(12, 18)},          {"2026.02.04", six(12, 19)},          {"2026.02.09", six(12, 19)},
      {"2026.03.05", six(12, 19)},          {"2026.03.05.1", six(12, 19)},        {"2026.03.05.2", six(12, 19)},
      {"2026.05.03", six(17, 19, {"7.0"})}, {"2026.05.06", six(17, 19, {"7.0"})},
  };
  EXPECT_EQ(table("intel_dkms.csv").size(), want.size());
  for (const auto& [tag, expected] : want) EXPECT_EQ(window(tag), expected) << tag;
  EXPECT_EQ(dkms_builds("2030.01.01", "6.8.12-4-pve"), Verdict::unknown);
  EXPECT_EQ(dkms_builds("2025.07.22", "?"), Verdict::unknown);
  EXPECT_EQ(find_dkms("2025.07.22")->modules, "i915;kvmgt");
  EXPECT_TRUE(find_dkms("2025.07.22")->blacklist_xe);
  EXPECT_FALSE(find_dkms("2025.01.22")->blacklist_xe);
}

TEST(CatalogueIntel, NewestDkmsForAKernel) {
  const auto newest = [](const char* kernel) {
    const auto tag = newest_dkms(kernel);
    return tag ? std::string(tag->tag) : "";
  };
  EXPECT_EQ(newest("6.5.13-5-pve"), "") << "only a branch has it";
  EXPECT_EQ(newest("6.8.12-4-pve"), "2025.07.22");
  EXPECT_EQ(newest("6.11.11-2-pve"), "2025.07.22");
  EXPECT_EQ(newest("6.14.11-4-pve"), "2026.03.05.2");
  EXPECT_EQ(newest("6.17.2-1-pve"), "2026.05.06");
  EXPECT_EQ(newest("7.0.2-6-pve"), "2026.05.06");
  EXPECT_EQ(newest("7.1.0"), "");
  EXPECT_EQ(newest(""), "");
}

TEST(CatalogueAmd, MxGpu) {
  EXPECT_EQ(find_board({.vendor = 0x1002, .device = 0x74a1}).boards.at(0).technology, Technology::amd_mxgpu);
  EXPECT_EQ(find_board({.vendor = 0x1002, .device = 0x74a1}).boards.at(0).name, "AMD Instinct MI300X");
  EXPECT_EQ(branch_serves(find_board({.vendor = 0x1002, .device = 0x74a1}).boards.at(0), 16).verdict, Verdict::no);
}

}  // namespace
}  // namespace pvegpu::catalogue
