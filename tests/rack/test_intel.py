#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Form D on simulated PCs: from fresh to guests with virtual functions of the processor's graphics, and back; and what goes wrong on the way.
import hashlib
import json
import os
import subprocess
import sys
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(HERE, 'standins', 'closed')]
import make_i915  # noqa: E402
import test_site  # noqa: E402

IGPU = '0000:00:02.0'
CPU = {'vendor': 'GenuineIntel', 'model': '12th Gen Intel(R) Core(TM) i5-12400', 'model_number': 151}
CARD = {'slot': IGPU, 'id': '8086:4692', 'subsystem': '1043:8882', 'class': '0300', 'revision': '0c', 'driver': 'i915', 'boot_vga': True,
        'connectors': ['DP-1']}
MACHINES = {
    'pc': {'release': 9, 'kernel': '6.14.11-2-pve', 'kernels': ['6.14.8-2-pve'], 'loader': 'systemd-boot', 'cpu': CPU, 'cards': [CARD],
           'guests': {240: {'name': 'office-1', 'machine': 'q35'}}},
    # one that only a branch serves, with an IOMMU that has to be switched on
    'old': {'release': 8, 'kernel': '6.5.13-6-pve', 'cpu': CPU, 'cards': [CARD], 'guests': {241: {'name': 'office-2', 'machine': 'q35'}}},
    'rocket': {'release': 9, 'cpu': dict(CPU, model='11th Gen Intel(R) Core(TM) i5-11400', model_number=167), 'cards': [dict(CARD, id='8086:4c8b')]},
    'secure': {'release': 8, 'kernel': '6.8.12-9-pve', 'bios': {'secure_boot': True}, 'loader': 'grub-pbt', 'cpu': CPU, 'cards': [CARD]},
    'forced': {'release': 8, 'kernel': '6.8.12-9-pve', 'cmdline': 'quiet xe.force_probe=4692', 'cpu': CPU, 'cards': [dict(CARD, driver='xe')]},
}
SITE = {'pc': ('2025.07.22', 240), 'old': ('intel-lts-v6.1', 241)}
TOOLS = 'touch /usr/bin/gcc /usr/bin/make; ln -sf /usr/lib/rack/bin/dkms /usr/sbin/dkms; mkdir -p /usr/src/linux-headers-$(uname -r); touch /usr/src/linux-headers-$(uname -r)/Makefile\n'


def why_not():
    executable = os.path.join(PROJECT, 'build', 'portable', 'pve-gpu')
    return test_site.why_not() or (None if os.path.exists(executable) else '%s is missing: ./dev build makes it' % executable)


@unittest.skipIf(why_not(), why_not())
class FormD(test_site.SiteTest):
    maxDiff = 3000
    machines = list(MACHINES)
    descriptions = MACHINES

    @classmethod
    def setUpClass(cls):
        cls.place = test_site.tempfile.mkdtemp(prefix='pve-gpu-intel-')
        cls.addClassCleanup(test_site.shutil.rmtree, cls.place, ignore_errors=True)
        super().setUpClass()
        cls.files = {version: make_i915.make(cls.place, version) for version in ('2025.01.22', '2025.03.27', '2025.07.22', 'intel-lts-v6.1')}
        hosts = {}
        for name, (version, vmid) in SITE.items():
            hosts[name] = {'gpu_intel_sriov_file': cls.files[version], 'gpu_intel_sriov_sha256': cls.sha256(version),
                           'gpu_guests_devices': [{'vmid': vmid, 'mapping': 'igpu', 'pcie': True}],
                           'gpu_mapping_mappings': [{'id': 'igpu', 'vfs_of': [IGPU], 'mdev': False}]}
        with open(os.path.join(cls.work, 'inventory.yml'), 'a', encoding='utf-8') as file:
            yaml.safe_dump({'form_d': {'hosts': hosts, 'vars': {'gpu_platform_channel': 'no-subscription', 'gpu_platform_upgrade': 'never'}}}, file)

    @classmethod
    def sha256(cls, version):
        with open(cls.files[version], 'rb') as file:
            return hashlib.sha256(file.read()).hexdigest()

    def site(self, name, *words):
        return self.play(name, '-e', 'gpu_hosts=form_d', *words)

    def test_from_fresh_to_guests_and_back(self):
        fresh = {node: self.ssh(node, test_site.STATE) for node in SITE}
        checked = self.site('site', '--check', '--diff')
        self.assertEqual(checked.code, 0, checked.output)
        for node in SITE:
            self.same(self.ssh(node, test_site.STATE), fresh[node], node)

        run = self.site('site', *test_site.REBOOT)
        self.assertEqual(run.code, 0, run.output)
        status = self.rack.order('status')
        for node, (version, vmid) in SITE.items():
            with self.subTest(node=node):
                self.assertEqual(status[node]['boots'], 2, 'one reboot from fresh to goal')
                task = 'Install the driver'
                foreseen, done = checked.of(node, task=task)[0]['result'], run.of(node, task=task)[0]['result']
                self.assertEqual(foreseen['pending_on'], 'file')
                self.assertLessEqual(set(foreseen['steps']), set(done['steps']))
                self.assertEqual(done['pending_on'], 'reboot')
                self.assertIn('module_blacklist=i915,xe', done['boot_without'])
                self.ssh(node, 'test ! -e /var/lib/pve-gpu/files')  # the module has a copy of its own
                self.assertIn('i915.enable_guc=3 i915.max_vfs=7', self.ssh(node, 'cat /proc/cmdline'))
                self.assertEqual(self.ssh(node, 'ls -d /sys/bus/pci/devices/%s/virtfn* | wc -l' % IGPU).strip(), '7')
                self.assertIn(version, self.ssh(node, 'cat /sys/module/i915/version'))
                self.assertEqual(self.ssh(node, 'grep -c "map .*node=%s" /etc/pve/mapping/pci.cfg' % node).strip(), '7')
                self.assertNotIn('mdev 1', self.ssh(node, 'cat /etc/pve/mapping/pci.cfg'))
                self.assertIn('status: running', self.ssh(node, 'qm start %d && qm status %d' % (vmid, vmid)))
                self.assertEqual(self.ssh(node, 'basename $(readlink /sys/bus/pci/devices/0000:00:02.1/driver)').strip(), 'vfio-pci')

        again = self.site('site', *test_site.REBOOT)
        self.assertEqual({node: again.changed(node) for node in SITE}, {node: [] for node in SITE}, again.output)
        verified = self.site('verify')
        self.assertEqual(verified.code, 0, verified.output)

        # the VFs are there after any boot
        self.rack.order('reboot', 'pc')
        self.assertEqual(self.ssh('pc', 'ls -d /sys/bus/pci/devices/%s/virtfn* | wc -l' % IGPU).strip(), '7')

        for node, (_, vmid) in SITE.items():
            self.ssh(node, 'qm stop %d' % vmid)
        undone = self.site('undo')
        self.assertEqual(undone.code, 0, undone.output)
        for node in SITE:
            with self.subTest(node=node):
                self.same(self.ssh(node, test_site.STATE), fresh[node])
                self.assertEqual(self.ssh(node, 'ls -d /usr/src/i915-sriov-dkms* /var/lib/dkms/i915-sriov-dkms /lib/modules/*/updates 2>/dev/null'), '')
        self.rack.order('reboot', 'pc')
        self.assertEqual(self.ssh('pc', 'cat /proc/cmdline; ls /sys/module/i915/parameters').count('max_vfs'), 0)

    # -- the module alone: what goes wrong

    def module(self, node, name='i915_sriov_driver', check=False, **parameters):
        if 'pve-gpu' not in self.ssh(node, 'ls /root'):
            subprocess.run(['scp', '-q', *self.rack.ssh_options(), os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'), *self.files.values(),
                            'root@%s:/root' % self.rack.node(node)['address']], check=True)
            self.ssh(node, TOOLS + "printf '\\nPackage: dkms\\nStatus: install ok installed\\nMaintainer: nobody\\nArchitecture: all\\n"
                     "Version: 3\\nDescription: dkms\\n' >>/var/lib/dpkg/status")
        text = json.dumps(dict(parameters, _ansible_check_mode=check, _ansible_diff=True))
        return json.loads(self.ssh(node, "/root/pve-gpu %s - <<'.'\n%s\n.\n" % (name, text)))

    def driver(self, node, release, **parameters):
        return self.module(node, file='/root/' + os.path.basename(self.files[release]), sha256=self.sha256(release), **parameters)

    def refused(self, answer, *words):
        self.assertTrue(answer.get('failed'), answer)
        for word in words:
            self.assertIn(word, answer['msg'])

    def blamed(self, node):
        answer = self.module(node, 'diagnose', gpu=IGPU, way='intel_vgpu')
        return answer['targets'][0]['blamed']

    def test_rocket_lake(self):
        self.refused(self.driver('rocket', '2025.07.22'), 'Rocket Lake', 'has no SR-IOV')

    def test_window_and_kernel_update(self):
        node = 'secure'
        self.rack.order('reset', node)
        self.ssh(node, 'dkms generate_mok >/dev/null 2>&1; echo enrolled >/var/lib/rack/mok; mkdir -p /var/lib/dkms; touch /var/lib/dkms/mok.pub')
        self.assertFalse(self.driver(node, '2025.01.22').get('failed'))
        self.rack.order('reboot', node)
        self.assertEqual(self.module(node, 'sriov', device=IGPU, vfs='7').get('failed'), None)
        # a kernel update that DKMS builds nothing for
        self.ssh(node, "sed -i 's/enterprise.proxmox.com/download.proxmox.com/;s/pve-enterprise/pve-no-subscription/;s/https/http/' "
                 '/etc/apt/sources.list.d/pve-enterprise.list; rm -f /etc/apt/sources.list.d/ceph.list; apt-get -qq update && '
                 'apt-get -qq -y install proxmox-kernel-6.11')
        kernels = self.ssh(node, 'ls /boot/vmlinuz-*')
        self.assertIn('6.11', kernels)
        self.rack.order('reboot', node)
        self.assertEqual(self.ssh(node, 'ls -d /sys/bus/pci/devices/%s/virtfn* 2>/dev/null' % IGPU), '')
        blamed = self.blamed(node)
        self.assertEqual(blamed['name'], 'build', blamed)
        self.assertIn('pve.gpu.i915_sriov_driver', blamed['cure'])
        self.ssh(node, TOOLS)
        answer = self.driver(node, '2025.01.22')
        self.assertEqual(answer.get('pending_on'), 'reboot', answer)
        self.rack.order('reboot', node)
        self.assertFalse(self.driver(node, '2025.01.22')['changed'])

    def test_secure_boot(self):
        node = 'secure'
        self.rack.order('reset', node)
        self.refused(self.driver(node, '2025.03.27'), 'Secure Boot', 'Enroll MOK')
        self.ssh(node, 'dkms generate_mok; mokutil --import /var/lib/dkms/mok.pub')
        waiting = self.driver(node, '2025.03.27')
        self.assertEqual(waiting.get('pending_on'), 'reboot', waiting)
        self.assertIn('Enroll MOK', waiting['pending_reason'])
        # nobody confirmed it
        self.ssh(node, 'rm /var/lib/rack/mok')
        self.rack.order('reboot', node)
        self.refused(self.driver(node, '2025.03.27'), 'Secure Boot')
        self.assertEqual(self.blamed(node)['name'], 'build')
        self.ssh(node, 'echo enrolled >/var/lib/rack/mok')
        self.rack.order('reboot', node)
        self.assertFalse(self.driver(node, '2025.03.27').get('pending_on'))

    def test_xe_loaded_and_stock_build(self):
        node = 'forced'
        self.rack.order('reset', node)
        self.driver(node, '2025.01.22', check=True)  # brings the files
        self.ssh(node, 'echo stock >/run/rack/i915')
        self.refused(self.driver(node, '2025.01.22'), 'no parameter max_vfs')
        self.ssh(node, 'rm /run/rack/i915')
        self.refused(self.driver(node, '2025.01.22', version='2025.03.27'), 'not 2025.03.27')
        answer = self.driver(node, '2025.01.22')
        self.assertEqual(answer.get('pending_on'), 'reboot', answer)
        self.rack.order('reboot', node)
        self.assertIn('module_blacklist=xe', self.ssh(node, 'cat /proc/cmdline'))
        self.assertFalse(self.driver(node, '2025.01.22')['changed'])
        self.assertEqual(self.module(node, 'sriov', device=IGPU, vfs='7')['steps'], ['VFs of ' + IGPU])


if __name__ == '__main__':
    unittest.main()
