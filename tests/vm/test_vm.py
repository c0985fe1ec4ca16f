#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The shipped playbooks on real Debian machines under QEMU, started by a real GRUB and a real systemd-boot: from the IOMMU switched off to
# proven after a real reboot, and back.
"""All machines go their way at the same time. PVE_GPU_TEST_ALL=1: systemd-boot and Debian 13 too. The serial console of a machine that failed is kept
in vm/NAME of the build folder.
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))

import images  # noqa: E402  pylint: disable=wrong-import-position
import qemu  # noqa: E402  pylint: disable=wrong-import-position
import vm  # noqa: E402  pylint: disable=wrong-import-position

COLLECTIONS = REPOSITORY / 'build' / 'collection'
BUILD = pathlib.Path(os.environ.get('PVE_GPU_BINARY_DIR') or REPOSITORY / 'build')
ALL = bool(os.environ.get('PVE_GPU_TEST_ALL'))

# Everything below /etc: kind, mode, owner, where a link leads, contents.
ETC = "cd /etc && find . -printf '%p %y %m %u:%g %l\\n' | sort && find . -type f -exec sha256sum {} + | sort -k2"
# A plain Debian has no kernels and no archive of Proxmox VE: its packages stay as they are.
VARIABLES = {'gpu_platform_upgrade': 'never', 'gpu_boot_conflicts': 'remove', 'gpu_boot_dma_mode': 'pt', 'gpu_reboot_timeout': 1200}


def why_not():
    """why these tests cannot run here, or None"""
    made = (COLLECTIONS / 'ansible_collections').is_dir()
    return qemu.why_not({**qemu.IMAGE, 'ansible-playbook': 'ansible-core'}) or (None if made else '%s is not there: ./dev collection' % COLLECTIONS)


class Journey:
    """One machine from the IOMMU switched off to proven on, and back."""

    def __init__(self, name, work):
        self.name, self.work = name, pathlib.Path(work)
        self.took = []
        self.plays = 0

    def go(self):
        began = time.monotonic()
        image = images.image(self.name)
        self.note('image', began)
        began = time.monotonic()
        self.machine = vm.Machine(image, self.work / 'machine')
        with self.machine.used(BUILD / 'vm' / self.name):
            self.note('up from its saved state', began)
            self.steps()
        return ', '.join(self.took)

    def note(self, what, began):
        self.took.append('%s %.0f s' % (what, time.monotonic() - began))

    def steps(self):
        before = self.seen()
        assert 'intel_iommu=off' in before['cmdline'].split() and before['groups'] == before['units'] == [], before

        rebooted = self.play('configured, rebooted and proven', 'site', '-e', 'gpu_reboot_allowed=true')
        iommu, proven = self.of(rebooted, 'IOMMU on')
        assert iommu['changed'] and iommu['reboot_required'] and iommu['pending_on'] == 'reboot' and not iommu['iommu']['active'], iommu
        now = self.seen()
        assert now['boot'] != before['boot'] and {'intel_iommu=on', 'iommu=pt'} <= set(now['cmdline'].split()), now
        assert 'intel_iommu=off' not in now['cmdline'] and now['groups'] and now['units'] and 'vfio_pci' in now['modules'], now
        assert not proven['changed'] and not proven['reboot_required'] and proven['iommu']['groups'] == len(now['groups']), proven
        assert 'IOMMU proven, %d groups' % len(now['groups']) in self.of(rebooted, 'Summary')[0]['msg'], rebooted

        if ALL:  # the same on simulated nodes in rack/test_site.py
            again = self.play('again', 'site', '-e', 'gpu_reboot_allowed=true')
            assert [r['task'] for r in again if r['result'].get('changed')] == [] and self.seen()['boot'] == now['boot'], again

        self.play('taken back', 'undo')
        began = time.monotonic()
        self.machine.reboot()
        self.note('reboot', began)
        after = self.seen()
        for key in ('cmdline', 'groups', 'units', 'etc', 'loader'):
            assert after[key] == before[key], '%s was %s, is %s' % (key, before[key], after[key])

    def seen(self):
        """What the kernel and the files of the machine say."""
        def lines(text):
            return self.machine.ssh(text).splitlines()
        return {'boot': self.machine.boot_id(), 'cmdline': self.machine.ssh('cat /proc/cmdline'), 'groups': lines('ls /sys/kernel/iommu_groups'), 'units': lines('ls /sys/class/iommu'),
                'modules': lines("cut -d' ' -f1 /proc/modules"), 'etc': lines(ETC), 'loader': lines(
                    'if [ -e /boot/grub/grub.cfg ]; then cat /boot/grub/grub.cfg; else mount -r /dev/vda2 /mnt; cat /mnt/loader/entries/*; umount /mnt; fi')}

    def of(self, results, task):
        return [result['result'] for result in results if result['task'] == task]

    def play(self, what, playbook, *words):
        """The results of the tasks of a playbook of the collection."""
        began = time.monotonic()
        self.plays += 1
        folder = self.work / str(self.plays)
        folder.mkdir()
        (folder / 'ansible.cfg').write_text('[defaults]\nhost_key_checking = false\ncallbacks_enabled = record\nretry_files_enabled = false\n'
                                            'interpreter_python = /usr/bin/python3\ncallback_plugins = %s\n[ssh_connection]\npipelining = true\n'
                                            'control_path_dir = %s\n' % (HERE.parent / 'rack' / 'callbacks', self.work / 'cp'))
        (folder / 'hosts.json').write_text(json.dumps({'all': {'hosts': {self.name: {
            'ansible_host': '127.0.0.1', 'ansible_port': self.machine.port, 'ansible_user': 'root', 'ansible_ssh_private_key_file': str(images.cache() / 'key'),
            'ansible_ssh_common_args': '-o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes', **VARIABLES}}}}))
        done = subprocess.run(['ansible-playbook', '-i', str(folder / 'hosts.json'), 'pve.gpu.' + playbook, *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=1800,
                              env={**os.environ, 'ANSIBLE_CONFIG': str(folder / 'ansible.cfg'), 'PVE_GPU_RECORD': str(folder / 'record'),
                                   'ANSIBLE_COLLECTIONS_PATH': str(COLLECTIONS), 'ANSIBLE_COLLECTIONS_PATHS': str(COLLECTIONS)})
        assert done.returncode == 0, '%s: %s' % (what, done.stdout)
        self.note(what, began)
        return [json.loads(line) for line in (folder / 'record').read_text().splitlines()]


@unittest.skipIf(why_not(), why_not())
class LoadersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix='pve-gpu-vm-')
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        names = [name for name in images.IMAGES if ALL or name == 'bookworm-grub']
        pool = concurrent.futures.ThreadPoolExecutor(2)
        cls.addClassCleanup(pool.shutdown)
        cls.journeys = {}
        for name in names:
            os.mkdir(os.path.join(cls.work, name))
            cls.journeys[name] = pool.submit(Journey(name, os.path.join(cls.work, name)).go)

    def check(self, name):
        print('%s: %s' % (name, self.journeys[name].result()), file=sys.stderr)

    def test_grub(self):
        self.check('bookworm-grub')

    @unittest.skipUnless(ALL, 'systemd-boot only with PVE_GPU_TEST_ALL=1')
    def test_systemd_boot(self):
        self.check('bookworm-systemd-boot')

    @unittest.skipUnless(ALL, 'Debian 13 only with PVE_GPU_TEST_ALL=1')
    def test_grub_of_debian_13(self):
        self.check('trixie-grub')


if __name__ == '__main__':
    unittest.main()
