// SPDX-License-Identifier: MIT
// NVIDIA's vGPU host driver on this host: the user's file, what is installed, what runs, which cards it is for.
#pragma once

#include "common/core/plan.hpp"
#include "common/driver/dkms.hpp"
#include "common/facts/machine.hpp"
#include "common/driver/installation.hpp"

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

/// Which of NVIDIA's kernel modules; automatic: whichever the installer takes, or not known.
enum class Flavour { automatic, open, proprietary };
/// What these boards are driven by in this version, as far as it is wished or matters; an error where that can't be had.
Result<Flavour> needed_flavour(Flavour wished, std::string_view version, const std::vector<catalogue::Board>& boards);
/// The installer's options for it.
std::vector<std::string> flavour_options(Flavour needed, std::string_view version);
/// Of the module that this kernel will load: by its licence, which is NVIDIA's own or "Dual MIT/GPL"; else by what runs, if that is the
/// same version.
Flavour built_flavour(const HostView& host, const std::string& kernel);
/// Of the driver that is loaded.
Flavour running_flavour(const HostView& host);
/// " (proprietary kernel modules)" for what is not the flavour that is needed, "" for what is, or may be.
std::string wrong_flavour(Flavour needed, Flavour is);

/// A Linux guest driver that fits a host driver.
struct GuestDriver {
  unsigned branch = 0;
  std::string release, version;

  static void fields(Reply<GuestDriver>& out);
};
/// Guest drivers that fit this host driver: of its own branch, of the one before, and of the LTS branch before an LTS branch.
std::vector<GuestDriver> guest_versions(std::string_view version);

/// What to take instead of a driver that does not serve all of these boards: "; take one of branch 16 that builds on kernel …".
std::string branch_advice(const std::vector<catalogue::Board>& boards, const std::string& kernel);
/// Whether this driver builds on a kernel. `tries`: one on which it is known not to is told as one of which nothing is known.
KernelVerdict judge_nvidia_on(const HostView& host, const std::string& version, const std::string& kernel, bool tries);
/// The vGPU types of these boards by the licence that a guest with them needs.
std::map<std::string, std::vector<std::string>> types_by_licence(const std::vector<catalogue::Board>& boards);

/// What is installed, as one word: "535.161.05"; "535.161.05 (half installed)" and the like for what has to be installed again;
/// nullopt when nothing is.
std::optional<std::string> installed_nvidia(const HostView& host);
/// Version of the module that this kernel will load.
std::optional<std::string> built_nvidia(const HostView& host, const std::string& kernel);
inline constexpr const char* nvidia_note = "nvidia_driver";  ///< the module that notes what it began

extern const DriverKind nvidia_kind;
inline constexpr const char* nvidia_installer_log = "/var/log/nvidia-installer.log";
/// Runs the installer `copy`. The error says what the logs do.
Result<> run_nvidia_installer(Host& host, const std::string& copy, const std::string& version, const std::vector<std::string>& options);
/// A step that gets the daemons up that guests need, and at boot. `fresh`: an earlier step brings them.
void plan_vgpu_daemons(const HostView& host, const std::vector<std::string>& cards, bool fresh, Plan& out);

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
