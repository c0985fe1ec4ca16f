# SPDX-License-Identifier: MIT
# A Debian with graphics cards: the image of a GPU host, made from another image, and the cards that QEMU plugs into it.
"""QEMU's nvme is the one function that it can give VFs. test_cards.ko makes cards of such functions in the initramfs, before anything looks
at them, by the list that the machine's firmware has (fw_cfg): another list is another card in the slot. driver/nvidia.c and
driver/i915.c drive them, and are loaded by udev as the real ones are.

A machine with nvme has no saved state (QEMU can't migrate it): it is booted. Only VGA (class 0300) can't be played for vfio-pci: the
kernel's VGA arbiter knows those alone that were so when they were found.
"""
import collections
import pathlib
import shutil
import subprocess

import images
import kernel
import vm

HERE = pathlib.Path(__file__).resolve().parent
STANDINS = HERE.parent / 'rack' / 'standins'
BASE = 'bookworm-grub'
DRIVERS = ('test_cards', 'nvidia', 'nvidia_vgpu_vfio', 'i915')

Card = collections.namedtuple('Card', 'address vendor device subsystem pci_class vfs')
A40 = Card('0000:01:00.0', '10de', '2235', '10de:145a', '030200', 4)
L4 = Card('0000:02:00.0', '10de', '27b8', '10de:16ca', '030200', 4)
P4 = Card('0000:03:00.0', '10de', '1bb3', '10de:11d8', '030200', 0)
K80 = [Card('0000:%02x:00.0' % bus, '10de', '102d', '10de:106c', '030200', 0) for bus in (4, 5, 6)]  # no vGPU
UHD_730 = Card('0000:00:02.0', '8086', '4692', '1043:8882', '030000', 7)
K40M = Card(K80[0].address, '10de', '1023', '10de:097e', '030200', 0)  # in its slot


def plugged(cards):
    """QEMU's arguments for these cards: bus N is behind the N-th root port."""
    words = []
    for number in range(1, 7):
        words += ['-device', 'pcie-root-port,id=port%d,slot=%d,chassis=%d,bus=pcie.0,addr=0x%x' % (number, number, number, 0x10 + number)]
    for card in cards:
        _, bus, place = card.address.split(':')
        name = 'card%s%s' % (bus, place[:2])
        where = 'bus=pcie.0,addr=0x%s' % place[:2] if bus == '00' else 'bus=port%d' % int(bus, 16)
        shared = ',subsys=%s,sriov_max_vfs=%d,sriov_vq_flexible=%d,sriov_vi_flexible=%d,max_ioqpairs=%d,msix_qsize=%d' % (
            name, card.vfs, 2 * card.vfs, card.vfs, 4 * card.vfs, 4 * card.vfs + 1)
        if card.vfs:
            words += ['-device', 'nvme-subsys,id=' + name]
        words += ['-device', 'nvme,serial=%s,%s%s%s' % (name, where, ',use-intel-id=on' if card.vendor == '8086' else '', shared if card.vfs else '')]
    ids = ['%s=%s:%s:%s:%s' % (card.address, card.vendor, card.device, card.subsystem, card.pci_class) for card in cards]
    return words + ['-fw_cfg', 'name=opt/pve-gpu/cards,string=' + ',,'.join(ids)]


FILES = {
    # The disk of the machine is none of nvme; the others take time at each boot.
    'etc/modprobe.d/pve-gpu-test.conf': ''.join('blacklist %s\n' % name for name in (
        'nvme ahci aesni_intel ccp crc32_pclmul crct10dif_pclmul ghash_clmulni_intel i2c_i801 iTCO_wdt intel_powerclamp kvm_amd lpc_ich '
        'sha512_ssse3').split()),
    'etc/initramfs-tools/hooks/pve-gpu-test-cards': '#!/bin/sh\n[ "$1" != prereqs ] || exit 0\n. /usr/share/initramfs-tools/hook-functions\n'
                                                    'manual_add_modules qemu_fw_cfg test_cards\n',
    # The first of all scripts, by its name: it is not the host that has these cards plugged in.
    'etc/initramfs-tools/scripts/init-top/00-pve-gpu-test-cards': '''#!/bin/sh
[ "$1" != prereqs ] || exit 0
modprobe qemu_fw_cfg
read -r cards </sys/firmware/qemu_fw_cfg/by_name/opt/pve-gpu/cards/raw
modprobe test_cards "cards=$cards"
''',
    'etc/modules-load.d/nvidia-vgpu.conf': 'nvidia_vgpu_vfio\n',
    'etc/tmpfiles.d/pve-gpu-test.conf': 'd /run/rack\n',
    # NVIDIA's daemons and Proxmox VE's start of guests, as far as others are ordered by them. Guests tell what they find.
    'usr/lib/systemd/system/nvidia-vgpud.service': '[Unit]\nDescription=NVIDIA vGPU Daemon\n\n[Service]\nType=oneshot\nExecStart=sleep 1\n\n'
                                                   '[Install]\nWantedBy=multi-user.target\n',
    'usr/lib/systemd/system/nvidia-vgpu-mgr.service': '[Unit]\nDescription=NVIDIA vGPU Manager Daemon\n\n[Service]\n'
                                                      'ExecStart=nvidia-vgpu-mgr\n\n[Install]\nWantedBy=multi-user.target\n',
    'usr/bin/nvidia-vgpu-mgr': '#!/bin/sh\nexec sleep infinity\n',
    'usr/lib/systemd/system/pve-guests.service': '[Unit]\nDescription=PVE guests\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n'
                                                 'ExecStart=pve-guests\n\n[Install]\nWantedBy=multi-user.target\n',
    'usr/bin/pve-guests': '#!/bin/sh\ncd /sys/bus/pci/devices\nfor card in */sriov_numvfs; do\n'
                          '  read -r vfs <"$card"\n  echo "${card%/*} $vfs"\ndone >/run/pve-guests.found\n',
}
UNITS = ['nvidia-vgpud', 'nvidia-vgpu-mgr', 'pve-guests']
TAKEN = {'usr/lib/rack/standin.py': 'standin.py', 'usr/lib/rack/bootfiles.py': 'bootfiles.py', 'usr/lib/nvidia/sriov-manage': 'bin/sriov-manage'}
OPTIONS = 'intel_iommu=on iommu=pt i915.enable_guc=3 i915.max_vfs=7 module_blacklist=xe'
SETUP = '''set -e
depmod -a
systemctl -q enable %s
sed -i 's/intel_iommu=off/%s/' /etc/default/grub
update-initramfs -u
update-grub
systemctl --no-block poweroff
''' % (' '.join(UNITS), OPTIONS)


def image():
    """The folder of the image: disk.qcow2, on that of the base."""
    base = images.image(BASE)
    sources = [HERE / 'driver' / name for name in ('Makefile', *(driver + '.c' for driver in DRIVERS))]
    files = {**FILES, **{path: (STANDINS / name).read_text() for path, name in TAKEN.items()}}
    recipe = {'version': 1, 'base': base.name, 'compiler': kernel.COMPILER, 'sources': [file.read_text() for file in sources], 'files': files, 'setup': SETUP}

    def build(folder):
        log = folder / 'log'
        machine = vm.Machine(base, folder / 'machine')
        machine.start()
        try:
            machine.wait()
            release = machine.ssh('uname -r').strip()
            kernel.compiled(folder / 'root', log, ['linux-headers-' + release, *kernel.COMPILER], sources)
            images.write_files(folder / 'tree', files)
            modules = folder / 'tree/usr/lib/modules' / release / 'updates/dkms'
            modules.mkdir(parents=True)
            for driver in DRIVERS:
                shutil.copy(folder / 'root/build' / (driver + '.ko'), modules)
            images.remove(folder / 'root')
            packed = subprocess.run(['tar', '-C', str(folder / 'tree'), '--owner=0', '--group=0', '-c', '.'], stdout=subprocess.PIPE, check=True)
            images.remove(folder / 'tree')
            machine.ssh('tar -C / --no-overwrite-dir -m -x', packed.stdout)
            machine.ssh('sh', SETUP.encode())
            machine.join()
        finally:
            machine.stop()
        shutil.move(machine.where / 'disk.qcow2', folder)
        images.remove(machine.where)

    return images.made('bookworm-gpu', recipe, build)
