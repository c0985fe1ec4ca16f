// SPDX-License-Identifier: MIT
// The state that a card is in now, as PCI shows it: its memory windows, its configuration space, power, reset, what the firmware left on
// it. Facts only: what a way of using the card makes of them is judged elsewhere. What is unset is unknown, and the reader has the reason.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/host/boot_facts.hpp"

namespace pvegpu::gpu {

/// A file and what stands in it, so that a person can look it up.
struct Evidence {
  std::string path, value;

  bool empty() const { return path.empty(); }
  std::string str() const;  ///< "PATH: VALUE"
};

/// A base address register: a window of memory or I/O ports.
struct Bar {
  unsigned index = 0;       ///< 0 to 5
  bool of_vfs = false;      ///< one of the VFs, that the PF has for all of them: without it no VF can be made
  bool io = false;          ///< I/O ports, which no driver of a GPU needs
  bool assigned = false;    ///< it has an address
  std::uint64_t start = 0;  ///< 0 without an address
  std::uint64_t size = 0;   ///< 0: unknown
  Evidence evidence = {};

  std::string name() const;  ///< "BAR 1", "VF BAR 1"
};

struct CardState {
  std::optional<std::vector<Bar>> bars;    ///< those that the card has; its ROM is none of them: without an address it harms nobody
  std::optional<bool> bar1_resizable;      ///< then its size is a choice of the firmware or the kernel, and says nothing of the card's mode
  std::optional<bool> gone;                ///< its configuration space reads ff: it fell off the bus, or has no power
  Evidence config;                         ///< what was read of it, whenever `gone` is set
  std::optional<std::string> power_state;  ///< "D0", "D3hot", "D3cold", "unknown", "error"
  std::optional<std::vector<std::string>> reset_methods;  ///< "flr", "bus" …; empty: the kernel knows none

  const Bar* bar(unsigned index) const;               ///< of the card itself; nullptr: it has none, or that is unknown
  std::vector<const Bar*> unassigned() const;         ///< memory windows of the card that have no address
  std::vector<const Bar*> unassigned_of_vfs() const;  ///< the same of its VFs
};

/// Reads five files. The kernel wakes a suspended card to read its configuration space.
CardState read_card_state(Reader& reader, const Gpu& gpu);

/// The firmware's console: framebuffers that the kernel keeps, of the whole host. One in a window of a card keeps vfio-pci from mapping it.
struct FirmwareConsole {
  struct Framebuffer {
    std::string name;                ///< "BOOTFB", "efifb"
    std::vector<std::string> cards;  ///< addresses of the functions in whose windows it is
    bool hidden = false;             ///< nobody knows in whose: addresses are shown to root only
    Evidence evidence = {};          ///< the line of /proc/iomem
  };
  std::optional<std::vector<Framebuffer>> framebuffers;
  std::string kernel, cmdline;  ///< that run
};
/// Reads /proc/iomem, once for all cards.
FirmwareConsole read_firmware_console(Reader& reader, const BootFacts& boot);

/// Of one card.
struct FirmwareFramebuffer {
  std::optional<bool> in_card;
  Evidence evidence;      ///< the line of /proc/iomem, when it is in the card
  std::string parameter;  ///< what keeps it away on this kernel, when it is: "initcall_blacklist=sysfb_init"
  bool given = false;     ///< the running kernel was started with that
};
FirmwareFramebuffer framebuffer_in(const FirmwareConsole& console, const Gpu& gpu);

/// Memory that the firmware demands for the devices of the card's IOMMU group (RMRR, type "direct"): Intel's IOMMU gives no such device
/// to a guest. Empty: there is none. Unset: unknown, or there is no group.
std::optional<std::vector<Evidence>> read_direct_regions(Reader& reader, const Gpu& gpu);

/// Such a region of any group. Firmware that demands one for every slot shows it in groups of which no device is known, too.
struct DirectRegion {
  std::int64_t group = 0;
  bool has_devices = false;  ///< the group's devices are known, so that it is known whom it is for
  Evidence evidence = {};
};
/// Of all groups of the host: a file for each, for `diagnose` only.
std::optional<std::vector<DirectRegion>> read_host_direct_regions(Reader& reader);

/// NVSwitches: the GPUs beside them are one SXM baseboard, and one of these alone needs the fabric manager's consent to run.
std::vector<PciDevice> nvswitches(const std::vector<PciDevice>& devices);

}  // namespace pvegpu::gpu
