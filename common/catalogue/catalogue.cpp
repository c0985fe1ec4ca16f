// SPDX-License-Identifier: MIT
// Lookups in catalogue_data.inc, which generate.py makes. Its rows name strings by their offset in one pool: no relocations, nothing runs
// at start-up.
#include "common/catalogue/catalogue.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace pvegpu::catalogue {
namespace {

using Offset = std::uint16_t;

// Widest members first; the order is generate.py's.
struct BoardRow {
  std::uint32_t memory_mb;
  Offset name, architecture, source, notes;
  std::uint8_t types_from, technology, vgpu_class, unlock_only, gpus_per_board, framework_below_6_8, framework_from_6_8, display_mode,
      mig_slices, first_branch_possible, first_branch, last_branch, last_branch_possible, mixed_size, open_modules_only, confidence;
};
struct BoardIdRow {
  std::uint16_t vendor, device, subsystem_device;  // subsystem 0: any, of a device id with one board only
  std::uint8_t board;
};
struct TypeRow {
  std::uint32_t framebuffer_mb, guest_framebuffer_mb;
  Offset name;
  std::uint16_t id, other_id;
  Offset mig_profile;
  std::uint8_t other_id_branch, board, series, backing, licence, size_from_name, max_instances, max_instances_mixed, num_heads,
      max_resolution, source, confidence;
};
struct BranchRow {
  std::uint32_t end_of_life;
  std::uint16_t series;
  Offset source;
  std::uint8_t branch, kind, confidence;
};
struct ReleaseRow {
  Offset version, guest_version, source;
  std::uint8_t branch, minor, minor_last, confidence;
};
struct DriverKernelRow {
  std::uint16_t kernel_first, kernel_last;
  Offset evidence, source;
  std::uint8_t branch, minor_first, minor_last, builds, confidence;
};
struct PveKernelRow {
  std::uint16_t pve_first, pve_last, kernel;
  Offset debian, source;
  std::uint8_t role, confidence;
};
struct DkmsRow {
  std::uint16_t kernel_first, kernel_last;
  Offset tag, modules, source;
  std::uint8_t kind, blacklist_xe, confidence;
};
struct PlatformRow {
  std::uint16_t xe_kernel;
  Offset name, dkms_from, source, notes;
  std::uint8_t board, integrated, gvtg, xe_force_probe, max_vfs, confidence;
};
struct IntelGpuRow {
  std::uint16_t device;
  Offset name;
  std::uint8_t platform;
};

#include "catalogue_data.inc"

constexpr std::uint8_t none = 0xff;  // no board; an open end; a minor release number that was not seen
constexpr std::uint16_t intel = 0x8086;

std::string_view text(Offset offset) { return pool + offset; }

std::uint16_t pack(MajorMinor value) { return static_cast<std::uint16_t>(value.major << 8U | value.minor); }
MajorMinor unpack(unsigned value) { return {value >> 8U, value & 0xffU}; }

/// A release string as the tables hold it. 0, which no row has, for what cannot be read.
std::uint16_t packed(std::string_view release) {
  const auto value = parse_major_minor(release);
  return value && value->major < 256 && value->minor < 256 ? pack(*value) : std::uint16_t{0};
}

std::optional<unsigned> leading_number(std::string_view& s) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (error != std::errc{}) return std::nullopt;
  s.remove_prefix(static_cast<std::size_t>(end - s.data()));
  return value;
}

/// Versions part by part as numbers: negative, 0 or positive as a is older, the same or newer.
int compare_versions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const unsigned x = leading_number(a).value_or(0), y = leading_number(b).value_or(0);
    if (x != y) return x < y ? -1 : 1;
    if (!a.empty()) a.remove_prefix(1);
    if (!b.empty()) b.remove_prefix(1);
  }
  return 0;
}

Board make_board(std::uint8_t row) {
  const BoardRow& r = board_rows[row];
  Board b;
  b.name = text(r.name);
  b.architecture = text(r.architecture);
  b.technology = static_cast<Technology>(r.technology);
  b.vgpu_class = static_cast<VgpuClass>(r.vgpu_class);
  b.unlock_only = r.unlock_only != 0;
  b.gpus_per_board = r.gpus_per_board;
  b.memory_mb = r.memory_mb;
  b.display_mode = static_cast<DisplayMode>(r.display_mode);
  b.mig_slices = r.mig_slices;
  b.mixed_size = static_cast<Verdict>(r.mixed_size);
  b.open_modules_only = r.open_modules_only != 0;
  if (r.types_from != none) b.types_from = text(board_rows[r.types_from].name);
  b.confidence = static_cast<Confidence>(r.confidence);
  b.source = text(r.source);
  b.notes = text(r.notes);
  b.row = row;
  return b;
}

VgpuType make_type(const TypeRow& r) {
  VgpuType t;
  t.name = text(r.name);
  t.board = text(board_rows[r.board].name);
  t.series = static_cast<TypeSeries>(r.series);
  t.backing = static_cast<Backing>(r.backing);
  t.mig_profile = text(r.mig_profile);
  t.id = r.id;
  t.other_id = r.other_id;
  t.other_id_branch = r.other_id_branch;
  t.framebuffer_mb = r.framebuffer_mb;
  t.size_from_name = r.size_from_name != 0;
  t.guest_framebuffer_mb = r.guest_framebuffer_mb;
  t.max_instances = r.max_instances;
  t.max_instances_mixed = r.max_instances_mixed;
  t.num_heads = r.num_heads;
  t.max_resolution = text(resolution_rows[r.max_resolution]);
  t.licence = static_cast<Licence>(r.licence);
  t.confidence = static_cast<Confidence>(r.confidence);
  t.source = text(type_source_rows[r.source]);
  return t;
}

DriverBranch make_branch(const BranchRow& r) {
  return {r.branch, r.series, static_cast<BranchKind>(r.kind), r.end_of_life, static_cast<Confidence>(r.confidence), text(r.source)};
}

DkmsTag make_dkms(const DkmsRow& r) {
  return {text(r.tag),         static_cast<DkmsKind>(r.kind),         unpack(r.kernel_first), unpack(r.kernel_last), text(r.modules),
          r.blacklist_xe != 0, static_cast<Confidence>(r.confidence), text(r.source)};
}

const TypeRow* type_row(std::string_view name) {
  const auto* const at = std::lower_bound(std::begin(type_by_name), std::end(type_by_name), name,
                                          [](std::uint16_t row, std::string_view n) { return text(type_rows[row].name) < n; });
  if (at == std::end(type_by_name) || text(type_rows[*at].name) != name) return nullptr;
  return &type_rows[*at];
}

const IntelGpuRow* intel_row(std::uint16_t device) {
  const auto* const at = std::lower_bound(std::begin(intel_gpu_rows), std::end(intel_gpu_rows), device,
                                          [](const IntelGpuRow& r, std::uint16_t d) { return r.device < d; });
  return at != std::end(intel_gpu_rows) && at->device == device ? at : nullptr;
}

}  // namespace

std::optional<MajorMinor> parse_major_minor(std::string_view release) {
  const auto major = leading_number(release);
  if (!major || release.empty() || release.front() != '.') return std::nullopt;
  release.remove_prefix(1);
  const auto minor = leading_number(release);
  if (!minor) return std::nullopt;
  return MajorMinor{*major, *minor};
}

std::string to_string(MajorMinor value) { return std::to_string(value.major) + '.' + std::to_string(value.minor); }

BoardMatch find_board(const PciIds& ids) {
  struct ByDevice {
    static std::uint32_t key(const BoardIdRow& r) { return std::uint32_t{r.vendor} << 16 | r.device; }
    bool operator()(const BoardIdRow& r, std::uint32_t k) const { return key(r) < k; }
    bool operator()(std::uint32_t k, const BoardIdRow& r) const { return k < key(r); }
  };
  const auto [first, last] =
      std::equal_range(std::begin(board_id_rows), std::end(board_id_rows), std::uint32_t{ids.vendor} << 16 | ids.device, ByDevice{});
  BoardMatch result;
  for (const BoardIdRow* r = first; r != last; ++r) {
    if (r->subsystem_device == ids.subsystem_device) return {Match::found, {make_board(r->board)}};
    const auto known = [r](const Board& b) { return b.row == r->board; };
    if (std::none_of(result.boards.begin(), result.boards.end(), known)) result.boards.push_back(make_board(r->board));
  }
  if (result.boards.empty() && ids.vendor == intel) {
    const IntelGpuRow* gpu = intel_row(ids.device);
    if (gpu && platform_rows[gpu->platform].board != none) result.boards.push_back(make_board(platform_rows[gpu->platform].board));
  }
  if (!result.boards.empty()) result.match = result.boards.size() == 1 ? Match::found : Match::ambiguous;
  return result;
}

Framework expected_framework(const Board& board, std::string_view kernel_release) {
  const std::uint16_t kernel = packed(kernel_release);
  if (kernel == 0) return Framework::none;
  const BoardRow& r = board_rows[board.row];
  return static_cast<Framework>(kernel < pack({6, 8}) ? r.framework_below_6_8 : r.framework_from_6_8);
}

Service branch_serves(const Board& board, unsigned branch) {
  const std::string name(board.name), number = std::to_string(branch);
  if (board.unlock_only)
    return {Verdict::no, name + " is not a vGPU board: only vgpu_unlock, which is not supported, makes it offer types"};
  if (board.technology != Technology::nvidia_vgpu) return {Verdict::no, name + " is not an NVIDIA vGPU board"};
  const BoardRow& r = board_rows[board.row];
  if (r.last_branch_possible != 0 && branch > r.last_branch_possible)
    return {Verdict::no, name + " is last served by branch " + std::to_string(r.last_branch)};
  if (r.first_branch_possible != 0 && branch < r.first_branch_possible)
    return {Verdict::no, name + " is first served by branch " + std::to_string(r.first_branch_possible)};
  const bool begun = r.first_branch != 0 && branch >= r.first_branch;
  const bool lasting = r.last_branch == 0 || branch <= r.last_branch;
  if (!begun || !lasting) return {Verdict::unknown, "whether branch " + number + " serves " + name + " is not known"};
  if (!find_branch(branch)) return {Verdict::unknown, "branch " + number + " is not in the catalogue"};
  return {Verdict::yes, {}};
}

std::vector<VgpuType> types_of(const Board& board) {
  const std::uint8_t owner = board_rows[board.row].types_from;
  std::vector<VgpuType> types;
  if (owner == none) return types;
  for (const TypeRow& r : type_rows)
    if (r.board == owner) types.push_back(make_type(r));
  return types;
}

std::optional<VgpuType> find_type(std::string_view name) {
  const TypeRow* row = type_row(name);
  if (!row) return std::nullopt;
  return make_type(*row);
}

std::vector<VgpuType> types_by_id(const Board& board, unsigned id, unsigned branch) {
  const std::uint8_t owner = board_rows[board.row].types_from;
  std::vector<VgpuType> types;
  if (owner == none || id == 0) return types;
  // Where a branch is known to number this board differently, only the ids known of that branch hold.
  const bool renumbered = branch != 0 && std::any_of(std::begin(type_rows), std::end(type_rows),
                                                     [=](const TypeRow& r) { return r.board == owner && r.other_id_branch == branch; });
  for (const TypeRow& r : type_rows) {
    const bool usual = r.id == id && !renumbered;
    const bool other = r.other_id == id && (branch == 0 || r.other_id_branch == branch);
    if (r.board == owner && (usual || other)) types.push_back(make_type(r));
  }
  return types;
}

Verdict offers(const Board& board, std::string_view type_name) {
  const TypeRow* row = type_row(type_name);
  if (!row) return Verdict::unknown;
  return row->board == board_rows[board.row].types_from ? Verdict::yes : Verdict::no;
}

std::optional<DriverBranch> find_branch(unsigned branch) {
  for (const BranchRow& r : branch_rows)
    if (r.branch == branch) return make_branch(r);
  return std::nullopt;
}

std::optional<DriverBranch> branch_of(std::string_view version) {
  if (!version.empty() && (version.front() == 'R' || version.front() == 'r')) version.remove_prefix(1);
  const auto series = leading_number(version);
  if (!series || (!version.empty() && version.front() != '.')) return std::nullopt;
  for (const BranchRow& r : branch_rows)
    if (r.series == *series) return make_branch(r);
  return std::nullopt;
}

namespace {

DriverRelease make_release(const ReleaseRow& r) {
  DriverRelease release;
  release.version = text(r.version);
  release.guest_versions = text(r.guest_version);
  release.branch = r.branch;
  if (r.minor != none) {
    release.minor = r.minor;
    release.minor_last = r.minor_last;
  }
  release.confidence = static_cast<Confidence>(r.confidence);
  release.source = text(r.source);
  return release;
}

}  // namespace

std::optional<DriverRelease> find_release(std::string_view version) {
  for (const ReleaseRow& r : release_rows)
    if (text(r.version) == version) return make_release(r);
  return std::nullopt;
}

std::vector<DriverRelease> releases_of(unsigned branch) {
  std::vector<DriverRelease> releases;
  for (const ReleaseRow& r : release_rows)
    if (r.branch == branch) releases.push_back(make_release(r));
  return releases;
}

std::string to_string(const DriverRelease& release) {
  const std::string branch = std::to_string(release.branch) + '.';
  if (!release.minor) return branch + 'x';
  std::string label;
  for (unsigned minor = *release.minor; minor <= *release.minor_last; ++minor)
    label += (label.empty() ? "" : "/") + branch + std::to_string(minor);
  return label;
}

BuildAnswer builds_on(std::string_view version, std::string_view kernel_release) {
  const auto branch = branch_of(version);
  if (!branch) return {Verdict::unknown, "This driver version belongs to no vGPU branch of the catalogue."};
  const std::uint16_t kernel = packed(kernel_release);
  if (kernel == 0) return {Verdict::unknown, "This kernel release cannot be read."};

  // The release as a range of minor numbers: both ends open where nothing but the branch is known.
  unsigned minor = 0, minor_last = none;
  if (const auto release = find_release(version); release && release->minor) {
    minor = *release->minor;
    minor_last = *release->minor_last;
  } else {
    const ReleaseRow* newest = nullptr;
    for (const ReleaseRow& r : release_rows)
      if (r.branch == branch->branch && r.minor != none && (!newest || r.minor > newest->minor)) newest = &r;
    if (newest && compare_versions(text(newest->version), version) < 0) minor = minor_last = newest->minor_last + 1U;
  }
  for (const DriverKernelRow& r : driver_kernel_rows)
    if (r.branch == branch->branch && r.kernel_first <= kernel && kernel <= r.kernel_last && r.minor_first <= minor &&
        (r.minor_last == none || minor_last <= r.minor_last))
      return {static_cast<Verdict>(r.builds), text(r.evidence), static_cast<Confidence>(r.confidence), text(r.source)};
  return {Verdict::unknown, "The catalogue has no report of this driver on this kernel."};
}

std::vector<PveKernel> pve_kernels(std::string_view pve_release) {
  const std::uint16_t release = packed(pve_release);
  std::vector<PveKernel> kernels;
  for (const KernelRole role : {KernelRole::standard, KernelRole::opt_in, KernelRole::accepted})
    for (const PveKernelRow& r : pve_kernel_rows)
      if (static_cast<KernelRole>(r.role) == role && r.pve_first <= release && release <= r.pve_last)
        kernels.push_back({unpack(r.kernel), role, text(r.debian), static_cast<Confidence>(r.confidence), text(r.source)});
  return kernels;
}

std::optional<IntelGpu> find_intel_gpu(std::uint16_t device) {
  const IntelGpuRow* row = intel_row(device);
  if (!row) return std::nullopt;
  const PlatformRow& p = platform_rows[row->platform];
  IntelGpu gpu;
  gpu.name = text(row->name);
  gpu.platform = text(p.name);
  gpu.integrated = p.integrated != 0;
  gpu.gvtg = p.gvtg != 0;
  gpu.dkms_from = text(p.dkms_from);
  if (p.xe_kernel != 0) gpu.xe_kernel = unpack(p.xe_kernel);
  gpu.xe_force_probe = p.xe_force_probe != 0;
  gpu.max_vfs = p.max_vfs;
  gpu.confidence = static_cast<Confidence>(p.confidence);
  gpu.source = text(p.source);
  gpu.notes = text(p.notes);
  return gpu;
}

std::optional<DkmsTag> find_dkms(std::string_view tag) {
  for (const DkmsRow& r : dkms_rows)
    if (text(r.tag) == tag) return make_dkms(r);
  return std::nullopt;
}

Verdict dkms_builds(std::string_view tag, std::string_view kernel_release) {
  const auto known = find_dkms(tag);
  const auto kernel = parse_major_minor(kernel_release);
  if (!known || !kernel) return Verdict::unknown;
  return *kernel < known->kernel_first || known->kernel_last < *kernel ? Verdict::no : Verdict::yes;
}

std::optional<DkmsTag> newest_dkms(std::string_view kernel_release) {
  const std::uint16_t kernel = packed(kernel_release);
  std::optional<DkmsTag> newest;  // the rows are in order of release
  for (const DkmsRow& r : dkms_rows)
    if (static_cast<DkmsKind>(r.kind) == DkmsKind::release && r.kernel_first <= kernel && kernel <= r.kernel_last) newest = make_dkms(r);
  return newest;
}

// --- Words ---

namespace {

/// The word at this place of a list: a table of pointers would need relocations.
template <class Enum>
std::string_view nth(std::string_view words, Enum value) {
  for (auto i = static_cast<unsigned>(value); i > 0; --i) words.remove_prefix(words.find(' ') + 1);
  return words.substr(0, words.find(' '));
}

}  // namespace

std::string_view to_text(Confidence value) { return nth("low medium high", value); }
std::string_view to_text(Verdict value) { return nth("no yes unknown", value); }
std::string_view to_text(Technology value) { return nth("none nvidia_vgpu intel_sriov intel_gvtg amd_mxgpu", value); }
std::string_view to_text(Framework value) { return nth("none mdev mdev_on_vfs vendor_vfio", value); }
std::string_view to_text(DisplayMode value) { return nth("none switch_required ships_disabled other_tool unknown", value); }
std::string_view to_text(Licence value) { return nth("vapps vpc vws ai_enterprise vgaming", value); }
std::string_view to_text(BranchKind value) { return nth("legacy production lts unknown", value); }

}  // namespace pvegpu::catalogue
