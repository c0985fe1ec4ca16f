#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# verify.yml on a cluster of six nodes at their goal: it names each of twenty planted differences and nothing else, and touches nothing.
import os
import re
import sys
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_site  # noqa: E402

FORMS = """
form_b: {hosts: {form-b: {gpu_guests_devices: [{vmid: 210, mapping: a4000, pcie: true}]}}}
form_c: {hosts: {form-c: {gpu_passthrough_devices: ["0000:01:00"], gpu_passthrough_boot_display: allow,
                          gpu_guests_devices: [{vmid: 220, mapping: farm, pcie: true}]}}}
form_e: {hosts: {form-e: {gpu_guests_devices: [{vmid: 230, host: ["0000:65:00"], pcie: true}]}}}
pve: {vars: {gpu_mapping_mappings: [{id: a4000, model: RTX A4000, description: whole cards},
                            {id: farm, model: GeForce RTX 3060 Ti Lite Hash Rate, description: of the farm}],
             gpu_platform_channel: no-subscription, gpu_platform_upgrade: never, gpu_boot_parameters: [pcie_aspm=off]}}
"""
SOURCES = '/etc/apt/sources.list.d/'
IOMMU_MODULES = '/etc/modules-load.d/pve-gpu-iommu.conf'
VFIO = '/etc/initramfs-tools/scripts/init-top/pve-gpu-vfio'
MAPPINGS = '/etc/pve/mapping/pci.cfg'
# node, what somebody does to it, the step that must name it, words of the line. The first node writes for the cluster.
PLANTED = [
    ('form-a', "printf 'deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\\n' >%spve-enterprise.list" % SOURCES, 'package sources',
     'pve-enterprise.list'),
    ('form-a', 'rm ' + IOMMU_MODULES, 'IOMMU', IOMMU_MODULES),
    ('form-a', 'rm /etc/default/grub.d/pve-gpu-kernel_cmdline.cfg', 'kernel parameters', 'pve-gpu-kernel_cmdline.cfg'),
    ('form-a', "sed -i '/path=0000:82:00/d' " + MAPPINGS, 'mapping', 'a4000'),
    # An entry that does not fit the card would hide what guests of it lack: hostpci refuses those before it compares.
    ('form-a', "sed -i 's/of the farm/of nobody/' " + MAPPINGS, 'mapping', 'farm'),
    ('form-b', 'rm ' + VFIO, 'passthrough', VFIO),
    ('form-b', 'qm set 210 --hostpci0 mapping=a4000,pcie=0', 'guest', '210'),
    ('form-b', 'rm %spve-gpu.list' % SOURCES, 'package sources', 'pve-gpu.list'),
    ('form-b', 'sed -i s/vfio_pci/vfio/ ' + IOMMU_MODULES, 'IOMMU', IOMMU_MODULES),
    ('form-c', 'qm set 220 --delete hostpci0', 'guest', '220'),
    ('form-c', "sed -i 's/0000:01:00/0000:09:00/' " + VFIO, 'passthrough', VFIO),
    ('form-c', 'rm ' + IOMMU_MODULES, 'IOMMU', IOMMU_MODULES),
    ('form-d', "sed -i 's/ pcie_aspm=off//' /etc/kernel/cmdline", 'kernel parameters', '/etc/kernel/cmdline'),
    ('form-d', 'rm %sproxmox.sources' % SOURCES, 'package sources', 'proxmox.sources'),
    ('form-d', 'echo >>' + IOMMU_MODULES, 'IOMMU', IOMMU_MODULES),
    ('form-e', 'rm /etc/default/grub.d/pve-gpu-iommu.cfg', 'IOMMU', 'pve-gpu-iommu.cfg'),
    ('form-e', 'qm set 230 --hostpci0 0000:65:00.0,pcie=1', 'guest', '230'),
    ('form-e', 'rm ' + VFIO, 'passthrough', VFIO),
    ('form-f', "sed -i 's/ intel_iommu=on//' /etc/kernel/cmdline", 'IOMMU', '/etc/kernel/cmdline'),
    ('form-f', 'mv %spve-gpu.list /root/' % SOURCES, 'package sources', 'pve-gpu.list'),
]


@unittest.skipIf(test_site.why_not(), test_site.why_not())
class VerifyTest(test_site.SiteTest):
    maxDiff = None
    machines = test_site.CLUSTER

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(os.path.join(cls.work, 'forms.yml'), 'w', encoding='ascii') as file:
            file.write(FORMS)
        cls.inventories = [word for name in ('inventory', 'forms') for word in ('-i', os.path.join(cls.work, name + '.yml'))]

    def verify(self):
        """Of each node its drift as (step, difference)."""
        reports = os.path.join(self.work, 'reports')
        os.makedirs(reports, exist_ok=True)
        run = self.play('verify', *self.inventories, '-e', 'gpu_verify_junit=' + reports)
        found = {}
        for node in self.machines:
            suite = xml.etree.ElementTree.parse(os.path.join(reports, node + '.xml')).getroot()
            self.assertEqual(suite.get('name'), node)
            failed = [case for case in suite if case.find('failure') is not None]
            self.assertEqual((len(suite), len(failed)), (int(suite.get('tests')), int(suite.get('failures'))))
            found[node] = [(case.get('name'), line) for case in failed for line in case.find('failure').text.split('\n')]
        return run, found

    def everything(self):
        """All files of the nodes and of their cluster."""
        return {node: self.ssh(node, test_site.STATE + '; find /etc/pve -type f -exec sha256sum {} + 2>/dev/null | sort -k 2') for node in self.machines}

    def test_twenty_differences(self):
        site = self.play('site', *self.inventories, *test_site.REBOOT)
        self.assertEqual(site.code, 0, site.output)
        run, found = self.verify()
        self.assertEqual(found, {node: [] for node in self.machines}, run.output)
        self.assertEqual(run.code, 0)
        for node, deed, _, _ in PLANTED:
            self.ssh(node, deed)
        before = self.everything()
        run, found = self.verify()
        self.assertEqual(run.code, 2, run.output)
        for node in self.machines:
            wanted = [(step, words) for where, _, step, words in PLANTED if where == node]
            with self.subTest(node=node):
                self.assertEqual(len(found[node]), len(wanted), found[node])
                for step, words in wanted:
                    self.assertTrue([line for name, line in found[node] if name == step and re.search(words, line)], (step, words, found[node]))
        self.assertEqual(self.everything(), before, 'it changes nothing')


if __name__ == '__main__':
    unittest.main()
