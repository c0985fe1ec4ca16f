#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The hardware forms from a fresh installation to guests that run with what they were promised, and back, by the shipped playbooks: NVIDIA
# vGPU (forms A and F) on Proxmox VE 7, 8 and 9 in its three frameworks, and passthrough (B, C, E).
import os
import sys
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, 'standins', 'closed')]
import make_run  # noqa: E402
import test_site  # noqa: E402

XEON = {'vendor': 'GenuineIntel', 'model': 'Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz', 'model_number': 79}
CORE = {'vendor': 'GenuineIntel', 'model': '13th Gen Intel(R) Core(TM) i9-13900KF', 'model_number': 183}
BMC = [{'slot': '0000:07:00.0', 'id': '1a03:2000', 'subsystem': '1043:85f9', 'class': '0300', 'driver': 'ast', 'boot_vga': True,
        'connectors': ['VGA-1'], 'connected': ['VGA-1']}]
KERNELS = {7: '5.15.158-2-pve', 8: '6.8.12-9-pve', 9: '6.14.11-2-pve'}
GUEST = {301: {'name': 'desk-1', 'machine': 'q35'}}


def server(release, board, slots=('0000:81:00.0',)):
    return {'release': release, 'kernel': KERNELS[release], 'cpu': XEON, 'devices': BMC, 'guests': GUEST,
            'cards': [{'slot': slot, 'board': board, 'driver': 'nouveau', 'drm': False} for slot in slots]}


def workstation(release):
    return {'release': release, 'kernel': KERNELS[release], 'cpu': CORE, 'guests': GUEST,
            'cards': [{'slot': '0000:01:00.0', 'board': 'RTX A2000', 'class': '0300', 'boot_vga': True, 'driver': 'nouveau',
                       'connectors': ['DP-1'], 'connected': ['DP-1']},
                      {'slot': '0000:65:00.0', 'board': 'RTX A5000', 'driver': 'nouveau', 'connectors': ['DP-2']}]}


# form, description, version of the driver, framework, type, what its guest is given, most reboots that the way may take
VGPU = {
    'a7': ('a', server(7, 'Tesla P4'), '535.161.05', 'mdev', 'GRID P4-2Q', {'host': ['0000:81:00.0']}, 2),
    'a8': ('a', server(8, 'A40', ('0000:41:00.0', '0000:81:00.0')), '550.163.02', 'vendor_vfio', 'NVIDIA A40-4Q', {'mapping': 'vgpu'}, 2),
    'a9': ('a', server(9, 'Tesla P4'), '535.309.01', 'mdev', 'GRID P4-1Q', {'mapping': 'vgpu'}, 2),
    'f7': ('f', workstation(7), '535.161.05', 'mdev_on_vfs', 'NVIDIA RTXA5000-4Q', {'host': ['0000:65:00.4']}, 3),
    'f8': ('f', workstation(8), '550.163.02', 'vendor_vfio', 'NVIDIA RTXA5000-4Q', {'mapping': 'vgpu'}, 3),
    'f9': ('f', workstation(9), '570.172.07', 'vendor_vfio', 'NVIDIA RTXA5000-6Q', {'mapping': 'vgpu'}, 3),
}
WHOLE = {
    'form-b': ('b', {'gpu_mapping_mappings': [{'id': 'a4000', 'model': 'RTX A4000'}],
                     'gpu_guests_devices': [{'vmid': 210, 'mapping': 'a4000', 'pcie': True}]}),
    'form-c': ('c', {'gpu_passthrough_devices': ['0000:01:00'], 'gpu_passthrough_boot_display': 'allow',
                     'gpu_mapping_mappings': [{'id': 'farm', 'model': 'GeForce RTX 3060 Ti Lite Hash Rate'}],
                     'gpu_guests_devices': [{'vmid': 220, 'mapping': 'farm', 'pcie': True}]}),
    'form-e': ('e', {'gpu_guests_devices': [{'vmid': 230, 'host': ['0000:65:00'], 'pcie': True}]}),
}


def alone(name):
    """A description of tests/rack/machines without its cluster, so that nodes here need no quorum of others."""
    with open(os.path.join(HERE, 'machines', name + '.yml'), encoding='utf-8') as file:
        description = yaml.safe_load(file)
    description.pop('cluster')
    return description


class Forms(test_site.SiteTest):
    maxDiff = 3000
    descriptions = {**{node: entry[1] for node, entry in VGPU.items()}, **{node: alone(node) for node in WHOLE}}
    machines = list(descriptions)

    def inventory(self):
        """What people write: groups of the forms, and for each host what it shall be."""
        tool = os.path.join(self.work, 'displaymodeselector')
        with open(tool, 'w', encoding='ascii') as file:
            file.write('#!/bin/sh\nexec /usr/lib/rack/closed/displaymodeselector "$@"\n')
        groups = {}
        for node, (form, _, version, framework, kind, place, _) in VGPU.items():
            driver = make_run.make(self.work, version)
            variables = {'gpu_nvidia_vgpu_driver': driver, 'gpu_nvidia_vgpu_driver_sha256': test_site.sha256(driver),
                         'gpu_nvidia_vgpu_types': [kind], 'gpu_guests_devices': [dict(place, vmid=301, mdev=kind)]}
            if 'mapping' in place:
                what = {'model': 'Tesla P4', 'mdev': True} if framework == 'mdev' else {'vfs_of': ['A40' if form == 'a' else 'RTX A5000']}
                variables['gpu_mapping_mappings'] = [dict(what, id='vgpu')]
            if form == 'f':
                variables.update(gpu_nvidia_vgpu_display_off=['RTX A5000'], gpu_nvidia_vgpu_display_tool=tool,
                                 gpu_nvidia_vgpu_display_tool_sha256=test_site.sha256(tool))
            if node == 'f9':
                variables['gpu_nvidia_vgpu_display_restored'] = 'physical_display_enabled_8GB_bar1'
            groups.setdefault('form_' + form, {'hosts': {}})['hosts'][node] = variables
        for node, (form, variables) in WHOLE.items():
            groups.setdefault('form_' + form, {'hosts': {}})['hosts'][node] = variables
        groups['all'] = {'vars': {'gpu_platform_channel': 'no-subscription', 'gpu_platform_upgrade': 'never'}}
        path = os.path.join(self.work, 'forms.yml')
        with open(path, 'w', encoding='utf-8') as file:
            yaml.safe_dump(groups, file)
        return ['-i', os.path.join(self.work, 'inventory.yml'), '-i', path]

    def good(self, run):
        self.assertEqual(run.code, 0, run.output)
        return run

    def boot_numbers(self):
        return {node: status['boots'] for node, status in self.rack.order('status').items()}

    def offered(self, run):
        """{node: framework of its first card, as the module vgpu found it}"""
        return {node: run.of(node, 'gpu_nvidia_vgpu', 'Types offered')[-1]['result']['cards'][0]['framework'] for node in VGPU}

    def guest(self, node):
        return WHOLE[node][1]['gpu_guests_devices'][0]['vmid'] if node in WHOLE else 301

    def test_from_fresh_to_guests_and_back(self):
        places = self.inventory()
        fresh, before = self.states(), self.boot_numbers()

        checked = self.good(self.play('site', *places, '--check', '--diff'))
        for node, state in self.states().items():
            self.same(state, fresh[node], node)
        self.assertEqual(self.boot_numbers(), before)
        self.assertIn('mapping vgpu waits for the vGPUs of a8', checked.output)
        self.assertIn('f8: the rest of NVIDIA vGPU waits: ', checked.output)

        compared = self.play('verify', *places)
        self.assertEqual(compared.code, 2, compared.output)
        for words in ('items failed', 'copy it there', 'this can take minutes'):
            self.assertNotIn(words, compared.output)
        for node, state in self.states().items():
            self.same(state, fresh[node], node)
        for node in self.machines:
            drift = compared.drift(node)
            self.assertTrue([line for line in drift if line.startswith('NVIDIA driver: waits for ' if node in VGPU else 'passthrough: ')], (node, drift))

        done = self.good(self.play('site', *places, *test_site.REBOOT))
        taken = {node: boots - before[node] for node, boots in self.boot_numbers().items()}
        print('reboots:', taken)
        for node, entry in VGPU.items():
            self.assertLessEqual(taken[node], entry[6], node)
            self.assertGreater(taken[node], 0, node)
        self.assertEqual(self.offered(done), {node: entry[3] for node, entry in VGPU.items()})

        again = self.play('site', *places, *test_site.REBOOT)
        self.assertEqual({node: again.changed(node) for node in self.machines}, {node: [] for node in self.machines}, again.output)

        self.rack.order('reboot', *self.machines)
        after = self.good(self.play('verify', *places))
        self.assertEqual(self.offered(after), {node: entry[3] for node, entry in VGPU.items()})

        for node in self.machines:
            with self.subTest(node=node):
                self.runs_with_its_card(node)

        undo = ('undo', *places, '-e', 'gpu_nvidia_vgpu_remove_driver=true')
        self.good(self.play(*undo))
        for node in self.machines:
            if node != 'f9':  # notes the mode that it shall have, until it is seen to have it
                with self.subTest(node=node):
                    self.same(self.ssh(node, test_site.STATE), fresh[node])
        self.rack.order('reboot', *self.machines)
        self.good(self.play(*undo, '-l', 'f9'))
        self.same(self.ssh('f9', test_site.STATE), fresh['f9'])
        for node in VGPU:
            self.assertEqual(self.ssh(node, 'cat /sys/module/nvidia/version; ls -d /sys/bus/pci/devices/*/virtfn0'), '', node)
        # the display mode is in the card's firmware: it stays where it was not asked for
        for node, pci_class in (('f8', '0x030200'), ('f9', '0x030000')):
            self.assertEqual(self.ssh(node, 'cat /sys/bus/pci/devices/0000:65:00.0/class').strip(), pci_class)

    def runs_with_its_card(self, node):
        vmid = self.guest(node)
        said = self.ssh(node, 'qm start %d 2>&1; qm status %d' % (vmid, vmid))
        self.assertTrue(said.endswith('status: running\n'), said)
        if node in VGPU and VGPU[node][3] != 'vendor_vfio':
            self.assertEqual(len(self.ssh(node, 'ls /sys/bus/mdev/devices').split()), 1)
            self.assertIn(VGPU[node][4], self.ssh(node, 'mdevctl types'))
        elif node in VGPU:
            self.assertEqual(self.ssh(node, 'grep -vx 0 /sys/bus/pci/devices/*/nvidia/current_vgpu_type | wc -l').strip(), '1')
            self.assertEqual(self.ssh(node, 'mdevctl types').strip(), '')
        self.ssh(node, 'qm stop %d' % vmid)


class Faults(test_site.SiteTest):
    """What goes wrong on the way: the message reaches the person, and the host is as it was."""
    descriptions = {'p4': {'release': 8, 'kernel': KERNELS[8], 'cpu': {'vendor': 'AuthenticAMD', 'model': 'AMD EPYC 7313 16-Core Processor'},
                           'cards': [{'slot': '0000:81:00.0', 'board': 'Tesla P4'}]}}
    machines = ['p4']
    TRACES = 'find /usr/src/nvidia-* /usr/bin/nvidia-* /var/lib/dkms/nvidia /lib/modules/*/updates /var/lib/pve-gpu/files 2>/dev/null'

    def form_a(self, version, checksum=None, kind='vgpu-kvm'):
        path = make_run.make(self.work, version, kind)
        return self.play('site', '-e', 'gpu_form=a', *self.BASE, '-e', 'gpu_nvidia_vgpu_driver=' + path, '-e', 'gpu_platform_nvidia_driver=',
                         '-e', 'gpu_nvidia_vgpu_driver_sha256=' + (checksum or test_site.sha256(path)))

    BASE = ['-e', 'gpu_platform_channel=no-subscription', '-e', 'gpu_platform_upgrade=never']

    def test_faults(self):
        self.assertEqual(self.play('site', *self.BASE).code, 0)
        before = self.ssh('p4', test_site.STATE)
        for words, pattern in ((('535.216.01', '0' * 64), 'has the SHA-256 .* get the file again, or correct the checksum'),
                               (('535.216.01', None, 'grid'), 'is the driver for guests, not for the host'),
                               (('550.163.02',), r'0000:81:00.0 \(Tesla P4\): driver .* does not serve Tesla P4: Tesla P4 is last served by branch 16'),
                               (('535.161.05',), 'does not build on kernel ' + KERNELS[8])):
            with self.subTest(words=words):
                run = self.form_a(*words)
                self.assertEqual(run.code, 2, run.output)
                self.assertRegex(' / '.join(run.failed('p4')), pattern)
                self.same(self.ssh('p4', test_site.STATE), before)
                self.assertEqual(self.ssh('p4', self.TRACES), '')
        self.rack.fault('p4', ['dkms', 'build*', 'exit', '10', 'Error! Bad return status for module build on kernel'])
        run = self.form_a('535.216.01')
        self.rack.fault('p4', ['clear'])
        self.assertEqual(run.code, 2, run.output)
        self.assertRegex(' / '.join(run.failed('p4')), 'Bad return status for module build.*what it left was removed again')
        self.assertEqual(self.ssh('p4', self.TRACES), '')
        good = self.form_a('535.216.01')
        self.assertEqual(good.code, 0, good.output)


if __name__ == '__main__':
    unittest.main()
