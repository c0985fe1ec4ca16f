#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Guests with PCI devices on simulated nodes: Proxmox VE's rules for hostpciN, and the module hostpci under them.
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import rack  # noqa: E402

EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE') or os.path.join(HERE, '..', '..', 'build', 'portable', 'pve-gpu')
AMD = 'cpu: {vendor: AuthenticAMD, model: "AMD EPYC 7313 16-Core Processor", model_number: 1}\n'
MACHINES = {
    # Proxmox VE 8.4: two cards with their audio functions, each in a group with the bridge above it
    'whole': AMD + '''
node: whole
release: 8
pve: 8.4.1
kernel: 6.8.12-9-pve
cards:
  - &card {slot: "0000:41:00.0", board: RTX A4000, class: "0300", driver: nouveau, drm: false, audio: "10de:228b", group: 30}
  - {<<: *card, slot: "0000:42:00.0", group: 31}
devices:
  - {slot: "0000:40:02.0", id: "1022:1482", class: "060000", group_with: "0000:42:00.0"}
mappings:
  a4000: {map: ["0000:41:00", "0000:42:00"]}
  wrong: {map: ["0000:41:00"], mdev: true}
guests:
  201: {name: one, machine: q35}
  202: {name: two, machine: q35}
  203: {name: three}
''',
    # 9.0: vendor VFIO, four virtual functions
    'vendor': AMD + '''
node: vendor
release: 9
pve: 9.0.10
kernel: 6.14.11-2-pve
nvidia: {version: 580.95.02}
cards:
  - {slot: "0000:41:00.0", board: A40, driver: nvidia, vfs: 3}
mappings:
  a40: {map: ["0000:41:00.0 vfs"], mdev: true}
guests:
  301: {name: one, machine: q35}
  302: {name: two, machine: q35}
  303: {name: three, machine: q35}
''',
    # 7: mdev on the card, without mappings
    'classic': '''
node: classic
release: 7
kernel: 5.15.158-2-pve
cmdline: quiet intel_iommu=on
nvidia: {version: 535.161.05}
cards:
  - {slot: "0000:81:00.0", board: Tesla P4, driver: nvidia}
guests:
  401: {name: one}
  402: {name: two}
''',
    # 7 on kernel 5.15: no IOMMU unless asked for
    'bare': '''
node: bare
release: 7
kernel: 5.15.158-2-pve
cards:
  - {slot: "0000:65:00.0", board: RTX A4000, driver: nouveau, drm: false}
guests:
  501: {name: one, hostpci0: "65:00"}
''',
}


def why_not():
    if os.geteuid() != 0:
        return 'nodes need root (namespaces, mounts): run the tests as root'
    missing = [tool for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    for name, path in rack.executables().items():
        if not os.access(path, os.X_OK):
            return '%s is not built: install libfuse3-dev and build' % name
    return None if os.path.exists('/dev/fuse') else 'there is no /dev/fuse'


class GuestsCase(unittest.TestCase):
    machines = ()

    @classmethod
    def setUpClass(cls):
        if why_not():
            raise unittest.SkipTest(why_not())
        cls.work = tempfile.mkdtemp(prefix='pve-gpu-guests-')
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        sources = []
        for name in cls.machines:
            sources.append(os.path.join(cls.work, name + '.yml'))
            with open(sources[-1], 'w', encoding='utf-8') as file:
                file.write(MACHINES[name])
        cls.rack = rack.Rack('guests-%s-%d' % (cls.__name__.lower(), os.getpid()))
        cls.rack.up(sources)
        cls.addClassCleanup(cls.rack.down)
        cls.rack.order('snapshot')

    def fresh(self, *nodes):
        self.rack.order('reset', *nodes)

    def run_in(self, node, script):
        kept = ['-o', 'ControlMaster=auto', '-o', 'ControlPath=%s/%%C' % self.work, '-o', 'ControlPersist=20']
        return subprocess.run(['ssh', *self.rack.ssh_options(), *kept, 'root@' + self.rack.node(node)['address'], 'sh -s'], input=script,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)

    def good(self, node, script):
        done = self.run_in(node, script)
        self.assertEqual(done.returncode, 0, script + '\n' + done.stdout + done.stderr)
        return done.stdout

    def bad(self, node, script, *parts):
        done = self.run_in(node, script)
        self.assertNotEqual(done.returncode, 0, script + '\n' + done.stdout)
        for part in parts:
            self.assertIn(part, done.stderr, script)

    def sys(self, node, path):
        """What an attribute says, or where a link leads."""
        return self.good(node, 'p=/sys/bus/pci/devices/%s; [ -L $p ] && basename $(readlink $p) || cat $p' % path).strip()

    def held(self, node):
        lines = self.run_in(node, 'cat /run/qemu-server/pci-id-reservations').stdout.splitlines()
        return {line.split()[0]: int(line.split()[1]) for line in lines}


class RulesTest(GuestsCase):
    """What the stand-in does, without anything of ours."""
    machines = ('whole', 'vendor', 'classic', 'bare')

    def test_a_schema_for_each_release(self):
        self.fresh('whole', 'classic')
        self.bad('whole', 'qm set 201 --hostpci0 a4000', 'hostpci0: invalid format', 'host: value does not match the regex pattern')
        self.bad('whole', 'qm set 201 --hostpci0 mapping=a4000,driver=keep', 'driver: property is not defined in schema')
        self.bad('whole', 'qm set 201 --hostpci16 41:00', 'Unknown option: hostpci16')
        self.bad('whole', 'qm set 201', 'no options specified')
        self.bad('classic', 'qm set 401 --hostpci0 mapping=p4', 'mapping: property is not defined in schema', 'host: property is missing')
        self.assertIn('update VM 201: -hostpci0 41:00,pcie=1', self.good('whole', 'qm set 201 --hostpci0 41:00,pcie=1'))
        self.assertIn('hostpci0: 41:00,pcie=1\n', self.good('whole', 'cat /etc/pve/qemu-server/201.conf'))

    def test_root_sets_what_no_start_takes(self):
        """check_hostpci_perm lets root pass; parse_hostpci does not."""
        self.fresh('whole')
        for value, why in (('mapping=a4000,host=41:00', "Cannot set both 'host' and 'mapping'."), ('pcie=1', "Either 'host' or 'mapping' must be set.")):
            self.good('whole', 'qm set 201 --hostpci0 ' + value)
            self.assertIn('hostpci0: %s\n' % value, self.good('whole', 'cat /etc/pve/qemu-server/201.conf'))
            self.bad('whole', 'qm start 201', why)

    def test_what_is_refused_ends_with_the_usage(self):
        self.fresh('whole')
        for words, cause in (('--hostpci0 a4000', 'hostpci0.host: value does not match the regex pattern'), ('--hostpci16 41:00', 'Unknown option: hostpci16'),
                             ('--gpu 41:00', 'Unknown option: gpu'), ('--hostpci0 41:00 --delete hostpci0', "delete: you can't use '-hostpci0'")):
            said = self.run_in('whole', 'qm set 201 ' + words).stderr.splitlines()
            self.assertTrue(any(cause in line for line in said), said)
            self.assertEqual(said[-1], 'qm set <vmid> [OPTIONS]')

    def test_lines_that_nobody_knows_go_at_the_next_write(self):
        self.fresh('whole')
        lines = 'hostpci0: nonsense\nmachine:q35\nonboot: yes\ncolour: green\nwhat is this\n name: indented\nhostpci1: 41:00\nhostpci1: 42:00\n'
        more = '\n[PENDING]\nhostpci16: 41:00\n\n[odd name]\nname: x\n\n[before]\nzz: 1\nname: one\nmemory: 4096\n'
        self.good('whole', "cat >/etc/pve/qemu-server/201.conf <<'.'\n#mine\n%s%s.\n" % (lines, more))
        done = self.run_in('whole', 'qm set 201 --memory 2048')
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ("unable to parse value of 'hostpci0' - format error", "unable to parse value of 'colour' - unknown setting 'colour'", 'unable to parse config: what is this',
                     'unable to parse config:  name: indented', "unable to parse value of 'hostpci16' - unknown setting", "skipping unknown section: 'odd name'",
                     "unable to parse value of 'zz'"):
            self.assertIn('vm 201 - ' + part, done.stderr)
        self.assertEqual(self.good('whole', 'cat /etc/pve/qemu-server/201.conf'),
                         '#mine\nhostpci1: 42:00\nmachine: q35\nmemory: 2048\nonboot: 1\n\n[before]\nmemory: 4096\nname: one\n')

    def test_digest_and_lock(self):
        self.fresh('whole')
        self.bad('whole', 'qm set 201 --hostpci0 41:00 --digest $(printf "%065d")', '400 Parameter verification failed.',
                 'digest: value may only be 64 characters long\nqm set <vmid> [OPTIONS]\n')
        self.good('whole', 'qm set 201 --hostpci0 41:00 --digest $(sha1sum </etc/pve/qemu-server/201.conf | cut -d" " -f1)')
        self.bad('whole', 'qm set 201 --hostpci0 42:00 --digest $(sha1sum </dev/null | cut -d" " -f1)', 'checksum mismatch (file change by other user?)')
        self.good('whole', 'qm set 201 --lock backup')
        self.bad('whole', 'qm set 201 --hostpci0 42:00', 'VM is locked (backup)')
        self.bad('whole', 'qm start 201', 'VM is locked (backup)')
        self.good('whole', 'qm unlock 201; qm set 201 --delete hostpci0')
        self.assertNotIn('hostpci', self.good('whole', 'qm config 201'))

    def test_a_whole_card_goes_to_vfio_and_is_held(self):
        self.fresh('whole')
        self.good('whole', 'for g in 201 202 203; do qm set $g --hostpci0 mapping=a4000; done; qm start 201')
        self.assertEqual([self.sys('whole', '0000:41:00.%d/driver' % n) for n in (0, 1)], ['vfio-pci'] * 2)
        self.assertIn('host=0000:41:00.1,id=hostpci0.1', self.good('whole', "tr '\\0' ' ' </proc/$(cat /run/qemu-server/201.pid)/cmdline"))
        self.assertEqual(self.sys('whole', '0000:42:00.0/driver'), 'nouveau')
        self.good('whole', 'qm start 202')
        self.assertEqual(self.held('whole'), {'0000:41:00.0': 201, '0000:41:00.1': 201, '0000:42:00.0': 202, '0000:42:00.1': 202})
        self.bad('whole', 'qm start 203', "could not find a free device for 'hostpci0'")
        self.good('whole', 'qm set 203 --hostpci0 41:00')
        self.bad('whole', 'qm start 203', "PCI device '0000:41:00.0' already in use by VMID '201'")
        self.good('whole', 'qm stop 201 && qm start 203')
        self.assertEqual(self.held('whole')['0000:41:00.0'], 203)

    def test_the_whole_group_but_bridges_goes_to_vfio(self):
        self.fresh('whole')
        self.assertIn('0000:40:02.0', self.good('whole', 'ls /sys/bus/pci/devices/0000:42:00.0/iommu_group/devices').split())
        self.good('whole', 'qm set 201 --hostpci0 42:00.0; qm start 201')
        self.assertEqual([self.sys('whole', '0000:42:00.%d/driver' % n) for n in (0, 1)], ['vfio-pci'] * 2)
        self.assertEqual(self.held('whole'), {'0000:42:00.0': 201})
        self.bad('whole', 'test -e /sys/bus/pci/devices/0000:40:02.0/driver')
        self.good('whole', 'qm stop 201')
        self.assertEqual(self.sys('whole', '0000:42:00.0/driver'), 'vfio-pci')  # nobody gives it back

    def test_changes_of_a_running_guest_are_pending(self):
        self.fresh('whole')
        self.good('whole', 'qm set 201 --hostpci0 42:00; qm start 201; qm set 201 --hostpci0 41:00 --hostpci1 42:00.1 --name other')
        self.assertEqual(self.good('whole', 'cat /etc/pve/qemu-server/201.conf'),
                         'hostpci0: 42:00\nmachine: q35\nmemory: 4096\nname: other\n\n[PENDING]\nhostpci0: 41:00\nhostpci1: 42:00.1\n')
        self.assertEqual(self.good('whole', 'qm pending 201').splitlines()[:3], ['cur hostpci0: 42:00', 'new hostpci0: 41:00', 'new hostpci1: 42:00.1'])
        self.assertIn('hostpci0: 41:00\n', self.good('whole', 'qm config 201'))
        self.assertIn('hostpci0: 42:00\n', self.good('whole', 'qm config 201 --current'))
        self.good('whole', 'qm set 201 --hostpci0 42:00; qm set 201 --delete hostpci0,hostpci1')
        self.assertIn('\n[PENDING]\ndelete: hostpci0\n', self.good('whole', 'cat /etc/pve/qemu-server/201.conf'))
        self.assertIn('del hostpci0: 42:00\n', self.good('whole', 'qm pending 201'))
        self.good('whole', 'qm reboot 201')
        self.assertEqual(self.good('whole', 'cat /etc/pve/qemu-server/201.conf'), 'machine: q35\nmemory: 4096\nname: other\n')
        self.assertEqual(self.held('whole'), {})

    def test_what_keeps_a_guest_from_starting(self):
        self.fresh('whole', 'bare')
        for value, why in (('mapping=nobody', "PCI device mapping not found for 'nobody'"), ('41:00,pcie=1', 'q35 machine model is not enabled'),
                           ('mapping=wrong', "PCI device mapping invalid (hardware probably changed): 'mdev' does not match for 'wrong' (0 != 1)"),
                           ('43:00', "no PCI device found for '43:00'"), ('41:00,mdev=nvidia-63', 'cannot use mediated device with multifunction device'),
                           ('41:00.0,mdev=nvidia-63', 'could not create mediated device'),
                           ('41:00,legacy-igd=1', "legacy IGD assignment requires VGA mode to be 'none'"),
                           ('41:00,romfile=none.rom', 'failed to find romfile "/usr/share/kvm/none.rom"')):
            self.good('whole', 'qm set 203 --hostpci0 ' + value)
            self.bad('whole', 'qm start 203', why)
        self.assertEqual(self.held('whole'), {})
        self.good('whole', 'qm set 203 --hostpci0 41:00.0; qm set 203 --hostpci1 41:00.0')
        self.bad('whole', 'qm start 203', "device '0000:41:00.0' assigned more than once")
        self.bad('bare', 'qm start 501', 'cannot prepare PCI pass-through, IOMMU not present')
        self.assertEqual(self.held('bare'), {})
        # all entries are checked, also when another one is fine
        self.good('whole', r'''sed -i 's/iommugroup=\([0-9]*\),node=whole,path=0000:42:00,/iommugroup=99,node=whole,path=0000:42:00,/' /etc/pve/mapping/pci.cfg
                               qm set 201 --hostpci0 mapping=a4000''')
        self.bad('whole', 'qm start 201', 'PCI device mapping invalid', "'iommugroup' does not match for 'a4000'")

    def test_vendor_vfio(self):
        self.fresh('vendor')
        self.good('vendor', 'for g in 301 302 303; do qm set $g --hostpci0 mapping=a40,mdev=nvidia-565; done; qm start 301; qm start 302')
        held = self.held('vendor')
        self.assertEqual(sorted(held.values()), [301, 302])
        first = [address for address, vmid in held.items() if vmid == 301][0]
        self.assertEqual(self.sys('vendor', first + '/nvidia/current_vgpu_type'), '565')
        self.assertEqual(self.sys('vendor', first + '/driver'), 'nvidia')  # not bound to vfio-pci
        self.assertIn('-uuid 00000000-0000-0000-0000-000000000301', self.good('vendor', "tr '\\0' ' ' </proc/$(cat /run/qemu-server/301.pid)/cmdline"))
        # a third of 24 GB does not fit on 48
        self.bad('vendor', 'qm start 303', "vgpu type '565' not available", "could not find a free device for 'hostpci0'")
        self.good('vendor', 'qm stop 301')
        self.assertEqual(self.sys('vendor', first + '/nvidia/current_vgpu_type'), '0')
        self.good('vendor', 'qm start 303')
        self.assertEqual(self.held('vendor')[first], 303)

    def test_classic_mdev(self):
        self.fresh('classic')
        self.good('classic', 'qm set 401 --hostpci0 81:00.0,mdev=nvidia-66; qm set 402 --hostpci1 81:00.0,mdev=nvidia-66; qm start 401')
        uuid = '00000000-0000-0000-0000-000000000401'
        self.assertEqual(self.good('classic', 'ls /sys/bus/mdev/devices').split(), [uuid])
        self.assertEqual(self.sys('classic', '0000:81:00.0/driver'), 'nvidia')
        self.assertEqual(self.held('classic'), {})  # none for mdev
        self.bad('classic', 'qm start 402', "has no available instances of 'nvidia-66'", 'could not create mediated device')
        self.good('classic', 'qm stop 401; qm start 402')
        self.assertEqual(self.good('classic', 'ls /sys/bus/mdev/devices').split(), ['00000001-0000-0000-0000-000000000402'])


@unittest.skipUnless(os.access(EXECUTABLE, os.X_OK), 'build/portable/pve-gpu is not built')
class ModuleTest(GuestsCase):
    """The module hostpci: what it sets starts, and what would not start it refuses."""
    machines = ('whole', 'vendor', 'classic')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for node in cls.machines:
            cls.rack.provide(node, EXECUTABLE)
        cls.rack.order('snapshot')

    def hostpci(self, node, **arguments):
        done = self.run_in(node, "cat >/root/args <<'END'\n%s\nEND\n/root/pve-gpu hostpci /root/args" % json.dumps(arguments))
        self.assertTrue(done.stdout.startswith('{'), done.stdout + done.stderr)
        return json.loads(done.stdout)

    def done(self, node, changed, **arguments):
        answer = self.hostpci(node, **arguments)
        self.assertNotIn('failed', answer, answer.get('msg'))
        self.assertEqual(answer['changed'], changed, answer)
        return answer

    def test_a_card_from_set_to_start_and_changed_in_between(self):
        self.fresh('whole')
        wish = {'vmid': 201, 'mapping': 'a4000', 'pcie': True}
        checked = self.done('whole', True, _ansible_check_mode=True, **wish)
        self.assertEqual(checked['steps'], ['hostpci0 of guest 201'])
        self.assertEqual(self.done('whole', True, **wish)['value'], 'mapping=a4000,pcie=1')
        self.done('whole', False, **wish)
        call = self.rack.calls('whole', 'qm')[-1]['argv']
        self.assertEqual(call[:5], ['qm', 'set', '201', '--hostpci0', 'mapping=a4000,pcie=1'])
        self.assertEqual(call[5], '--digest')
        self.good('whole', 'qm start 201')
        self.assertEqual(self.sys('whole', '0000:41:00.0/driver'), 'vfio-pci')
        self.done('whole', False, **wish)
        other = {'vmid': 201, 'host': '42:00', 'pcie': True}
        refused = self.hostpci('whole', **other)
        self.assertTrue(refused['failed'])
        self.assertIn('guest 201 runs', refused['msg'])
        waiting = self.done('whole', True, running='pending', **other)
        self.assertEqual(waiting['pending_on'], 'guest_restart')
        self.assertEqual(self.done('whole', False, running='pending', **other)['pending_on'], 'guest_restart')
        self.assertEqual((waiting['value'], waiting['running_value']), ('0000:42:00,pcie=1', 'mapping=a4000,pcie=1'))
        self.assertIn('new hostpci0: 0000:42:00,pcie=1', self.good('whole', 'qm pending 201'))
        self.good('whole', 'qm stop 201; qm start 201')
        self.assertNotIn('pending_on', self.done('whole', False, **other))
        self.assertEqual(self.held('whole'), {'0000:42:00.0': 201, '0000:42:00.1': 201})
        self.good('whole', 'qm stop 201')
        self.done('whole', True, **wish)
        self.good('whole', 'qm start 201 && qm stop 201')
        self.done('whole', True, state='absent', **wish)
        self.assertEqual(self.good('whole', 'cat /etc/pve/qemu-server/201.conf; ls /var/lib | grep pve-gpu || :'), 'machine: q35\nmemory: 4096\nname: one\n')

    def test_others_write_at_the_same_time(self):
        self.fresh('whole')
        self.rack.add_fault('whole', 'qm', 'exit', words='set *', times=2, code=255, text='checksum mismatch (file change by other user?)')
        self.done('whole', True, vmid=201, mapping='a4000')
        self.assertEqual(len([call for call in self.rack.calls('whole', 'qm') if call['argv'][1] == 'set']), 3)

    def test_vgpus_by_name(self):
        self.fresh('vendor', 'classic')
        for vmid in (301, 302, 303):
            self.assertEqual(self.done('vendor', True, vmid=vmid, mapping='a40', mdev='NVIDIA A40-16Q', pcie=True)['mdev']['name'], 'NVIDIA A40-16Q')
        self.good('vendor', 'qm start 301 && qm start 302 && qm start 303')
        self.assertEqual(sorted(self.held('vendor').values()), [301, 302, 303])
        # the card is full and hides the type; it is the same wish all the same
        self.done('vendor', False, vmid=302, mapping='a40', mdev='NVIDIA A40-16Q', pcie=True)
        for node, vmid, where in (('classic', 401, {'host': '0000:81:00.0'}), ('classic', 402, {'host': '81:00.0'})):
            self.done(node, True, vmid=vmid, mdev='GRID P4-4Q', **where)
            self.good(node, 'qm start %d' % vmid)
        self.assertEqual(len(self.good('classic', 'ls /sys/bus/mdev/devices').split()), 2)

    def test_what_would_not_start_is_refused(self):
        self.fresh('whole', 'vendor', 'classic')
        before = [call for node in self.machines for call in self.rack.calls(node, 'qm') if call['argv'][1] != 'start']
        for node, arguments, part in (
                ('whole', {'vmid': 203, 'mapping': 'a4000', 'pcie': True}, 'needs the machine type q35'),
                ('whole', {'vmid': 203, 'mapping': 'nobody'}, "no mapping 'nobody'"), ('whole', {'vmid': 203, 'host': '43:00'}, 'no PCI device 0000:43:00'),
                ('whole', {'vmid': 203, 'mapping': 'a4000', 'driver': 'keep'}, 'came with Proxmox VE 9.1'),
                ('whole', {'vmid': 203, 'mapping': 'wrong'}, 'PCI device mapping invalid'),
                ('vendor', {'vmid': 301, 'host': '41:00'}, 'virtual functions; name'),
                ('vendor', {'vmid': 301, 'host': '41:00.0', 'mdev': 'NVIDIA A40-8Q'}, 'on its virtual functions only'),
                ('classic', {'vmid': 401, 'mapping': 'p4'}, 'came with Proxmox VE 8.0')):
            refused = self.hostpci(node, **arguments)
            self.assertTrue(refused.get('failed'), refused)
            self.assertIn(part, refused['msg'])
        self.assertEqual([call for node in self.machines for call in self.rack.calls(node, 'qm') if call['argv'][1] != 'start'], before)


if __name__ == '__main__':
    unittest.main()
