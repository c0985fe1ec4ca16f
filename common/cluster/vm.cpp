// SPDX-License-Identifier: MIT
// VMs by their number.
#include "common/cluster/vm.hpp"

#include "common/cluster/api_error.hpp"
#include "common/base/sha1.hpp"
#include "common/base/strings.hpp"

#include <cerrno>

namespace pvegpu::cluster {
namespace {

constexpr int most_clashes = 8;

Error not_here(const HostView& host, const Membership& membership, std::int64_t vmid) {
  for (const std::string& node : host.list_dir("/etc/pve/nodes").value_or({}))
    for (const char* kind : {"qemu-server", "lxc"}) {
      if (!host.exists(fmt::format("/etc/pve/nodes/{}/{}/{}.conf", node, kind, vmid))) continue;
      if (std::string_view(kind) == "lxc") return Error{fmt::format("{} is a container, and only VMs have hostpci", vmid)};
      return Error{fmt::format("guest {} is on node {}, and this is {}: run the task there", vmid, node, membership.node)};
    }
  return Error{fmt::format("there is no guest {} in this cluster; make it first, or correct vmid", vmid), ENOENT};
}

}  // namespace

bool vm_runs(const HostView& host, std::int64_t vmid) {
  const auto pid = host.read_attr(fmt::format("/run/qemu-server/{}.pid", vmid));
  if (!pid || pid->empty()) return false;
  const auto cmdline = host.read_file(fmt::format("/proc/{}/cmdline", *pid));
  return cmdline && text::contains(*cmdline, fmt::format("/run/qemu-server/{}.pid", vmid));
}

Result<Vm> find_vm(Reader& reader, const Membership& membership, std::int64_t vmid) {
  const HostView& host = reader.host();
  Vm out;
  out.path = fmt::format("/etc/pve/nodes/{}/qemu-server/{}.conf", membership.node, vmid);
  const auto text = host.read_file(out.path);
  if (!text && text.error().not_found()) return not_here(host, membership, vmid);
  out.sections = text::parse_guest_sections(PVEGPU_TRY(text));
  const auto value = [&](std::string_view key) {
    const std::string* found = out.sections[0].find(key);
    return found ? *found : std::string();
  };
  out.name = value("name");
  out.lock = value("lock");
  out.is_template = value("template") == "1";
  out.running = vm_runs(host, vmid);
  return out;
}

Result<std::optional<std::string>> next_vm_option(const HostView& host, const std::string& path, const std::string& key) {
  return text::guest_option(text::parse_guest_sections(PVEGPU_TRY(host.read_file(path))), key).next;
}

Result<> set_vm_option(Host& host, const std::string& path, std::int64_t vmid, const std::string& key,
                       const std::optional<std::string>& now, const std::optional<std::string>& wanted) {
  std::string cause;
  for (int clash = 0; clash < most_clashes; ++clash) {
    if (clash > 0) host.pause(std::chrono::milliseconds(100 * clash));
    const std::string bytes = PVEGPU_TRY(host.read_file(path));
    if (text::guest_option(text::parse_guest_sections(bytes), key).next != now)
      return Error{fmt::format("somebody else changed {} in {} meanwhile; run the task again", key, path)};
    std::vector<std::string> argv = {"qm", "set", std::to_string(vmid)};
    if (wanted)
      argv.insert(argv.end(), {"--" + key, *wanted});
    else
      argv.insert(argv.end(), {"--delete", key});
    argv.insert(argv.end(), {"--digest", text::sha1_hex(bytes)});
    const CommandResult done = PVEGPU_TRY(host.run({argv}));
    if (done.timed_out) return Error{fmt::format("qm set {} did not end within 120 s", vmid)};
    if (done.exit_code == 0) return {};
    const std::string said = text::trim(done.err);
    cause = cause_of(done);
    // API2/Qemu.pm (update_vm_api), and PVE::Tools::assert_if_modified.
    if (!text::contains(said, "checksum mismatch") && !text::contains(said, "detected modified configuration")) break;
  }
  return Error{fmt::format("qm set {}: {}", vmid, cause)};
}

Step vm_option_step(const Vm& vm, std::int64_t vmid, const std::string& key, const std::optional<std::string>& now,
                    const std::optional<std::string>& wanted) {
  Step step;
  step.target = fmt::format("{} of guest {}", key, vmid);
  step.current = now;
  step.desired = wanted;
  step.observe = [path = vm.path, key](const HostView& host) { return next_vm_option(host, path, key); };
  step.apply = [path = vm.path, vmid, key, now, wanted](Host& host) { return set_vm_option(host, path, vmid, key, now, wanted); };
  return step;
}

}  // namespace pvegpu::cluster
