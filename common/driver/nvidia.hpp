// SPDX-License-Identifier: MIT
// NVIDIA's vGPU host driver on this host: the user's file, what is installed, what runs, which cards it is for.
#pragma once

#include "common/core/plan.hpp"
#include "common/driver/dkms.hpp"
#include "common/facts/machine.hpp"
#include "common/driver/install.hpp"

namespace pvegpu::driver {

inline constexpr const char* vgpu_manager = "nvidia-vgpu-mgr.service";
inline constexpr const char* vgpu_daemon = "nvidia-vgpud.service";

/// What NVIDIA's file names say (GPU-FACTS 1.2).
struct NvidiaFile {
  enum class Kind { host, patched_host, guest, plain, package, archive, other };
  Kind kind = Kind::other;
  std::string version;
};
NvidiaFile parse_nvidia_file(std::string_view path);
/// Why it can't be installed as a vGPU host driver and what to take instead, "" when it can.
std::string why_not_host_driver(const NvidiaFile& file, std::string_view path);

/// The open kernel modules do not drive it: they begin with Turing.
bool needs_proprietary(const catalogue::Board& board);

/// The options that choose the kernel modules' flavour; an error where this version has no choice.
enum class Flavour { automatic, open, proprietary };
Result<std::vector<std::string>> flavour_options(Flavour flavour, std::string_view version, const std::vector<catalogue::Board>& boards);

/// A Linux guest driver that fits a host driver.
struct GuestDriver {
  unsigned branch = 0;
  std::string release, version;

  static void fields(Reply<GuestDriver>& out);
};
/// Guest drivers that fit this host driver: of its own branch, of the one before, and of the LTS branch before an LTS branch.
std::vector<GuestDriver> guest_versions(std::string_view version);

/// What is installed, as one word: "535.161.05"; "535.161.05 (half installed)" and the like for what has to be installed again;
/// nullopt when nothing is.
std::optional<std::string> installed_nvidia(const HostView& host);
inline constexpr const char* nvidia_dir = "/var/lib/pve-gpu/nvidia_driver";

/// Packages and modules of others that stand in the way: a sentence, "" when there are none.
std::string rival_driver(const HostView& host, const std::string& kernel);

/// The NVIDIA cards that are meant: by address or by name of the board; all that do vGPU when nothing is named.
/// Throws ModuleError that names `parameter` for what is not there.
std::vector<const gpu::Gpu*> select_boards(const gpu::Machine& hardware, const std::vector<std::string>& wanted,
                                           const std::string& parameter);

/// Loaded modules of NVIDIA's driver in the order in which they can be removed.
std::vector<std::string> loaded_nvidia_modules(const HostView& host);
/// Steps that stop what uses the driver, take the VFs away and unload it, one effect each. An error names who holds it.
void plan_unload(const HostView& host, const std::vector<std::string>& cards_with_vfs, Plan& out);

/// What nvidia-vgpud says about cards (GPU-FACTS 1.3): addresses that it does not support.
std::vector<std::string> cards_refused_by_vgpud(std::string_view log);

}  // namespace pvegpu::driver
