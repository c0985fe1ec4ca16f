// SPDX-License-Identifier: MIT
// Intel's SR-IOV: strongtz's i915-sriov-dkms on this host, and the kernel parameters that it takes. GPU-FACTS 5.1.
#pragma once

#include "common/boot/cmdline.hpp"
#include "common/driver/installation.hpp"
#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::driver {

inline constexpr const char* i915_package = "i915-sriov-dkms";
inline constexpr const char* i915_note = "i915_sriov_driver";  ///< the module that notes what it began
/// Only a branch, which has no packages, serves kernels before 6.8.
inline constexpr const char* i915_branch = "intel-lts-v6.1";

/// What its file names say: i915-sriov-dkms_VERSION_amd64.deb of a release, i915-sriov-dkms-REF.tar.gz of a branch or tag.
struct I915File {
  enum class Kind { package, source, other };
  Kind kind = Kind::other;
  std::string version;  ///< tag or branch
};
I915File parse_i915_file(std::string_view path);

/// What is installed, as one word: "2025.07.22"; "2025.07.22 (half installed)" and the like for what has to be installed again; nullopt
/// when nothing is.
std::optional<std::string> installed_i915(const HostView& host);
/// dpkg has it, whole or not; else its source was unpacked from an archive.
bool i915_is_package(const HostView& host);
std::string i915_source(std::string_view version);

extern const DriverKind i915_kind;
/// Installs from our copy, a package or the archive of a branch. The error says what the log of the build does.
Result<> install_i915(Host& host, const std::string& copy, const std::string& version, bool package);

/// The module of that name that a kernel will load, as libkmod finds it, has the parameter max_vfs. The kernel's own i915 has not.
bool module_makes_vfs(const HostView& host, const std::string& module, const std::string& kernel);
/// The same as a sentence of what is wrong, "" when nothing is.
std::string why_no_vfs(const HostView& host, const std::string& module, const std::string& kernel);

/// Whether this version of i915-sriov-dkms is made for a kernel.
KernelVerdict judge_i915_on(const HostView& host, const gpu::HostFacts& facts, const std::string& version, const std::string& kernel);
/// Whether a kernel's own xe makes VFs of this GPU. `limits_vfs`: its parameter max_vfs is wished.
KernelVerdict judge_xe_on(const HostView& host, const gpu::Gpu& gpu, bool limits_vfs, const std::string& kernel);

/// Why the i915 that runs is not this one, which the next boot loads; "" when it is. It draws the host's console, so that another one comes
/// with a boot only. The reason is the same until it has come, so that a boot that did not bring it is noticed.
std::string why_not_running(const HostView& host, const gpu::HostFacts& facts, const std::string& version, std::int64_t max_vfs,
                            const std::vector<const gpu::Gpu*>& gpus);
/// The first of these GPUs that another driver has, or none, as a sentence; "" when this driver has them all.
std::string why_not_bound(const std::vector<const gpu::Gpu*>& gpus, const std::string& driver);

inline constexpr std::int64_t most_vfs = 7;  ///< of i915; a write of 8 is answered with ERANGE (GPU-FACTS 5.1)
inline constexpr std::int64_t most_xe_vfs = 63;

/// What i915 needs on the kernel's command line.
std::vector<text::KernelParameter> i915_parameters(std::int64_t max_vfs);
/// What xe needs there for these GPUs.
std::vector<text::KernelParameter> xe_parameters(std::string_view cmdline, const std::optional<std::int64_t>& max_vfs,
                                                 const std::vector<const gpu::Gpu*>& gpus);
/// module_blacklist= as it is on this command line, with `rival` and without `driver`. The kernel takes the last one only.
text::KernelParameter blacklisted(std::string_view cmdline, std::string_view rival, std::string_view driver);

/// The command line for the driver `own` (i915 or xe) of these GPUs (their device ids): `present`, nothing that keeps it away, and nothing
/// else that the module may ever have put there.
boot::CmdlineWish igpu_cmdline(const HostView& host, const BootFacts& facts, const std::string& own,
                               std::vector<text::KernelParameter> present, boot::Conflicts conflicts,
                               const std::vector<std::string>& devices);
/// The same when the module's part goes: also what it left of lists of others when it took the driver out of them.
boot::CmdlineWish without_igpu_cmdline(const HostView& host, const Plan& plan, const BootFacts& facts,
                                       const std::vector<std::string>& devices);

}  // namespace pvegpu::driver
