#!/bin/sh
# SPDX-License-Identifier: MIT
# Stand-in for proxmox-boot-tool in a plain Debian with systemd-boot: `refresh` puts kernels and boot entries on the real partitions.
# As zz-proxmox-boot of proxmox-kernel-helper 8.1.0 does it with UEFI and without Secure Boot; pins and removal of old kernels left out.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
list=/etc/kernel/proxmox-boot-uuids
case ${1:-} in
  status) cat "$list"; exit ;;
  refresh) ;;
  *) echo "USAGE: proxmox-boot-tool status|refresh" >&2; exit 1 ;;
esac

read -r options </etc/kernel/cmdline || [ -n "$options" ]
case " $options" in
  *" root="*) ;;
  *) echo "No root= parameter in /etc/kernel/cmdline found!" >&2; exit 1 ;;
esac

while read -r uuid; do
  esp=/var/tmp/espmounts/$uuid
  mkdir -p "$esp"
  mount "/dev/disk/by-uuid/$uuid" "$esp"
  echo "Copying and configuring kernels on /dev/disk/by-uuid/$uuid"
  for image in /boot/vmlinuz-*; do
    release=${image#/boot/vmlinuz-}
    printf '\tCopying kernel and creating boot-entry for %s\n' "$release"
    mkdir -p "$esp/EFI/proxmox/$release" "$esp/loader/entries"
    cp "$image" "/boot/initrd.img-$release" "$esp/EFI/proxmox/$release/"
    cat >"$esp/loader/entries/proxmox-$release.conf" <<ENTRY
title    Proxmox Virtual Environment
version  $release
options  $options
linux    /EFI/proxmox/$release/vmlinuz-$release
initrd   /EFI/proxmox/$release/initrd.img-$release
ENTRY
  done
  umount "$esp"
done <"$list"
