// SPDX-License-Identifier: MIT
// One GPU, one pool.
#include "common/pools/ability.hpp"

#include "common/catalogue/catalogue.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::pools {
namespace {

catalogue::BoardMatch boards_of(const GpuKind& gpu) { return catalogue::find_board(gpu.ids); }

/// By the driver's suffix letters (GPU-FACTS 2), for types that the catalogue does not have.
std::string licence_of(const std::string& type) {
  if (const auto known = catalogue::find_type(type)) return std::string(catalogue::to_text(known->licence));
  if (type.starts_with("i915-") || type.empty()) return {};
  switch (type.back()) {
    case 'Q':
      return std::string(catalogue::to_text(catalogue::Licence::vws));
    case 'B':
      return std::string(catalogue::to_text(catalogue::Licence::vpc));
    case 'A':
      return std::string(catalogue::to_text(catalogue::Licence::vapps));
    case 'C':
      return std::string(catalogue::to_text(catalogue::Licence::ai_enterprise));
    default:
      return {};
  }
}

class Judge {
 public:
  Judge(const GpuKind& gpu, const PoolType& type, const AbilityRules& rules) : gpu_(gpu), type_(type), rules_(rules) {}

  GpuAbility run() {
    if (!is_model()) return {};
    switch (type_.kind) {
      case PoolType::Kind::passthrough:
        return passthrough();
      case PoolType::Kind::intel:
        return intel();
      case PoolType::Kind::vgpu:
        break;
    }
    return vgpu();
  }

 private:
  /// Brokers write the model of Intel's GPUs without its number.
  bool is_model() const {
    if (rules_.model.empty()) return true;
    const std::string model = text::lower(gpu_.model), wanted = text::lower(rules_.model);
    return model == wanted || (gpu_.ids.vendor == 0x8086 && model.starts_with(wanted + " "));
  }

  GpuAbility no(std::string obstacle) const {
    GpuAbility out;
    out.obstacle = std::move(obstacle);
    return out;
  }

  /// Why this way is closed, "" when it is not.
  std::string closed(Way way) const {
    const gpu::Technology& facts = gpu_.technology(way);
    const std::string first = facts.missing.empty() ? "host_info does not say why" : facts.missing[0];
    if (!facts.possible) return first;
    if (rules_.only_ready && !facts.ready) return "it is not ready: " + first;
    return {};
  }

  bool has_no_mappings() const { return gpu_.pve_release > 0 && gpu_.pve_release < 8; }

  GpuAbility passthrough() const {
    const auto intel = gpu_.ids.vendor == 0x8086 ? catalogue::find_intel_gpu(gpu_.ids.device) : std::nullopt;
    if (rules_.model.empty() && (gpu_.kind != gpu::Kind::gpu || (intel && intel->integrated))) return {};
    if (std::string why = closed(Way::passthrough); !why.empty()) return no(std::move(why));
    if (gpu_.boot_vga) return no("it is the boot display, which stays with the host");
    if (!gpu_.stranger.empty())
      return no(fmt::format("its IOMMU group also holds {}, which is of another card: put one of them in another slot", gpu_.stranger));
    if (has_no_mappings())
      return no(fmt::format("a whole card is assigned through a resource mapping, which Proxmox VE {} does not have", gpu_.pve_release));
    return {1, Way::passthrough, "a whole card serves one desktop", "", false};
  }

  GpuAbility intel() const {
    if (gpu_.ids.vendor != 0x8086) return {};
    if (std::string why = closed(Way::intel_sriov); !why.empty()) return no(std::move(why));
    const auto known = catalogue::find_intel_gpu(gpu_.ids.device);
    std::int64_t vfs = rules_.only_ready ? gpu_.vfs_enabled : gpu_.vfs_total;
    const bool seen = vfs > 0;
    if (!seen && !rules_.only_ready && known) vfs = known->max_vfs;
    if (vfs == 0) return no("it shows no VFs, and how many it can have is not known");
    return {vfs, Way::intel_sriov, fmt::format("{} VFs{}", vfs, seen ? "" : ", as the model has with a driver that makes them"), "", true};
  }

  GpuAbility vgpu() const {
    std::optional<OfferedType> offered;
    for (const OfferedType& type : gpu_.types)
      if (type.name == type_.name) offered = type;
    const auto match = boards_of(gpu_);
    std::int64_t memory_mb = 0, framebuffer_mb = 0;
    bool of_board = false;
    for (const catalogue::Board& board : match.boards)
      for (const catalogue::VgpuType& type : catalogue::types_of(board))
        if (type.name == type_.name) {
          of_board = true;
          framebuffer_mb = type.framebuffer_mb;
          if (type.backing == catalogue::Backing::time_sliced) memory_mb = board.memory_mb;
          if (!offered && gpu_.types.empty() && !rules_.only_ready) offered = OfferedType{type_.name, type.max_instances};
        }
    if (!offered && !of_board) return {};
    if (!offered)
      return no(gpu_.types.empty() ? fmt::format("its driver offers no types now: {}", why_no_types())
                                   : "its driver does not offer that type, though the board can");

    const bool gvtg = gpu_.ids.vendor == 0x8086;
    const std::vector<Way> candidates =
        gvtg ? std::vector<Way>{Way::intel_gvtg} : std::vector<Way>{Way::nvidia_mdev, Way::nvidia_sriov_mdev, Way::nvidia_vendor_vfio};
    const auto open = std::find_if(candidates.begin(), candidates.end(), [&](Way way) { return gpu_.technology(way).possible; });
    const Way way = open != candidates.end() ? *open
                    : gvtg                   ? Way::intel_gvtg
                    : gpu_.vfs_total > 0     ? Way::nvidia_vendor_vfio
                                             : Way::nvidia_mdev;
    if (std::string why = closed(way); !why.empty()) return no(std::move(why));
    if (!gvtg && gpu_.boot_vga) return no("it is the boot display: let the firmware use another card for the console");
    if (gpu_.nvidia_branch > 0 && match.match == catalogue::Match::found && !gvtg)
      if (const auto service = catalogue::branch_serves(match.boards[0], static_cast<unsigned>(gpu_.nvidia_branch));
          service.verdict == catalogue::Verdict::no)
        return no(fmt::format("the driver {} (branch {}) does not serve it: {}", gpu_.nvidia_version, gpu_.nvidia_branch, service.reason));
    const bool by_type = way != Way::nvidia_vendor_vfio;
    if (!by_type && has_no_mappings())
      return no(
          fmt::format("vGPUs of vendor VFIO are assigned through a resource mapping, which Proxmox VE {} does not have", gpu_.pve_release));
    return count(offered->max_instances, way, framebuffer_mb, memory_mb, by_type);
  }

  GpuAbility count(std::int64_t max_instances, Way way, std::int64_t framebuffer_mb, std::int64_t memory_mb, bool by_type) const {
    const std::int64_t fit = framebuffer_mb > 0 && memory_mb > 0 ? memory_mb / framebuffer_mb : 0;
    std::int64_t seats = max_instances > 0 ? max_instances : fit;
    std::vector<std::string> limits;
    if (max_instances > 0) limits.push_back(fmt::format("max_instances {}", max_instances));
    if (fit > 0) limits.push_back(fmt::format("{} of {} MB in {} MB", fit, framebuffer_mb, memory_mb));
    if (fit > 0) seats = std::min(seats, fit);
    if (seats == 0) return no("how many vGPUs of that type fit on it is not known");
    if (way == Way::nvidia_sriov_mdev || way == Way::nvidia_vendor_vfio) {
      const std::int64_t vfs = rules_.only_ready ? gpu_.vfs_enabled : gpu_.vfs_total;
      if (vfs == 0) return no("it shows no VFs: switch on SR-IOV and Above 4G decoding in the BIOS setup");
      limits.push_back(fmt::format("{} VFs", vfs));
      seats = std::min(seats, vfs);
    }
    return {seats, way, fmt::format("{}", fmt::join(limits, ", ")), "", by_type};
  }

  std::string why_no_types() const {
    for (const Way way : {Way::nvidia_mdev, Way::nvidia_sriov_mdev, Way::nvidia_vendor_vfio, Way::intel_gvtg})
      if (const gpu::Technology& facts = gpu_.technology(way); facts.possible && !facts.missing.empty()) return facts.missing[0];
    return "host_info does not say why";
  }

  const GpuKind& gpu_;
  const PoolType& type_;
  const AbilityRules& rules_;
};

}  // namespace

Result<PoolType> find_pool_type(const std::string& wish, const Documents& documents) {
  const std::string word = text::lower(wish);
  if (word == "passthrough" || word == "gpu passthrough") return PoolType{PoolType::Kind::passthrough, "GPU Passthrough", ""};
  if (word == "intel-vgpu") return PoolType{PoolType::Kind::intel, "Intel-vGPU", ""};
  for (const std::string& name : {wish, "GRID " + wish, "NVIDIA " + wish}) {
    const bool offered = std::any_of(documents.kinds.begin(), documents.kinds.end(), [&](const GpuKind& kind) {
      return std::any_of(kind.types.begin(), kind.types.end(), [&](const OfferedType& type) { return type.name == name; });
    });
    if (offered || catalogue::find_type(name)) return PoolType{PoolType::Kind::vgpu, name, licence_of(name)};
  }
  return Error{
      fmt::format("'{}' is no vGPU type that one of these GPUs offers or the catalogue knows; write it as the driver does "
                  "('GRID P4-1Q', 'NVIDIA A40-8Q'), or passthrough, or intel-vgpu",
                  wish)};
}

GpuAbility judge_ability(const GpuKind& gpu, const PoolType& type, const AbilityRules& rules) { return Judge(gpu, type, rules).run(); }

std::string smaller_type(const GpuKind& gpu, const PoolType& type, const AbilityRules& rules, std::int64_t wanted) {
  const auto now = catalogue::find_type(type.name);
  if (!now) return {};
  std::string best;
  unsigned best_size = 0;
  for (const catalogue::Board& board : boards_of(gpu).boards)
    for (const catalogue::VgpuType& other : catalogue::types_of(board)) {
      if (other.series != now->series || other.backing != now->backing || other.framebuffer_mb >= now->framebuffer_mb) continue;
      if (other.framebuffer_mb <= best_size) continue;
      const PoolType candidate{PoolType::Kind::vgpu, std::string(other.name), ""};
      if (judge_ability(gpu, candidate, rules).seats < wanted) continue;
      best = candidate.name;
      best_size = other.framebuffer_mb;
    }
  return best;
}

}  // namespace pvegpu::pools
