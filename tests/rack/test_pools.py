#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Desktop pools from the wish to guests that run: the plan, its mappings, what a broker sees, on simulated clusters with real ansible-playbook.
import json
import os
import sys
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_site  # noqa: E402

XEON = 'cpu: {vendor: GenuineIntel, model: "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", model_number: 106}\n'
TWO_CARDS = ('release: 8\nkernel: 6.5.13-6-pve\ncmdline: intel_iommu=on\nnvidia: {version: 535.161.05}\n' + XEON +
             'cards:\n  - &card {slot: "0000:41:00.0", board: %s, driver: nvidia%s}\n  - {<<: *card, slot: "0000:81:00.0"}\n')
P4 = TWO_CARDS % ('Tesla P4', '')
T4 = TWO_CARDS % ('Tesla T4', '')
A5000 = TWO_CARDS % ('RTX A5000', ', class: "0302", vfs: 24')
A40 = ('release: 9\nkernel: 6.14.11-2-pve\nnvidia: {version: 580.95.02}\n' + XEON +
       'cards:\n  - {slot: "0000:41:00.0", board: A40, driver: nvidia, vfs: 32}\n')
OFFICE_PC = ('release: 9\nkernel: 6.14.11-2-pve\ncpu: {vendor: GenuineIntel, model: "12th Gen Intel(R) Core(TM) i5-12400", model_number: 151}\n'
             'cards:\n  - {slot: "0000:00:02.0", id: "8086:4692", subsystem: "1043:8882", class: "0300", driver: i915, boot_vga: true, total_vfs: 7, '
             'vfs: 7, vf_driver: none}\n')
GUEST = 'guests:\n  %d: {name: desk%d, machine: q35}\n'


class PoolsTest(test_site.SiteTest):
    described = {}  # node: text without its name and cluster

    @classmethod
    def setUpClass(cls):
        cls.machines = list(cls.described)
        cls.descriptions = {name: dict(yaml.safe_load(text), cluster={'name': 'desks', 'nodes': cls.machines}) for name, text in cls.described.items()}
        super().setUpClass()
        cls.first = cls.machines[0]

    def pools(self, playbook, pools, *words, **settings):
        return self.play(playbook, '-e', json.dumps(dict(settings, gpu_pools_pools=pools)), *words)

    def plan_of(self, run):
        return run.of(self.first, task='Plan')[0]['result']

    def mappings(self):
        """Of each mapping its entries as (node, address)."""
        listed = json.loads(self.ssh(self.first, 'pvesh get /cluster/mapping/pci --output-format json'))
        properties = {one['id']: [dict(part.split('=', 1) for part in entry.split(',')) for entry in one['map']] for one in listed}
        return {name: sorted((entry['node'], entry['path']) for entry in entries) for name, entries in properties.items()}

    def resources(self, run, node):
        """What a broker is offered on a node."""
        return [one['text'] for one in run.of(node, task='See the cards as they are now')[0]['result']['resources']]

    def start(self, node, vmid, device):
        """Gives a guest a device and starts it; what Proxmox VE says if it does not."""
        return self.ssh(node, 'qm set %d --hostpci0 "%s" >/dev/null && qm start %d 2>&1 >/dev/null || echo "exit $?"' % (vmid, device, vmid)).strip()


@unittest.skipIf(test_site.why_not(), test_site.why_not())
class TwoPools(PoolsTest):
    """Two pools want different types on the same card model."""
    described = {'node1': P4 + GUEST % (101, 101) + '  102: {name: desk102, machine: q35}\n', 'node2': P4 + GUEST % (201, 201)}
    POOLS = [{'name': 'Pool A', 'type': 'P4-1Q', 'desktops': 16, 'mapping': 'GPUA'},
             {'name': 'Pool B', 'type': 'P4-2Q', 'desktops': 8, 'mapping': 'GPUB'}]
    BOTH = {'GPUA': [('node1', '0000:41:00.0'), ('node2', '0000:41:00.0')], 'GPUB': [('node1', '0000:81:00.0'), ('node2', '0000:81:00.0')]}

    def test_from_the_wish_to_desktops(self):
        by_type = [{key: pool[key] for key in ('name', 'type', 'desktops')} for pool in self.POOLS]
        refused = self.pools('pools', by_type, gpu_pools_separate_by='type')
        self.assertEqual(refused.code, 2, refused.output)
        self.assertIn('want different types on one GPU model, Tesla P4, and no mapping keeps them apart', refused.failed(self.first)[0])
        self.assertEqual(self.mappings(), {})

        checked = self.pools('pools', self.POOLS, '--check', gpu_pools_strategy='spread')
        self.assertEqual(checked.code, 0, checked.output)
        self.assertEqual(checked.changed(self.first), ['Mappings of the plan'])
        self.assertEqual(self.mappings(), {})

        made = self.pools('pools', self.POOLS, gpu_pools_strategy='spread')
        self.assertEqual(made.code, 0, made.output)
        self.assertEqual(self.mappings(), self.BOTH)
        again = self.pools('pools', self.POOLS, gpu_pools_strategy='spread')
        self.assertEqual((again.code, again.changed('node1'), again.changed('node2')), (0, [], []), again.output)
        self.assertEqual({gpu['change'] for gpu in self.plan_of(again)['gpus']}, {'keep'})

        for node in self.described:
            offered = self.resources(again, node)
            self.assertIn('mapping GPUA → pool GPUA → GRID P4-1Q', offered)
            self.assertIn('mapping GPUB → pool GPUB → GRID P4-2Q', offered)
        self.assertEqual(self.start('node1', 101, 'mapping=GPUA,mdev=nvidia-63'), '')
        self.assertEqual(self.start('node1', 102, 'mapping=GPUB,mdev=nvidia-64'), '')
        self.assertEqual(self.start('node2', 201, 'mapping=GPUA,mdev=nvidia-63'), '')

        # a pool that grows by a card of the other one: the fewest cards move, and not those that guests run on
        grown = [dict(self.POOLS[0], desktops=24), dict(self.POOLS[1], desktops=4)]
        moved = self.plan_of(self.pools('plan', grown))
        self.assertEqual(sorted(gpu['change'] for gpu in moved['gpus']), ['keep', 'keep', 'keep', 'move'])

        short = self.pools('pools', [dict(self.POOLS[0], desktops=25), self.POOLS[1]])
        self.assertEqual(short.code, 2, short.output)
        self.assertIn('No mapping was made: pool Pool A does not fit', short.failed(self.first)[0])
        self.assertEqual(self.mappings(), self.BOTH)

        gone = self.pools('pools', self.POOLS, '-e', 'gpu_pools_state=absent')
        self.assertEqual(gone.code, 2, gone.output)
        self.assertIn('uses mapping GPUA', json.dumps(gone.of(self.first, task='Mappings of the plan')[0]['result']))
        for node, vmid in (('node1', 101), ('node1', 102), ('node2', 201)):
            self.ssh(node, 'qm stop %d && qm set %d --delete hostpci0' % (vmid, vmid))
        gone = self.pools('pools', self.POOLS, '-e', 'gpu_pools_state=absent')
        self.assertEqual(gone.code, 0, gone.output)
        self.assertEqual(self.mappings(), {})


@unittest.skipIf(test_site.why_not(), test_site.why_not())
class SixteenNodes(PoolsTest):
    """Three pools over P4, T4, A40, A5000 and office PCs."""
    described = dict([('p4-%d' % n, P4) for n in range(1, 7)] + [('t4-%d' % n, T4) for n in range(1, 4)] + [('a40-%d' % n, A40) for n in range(1, 4)] +
                     [('a5000-%d' % n, A5000) for n in range(1, 3)] + [('pc-%d' % n, OFFICE_PC) for n in range(1, 3)])
    described['p4-1'] += GUEST % (101, 101)
    described['a40-2'] += GUEST % (102, 102)
    described['pc-1'] += GUEST % (103, 103)
    POOLS = [{'name': 'Office', 'type': 'P4-1Q', 'desktops': 80, 'spare_nodes': 1},
             {'name': 'CAD', 'type': 'A40-8Q', 'desktops': 16, 'mapping': 'cad'},
             {'name': 'Kiosk', 'type': 'intel-vgpu', 'desktops': 14, 'mapping': 'kiosk'}]

    def test_three_pools(self):
        made = self.pools('pools', self.POOLS)
        self.assertEqual(made.code, 0, made.output)
        plan = self.plan_of(made)
        self.assertTrue(plan['fits'])
        mappings = self.mappings()
        self.assertEqual({name: len(entries) for name, entries in mappings.items()}, {'cad': 18, 'kiosk': 14})
        self.assertEqual(len(set(mappings['kiosk'])), 14)
        self.assertEqual({entry for entry in mappings['cad'] if entry[1] == '0000:41:00.0'}, set())
        again = self.pools('pools', self.POOLS)
        self.assertEqual([task for node in self.described for task in again.changed(node)], [], again.output)

        self.assertIn('Tesla P4 → GRID P4-1Q', self.resources(again, 'p4-1'))
        self.assertIn('mapping cad → pool cad → NVIDIA A40-8Q', self.resources(again, 'a40-2'))
        self.assertIn('mapping kiosk → pool kiosk → Intel-vGPU', self.resources(again, 'pc-1'))
        self.assertEqual(self.start('p4-1', 101, '0000:41:00.0,mdev=nvidia-63'), '')
        self.assertEqual(self.start('pc-1', 103, 'mapping=kiosk,pcie=1'), '')


if __name__ == '__main__':
    unittest.main()
