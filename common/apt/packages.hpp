// SPDX-License-Identifier: MIT
// What dpkg has of a package, and what APT would do to install or remove it.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::apt {

/// A package in dpkg's books, whole or not.
struct Package {
  std::string version;
  std::string state;              ///< "installed", "half-configured", "config-files" … (dpkg(1), PACKAGE STATES)
  bool held = false;              ///< apt-mark hold
  bool automatic = false;         ///< it came along with others (apt-mark showauto)
  bool is_installed() const;      ///< and configured: others can rely on it
  bool is_there() const;          ///< more than its configuration files is
  std::string described() const;  ///< "1.2", "1.2 (half-configured)"
};
/// Read from /var/lib/dpkg/status; nullopt: dpkg knows nothing of it.
Result<std::optional<Package>> find_package(const HostView& host, const std::string& name);

/// Why nothing can be installed or removed now: dpkg was interrupted. Empty when it was not.
std::string dpkg_obstacle(const HostView& host);

/// One that APT would install, configure or remove.
struct Change {
  std::string name, version;
};
struct Simulation {
  std::vector<Change> comes;  ///< the package itself too; those that are there already and are only configured or replaced: `stays`
  std::vector<Change> stays;
  std::vector<Change> goes;
  std::string refusal;  ///< why APT does nothing
  const Change* find(const std::string& name) const;
};
Simulation simulate_install(const HostView& host, const std::string& name);
Simulation simulate_purge(const HostView& host, const std::vector<std::string>& names);

/// Why no package source offers this package, and what to do; `cure` may be empty.
std::string not_offered(const HostView& host, const std::string& name, const std::string& cure);

/// What is run, and what its failure means in one sentence.
std::vector<std::string> install_command(const std::string& name);
std::vector<std::string> remove_command(const std::vector<std::string>& names, bool keep_configuration);
std::string explain_failure(const std::string& said);

}  // namespace pvegpu::apt
