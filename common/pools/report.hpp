// SPDX-License-Identifier: MIT
// The plan as it is told.
#pragma once

#include "common/pools/plan.hpp"

#include <set>

namespace pvegpu::pools {

struct PoolAnswer {
  std::string name;
  std::string vgpu_type;
  std::set<std::string> models;
  std::int64_t desktops = 0;
  std::int64_t placed = 0;
  std::int64_t seats = 0;
  std::int64_t spare_seats = 0;
  std::optional<std::int64_t> surviving_seats;
  std::int64_t gpus = 0;
  std::int64_t nodes = 0;
  std::string mapping;
  std::string licence;
  bool fits = false;
  std::vector<std::string> reasons;
  std::vector<std::string> nearest;

  static void fields(Reply<PoolAnswer>& out);
};

struct GpuAnswer {
  std::string node;
  std::string address;
  std::string model;
  std::string pool;
  std::string vgpu_type;
  std::int64_t seats = 0;
  std::string mapping;
  std::string before;
  const char* change = "";
  std::vector<std::int64_t> running;
  std::vector<std::string> missing;

  static void fields(Reply<GpuAnswer>& out);
};

struct EntryAnswer {
  std::string node;
  std::string address;
  const char* functions = "";
  std::int64_t seats = 0;

  static void fields(Reply<EntryAnswer>& out);
};

struct MappingAnswer {
  std::string name;
  std::string pool;
  std::string vgpu_type;
  bool mdev = false;
  const char* action = "";
  std::vector<EntryAnswer> entries;
  std::set<std::string> unknown_nodes;

  static void fields(Reply<MappingAnswer>& out);
};

struct OverlapAnswer {
  std::string mapping;
  std::string node;
  std::string address;
  std::string pool;

  static void fields(Reply<OverlapAnswer>& out);
};

struct LeftAnswer {
  std::string model;
  std::int64_t gpus = 0;
  std::int64_t nodes = 0;

  static void fields(Reply<LeftAnswer>& out);
};

struct LicenceAnswer {
  std::string licence;
  std::int64_t desktops = 0;

  static void fields(Reply<LicenceAnswer>& out);
};

struct BetterAnswer {
  std::int64_t desktops = 0;
  std::int64_t spare_seats = 0;
  std::int64_t gpus_used = 0;
  std::int64_t gpus_changed = 0;

  static void fields(Reply<BetterAnswer>& out);
};

struct QualityAnswer {
  std::int64_t desktops = 0;
  std::int64_t placed = 0;
  std::int64_t missing_spare_seats = 0;
  std::int64_t gpus_used = 0;
  std::int64_t gpus_changed = 0;
  bool best = false;
  BetterAnswer at_most_better_by;

  static void fields(Reply<QualityAnswer>& out);
};

struct Answer {
  bool fits = false;
  std::vector<PoolAnswer> pools;
  std::vector<GpuAnswer> gpus;
  std::vector<MappingAnswer> mappings;
  std::vector<OverlapAnswer> overlaps;
  std::vector<LeftAnswer> left;
  std::vector<LicenceAnswer> licences;
  QualityAnswer quality;
  std::vector<std::string> notes;

  static void fields(Reply<Answer>& out);
};

Answer tell(const PoolPlan& plan, const Rules& rules, const std::vector<TodaysMapping>& today);

}  // namespace pvegpu::pools
