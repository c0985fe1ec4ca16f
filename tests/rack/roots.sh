#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian roots that tests, the demo and the portable build run in, made by mmdebstrap and cached outside the checkout.
#
#   roots.sh NAME...   make the named roots where they are absent; print the path of each, one a line
#   roots.sh list      the names with a line each
#
# A root's folder carries a hash of its recipe, so that a changed recipe makes a new root and an old checkout keeps its own.
# Cache: $PVE_GPU_CACHE, else ~/.cache/pve-gpu. The mirror is the one that this machine's own APT uses.
set -eu

cache=${PVE_GPU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pve-gpu}

die() { echo "roots: $*" >&2; exit 1; }

# NAME -> "suite packages..."
recipe() {
  target='python3 python3-apt openssh-server sudo kmod pciutils mdevctl iproute2 procps ca-certificates gpgv'
  case $1 in
    build-bullseye) echo "bullseye g++ cmake ninja-build python3 pkg-config nlohmann-json3-dev libfmt-dev libpci-dev libkmod-dev" ;;
    host-bullseye) echo "bullseye $target" ;;
    host-bookworm) echo "bookworm $target" ;;
    host-trixie) echo "trixie $target" ;;
    grub-bookworm) echo "bookworm grub2-common grub-emu grub-pc-bin" ;;
    grub-trixie) echo "trixie grub2-common grub-emu grub-pc-bin" ;;
    control-bookworm) echo "bookworm ansible-core openssh-client sudo iproute2" ;;
    control-trixie) echo "trixie ansible-core openssh-client sudo iproute2" ;;
    control-sid) echo "sid ansible-core openssh-client sudo iproute2" ;;
    *) die "no root is called '$1'; there are: $(names | tr '\n' ' ')" ;;
  esac
}
names() { printf '%s\n' build-bullseye host-bullseye host-bookworm host-trixie grub-bookworm grub-trixie control-bookworm control-trixie control-sid; }

mirror() {
  if [ -n "${MIRROR:-}" ]; then echo "$MIRROR"; return; fi
  # $(REPO_URI) is apt's own placeholder
  # shellcheck disable=SC2016
  m=$(apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' 2>/dev/null | awk '/debian/ && !/security|updates/ {print $1; exit}')
  echo "${m:-http://deb.debian.org/debian/}"
}

make_root() {
  name=$1
  words=$(recipe "$name")
  suite=${words%% *}
  packages=$(echo "${words#* }" | tr ' ' ',')
  key=$(printf '%s\n' "v2 $words" | sha256sum | cut -c1-12)
  root=$cache/roots/$name-$key
  if [ ! -e "$root/.complete" ]; then
    command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
    mkdir -p "$cache/roots" "$cache/log"
    exec 9>"$cache/roots/.$name.lock"
    flock 9
    if [ ! -e "$root/.complete" ]; then
      if awk -v r="$root/" 'index($5 "/", r) == 1 {found = 1} END {exit !found}' /proc/self/mountinfo; then die "something is mounted below $root: unmount it first"; fi
      rm -rf --one-file-system "$root"
      echo "roots: making $name ($suite), once, about a minute" >&2
      # A mirror's copy of sid may be older than its Release file is valid for; the signature is checked all the same.
      mmdebstrap --quiet --variant=minbase --mode=root --skip=check/qemu \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="$packages" "$suite" "$root" "deb $(mirror) $suite main" >"$cache/log/$name.log" 2>&1 9>&- ||
        { tail -n 5 "$cache/log/$name.log" >&2; rm -rf --one-file-system "$root"; die "mmdebstrap failed for $name: see $cache/log/$name.log"; }
      : >"$root/.complete"
      # roots of older recipes
      find "$cache/roots" -maxdepth 1 -name "$name-*" ! -name "$name-$key" -mtime +14 -exec rm -rf --one-file-system {} +
    fi
    exec 9>&-
  fi
  echo "$root"
}

[ $# -gt 0 ] || die "name the roots to make; 'roots.sh list' lists them"
if [ "$1" = list ]; then names | while read -r n; do printf '%-18s %s\n' "$n" "$(recipe "$n")"; done; exit 0; fi
for n; do make_root "$n"; done
