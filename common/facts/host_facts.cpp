// SPDX-License-Identifier: MIT
// What the host is.
#include "common/facts/host_facts.hpp"

#include "common/facts/kernels.hpp"
#include "common/text/corosync_conf.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

std::optional<std::string> find_node(Reader& reader) {
  // pmxcfs says it itself; a host name may be written with its domain.
  if (const auto local = reader.link_name("/etc/pve/local", "name of the node")) return local;
  const auto name = reader.attr("/proc/sys/kernel/hostname", "host name");
  return name ? std::optional(name->substr(0, name->find('.'))) : std::nullopt;
}

std::optional<std::string> find_cluster(Reader& reader) {
  const auto text = reader.file("/etc/pve/corosync.conf", "name of the cluster");
  if (!text) return std::nullopt;
  const auto conf = text::parse_corosync_conf(*text);
  if (conf && !conf->cluster_name.empty()) return conf->cluster_name;
  reader.add_unreadable("/etc/pve/corosync.conf", "name of the cluster", conf ? "it names none" : conf.error().message);
  return std::nullopt;
}

Dmi read_dmi(Reader& reader) {
  const std::string dmi = "/sys/class/dmi/id/";
  return {reader.attr(dmi + "sys_vendor", "vendor of the machine"), reader.attr(dmi + "product_name", "model of the machine"),
          reader.number(dmi + "chassis_type", "chassis of the machine")};
}

/// Why there is no IOMMU although it was looked for: GPU-FACTS 10, PVE-FACTS 4.2.
std::string iommu_cause(const HostView& host, const HostFacts& facts, bool firmware_known, bool firmware_table) {
  for (const std::string& word : text::words(facts.boot.cmdline.value_or("")))
    if (word == "intel_iommu=off" || word == "amd_iommu=off" || word == "iommu=off")
      return fmt::format("{} on the kernel command line switches the IOMMU off: remove it and reboot", word);
  const bool amd = facts.cpu.amd();
  if (firmware_known && !firmware_table)
    return fmt::format("the firmware announces no IOMMU (no ACPI table {}): switch on {} in the BIOS setup", iommu_table(facts.cpu),
                       amd ? "IOMMU (AMD-Vi)" : "VT-d");
  if (!amd && !text::contains(facts.boot.cmdline.value_or(""), "intel_iommu=on") && driver::needs_intel_iommu_on(host, facts.kernel))
    return fmt::format("kernel {} needs intel_iommu=on on its command line: add it and reboot", facts.kernel);
  return "the kernel made no IOMMU unit: see dmesg for DMAR (Intel) or AMD-Vi (AMD)";
}

Iommu read_iommu(Reader& reader, const HostFacts& facts) {
  Iommu out;
  const auto units = reader.host().list_dir("/sys/class/iommu");
  if (units)
    out.active = !units->empty();
  else if (units.error().not_found())
    out.active = false;
  else
    reader.add_unreadable("/sys/class/iommu", "IOMMU units", std::strerror(units.error().code));
  if (units && !units->empty()) out.evidence.push_back(fmt::format("/sys/class/iommu has {}", fmt::join(*units, ", ")));
  if (out.active == false) out.evidence.push_back("/sys/class/iommu is empty");
  if (const auto groups = reader.list("/sys/kernel/iommu_groups", "IOMMU groups")) {
    out.groups = groups->size();
    out.evidence.push_back(fmt::format("/sys/kernel/iommu_groups has {}", groups->size()));
  }
  const std::string tables = "/sys/firmware/acpi/tables";
  const bool dmar = reader.host().exists(tables + "/DMAR"), ivrs = reader.host().exists(tables + "/IVRS");
  const bool firmware_known = dmar || ivrs || reader.host().exists(tables);
  if (firmware_known)
    out.evidence.push_back(dmar   ? "the firmware has the ACPI table DMAR (VT-d)"
                           : ivrs ? "the firmware has the ACPI table IVRS (AMD-Vi)"
                                  : "the firmware has neither the ACPI table DMAR nor IVRS");
  for (const std::string& word : text::words(facts.boot.cmdline.value_or("")))
    if (word.starts_with("intel_iommu=") || word.starts_with("amd_iommu=") || word.starts_with("iommu="))
      out.evidence.push_back(word + " is on the kernel command line");
  if (out.active == false) out.cause = iommu_cause(reader.host(), facts, firmware_known, dmar || ivrs);
  return out;
}

NvidiaDriver read_nvidia(Reader& reader, const std::string& kernel) {
  NvidiaDriver out;
  const HostView& host = reader.host();
  out.loaded = host.exists("/sys/module/nvidia");
  if (!out.loaded) {
    if (const auto module = host.kernel_module("nvidia", kernel); module && module->available)
      out.installed_version = module->version.empty() ? "unknown" : module->version;
    return out;
  }
  out.version = reader.attr("/sys/module/nvidia/version", "version of the NVIDIA driver");
  out.host_vgpu = host.exists("/sys/module/nvidia_vgpu_vfio") || host.exists("/usr/bin/nvidia-vgpu-mgr");
  if (const auto text = reader.file("/proc/driver/nvidia/version", "flavour of the NVIDIA driver"))
    out.open_modules = text::contains(*text, "Open Kernel Module");
  if (auto gpus = reader.host().list_dir("/proc/driver/nvidia/gpus"))
    out.gpus = *std::move(gpus);
  else if (gpus.error().not_found() && host.exists("/proc/driver/nvidia"))
    out.gpus.emplace();
  else if (gpus.error().not_found())
    reader.note("the driver nvidia is loaded and there is no /proc/driver/nvidia: what it says of its GPUs is not known");
  else
    reader.add_unreadable("/proc/driver/nvidia/gpus", "GPUs of the NVIDIA driver", std::strerror(gpus.error().code));
  if (!out.version) return out;
  out.branch = catalogue::branch_of(*out.version);
  if (const auto release = catalogue::find_release(*out.version)) out.release = catalogue::to_string(*release);
  return out;
}

IntelDriver read_intel(Reader& reader, const std::string& name, const std::string& kernel) {
  IntelDriver out;
  const std::string module = "/sys/module/" + name;
  out.loaded = reader.host().exists(module);
  if (out.loaded) {
    out.version = reader.attr(module + "/version", "version of " + name);
    out.max_vfs = reader.number(module + "/parameters/max_vfs", "VFs that " + name + " may make");
    if (const auto gvt = reader.attr(module + "/parameters/enable_gvt", "GVT-g of " + name)) out.enable_gvt = *gvt == "Y" || *gvt == "1";
  }
  // Only a DKMS build can bring the parameter; reading a compressed module takes long.
  const std::string built = fmt::format("/lib/modules/{}/updates/dkms/{}.ko", kernel, name);
  const auto is_built = [&] {
    for (const char* suffix : {"", ".xz", ".zst", ".gz"})
      if (reader.host().exists(built + suffix)) return true;
    return false;
  };
  if (!out.max_vfs && is_built())
    if (const auto file = reader.host().kernel_module(name, kernel); file && file->available)
      out.installed_has_max_vfs = std::binary_search(file->parameters.begin(), file->parameters.end(), "max_vfs");
  return out;
}

/// Where DualCoder's and mbilker's vgpu_unlock leave themselves (GPU-FACTS 8).
Unlock find_unlock(Reader& reader) {
  Unlock out;
  for (const char* path : {"/etc/systemd/system/nvidia-vgpud.service.d/vgpu_unlock.conf",
                           "/etc/systemd/system/nvidia-vgpu-mgr.service.d/vgpu_unlock.conf", "/etc/vgpu_unlock"})
    if (reader.host().exists(path)) out.traces.emplace_back(path);
  for (const std::string& name : reader.list("/opt", "programs in /opt").value_or(std::vector<std::string>()))
    if (name.starts_with("vgpu_unlock")) out.traces.push_back("/opt/" + name);
  return out;
}

}  // namespace

bool HostFacts::has_driver(std::string_view name) const {
  return std::find(other_drivers.begin(), other_drivers.end(), name) != other_drivers.end();
}

std::optional<catalogue::MajorMinor> HostFacts::pve_version() const {
  return pve ? catalogue::parse_major_minor(pve->version) : std::nullopt;
}

Cpu read_cpu(Reader& reader) {
  Cpu out;
  const auto text = reader.file("/proc/cpuinfo", "CPU");
  for (const std::string& line : text::lines(text.value_or(""))) {
    const auto colon = line.find(':');
    if (colon == line.npos) {
      if (out.vendor || out.model) break;  // one processor is enough
      continue;
    }
    const std::string key = text::trim(line.substr(0, colon)), value = text::trim(line.substr(colon + 1));
    const auto number = [&] { return static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 0)); };
    if (key == "vendor_id") out.vendor = value;
    if (key == "model name") out.model = value;
    if (key == "cpu family") out.family = number();
    if (key == "model") out.model_number = number();
    if (key == "stepping") out.stepping = number();
    if (key == "microcode") out.microcode = number();
    if (key == "flags") {
      out.runs_guests = text::contains(line + " ", " svm ") || text::contains(line + " ", " vmx ");
      out.is_virtual = text::contains(line + " ", " hypervisor ");
    }
  }
  return out;
}

std::string iommu_table(const Cpu& cpu) { return cpu.amd() ? "IVRS" : "DMAR"; }

std::string iommu_switch(const Cpu& cpu) {
  return cpu.amd()
             ? "switch on 'IOMMU' or 'AMD-Vi' in the BIOS setup (often below NBIO, North Bridge or AMD CBS), then power the host off and on"
             : "switch on 'VT-d' or 'Intel Virtualization Technology for Directed I/O' in the BIOS setup (often below Chipset, System "
               "Agent or Advanced), then power the host off and on";
}

HostFacts read_host_facts(Reader& reader, Vendors vendors) {
  HostFacts out;
  out.node = find_node(reader);
  out.cluster = find_cluster(reader);
  if (const auto pvecfg = reader.file("/usr/share/perl5/PVE/pvecfg.pm", "version of Proxmox VE")) {
    out.pve = text::parse_pvecfg(*pvecfg);
    if (!out.pve) reader.add_unreadable("/usr/share/perl5/PVE/pvecfg.pm", "version of Proxmox VE", "it names none");
  }
  out.kernel = reader.host().kernel_release();
  out.boot = read_boot_facts(reader);
  out.blocks = read_module_blocks(reader.host(), out.boot);
  out.cpu = read_cpu(reader);
  out.dmi = read_dmi(reader);
  out.iommu = read_iommu(reader, out);
  if (vendors.nvidia || reader.host().exists("/sys/module/nvidia")) {
    out.nvidia = read_nvidia(reader, out.kernel);
    out.unlock = find_unlock(reader);
  }
  if (vendors.intel) {
    out.i915 = read_intel(reader, "i915", out.kernel);
    out.xe = read_intel(reader, "xe", out.kernel);
  }
  for (const char* name : {"amdgpu", "gim", "kvmgt", "nouveau", "vfio_pci"})
    if (reader.host().exists(fmt::format("/sys/module/{}", name))) out.other_drivers.emplace_back(name);
  return out;
}

}  // namespace pvegpu::gpu
