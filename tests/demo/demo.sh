#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo: real ansible-playbook with the built collection, on this machine and, over real ssh, on a simulated cluster of Proxmox VE
# with one node for each hardware form: from fresh to guests with their cards or vGPUs, and back.
#
#   demo.sh [--keep]    --keep leaves the hosts up, to look inside
#
# Called by ./dev demo, which has installed what this needs and built the collection. Needs root for the simulated hosts.
set -eu
cd "$(dirname "$0")/../.."
work=$PWD/build/demo
keep=
hosts='form-a form-b form-c form-d form-e form-f'

die() { echo "demo: $*" >&2; exit 1; }

case ${1:-} in
  '') ;;
  --keep) keep=yes ;;
  *) die "usage: ./dev demo [--keep]" ;;
esac
[ "$(id -u)" = 0 ] || die "simulated hosts need root: run ./dev demo, or this with sudo"
archive=$(find build/collection -maxdepth 1 -name 'pve-gpu-*.tar.gz' 2>/dev/null | sort -V | tail -n 1)
[ -n "$archive" ] || die "build/collection holds no collection: make it with ./dev collection"

rack() { python3 -B tests/rack/rack.py --name demo "$@"; }

# On this machine, too, the executable is kept for the next task; what was not there before the demo goes with it.
staged=/var/lib/pve-gpu/bin
staged_before=$([ ! -e "$staged" ] || echo yes)

finish() {
  status=$?
  trap - EXIT
  [ -n "$staged_before" ] || { rm -rf "$staged"; rmdir "${staged%/*}" 2>/dev/null || :; }
  [ -z "${sockets:-}" ] || rm -rf "$sockets"
  if [ -z "$keep" ]; then
    rack down || :
  elif [ "$status" = 0 ]; then
    printf '\nThe hosts stay up. Look inside: ./dev rack --name demo ssh form-a\nPlaybooks: '
    printf 'ANSIBLE_CONFIG=%s ansible-playbook pve.gpu.discover\nTake them down: ./dev rack --name demo down\n' "build/demo/ansible.cfg"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

now() { date +%s%N; }
began=$(now)
seconds() { awk -v t="$(($(now) - $1))" 'BEGIN {printf "%.1f s", t / 1e9}'; }

# step TEXT COMMAND...: its output, then how long it took. A command that fails ends the demo.
number=0
step() {
  number=$((number + 1))
  text=$1
  shift
  printf '%s. %s\n' "$number" "$text"
  start=$(now)
  "$@"
  printf '      %s\n' "$(seconds "$start")"
}

install_collection() {
  rm -rf "$work"
  mkdir -p "$work"
  # the kept connections are found by address: those of another demo's hosts must not be
  sockets=$(mktemp -d /tmp/pve-gpu-demo.XXXXXX)
  cat >"$work/ansible.cfg" <<EOF
[defaults]
inventory = $work/rack.yml,$PWD/tests/demo/forms.yml,$work/files.yml,$PWD/tests/demo/this_machine.yml
collections_path = $work/collections
callback_plugins = $PWD/tests/demo/callbacks
retry_files_enabled = false
[ssh_connection]
control_path_dir = $sockets
EOF
  export ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_STDOUT_CALLBACK=demo
  ansible-galaxy collection install --offline -p "$work/collections" "$archive" >"$work/install.log" 2>&1 ||
    { cat "$work/install.log" >&2; die "the collection cannot be installed"; }
  printf '      %s, %s kB: one executable of %s kB for %s modules\n' "${archive##*/}" "$(($(stat -c %s "$archive") / 1000))" \
    "$(($(stat -c %s "$work/collections/ansible_collections/pve/gpu/plugins/native/pve-gpu") / 1000))" \
    "$(find "$work/collections/ansible_collections/pve/gpu/plugins/modules" -name '*.py' | wc -l)"
}

start_hosts() {
  # shellcheck disable=SC2086
  rack up $hosts
  rack inventory >"$work/rack.yml"
  for host in $hosts; do
    printf '      %-13s %s\n' "$host" "$(rack ssh "$host" cat /etc/os-release | sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p')"
  done
}

# What users bring themselves: NVIDIA's driver and its display tool, and Intel's SR-IOV driver, played by stand-ins.
bring_files() {
  mkdir "$work/files"
  tool=$work/files/displaymodeselector
  printf '#!/bin/sh\nexec /usr/lib/rack/closed/displaymodeselector "$@"\n' >"$tool"
  for pair in a:550.163.02 f:535.161.05; do
    file=$(python3 -B tests/rack/standins/closed/make_run.py "$work/files" "${pair#*:}")
    printf 'form_%s:\n  vars:\n    gpu_nvidia_vgpu_driver: %s\n    gpu_nvidia_vgpu_driver_sha256: "%s"\n' "${pair%%:*}" "$file" "$(sum_of "$file")"
    printf '      %s\n' "${file##*/}" >&2
  done >"$work/files.yml"
  printf '    gpu_nvidia_vgpu_display_tool: %s\n    gpu_nvidia_vgpu_display_tool_sha256: "%s"\n' "$tool" "$(sum_of "$tool")" >>"$work/files.yml"
  file=$(python3 -B tests/rack/standins/closed/make_i915.py "$work/files" 2025.07.22)
  printf 'form_d:\n  vars:\n    gpu_intel_sriov_file: %s\n    gpu_intel_sriov_sha256: "%s"\n' "$file" "$(sum_of "$file")" >>"$work/files.yml"
  printf '      %s\n' "${file##*/}"
}
sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# again NAME COMMAND...: the same once more, which must not change anything
again() {
  kept=$work/again-$1
  shift
  "$@" >"$kept" || { cat "$kept"; return 1; }
  cat "$kept"
  ! grep -q 'changed=[1-9]' "$kept" || die "the second run changed something"
}

# collection NAME WORDS...: a playbook of the collection, without the warning that it is one
collection() {
  name=$1
  shift
  status=0
  ansible-playbook "pve.gpu.$name" "$@" 2>"$work/stderr" || status=$?
  grep -v -e 'running playbook inside collection' -e 'stays pinned' -e '^/etc/kernel/proxmox-boot-pin' "$work/stderr" >&2 || :
  return "$status"
}
site() { collection site -e gpu_hosts=pve "$@"; }

step "Install the collection" install_collection
step "Start a simulated cluster: six hardware forms on Proxmox VE 7, 8 and 9, with GRUB and systemd-boot" start_hosts
step "Bring what users bring: drivers and the display tool (stand-ins for them)" bring_files
step "Read the GPU facts of this machine and of the six over ssh (pve.gpu.host_info)" collection discover --tags facts
step "What would become of their package sources (pve.gpu.repo, --check --diff)" ansible-playbook tests/demo/repo.yml --check --diff
step "Set their package sources" ansible-playbook tests/demo/repo.yml
step "Once more: nothing left to do" again repo ansible-playbook tests/demo/repo.yml
step "The whole way, as a plan (ansible-playbook pve.gpu.site --check)" site --check
step "Go it: all at once, reboots one after another, quorum and guests watched" site -e gpu_reboot_allowed=true -e gpu_reboot_guests=stop
step "Once more: nothing left to do" again site site -e gpu_reboot_allowed=true -e gpu_reboot_guests=stop
step "Verify: what differs from the goal (ansible-playbook pve.gpu.verify)" collection verify -e gpu_hosts=pve
step "Start guests on all forms, each with its card, VF or vGPU" ansible-playbook tests/demo/guests.yml
step "Which GPU would serve which desktop pool (ansible-playbook pve.gpu.plan)" collection plan -e gpu_hosts=pve
step "All that is known now (ansible-playbook pve.gpu.discover)" collection discover
step "Take it all back (ansible-playbook pve.gpu.undo)" collection undo -e gpu_hosts=pve -e gpu_nvidia_vgpu_remove_driver=true
echo "Done in $(seconds "$began")."
