// SPDX-License-Identifier: MIT
// What is known about boards, vGPU types, driver branches and kernels: constant data, compiled in, looked up by small functions.
//
// The facts live in the CSV files of this directory, each row with its source and confidence; schema.json says what every column
// means and what every source is; in the build, generate.py turns them into catalogue_data.inc. Every std::string_view points into that
// constant data and stays valid for ever. "Unknown" is an answer: a caller tells it apart from "no".
#pragma once

#include "common/base/told.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::catalogue {

enum class Confidence : std::uint8_t { low, medium, high };
enum class Verdict : std::uint8_t { no, yes, unknown };

/// Two numbers that are compared as numbers: a kernel series (6.8 comes before 6.14) or a Proxmox VE release (8.4).
struct MajorMinor {
  unsigned major = 0;
  unsigned minor = 0;

  friend bool operator==(const MajorMinor& a, const MajorMinor& b) { return a.major == b.major && a.minor == b.minor; }
  friend bool operator<(const MajorMinor& a, const MajorMinor& b) { return a.major != b.major ? a.major < b.major : a.minor < b.minor; }
};

/// The start of a release string: "6.8.12-4-pve" is 6.8, "8.4.1" is 8.4. Nothing for what does not start with two numbers.
std::optional<MajorMinor> parse_major_minor(std::string_view release);
std::string to_string(MajorMinor value);  ///< "6.8"

// --- Boards (boards.csv, board_ids.csv, intel_gpus.csv) ---

/// As in sysfs. `subsystem_vendor` is taken so that callers can hand over what they read; it is not compared (see find_board).
struct PciIds {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem_device = 0;

  static void fields(Document<PciIds>& out);
};

enum class Technology : std::uint8_t { none, nvidia_vgpu, intel_sriov, intel_gvtg, amd_mxgpu };  ///< none: passthrough only

/// NVIDIA vGPU: 1 classic board, mdev on the PF; 2 SR-IOV data-centre board; 3 SR-IOV workstation board whose display must be
/// switched off. A board of class 1 may still show an SR-IOV capability (T4 with newer firmware).
enum class VgpuClass : std::uint8_t { none, classic, sriov, sriov_display_off };

enum class Framework : std::uint8_t { none, mdev, mdev_on_vfs, vendor_vfio };

/// none: nothing to switch. other_tool: gpumodeswitch of the Maxwell boards, which does not take displaymodeselector.
enum class DisplayMode : std::uint8_t { none, switch_required, ships_disabled, other_tool, unknown };

struct Board {
  std::string_view name;
  std::string_view architecture;
  Technology technology = Technology::none;
  VgpuClass vgpu_class = VgpuClass::none;
  bool unlock_only = false;  ///< vGPU types appear only with vgpu_unlock, which is not supported
  unsigned gpus_per_board = 1;
  unsigned memory_mb = 0;  ///< per GPU, nominal; 0: shared or unknown
  DisplayMode display_mode = DisplayMode::none;
  unsigned mig_slices = 0;                ///< 0: no MIG
  Verdict mixed_size = Verdict::unknown;  ///< different vGPU sizes on one GPU (17.0 and newer)
  bool open_modules_only = false;         ///< only the open kernel modules drive it
  std::string_view types_from;            ///< the board whose vGPU types it offers, mostly itself; empty: none known
  Confidence confidence = Confidence::low;
  std::string_view source;
  std::string_view notes;
  std::uint8_t row = 0;  ///< its place in the data, for the functions below
};

enum class Match : std::uint8_t { found, ambiguous, unknown };

struct BoardMatch {
  Match match = Match::unknown;
  std::vector<Board> boards;  ///< one when found, the possible ones when ambiguous
};

/// A board is vendor:device plus subsystem DEVICE id; the subsystem vendor may be the OEM's (1028, 103c, 17aa), and NVIDIA's name
/// table (595.45.04) gives OEM boards the same subsystem device id. Where a device id belongs to one board, any subsystem does;
/// where several share it (25b6: A2, A16; 1e30; 1e78; 1e37; 2bb3), an unlisted subsystem device id is `ambiguous`.
/// NVIDIA VFs carry the device id of their PF and subsystem 10de:0000: look them up through the PF.
BoardMatch find_board(const PciIds& ids);

/// What guests of this board are given on this kernel: class 1 always mdev; SR-IOV boards mdev on VFs below 6.8 and vendor VFIO from
/// 6.8 on (GPU-FACTS 3.1). An expectation: what sysfs shows decides. `none` also for an unreadable release.
Framework expected_framework(const Board& board, std::string_view kernel_release);

struct Service {
  Verdict verdict = Verdict::unknown;
  std::string reason;  ///< empty for yes
};
/// Does this driver branch (16, 19, ...) serve the board? Unknown where sources disagree or are silent (GPU-FACTS 1.4).
Service branch_serves(const Board& board, unsigned branch);

// --- vGPU types (vgpu_types.csv) ---

enum class TypeSeries : std::uint8_t { a, b, b4, q, c, cme, gaming };
enum class Backing : std::uint8_t { time_sliced, mig };
enum class Licence : std::uint8_t { vapps, vpc, vws, ai_enterprise, vgaming };  ///< the least product that licenses the series

struct VgpuType {
  std::string_view name;   ///< the stable key
  std::string_view board;  ///< the board that owns the type
  TypeSeries series = TypeSeries::q;
  Backing backing = Backing::time_sliced;
  std::string_view mig_profile;  ///< "1g.5gb", where known
  unsigned id = 0;               ///< in the driver files of branches 15 to 17; 0: unknown
  unsigned other_id = 0;         ///< its id in branch other_id_branch; 0: none known
  unsigned other_id_branch = 0;
  unsigned framebuffer_mb = 0;        ///< taken from the GPU; what mdev's description calls framebuffer
  bool size_from_name = false;        ///< framebuffer_mb is concluded from the name
  unsigned guest_framebuffer_mb = 0;  ///< what the guest sees; 0: unknown
  unsigned max_instances = 0;         ///< per GPU, one size only; 0: unknown
  unsigned max_instances_mixed = 0;   ///< per GPU in mixed-size mode; 0: unknown or not possible
  unsigned num_heads = 0;             ///< 0: unknown
  std::string_view max_resolution;    ///< "5120x2880"; empty: unknown
  Licence licence = Licence::vws;
  Confidence confidence = Confidence::low;
  std::string_view source;
};

/// The types that the board offers, its own or those of its types_from.
std::vector<VgpuType> types_of(const Board& board);

/// By full name ("GRID P4-1Q", "NVIDIA A40-4Q"); names are unique over all boards.
std::optional<VgpuType> find_type(std::string_view name);

/// By numeric id (63 of nvidia-63). Ids move between branches (A5500: 782 is 2A in 14, and 771 is 2A from 15 on), so the driver branch
/// decides; with branch 0 every type that has the id in some branch is returned. Empty: not known for this board. Prefer names.
std::vector<VgpuType> types_by_id(const Board& board, unsigned id, unsigned branch);

/// Is this a type of the board? `no` for a type that another board owns, as vgpu_unlock makes a GPU show; `unknown` for a name that is
/// not in the catalogue.
Verdict offers(const Board& board, std::string_view type_name);

// --- NVIDIA driver (driver_branches.csv, driver_releases.csv, driver_kernels.csv) ---

enum class BranchKind : std::uint8_t { legacy, production, lts, unknown };

struct DriverBranch {
  unsigned branch = 0;  ///< 16
  unsigned series = 0;  ///< 535, of R535
  BranchKind kind = BranchKind::unknown;
  unsigned end_of_life = 0;  ///< year * 100 + month, the last month of support; 0: not known
  Confidence confidence = Confidence::low;
  std::string_view source;
};

std::optional<DriverBranch> find_branch(unsigned branch);

/// By the first number of a driver version, whether or not the rest is known: "535.99.01", "535.x", "R535" are branch 16. Nothing for
/// series that never were vGPU branches (545, 560).
std::optional<DriverBranch> branch_of(std::string_view version);

struct DriverRelease {
  std::string_view version;         ///< host driver, "535.161.05"
  std::string_view guest_versions;  ///< Linux guest drivers of the release, separated by semicolons; empty: not known
  unsigned branch = 0;
  std::optional<unsigned> minor;       ///< 4 of 16.4; nothing where the number was not seen
  std::optional<unsigned> minor_last;  ///< 5: 16.4 and 16.5 share this host driver
  Confidence confidence = Confidence::low;
  std::string_view source;
};

/// By exact host driver version (Linux Virtual GPU Manager, docs.nvidia.com/vgpu). Guest driver versions differ and are not found.
std::optional<DriverRelease> find_release(std::string_view version);
/// Oldest first.
std::vector<DriverRelease> releases_of(unsigned branch);
std::string to_string(const DriverRelease& release);  ///< "16.4/16.5"

struct BuildAnswer {
  Verdict builds = Verdict::unknown;
  std::string_view evidence;  ///< one or two sentences, never empty
  Confidence confidence = Confidence::low;
  std::string_view source;  ///< empty where there is no report
};
/// Does this host driver build on this kernel ("535.161.05", "6.8.12-4-pve")? Community experience (GPU-FACTS 1.5), so a gate should let
/// its user overrule it. A version that is newer than all releases known of its branch counts as the next release; any other unknown
/// version is judged only by what holds for the whole branch.
BuildAnswer builds_on(std::string_view version, std::string_view kernel_release);

// --- Proxmox VE (pve_kernels.csv) ---

enum class KernelRole : std::uint8_t { standard, opt_in, accepted };  ///< accepted: runs, but is another minor release's kernel

struct PveKernel {
  MajorMinor kernel;
  KernelRole role = KernelRole::standard;
  std::string_view debian;  ///< codename
  Confidence confidence = Confidence::low;
  std::string_view source;
};
/// The kernel series of a Proxmox VE release ("8.4.1"), its default first. Empty: release unknown (PVE-FACTS 5.2).
std::vector<PveKernel> pve_kernels(std::string_view pve_release);

// --- Intel (intel_platforms.csv, intel_gpus.csv, intel_dkms.csv) ---

struct IntelGpu {
  std::string_view name;      ///< "Intel UHD Graphics 730"
  std::string_view platform;  ///< "Alder Lake-S"
  bool integrated = false;
  bool gvtg = false;                    ///< i915.enable_gvt=1: Broadwell to Comet Lake, not Ice Lake (intel_gvt.c)
  std::string_view dkms_from;           ///< first i915-sriov-dkms tag whose i915 gives it VFs; empty: none does
  std::optional<MajorMinor> xe_kernel;  ///< first kernel whose own xe gives it VFs
  bool xe_force_probe = false;          ///< xe takes it only with xe.force_probe
  unsigned max_vfs = 0;                 ///< 0: unknown or none; the truth is sriov_totalvfs
  Confidence confidence = Confidence::low;
  std::string_view source;
  std::string_view notes;
};
/// By device id (vendor 8086; VFs have the id of their PF). Nothing for GPUs before Broadwell and for what is not a GPU.
std::optional<IntelGpu> find_intel_gpu(std::uint16_t device);

enum class DkmsKind : std::uint8_t { release, prerelease, branch };

struct DkmsTag {
  std::string_view tag;
  DkmsKind kind = DkmsKind::release;
  MajorMinor kernel_first, kernel_last;
  std::string_view modules;   ///< "i915;kvmgt"
  bool blacklist_xe = false;  ///< its README wants module_blacklist=xe with i915
  Confidence confidence = Confidence::low;
  std::string_view source;
};
std::optional<DkmsTag> find_dkms(std::string_view tag);

/// Does the tag's dkms.conf let this kernel through? Outside its window DKMS skips the build silently, and the stock module loads.
Verdict dkms_builds(std::string_view tag, std::string_view kernel_release);

/// The newest release whose window has this kernel.
std::optional<DkmsTag> newest_dkms(std::string_view kernel_release);

// --- Words for results and messages, as DESIGN.md and schema.json spell them ---

std::string_view to_text(Confidence value);
std::string_view to_text(Verdict value);
std::string_view to_text(Technology value);
std::string_view to_text(Framework value);
std::string_view to_text(DisplayMode value);
std::string_view to_text(Licence value);
std::string_view to_text(BranchKind value);

}  // namespace pvegpu::catalogue
