// SPDX-License-Identifier: MIT
// Files of the host that give a card to vfio-pci, or to whichever driver, on purpose: the line that somebody once wrote, so that it can
// be taken back where it stands.
#pragma once

#include "common/facts/card_state.hpp"

namespace pvegpu::gpu {

/// A line that gives devices to a driver.
struct Holder {
  enum class Kind {
    udev_rule,
    driverctl,     ///< /etc/driverctl.d, which a udev rule of driverctl reads
    modprobe_ids,  ///< "options vfio-pci ids=" in modprobe.d
    cmdline_ids,   ///< "vfio-pci.ids=" on the kernel's command line: in a file that makes it, else in /proc/cmdline
    softdep,       ///< vfio-pci is loaded before the card's driver, which makes the ids of another line work
    script,        ///< of the initramfs, of modprobe.d or of a unit
    unit,
  };
  Kind kind = Kind::udev_rule;
  std::string path;
  unsigned line = 0;   ///< counted from 1
  std::string text;    ///< the line, at most 200 characters
  std::string driver;  ///< "vfio-pci"; empty when the line does not say
  bool ours = false;   ///< made by pve.gpu: its module takes it back

  std::string where() const;  ///< "/etc/udev/rules.d/90-vfio-pci.rules line 1"
  /// "a udev rule gives it to vfio-pci": without a subject, for a message.
  std::string how() const;
};

/// Who holds this card at the next boot, or since this one. Reads udev's rules, modprobe.d, the kernel's command line, the initramfs'
/// scripts and the units that were written on this host; files of more than 256 KiB are left out with a note.
std::vector<Holder> read_holders(Reader& reader, const Gpu& gpu);

/// "ids=" of a line, whichever cards they are of.
struct IdList {
  Holder holder;
  std::string ids;  ///< "10de:2231,10de:1aef"

  bool takes(const catalogue::PciIds& card) const;
  bool names(const catalogue::PciIds& card) const;  ///< by vendor and device alone
};
/// Of modprobe.d and the kernel's command line.
std::vector<IdList> read_id_lists(Reader& reader);

/// Whether a line of a script or unit names this card: "0000:81:00.0", "81:00.0", the whole slot or a loop over its functions, or its ids
/// as new_id takes them.
bool names_card(std::string_view line, const Gpu& gpu);

/// Whether all that a udev rule asks of names and ids fits this card; false also for a rule that asks for none of them.
bool rule_takes(std::string_view rule, const Gpu& gpu);

}  // namespace pvegpu::gpu
