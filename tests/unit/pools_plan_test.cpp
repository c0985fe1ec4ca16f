// SPDX-License-Identifier: MIT
#include "common/catalogue/catalogue.hpp"
#include "common/pools/report.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace pvegpu::pools {
namespace {

/// A GPU of a board of the catalogue, as host_info tells it when all is ready.
json gpu(const char* board, const char* address, const catalogue::PciIds& ids, std::int64_t vfs = 0) {
  const auto match = catalogue::find_board(ids);
  json types = json::array();
  for (const auto& type : catalogue::types_of(match.boards.at(0)))
    types.push_back({{"name", type.name}, {"framebuffer_mb", type.framebuffer_mb}, {"max_instances", type.max_instances}});
  const json ready{{"possible", true}, {"ready", true}, {"missing", json::array()}};
  const json impossible{{"possible", false}, {"ready", false}, {"missing", {"it is another board"}}};
  return {{"address", address},
          {"kind", "gpu"},
          {"vendor_id", fmt::format("{:04x}", ids.vendor)},
          {"device_id", fmt::format("{:04x}", ids.device)},
          {"subsystem_vendor_id", "10de"},
          {"subsystem_device_id", fmt::format("{:04x}", ids.subsystem_device)},
          {"name", board},
          {"boot_vga", false},
          {"iommu_siblings", json::array()},
          {"sriov", {{"total", vfs}, {"enabled", vfs}, {"vfs", json::array()}}},
          {"framework", vfs > 0 ? "vendor_vfio" : "mdev"},
          {"vgpu_types", std::move(types)},
          {"technologies",
           {{"passthrough", ready},
            {"nvidia_mdev", vfs > 0 ? impossible : ready},
            {"nvidia_sriov_mdev", impossible},
            {"nvidia_vendor_vfio", vfs > 0 ? ready : impossible},
            {"intel_sriov", impossible},
            {"intel_gvtg", impossible}}},
          {"used_by", json::array()}};
}
json p4(const char* address) { return gpu("Tesla P4", address, {0x10de, 0x1bb3, 0x10de, 0x11d8}); }
json a40(const char* address, std::int64_t vfs) { return gpu("A40", address, {0x10de, 0x2235, 0x10de, 0x145a}, vfs); }

json node(const std::string& name, json gpus, int release = 8) {
  return {{"host", {{"node", name}, {"pve", {{"release", release}}}}}, {"gpus", std::move(gpus)}};
}

Documents documents_of(const json& hosts) { return read_documents(hosts).or_fail("read the documents"); }

std::string refusal(const Documents& documents, const std::vector<Wish>& wishes, const Rules& rules) {
  try {
    (void)make_plan(documents, wishes, rules);
  } catch (const ModuleError& error) {
    return error.what();
  }
  return {};
}

const std::vector<Wish> two_wishes{{.name = "Pool A", .type = "P4-1Q", .desktops = 16, .mapping = "GPUA"},
                                   {.name = "Pool B", .type = "P4-2Q", .desktops = 8, .mapping = "GPUB"}};

Documents two_nodes() {
  return documents_of({node("node1", {p4("0000:41:00.0"), p4("0000:42:00.0")}), node("node2", {p4("0000:41:00.0"), p4("0000:42:00.0")})});
}

TEST(pools_plan, two_pools_on_one_model_keep_their_mappings) {
  Documents documents = two_nodes();
  attach(documents, {{"GPUA", {{"node1", "0000:41:00"}, {"node2", "0000:41:00.0"}}},
                     {"GPUB", {{"node1", "0000:42:00.0"}, {"node2", "0000:42:00.0"}}}});
  const PoolPlan plan = make_plan(documents, two_wishes, {});
  EXPECT_EQ(plan.solution.assignment, (Assignment{0, 1, 0, 1}));
  EXPECT_TRUE(fits(plan, 0) && fits(plan, 1));
  for (const MappingAnswer& mapping : tell(plan, {}, {}).mappings) EXPECT_STREQ(mapping.action, "keep");
}

TEST(pools_plan, two_types_on_one_model_without_mappings_are_refused) {
  std::vector<Wish> wishes = two_wishes;
  for (Wish& wish : wishes) wish.mapping.clear();
  const std::string why = refusal(two_nodes(), wishes, {.by_type = true});
  for (const char* part : {"Pool A (GRID P4-1Q)", "Pool B (GRID P4-2Q)", "Tesla P4", "no mapping keeps them apart"})
    EXPECT_NE(why.find(part), why.npos) << why;
  wishes[1].type = "P4-1Q";
  EXPECT_EQ(refusal(two_nodes(), wishes, {.by_type = true}), "");
}

TEST(pools_plan, a_mapping_is_needed_only_where_a_model_is_split_or_not_found_by_type) {
  const std::vector<Wish> one{{.name = "a", .type = "GRID P4-1Q", .desktops = 8}};
  EXPECT_FALSE(make_plan(two_nodes(), one, {}).pools[0].mapped);
  const std::vector<Wish> split{{.name = "a", .type = "P4-1Q", .desktops = 8}, {.name = "b", .type = "P4-2Q", .desktops = 4}};
  const Documents documents = two_nodes();
  const PoolPlan both = make_plan(documents, split, {});
  EXPECT_TRUE(both.pools[0].mapped && both.pools[1].mapped);
  const Documents vfio = documents_of(json::array({node("n1", json::array({a40("0000:41:00.0", 32)}))}));
  const std::vector<Wish> on_vfs{{.name = "a", .type = "A40-8Q", .desktops = 6}};
  EXPECT_TRUE(make_plan(vfio, on_vfs, {}).pools[0].mapped);
}

TEST(pools_plan, seats_are_never_over_vfs_or_framebuffer) {
  struct Board {
    const char* name;
    catalogue::PciIds ids;
  };
  int judged = 0;
  for (const Board& board : {Board{"Tesla P4", {0x10de, 0x1bb3, 0, 0x11d8}}, Board{"A40", {0x10de, 0x2235, 0, 0x145a}},
                             Board{"Tesla M10", {0x10de, 0x13bd, 0, 0x1160}}, Board{"Tesla T4", {0x10de, 0x1eb8, 0, 0x12a2}}}) {
    const auto match = catalogue::find_board(board.ids);
    ASSERT_EQ(match.match, catalogue::Match::found) << board.name;
    for (const std::int64_t vfs : {0, 4, 16, 32}) {
      const Documents documents = documents_of(json::array({node("n", json::array({gpu(board.name, "0000:41:00.0", board.ids, vfs)}))}));
      for (const auto& type : catalogue::types_of(match.boards[0])) {
        const GpuAbility ability = judge_ability(documents.kinds[0], {PoolType::Kind::vgpu, std::string(type.name), ""}, {});
        if (vfs > 0) {
          EXPECT_LE(ability.seats, vfs) << type.name;
        }
        if (type.max_instances > 0) {
          EXPECT_LE(ability.seats, type.max_instances) << type.name;
        }
        EXPECT_LE(ability.seats * type.framebuffer_mb, match.boards[0].memory_mb) << type.name;
        EXPECT_GT(ability.seats, 0) << type.name << ": " << ability.obstacle;
        ++judged;
      }
    }
  }
  EXPECT_GT(judged, 200);
}

TEST(pools_plan, every_desktop_is_counted_once_and_no_gpu_has_two_sizes) {
  std::mt19937 dice(6);
  for (int round = 0; round < 300; ++round) {
    json hosts = json::array();
    for (unsigned n = 0; n < 1 + dice() % 6; ++n) {
      json gpus = json::array();
      for (unsigned g = 0; g < dice() % 5; ++g) {
        const std::string address = fmt::format("0000:4{}:00.0", g);
        gpus.push_back(dice() % 3 ? p4(address.c_str()) : a40(address.c_str(), 8 + 8 * static_cast<std::int64_t>(dice() % 4)));
      }
      hosts.push_back(node(fmt::format("n{}", n), std::move(gpus), dice() % 5 ? 8 : 7));
    }
    const Documents documents = documents_of(hosts);
    std::vector<Wish> wishes;
    const char* types[] = {"P4-1Q", "P4-2Q", "A40-8Q", "A40-1Q", "passthrough"};
    for (unsigned p = 0; p < 1 + dice() % 4; ++p) {
      Wish wish{.name = fmt::format("pool {}", p), .type = types[dice() % 5], .desktops = static_cast<std::int64_t>(1 + dice() % 60)};
      wish.spare_nodes = dice() % 4 == 0;
      wish.spare_percent = dice() % 3 ? 0 : static_cast<std::int64_t>(dice() % 30);
      wishes.push_back(wish);
    }
    const PoolPlan plan = make_plan(documents, wishes, {.strategy = dice() % 2 ? Strategy::pack : Strategy::spread});
    const Answer told = tell(plan, {}, {});
    ASSERT_EQ(told.gpus.size(), documents.gpus.size());
    std::map<std::string, std::int64_t> seats;
    std::map<std::string, std::set<std::string>> holders;  // by GPU
    for (const GpuAnswer& gpu : told.gpus) {
      if (gpu.pool.empty()) {
        EXPECT_EQ(gpu.seats, 0);
        continue;
      }
      seats[gpu.pool] += gpu.seats;
      EXPECT_GT(gpu.seats, 0);
    }
    std::int64_t placed = 0;
    for (const PoolAnswer& pool : told.pools) {
      EXPECT_EQ(pool.seats, seats[pool.name]);
      EXPECT_EQ(pool.placed, std::min(pool.desktops, pool.seats));
      EXPECT_EQ(pool.fits, pool.reasons.empty());
      EXPECT_EQ(pool.fits, pool.nearest.empty());
      placed += pool.placed;
    }
    EXPECT_EQ(told.quality.placed, placed);
    for (const MappingAnswer& mapping : told.mappings)
      for (const EntryAnswer& entry : mapping.entries) EXPECT_TRUE(holders[entry.node + entry.address].insert(mapping.name).second);
    for (const auto& [gpu, names] : holders) EXPECT_EQ(names.size(), 1U) << gpu;
  }
}

TEST(pools_plan, wishes_that_contradict_each_other_are_refused) {
  const Documents documents = two_nodes();
  EXPECT_NE(refusal(documents, {{.name = "a", .type = "P4-1Q", .desktops = 0}}, {}).find("'desktops'"), std::string::npos);
  EXPECT_NE(refusal(documents, {{.name = "a", .type = "P4-1Q", .desktops = 1, .mapping = "4090"}}, {}).find("mapping"), std::string::npos);
  EXPECT_NE(refusal(documents, {{.name = "a", .type = "P4-9Q", .desktops = 1}}, {}).find("P4-9Q"), std::string::npos);
  const std::vector<Wish> twice(2, {.name = "a", .type = "P4-1Q", .desktops = 1});
  EXPECT_NE(refusal(documents, twice, {}).find("two pools are called 'a'"), std::string::npos);
}

TEST(pools_plan, documents_that_are_none_are_named) {
  EXPECT_NE(read_documents(json::array({json{{"x", 1}}})).error().message.find("document 1"), std::string::npos);
  EXPECT_NE(read_documents({node("n", json::array()), node("n", json::array())}).error().message.find("node n again"), std::string::npos);
  for (const json& odd : {json(nullptr), json(5), json("x"), json::array({5})}) {
    json document = node("n", json::array({p4("0000:41:00.0")}));
    for (const char* key : {"sriov", "vgpu_types", "technologies", "iommu_siblings", "used_by", "mappings"}) document["gpus"][0][key] = odd;
    EXPECT_TRUE(read_documents(json::array({document})));
  }
}

}  // namespace
}  // namespace pvegpu::pools
