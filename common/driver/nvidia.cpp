// SPDX-License-Identifier: MIT
// NVIDIA's vGPU host driver.
#include "common/driver/nvidia.hpp"

#include "common/facts/select.hpp"
#include "common/facts/nvidia_state.hpp"
#include "common/host/units.hpp"
#include "common/text/pci_address.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <cctype>

namespace pvegpu::driver {
namespace {

bool is_version(std::string_view text) {
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) && text.find('.') != text.npos &&
         text.find_first_not_of("0123456789.") == text.npos && text.back() != '.';
}

unsigned series_of(std::string_view version) { return static_cast<unsigned>(std::atoi(std::string(version).c_str())); }

std::string names_of(const std::vector<catalogue::Board>& boards, bool (*which)(const catalogue::Board&)) {
  std::vector<std::string> names;
  for (const catalogue::Board& board : boards)
    if (which(board) && std::find(names.begin(), names.end(), board.name) == names.end()) names.emplace_back(board.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

bool needs_proprietary(const catalogue::Board& board) {
  return board.architecture == "Maxwell" || board.architecture == "Pascal" || board.architecture == "Volta";
}

NvidiaFile parse_nvidia_file(std::string_view path) {
  using Kind = NvidiaFile::Kind;
  const std::string name = last_part(path);
  const auto between = [&](std::string_view before, std::string_view after) -> std::string {
    if (!name.starts_with(before) || !name.ends_with(after) || name.size() <= before.size() + after.size()) return {};
    std::string middle = name.substr(before.size(), name.size() - before.size() - after.size());
    return is_version(middle) ? middle : std::string();
  };
  const std::string before = "NVIDIA-Linux-x86_64-";
  for (const auto& [after, kind] : {std::pair("-vgpu-kvm.run", Kind::host), std::pair("-vgpu-kvm-custom.run", Kind::patched_host),
                                    std::pair("-grid.run", Kind::guest), std::pair(".run", Kind::plain)})
    if (std::string version = between(before, after); !version.empty()) return {kind, std::move(version)};
  if (name.ends_with(".deb") || name.ends_with(".rpm")) return {Kind::package, {}};
  if (name.ends_with(".zip")) return {Kind::archive, {}};
  return {};
}

std::string why_not_host_driver(const NvidiaFile& file, std::string_view path) {
  const std::string name = last_part(path);
  const std::string wanted =
      "take NVIDIA-Linux-x86_64-VERSION-vgpu-kvm.run from the folder Host_Drivers of NVIDIA's vGPU archive for Linux KVM";
  switch (file.kind) {
    case NvidiaFile::Kind::host:
      return {};
    case NvidiaFile::Kind::patched_host:
      return fmt::format("{} is a patched driver, as made for vgpu_unlock, which is not supported; {}", name, wanted);
    case NvidiaFile::Kind::guest:
      return fmt::format("{} is the driver for guests, not for the host; {}", name, wanted);
    case NvidiaFile::Kind::plain:
      return fmt::format("{} is NVIDIA's ordinary driver, which makes no vGPUs; {}", name, wanted);
    case NvidiaFile::Kind::package:
      return fmt::format("{} is a package for another distribution; {}", name, wanted);
    case NvidiaFile::Kind::archive:
      return fmt::format("{} is an archive; unpack it and {}", name, wanted);
    case NvidiaFile::Kind::other:
      break;
  }
  return fmt::format("{} is not named as NVIDIA names its vGPU host drivers; {}, and keep its name", name, wanted);
}

Result<Flavour> needed_flavour(Flavour wished, std::string_view version, const std::vector<catalogue::Board>& boards) {
  const unsigned series = series_of(version);
  const std::string open_only = names_of(boards, [](const catalogue::Board& board) { return board.open_modules_only; });
  const std::string closed_only = names_of(boards, needs_proprietary);
  if (!open_only.empty() && !closed_only.empty())
    return Error{
        fmt::format("{} need the open kernel modules and {} the proprietary ones: one driver can't serve both", open_only, closed_only)};
  if (wished == Flavour::open && !closed_only.empty())
    return Error{fmt::format("kernel_module_type=open: the open kernel modules do not drive {}", closed_only)};
  if (wished == Flavour::proprietary && !open_only.empty())
    return Error{fmt::format("kernel_module_type=proprietary: only the open kernel modules drive {}", open_only)};
  Flavour out = wished;
  if (wished == Flavour::automatic) {
    if (!open_only.empty()) out = Flavour::open;
    // From 560 on the installer looks at the cards itself; before, a vGPU host takes the proprietary ones.
    else if (!closed_only.empty() || series < 560)
      out = Flavour::proprietary;
  }
  if (out == Flavour::open && series < 515) return Error{fmt::format("driver {} has no open kernel modules: they came with 515", version)};
  return out;
}

std::vector<std::string> flavour_options(Flavour needed, std::string_view version) {
  const unsigned series = series_of(version);
  const bool open = needed == Flavour::open;
  if (needed == Flavour::automatic || series < 515) return {};
  if (series >= 560) return {fmt::format("--kernel-module-type={}", open ? "open" : "proprietary")};
  return {open ? "-m=kernel-open" : "-m=kernel"};
}

Flavour running_flavour(const HostView& host) {
  const auto version = host.read_file("/proc/driver/nvidia/version");
  if (!version) return Flavour::automatic;
  return text::contains(*version, "Open Kernel Module") ? Flavour::open : Flavour::proprietary;
}

Flavour built_flavour(const HostView& host, const std::string& kernel) {
  const auto module = host.kernel_module("nvidia", kernel);
  if (!module || !module->available) return Flavour::automatic;
  if (const auto open = gpu::is_open_license(module->license)) return *open ? Flavour::open : Flavour::proprietary;
  const bool runs = kernel == host.kernel_release() && host.read_attr("/sys/module/nvidia/version").value_or("") == module->version;
  return runs ? running_flavour(host) : Flavour::automatic;
}

std::string wrong_flavour(Flavour needed, Flavour is) {
  if (needed == Flavour::automatic || is == Flavour::automatic || needed == is) return {};
  return fmt::format(" ({} kernel modules)", is == Flavour::open ? "open" : "proprietary");
}

std::optional<std::string> built_nvidia(const HostView& host, const std::string& kernel) { return built_version(host, "nvidia", kernel); }

std::optional<std::string> installed_nvidia(const HostView& host) {
  std::vector<std::string> sources;
  for (const std::string& version : dkms_sources(host, "nvidia"))
    if (is_version(version)) sources.push_back(version);
  const bool manager = host.exists("/usr/bin/nvidia-vgpu-mgr"), remover = host.exists("/usr/bin/nvidia-uninstall");
  const auto record = read_record(host, nvidia_note);
  if (record && !record->complete && (!sources.empty() || manager || remover))
    return fmt::format("{} (half installed)", record->version.empty() ? "unknown version" : record->version);
  if (sources.size() > 1) return fmt::format("{} (several versions)", fmt::join(sources, ", "));
  if (sources.size() == 1) {
    if (!manager) return sources[0] + " (no vGPU host driver)";
    return remover ? sources[0] : sources[0] + " (half installed)";
  }
  if (const auto built = built_nvidia(host, host.kernel_release()))
    return fmt::format("{} (not by DKMS)", built->empty() ? "unknown version" : *built);
  return std::nullopt;
}

std::string rival_driver(const HostView& host, const std::string& kernel) {
  for (const std::string& entry : host.list_dir("/usr/src").value_or({}))
    if (entry.starts_with("nvidia-current-") || entry.starts_with("nvidia-tesla-") || entry.starts_with("nvidia-open-"))
      return fmt::format(
          "the distribution's own NVIDIA driver is installed (/usr/src/{}), which is no vGPU host driver: remove it with "
          "apt-get purge 'nvidia-*', and reboot",
          entry);
  for (const char* module : {"nvidia_current", "nvidia_tesla"})
    if (const auto found = host.kernel_module(module, kernel); found && found->available)
      return fmt::format("the distribution's own NVIDIA driver is installed ({}): remove it with apt-get purge 'nvidia-*', and reboot",
                         found->file);
  return {};
}

std::vector<const gpu::Gpu*> select_boards(const gpu::Machine& hardware, const std::vector<std::string>& wanted,
                                           const std::string& parameter) {
  std::vector<const gpu::Gpu*> out;
  std::vector<std::string> there;
  for (const gpu::Gpu& gpu : hardware.gpus) {
    if (!gpu.is_nvidia()) continue;
    there.push_back(fmt::format("{} ({})", gpu.address, gpu.name));
    if (wanted.empty() && gpu.vgpu_class() != catalogue::VgpuClass::none) out.push_back(&gpu);
  }
  for (const std::string& word : wanted) {
    bool any = false;
    for (const gpu::Gpu& gpu : hardware.gpus) {
      if (!gpu.is_nvidia() || !gpu::is_meant(gpu, word)) continue;
      any = true;
      if (std::find(out.begin(), out.end(), &gpu) == out.end()) out.push_back(&gpu);
    }
    if (!any)
      throw ModuleError(fmt::format("parameter '{}': this host has no NVIDIA card '{}'; it has: {}", parameter, word,
                                    there.empty() ? std::string("none") : fmt::format("{}", fmt::join(there, ", "))));
  }
  return out;
}

std::vector<std::string> loaded_nvidia_modules(const HostView& host) {
  std::vector<std::string> out;
  for (const char* name : {"nvidia_vgpu_vfio", "nvidia_peermem", "nvidia_drm", "nvidia_uvm", "nvidia_modeset", "nvidia"})
    if (host.exists(fmt::format("/sys/module/{}/initstate", name))) out.emplace_back(name);
  return out;
}

void plan_unload(const HostView& host, const std::vector<std::string>& cards_with_vfs, Plan& out) {
  for (const char* unit : {vgpu_manager, vgpu_daemon, "nvidia-persistenced.service"})
    if (unit_state(host, unit) == "active") out.ensure_stopped(unit);
  for (const std::string& address : cards_with_vfs) {
    Step step;
    step.target = "VFs of " + address;
    step.desired = "0";
    step.observe =
        [count = fmt::format("/sys/bus/pci/devices/{}/sriov_numvfs", address)](const HostView& now) -> Result<std::optional<std::string>> {
      return std::optional<std::string>(PVEGPU_TRY(now.read_attr(count)));
    };
    step.within = std::chrono::seconds(5);
    out.ensure_program(std::move(step), {{{"/usr/lib/nvidia/sriov-manage", "-d", address}}, std::chrono::seconds(300)});
  }
  for (const std::string& name : loaded_nvidia_modules(host)) out.ensure_unloaded(name, "/dev/nvidia*");
}

std::vector<std::string> cards_refused_by_vgpud(std::string_view log) {
  constexpr std::string_view words = "GPU not supported by vGPU at PCI Id: ";
  std::vector<std::string> out;
  for (const std::string& line : text::lines(log)) {
    const auto at = line.find(words);
    if (at == line.npos) continue;
    // "0:82:0:0": domain, bus, device and function in hex
    const auto words_after = text::words(line.substr(at + words.size()));
    const auto parts = text::split(words_after.empty() ? std::string() : words_after[0], ':');
    if (parts.size() != 4) continue;
    const auto hex = [](const std::string& part) { return std::strtoul(part.c_str(), nullptr, 16); };
    const std::string address = fmt::format("{:04x}:{:02x}:{:02x}.{:x}", hex(parts[0]), hex(parts[1]), hex(parts[2]), hex(parts[3]));
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
  }
  return out;
}

}  // namespace pvegpu::driver
