// SPDX-License-Identifier: MIT
// The script of the initramfs.
#include "common/text/vfio_script.hpp"

#include "common/base/result.hpp"
#include "common/base/strings.hpp"

#include <charconv>
#include <optional>

namespace pvegpu::text {
namespace {

// Built-ins of the shell only: an initramfs may have no other programs (klibc).
constexpr const char* head = R"(#!/bin/sh
# Made by pve.gpu (vfio); state: absent takes it back.
# It runs in the initramfs before the drivers of the host are loaded and keeps these PCI functions free for guests:
#   claim ADDRESS VENDOR DEVICE SUBSYSTEM_VENDOR SUBSYSTEM_DEVICE FORMER_DRIVER [override]
# A function with other ids at that address is left alone: another card is there now.
[ "$1" != prereqs ] || exit 0

say() { echo "<4>pve-gpu: $*" >/dev/kmsg; }

claim() {
  at=/sys/bus/pci/devices/$1
  found=
  for name in vendor device subsystem_vendor subsystem_device; do
    read -r value <"$at/$name" || break
    found="$found ${value#0x}"
  done
  if [ "$found" = " $2 $3 $4 $5" ]; then
    echo vfio-pci >"$at/driver_override"
  elif [ "$found" ]; then
    say "$1 is left alone: it is$found, the card for guests that was there is $2 $3 $4 $5"
  else
    say "$1 is not there: the card for guests was $2 $3 $4 $5"
  fi
} 2>/dev/null

)";

constexpr const char* load_vfio = R"(
modprobe vfio-pci || say "vfio-pci can't be loaded"
)";

constexpr const char* hook = R"(#!/bin/sh
# Made by pve.gpu (vfio); state: absent takes it back.
# The initramfs gets vfio-pci, which scripts/init-top/pve-gpu-vfio loads.
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules vfio-pci
)";

std::optional<std::uint16_t> hex(const std::string& word) {
  std::uint16_t out = 0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), out, 16);
  return parsed.ec == std::errc() && parsed.ptr == word.data() + word.size() ? std::optional(out) : std::nullopt;
}

}  // namespace

std::string VfioIds::str() const {
  return fmt::format("{:04x}:{:04x}, subsystem {:04x}:{:04x}", vendor, device, subsystem_vendor, subsystem_device);
}

std::string print_vfio_script(const std::vector<VfioClaim>& claims, bool load) {
  std::string out = head;
  for (const VfioClaim& claim : claims) {
    const VfioIds& ids = claim.ids;
    out += fmt::format("claim {} {:04x} {:04x} {:04x} {:04x} {}{}\n", claim.address, ids.vendor, ids.device, ids.subsystem_vendor,
                       ids.subsystem_device, claim.former.empty() ? "-" : claim.former, claim.had_override ? " override" : "");
  }
  return load ? out + load_vfio : out;
}

std::vector<VfioClaim> parse_vfio_script(std::string_view script) {
  std::vector<VfioClaim> out;
  for (const std::string& line : lines(script)) {
    const auto parts = words(line);
    if (parts.size() < 7 || parts[0] != "claim") continue;
    const auto vendor = hex(parts[2]), device = hex(parts[3]), subvendor = hex(parts[4]), subdevice = hex(parts[5]);
    if (!vendor || !device || !subvendor || !subdevice) continue;
    out.push_back({parts[1],
                   {*vendor, *device, *subvendor, *subdevice},
                   parts[6] == "-" ? std::string() : parts[6],
                   parts.size() > 7 && parts[7] == "override"});
  }
  return out;
}

std::string print_vfio_hook() { return hook; }

}  // namespace pvegpu::text
