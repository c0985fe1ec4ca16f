#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The module vfio on simulated hosts: cards taken from their drivers now, by the script of the initramfs after a reboot, and given back.
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'))
sys.path.insert(0, HERE)
import rack as racks  # noqa: E402

MACHINES = ['form-b', 'form-e', 'twins', 'nic-group', 'domain-1']
# function, driver, driver_override of all functions with a driver or an override, bridges aside
BINDINGS = r'''cd /sys/bus/pci/devices; for f in *; do d=$(readlink $f/driver); d=${d##*/}; o=$(cat $f/driver_override)
  case $d$o in "(null)"|pcieport*) ;; *) echo $f ${d:-none} $o;; esac; done'''
FILES = 'cd / && find etc/initramfs-tools etc/modprobe.d etc/default var/lib/pve-gpu ! -type d -exec stat -c "%n %a %U" {} + -exec sha256sum {} + 2>/dev/null | sort'


def why_not():
    if os.geteuid() != 0:
        return 'nodes need root (namespaces, mounts): run the tests as root'
    missing = [tool for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    return None if os.path.exists(EXECUTABLE) else '%s is missing: ./dev build makes it' % EXECUTABLE


@unittest.skipIf(why_not(), why_not())
class VfioTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rack = racks.Rack('test-vfio-%d' % os.getpid())
        cls.addClassCleanup(cls.rack.down)
        cls.rack.up(MACHINES)

    def ssh(self, node, script, data=None):
        done = subprocess.run(['ssh', *self.rack.ssh_options(), 'root@' + self.rack.node(node)['address'], script], input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.stderr.decode(), '', script)
        return done.stdout.decode()

    def module(self, node, name='vfio', **args):
        return json.loads(self.ssh(node, '/root/pve-gpu ' + name, json.dumps(args).encode()))

    def works(self, node, **args):
        answer = self.module(node, **args)
        self.assertFalse(answer.get('failed'), answer)
        again = self.module(node, **args)
        self.assertFalse(again['changed'], again)
        return answer

    def fails(self, node, *words, **args):
        before = self.ssh(node, BINDINGS + ';' + FILES)
        answer = self.module(node, **args)
        self.assertTrue(answer.get('failed'), answer)
        for word in words:
            self.assertIn(word, answer['msg'])
        self.assertEqual(self.ssh(node, BINDINGS + ';' + FILES), before)

    def bindings(self, node):
        return {line.split()[0]: ' '.join(line.split()[1:]) for line in self.ssh(node, BINDINGS).splitlines()}

    def reboot(self, *nodes):
        self.rack.order('reboot', *nodes)

    def bound(self, node, wanted):
        found = self.bindings(node)
        self.assertEqual({address: found.get(address, 'none') for address in wanted}, wanted)

    def test_all(self):
        with open(EXECUTABLE, 'rb') as file:
            executable = file.read()

        def one(node):
            self.ssh(node, 'cat >/root/pve-gpu && chmod 755 /root/pve-gpu', executable)
            fresh, files = self.bindings(node), self.ssh(node, FILES)
            getattr(self, 'on_' + node.replace('-', '_'))(fresh, files)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {node: pool.submit(one, node) for node in MACHINES}
        for node, future in running.items():
            with self.subTest(node=node):
                future.result()

    def on_form_b(self, fresh, files):
        """Four equal cards in a server: now, after a reboot, with vfio-pci loaded, and back."""
        cards = ['0000:%s:00.%d' % (bus, function) for bus in ('41', '42', '81', '82') for function in (0, 1)]
        self.works('form-b', all=True, bind='boot')
        self.bound('form-b', dict.fromkeys(cards, 'none vfio-pci') | {'0000:03:00.0': 'ast (null)'})
        self.reboot('form-b')
        self.bound('form-b', dict.fromkeys(cards, 'vfio-pci vfio-pci') | {'0000:03:00.0': 'ast (null)'})
        answer = self.module('form-b', all=True, bind='boot')
        self.assertFalse(answer['changed'] or answer['reboot_required'], answer)
        self.assertEqual({function['former_driver'] for card in answer['cards'] for function in card['functions']}, {'nouveau', 'snd_hda_intel'})
        # one fewer: it goes back to its driver if that is there, and else at the next boot
        self.works('form-b', devices=['0000:41:00', '0000:42:00', '0000:81:00'], bind='boot')
        self.bound('form-b', {'0000:82:00.0': 'none', '0000:81:00.0': 'vfio-pci vfio-pci'})
        self.reboot('form-b')
        self.bound('form-b', {'0000:82:00.0': 'nouveau (null)', '0000:82:00.1': 'snd_hda_intel (null)', '0000:81:00.0': 'vfio-pci vfio-pci'})
        self.works('form-b', state='absent')
        self.assertEqual(self.bindings('form-b'), fresh)
        self.assertEqual(self.ssh('form-b', FILES), files)
        self.reboot('form-b')
        self.assertEqual(self.bindings('form-b'), fresh)

    def on_form_e(self, fresh, files):
        """Proxmox VE 7: the IOMMU comes with the next boot, and so does the card."""
        self.assertFalse(self.module('form-e', 'iommu').get('failed'))
        answer = self.works('form-e', devices=['65:00'], bind='boot')
        self.assertEqual(answer['pending_on'], 'reboot')
        self.assertEqual(self.bindings('form-e'), fresh)
        self.reboot('form-e')
        self.bound('form-e', {'0000:65:00.0': 'vfio-pci vfio-pci', '0000:65:00.1': 'vfio-pci vfio-pci', '0000:17:00.0': 'nouveau (null)'})
        answer = self.module('form-e', devices=['65:00'], bind='boot')
        self.assertFalse(answer['changed'] or answer['reboot_required'] or 'pending_on' in answer, answer)
        self.fails('form-e', 'is the boot display', devices=['17:00'])

    def on_twins(self, fresh, files):
        """Ids can't tell them apart: only the one without the console is taken."""
        self.works('twins', model='RTX A5000')
        self.bound('twins', {'0000:65:00.0': 'none vfio-pci', '0000:65:00.1': 'none vfio-pci', '0000:17:00.0': 'nouveau (null)'})
        self.reboot('twins')
        # nobody loaded vfio-pci: no driver has it, and Proxmox VE can bind it when a guest starts
        self.bound('twins', {'0000:65:00.0': 'none vfio-pci', '0000:65:00.1': 'none vfio-pci', '0000:17:00.0': 'nouveau (null)'})
        self.ssh('twins', 'modprobe vfio-pci')
        self.bound('twins', {'0000:65:00.0': 'vfio-pci vfio-pci', '0000:17:00.0': 'nouveau (null)'})
        self.works('twins', state='absent')
        self.assertEqual(self.bindings('twins'), fresh)
        self.assertEqual(self.ssh('twins', FILES), files)

    def on_nic_group(self, fresh, _):
        self.fails('nic-group', '0000:04:00.0 (network controller)', devices=['0000:01:00.0'])
        self.assertEqual(self.bindings('nic-group'), fresh)

    def on_domain_1(self, fresh, files):
        """A card that was exchanged is left alone by the script, and named by the module."""
        self.works('domain-1', all=True, bind='boot')
        script = '/etc/initramfs-tools/scripts/init-top/pve-gpu-vfio'
        self.ssh('domain-1', "sed -i 's/^claim 0001:01:00.0 10de 27b8/claim 0001:01:00.0 10de 2235/' %s && update-initramfs -u -k all >/dev/null" % script)
        self.reboot('domain-1')
        self.bound('domain-1', {'0001:01:00.0': 'nouveau (null)', '0001:41:00.0': 'vfio-pci vfio-pci'})
        self.assertIn('pve-gpu: 0001:01:00.0 is left alone', self.rack.log('domain-1'))
        self.fails('domain-1', 'the card for guests at 0001:01:00.0 was 10de:2235', 'now it is 10de:27b8', devices=['0001:01:00', '0001:41:00'], bind='boot')
        # of the script that was edited nothing is left either
        self.assertFalse(self.module('domain-1', state='absent').get('failed'))
        self.assertEqual(self.bindings('domain-1'), fresh)
        self.assertEqual(self.ssh('domain-1', FILES), files)


if __name__ == '__main__':
    unittest.main()
