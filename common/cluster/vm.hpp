// SPDX-License-Identifier: MIT
// One VM or template of this node.
#pragma once

#include "common/cluster/membership.hpp"
#include "common/core/plan.hpp"
#include "common/text/guest_sections.hpp"

namespace pvegpu::cluster {

struct Vm {
  std::string path;  ///< of its configuration
  std::vector<text::GuestSection> sections;
  std::string name;
  std::string lock;  ///< "backup", "migrate" …: something works on it
  bool is_template = false;
  bool running = false;
};

/// By its process: a pid file may be left of a guest that died, and its number be another process by now, so that qemu-server
/// (Helpers.pm, vm_running_locally) looks for -pidfile on the command line.
bool vm_runs(const HostView& host, std::int64_t vmid);

/// The error is a sentence that says what to do: there is no such guest, it is on another node, it is a container. Its code is ENOENT
/// only when no node has it.
Result<Vm> find_vm(Reader& reader, const Membership& membership, std::int64_t vmid);

/// What the option in this configuration will be at the guest's next start.
Result<std::optional<std::string>> next_vm_option(const HostView& host, const std::string& path, const std::string& key);

/// `qm set` (nullopt: --delete) with the digest of a configuration in which the option still is `now`. When others write other options
/// at the same time it is tried again.
Result<> set_vm_option(Host& host, const std::string& path, std::int64_t vmid, const std::string& key,
                       const std::optional<std::string>& now, const std::optional<std::string>& wanted);

/// The step that makes it so of what stands there `now`.
Step vm_option_step(const Vm& vm, std::int64_t vmid, const std::string& key, const std::optional<std::string>& now,
                    const std::optional<std::string>& wanted);

}  // namespace pvegpu::cluster
