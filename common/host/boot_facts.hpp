// SPDX-License-Identifier: MIT
// How this host booted and will boot: command line, boot loader, Secure Boot, lockdown.
#pragma once

#include "common/host/reader.hpp"

namespace pvegpu {

/// Where the kernel's command line has to be written to.
enum class LoaderKind {
  grub,          ///< GRUB from /boot
  grub_pbt,      ///< GRUB on EFI system partitions that proxmox-boot-tool manages
  systemd_boot,  ///< systemd-boot, on Proxmox VE always on partitions of proxmox-boot-tool
  unknown,
};
const char* name_of(LoaderKind kind);

struct BootFacts {
  std::optional<std::string> cmdline;  ///< of the running kernel
  bool efi = false;
  std::optional<bool> secure_boot;
  std::optional<std::string> lockdown;  ///< none, integrity or confidentiality; unset where the kernel has none
  LoaderKind loader = LoaderKind::unknown;
  bool proxmox_boot_tool = false;  ///< it manages the EFI system partitions
  std::vector<std::string> loader_evidence;
};

BootFacts read_boot_facts(Reader& reader);

/// The files of GRUB's defaults in the order in which grub-mkconfig sources them.
std::vector<std::string> grub_default_files(const HostView& host);
/// What each of these files leaves for the kernel's words in the menu, in GRUB's language; an error says which of them fails.
Result<std::vector<std::string>> grub_values(const HostView& host, const std::vector<Query::GrubFile>& files);

}  // namespace pvegpu
