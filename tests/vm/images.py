#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Bootable Debian images by mmdebstrap, and the state of each when it is up; cached by what they are made of.
"""images.py [NAME...]: makes the images that are absent and prints where they are; without a name, lists them.

An image is a folder: disk.qcow2, variables.fd (UEFI only), and ready: disk, variables and state of the booted machine, with which
another one goes on in two seconds. Cache: $PVE_GPU_CACHE/vm, else ~/.cache/pve-gpu/vm. It needs root, and neither loop devices nor
vfat of this machine's kernel: file systems are made straight in the image, and the boot loader is installed by the image's own kernel.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import qemu

HERE = pathlib.Path(__file__).resolve().parent
ROOT_ID, ESP_ID = '6f5c7b6e-3a0c-4f0e-9d3b-2f1f4a0c7e11', 'A1B2C3D4'
ESP_UUID = ESP_ID[:4] + '-' + ESP_ID[4:]
# Without its mitigations the kernel is a third faster under emulation. Where other programs keep the processors busy it measures the
# speed of the TSC wrongly, so that its clock runs several times too fast and every time-out is over early; the HPET is what it says.
# For the same reason its test of the timer counts too few ticks, and panics.
OPTIONS = 'console=ttyS0 mitigations=off ' + qemu.CLOCK
SECTOR = 512
ESP_START, ESP_END, DISK_SIZE = 4096, 528383, 3 << 30  # partitions as on a disk that Proxmox VE's installer made

PACKAGES = ['systemd-sysv', 'dbus', 'udev', 'linux-image-amd64', 'initramfs-tools', 'openssh-server', 'kmod', 'pciutils', 'python3',
            'iproute2', 'procps', 'zstd', 'grub-pc', 'systemd-boot-efi']
# A guest here has none of this hardware; depmod and the image are done twice as fast without.
UNUSED = ['drivers/media', 'drivers/net/wireless', 'drivers/net/ethernet', 'drivers/infiniband', 'drivers/staging', 'drivers/gpu', 'drivers/iio',
          'fs/ocfs2', 'net/mac80211', 'net/wireless', 'net/bluetooth', 'sound']

# The initramfs has what this machine needs, and is made in seconds.
INITRAMFS = {
    'etc/initramfs-tools/conf.d/pve-gpu-test': 'MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\nFSTYPE=ext4\nRESUME=none\n',
    'etc/initramfs-tools/modules': 'virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n',
}
FILES = {
    'etc/hostname': 'vm\n',
    'etc/hosts': '127.0.0.1 localhost vm\n',
    'etc/fstab': 'UUID=%s / ext4 noatime,errors=remount-ro 0 1\n' % ROOT_ID,
    'etc/ssh/sshd_config.d/pve-gpu-test.conf': 'PermitRootLogin prohibit-password\nUseDNS no\nHostKey /etc/ssh/ssh_host_ed25519_key\n',
    'etc/systemd/network/20-wired.network': '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n'
                                            'LinkLocalAddressing=no\nIPv6AcceptRA=no\n',
    # An emulated machine is late, not broken.
    'etc/systemd/system.conf.d/patient.conf': '[Manager]\nDefaultTimeoutStartSec=900\nDefaultTimeoutStopSec=60\nDefaultDeviceTimeoutSec=900\n',
    'etc/systemd/system/service.d/patient.conf': '[Service]\nTimeoutStartSec=900\nWatchdogSec=0\n',  # units that have their own too
}
UNITS = {'enable': ['systemd-networkd', 'ssh'],
         'mask': ['systemd-networkd-wait-online', 'apt-daily.timer', 'apt-daily-upgrade.timer', 'e2scrub_reap.service', 'dpkg-db-backup.timer',
                  'systemd-timesyncd', 'fstrim.timer', 'getty@tty1', 'serial-getty@ttyS0', 'systemd-pstore', 'ldconfig']}
# What the roles ask of Proxmox VE that a Debian has not got: its version, and a cluster file system of a node alone.
PROXMOX = {
    'usr/share/perl5/PVE/pvecfg.pm': "package PVE::pvecfg;\n\nuse strict;\nuse warnings;\n\nsub package {\n    return 'pve-manager';\n}\n\n"
                                     "sub version {\n    return '%s';\n}\n\n1;\n",
    'etc/pve/.members': '{\n"nodename": "vm",\n"version": 1\n}\n',
    'etc/pve/nodes/vm/qemu-server/.keep': '',
    'etc/pve/nodes/vm/lxc/.keep': '',
}
VERSIONS = {'bookworm': '8.4.1', 'trixie': '9.0.3'}
# The machines start with the IOMMU switched off where the loader reads it.
LOADER_FILES = {
    'grub': {
        'etc/default/grub': 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_RECORDFAIL_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\n'
                            'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=off"\nGRUB_CMDLINE_LINUX="%s"\nGRUB_TERMINAL=serial\n'
                            'GRUB_DISABLE_OS_PROBER=true\n' % OPTIONS,
    },
    'systemd-boot': {
        'etc/kernel/cmdline': 'root=UUID=%s ro quiet %s intel_iommu=off\n' % (ROOT_ID, OPTIONS),
        'etc/kernel/proxmox-boot-uuids': ESP_UUID + '\n',
        'usr/sbin/proxmox-boot-tool': (HERE / 'proxmox-boot-tool.sh').read_text(),
        # as proxmox-kernel-helper has it: a new initramfs gets to the partitions
        'etc/initramfs/post-update.d/proxmox-boot-sync': '#!/bin/sh\nset -e\nexec proxmox-boot-tool refresh\n',
    },
}
INSTALL = {
    'grub': 'grub-install --target=i386-pc --recheck /dev/vda && update-grub',
    'systemd-boot': '''mkdir -p /run/esp && mount /dev/vda2 /run/esp && mkdir -p /run/esp/EFI/BOOT /run/esp/EFI/systemd /run/esp/loader &&
cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi /run/esp/EFI/systemd/ &&
cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi /run/esp/EFI/BOOT/BOOTX64.EFI &&
printf 'timeout 0\\ndefault proxmox-*\\n' >/run/esp/loader/loader.conf && umount /run/esp && proxmox-boot-tool refresh''',
}
SETUP = '''#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null; mount -t tmpfs run /run; mount -o remount,rw /
exec >/dev/ttyS0 2>&1 </dev/null
/lib/systemd/systemd-udevd --daemon; udevadm trigger --subsystem-match=block; udevadm settle
if %s; then echo SETUP-DONE; fi; udevadm control --exit
rm -f /setup.sh; sync; mount -o remount,ro /; echo o >/proc/sysrq-trigger; sleep 20
'''

IMAGES = {
    'bookworm-grub': ('bookworm', 'grub'),
    'bookworm-systemd-boot': ('bookworm', 'systemd-boot'),
    'trixie-grub': ('trixie', 'grub'),
}


class ImageError(Exception):
    """Why an image cannot be made, with where to look."""


def cache():
    home = os.environ.get('PVE_GPU_CACHE') or os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'pve-gpu')
    return pathlib.Path(home) / 'vm'


def say(text):
    print('images: ' + text, file=sys.stderr, flush=True)


def short_hash(recipe):
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def mirror():
    """What this machine's own APT uses."""
    done = subprocess.run(['apt-get', 'indextargets', '--format', '$(REPO_URI) $(SUITE)', 'Created-By: Packages'], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    found = [line.split()[0] for line in done.stdout.splitlines() if 'debian' in line and 'security' not in line and 'updates' not in line]
    return os.environ.get('MIRROR') or (found + ['http://deb.debian.org/debian/'])[0]


@contextlib.contextmanager
def lock(name):
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / ('.%s.lock' % name), 'w', encoding='ascii') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(log, *command, **options):
    with open(log, 'ab') as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode:
        raise ImageError('%s ended with %d: see %s' % (command[0], done.returncode, log))


def remove(path):
    subprocess.run(['rm', '-rf', '--one-file-system', str(path)], check=True)


def made(name, recipe, build):
    """The folder of that recipe, made by build(folder) if it is absent; those of older recipes go."""
    folder = cache() / ('%s-%s' % (name, short_hash(recipe)))
    with lock(name):
        if not (folder / 'complete').exists():
            if os.geteuid():
                raise ImageError('making %s needs root' % name)
            remove(folder)
            folder.mkdir(parents=True)
            began = time.monotonic()
            build(folder)
            (folder / 'complete').touch()
            say('%s made in %.0f s' % (name, time.monotonic() - began))
            for old in cache().glob(name + '-????????????'):
                if old != folder and time.time() - old.stat().st_mtime > 14 * 86400:
                    remove(old)
    return folder


def write_files(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith('#!'):
            path.chmod(0o755)


def root_of(suite):
    """A Debian with kernel, boot loaders and sshd as a folder."""
    recipe = {'version': 1, 'packages': PACKAGES, 'unused': UNUSED, 'initramfs': INITRAMFS}

    def build(folder):
        write_files(folder / 'initramfs', INITRAMFS)
        log = folder / 'log'
        excluded = ['/usr/share/man/*', '/usr/share/doc/*', '/usr/share/locale/*'] + ['*/modules/*/kernel/%s/*' % path for path in UNUSED]
        run(log, 'mmdebstrap', '--variant=minbase', '--mode=root', '--skip=check/qemu', '--aptopt=APT::Install-Recommends "false"',
            *['--dpkgopt=path-exclude=' + path for path in excluded], '--essential-hook=copy-in %s /' % (folder / 'initramfs' / 'etc'),
            '--include=' + ','.join(PACKAGES), suite, str(folder / 'root'), 'deb %s %s main' % (mirror(), suite))

    return made('root-' + suite, recipe, build) / 'root'


def public_key():
    """Of a key that all images of this cache take."""
    path = cache() / 'key'
    with lock('key'):
        if not path.exists():
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'pve-gpu tests', '-f', str(path)], check=True)
    return (cache() / 'key.pub').read_text()


def image(name):
    """The folder of an image."""
    suite, loader = IMAGES[name]
    proxmox = {path: text.replace('%s', VERSIONS[suite]) for path, text in PROXMOX.items()}
    files = {**FILES, **proxmox, **LOADER_FILES[loader], 'setup.sh': SETUP % INSTALL[loader], 'root/.ssh/authorized_keys': public_key()}
    recipe = {'version': 1, 'files': files, 'units': UNITS, 'hardware': qemu.HARDWARE, 'qemu': qemu.version()}

    def build(folder):
        root = root_of(suite)
        say('making %s' % name)
        log = folder / 'log'
        tree = folder / 'tree'
        run(log, 'cp', '-a', '--reflink=auto', str(root), str(tree))
        write_files(tree, files)
        (tree / 'root/.ssh').chmod(0o700)
        (tree / 'etc/pve/local').symlink_to('nodes/vm')
        for unit in UNITS['mask']:
            unit = unit if '.' in unit else unit + '.service'
            (tree / 'etc/systemd/system' / unit).symlink_to('/dev/null')
        run(log, 'systemctl', '--root', str(tree), 'enable', *UNITS['enable'])
        for path in list(tree.glob('var/cache/apt/*.bin')) + list(tree.glob('etc/ssh/ssh_host_[!e]*')):
            path.unlink()
        make_disk(folder, tree, log)
        install_loader(folder, tree, log)
        remove(tree)
        if loader == 'systemd-boot':
            shutil.copy('/usr/share/OVMF/OVMF_VARS_4M.fd', folder / 'variables.fd')
        make_ready(folder)

    return made(name, {**recipe, 'suite': suite, 'root': PACKAGES + UNUSED, 'initramfs': INITRAMFS}, build)


def make_disk(folder, tree, log):
    raw = folder / 'disk.raw'
    with open(raw, 'wb') as file:
        file.truncate(DISK_SIZE)
    start = (ESP_END + 1) * SECTOR
    blocks = (DISK_SIZE - start - (1 << 20)) // 4096
    run(log, 'mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-U', ROOT_ID, '-E', 'offset=%d,lazy_itable_init=1,lazy_journal_init=1' % start,
        '-d', str(tree), str(raw), str(blocks))
    run(log, 'mkfs.vfat', '-F32', '-s1', '-i', ESP_ID, '-n', 'ESP', '--offset', str(ESP_START), str(raw), str((ESP_END + 1 - ESP_START) // 2))
    # last, because the others write over it
    table = 'label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=%d, size=%d, type=uefi\nstart=%d, type=linux\n' % (
        ESP_START, ESP_END + 1 - ESP_START, ESP_END + 1)
    with open(log, 'ab') as out:
        subprocess.run(['sfdisk', '--no-reread', '--no-tell-kernel', '--wipe', 'never', str(raw)], input=table.encode(), stdout=out, stderr=out, check=True)


def install_loader(folder, tree, log):
    """setup.sh runs as the first program of the image's own kernel."""
    serial = folder / 'setup.log'
    boot = tree / 'boot'
    kernel = next(boot.glob('vmlinuz-*'))
    arguments = qemu.machine(folder / 'disk.raw', serial) + ['-kernel', str(kernel), '-initrd', str(next(boot.glob('initrd.img-*'))),
                             '-append', 'root=/dev/vda3 rw quiet panic=-1 init=/setup.sh intel_iommu=off ' + OPTIONS]
    machine = qemu.Qemu(arguments, log)
    try:
        machine.wait(1200)
    finally:
        machine.kill()
    if 'SETUP-DONE' not in serial.read_text(errors='replace'):
        raise ImageError('the boot loader was not installed: see %s' % serial)
    run(log, 'qemu-img', 'convert', '-O', 'qcow2', str(folder / 'disk.raw'), str(folder / 'disk.qcow2'))
    (folder / 'disk.raw').unlink()


def make_ready(folder):
    """The machine booted by its own loader, up, with nothing left to do: its state is kept."""
    import vm  # pylint: disable=import-outside-toplevel,cyclic-import
    began = time.monotonic()
    machine = vm.Machine(folder, folder / 'ready', restored=False)
    machine.start()
    try:
        machine.wait()
        booted = time.monotonic() - began
        machine.ssh('while systemctl is-system-running | grep -q starting; do sleep 1; done; sync; echo 3 >/proc/sys/vm/drop_caches')
        machine.qemu.save(folder / 'ready/state')
    finally:
        machine.stop()
    say('%s: booted in %.0f s, its state takes %d MB' % (folder.name, booted, (folder / 'ready/state').stat().st_size >> 20))


def main(names):
    if not names:
        for name, (suite, loader) in IMAGES.items():
            print('%-22s Debian %s, %s' % (name, suite, loader))
        return 0
    for name in names:
        if name not in IMAGES:
            print('images: there is no image %s; there are: %s' % (name, ', '.join(IMAGES)), file=sys.stderr)
            return 1
        print(image(name))
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except (ImageError, qemu.QemuError) as problem:
        sys.exit('images: %s' % problem)
