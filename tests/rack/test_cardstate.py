#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# What a described state (tests/rack/cardstate.py) looks like in files.
import glob
import os
import re
import shutil
import tempfile
import unittest

import cardstate
import machine

BLACKWELL = {'slot': '0000:42:00.0', 'board': 'RTX PRO 6000 Blackwell Server Edition', 'driver': 'nvidia', 'total_vfs': 48, 'vfs': 4, 'types': [
    {'id': 1, 'name': 'NVIDIA RTX Pro 6000 Blackwell DC-3Q', 'framebuffer': 3072, 'max_instances': 32},
    {'id': 2, 'name': 'NVIDIA RTX Pro 6000 Blackwell DC-48Q', 'framebuffer': 49152, 'max_instances': 2},
    {'id': 3, 'name': 'NVIDIA RTX Pro 6000 Blackwell DC-1-24Q', 'framebuffer': 24576, 'max_instances': 4}]}
A40 = {'slot': '0000:41:00.0', 'board': 'A40', 'driver': 'nvidia'}


class StateTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='state.', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        self.addCleanup(shutil.rmtree, self.directory)

    def tree(self, *cards, **spec):
        spec = dict({'kernel': '6.8.12-9-pve', 'nvidia': {'version': '580.95.02', 'open': True}}, cards=list(cards), **spec)
        self.root = os.path.join(self.directory, str(len(os.listdir(self.directory))))
        machine.write(machine.Machine(spec), self.root)

    def read(self, path):
        with open(os.path.join(self.root, path), 'rb') as file:
            return file.read().decode('latin-1')

    def attr(self, slot, name):
        return self.read('sys/bus/pci/devices/%s/%s' % (slot, name)).rstrip('\n')

    def bars(self, slot):
        return [tuple(int(word, 16) for word in line.split()) for line in self.attr(slot, 'resource').splitlines()]

    def test_a_card_without_keys_is_healthy(self):
        self.tree(dict(A40, vfs=32))
        bars = self.bars('0000:41:00.0')
        self.assertEqual(len(bars), 13)
        self.assertEqual([end - start + 1 for start, end, _ in bars if end], [16 << 20, 64 << 30, 32 << 20, 32 * (256 << 10), 64 << 30, 1 << 30])
        self.assertEqual((self.attr('0000:41:00.0', 'power_state'), self.attr('0000:41:00.0', 'reset_method')), ('D0', 'flr bus'))
        self.assertNotIn('\xff' * 4, self.attr('0000:41:00.0', 'config'))
        self.assertEqual(self.attr('0000:41:00.0', 'iommu_group/reserved_regions') + '\n', cardstate.RESERVED)
        self.assertNotIn('?', self.read('proc/driver/nvidia/gpus/0000:41:00.0/information'))
        self.assertFalse(os.path.exists(self.root + '/proc/driver/nvidia/capabilities'))

    def test_no_two_regions_overlap(self):
        self.tree(dict(A40, vfs=32), dict(A40, slot='0000:81:00.0', vfs=32), {'slot': '0000:c1:00.0', 'id': '1002:744c', 'class': '0300', 'driver': 'amdgpu'},
                  cpu={'model': 'Intel(R) Core(TM) i5-12400'}, devices=[{'slot': '0000:00:02.0', 'id': '8086:4692', 'class': '0300', 'driver': 'i915',
                                                                        'total_vfs': 7, 'vfs': 7}])
        found = []
        for path in glob.glob(self.root + '/sys/bus/pci/devices/*'):
            bars = self.bars(os.path.basename(path))
            found += [bar for index, bar in enumerate(bars) if bar[1] and index < cardstate.VF_INDEX and bar[2] != cardstate.PORTS]
            for start, end, _ in (bar for bar in bars if bar[1]):
                self.assertEqual(start % cardstate.power_of_two(end - start + 1), 0)
        found.sort()
        for before, after in zip(found, found[1:]):
            self.assertLess(before[1], after[0])
        self.assertGreater(len(found), 200)
        starts = [int(re.match(' *([0-9a-f]+)-', line).group(1), 16) for line in self.read('proc/iomem').splitlines()]
        self.assertEqual(starts, sorted(starts))

    def test_bars(self):
        self.tree(dict(A40, bars={1: 'unassigned', 7: 'unassigned'}, vfs=2), {'slot': '0000:05:00.0', 'id': '10de:2484', 'class': '0300', 'bars': {1: '16G'}})
        self.assertEqual(self.bars('0000:41:00.0')[1], (0, 0, cardstate.WIDE))
        self.assertEqual(self.bars('0000:41:00.4')[0], (0, 0, cardstate.LOW))
        self.assertGreater(self.bars('0000:41:00.4')[1][0], 0)
        start, end, _ = self.bars('0000:05:00.0')[1]
        self.assertEqual(end - start + 1, 16 << 30)
        self.assertEqual(self.read('proc/iomem').count(' : 0000:41:00.0\n'), 2)

    def test_a_framebuffer_lies_in_the_cards_memory(self):
        card = {'slot': '0000:05:00.0', 'id': '10de:2484', 'class': '0300', 'driver': 'vfio-pci', 'framebuffer': 'BOOTFB'}
        self.tree(card)
        start = self.bars('0000:05:00.0')[1][0]
        self.assertIn('%08x-%08x : 0000:05:00.0\n  %08x-%08x : BOOTFB\n' % (start, start + (256 << 20) - 1, start, start + 0x2fffff), self.read('proc/iomem'))

    def test_vfio_pci_sleeps_until_a_guest_runs(self):
        card = {'slot': '0000:05:00.0', 'board': 'A40', 'driver': 'vfio-pci'}
        guest = {'hostpci0': '0000:05:00.0', 'uses': ['0000:05:00.0']}
        for running, state in ((False, 'D3hot'), (True, 'D0')):
            self.tree(card, guests={100: dict(guest, running=running)})
            self.assertEqual(self.attr('0000:05:00.0', 'power_state'), state)
            self.assertEqual('vfio-pci' in self.read('proc/iomem'), running)

    def test_power_configuration_resets_and_reserved_memory(self):
        self.tree(dict(A40, power_state='D3cold', config='dead', reset_method='', reserved=['0xbdf83000 0xbdf84fff direct']))
        self.assertEqual(self.attr('0000:41:00.0', 'power_state'), 'D3cold')
        self.assertEqual(self.attr('0000:41:00.0', 'config'), '\xff' * 256)
        self.assertEqual(self.attr('0000:41:00.0', 'reset_method'), '')
        self.assertEqual(self.attr('0000:41:00.0', 'iommu_group/reserved_regions'),
                         '0x00000000bdf83000 0x00000000bdf84fff direct\n0x00000000fee00000 0x00000000feefffff msi')
        self.tree(A40, kernel='5.11.22-7-pve', cmdline='intel_iommu=on')
        self.assertFalse(os.path.exists(self.root + '/sys/bus/pci/devices/0000:41:00.0/reset_method'))

    def test_a_gpu_that_the_driver_could_not_start(self):
        self.tree(A40, dict(A40, slot='0000:a1:00.0', initialised=False))
        shown = self.read('proc/driver/nvidia/gpus/0000:a1:00.0/information')
        self.assertIn('GPU UUID: \t GPU-????????-????-????-????-????????????\nVideo BIOS: \t ??.??.??.??.??\n', shown)
        self.assertIn('GPU Firmware: \t N/A\n', shown)
        self.assertIn('GPU Firmware: \t 580.95.02\n', self.read('proc/driver/nvidia/gpus/0000:41:00.0/information'))

    def creatable(self, slot='0000:42:00.4'):
        return [line.split(':')[0].strip() for line in self.attr(slot, 'nvidia/creatable_vgpu_types').splitlines()[1:]]

    def test_mig_and_mixed_sizes_decide_what_can_be_created(self):
        base = 'proc/driver/nvidia/capabilities/gpu0/mig'
        used = [{'type': '1', 'vf': 1}]
        for keys, wanted in (({}, ['1', '2']), ({'vgpus': used}, ['1']), ({'vgpus': used, 'mixed_size': True}, ['1', '2']), ({'mig': True}, []),
                             ({'mig': [1, 1]}, ['3']), ({'mig': [1], 'vgpus': [{'type': '3', 'vf': 1}]}, []), ({'mig': [2]}, []), ({'mig': False}, ['1', '2'])):
            with self.subTest(keys=keys):
                self.tree(dict(BLACKWELL, **keys))
                self.assertEqual(self.creatable(), wanted)
                self.assertEqual(os.path.isdir(self.root + '/' + base), 'mig' in keys)
                self.assertEqual(os.path.exists(self.root + '/' + base + '/config'), bool(keys.get('mig')))
        self.tree(dict(BLACKWELL, mig=[1, 2]))
        self.assertEqual(sorted(os.listdir(self.root + '/' + base)), ['config', 'gi1', 'gi2'])

    def test_single_vfs(self):
        self.tree(dict(A40, vfs=4, vf={1: {'driver': 'vfio-pci'}, 2: {'nvidia': False}, 3: {'driver': ''}}))
        shown = []
        for slot in ('0000:41:00.4', '0000:41:00.5', '0000:41:00.6', '0000:41:00.7'):
            base = '%s/sys/bus/pci/devices/%s/' % (self.root, slot)
            driver = os.path.basename(os.readlink(base + 'driver')) if os.path.lexists(base + 'driver') else None
            shown.append((driver, os.path.isdir(base + 'nvidia')))
        self.assertEqual(shown, [('nvidia', True), ('vfio-pci', False), ('nvidia', False), (None, False)])

    def test_the_flavour_of_the_driver(self):
        def license_of(**spec):
            self.tree(A40, **spec)
            return re.search('license=([^\0]*)', self.read('lib/modules/6.8.12-9-pve/updates/dkms/nvidia.ko')).group(1)
        module = {'file': 'updates/dkms/nvidia.ko', 'version': '580.95.02'}
        self.assertEqual(license_of(modules={'nvidia': module}), 'Dual MIT/GPL')
        self.assertEqual(license_of(modules={'nvidia': module}, nvidia={'version': '580.95.02'}), 'NVIDIA')
        self.assertEqual(license_of(modules={'nvidia': dict(module, license='NVIDIA')}), 'NVIDIA')
        self.assertEqual(license_of(nvidia={'version': '580.95.02', 'open': True, 'installed': True}), 'Dual MIT/GPL')
        self.assertIn('active running', self.read('run/rack-units/nvidia-vgpu-mgr.service'))

    def test_vgpu_vfio_that_is_not_loaded(self):
        self.tree(dict(A40, vfs=2), nvidia={'version': '550.127.06', 'installed': True, 'vgpu_vfio': False})
        self.assertFalse(os.path.exists(self.root + '/sys/module/nvidia_vgpu_vfio'))
        self.assertFalse(os.path.exists(self.root + '/sys/bus/pci/devices/0000:41:00.4/nvidia'))
        self.assertTrue(os.path.exists(self.root + '/usr/lib/nvidia/sriov-manage'))

    def test_units_and_logs(self):
        self.tree(A40, units={'a.service': 'failed disabled', 'b@x.service': 'active', 'c.service': 'inactive masked'},
                  kernel_log=['[ 1.0] NVRM: one', 'two'], journals={'a.service': ['error: x']})
        self.assertEqual(self.read('run/rack-units/a.service'), 'failed failed\n')
        self.assertEqual(self.read('run/rack-journal/kernel'), '[ 1.0] NVRM: one\ntwo\n')
        self.assertEqual(self.read('run/rack-journal/a.service'), 'error: x\n')
        self.assertEqual(os.listdir(self.root + '/etc/systemd/system/multi-user.target.wants'), ['b@x.service'])
        self.assertIn('WantedBy=', self.read('usr/lib/systemd/system/b@.service'))
        self.assertEqual(os.readlink(self.root + '/etc/systemd/system/c.service'), '/dev/null')

    def test_wrong_states_say_what_is_wrong(self):
        for keys, part in (({'bars': {13: '1G'}}, '13'), ({'bars': {1: '64 G'}}, "'64 G'"), ({'config': 'x'}, "'x'"), ({'framebuffer': 'fb'}, "'fb'"),
                           ({'reserved': ['direct']}, "'direct'"), ({'vfs': 2, 'vf': {2: {}}}, '2'), ({'vfs': 2, 'vf': {1: {'x': 1}}}, "'x'")):
            with self.subTest(keys=keys), self.assertRaises(machine.MachineError) as caught:
                self.tree(dict(A40, **keys))
            self.assertIn(part, str(caught.exception))
        for keys, part in (({'units': {'a': 'active'}}, 'a'), ({'units': {'a.service': 'dead'}}, 'dead'), ({'kernel_log': 'x'}, "'x'")):
            with self.subTest(keys=keys), self.assertRaises(machine.MachineError) as caught:
                self.tree(A40, **keys)
            self.assertIn(part, str(caught.exception))
        with self.assertRaises(machine.MachineError):
            self.tree(dict(BLACKWELL, mig='on'))


if __name__ == '__main__':
    unittest.main()
