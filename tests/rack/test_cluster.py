#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The roles on a cluster with HA and Ceph that gets another kernel: what they do around a reboot, what an interrupted one leaves, and
# which kernels they refuse.
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import archive  # noqa: E402
import test_site  # noqa: E402

CLUSTER = ('node: %s\nrelease: 8\nkernel: 6.5.13-6-pve\ncpu: {vendor: GenuineIntel, model: "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", model_number: 106}\n'
           'cluster: {name: store, nodes: [s1, s2, s3], ceph: {mons: [s1, s2, s3], osds: {s1: [0], s2: [1], s3: [2]}, recover_seconds: 12}}\n')
GUESTS = ('guests:\n  201: {name: desk, running: true, scsi0: "shared:201/vm-201-disk-0.qcow2,size=32G"}\n'
          '  202: {name: broker, running: true, scsi0: "shared:202/vm-202-disk-0.qcow2,size=32G"}\n'
          '  203: {name: files, running: true, onboot: 0, scsi0: "local-lvm:vm-203-disk-0,size=32G"}\n')
STORAGE = ('files:\n  etc/pve/storage.cfg: |\n    lvmthin: local-lvm\n    \tthinpool data\n    \tvgname pve\n    \tcontent rootdir,images\n\n'
           '    nfs: shared\n    \texport /export/pve\n    \tpath /mnt/pve/shared\n    \tserver 192.0.2.50\n    \tcontent images,rootdir,iso\n')
ALONE = 'node: alone\nrelease: 8\nkernel: 6.5.13-6-pve\nkernels: [6.5.13-6-pve]\n'
SOURCES = ['-e', 'gpu_platform_channel=no-subscription', '-e', 'gpu_platform_upgrade=never']


@unittest.skipIf(test_site.why_not(), test_site.why_not())
class AroundAReboot(test_site.SiteTest):
    @classmethod
    def setUpClass(cls):
        files = tempfile.mkdtemp(prefix='pve-gpu-cluster-')
        cls.addClassCleanup(shutil.rmtree, files)
        for name in ('s1', 's2', 's3'):
            with open(os.path.join(files, name + '.yml'), 'w', encoding='ascii') as file:
                file.write(CLUSTER % name + (GUESTS + STORAGE if name == 's1' else ''))
        with open(os.path.join(files, 'alone.yml'), 'w', encoding='ascii') as file:
            file.write(ALONE)
        cls.machines = [os.path.join(files, name + '.yml') for name in ('s1', 's2', 's3', 'alone')]
        super().setUpClass()

    def flags(self):
        return json.loads(self.ssh('s2', 'ceph status --format json'))['health']['checks'].get('OSDMAP_FLAGS', {}).get('summary', {}).get('message', '')

    def manager(self):
        return json.loads(self.ssh('s2', 'cat /etc/pve/ha/manager_status'))

    def where(self, vmid):
        return self.ssh('s2', 'ls /etc/pve/nodes/*/qemu-server/%d.conf' % vmid).split('/')[4]

    def test_kernel_ha_and_ceph(self):
        """A kernel from the archive; the node is emptied for it. The run fails once that kernel runs; the next one does the rest."""
        self.ssh('s1', 'ha-manager add vm:201 --state started')
        words = ['-l', 's1', *SOURCES, '-e', 'gpu_platform_kernel=6.8', '-e', 'gpu_platform_headers=true', '-e', 'gpu_reboot_allowed=true',
                 '-e', 'gpu_reboot_guests=stop']
        self.rack.add_fault('s1', 'ha-manager', 'exit', 'crm-command node-maintenance disable s1', 1, code=1, text='no quorum, try again')
        boot = self.ssh('s1', 'cat /proc/sys/kernel/random/boot_id')

        stopped = self.play('site', *words)
        self.assertEqual(stopped.code, 2, stopped.output)
        self.assertIn('no quorum, try again', stopped.output)
        self.assertNotEqual(self.ssh('s1', 'cat /proc/sys/kernel/random/boot_id'), boot)
        self.assertEqual(self.ssh('s1', 'uname -r; cat /etc/kernel/proxmox-boot-pin; ls /usr/src').split(),
                         ['6.8.12-15-pve', '6.8.12-15-pve', 'linux-headers-6.8.12-15-pve'])
        asked = [' '.join(call['argv']) for call in self.rack.calls('s1') if call['argv'][1:3] != ['--connect-timeout', '10']]
        order = [asked.index(words) for words in ('ha-manager crm-command node-maintenance enable s1', 'qm shutdown 203 --timeout 300 --forceStop 1',
                                                  'ceph osd set noout', 'ceph osd unset noout', 'ha-manager crm-command node-maintenance disable s1')]
        self.assertEqual(order, sorted(order), asked)
        reboot = next(number for number, words in enumerate(asked) if words.startswith('shutdown -r'))
        self.assertTrue(order[2] < reboot < order[3], asked)
        clean = stopped.of('s1', task='Wait until all placement groups are clean')[0]['result']
        self.assertGreater(clean['attempts'], 1, 'it waited')
        self.assertEqual(clean['ceph']['placement_groups_not_clean'], [])
        self.assertEqual(self.flags(), '')
        self.assertEqual(self.manager()['node_status']['s1'], 'maintenance')
        self.assertEqual([self.where(vmid) == 's1' for vmid in (201, 202, 203)], [False, False, True])
        self.assertEqual(self.ssh('s1', 'qm status 203'), 'status: stopped\n')

        resumed = self.play('site', *words)
        self.assertEqual(resumed.code, 0, resumed.output)
        self.assertEqual(len([call for call in self.rack.calls('s1', 'shutdown')]), 1)
        self.assertEqual(self.manager()['node_status']['s1'], 'online')
        self.assertEqual(self.ssh('s1', 'qm status 203; ls /var/lib/pve-gpu/reboot.json'), 'status: running\n')
        again = self.play('site', *words)
        self.assertEqual((again.code, again.changed('s1')), (0, []), again.output)

    def test_somebody_elses_noout(self):
        """It was set before, so it is not unset."""
        self.ssh('s2', 'ceph osd set noout')
        run = self.play('site', '-l', 's3', *SOURCES, '-e', 'gpu_reboot_allowed=true', '-e', 'gpu_reboot_guests=stop')
        self.assertEqual(run.code, 0, run.output)
        self.assertIn('noout', self.flags())
        self.ssh('s2', 'ceph osd unset noout')

    def test_gate(self):
        """A kernel on which the wanted driver does not build is neither installed nor booted."""
        driver = ['-l', 'alone', *SOURCES, '--tags', 'platform', '-e', 'gpu_platform_nvidia_driver=535.129.03']
        kernels = 'ls /boot/vmlinuz-*; cat /etc/kernel/proxmox-boot-pin'
        self.assertEqual(self.play('site', *driver).code, 0)
        before = self.ssh('alone', kernels + '; ' + test_site.STATE)
        compare = ['-l', 'alone', *SOURCES, '-e', 'gpu_platform_headers=true']
        compared = self.play('verify', *compare, '-e', 'gpu_platform_kernel=6.8')
        drift = compared.drift('alone')
        self.assertTrue([line for line in drift if line.startswith('kernel series: not installed: proxmox-kernel-6.8.12-15-pve')], compared.output)
        self.assertTrue([line for line in drift if line.startswith('kernel headers: not installed: proxmox-headers-6.5.13-6-pve')], compared.output)
        compared = self.play('verify', *compare, '-e', 'gpu_platform_kernel=6.99')
        self.assertRegex('\n'.join(compared.drift('alone')), "gpu_platform: alone can't have proxmox-kernel-6.99: E: Unable to locate package.* Set gpu_platform_kernel")
        self.assertIn('vmlinuz-6.5.13-6-pve', before)

        for mode in (['--check'], []):
            refused = self.play('site', *driver, '-e', 'gpu_platform_kernel=6.8', *mode)
            self.assertEqual(refused.code, 2, refused.output)
            self.assertRegex(refused.failed('alone')[0], r'no kernel 6\.8, because nvidia 535\.129\.03 does not build on kernel 6\.8\.12-15-pve')
            self.assertEqual(self.ssh('alone', kernels + '; ' + test_site.STATE), before)

        # an upgrade that brings it
        name = os.path.join(self.work, 'kernel.deb')
        with open(name, 'wb') as file:
            file.write(archive.make_package([('Package', 'proxmox-default-kernel'), ('Version', '1.0.0'), ('Architecture', 'all'),
                                             ('Maintainer', 'nobody <nobody@example.org>'), ('Description', 'an older one')])[1])
        subprocess.run(['scp', '-q', *self.rack.ssh_options(), name, 'root@%s:/root' % self.rack.node('alone')['address']], check=True)
        self.ssh('alone', 'dpkg -i /root/kernel.deb')
        upgrade = [word.replace('upgrade=never', 'upgrade=always') for word in driver]
        refused = self.play('site', *upgrade)
        self.assertEqual(refused.code, 2, refused.output)
        self.assertRegex(refused.failed('alone')[0], r'no upgrade, because nvidia 535\.129\.03 does not build on kernel 6\.8\.12-15-pve.*6\.5\.13-6-pve is installed')
        self.assertEqual(self.ssh('alone', kernels + '; ' + test_site.STATE), before)

        # which another driver lets through, so that the next boot would start it
        done = self.play('site', *[word.replace('535.129.03', '550.144.02') for word in upgrade])
        self.assertEqual(done.code, 0, done.output)
        self.assertIn('vmlinuz-6.8.12-15-pve', self.ssh('alone', kernels))
        refused = self.play('site', *driver)
        self.assertRegex(refused.failed('alone')[0], r'does not build on kernel 6\.8\.12-15-pve.*6\.5\.13-6-pve is installed')
        pinned = self.play('site', *driver, '-e', 'gpu_platform_kernel=6.5')
        self.assertEqual(pinned.code, 0, pinned.output)
        self.assertIn('6.5.13-6-pve', self.ssh('alone', 'cat /etc/kernel/proxmox-boot-pin'))
        compared = self.play('verify', *compare[:-2], '-e', 'gpu_platform_kernel=6.5')
        self.assertFalse([line for line in compared.drift('alone') if 'kernel' in line.split(':')[0] or line.startswith('gpu_platform')], compared.output)


if __name__ == '__main__':
    unittest.main()
