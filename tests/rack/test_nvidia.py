#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The modules nvidia_driver, vgpu and display_mode on simulated nodes of Proxmox VE 8: from a fresh host over the boots to the vGPU types,
# and what goes wrong on the way, against stand-ins for NVIDIA's programs.
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(HERE, 'standins', 'closed')]
import make_run  # noqa: E402
import rack as racks  # noqa: E402

EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'))
KERNEL = '6.8.12-9-pve'
TOOLS = {'usr/bin/gcc': {'content': '', 'mode': '755'}, 'usr/bin/make': {'content': '', 'mode': '755'},
         'usr/sbin/dkms': {'link': '/usr/lib/rack/bin/dkms'},
         'usr/src/linux-headers-%s/Makefile' % KERNEL: 'all:\n'}
BASE = {'release': 8, 'kernel': KERNEL, 'files': TOOLS}
NODES = {
    'p4': dict(BASE, cards=[{'slot': '0000:01:00.0', 'board': 'Tesla P4', 'driver': 'nouveau', 'drm': False}]),
    't4': dict(BASE, cards=[{'slot': '0000:01:00.0', 'board': 'Tesla T4'}]),
    'a40': dict(BASE, cards=[{'slot': '0000:41:00.0', 'board': 'A40'}],
                guests={101: {'name': 'render', 'hostpci0': '0000:41:00.0', 'running': False}}),
    'a5000': dict(BASE, cards=[{'slot': '0000:17:00.0', 'board': 'RTX A2000', 'class': '0300', 'boot_vga': True},
                               {'slot': '0000:65:00.0', 'board': 'RTX A5000', 'class': '0302', 'audio': False}]),
    'ws': dict(BASE, cards=[{'slot': '0000:17:00.0', 'board': 'RTX A2000', 'class': '0300', 'boot_vga': True, 'driver': 'nouveau',
                             'connectors': ['DP-1'], 'connected': ['DP-1']},
                            {'slot': '0000:65:00.0', 'board': 'RTX A5000', 'driver': 'nouveau', 'connectors': ['DP-2']}]),
    'secure': dict(BASE, bios={'secure_boot': True}, loader='grub-pbt', cards=[{'slot': '0000:01:00.0', 'board': 'Tesla T4'}]),
}
VERSIONS = {'16.4': '535.161.05', '16.8': '535.216.01', '17.5': '550.144.02', '17.6': '550.163.02'}
TRACES = ('find /usr/src/nvidia-* /usr/bin/nvidia-* /var/lib/dkms/nvidia /lib/modules/*/updates /usr/lib/systemd/system/nvidia-* '
          '2>/dev/null; true')


def why_not():
    if os.geteuid() != 0:
        return 'nodes need root (namespaces, mounts): run the tests as root'
    missing = [tool for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    return None if os.path.exists(EXECUTABLE) else '%s is missing: ./dev build makes it' % EXECUTABLE


@unittest.skipIf(why_not(), why_not())
class NvidiaRack(unittest.TestCase):
    """Nodes with the executable and NVIDIA's files in /root, and what is asked of them."""
    nodes, versions = {}, {}

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        descriptions = []
        for name, spec in cls.nodes.items():
            descriptions.append(os.path.join(cls.directory.name, name + '.yml'))
            with open(descriptions[-1], 'w', encoding='utf-8') as file:
                yaml.safe_dump(dict(spec, node=name), file)
        cls.files = {}
        for release, version in cls.versions.items():
            cls.files[release] = make_run.make(cls.directory.name, version)
        cls.files['guest'] = make_run.make(cls.directory.name, '535.216.01', 'grid')
        cls.rack = racks.Rack('test-%s-%d' % (cls.__name__.lower(), os.getpid()))
        cls.rack.up(descriptions)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(cls.provide, cls.nodes))
        cls.rack.order('snapshot')

    @classmethod
    def tearDownClass(cls):
        cls.rack.down()
        cls.directory.cleanup()

    @classmethod
    def copy(cls, node, source, target, mode='755'):
        with open(source, 'rb') as file:
            done = cls.command('ssh', node, 'cat >%s && chmod %s %s' % (target, mode, target), data=file.read())
        if done.returncode:
            raise AssertionError(done.stderr.decode())

    @classmethod
    def provide(cls, node):
        cls.copy(node, EXECUTABLE, '/root/pve-gpu')
        for library in os.environ.get('PVE_GPU_LIBRARIES', '').split():  # of an executable with sanitizers
            cls.copy(node, library, '/usr/lib/x86_64-linux-gnu/' + os.path.basename(library), '644')
        for path in cls.files.values():
            cls.copy(node, path, '/root/' + os.path.basename(path))
        cls.command('ssh', node, 'printf "#!/bin/sh\nexec /usr/lib/rack/closed/displaymodeselector \"\$@\"\n" >/root/displaymodeselector')

    @classmethod
    def command(cls, *words, data=b''):
        return subprocess.run([sys.executable, os.path.join(HERE, 'rack.py'), '--name', cls.rack.name] + list(words), input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def ssh(self, node, script, check=True):
        done = self.command('ssh', node, 'sh', '-s', data=script.encode())
        if check:
            self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        return done.stdout.decode()

    def modules(self, node, *tasks):
        """The answers of several modules, (name, check mode, parameters) each, in one go."""
        script = ''
        for name, check, parameters in tasks:
            text = json.dumps(dict(parameters, _ansible_check_mode=check, _ansible_diff=True))
            script += "ASAN_OPTIONS=detect_leaks=0 /root/pve-gpu %s <<'.'\n%s\n.\n" % (name, text)
        done = self.command('ssh', node, 'sh', '-s', data=script.encode())
        try:
            answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
        except ValueError:
            answers = []
        if len(answers) != len(tasks):
            raise AssertionError('%s: %s' % (tasks, (done.stdout + done.stderr).decode()))
        return answers

    def module(self, node, name, check=False, **parameters):
        return self.modules(node, (name, check, parameters))[0]

    def driver_task(self, release, **parameters):
        path = self.files[release]
        with open(path, 'rb') as file:
            given = {'file': '/root/' + os.path.basename(path), 'sha256': hashlib.sha256(file.read()).hexdigest()}
        given.update(parameters)
        return {key: value for key, value in given.items() if value is not None}

    def driver(self, node, release, check=False, **parameters):
        return self.module(node, 'nvidia_driver', check, **self.driver_task(release, **parameters))

    def succeed(self, answer, **expected):
        self.assertFalse(answer.get('failed'), answer)
        for key, value in expected.items():
            self.assertEqual(answer.get(key), value, answer)
        return answer

    def refused(self, answer, *words):
        self.assertTrue(answer.get('failed'), answer)
        for word in words:
            self.assertIn(word, answer['msg'])

    def reset(self, *nodes):
        self.rack.order('reset', *nodes)

    def loaded(self, node):
        return self.ssh(node, 'cat /sys/module/nvidia/version 2>/dev/null; true').strip()


class NvidiaTest(NvidiaRack):
    nodes, versions = NODES, VERSIONS

    # -- from fresh to the types

    def test_p4_from_nouveau_to_types(self):
        self.reset('p4')
        first = self.succeed(self.driver('p4', '16.8'), pending_on='reboot', reboot_required=True)
        self.assertNotIn('NVIDIA vGPU host driver', first['steps'])
        self.rack.order('reboot', 'p4')
        self.assertEqual(self.ssh('p4', 'test -e /sys/module/nouveau || echo gone').strip(), 'gone')
        foreseen = self.succeed(self.driver('p4', '16.8', check=True))
        second = self.succeed(self.driver('p4', '16.8'), reboot_required=False)
        self.assertEqual(foreseen['steps'], second['steps'])
        self.assertEqual(self.loaded('p4'), '535.216.01')
        self.succeed(self.driver('p4', '16.8'), changed=False)
        types = self.succeed(self.module('p4', 'vgpu', types=['GRID P4-1Q', 'GRID P4-4Q']), ready=True, changed=False)
        self.assertEqual(types['cards'][0]['framework'], 'mdev')
        self.rack.order('reboot', 'p4')
        self.assertEqual(self.loaded('p4'), '535.216.01')
        self.succeed(self.driver('p4', '16.8'), changed=False)
        self.succeed(self.module('p4', 'vgpu', types=['GRID P4-1Q']), ready=True)

    def test_t4_needs_no_reboot(self):
        self.reset('t4')
        self.succeed(self.module('t4', 'vgpu', types=['GRID T4-2Q']), pending_on='driver')
        self.succeed(self.driver('t4', '17.6'), reboot_required=False)
        self.succeed(self.module('t4', 'vgpu', types=['GRID T4-2Q']), ready=True)
        self.assertIn('535', json.dumps(self.driver('t4', '17.6', check=True)['guest_driver_versions']))
        gone = self.succeed(self.driver('t4', '17.6', state='absent'), changed=True)
        self.assertIn('NVIDIA vGPU host driver', gone['steps'])
        self.assertEqual(self.ssh('t4', TRACES), '')
        self.assertEqual(self.loaded('t4'), '')
        self.succeed(self.driver('t4', '17.6', state='absent'), changed=False)

    def test_a40_waits_for_vfs_and_is_upgraded(self):
        self.reset('a40')
        self.succeed(self.driver('a40', '17.5'))
        self.succeed(self.module('a40', 'vgpu', types=['NVIDIA A40-4Q']), pending_on='sriov')
        self.succeed(self.driver('a40', '17.6'), reboot_required=False)
        self.assertEqual(self.loaded('a40'), '550.163.02')
        self.assertEqual(self.ssh('a40', 'ls /var/lib/pve-gpu/nvidia_driver | wc -l').strip(), '1', 'the copy of the version before goes')
        self.succeed(self.driver('a40', '17.5'))
        self.assertEqual(self.loaded('a40'), '550.144.02')
        self.succeed(self.driver('a40', '17.5'), changed=False)
        done = self.succeed(self.driver('a40', '17.5', kernel_module_type='open'), changed=True)
        self.assertIn('NVIDIA vGPU host driver', done['steps'])
        self.succeed(self.driver('a40', '17.5', kernel_module_type='open'), changed=False)
        self.succeed(self.driver('a40', '17.5'), changed=True)  # before 560 a vGPU host takes the proprietary ones

    def test_a2000_beside_a5000(self):
        self.reset('a5000')
        done = self.succeed(self.driver('a5000', '17.6'))
        self.assertEqual([board['address'] for board in done['boards']], ['0000:65:00.0'])
        self.succeed(self.module('a5000', 'vgpu', types=['NVIDIA RTXA5000-4Q']), pending_on='sriov')

    def test_display_mode_then_driver(self):
        self.reset('ws')
        tool = {'tool': '/root/displaymodeselector', 'allow_unverified': True, 'devices': ['0000:65:00.0'], 'mode': 'physical_display_disabled'}
        self.refused(self.module('ws', 'display_mode', **dict(tool, devices=['0000:17:00.0'])), 'has no display mode')
        self.ssh('ws', 'echo falcon >/run/rack/display')
        self.refused(self.module('ws', 'display_mode', **tool), 'Falcon')
        self.ssh('ws', 'echo devmem >/run/rack/display')
        self.refused(self.module('ws', 'display_mode', **tool), 'keeps /dev/mem closed')
        self.assertEqual(self.ssh('ws', 'cat /var/lib/rack/firmware/* 2>/dev/null; ls /var/lib/pve-gpu/notes 2>/dev/null; true'), '',
                         'nothing was written into a card, and nothing waits to be proven')
        self.ssh('ws', 'echo version 1.67.0 >/run/rack/display')
        self.succeed(self.module('ws', 'display_mode', **tool), pending_on='reboot', reboot_required=True, changed=True)
        self.succeed(self.module('ws', 'display_mode', **tool), pending_on='reboot', changed=False)
        # the console has kept its driver
        self.assertIn('nouveau', self.ssh('ws', 'readlink /sys/bus/pci/devices/0000:17:00.0/driver'))
        self.succeed(self.driver('ws', '17.6'), pending_on='reboot')
        self.rack.order('reboot', 'ws')
        shown = self.succeed(self.module('ws', 'display_mode', **tool), reboot_required=False)
        self.assertEqual(shown['cards'][0]['class'], '0302')
        self.succeed(self.module('ws', 'display_mode', devices=['RTX A5000'], mode='physical_display_disabled'), changed=False)
        self.succeed(self.driver('ws', '17.6'), reboot_required=False)
        self.succeed(self.module('ws', 'vgpu', types=['NVIDIA RTXA5000-4Q']), pending_on='sriov')

    # -- what is refused leaves the host as it was

    def test_refusals(self):
        self.reset('t4', 'p4', 'secure')
        cases = [
            ('t4', '17.6', {'sha256': '0' * 64}, ('has the SHA-256',)),
            ('t4', 'guest', {}, ('is the driver for guests',)),
            ('t4', '16.4', {}, ('does not build on kernel ' + KERNEL,)),
            ('p4', '17.6', {}, ('0000:01:00.0 (Tesla P4): driver', 'does not serve Tesla P4', 'branch 16')),
            ('secure', '17.6', {}, ('Secure Boot', 'dkms generate_mok', 'Enroll MOK')),
        ]
        for node, release, parameters, words in cases:
            with self.subTest(node=node, release=release):
                for check in (True, False):
                    answer = self.driver(node, release, check, **parameters)
                    self.refused(answer, *words)
                    self.assertFalse(answer['changed'], answer)
                self.assertEqual(self.ssh(node, TRACES + '; ls /etc/modprobe.d /var/lib/pve-gpu 2>/dev/null | grep pve-gpu; true'), '')

    def test_missing_headers(self):
        self.reset('t4')
        self.ssh('t4', 'rm -r /usr/src/linux-headers-*')
        self.refused(self.driver('t4', '17.6'), 'proxmox-headers-' + KERNEL)

    def test_secure_boot_until_the_key_is_confirmed(self):
        self.reset('secure')
        self.ssh('secure', 'dkms generate_mok; mokutil --import /var/lib/dkms/mok.pub')
        self.succeed(self.driver('secure', '17.6'), pending_on='reboot')
        self.ssh('secure', 'echo enrolled >/var/lib/rack/mok')
        self.rack.order('reboot', 'secure')
        self.succeed(self.driver('secure', '17.6'), reboot_required=False)

    # -- failures of the installer

    def test_build_failure_quotes_the_log(self):
        self.reset('t4')
        answer = self.driver('t4', '16.4', allow_unsupported_kernel=True)
        self.refused(answer, 'nv-firmware.h', 'removed again')
        self.assertEqual(self.ssh('t4', TRACES), '')
        self.succeed(self.driver('t4', '17.6'))

    def test_installer_dies(self):
        self.reset('a40')
        self.ssh('a40', 'echo dies >/run/rack/nvidia')
        self.refused(self.driver('a40', '17.6'), 'removed again')
        self.assertEqual(self.ssh('a40', TRACES), '')
        self.ssh('a40', 'rm /run/rack/nvidia')
        self.succeed(self.driver('a40', '17.6'))

    def test_our_executable_dies(self):
        self.reset('t4')
        self.rack.fault('t4', ['supervisor', 'kill', '/root/pve-gpu', '12', 'after'])
        with self.assertRaises(AssertionError):
            self.driver('t4', '17.6')
        self.succeed(self.driver('t4', '17.6'))
        self.assertEqual(self.loaded('t4'), '550.163.02')
        self.succeed(self.driver('t4', '17.6'), changed=False)

    def test_card_that_a_guest_has(self):
        self.reset('a40')
        self.ssh('a40', 'qm start 101 || true')
        answer = self.driver('a40', '17.6')
        if not self.ssh('a40', 'qm status 101').startswith('status: running'):
            self.skipTest('the guest does not run')
        self.refused(answer, '0000:41:00.0')


if __name__ == '__main__':
    unittest.main()
