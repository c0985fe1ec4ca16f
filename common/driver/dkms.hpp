// SPDX-License-Identifier: MIT
// What DKMS needs to build a driver and to sign it, and what its logs say when it could not. For every driver that comes by DKMS.
#pragma once

#include "common/driver/install.hpp"
#include "common/host/boot_facts.hpp"

namespace pvegpu::driver {

inline constexpr const char* signing_key = "/var/lib/dkms/mok.pub";

/// What is missing to build a module for this kernel: a sentence that names the packages; "" when all is there.
std::string missing_for_build(const HostView& host, const std::string& kernel, int pve_release);
/// The same sentence when a task refuses to wait; otherwise "", and the packages that it would name are among `packages`.
std::string missing_for_build(const HostView& host, const std::string& kernel, int pve_release, Missing missing,
                              std::vector<std::string>& packages);

/// The name of the package with a kernel's headers (PVE-FACTS 5.2).
std::string headers_package(const std::string& kernel, int pve_release);

/// Version of a module's file for one kernel, "" when it has none of its own; nullopt without such a file.
std::optional<std::string> built_version(const HostView& host, const std::string& module, const std::string& kernel);

/// Whether a module that DKMS signs will be loaded by a kernel under Secure Boot.
enum class Signing {
  not_needed,  ///< no Secure Boot
  trusted,
  requested,  ///< the next boot asks for it on the console
  missing,
  unknown,  ///< Secure Boot is on, and mokutil is not there or says something else
};
Signing signing(const HostView& host, const BootFacts& boot);
/// What a person has to do about it, with every key to press; "" when nothing.
std::string signing_advice(const HostView& host, Signing state);

/// The lines of a build or installer log that say what went wrong, at most `most`.
std::vector<std::string> telling_lines(std::string_view log, std::size_t most = 6);

/// The tree /usr/src/NAME-VERSION with a dkms.conf; the versions.
std::vector<std::string> dkms_sources(const HostView& host, const std::string& name);

/// The version whose build DKMS has installed for a kernel: where its link kernel-KERNEL-x86_64 leads (dkms: VERSION/KERNEL/ARCH).
std::optional<std::string> dkms_installed(const HostView& host, const std::string& name, const std::string& kernel);

/// Building and installing what is in such a tree for one kernel. A failure quotes the log of the build.
Programs dkms_install(const std::string& name, const std::string& version, const std::string& kernel);
/// Takes all versions and their builds away.
Result<> dkms_remove(Host& host, const std::string& name);

}  // namespace pvegpu::driver
