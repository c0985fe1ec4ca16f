// SPDX-License-Identifier: MIT
// How this host booted.
//
// The loader is judged by what booted the running kernel. Neither /etc/kernel/cmdline (Proxmox VE's installer writes it for every
// ZFS root, whatever boots it) nor "uefi" in the status of proxmox-boot-tool proves systemd-boot: a ZFS root with Secure Boot boots
// with GRUB on the partitions of proxmox-boot-tool.
#include "common/host/boot_facts.hpp"

#include "common/text/efi_variable.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

// Vendor GUIDs: the UEFI specification's global variables, and systemd's Boot Loader Interface.
constexpr const char* global_variables = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr const char* secure_boot_variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr const char* boot_current_variable = "/sys/firmware/efi/efivars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr const char* loader_info_variable = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
constexpr const char* proxmox_boot_uuids = "/etc/kernel/proxmox-boot-uuids";

enum class Booted { unknown, grub, systemd_boot };

Booted by_name(std::string_view name) {
  const std::string lower = text::lower(name);
  if (text::contains(lower, "systemd-boot")) return Booted::systemd_boot;
  if (text::contains(lower, "grub") || text::contains(lower, "shim")) return Booted::grub;  // Proxmox VE's shim starts GRUB
  return Booted::unknown;
}

/// "none [integrity] confidentiality"
std::string chosen(std::string_view text) {
  const auto open = text.find('['), close = text.find(']');
  return open != text.npos && close != text.npos && open < close ? std::string(text.substr(open + 1, close - open - 1)) : std::string(text);
}

std::optional<bool> find_secure_boot(Reader& reader, bool efi) {
  if (!efi) return false;
  const auto variable = reader.host().read_file(secure_boot_variable);
  if (variable) {
    if (const auto value = text::efi_byte(*variable)) return *value == 1;
    reader.add_unreadable(secure_boot_variable, "Secure Boot", "it holds no value");
  } else if (!variable.error().not_found()) {
    reader.add_unreadable(secure_boot_variable, "Secure Boot", std::strerror(variable.error().code));
  } else if (const auto all = reader.host().list_dir("/sys/firmware/efi/efivars"); all && !all->empty()) {
    return false;  // a firmware without the variable has no Secure Boot
  } else {
    reader.add_unreadable("/sys/firmware/efi/efivars", "Secure Boot", "no EFI variables are mounted there");
  }
  return std::nullopt;
}

/// The firmware is asked only where the command line does not tell: each variable costs a call into it.
Booted find_booted(Reader& reader, const BootFacts& facts, std::vector<std::string>& evidence) {
  const auto learn = [&](Booted found, std::string sentence) {
    if (found != Booted::unknown) evidence.push_back(std::move(sentence));
    return found;
  };
  const std::string cmdline = facts.cmdline.value_or("");
  // First: BOOT_IMAGE= stays in /etc/kernel/cmdline when that was copied from a boot with GRUB.
  if (facts.efi && text::contains(cmdline, "initrd=\\EFI\\"))
    return learn(Booted::systemd_boot, "/proc/cmdline has initrd=\\EFI\\, which systemd-boot adds");
  if (text::contains(cmdline, "BOOT_IMAGE=")) return learn(Booted::grub, "/proc/cmdline has BOOT_IMAGE=, which GRUB adds");
  if (!facts.efi) return Booted::unknown;
  if (const auto info = reader.file(loader_info_variable, "EFI variable LoaderInfo")) {
    const std::string name = text::efi_text(*info);
    if (const Booted found = learn(by_name(name), fmt::format("the EFI variable LoaderInfo says {}", name)); found != Booted::unknown)
      return found;
  }
  const auto current = reader.file(boot_current_variable, "EFI variable BootCurrent");
  const auto number = current ? text::efi_u16(*current) : std::nullopt;
  if (!number) return Booted::unknown;
  const std::string entry = fmt::format("Boot{:04X}", *number);
  const auto option = reader.file(fmt::format("/sys/firmware/efi/efivars/{}-{}", entry, global_variables), "EFI boot entry");
  const std::string file = option ? text::efi_boot_file(*option) : std::string();
  return learn(by_name(file), fmt::format("the firmware started {} ({})", file, entry));
}

}  // namespace

const char* name_of(LoaderKind kind) {
  switch (kind) {
    case LoaderKind::grub:
      return "grub";
    case LoaderKind::grub_pbt:
      return "grub-pbt";
    case LoaderKind::systemd_boot:
      return "systemd-boot";
    case LoaderKind::unknown:
      return "unknown";
  }
  return "unknown";
}

BootFacts read_boot_facts(Reader& reader) {
  BootFacts out;
  out.cmdline = reader.attr("/proc/cmdline", "kernel command line");
  out.efi = reader.host().exists("/sys/firmware/efi");
  out.secure_boot = find_secure_boot(reader, out.efi);
  if (const auto lockdown = reader.attr("/sys/kernel/security/lockdown", "kernel lockdown")) out.lockdown = chosen(*lockdown);

  auto& evidence = out.loader_evidence;
  if (const auto uuids = reader.attr(proxmox_boot_uuids, "partitions of proxmox-boot-tool"); uuids && !uuids->empty()) {
    out.proxmox_boot_tool = true;
    evidence.push_back(fmt::format("{} lists {}: proxmox-boot-tool manages the EFI system partitions", proxmox_boot_uuids,
                                   fmt::join(text::words(*uuids), ", ")));
  }
  evidence.push_back(out.efi ? "/sys/firmware/efi is there: booted with UEFI" : "/sys/firmware/efi is missing: booted with a BIOS");
  Booted booted = find_booted(reader, out, evidence);
  if (booted == Booted::unknown && out.proxmox_boot_tool && !out.efi) {
    booted = Booted::grub;
    evidence.push_back("without UEFI proxmox-boot-tool uses GRUB");
  }
  if (booted == Booted::unknown && out.proxmox_boot_tool && out.secure_boot.value_or(false)) {
    booted = Booted::grub;
    evidence.push_back("with Secure Boot proxmox-boot-tool uses GRUB");
  }
  if (booted == Booted::unknown && !out.proxmox_boot_tool && reader.host().exists("/boot/grub/grub.cfg")) {
    booted = Booted::grub;
    evidence.push_back("/boot/grub/grub.cfg is there");
  }
  if (booted == Booted::grub) out.loader = out.proxmox_boot_tool ? LoaderKind::grub_pbt : LoaderKind::grub;
  if (booted == Booted::systemd_boot) out.loader = LoaderKind::systemd_boot;
  return out;
}

std::vector<std::string> grub_default_files(const HostView& host) {
  const std::string defaults = "/etc/default/grub", dropins = defaults + ".d";
  std::vector<std::string> out = {defaults};  // then as dash sorts: by bytes, as list_dir does
  for (const std::string& name : host.list_dir(dropins).value_or({}))
    if (name.ends_with(".cfg") && !name.starts_with('.')) out.push_back(dropins + "/" + name);
  return out;
}

Result<std::vector<std::string>> grub_values(const HostView& host, const std::vector<Query::GrubFile>& files) {
  const CommandResult answer = PVEGPU_TRY(host.query(Query::grub_cmdline(files)));
  if (answer.exit_code != 0) return Error{text::trim(answer.err)};
  const auto values = text::split(answer.out, '\0');
  std::vector<std::string> out;
  for (std::size_t i = 0; i < files.size(); ++i) out.push_back(2 * i + 1 < values.size() ? values[2 * i] + " " + values[2 * i + 1] : "");
  return out;
}

}  // namespace pvegpu
