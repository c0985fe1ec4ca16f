#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The shipped executable on a real kernel with graphics cards: VFs and vGPU types of all frameworks, units under systemd, guests that hold
# VFs, cards bound from the initramfs; over real reboots.
"""Two machines go their way at the same time: one shares its cards out, the other passes them through. The cards are QEMU's functions,
their drivers are our own (driver/); sriov-manage is the rack's. The serial console of a machine that failed is kept in vm/gpu-NAME of the
build folder.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))

import gpu  # noqa: E402  pylint: disable=wrong-import-position
import qemu  # noqa: E402  pylint: disable=wrong-import-position
import vm  # noqa: E402  pylint: disable=wrong-import-position

EXECUTABLE = pathlib.Path(os.environ.get('PVE_GPU_EXECUTABLE') or REPOSITORY / 'build/portable/pve-gpu')
BUILD = pathlib.Path(os.environ.get('PVE_GPU_BINARY_DIR') or REPOSITORY / 'build')
A40, L4, P4, UHD = (card.address for card in (gpu.A40, gpu.L4, gpu.P4, gpu.UHD_730))
FIRST, SECOND, TWIN = (card.address for card in gpu.K80)
VFS = {UHD: 7, A40: 4, L4: 4}
TYPES = ['GRID P4-1Q', 'NVIDIA A40-4Q', 'NVIDIA L4-4Q']
PCI = '/sys/bus/pci/devices/'


def why_not():
    """why these tests cannot run here, or None"""
    return qemu.why_not(qemu.IMAGE) or (None if EXECUTABLE.exists() else '%s is missing: ./dev build makes it' % EXECUTABLE)


def unit_of(address):
    return 'pve-gpu-sriov-%s.service' % address.replace(':', '-')


def first_vf(address):
    return address[:-1] + '1'


class Journey:
    """A machine with cards, and what is done on it."""

    def __init__(self, name, cards, work):
        self.name, self.began = name, time.monotonic()
        self.machine = vm.Machine(gpu.image(), pathlib.Path(work) / name, restored=False, devices=gpu.plugged(cards))

    def go(self):
        self.began = time.monotonic()
        try:
            with self.machine.used(BUILD / 'vm' / ('gpu-' + self.name)):
                self.passed('booted')
                self.machine.ssh('cat >/root/pve-gpu && chmod 755 /root/pve-gpu', EXECUTABLE.read_bytes())
                self.steps()
        except BaseException:
            self.tell('FAIL', 'what comes next')
            raise

    def steps(self):
        raise NotImplementedError

    def passed(self, what):
        self.tell('PASS', what)
        self.began = time.monotonic()

    def tell(self, verdict, what):
        print('%s  %s: %s, %.0f s' % (verdict, self.name, what, time.monotonic() - self.began), file=sys.stderr, flush=True)

    def reboot(self):
        self.machine.reboot()
        self.passed('rebooted')

    def module(self, name, **parameters):
        return json.loads(self.machine.ssh('/root/pve-gpu %s || :' % name, json.dumps(parameters).encode()))

    def works(self, name, **parameters):
        """The answer of a run that changes something, after which another changes nothing."""
        check = self.module(name, _ansible_check_mode=True, **parameters)
        answer = self.module(name, **parameters)
        assert answer['changed'] and not answer.get('failed') and check['steps'] == answer['steps'][:len(check['steps'])], (check, answer)
        self.idle(name, **parameters)
        return answer

    def idle(self, name, **parameters):
        answer = self.module(name, **parameters)
        assert not answer.get('failed') and not answer['changed'] and 'pending_on' not in answer and not answer['reboot_required'], answer
        return answer

    def fails(self, name, *words, **parameters):
        answer = self.module(name, **parameters)
        assert answer.get('failed') and not answer.get('changed') and all(word in answer['msg'] for word in words), answer

    def driver(self, address):
        return self.machine.ssh("d=$(readlink %s%s/driver) || :; echo ${d##*/}" % (PCI, address)).strip()


class Shared(Journey):
    """VFs and vGPUs."""

    def steps(self):
        self.makes_vfs()
        self.leaves_no_stub()
        self.comes_back()
        self.spares_guests()
        self.takes_back()

    def assert_vfs(self):
        for address, count in VFS.items():
            seen = self.machine.ssh('cd %s%s; cat sriov_numvfs; ls -d virtfn* | wc -l; ls -d virtfn*/driver virtfn*/iommu_group | wc -l' % (PCI, address))
            assert seen.split() == [str(count), str(count), str(2 * count)], (address, seen)

    def makes_vfs(self):
        """Before there are VFs, only the card with mediated devices of its own offers types."""
        before = self.module('vgpu', types=TYPES)
        assert before['pending_on'] == 'sriov' and [card['framework'] for card in before['cards']] == ['none', 'none', 'mdev'], before
        self.works('sriov', device='all')
        self.assert_vfs()
        assert self.driver(A40) == self.driver(L4) == 'nvidia' and self.driver(UHD) == 'i915'
        self.passed('sriov makes 7 VFs with sriov_numvfs and twice 4 with sriov-manage')
        self.sees_types()
        self.passed('vgpu sees types on the card, on VFs and in vendor VFIO')

    def sees_types(self, free=(4, 4, 8)):
        after = self.idle('vgpu', types=TYPES)
        assert after['ready'] and [card['framework'] for card in after['cards']] == ['mdev_on_vfs', 'vendor_vfio', 'mdev'], after
        assert [(each['name'], each['offered'], each['available']) for card in after['cards'] for each in card['types']] == [
            ('NVIDIA A40-4Q', True, free[0]), ('NVIDIA L4-4Q', True, free[1]), ('GRID P4-1Q', True, free[2])], after

    def leaves_no_stub(self):
        """sriov-manage fails and leaves the card with pci-pf-stub."""
        self.machine.ssh('%s -d %s; echo 1 >/run/rack/sriov-stub; ! %s -e %s' % (2 * ('/usr/lib/nvidia/sriov-manage', A40)))
        assert self.driver(A40) == 'pci-pf-stub'
        self.works('sriov', device='A40')
        self.assert_vfs()
        self.passed('sriov takes a card back from pci-pf-stub')

    def comes_back(self):
        self.works('sriov_service', device='all')
        units = ['/etc/systemd/system/' + unit_of(address) for address in VFS]
        assert self.machine.ssh('systemd-analyze verify %s 2>&1' % ' '.join(units)) == ''
        self.passed('sriov_service has units that systemd-analyze verify has nothing against')
        self.reboot()
        self.machine.ssh('systemctl is-active --wait pve-guests || systemctl start pve-guests')
        found = dict(line.split() for line in self.machine.ssh('cat /run/pve-guests.found').splitlines())
        assert found == {address: str(count) for address, count in VFS.items()}, found
        self.assert_vfs()
        guests = self.times('pve-guests')
        for address in VFS:
            unit = self.times(unit_of(address))
            assert unit['Result'] == 'success' and unit['ActiveState'] == 'active' and unit['ended'] <= guests['began'], (unit, guests)
            if address != UHD:
                daemon, manager = self.times('nvidia-vgpud'), self.times('nvidia-vgpu-mgr')
                assert daemon['ended'] <= unit['began'] and manager['began'] <= unit['began'], (daemon, manager, unit)
        self.idle('sriov', device='all')
        self.idle('sriov_service', device='all')
        self.passed('its VFs are there after a reboot, after the daemons and before guests')

    def times(self, unit):
        """When its program began and ended, in microseconds since the boot."""
        names = 'Result,ActiveState,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic'
        told = dict(line.split('=', 1) for line in self.machine.ssh('systemctl show -p %s %s' % (names, unit)).splitlines())
        return {**told, 'began': int(told['ExecMainStartTimestampMonotonic']), 'ended': int(told['ExecMainExitTimestampMonotonic'])}

    def guest(self, vmid, hostpci, group):
        """A program that holds a group of VFIO, as a guest does, and has its pid file among its words."""
        self.machine.ssh('''printf 'name: desktop\\nmachine: q35\\nhostpci0: %s\\n' >/etc/pve/nodes/vm/qemu-server/%d.conf
mkdir -p /run/qemu-server
group=/dev/vfio/$(basename $(readlink %s))
(exec 9<>$group; exec tail -f /dev/null /run/qemu-server/%d.pid) >/dev/null 2>&1 & echo $! >/run/qemu-server/%d.pid
sleep 1; [ "$(readlink /proc/$!/fd/9)" = $group ]''' % (hostpci, vmid, group, vmid, vmid))

    def spares_guests(self):
        uuid = '00000000-0000-0000-0000-000000000101'
        vf = first_vf(A40)
        self.machine.ssh('echo %s >%s%s/mdev_supported_types/nvidia-560/create' % (uuid, PCI, vf))
        self.guest(101, vf + ',mdev=nvidia-560', '/sys/bus/mdev/devices/%s/iommu_group' % uuid)
        self.fails('sriov', 'guest 101 (desktop)', vf, device=A40, vfs=0)

        vf = first_vf(L4)
        self.machine.ssh('echo 913 >%s%s/nvidia/current_vgpu_type' % (PCI, vf))
        self.fails('sriov', vf + ' has a vGPU', device=L4, vfs=0)

        vf = first_vf(UHD)
        self.machine.ssh('modprobe vfio-pci; cd %s%s; echo vfio-pci >driver_override; echo %s >driver/unbind; echo %s >/sys/bus/pci/drivers_probe; '
                         'mkdir -p /run/qemu-server; echo %s 103 pid:1 >/run/qemu-server/pci-id-reservations' % (PCI, vf, vf, vf, vf))
        self.guest(103, vf, PCI + vf + '/iommu_group')
        self.fails('sriov', 'guest 103 (desktop)', vf, device=UHD, vfs=3)
        self.assert_vfs()
        self.sees_types(free=(3, 3, 8))
        self.passed('sriov refuses to take VFs that guests hold: mdev, vendor VFIO, vfio-pci')

    def takes_back(self):
        self.machine.ssh('kill $(cat /run/qemu-server/*.pid); rm /run/qemu-server/*; sleep 1; echo 1 >/sys/bus/mdev/devices/*101/remove; '
                         'echo 0 >%s%s/nvidia/current_vgpu_type' % (PCI, first_vf(L4)))
        self.works('sriov', device=UHD, vfs=3)
        assert self.machine.ssh('ls -d %s%s/virtfn* | wc -l' % (PCI, UHD)).strip() == '3'
        self.works('sriov', device='all', vfs=0)
        assert self.machine.ssh('ls -d %s*/virtfn* 2>/dev/null || :' % PCI) == ''
        self.works('sriov_service', device='all', state='absent')
        assert self.machine.ssh('ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants /usr/local/lib | grep pve-gpu || :') == ''
        self.passed('sriov takes them when the guests are gone; sriov_service leaves nothing')


class Passed(Journey):
    """Whole cards for guests: two of three that are the same but for their slots."""

    def steps(self):
        self.assert_drivers('nvidia', 'nvidia', 'nvidia')
        answer = self.works('vfio', devices=[FIRST, SECOND], bind='boot')
        assert {function['former_driver'] for card in answer['cards'] for function in card['functions']} == {'nvidia'}, answer
        self.assert_drivers('', '', 'nvidia')
        self.passed('vfio takes two of three cards from their driver, and makes an initramfs')
        self.reboot()
        self.assert_drivers('vfio-pci', 'vfio-pci', 'nvidia')
        self.from_the_initramfs()
        self.idle('vfio', devices=[FIRST, SECOND], bind='boot')
        self.passed('both are bound to vfio-pci from the initramfs, their twin is not')

        self.machine.devices = gpu.plugged([gpu.K40M, *gpu.K80[1:]])
        self.reboot()
        self.assert_drivers('nvidia', 'vfio-pci', 'nvidia')
        assert 'pve-gpu: %s is left alone' % FIRST in self.machine.ssh('dmesg')
        self.fails('vfio', 'the card for guests at %s was 10de:102d' % FIRST, 'now it is 10de:1023', devices=[FIRST, SECOND], bind='boot')
        self.passed('another card in the slot of one is left alone, and named')
        done = self.works('vfio', state='absent', follow_ups='later')
        assert [FIRST in warning and '10de:1023' in warning for warning in done['warnings']] == [True], done
        self.assert_drivers('nvidia', 'nvidia', 'nvidia')
        assert self.machine.ssh('ls /etc/initramfs-tools/*/* /etc/initramfs-tools/scripts/* | grep pve-gpu-vfio || :') == ''
        self.passed('vfio gives the other one back')

    def assert_drivers(self, *drivers):
        wanted = dict(zip((FIRST, SECOND, TWIN), drivers))
        found = {address: self.driver(address) for address in wanted}
        assert found == wanted, found

    def from_the_initramfs(self):
        """vfio-pci was there before systemd was."""
        lines = self.machine.ssh('dmesg').splitlines()
        at = {name: next(float(re.match(r'\[ *([0-9.]+)\]', line)[1]) for line in lines if name in line)
              for name in ('VFIO - User Level meta-driver', 'running in system mode')}
        assert at['VFIO - User Level meta-driver'] < at['running in system mode'], at


@unittest.skipIf(why_not(), why_not())
class GpuTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = tempfile.mkdtemp(prefix='pve-gpu-cards-')
        cls.addClassCleanup(shutil.rmtree, work, ignore_errors=True)
        pool = concurrent.futures.ThreadPoolExecutor(2)
        cls.addClassCleanup(pool.shutdown)
        cls.shared = pool.submit(Shared('shared', [gpu.A40, gpu.L4, gpu.P4, gpu.UHD_730], work).go)
        cls.passed = pool.submit(Passed('passthrough', gpu.K80, work).go)

    def test_vfs_and_vgpus(self):
        self.shared.result()

    def test_passthrough(self):
        self.passed.result()


if __name__ == '__main__':
    unittest.main()
