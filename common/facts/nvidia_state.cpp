// SPDX-License-Identifier: MIT
// Sources: NVIDIA/open-gpu-kernel-modules (nv-procfs.c: "Device Minor" and the UUID of question marks before the GPU answers; os.c,
// osRmCapRegisterGpu: capabilities/gpu<minor>/mig is made for every GPU, osRmCapRegisterSmcPartition: giN below it for each GPU instance),
// NVIDIA's MIG and vGPU guides, nvidia-smi -q of 525 to 595, licences by modinfo ("Dual MIT/GPL" is the open flavour).
#include "common/facts/nvidia_state.hpp"

#include "common/base/strings.hpp"
#include "common/text/vgpu_types.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::gpu {
namespace {

std::optional<unsigned> number_in(std::string_view text) {
  unsigned out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() ? std::optional(out) : std::nullopt;
}

/// "Key: \t\t value" or "Key   : value".
std::optional<std::string> value_of(const std::string& line, std::string_view key) {
  const std::string trimmed = text::trim(line);
  const auto colon = trimmed.find(':');
  if (colon == trimmed.npos || text::trim(trimmed.substr(0, colon)) != key) return std::nullopt;
  return text::trim(trimmed.substr(colon + 1));
}

void set_mode(NvidiaMode& mode, const std::string& value, const std::string& where, const std::string& line) {
  mode.evidence = {where, line};
  if (value == "Enabled")
    mode.on = true;
  else if (value == "Disabled" || value == "N/A" || value == "[N/A]")
    mode.on = false;  // N/A: the board or the driver has no such mode
  else
    mode.unknown = fmt::format("nvidia-smi says '{}'", line);
}

NvidiaModule read_module(Reader& reader, const std::string& name, const std::string& kernel) {
  NvidiaModule out;
  const auto module = reader.host().kernel_module(name, kernel);
  if (!module) {
    if (!module.error().not_found()) reader.add_unreadable("/lib/modules/" + kernel, "kernel module " + name, module.error().message);
    return out;
  }
  out.available = module->available;
  out.loaded = module->loaded;
  out.version = module->version;
  out.license = module->license;
  out.open = is_open_license(module->license);
  if (out.available) out.evidence = {module->file, module->license.empty() ? "no licence" : "licence " + module->license};
  return out;
}

}  // namespace

NvidiaState read_nvidia_state(Reader& reader, const Gpu& gpu) {
  NvidiaState out;
  const std::string path = fmt::format("/proc/driver/nvidia/gpus/{}/information", gpu.address);
  const auto text = reader.file(path, "what the NVIDIA driver knows of the card");
  if (!text) return out;
  for (const std::string& line : text::lines(*text)) {
    if (const auto uuid = value_of(line, "GPU UUID"); uuid && !uuid->empty()) {
      out.initialised = !text::contains(*uuid, "??");
      out.information = {path, fmt::format("GPU UUID: {}", *uuid)};
    }
    if (const auto minor = value_of(line, "Device Minor")) out.minor = number_in(*minor);
  }
  if (!out.minor) return out;
  const std::string mig = fmt::format("/proc/driver/nvidia/capabilities/gpu{}/mig", *out.minor);
  const auto names = reader.list(mig, "GPU instances of the card");
  if (!names) return out;
  out.gpu_instances.emplace();
  std::vector<std::string> found;
  for (const std::string& name : *names)
    if (const auto number = name.starts_with("gi") ? number_in(std::string_view(name).substr(2)) : std::nullopt) {
      out.gpu_instances->push_back(*number);
      found.push_back(name);
    }
  std::sort(out.gpu_instances->begin(), out.gpu_instances->end());
  out.capabilities = {mig, found.empty() ? "no GPU instance" : fmt::format("{}", fmt::join(found, " "))};
  return out;
}

NvidiaModes parse_nvidia_modes(std::string_view answer, const std::string& address) {
  NvidiaModes out;
  const std::string where = "nvidia-smi -q -i " + address;
  bool in_mig = false, virtualization = false;
  for (const std::string& line : text::lines(answer)) {
    const std::string words = text::trim(line);
    if (words == "MIG Mode") {
      in_mig = true;
      continue;
    }
    if (in_mig) {
      if (const auto current = value_of(line, "Current")) {
        set_mode(out.mig, *current, where, "MIG Mode: Current: " + *current);
        continue;
      }
      const auto pending = value_of(line, "Pending");
      if (pending && (*pending == "Enabled") != out.mig.on.value_or(false) && out.mig.on)
        out.mig.pending = *pending == "N/A" ? "" : *pending;
      in_mig = false;
    }
    virtualization = virtualization || words == "GPU Virtualization Mode";
    if (const auto mixed = value_of(line, "vGPU Heterogeneous Mode"))
      set_mode(out.mixed_size, *mixed, where, "vGPU Heterogeneous Mode: " + *mixed);
  }
  if (out.mig.evidence.empty()) out.mig.unknown = "nvidia-smi tells no MIG mode of it";
  if (out.mixed_size.evidence.empty() && virtualization) {
    out.mixed_size.on = false;  // drivers before 550 have no such mode and no such line
    out.mixed_size.evidence = {where, "no line 'vGPU Heterogeneous Mode'"};
  } else if (out.mixed_size.evidence.empty()) {
    out.mixed_size.unknown = "nvidia-smi tells no vGPU mode of it";
  }
  return out;
}

NvidiaModes ask_nvidia_modes(const HostView& host, const Gpu& gpu) {
  const auto unknown = [](std::string why) {
    NvidiaModes out;
    out.mig.unknown = out.mixed_size.unknown = std::move(why);
    return out;
  };
  if (gpu.driver != "nvidia") return unknown("the card has not the driver nvidia");
  const auto answer = host.query(Query::nvidia_gpu(gpu.address));
  if (!answer) return unknown(answer.error().message);
  if (answer->timed_out) return unknown("nvidia-smi did not answer in time");
  if (answer->exit_code != 0) {
    const std::string said = text::trim(answer->out.empty() ? answer->err : answer->out);
    return unknown(fmt::format("nvidia-smi: {}", said.empty() ? fmt::format("exit code {}", answer->exit_code) : said));
  }
  return parse_nvidia_modes(answer->out, gpu.address);
}

NvidiaMode mixed_size_by_types(const Gpu& gpu) {
  NvidiaMode out;
  out.unknown = "no file shows it";
  const auto size_of = [&](const std::string& name) -> std::int64_t {
    for (const VgpuType& type : gpu.vgpu_types)
      if (type.name == name) return type.framebuffer_mb.value_or(0);
    return 0;
  };
  for (const Vf& vf : gpu.sriov.vfs) {
    const std::int64_t running = vf.vgpu_type.empty() ? 0 : size_of(vf.vgpu_type);
    if (running == 0) continue;
    for (const VgpuType& type : gpu.vgpu_types) {
      const std::int64_t size = type.framebuffer_mb.value_or(0);
      if (size == 0 || size == running || !type.listed || type.available == 0) continue;
      out.on = true;
      out.unknown.clear();
      out.evidence = {fmt::format("/sys/bus/pci/devices/{}/nvidia/current_vgpu_type", vf.address),
                      fmt::format("{} runs and {} can be made beside it", vf.vgpu_type, type.name)};
      return out;
    }
  }
  return out;
}

std::vector<VfState> read_vf_states(Reader& reader, const Gpu& gpu) {
  std::vector<VfState> out;
  for (const Vf& vf : gpu.sriov.vfs) {
    const std::string directory = "/sys/bus/pci/devices/" + vf.address;
    VfState state;
    state.address = vf.address;
    state.driver = reader.link_name(directory + "/driver", "driver of a VF");
    state.nvidia_directory = reader.host().exists(directory + "/nvidia");
    state.mdev_directory = reader.host().exists(directory + "/mdev_supported_types");
    std::string shown = state.driver ? "driver " + *state.driver : "no driver";
    if (state.nvidia_directory) {
      const std::string path = directory + "/nvidia/creatable_vgpu_types";
      if (const auto text = reader.file(path, "types that a VF can make")) {
        const auto types = text::parse_creatable_types(*text);
        if (types)
          state.creatable = types->size();
        else
          reader.add_unreadable(path, "types that a VF can make", types.error().message);
      }
      if (state.creatable) shown += fmt::format(", {} can be made", counted(static_cast<std::int64_t>(*state.creatable), "type"));
    } else if (!state.mdev_directory) {
      shown += ", neither nvidia/ nor mdev_supported_types/";
    }
    state.evidence = {directory, shown};
    out.push_back(std::move(state));
  }
  return out;
}

NvidiaModules read_nvidia_modules(Reader& reader, const std::string& kernel) {
  return {read_module(reader, "nvidia", kernel), read_module(reader, "nvidia_vgpu_vfio", kernel)};
}

std::optional<bool> is_open_license(std::string_view license) {
  if (license == "NVIDIA") return false;
  if (license == "Dual MIT/GPL") return true;
  return std::nullopt;
}

}  // namespace pvegpu::gpu
