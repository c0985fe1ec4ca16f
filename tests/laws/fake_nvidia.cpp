// SPDX-License-Identifier: MIT
// NVIDIA's programs in memory.
#include "tests/laws/fake_nvidia.hpp"

#include "common/driver/nvidia.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fake_journal.hpp"

#include <algorithm>

namespace pvegpu::laws {
namespace {

using Argv = std::vector<std::string>;

constexpr const char* units = "/run/rack-units";  ///< a file for each that was started, with its state (tests/rack/cardstate.py)
/// Links of enabled units: not in /etc, because `systemctl enable` reloads systemd itself.
const std::string wants = "/var/lib/fake-wants/";
constexpr const char* log_file = "/var/log/nvidia-installer.log";
const std::vector<std::string> programs = {"/usr/bin/nvidia-uninstall", "/usr/bin/nvidia-vgpu-mgr", "/usr/bin/nvidia-vgpud",
                                           "/usr/bin/nvidia-smi", "/usr/lib/nvidia/sriov-manage"};
const std::vector<std::string> services = {driver::vgpu_manager, driver::vgpu_daemon};

std::string module_file(const std::string& kernel, const std::string& name) {
  return fmt::format("/lib/modules/{}/updates/dkms/{}.ko", kernel, name);
}

/// The licence tells the flavour, where the installer was told one: DKMS builds again what it has the sources of.
void build(FakeHost& host, const std::string& version, const std::string& kernel) {
  const std::string conf = host.read_file(fmt::format("/usr/src/nvidia-{}/dkms.conf", version)).value_or("");
  const bool open = text::contains(conf, "kernel-open") || text::contains(conf, "type=open");
  const std::string license = open ? "license=Dual MIT/GPL\n" : text::contains(conf, "# -") ? "license=NVIDIA\n" : "";
  for (const char* name : {"nvidia", "nvidia-vgpu-vfio"}) host.file(module_file(kernel, name), "version=" + version + "\n" + license);
}

void uninstall(FakeHost& host) {
  for (const std::string& kernel : host.list_dir("/lib/modules").value_or({}))
    for (const char* name : {"nvidia", "nvidia-vgpu-vfio"}) host.take(module_file(kernel, name), "/lib/modules/" + kernel);
  for (const std::string& path : programs) host.take(path, path.starts_with("/usr/lib") ? "/usr/lib" : "/usr/bin");
  for (const std::string& unit : services) {
    host.take("/usr/lib/systemd/system/" + unit, "/usr/lib");
    host.take(wants + unit, "/var/lib");
    host.take(fmt::format("{}/{}", units, unit), "/run");
  }
  for (const std::string& version : driver::dkms_sources(host, "nvidia")) {
    host.take(fmt::format("/usr/src/nvidia-{}/dkms.conf", version), "/usr/src");
    if (host.exists("/var/lib/dkms/nvidia/" + version)) host.gone("/var/lib/dkms/nvidia/" + version);
  }
  for (const char* dir : {"/var/lib/dkms/nvidia"})
    if (const auto names = host.list_dir(dir); names && names->empty()) host.gone(dir);
}

CommandResult failed(FakeHost& host, const std::string& version, const std::string& text) {
  host.file(log_file, fmt::format("nvidia-installer log file '{}'\ninstaller version: {}\n\n{}\n", log_file, version, text));
  return {1, false, "", text + "\n"};
}

CommandResult install(FakeHost& host, const std::string& version, const std::string& mode, const Argv& argv) {
  const std::string kernel = host.kernel_release();
  if (host.exists("/sys/module/nouveau/initstate"))
    return failed(host, version, "ERROR: The Nouveau kernel driver is currently in use by your system.");
  if (host.exists("/sys/module/nvidia/initstate"))
    return failed(host, version, "ERROR: An NVIDIA kernel module 'nvidia' appears to already be loaded in your kernel.");
  if (mode == "nothing") return {};
  uninstall(host);
  host.file(fmt::format("/usr/src/nvidia-{}/dkms.conf", version), fmt::format("PACKAGE_VERSION=\"{}\"\n", version));
  for (const std::string& word : argv)
    if (word.starts_with("-m=") || word.starts_with("--kernel-module-type="))
      host.file(fmt::format("/usr/src/nvidia-{}/dkms.conf", version), fmt::format("PACKAGE_VERSION=\"{}\"\n# {}\n", version, word));
  if (mode == "build_fails") {
    host.file(
        fmt::format("/var/lib/dkms/nvidia/{}/build/make.log", version),
        fmt::format("make[1]: Entering directory '/usr/src/linux-headers-{}'\nnvidia/nv.c:30:10: fatal error: nv-firmware.h: No such file "
                    "or directory\ncompilation terminated.\n",
                    kernel));
    return failed(
        host, version,
        fmt::format("ERROR: Failed to run `/usr/sbin/dkms build -m nvidia -v {} -k {}`:\nError! Bad return status for module build on "
                    "kernel: {} (x86_64)",
                    version, kernel, kernel));
  }
  build(host, version, kernel);
  host.file("/usr/bin/nvidia-uninstall", version + "\n", 0755);
  if (mode == "half") return {128 + 9, false, "", ""};
  for (const std::string& path : programs) host.file(path, version + "\n", 0755);
  for (const std::string& unit : services) host.file("/usr/lib/systemd/system/" + unit, "[Install]\nWantedBy=multi-user.target\n");
  return {};
}

std::vector<std::string> cards(const FakeHost& host) {
  std::vector<std::string> out;
  for (const PciDevice& device : host.pci_devices().value_or({})) {
    const std::string at = "/sys/bus/pci/devices/" + device.address;
    if (device.vendor == 0x10de && device.device_class >> 8 == 3 && !host.exists(at + "/physfn")) out.push_back(device.address);
  }
  return out;
}

std::string real_directory(const FakeHost& host, const std::string& address) {
  const std::string link = host.read_link("/sys/bus/pci/devices/" + address).value_or("");
  return "/sys" + link.substr(link.find("/devices"));
}

/// The kernel module binds the cards that no other driver has.
void bind_cards(FakeHost& host, const KernelModule& module) {
  host.file("/sys/module/nvidia/version", module.version + "\n", 0444);
  if (!module.license.empty())
    host.file("/proc/driver/nvidia/version",
              fmt::format("NVRM version: NVIDIA UNIX {}  {}  Release Build\n",
                          module.license == "NVIDIA" ? "x86_64 Kernel Module" : "Open Kernel Module for x86_64", module.version),
              0444);
  for (const std::string& address : cards(host)) {
    if (host.exists(fmt::format("/sys/bus/pci/devices/{}/driver", address))) continue;
    host.dir("/sys/bus/pci/drivers/nvidia");
    host.link(real_directory(host, address) + "/driver", "/sys/bus/pci/drivers/nvidia");
    host.file(fmt::format("/proc/driver/nvidia/gpus/{}/information", address), "Model: \t\t NVIDIA\n", 0444);
  }
}

void release_cards(FakeHost& host) {
  for (const std::string& address : cards(host)) {
    const std::string link = real_directory(host, address) + "/driver";
    if (host.read_link(link).value_or("").ends_with("/nvidia")) host.gone(link);
  }
  for (const char* path : {"/sys/bus/pci/drivers/nvidia", "/proc/driver/nvidia"})
    if (host.exists(path)) host.gone(path);
  // as it was on a host that never had an NVIDIA driver
  if (const auto names = host.list_dir("/proc/driver"); names && names->empty()) host.gone("/proc/driver");
}

CommandResult unit_answer(const FakeHost& host, const std::string& unit) {
  const bool there = host.exists("/usr/lib/systemd/system/" + unit);
  auto state = text::words(host.read_file(fmt::format("{}/{}", units, unit)).value_or(""));
  if (state.size() != 2) state = {"inactive", "dead"};
  const bool enabled = host.exists(wants + unit) || host.stat("/etc/systemd/system/multi-user.target.wants/" + unit, Links::keep);
  return {0, false,
          fmt::format("LoadState={}\nActiveState={}\nSubState={}\nUnitFileState={}\n", there ? "loaded" : "not-found", state[0], state[1],
                      !there    ? ""
                      : enabled ? "enabled"
                                : "disabled"),
          ""};
}

/// displaymodeselector: the mode is in the firmware (here: in /proc) at once and shows at the next boot. Texts as 1.48 and 1.72 print them.
CommandResult select_mode(FakeHost& host, const Argv& argv, const std::string& mode) {
  const std::string banner =
      "NVIDIA Display Mode Selector Utility (Version 1.72.0)\nCopyright (C) 2015-2025, NVIDIA Corporation. All Rights Reserved.\n\n";
  if (host.exists("/sys/module/nvidia/initstate"))
    return {
        134, false, banner,
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  In order to avoid the irreparable damage to your "
        "graphics\nadapter it is necessary to unload the NVIDIA kernel driver first:\n"};
  if (mode == "no_dev_mem") return {1, false, banner, "/dev/mem: Operation not permitted. Access to physical memory denied\n"};
  auto all = cards(host);
  std::reverse(all.begin(), all.end());  // its order is not lspci's
  if (mode == "unlisted") all.clear();
  const auto line = [](const std::string& address) {
    std::string bus = address.substr(5, 2);
    for (char& c : bus) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return fmt::format("Graphics Device      (10DE,2231,10DE,147E) S:00,B:{},D:00,F:00\n", bus);
  };
  if (argv.at(1) == "--list") {
    std::string out = banner + "NVIDIA display adapters present in system:\n";
    for (std::size_t i = 0; i < all.size(); ++i) out += fmt::format("<{}> {}", i, line(all[i]));
    return {0, false, out, ""};
  }
  if (argv.size() != 6 || argv[1] != "--gpumode" || argv[3] != "-i" || argv[5] != "--auto" || mode == "asks")
    return {1, false, banner + "Are you sure you want to continue?\nPress 'y' to confirm (any other key to abort):\n", ""};
  const std::string& address = all.at(static_cast<std::size_t>(std::atoi(argv[4].c_str())));
  const std::string before = banner + fmt::format("Specifed GPU Mode \"{}\"\n\n{}\n", argv[2], line(address));
  if (mode == "unsupported") return {0, false, before + "Specified GPU mode not supported on this device 0x25B6.\n", ""};
  if (mode == "falcon") return {1, false, before + "ERROR: Falcon In HALT or STOP state, abort uCode command issuing process.\n", ""};
  host.file("/proc/fake-firmware/" + address, argv[2] + "\n");
  return {
      0, false,
      before + fmt::format("Write InfoROM object succesfully\nSuccessfully updated GPU mode to \"{}\" ( Mode 4 ).\n\nA reboot is required "
                           "for the update to take effect.\n",
                           argv[2]),
      ""};
}

}  // namespace

void add_nvidia(FakeHost& host, const json& knobs) {
  const std::string mode = knobs.value("installer", "ok"), vgpud = knobs.value("vgpud", "ok"), display = knobs.value("display", "ok");
  const bool manager_lives = knobs.value("manager", "ok") == "ok", loads = knobs.value("loads", true);
  for (const std::string& name : host.list_dir("/root").value_or({})) {
    if (name.starts_with("displaymodeselector"))
      host.program("/var/lib/pve-gpu/display_mode/" + text::sha256_hex(host.bytes("/root/" + name)),
                   [display](FakeHost& h, const Argv& argv) { return select_mode(h, argv, display); });
    const auto file = driver::parse_nvidia_file(name);
    if (file.version.empty()) continue;
    const std::string sum = text::sha256_hex(host.bytes("/root/" + name));
    host.program(fmt::format("{}/{}", driver::copies_of(driver::nvidia_kind), sum),
                 [version = file.version, mode](FakeHost& h, const Argv& argv) {
                   if (std::find(argv.begin(), argv.end(), "--uninstall") != argv.end()) {
                     uninstall(h);
                     return CommandResult{};
                   }
                   return install(h, version, mode, argv);
                 });
  }
  host.program("/usr/bin/nvidia-uninstall", [](FakeHost& h, const Argv&) {
    uninstall(h);
    return CommandResult{};
  });
  host.program("dkms install", [](FakeHost& h, const Argv& argv) {
    const std::string version = argv.at(5), kernel = argv.at(7);
    if (!h.exists(fmt::format("/usr/src/nvidia-{}/dkms.conf", version)))
      return CommandResult{3, false, "", "Error! Could not find module source"};
    build(h, version, kernel);
    return CommandResult{};
  });
  host.program("dkms remove", [](FakeHost& h, const Argv& argv) {
    const std::string tree = "/var/lib/dkms/nvidia/" + argv.at(5);
    if (h.exists(tree)) h.gone(tree);
    if (const auto names = h.list_dir("/var/lib/dkms/nvidia"); names && names->empty()) h.gone("/var/lib/dkms/nvidia");
    return CommandResult{};
  });
  host.program("rm -rf --", [](FakeHost& h, const Argv& argv) {
    if (h.exists(argv.at(3))) h.gone(argv.at(3));
    return CommandResult{};
  });
  host.program("/usr/lib/nvidia/sriov-manage -d", [](FakeHost& h, const Argv& argv) {
    const std::string base = real_directory(h, argv.at(2));
    h.file(base + "/sriov_numvfs", "0\n");
    return CommandResult{};
  });
  const auto verb = [&](const char* word, std::function<CommandResult(FakeHost&, const std::string&)> act) {
    host.program(fmt::format("systemctl {} --", word), [act](FakeHost& h, const Argv& argv) {
      CommandResult last;
      for (std::size_t i = 3; i < argv.size(); ++i) last = act(h, argv[i]);
      return last;
    });
  };
  verb("enable", [](FakeHost& h, const std::string& unit) {
    h.link(wants + unit, "/usr/lib/systemd/system/" + unit);
    return CommandResult{};
  });
  verb("start", [vgpud, manager_lives](FakeHost& h, const std::string& unit) {
    if (!h.exists("/usr/lib/systemd/system/" + unit)) return CommandResult{5, false, "", fmt::format("Unit {} not found.", unit)};
    const std::string at = fmt::format("{}/{}", units, unit);
    const bool daemon = unit == driver::vgpu_daemon;
    if (daemon && vgpud != "ok") {
      h.file(at, "failed failed\n");
      return CommandResult{};  // it forks first and fails then, as recorded of 510
    }
    if (!daemon) h.file(at, manager_lives ? "active running\n" : "failed failed\n");
    return CommandResult{};
  });
  verb("stop", [](FakeHost& h, const std::string& unit) {
    h.take(fmt::format("{}/{}", units, unit), "/run");
    return CommandResult{};
  });
  for (const std::string& unit : services)
    host.answer("systemctl show --property=LoadState,ActiveState,SubState,UnitFileState -- " + unit,
                [unit](const FakeHost& h, const Argv&) { return unit_answer(h, unit); });
  host.answer("journalctl --boot --no-pager --output=cat --lines=200 --unit nvidia-vgpud.service",
              [vgpud](const FakeHost& h, const Argv& argv) {
                if (vgpud == "ok") return journal_answer(h, argv);
                std::string out = "vGPU types: 613\n";
                for (const std::string& address : cards(h)) {
                  if (vgpud != "refuses_all" && vgpud != "refuses:" + address) continue;
                  const auto parts = text::split(address, ':');
                  out += fmt::format("GPU not supported by vGPU at PCI Id: {:x}:{}:{:x}:{} DevID: 0x10de / 0x1b39 / 0x10de / 0x1217\n",
                                     std::strtoul(parts[0].c_str(), nullptr, 16), parts[1], std::strtoul(parts[2].c_str(), nullptr, 16),
                                     parts[2].back());
                }
                out += "error: failed to send vGPU configuration info to RM: 6\n";
                return CommandResult{0, false, out, ""};
              });
  host.attribute("/sys/bus/pci/drivers/nouveau/unbind", [](FakeHost& h, const std::string& address) -> Result<> {
    const std::string link = real_directory(h, address) + "/driver";
    if (!h.read_link(link)) return Error::from_errno("write to unbind", ENODEV);
    h.gone(link);
    return {};
  });
  host.on_module("nvidia", [loads](FakeHost& h, bool loaded) -> Result<> {
    if (!loaded) {
      if (h.exists("/sys/module/nvidia_vgpu_vfio/initstate")) return Error::from_errno("unload kernel module nvidia", EWOULDBLOCK);
      release_cards(h);
      return {};
    }
    if (!loads) {
      h.gone("/sys/module/nvidia");
      return Error::from_errno("load kernel module nvidia", ENODEV);
    }
    bind_cards(h, h.kernel_module("nvidia", h.kernel_release()).or_fail("its version"));
    return {};
  });
  if (const std::string version = knobs.value("running", ""); !version.empty()) {
    const std::string flavour = knobs.value("flavour", "");
    (void)install(host, version, "ok", flavour.empty() ? Argv() : Argv{"--kernel-module-type=" + flavour});
    host.file("/sys/module/nvidia/initstate", "live\n", 0444).file("/sys/module/nvidia_vgpu_vfio/initstate", "live\n", 0444);
    bind_cards(host, host.kernel_module("nvidia", host.kernel_release()).or_fail("its version"));
    for (const std::string& unit : services) host.link(wants + unit, "/usr/lib/systemd/system/" + unit);
    host.file(fmt::format("{}/{}", units, driver::vgpu_manager), "active running\n");
  }
}

}  // namespace pvegpu::laws
