// SPDX-License-Identifier: MIT
// The unit and its script.
//
// Order: after NVIDIA's daemons and before Proxmox VE starts guests, as in the unit of the Proxmox wiki ("NVIDIA vGPU on Proxmox VE",
// After=nvidia-vgpud.service nvidia-vgpu-mgr.service, Before=pve-guests.service) and those made after it (PXVIRT's manual; the class
// ntnuopenstack::nova::compute::vgpu). pve-guests only waits: it starts whether this succeeds or not, and after `patience` at the latest.
#include "common/sriov/unit.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

/// POSIX shell. It never takes VFs away: at boot nobody has any, and started by hand later guests might.
constexpr const char* script = R"sh(#!/bin/sh
# Made by pve.gpu (sriov_service). Makes the virtual functions (VFs) of one card and looks whether they are there.
# Usage: sriov-at-boot ADDRESS VENDOR:DEVICE VFS|max nvidia|kernel SECONDS
set -u
address=$1 ids=$2 wanted=$3 maker=$4 patience=$5
devices=/sys/bus/pci/devices
drivers=/sys/bus/pci/drivers
card=$devices/$address
enabled=0 count=0 state='nothing was seen'

say() { echo "$address: $*"; }
get() { cat "$card/$1" 2>/dev/null; }
driver_of() {
  driver=$(readlink "$devices/$1/driver") || return 0
  echo "${driver##*/}"
}
now() { read -r up rest </proc/uptime && echo "${up%%.*}"; }
die() {
  say "$*" >&2
  exit 1
}

vfs_are_there() {
  total=$(get sriov_totalvfs) || { state='it shows no SR-IOV capability'; return 1; }
  enabled=$(get sriov_numvfs) || enabled=0
  count=$wanted
  [ "$wanted" != max ] || count=$total
  [ "$count" -gt 0 ] || { state='its driver offers no VFs'; return 1; }
  [ "$count" -le "$total" ] || { state="it has $total VFs, $count are wanted"; return 1; }
  [ "$enabled" = "$count" ] || { state="$enabled of $count VFs are enabled"; return 1; }
  there=0 bare=0
  for vf in "$card"/virtfn*; do
    [ -e "$vf" ] || continue
    there=$((there + 1))
    [ "$maker" = kernel ] || [ -e "$vf/driver" ] || bare=$((bare + 1))
  done
  [ "$there" = "$count" ] || { state="$there of $count VFs are there"; return 1; }
  [ "$bare" = 0 ] || { state="$bare of $count VFs have no driver"; return 1; }
}

# Back from pci-pf-stub, where sriov-manage leaves a card when it fails half-way.
give_back() {
  if [ "$(driver_of "$address")" = pci-pf-stub ]; then
    echo "$address" >"$drivers/pci-pf-stub/unbind"
    [ "$(get driver_override)" != pci-pf-stub ] || echo >"$card/driver_override"
  fi
  [ -n "$(driver_of "$address")" ] || echo "$address" >"$drivers/nvidia/bind"
}

make_vfs() {
  if [ "$maker" = kernel ]; then
    [ "$enabled" = 0 ] || die "it has $enabled VFs, $count are wanted: none is taken away here"
    echo "$count" >"$card/sriov_numvfs"
    return
  fi
  [ -d "$drivers/nvidia" ] || { state='the driver nvidia is not loaded'; return; }
  give_back
  /usr/lib/nvidia/sriov-manage -e "$address"
  give_back
  for vf in "$card"/virtfn*; do
    if [ -e "$vf" ] && [ ! -e "$vf/driver" ]; then
      vf=$(readlink "$vf")
      echo "${vf##*/}" >"$drivers/nvidia/bind"
    fi
  done
}

[ -d "$card" ] || die 'there is no such device: was the card moved or taken out? Run the playbook again'
found=$(get vendor):$(get device)
[ "$found" = "$ids" ] || die "here is $found now, not $ids: was the card moved? Run the playbook again"
end=$(($(now) + patience))
until vfs_are_there; do
  [ "$(now)" -lt "$end" ] || die "gave up after $patience s: $state"
  make_vfs
  vfs_are_there && break
  sleep 2
done
say "$count VFs are there"
)sh";

std::string command(const SriovCard& card, const VfCount& count, std::int64_t patience) {
  return fmt::format("{} {} 0x{:04x}:0x{:04x} {} {} {}", boot_script, card.gpu.address, card.gpu.ids.vendor, card.gpu.ids.device,
                     count.str(), card.tool == SriovTool::nvidia_script ? "nvidia" : "kernel", patience);
}

}  // namespace

std::string boot_script_text() { return script; }

// Without the colons of the address: systemd-analyze(1) verify takes what follows one for an alias.
std::string boot_unit_name(const std::string& address) {
  std::string place = address;
  std::replace(place.begin(), place.end(), ':', '-');
  return fmt::format("{}{}.service", boot_unit_prefix, place);
}

std::string boot_unit_card(const std::string& unit) {
  const std::string_view prefix = boot_unit_prefix, suffix = ".service";
  if (!unit.starts_with(prefix) || !unit.ends_with(suffix)) return {};
  std::string place = unit.substr(prefix.size(), unit.size() - prefix.size() - suffix.size());
  std::replace(place.begin(), place.end(), '-', ':');
  return place;
}

std::string boot_unit_text(const SriovCard& card, const VfCount& count, std::int64_t patience) {
  const bool nvidia = card.tool == SriovTool::nvidia_script;
  return fmt::format(
      "# Made by pve.gpu (sriov_service).\n"
      "[Unit]\n"
      "Description=Virtual functions of {} ({})\n"
      "{}"
      "Before=pve-guests.service\n"
      "\n"
      "[Service]\n"
      "Type=oneshot\n"
      "RemainAfterExit=yes\n"
      "ExecStart={}\n"
      "TimeoutStartSec={}\n"
      "\n"
      "[Install]\n"
      "WantedBy=multi-user.target\n",
      card.gpu.address, card.gpu.name, nvidia ? "After=nvidia-vgpud.service nvidia-vgpu-mgr.service\n" : "", command(card, count, patience),
      patience + 60);  // a try that begins at the last moment
}

std::string shipped_dropin_text(const SriovCard& card, const VfCount& count, std::int64_t patience) {
  return fmt::format(
      "# Made by pve.gpu (sriov_service), which enabled this unit.\n"
      "[Unit]\n"
      "Before=pve-guests.service\n"
      "\n"
      "[Service]\n"
      "RemainAfterExit=yes\n"
      "ExecStartPost={}\n"
      "TimeoutStartSec={}\n",
      command(card, count, patience), patience + 60);
}

std::string switched_off_text(const std::string& unit) {
  return fmt::format(
      "# Made by pve.gpu (sriov_service), which makes the VFs instead of {}.\n"
      "[Unit]\n"
      "ConditionPathExists=!{}\n",
      unit, boot_script);
}

}  // namespace pvegpu::gpu
