// SPDX-License-Identifier: MIT
// NVIDIA vGPU: the board, the driver that serves it, what the driver makes of it.
#include "common/base/strings.hpp"
#include "common/driver/dkms.hpp"
#include "common/driver/nvidia.hpp"
#include "common/facts/nvidia_state.hpp"
#include "common/host/units.hpp"
#include "common/readiness/conditions.hpp"

#include <algorithm>

namespace pvegpu::readiness {
namespace {

using catalogue::Verdict;
using catalogue::VgpuClass;
using gpu::Framework;

constexpr const char* nvrm = "dmesg says why: look for NVRM";

Cure install(std::string text = "pve.gpu.nvidia_driver") {
  return task("nvidia_driver", json::object(), BroughtBy::driver, std::move(text));
}

/// The driver that is there, or that is asked for, can't do: a person has to choose another.
Cure another(std::string text) { return task("nvidia_driver", json::object(), BroughtBy::nothing, std::move(text)); }

/// The version that counts: what is asked about, what runs, what is installed for this kernel.
std::optional<std::string> version_of(const Question& q) {
  if (q.nvidia) return q.nvidia;
  const gpu::NvidiaDriver& driver = q.facts().nvidia;
  return driver.version ? driver.version : driver.installed_version;
}

std::string shown(const std::optional<std::string>& version) { return version.value_or("(version unknown)"); }

/// Nothing of NVIDIA's driver can be told while it is not loaded.
bool is_loaded(const Question& q, Condition& out) {
  if (!q.facts().nvidia.loaded) out.skip();
  return q.facts().nvidia.loaded;
}

bool may_mix_sizes(const gpu::Gpu& gpu) {
  return gpu.board() && gpu.board()->mixed_size != Verdict::no && gpu.is_nvidia() && gpu.framework != Framework::mdev;
}

bool does_mig(const gpu::Gpu& gpu) { return gpu.board() && gpu.board()->mig_slices > 0; }

gpu::NvidiaState nvidia_state(const Question& q) {
  Reader reader(q.host);
  return gpu::read_nvidia_state(reader, *q.gpu);
}

std::string counted_instances(const std::vector<unsigned>& instances) {
  return gpu::counted(static_cast<std::int64_t>(instances.size()), "GPU instance");
}

/// With GPU instances only their types can be made: the others are there, and hidden.
bool hidden_by_mig(const Question& q, Condition& out) {
  const auto known = catalogue::find_type(q.vgpu_type);
  if (!known || known->backing != catalogue::Backing::time_sliced) return false;
  if (!does_mig(*q.gpu)) return false;
  const auto instances = nvidia_state(q).gpu_instances;
  if (!instances || instances->empty()) return false;
  out.fail(
      fmt::format("it is in MIG mode ({}), in which no time-sliced type such as {} can be made", counted_instances(*instances),
                  q.vgpu_type),
      hands(fmt::format("take a type of a GPU instance, or leave MIG mode while no vGPU runs: nvidia-smi -i {} -mig 0", q.gpu->address)));
  return true;
}

/// A board that can do MIG offers nothing: its GPU instances are full, or there are none, without which MIG mode has no types. Whether it
/// was told.
bool told_by_mig(const Question& q, Condition& out) {
  if (!does_mig(*q.gpu)) return false;
  const gpu::NvidiaState state = nvidia_state(q);
  if (!state.gpu_instances) return false;
  if (!state.gpu_instances->empty()) {
    out.see(fmt::format("it has {}, on which nothing more fits", counted_instances(*state.gpu_instances)));
    return true;
  }
  if (q.gpu->framework != Framework::vendor_vfio) return false;
  const gpu::NvidiaMode mig = q.asks_programs ? gpu::ask_nvidia_modes(q.host, *q.gpu).mig : gpu::NvidiaMode{};
  if (mig.on == false) return false;
  out.see(state.capabilities.str());
  if (!mig.evidence.empty()) out.see(mig.evidence.str());
  out.fail(
      fmt::format("no vGPU type can be made on it: {} on, and it has no GPU instance (MIG)", mig.on ? "MIG mode is" : "MIG mode may be"),
      hands(fmt::format("make GPU instances: nvidia-smi mig -i {0} -lgip lists their profiles, -cgi PROFILE makes one; or leave MIG mode: "
                        "nvidia-smi -i {0} -mig 0",
                        q.gpu->address)));
  return true;
}

}  // namespace

void nvidia_board(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  if (!gpu.is_nvidia()) return out.fail_for_ever("it is not an NVIDIA card", "pass it through whole: pve.gpu.vfio");
  if (gpu.unlocked)
    return out.fail_for_ever("it offers another board's types only because of vgpu_unlock, which is not supported",
                             "remove vgpu_unlock and reboot; use a board that NVIDIA supports");
  if (gpu.vgpu_class() != VgpuClass::none) return;
  const catalogue::Board* board = gpu.board();
  // A data-centre board with VFs that is newer than the catalogue, or one of several boards with these ids. Cards for displays (class
  // 0300) of the last years show an SR-IOV capability with one VF and are no vGPU boards.
  if (!board && gpu.sriov.total > 0 && (gpu.pci_class == 0x0302 || gpu.boards.size() > 1))
    return out.doubt(fmt::format("{} is not in the catalogue of boards: whether NVIDIA offers vGPU for it is not known", gpu.name));
  const char* instead = "pass it through whole: pve.gpu.vfio";
  if (!board)
    out.fail_for_ever(fmt::format("{} is not among NVIDIA's vGPU boards: NVIDIA offers no vGPU for it", gpu.name), instead);
  else if (board->unlock_only)
    out.fail_for_ever(fmt::format("{} yields vGPUs only with vgpu_unlock, which is not supported", gpu.name), instead);
  else
    out.fail_for_ever(fmt::format("NVIDIA offers no vGPU for {}", gpu.name), instead);
}

void nvidia_kernel(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  if (gpu.boards.empty() || gpu.framework != Framework::none || gpu.vgpu_class() == VgpuClass::none) return out.skip();
  if (catalogue::expected_framework(gpu.boards[0], q.facts().kernel) == Framework::none)
    out.fail(fmt::format("no NVIDIA vGPU driver for {} is known to run on kernel {}", gpu.name, q.facts().kernel),
             hands("gpu_platform_kernel: a series on which one does"));
}

void nvidia_branch(const Question& q, Condition& out) {
  const auto version = version_of(q);
  if (!version) return out.skip();
  out.see(fmt::format("the NVIDIA driver is {}", *version));
  const auto branch = catalogue::branch_of(*version);
  if (!branch)
    return out.doubt(fmt::format("driver {} belongs to no known vGPU branch: whether it serves this card is not known", *version));
  if (q.gpu->boards.empty())
    return out.doubt(fmt::format("it is not in the catalogue: whether driver {} serves it is not known", *version));
  const auto service = catalogue::branch_serves(q.gpu->boards[0], branch->branch);
  if (service.verdict == Verdict::no)
    return out.fail(fmt::format("driver {} (branch {}) does not serve {}: {}", *version, branch->branch, q.gpu->name, service.reason),
                    another("pve.gpu.nvidia_driver with a branch that does"));
  if (!q.nvidia && !q.facts().nvidia.loaded)
    if (const auto answer = catalogue::builds_on(*version, q.facts().kernel); answer.builds == Verdict::no)
      return out.fail(fmt::format("driver {} does not build on kernel {}: {}", *version, q.facts().kernel, answer.evidence),
                      another("gpu_platform_kernel: a series on which it does, or another driver"));
  if (service.verdict == Verdict::unknown) out.doubt(service.reason);
}

void nvidia_outputs(const Question& q, Condition& out) {
  if (!q.on_vfs()) return out.skip();
  if (q.gpu->pci_class == 0x0300 && q.gpu->sriov.enabled == 0)
    out.fail("its display outputs are on (class 0300), so it makes no VFs",
             task("display_mode", json::object(), BroughtBy::display_mode, "pve.gpu.display_mode, then power off and on"));
}

void nvidia_capability(const Question& q, Condition& out) {
  if (!q.on_vfs()) return out.skip();
  if (q.gpu->sriov.capable && q.gpu->sriov.total > 0) return;
  out.see(q.sysfs("sriov_totalvfs") + (q.gpu->sriov.capable ? ": 0" : " is missing"));
  out.fail(fmt::format("{} shows no SR-IOV capability", q.gpu->name),
           hands("switch on 'SR-IOV' and 'Above 4G decoding' in the BIOS setup, then power off and on"));
}

void nvidia_built(const Question& q, Condition& out) {
  const gpu::HostFacts& facts = q.facts();
  if (facts.nvidia.loaded) return out.skip();
  if (facts.nvidia.installed_version) {
    out.see(fmt::format("/lib/modules/{} has the module", facts.kernel));
    if (facts.boot.secure_boot == true)
      out.fail("Secure Boot is on and the module is not loaded: the key that DKMS signs with is not enrolled",
               {fmt::format("mokutil --import {}, reboot, and choose 'Enroll MOK' at the console; pve.gpu.nvidia_driver says which keys to "
                            "press",
                            driver::signing_key),
                BroughtBy::reboot});
    return;
  }
  const auto versions = driver::dkms_sources(q.host, "nvidia");
  if (versions.empty())
    return out.fail(fmt::format("no nvidia is installed for DKMS, and kernel {} has no such module", facts.kernel), install());
  const std::string& version = versions.back();
  out.see(fmt::format("/usr/src/nvidia-{} is there", version));
  if (!q.host.exists(fmt::format("/lib/modules/{}/build", facts.kernel)))
    return out.fail(fmt::format("/lib/modules/{}/build is missing: there are no headers for the running kernel", facts.kernel),
                    install("gpu_platform_headers: true, then pve.gpu.nvidia_driver"));
  out.fail(fmt::format("DKMS did not build nvidia {} for kernel {}", version, facts.kernel),
           install(fmt::format("pve.gpu.nvidia_driver, or dkms install nvidia/{0} -k {1}; its log: /var/lib/dkms/nvidia/{0}/build/make.log",
                               version, facts.kernel)));
}

void nvidia_rival(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  const gpu::NvidiaDriver& driver = q.facts().nvidia;
  if (gpu.driver && gpu.driver != "nvidia" && gpu.driver != "pci-pf-stub")
    return out.fail(fmt::format("the driver {} has it", *gpu.driver),
                    install("pve.gpu.nvidia_driver, which keeps that driver away, then a reboot"));
  if (driver.loaded && driver.host_vgpu == false)
    out.fail(fmt::format("the loaded NVIDIA driver {} is no vGPU host driver (neither nvidia_vgpu_vfio nor nvidia-vgpu-mgr is there)",
                         shown(driver.version)),
             install("remove it, then pve.gpu.nvidia_driver"));
}

void nvidia_kept_away(const Question& q, Condition& out) {
  if (q.gpu->driver == "nvidia" || q.facts().nvidia.loaded || !q.facts().nvidia.installed_version) return out.skip();
  judge_kept_away(q, out, "nvidia", false);
}

void nvidia_loaded(const Question& q, Condition& out) {
  const gpu::NvidiaDriver& driver = q.facts().nvidia;
  if (driver.loaded) return out.see(fmt::format("/sys/module/nvidia/version: {}", shown(driver.version)));
  if (driver.installed_version)
    return out.fail(fmt::format("the NVIDIA driver {} is installed and not loaded", *driver.installed_version),
                    {"modprobe nvidia, or a reboot; dmesg says why it was refused", BroughtBy::reboot});
  out.fail("no NVIDIA vGPU host driver is loaded", install());
}

void nvidia_flavour(const Question& q, Condition& out) {
  const gpu::NvidiaDriver& driver = q.facts().nvidia;
  if (q.gpu->boards.empty()) return out.skip();
  const catalogue::Board& board = q.gpu->boards[0];
  if (!board.open_modules_only && !driver::needs_proprietary(board)) return out.skip();  // either drives it
  const bool right = board.open_modules_only;
  const auto name = [](bool open) { return open ? "open" : "proprietary"; };
  const auto installed = [&] {
    Reader reader(q.host);
    return gpu::read_nvidia_modules(reader, q.facts().kernel).nvidia;
  };
  std::optional<bool> open = driver.open_modules;
  if (driver.loaded) {
    if (open) out.see(fmt::format("/proc/driver/nvidia/version: {} kernel modules", name(*open)));
  } else if (driver.installed_version) {
    const gpu::NvidiaModule module = installed();
    open = module.open;
    if (open) out.see(module.evidence.str());
  }
  if (!open) return out.skip();
  if (*open == right) return;
  const std::string cause = fmt::format("NVIDIA's {} kernel modules are {}, and only the {} kernel modules drive {}", name(*open),
                                        driver.loaded ? "loaded" : "installed", name(right), q.gpu->name);
  if (driver.loaded)
    if (const gpu::NvidiaModule module = installed(); module.available && module.open == right) {
      out.see(module.evidence.str());
      return out.fail(cause + "; these are installed", {"reboot", BroughtBy::reboot});
    }
  out.fail(cause, task("nvidia_driver", {{"kernel_module_type", name(right)}}, BroughtBy::driver,
                       fmt::format("pve.gpu.nvidia_driver with kernel_module_type={}, which installs the driver again", name(right))));
}

void nvidia_bound(const Question& q, Condition& out) {
  if (!is_loaded(q, out)) return;
  if (q.gpu->driver == "pci-pf-stub")
    return out.fail("it is stuck on pci-pf-stub, where an interrupted sriov-manage left it",
                    task("sriov", {{"device", q.gpu->address}}, BroughtBy::sriov, "pve.gpu.sriov, which gives it back to nvidia"));
  if (!q.gpu->driver)
    out.fail("no driver has it although nvidia is loaded",
             q.on_vfs() ? task("sriov", {{"device", q.gpu->address}}, BroughtBy::sriov,
                               "pve.gpu.sriov, which gives it to nvidia; where that fails dmesg says why: look for NVRM")
                        : hands(nvrm));
}

void nvidia_initialised(const Question& q, Condition& out) {
  const auto& gpus = q.facts().nvidia.gpus;
  if (!is_loaded(q, out) || q.gpu->driver != "nvidia" || !gpus) return out.skip();
  if (!std::binary_search(gpus->begin(), gpus->end(), q.gpu->address))
    return out.fail("the driver nvidia has it and does not list it in /proc/driver/nvidia/gpus: it failed to start it", hands(nvrm));
  if (q.gpu->framework != Framework::none) return out.skip();  // it offers vGPUs, so it runs
  const gpu::NvidiaState state = nvidia_state(q);
  if (!state.initialised) return out.skip();
  out.see(state.information.str());
  // NVIDIA's daemons open every GPU; before they have run none is initialised.
  if (!*state.initialised && q.machine.unit_runs(q.host, driver::vgpu_manager) == true)
    out.fail("the driver nvidia has it and could not initialise it", hands(nvrm));
}

void nvidia_vgpu_vfio(const Question& q, Condition& out) {
  if (!is_loaded(q, out) || q.gpu->framework != Framework::none) return out.skip();
  if (q.host.exists("/sys/module/nvidia_vgpu_vfio")) return out.see("/sys/module/nvidia_vgpu_vfio is there");
  out.fail("the module nvidia_vgpu_vfio, which offers the vGPUs, is not loaded",
           install("pve.gpu.nvidia_driver, which loads it; by hand: modprobe nvidia_vgpu_vfio, and dmesg says why it was refused"));
}

void nvidia_manager(const Question& q, Condition& out) {
  if (!is_loaded(q, out)) return;
  const auto runs = q.machine.unit_runs(q.host, driver::vgpu_manager);
  if (!runs) return out.doubt("nobody says whether nvidia-vgpu-mgr runs");
  out.see(fmt::format("nvidia-vgpu-mgr is {}active", *runs ? "" : "not "));
  if (!*runs)
    out.fail("the service nvidia-vgpu-mgr does not run",
             install("pve.gpu.nvidia_driver, which starts it; by hand: systemctl start nvidia-vgpu-mgr; journalctl -u nvidia-vgpu-mgr"));
}

void nvidia_vf_drivers(const Question& q, Condition& out) {
  if (!q.on_vfs() || q.gpu->sriov.vfs.empty()) return out.skip();
  std::size_t wrong = 0;
  const gpu::Vf* first = nullptr;
  for (const gpu::Vf& vf : q.gpu->sriov.vfs) {
    if (vf.offers || vf.held) continue;
    ++wrong;
    if (!first) first = &vf;
  }
  if (!first) return out.see(fmt::format("{}: the driver nvidia", q.sysfs("virtfn*/driver")));
  out.fail(fmt::format("{} of its {} VFs are not on the driver nvidia: {} has {} instead of nvidia", wrong, q.gpu->sriov.vfs.size(),
                       first->address, first->driver ? "the driver " + *first->driver : "none"),
           task("sriov", {{"device", q.gpu->address}}, BroughtBy::sriov, "pve.gpu.sriov, which gives them to it or makes them anew"));
}

void nvidia_types(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  out.see(fmt::format("framework {}, {}", catalogue::to_text(gpu.framework),
                      gpu::counted(static_cast<std::int64_t>(gpu.vgpu_types.size()), "vGPU type")));
  if (!gpu.vgpu_types.empty()) return;
  const std::string problem = gpu.problems.empty() ? "the driver offers no vGPU types on it" : gpu.problems[0];
  if (told_by_mig(q, out)) return;
  const bool failed = q.asks_programs && unit_state(q.host, driver::vgpu_daemon) == "failed";
  out.fail(failed ? problem + ": the service nvidia-vgpud failed" : problem,
           hands(failed ? "journalctl -u nvidia-vgpud: a board that this driver does not serve is named there"
                        : "systemctl restart nvidia-vgpud nvidia-vgpu-mgr; journalctl -u nvidia-vgpud"));
}

std::string one_size_at_a_time(const gpu::Gpu& card) {
  if (gpu::mixed_size_by_types(card).on == true) return {};
  std::string out = "serves one size at a time";
  if (may_mix_sizes(card)) out += fmt::format(", unless it is in mixed-size mode (nvidia-smi vgpu -i {} -shm 1)", card.address);
  return out;
}

void wanted_type(const Question& q, Condition& out) {
  const gpu::Gpu& gpu = *q.gpu;
  if (q.vgpu_type.empty()) return out.skip();
  if (hidden_by_mig(q, out)) return;
  if (gpu.vgpu_types.empty()) return out.skip();
  const auto holds = [&] {
    return q.guest && gpu.used_by && std::any_of(gpu.used_by->begin(), gpu.used_by->end(), [&](const gpu::Use& use) {
             return use.vmid == q.guest->vmid && use.running;
           });
  };
  const auto full = [&](const std::string& name) {
    const bool mixes = may_mix_sizes(gpu);
    if (mixes && q.asks_programs)
      if (const gpu::NvidiaMode mode = gpu::ask_nvidia_modes(q.host, gpu).mixed_size; !mode.evidence.empty()) out.see(mode.evidence.str());
    out.fail(fmt::format("no more {} fit: the GPU is full, or another size runs on it", name),
             hands(mixes ? fmt::format("stop guests on it, or take another GPU; different sizes share one GPU only in mixed-size "
                                       "(heterogeneous) mode, from vGPU 17 on: nvidia-smi vgpu -i {} -shm 1 while no vGPU runs on it",
                                       gpu.address)
                         : std::string("stop guests on it, or take another GPU; a GPU serves one size at a time")));
  };
  for (const gpu::VgpuType& type : gpu.vgpu_types) {
    if (type.name != q.vgpu_type && type.id != q.vgpu_type) continue;
    out.see(fmt::format("{} is {}, {} more fit", type.name, type.id, type.available));
    if (type.available == 0 && !holds()) full(type.name);
    return;
  }
  if (holds()) return;
  // While vGPUs run the driver lists only what still fits; of the types that it hides not every id is known.
  const bool hides =
      std::any_of(gpu.vgpu_types.begin(), gpu.vgpu_types.end(), [](const gpu::VgpuType& type) { return !type.listed && type.id.empty(); });
  if (hides && q.vgpu_type.starts_with("nvidia-")) return full(q.vgpu_type);
  out.fail(fmt::format("the type {} is not offered on {}", q.vgpu_type, gpu.name),
           hands(fmt::format("take one that is, for example {}", gpu.vgpu_types[0].name)));
}

}  // namespace pvegpu::readiness
