// SPDX-License-Identifier: MIT
// What is asked for a recording.
#include "common/core/judgements.hpp"

#include "common/base/strings.hpp"
#include "common/core/mask.hpp"
#include "common/record/privacy.hpp"

#include "version.hpp"

namespace pvegpu {
namespace {

/// "MODULE ARGUMENTS". A word with $ stands for each thing of its kind that the host has (Things).
constexpr const char* always[] = {
    R"(host_info {})",
    R"(diagnose {})",
    R"(diagnose {"gpu": "$gpu", "way": "passthrough"})",
    R"(diagnose {"gpu": "$gpu", "way": "nvidia_vgpu"})",
    R"(diagnose {"gpu": "$gpu", "way": "intel_vgpu"})",
    R"(diagnose {"gpu": "$gpu", "way": "intel_gvtg"})",
    R"(diagnose {"mapping": "$mapping"})",
    R"(diagnose {"vmid": $vmid})",
    R"(iommu {})",
    R"(iommu {"dma_mode": "pt"})",
    R"(iommu {"conflicts": "remove"})",
    R"(iommu {"state": "absent", "conflicts": "remove"})",
    R"(kernel_cmdline {"parameters": ["iommu=pt"]})",
    R"(kernel_cmdline {"parameters": ["iommu=pt"], "state": "absent"})",
    R"(kernel_gate {})",
    R"(kernel_gate {"kernels": ["$kernel"]})",
    R"(kernel_gate {"kernels": ["6.17.2-1-pve"]})",
    R"(kernel_pin {"kernel": "$kernel"})",
    R"(kernel_pin {"kernel": "$kernel", "next_boot": true})",
    R"(kernel_pin {"state": "absent"})",
    R"(microcode {})",
    R"(microcode {"state": "absent"})",
    R"(repo {})",
    R"(repo {"channel": "no-subscription"})",
    R"(repo {"channel": "enterprise"})",
    R"(repo {"state": "absent"})",
    R"(nvidia_driver {"file": "/root/NVIDIA-Linux-x86_64-$nvidia-vgpu-kvm.run", "allow_unverified": true, "missing": "wait"})",
    R"(nvidia_driver {"state": "absent"})",
    R"(i915_sriov_driver {})",
    R"(i915_sriov_driver {"conflicts": "remove"})",
    R"(i915_sriov_driver {"state": "absent"})",
    R"(display_mode {"devices": ["$gpu"], "mode": "physical_display_disabled", "missing": "wait"})",
    R"(vgpu {})",
    R"(sriov {"device": "all"})",
    R"(sriov {"device": "$gpu"})",
    R"(sriov {"device": "$gpu", "vfs": 0})",
    R"(sriov_service {"device": "all"})",
    R"(sriov_service {"device": "all", "conflicts": "take_over"})",
    R"(sriov_service {"device": "all", "state": "absent"})",
    R"(vfio {"devices": ["$gpu"]})",
    R"(vfio {"devices": ["$gpu"], "bind": "boot", "boot_display": "allow", "ignore_msrs": true})",
    R"(vfio {"state": "absent"})",
    R"(mapping {"id": "$mapping", "state": "absent"})",
    R"(mapping {"id": "pve-gpu", "devices": ["$gpu"]})",
    R"(mapping {"id": "pve-gpu", "vfs_of": ["$gpu"]})",
    R"(hostpci {"vmid": $vmid, "host": ["$gpu"], "slot": 0})",
    R"(hostpci {"vmid": $vmid, "mapping": "$mapping", "slot": 0})",
    R"(hostpci {"vmid": $vmid, "slot": 0, "state": "absent"})",
    R"(node_guard {})",
    R"(node_guard {"running_guests": "movable", "max_nodes_down": 1})",
    R"(follow_ups {})",
};

/// What is looked at besides, because tasks with other arguments ask for it, and judgements of later versions may: directories, what every
/// PCI function shows, kernel modules, logs. Nothing that wakes a device.
constexpr const char* directories[] = {"/sys/bus/pci/devices",
                                       "/etc/apt",
                                       "/etc/apt/sources.list.d",
                                       "/etc/modprobe.d",
                                       "/etc/modules-load.d",
                                       "/etc/pve",
                                       "/etc/pve/nodes",
                                       "/etc/pve/mapping",
                                       "/etc/default/grub.d",
                                       "/boot",
                                       "/usr/src",
                                       "/var/lib/dkms",
                                       "/etc/systemd",
                                       "/etc/systemd/system",
                                       "/sys/bus/mdev/devices",
                                       "/proc/driver/nvidia/gpus"};
constexpr const char* files[] = {"/proc/mounts",
                                 "/proc/cmdline",
                                 "/proc/cpuinfo",
                                 "/proc/modules",
                                 "/proc/iomem",
                                 "/proc/driver/nvidia/version",
                                 "/sys/module/nvidia/version",
                                 "/sys/module/zfs/version"};
constexpr const char* links_of_devices[] = {"", "driver", "iommu_group", "physfn"};
constexpr const char* attributes_of_devices[] = {"vendor",          "device",         "class",       "subsystem_vendor", "subsystem_device",
                                                 "driver_override", "boot_vga",       "numa_node",   "resource",         "reset_method",
                                                 "power_state",     "sriov_totalvfs", "sriov_numvfs"};
constexpr const char* kernel_modules[] = {"nvidia",   "nvidia_vgpu_vfio", "nouveau",          "i915", "xe", "kvmgt", "vfio",
                                          "vfio_pci", "vfio_virqfd",      "vfio_iommu_type1", "mdev", "zfs"};
constexpr const char* units[] = {"nvidia-vgpud.service", "nvidia-vgpu-mgr.service"};

/// Of guests and mappings one is much like another: so many of each template are asked about.
constexpr std::size_t most_of_a_template = 64;

struct Things {
  const char* word;
  std::vector<std::string> values = {};
};

/// What this host has, as host_info tells it and as Proxmox VE lists it.
std::vector<Things> things_of(const json& info, const HostView& host) {
  Things gpus{"$gpu"}, mappings{"$mapping"}, guests{"$vmid"}, kernels{"$kernel"}, drivers{"$nvidia"};
  for (const json& gpu : info.value("gpus", json::array())) gpus.values.push_back(gpu.value("address", ""));
  for (const std::string& line : text::lines(host.read_file("/etc/pve/mapping/pci.cfg").value_or("")))
    if (!line.empty() && std::isalnum(static_cast<unsigned char>(line[0]))) mappings.values.push_back(text::trim(line));
  const json named = info.value("/host/node"_json_pointer, json());
  const std::string node = named.is_string() ? named.get<std::string>() : std::string();
  for (const char* kind : {"qemu-server", "lxc"})
    for (const std::string& name : host.list_dir(fmt::format("/etc/pve/nodes/{}/{}", node, kind)).value_or({}))
      if (name.ends_with(".conf")) guests.values.push_back(name.substr(0, name.size() - 5));
  kernels.values = host.list_dir("/lib/modules").value_or({});
  const json driver = info.value("/host/drivers/nvidia"_json_pointer, json::object());
  for (const char* key : {"version", "installed_version"})
    if (driver.contains(key) && driver[key].is_string()) drivers.values = {driver[key].get<std::string>()};
  if (drivers.values.empty()) drivers.values = {"550.163.02"};
  return {gpus, mappings, guests, kernels, drivers};
}

/// The template with every combination of the things that it names.
std::vector<std::string> filled(const std::string& task, const std::vector<Things>& things) {
  std::vector<std::string> out = {task};
  for (const Things& kind : things) {
    if (!text::contains(task, kind.word)) continue;
    std::vector<std::string> more;
    for (const std::string& one : out)
      for (const std::string& value : kind.values) {
        if (more.size() == most_of_a_template) break;
        more.push_back(one);
        more.back().replace(one.find(kind.word), std::string_view(kind.word).size(), value);
      }
    out = std::move(more);
  }
  return out;
}

void look_around(const HostView& host) {
  for (const char* path : directories) {
    (void)host.stat(path);
    (void)host.list_dir(path);
  }
  for (const char* path : files) (void)host.read_file(path);
  for (const std::string& node : host.list_dir("/etc/pve/nodes").value_or({}))
    for (const char* kind : {"qemu-server", "lxc"}) (void)host.list_dir(fmt::format("/etc/pve/nodes/{}/{}", node, kind));
  for (const PciDevice& device : host.pci_devices().value_or({})) {
    const std::string top = "/sys/bus/pci/devices/" + device.address;
    for (const char* name : links_of_devices) {
      const std::string path = *name ? fmt::format("{}/{}", top, name) : top;
      (void)host.stat(path);
      (void)host.read_link(path);
    }
    (void)host.list_dir(top);
    (void)host.list_dir(top + "/iommu_group/devices");
    for (const char* name : attributes_of_devices) (void)host.read_file(fmt::format("{}/{}", top, name));
  }
  (void)host.query(Query::kernel_log());
  for (const char* unit : units) {
    (void)host.query(Query::unit_state(unit));
    (void)host.query(Query::unit_log(unit));
  }
  for (const PciDevice& device : host.pci_devices().value_or({}))
    if (device.vendor == 0x10de &&
        host.read_link(fmt::format("/sys/bus/pci/devices/{}/driver", device.address)).value_or("").ends_with("/nvidia") &&
        !host.stat(fmt::format("/sys/bus/pci/devices/{}/physfn", device.address)))
      (void)host.query(Query::nvidia_gpu(device.address));
  for (const std::string& address : host.list_dir("/proc/driver/nvidia/gpus").value_or({}))
    for (const char* name : {"information", "power"}) (void)host.read_file(fmt::format("/proc/driver/nvidia/gpus/{}/{}", address, name));
  for (const std::string& release : host.list_dir("/lib/modules").value_or({}))
    for (const char* name : kernel_modules) (void)host.kernel_module(name, release);
}

json run(const std::vector<RegistryEntry>& modules, const std::string& name, json args, Host& host) {
  args["_ansible_check_mode"] = true;
  args["_ansible_diff"] = true;
  for (const RegistryEntry& entry : modules)
    if (name == entry.name) return entry.module().run(args, host);
  return {};
}

}  // namespace

record::Recording record_unmasked(const std::vector<RegistryEntry>& modules, const HostView& host, const std::vector<RecordedTask>& tasks) {
  record::Recorder recorder(host);
  const auto things = things_of(run(modules, "host_info", json::object(), recorder), recorder);
  look_around(recorder);
  for (const std::string task : always)
    for (const std::string& each : filled(task, things)) {
      const auto blank = each.find(' ');
      if (const auto args = parse_json(std::string_view(each).substr(blank + 1))) run(modules, each.substr(0, blank), *args, recorder);
    }
  for (const RecordedTask& task : tasks) run(modules, task.module, task.args, recorder);
  record::Recording out = recorder.recording();
  out.version = PVE_GPU_VERSION;
  return out;
}

record::Recording record_judgements(const std::vector<RegistryEntry>& modules, const HostView& host,
                                    const std::vector<RecordedTask>& tasks) {
  const record::Recording all = record_unmasked(modules, host, tasks);
  return record::masked(all, record::masks_for(all));
}

Answer replay_task(const Module& module, std::string_view args_text, const record::ReplayHost& recorded) {
  auto args = parse_json(args_text);
  if (!args || !args->is_object()) return failed_answer("the module's arguments are no JSON object; give one like {\"name\": \"value\"}");
  (*args)["_ansible_check_mode"] = true;
  record::ReplayHost host = recorded;
  json told;
  try {
    told = module.run(*args, host);
  } catch (const std::exception& error) {
    return failed_answer(unexpected(error));
  }
  if (const auto missing = host.missing(); !missing.empty()) {
    std::string list = missing[0];
    for (std::size_t i = 1; i < missing.size() && i < 5; ++i) list += ", " + missing[i];
    told["warnings"].push_back(
        fmt::format("{} of the questions {} not answered by the recording, so that this may not be what the host would "
                    "say: {}{}; record it with this task: pve-gpu record FILE {} ARGS.json",
                    missing.size(), missing.size() == 1 ? "was" : "were", list, missing.size() > 5 ? ", …" : "", module.doc().name));
  }
  const json shown = cut_short(mask(told, module.secrets(*args)));
  return {dump_json(shown), shown.value("failed", false)};
}

}  // namespace pvegpu
