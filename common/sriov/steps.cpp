// SPDX-License-Identifier: MIT
// From VFs wanted to steps.
#include "common/sriov/steps.hpp"

#include "common/host/reader.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

using Observed = Result<std::optional<std::string>>;

constexpr const char* stub = "pci-pf-stub";
const std::string drivers = "/sys/bus/pci/drivers/";
constexpr std::chrono::seconds late{10};  // VF drivers of a large card come one after another

std::string dir_of(const std::string& address) { return "/sys/bus/pci/devices/" + address; }

std::optional<std::string> driver_of(const HostView& host, const std::string& address) {
  const auto link = host.read_link(dir_of(address) + "/driver");
  return link ? std::optional(last_part(*link)) : std::nullopt;
}

std::vector<std::string> vfs_of(const HostView& host, const std::string& address) {
  std::vector<std::string> out;
  for (const std::string& entry : host.list_dir(dir_of(address)).value_or({}))
    if (entry.starts_with("virtfn"))
      if (const auto link = host.read_link(dir_of(address) + "/" + entry)) out.push_back(last_part(*link));
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> without_driver(const HostView& host, const std::vector<std::string>& vfs) {
  std::vector<std::string> out;
  for (const std::string& vf : vfs)
    if (!driver_of(host, vf)) out.push_back(vf);
  return out;
}

/// sriov_numvfs proves little, and the exit code of a tool nothing.
Result<> are_there(const HostView& host, const std::string& address, std::int64_t wanted, bool with_drivers) {
  const std::string enabled = PVEGPU_TRY(host.read_attr(dir_of(address) + "/sriov_numvfs"));
  if (enabled != std::to_string(wanted)) return Error{fmt::format("{} VFs are enabled, not {}", enabled, wanted)};
  const auto vfs = vfs_of(host, address);
  if (static_cast<std::int64_t>(vfs.size()) != wanted)
    return Error{fmt::format("the kernel says that {} VFs are enabled, but {} are there; see dmesg", wanted, vfs.size())};
  const auto bare = without_driver(host, vfs);
  if (with_drivers && !bare.empty())
    return Error{fmt::format("{} of {} VFs have no driver, {} for one; see dmesg for NVRM", bare.size(), wanted, bare[0])};
  return {};
}

Result<> bind_to_nvidia(Host& host, const std::string& address) { return host.write_attr(drivers + "nvidia/bind", address); }

/// With the override no other driver may have it; a newline takes it away (driver_set_override, drivers/base/driver.c).
Result<> forget_override(Host& host, const std::string& address) { return host.write_attr(dir_of(address) + "/driver_override", "\n"); }

/// Back to nvidia, from the stub or from nothing.
Result<> give_back(Host& host, const std::string& address) {
  const auto driver = driver_of(host, address);
  if (driver == "nvidia") return {};
  if (driver == stub) PVEGPU_TRY(host.write_attr(drivers + stub + "/unbind", address));
  if (host.read_attr(dir_of(address) + "/driver_override").value_or("") == stub) PVEGPU_TRY(forget_override(host, address));
  return bind_to_nvidia(host, address);
}

/// One write for each step: a run that ends in between tells the truth about what it did.
void plan_driver_of_card(Plan& out, const Gpu& gpu) {
  if (gpu.driver == "nvidia") return;
  out.ensure_bound(gpu.address, std::nullopt);
  if (gpu.driver_override == stub) out.ensure_override(gpu.address, std::nullopt);
  out.ensure_bound(gpu.address, "nvidia", BindBy::name);
}

/// One run of NVIDIA's script. What it says is kept: it is all there is to tell when exit code 0 had no effect.
Result<> run_script(Host& host, const char* option, const std::string& address, std::string& said) {
  const CommandResult done = PVEGPU_TRY(host.run({{sriov_manage, option, address}, std::chrono::seconds(300)}));
  const CommandResult all{done.exit_code, done.timed_out, {}, text::trim(done.out) + "\n" + text::trim(done.err)};
  said = text::trim(all.err);
  std::replace(said.begin(), said.end(), '\n', ' ');
  if (done.exit_code == 0 && !done.timed_out) return {};
  std::string message = fmt::format("sriov-manage {} {}: {}{}", option, address,
                                    done.timed_out ? "did not end within 300 s" : fmt::format("exit code {}", done.exit_code),
                                    said.empty() ? "" : ": " + said);
  if (text::contains(said, "unbindLock"))
    message += fmt::format("; the GPU is in use: end what holds it (fuser -v /dev/nvidia*, nvidia-persistenced, CUDA programs)");
  if (text::contains(said, "Cannot allocate memory"))
    message += "; the firmware left no room for the VFs: switch on SR-IOV and Above 4G decoding in the BIOS setup";
  if (driver_of(host, address) != "nvidia") {
    // The host shall be no worse than before.
    if (const auto back = give_back(host, address); back)
      message += fmt::format("; {} was left without its driver and has it again", address);
    else
      message += fmt::format("; {} is left without its driver: {}", address, back.error().message);
  }
  return Error{message};
}

/// What a driver's refusal of a number means (drivers/pci/iov.c: sriov_numvfs_store, sriov_enable).
std::string why_refused(int code, const Gpu& gpu, std::int64_t wanted) {
  switch (code) {
    case ENOENT:
      return fmt::format("the driver {} makes no VFs: it takes another driver, or another build of it", gpu.driver.value_or("(none)"));
    case ERANGE:
      return fmt::format("the driver allows fewer than {}", wanted);
    case EBUSY:
      return "its VFs were changed by others meanwhile";
    case ENOMEM:
      return "the firmware left no room for the VFs: switch on SR-IOV and Above 4G decoding in the BIOS setup";
    default:
      return "see dmesg";
  }
}

Result<> write_number(Host& host, const Gpu& gpu, std::int64_t wanted) {
  const auto written = host.write_attr(dir_of(gpu.address) + "/sriov_numvfs", std::to_string(wanted));
  if (written) return {};
  return Error{fmt::format("{}; {}", written.error().message, why_refused(written.error().code, gpu, wanted)), written.error().code};
}

void plan_number(Plan& out, const SriovCard& card, std::int64_t now, std::int64_t wanted) {
  const Gpu& gpu = card.gpu;
  const bool script = card.tool == SriovTool::nvidia_script;
  Step step;
  step.target = "VFs of " + gpu.address;
  step.current = std::to_string(now);
  step.desired = std::to_string(wanted);
  step.observe = [path = dir_of(gpu.address) + "/sriov_numvfs"](const HostView& host) -> Observed {
    return std::optional(PVEGPU_TRY(host.read_attr(path)));
  };
  step.within = late;
  auto said = std::make_shared<std::string>();
  step.apply = [gpu, wanted, script, said](Host& host) {
    return script ? run_script(host, wanted == 0 ? "-d" : "-e", gpu.address, *said) : write_number(host, gpu, wanted);
  };
  step.verify = [address = gpu.address, wanted, script, said](const HostView& host) -> Result<> {
    const auto there = are_there(host, address, wanted, script);
    if (there || said->empty()) return there;
    return Error{fmt::format("{}; sriov-manage ended well and said: {}", there.error().message, *said)};
  };
  out.effect(std::move(step));
}

}  // namespace

void plan_vfs(Plan& out, const SriovCard& card) {
  const Gpu& gpu = card.gpu;
  if (card.wait) {
    out.later(*card.wait);
    return;
  }
  const bool script = card.tool == SriovTool::nvidia_script;
  // VFs that another driver took, vfio-pci mostly: bound to nvidia by hand they serve no vGPU, made anew they do.
  const auto taken =
      std::find_if(gpu.sriov.vfs.begin(), gpu.sriov.vfs.end(), [](const Vf& vf) { return vf.driver && !vf.offers && !vf.held; });
  const bool anew = script && card.has_vfs_wanted() && taken != gpu.sriov.vfs.end();
  const bool changes = anew || !card.has_vfs_wanted(), takes_away = gpu.sriov.enabled > 0 && changes;
  if (changes && !card.busy.empty()) {
    out.refuse(
        anew ? fmt::format("{}: its VFs have to be made anew ({} has the driver {}), for which it must be idle: {}; shut them down first",
                           gpu.address, taken->address, *taken->driver, fmt::join(card.busy, "; "))
             : fmt::format("{} must be idle to go from {} to {} VFs: {}; shut them down first", gpu.address, gpu.sriov.enabled, card.wanted,
                           fmt::join(card.busy, "; ")));
    return;
  }
  if (takes_away && card.unknown_guests) {
    out.refuse(
        fmt::format("{} has {} VFs, and which of them guests use can't be read: is pve-cluster running?", gpu.address, gpu.sriov.enabled));
    return;
  }
  if (card.has_vfs_wanted() && gpu.sriov.enabled != static_cast<std::int64_t>(gpu.sriov.vfs.size())) {
    out.refuse(fmt::format("the kernel says that {} has {} VFs, but {} are there: see dmesg, and reboot", gpu.address, gpu.sriov.enabled,
                           gpu.sriov.vfs.size()));
    return;
  }
  if (script && (gpu.sriov.enabled > 0 || card.wanted > 0)) plan_driver_of_card(out, gpu);
  // From one number to another only through 0: else the kernel says EBUSY, and the script that there is nothing to do.
  if (takes_away) plan_number(out, card, gpu.sriov.enabled, 0);
  if (changes && card.wanted > 0) plan_number(out, card, 0, card.wanted);
  // VFs that no driver took: guests would get no vGPU on them.
  if (!changes && script)
    for (const Vf& vf : gpu.sriov.vfs)
      if (!vf.driver) out.ensure_bound(vf.address, "nvidia", BindBy::name);
}

}  // namespace pvegpu::gpu
