#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The rack itself: described trees are what a kernel would show, nodes work, cannot reach the real machine, and leave nothing.
import atexit
import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import machine  # noqa: E402  pylint: disable=wrong-import-position
import node as node_setup  # noqa: E402  pylint: disable=wrong-import-position
import rack  # noqa: E402  pylint: disable=wrong-import-position

SAMPLES = os.path.join(HERE, '..', '..', '..', 'shared', 'domain', 'samples')
MACHINES = sorted(os.path.basename(path)[:-len('.yml')] for path in glob.glob(os.path.join(HERE, 'machines', '*.yml')))


def read(*parts):
    with open(os.path.join(*parts), encoding='utf-8') as file:
        return file.read()


def samples(*parts):
    path = os.path.join(SAMPLES, *parts)
    if not os.path.exists(path):
        raise unittest.SkipTest('the recorded sample %s is not on this machine' % os.path.join(*parts))
    return path


def snapshot(root):
    """path -> (mode, link or content) of a tree."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                content = os.readlink(path)
            elif stat.S_ISREG(mode):
                with open(path, 'rb') as file:
                    content = file.read()
            else:
                content = None
            found[os.path.relpath(path, root)] = (mode, content)
    return found


class TreeCase(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='machine.', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        self.addCleanup(shutil.rmtree, self.directory)

    def tree(self, spec, name='tree'):
        out = os.path.join(self.directory, name)
        machine.write(machine.Machine(machine.load(spec) if isinstance(spec, str) else spec), out)
        return out


class FilesTest(unittest.TestCase):
    def test_many_write_one_file_at_once(self):
        path = os.path.join(tempfile.mkdtemp(prefix='rack-files.'), 'file')
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        writer = 'import sys; sys.path.insert(0, %r); import bootfiles\nfor _ in range(300): bootfiles.write(%r, "whole")' % (
            os.path.join(HERE, 'standins'), path)
        writers = [subprocess.Popen([sys.executable, '-B', '-c', writer]) for _ in range(3)]
        self.assertEqual([writer.wait(60) for writer in writers], [0, 0, 0])
        with open(path, encoding='ascii') as file:
            self.assertEqual(file.read(), 'whole')
        self.assertEqual(os.listdir(os.path.dirname(path)), ['file'])


class TreesTest(TreeCase):
    def test_the_same_description_gives_the_same_tree(self):
        for name in ('pve7', 'pve8', 'pve9'):
            self.assertEqual(snapshot(self.tree(name, name + '-1')), snapshot(self.tree(name, name + '-2')), name)

    def test_every_machine_is_well_formed(self):
        for name in MACHINES:
            with self.subTest(machine=name):
                self.check_functions(self.tree(name, name))

    def check_functions(self, tree):
        devices = os.path.join(tree, 'sys/bus/pci/devices')
        slots = os.listdir(devices)
        self.assertGreater(len(slots), 3)
        for slot in slots:
            base = os.path.join(devices, slot)
            self.assertTrue(os.path.realpath(base).endswith('/' + slot))
            with open(base + '/config', 'rb') as file:
                config = file.read()
            self.assertEqual(len(config), 256)
            ids = '%04x %04x' % (int.from_bytes(config[0:2], 'little'), int.from_bytes(config[2:4], 'little'))
            is_vf = os.path.lexists(base + '/physfn')
            attributes = {key: read(base, key).strip() for key in ('vendor', 'device', 'class', 'revision', 'modalias', 'uevent')}
            shown = '%s %s' % (attributes['vendor'][2:], attributes['device'][2:])
            self.assertEqual(ids, 'ffff ffff' if is_vf else shown, slot)
            self.assertEqual('0x%02x%02x%02x' % (config[11], config[10], config[9]), attributes['class'], slot)
            self.assertIn('MODALIAS=' + attributes['modalias'], attributes['uevent'])
            self.assertIn('PCI_SLOT_NAME=' + slot, attributes['uevent'])
            # a bridge has a type 1 header, and its secondary bus is what lies below it
            self.assertEqual(config[14] & 0x7f, 1 if attributes['class'].startswith('0x0604') else 0, slot)
            for below in (entry for entry in os.listdir(base) if re.fullmatch(r'[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]', entry)):
                self.assertEqual(int(below.split(':')[1], 16), config[25], below)
            self.assertEqual(os.path.exists(base + '/boot_vga'), attributes['class'].startswith('0x0300'), slot)
            if os.path.lexists(base + '/driver'):
                self.assertIn('DRIVER=' + os.path.basename(os.readlink(base + '/driver')), attributes['uevent'])
                self.assertTrue(os.path.samefile(os.path.join(base, 'driver', slot), base))
            if os.path.lexists(base + '/iommu_group'):
                self.assertTrue(os.path.samefile(os.path.join(base, 'iommu_group', 'devices', slot), base))
            if is_vf:
                links = [entry for entry in os.listdir(base + '/physfn') if entry.startswith('virtfn')]
                self.assertEqual(sum(os.path.samefile(os.path.join(base, 'physfn', link), base) for link in links), 1)
            elif os.path.exists(base + '/sriov_numvfs'):
                links = [entry for entry in os.listdir(base) if entry.startswith('virtfn')]
                self.assertEqual(len(links), int(read(base, 'sriov_numvfs')))
                self.assertLessEqual(len(links), int(read(base, 'sriov_totalvfs')))
        for directory, names, files in os.walk(tree + '/sys'):
            for path in (os.path.join(directory, name) for name in names + files):
                self.assertTrue(os.path.exists(path), path + ' leads nowhere')

    def test_vf_addresses_follow_offset_and_stride(self):
        tree = self.tree({'cards': [{'slot': '0000:e8:00.0', 'board': 'A40', 'driver': 'nvidia', 'vfs': 32}]})
        wanted = read(samples('sriov_manage', 'ls_mdev_bus_a40_32vf.txt')).split()
        found = [os.path.basename(os.readlink(path)) for path in glob.glob(tree + '/sys/bus/pci/devices/0000:e8:00.0/virtfn*')]
        self.assertEqual(sorted(found), sorted(wanted))

    def test_a_vf_is_what_a_real_host_showed(self):
        sample = samples('sysfs_a2_vf_mdev')
        vgpus = [{'type': 'NVIDIA A2-4' + series, 'vf': index} for index, series in enumerate('QAC')]
        tree = self.tree({'release': 7, 'cmdline': 'intel_iommu=on', 'nvidia': {'version': '535.161.05'}, 'cards': [
            {'slot': '0000:08:00.0', 'board': 'A2', 'driver': 'nvidia', 'vfs': 16, 'vgpus': vgpus}]})
        compared = 0
        for directory, _, files in os.walk(sample):
            for name in files:
                path = os.path.relpath(os.path.join(directory, name), sample)
                self.assertEqual(read(tree, 'sys/bus/pci/devices/0000:08:01.7', path), read(sample, path), path)
                compared += 1
        self.assertGreater(compared, 60)

    def test_p4_offers_the_types_that_a_real_one_showed(self):
        wanted = re.findall(r'^  (nvidia-\d+)$', read(samples('mdevctl_types', 'tesla_p4_525.105.14_all_zero.txt')), re.M)
        found = os.listdir(os.path.join(self.tree('pve7'), 'sys/class/mdev_bus/0000:81:00.0/mdev_supported_types'))
        self.assertEqual(sorted(found), sorted(wanted))

    def test_available_instances(self):
        tree = self.tree('pve7')
        base = tree + '/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-%s/available_instances'
        # two of four 2 GB instances run: two more of that size in any series, none of another
        self.assertEqual([int(read(base % number)) for number in ('64', '68', '157', '63', '65', '66')], [2, 2, 2, 0, 0, 0])
        fresh = self.tree({'release': 7, 'nvidia': {'version': '535.161.05'}, 'cards': [
            {'slot': '0000:01:00.0', 'board': 'Tesla P4', 'driver': 'nvidia'}]}, 'fresh')
        base = fresh + '/sys/class/mdev_bus/0000:01:00.0/mdev_supported_types/nvidia-%s/available_instances'
        self.assertEqual([int(read(base % number)) for number in ('63', '64', '65', '66')], [8, 4, 2, 1])

    def test_vendor_vfio_files(self):
        tree = self.tree('pve8')
        vf = tree + '/sys/bus/pci/devices/0000:41:%s/nvidia'
        self.assertEqual(read(vf % '00.4', 'current_vgpu_type'), '562\n')
        self.assertEqual(read(vf % '00.4', 'creatable_vgpu_types'), 'ID    : vGPU Name\n')
        self.assertEqual(read(vf % '00.6', 'current_vgpu_type'), '0\n')
        self.assertEqual(read(vf % '00.6', 'creatable_vgpu_types'),
                         'ID    : vGPU Name\n562   : NVIDIA A40-8Q\n572   : NVIDIA A40-8A\n583   : NVIDIA A40-8C\n')
        self.assertFalse(os.path.exists(tree + '/sys/class/mdev_bus'))
        self.assertIn('0000:41:00.4 201 pid:', read(tree, 'run/qemu-server/pci-id-reservations'))

    def test_iommu_follows_cpu_kernel_options_and_bios(self):
        def groups(**spec):
            spec.setdefault('cards', [{'slot': '0000:01:00.0', 'id': '10de:2235', 'class': '0302'}])
            tree = self.tree(spec, 'iommu%d' % len(os.listdir(self.directory)))
            self.assertEqual(bool(os.listdir(tree + '/sys/class/iommu')), bool(os.listdir(tree + '/sys/kernel/iommu_groups')))
            return os.listdir(tree + '/sys/class/iommu')
        amd = {'vendor': 'AuthenticAMD', 'model': 'AMD EPYC 7313 16-Core Processor'}
        self.assertEqual(groups(release=7), [])
        self.assertEqual(groups(release=7, cmdline='quiet intel_iommu=on'), ['dmar0'])
        self.assertEqual(groups(release=8), ['dmar0'])
        self.assertEqual(groups(release=8, cmdline='intel_iommu=off'), [])
        self.assertEqual(groups(release=8, bios={'vtd': False}), [])
        self.assertEqual(groups(release=7, cpu=amd), ['ivhd0'])
        self.assertEqual(groups(release=7, cpu=amd, cmdline='amd_iommu=off'), [])

    def test_groups_and_audio_function(self):
        tree = self.tree({'cards': [{'slot': '0000:01:00.0', 'id': '10de:2484', 'class': '0300', 'driver': 'vfio-pci', 'group': 14},
                                    {'slot': '0000:02:00.0', 'id': '10de:2484', 'class': '0300', 'group_with': '0000:01:00.0'}]})
        self.assertEqual(sorted(os.listdir(tree + '/sys/kernel/iommu_groups/14/devices')),
                         ['0000:01:00.0', '0000:01:00.1', '0000:02:00.0', '0000:02:00.1'])

    def test_files_of_the_description_come_last(self):
        tree = self.tree({'files': {'/etc/hostname': 'other\n', 'etc/kernel/cmdline': {'content': 'x', 'mode': '600'},
                                    'etc/default/grub': {'absent': True}, 'etc/link': {'link': '/etc/hosts'}, 'sys/x': {'hex': '00ff'},
                                    'sys/empty': {'directory': True}, 'etc/hosts': {'mode': '0600'}}})
        self.assertEqual(read(tree, 'etc/hostname'), 'other\n')
        self.assertEqual(stat.S_IMODE(os.stat(tree + '/etc/kernel/cmdline').st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(tree + '/etc/hosts').st_mode), 0o600)
        self.assertFalse(os.path.exists(tree + '/etc/default/grub'))
        self.assertEqual(os.readlink(tree + '/etc/link'), '/etc/hosts')
        self.assertTrue(os.path.isdir(tree + '/sys/empty'))

    def test_wrong_descriptions_say_what_is_wrong(self):
        card = {'slot': '0000:01:00.0', 'board': 'A40', 'driver': 'nvidia'}
        for spec, part in (({'relase': 8}, "'relase'"), ({'release': 6}, 'release'), ({'loader': 'lilo'}, 'lilo'),
                           ({'cards': [dict(card, slot='01:00.0')]}, "'01:00.0'"), ({'cards': [dict(card, board='A41')]}, "'A41'"),
                           ({'cards': [dict(card, vfs=33)]}, '33'), ({'cards': [dict(card, colour='red')]}, "'colour'"),
                           ({'cards': [card, card]}, '0000:01:00.0'), ({'cards': [dict(card, vgpus=[{'type': 'A40-9Q'}])]}, "'A40-9Q'"),
                           ({'cards': [dict(card, nvidia={})]}, "'nvidia'"), ({'bios': {'vdt': True}}, "'vdt'"),
                           ({'mappings': {'x': {'map': ['0000:09:00.0']}}}, '0000:09:00.0'), ({'files': {'x': {'mode': 600}}}, 'mode')):
            with self.subTest(spec=spec), self.assertRaises(machine.MachineError) as caught:
                self.tree(spec, 'wrong%d' % len(os.listdir(self.directory)))
            self.assertIn(part, str(caught.exception))

    def test_lspci_reads_the_tree(self):
        if not shutil.which('lspci'):
            self.skipTest('lspci is not installed')
        tree = self.tree('pve9')
        done = subprocess.run(['lspci', '-A', 'linux-sysfs', '-O', 'sysfs.path=%s/sys/bus/pci' % tree, '-Dn', '-d', '8086:4692'],
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.decode().splitlines(), ['0000:00:02.%d 0300: 8086:4692 (rev 0c)' % number for number in range(8)])


# What root in a node tries against the real machine, and what came of it. Each must fail.
PROBE = r'''
import ctypes, errno, json, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(function, *arguments):
    ctypes.set_errno(0)
    return 'worked' if function(*arguments) >= 0 else errno.errorcode[ctypes.get_errno()]
def fresh(function):
    """In a child, which may give itself namespaces."""
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.write(writable, function().encode())
        os._exit(0)
    os.wait()
    return os.read(readable, 100).decode()
def opened(path, flags):
    try:
        os.close(os.open(path, flags))
        return 'worked'
    except OSError as error:
        return errno.errorcode[error.errno]
def node(kind, major, minor):
    try:
        os.mknod('/tmp/node', 0o600 | kind, os.makedev(major, minor))
        return 'worked'
    except OSError as error:
        return errno.errorcode[error.errno]
def as_user_namespace_root():
    # CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET: root of its own namespaces, then the real sysfs
    if libc.unshare(0x10000000 | 0x20000 | 0x40000000) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return attempt(libc.mount, b'sysfs', b'/mnt', b'sysfs', 0, None)
class Timespec(ctypes.Structure):
    _fields_ = [('sec', ctypes.c_long), ('nsec', ctypes.c_long)]
now = Timespec()
libc.clock_gettime(0, ctypes.byref(now))
print(json.dumps({
    'init_module': attempt(libc.syscall, 175, b'', 0, b''),
    'delete_module': attempt(libc.syscall, 176, b'no_such_module', 0),
    # disables ctrl-alt-del, where it is allowed: the mildest of reboot's commands
    'reboot': attempt(libc.reboot, 0),
    'clock_settime': attempt(libc.clock_settime, 0, ctypes.byref(now)),
    'mount sysfs': attempt(libc.mount, b'sysfs', b'/mnt', b'sysfs', 0, None),
    'mount sysfs in a user namespace': fresh(as_user_namespace_root),
    'umount /sys': attempt(libc.umount2, b'/sys', 2),
    'remount /proc/sys': attempt(libc.mount, b'none', b'/proc/sys', None, 32 | 4096, None),
    'iopl': attempt(libc.iopl, 3),
    'block device': node(0o60000, 254, 0),
    'mem': node(0o20000, 1, 1),
    'sysctl': opened('/proc/sys/kernel/panic', os.O_WRONLY),
    'ptrace init of the machine': opened('/proc/1/root/../../proc/2/mem', os.O_RDWR),
}))
'''


def need_rack():
    if os.geteuid() != 0:
        raise unittest.SkipTest('nodes need root (namespaces, mounts): run the tests as root')
    for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh'):
        if not shutil.which(tool):
            raise unittest.SkipTest('%s is not installed' % tool)
    for name, path in rack.executables().items():
        if not os.access(path, os.X_OK):
            raise unittest.SkipTest('%s is not built: install libfuse3-dev and build' % name)
    if not os.path.exists('/dev/fuse'):
        raise unittest.SkipTest('there is no /dev/fuse')


# Of connections that are kept open; node addresses are used again by the next rack, so they are this run's own.
SOCKETS = tempfile.mkdtemp(prefix='rack-ssh.')
atexit.register(shutil.rmtree, SOCKETS, True)


class RackCase(unittest.TestCase):
    name = 'test-%d' % os.getpid()

    @classmethod
    def command(cls, *words, check=True, text=None, name=None):
        done = subprocess.run([sys.executable, os.path.join(HERE, 'rack.py'), '--name', name or cls.name] + list(words),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False,
                              **({'stdin': subprocess.DEVNULL} if text is None else {'input': text}))
        if check and done.returncode:
            raise AssertionError('rack.py %s ends with %d: %s%s' % (' '.join(words), done.returncode, done.stdout, done.stderr))
        return done

    def ssh(self, node, script, user='root', check=True):
        """As rack.py ssh does, but quicker: without a new process and a new connection for each."""
        made = rack.Rack(type(self).name)
        kept = ['-o', 'ControlMaster=auto', '-o', 'ControlPersist=20', '-o', 'ControlPath=%s/%08x-%%C' % (SOCKETS, zlib.crc32(made.name.encode()))]
        done = subprocess.run(['ssh'] + made.ssh_options() + kept + ['%s@%s' % (user, made.node(node)['address']), 'sh', '-s'], input=script,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def assert_nothing_left(self, name, slot):
        made = rack.Rack(name)
        self.assertEqual(made.processes(), {})
        self.assertFalse(os.path.exists(made.directory))
        self.assertFalse(os.path.exists('/sys/class/net/pgrack%d' % slot))
        self.assertNotIn(made.directory, read('/proc/self/mountinfo'))


class NodesTest(RackCase):
    @classmethod
    def setUpClass(cls):
        need_rack()
        done = cls.command('up', 'pve7', 'pve8', 'pve9', check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.slot = rack.Rack(cls.name).slot

    @classmethod
    def tearDownClass(cls):
        cls.command('down')
        cls('assert_nothing_left').assert_nothing_left(cls.name, cls.slot)

    def test_people(self):
        for node, version in (('pve7', '11'), ('pve8', '12'), ('pve9', '13')):
            self.assertEqual(self.ssh(node, 'hostname; id -u; . /etc/os-release; echo $VERSION_ID').stdout.split(), [node, '0', version])
            self.assertEqual(self.ssh(node, 'id -u; sudo -n id -u', user='admin').stdout.split(), ['1000', '0'])

    def test_the_described_machine_is_seen(self):
        seen = self.ssh('pve8', 'cat /proc/cmdline /proc/sys/kernel/osrelease /proc/sys/kernel/random/boot_id; '
                        'cat /proc/driver/nvidia/version; cat /etc/hostname').stdout
        self.assertIn('BOOT_IMAGE=/vmlinuz-6.8.12-4-pve root=ZFS=/ROOT/pve-1 ro root=ZFS=rpool/ROOT/pve-1 boot=zfs quiet\n6.8.12-4-pve\n', seen)
        self.assertIn('550.144.02', seen)
        real = read('/proc/sys/kernel/random/boot_id').strip()
        self.assertNotIn(real, seen)

    def test_lspci(self):
        described = machine.Machine(machine.load('pve8'))
        wanted = ['%s %04x: %04x:%04x' % (slot, function.pci_class >> 8, function.vendor, function.device)
                  for slot, function in sorted(described.functions.items())]
        found = self.ssh('pve8', 'lspci -Dn').stdout.splitlines()
        self.assertEqual([re.sub(r' \(rev ..\)$', '', line) for line in found], wanted)
        text = self.ssh('pve7', 'lspci -nnk -D -s 81:00.0')
        self.assertEqual(text.stdout, '0000:81:00.0 3D controller [0302]: NVIDIA Corporation GP104GL [Tesla P4] [10de:1bb3] (rev a1)\n'
                         '\tSubsystem: NVIDIA Corporation GP104GL [Tesla P4] [10de:11d8]\n\tKernel driver in use: nvidia\n')
        # no "Unable to load libkmod resources": the module directory is found and read
        self.assertEqual(text.stderr, '')

    def test_mdevctl(self):
        types = self.ssh('pve7', 'mdevctl types').stdout
        self.assertEqual(types.splitlines()[0], '0000:81:00.0')
        self.assertIn('  nvidia-64\n    Available instances: 2\n    Device API: vfio-pci\n    Name: GRID P4-2Q\n    Description: '
                      'num_heads=4, frl_config=60, framebuffer=2048M, max_resolution=7680x4320, max_instance=4\n', types)
        self.assertEqual(sorted(self.ssh('pve7', 'mdevctl list').stdout.splitlines()), [
            '00000000-0000-0000-0000-%012d 0000:81:00.0 nvidia-64' % vmid for vmid in (101, 102)])
        # healthy all the same: vendor VFIO and Intel's VFs have no mediated devices
        self.assertEqual(self.ssh('pve8', 'mdevctl types').stdout.strip(), '')
        self.assertEqual(self.ssh('pve9', 'mdevctl types').stdout.strip(), '')

    def test_libkmod_reads_described_modules(self):
        done = self.ssh('pve9', 'modinfo -k 6.14.11-2-pve -F version i915; modinfo -p i915; modinfo -F filename xe; modinfo nvidia',
                        check=False)
        lines = done.stdout.splitlines()
        self.assertEqual((lines[0], sorted(line.split(':')[0] for line in lines[1:3])), ('2025.07.22', ['enable_guc', 'max_vfs']))
        self.assertRegex(done.stdout, r'/kernel/drivers/gpu/drm/xe/xe.ko\n$')
        self.assertIn('nvidia not found', done.stderr)

    def test_running_guests_are_processes(self):
        words = self.ssh('pve8', 'cd /run/qemu-server; tr "\\0" " " < /proc/$(cat 201.pid)/cmdline; echo; cat pci-id-reservations 201.pid'
                         ).stdout.splitlines()
        self.assertRegex(words[0], r'^/usr/bin/kvm .*-id 201 ')
        self.assertEqual(words[1], '0000:41:00.4 201 pid:' + words[3])
        self.assertNotEqual(self.ssh('pve8', 'cat /run/qemu-server/203.pid', check=False).returncode, 0)

    def test_root_in_a_node_cannot_reach_the_machine(self):
        for node in ('pve7', 'pve8', 'pve9'):
            done = self.ssh(node, "python3 - <<'EOF'\n%s\nEOF\n" % PROBE)
            for attempt, outcome in json.loads(done.stdout).items():
                with self.subTest(node=node, attempt=attempt):
                    answered = {'init_module': 'ENOEXEC', 'delete_module': 'ENOENT', 'reboot': 'worked'}.get(attempt)  # by the supervisor
                    self.assertIn(outcome, (answered,) if answered else ('EPERM', 'ENOSYS', 'EACCES', 'EROFS', 'ENOENT'))
            bounding = int(re.search(r'CapBnd:\s*(\w+)', self.ssh(node, 'cat /proc/self/status').stdout).group(1), 16)
            self.assertEqual(bounding, sum(1 << number for number in node_setup.CAPABILITIES.values()))

    def test_writes_to_sys_stay_in_the_node(self):
        def real():
            return {path: read(path) for name in ('driver_override', 'sriov_numvfs')
                    for path in glob.glob('/sys/bus/pci/devices/*/' + name)}
        before = real()
        # the numbers of VFs that simfs takes are its own tests' matter; here is that nothing real changes
        self.ssh('pve8', 'echo 0 > /sys/bus/pci/devices/0000:81:00.0/sriov_numvfs; echo 1 > /sys/bus/pci/rescan; '
                 'for d in /sys/bus/pci/devices/*; do echo x > $d/driver_override; done; '
                 # h prints a help text in the kernel log, where there is such a file
                 '[ ! -e /proc/sysrq-trigger ] || echo h > /proc/sysrq-trigger')
        self.assertEqual(self.ssh('pve8', 'cat /sys/bus/pci/devices/0000:81:00.0/driver_override').stdout, 'x\n')
        self.assertEqual(real(), before)

    def test_nodes_see_only_themselves_and_the_rack(self):
        done = self.ssh('pve9', 'ls /proc | grep -c "^[0-9]"; ls %s 2>&1; ip route' % rack.cache_directory(), check=False)
        self.assertLess(int(done.stdout.split()[0]), 15)
        self.assertIn('No such file', done.stdout)
        self.assertNotIn('default', done.stdout)
        self.assertEqual(self.ssh('pve9', 'getent hosts pve7 | cut -d" " -f1').stdout.strip(), rack.Rack(self.name).node('pve7')['address'])

    def test_inventory(self):
        import yaml  # pylint: disable=import-outside-toplevel
        inventory = yaml.safe_load(self.command('inventory').stdout)['all']['children']['pve']
        self.assertEqual(sorted(inventory['hosts']), ['pve7', 'pve8', 'pve9'])
        variables = inventory['vars']
        words = ['ssh', '-i', variables['ansible_ssh_private_key_file']] + variables['ansible_ssh_common_args'].split()
        done = subprocess.run(words + ['root@' + inventory['hosts']['pve8']['ansible_host'], 'hostname'], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout, b'pve8\n')


class PackagesTest(RackCase):
    """What apt says in each userland of a fresh installation. Changes package sources: a rack of its own."""

    @classmethod
    def setUpClass(cls):
        need_rack()
        cls.name = RackCase.name + '-apt'
        done = cls.command('up', 'pve7', 'pve8', 'pve9', check=False)
        if done.returncode:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.command('down')

    OFF = {'pve7': 'sed -i "s/^deb/#deb/" /etc/apt/sources.list.d/pve-enterprise.list\n',
           'pve8': 'sed -i "s/^deb/#deb/" /etc/apt/sources.list.d/pve-enterprise.list /etc/apt/sources.list.d/ceph.list\n',
           'pve9': 'for f in pve-enterprise ceph; do echo "Enabled: no" >>/etc/apt/sources.list.d/$f.sources; done\n'}

    def test_enterprise_fails_and_no_subscription_works(self):
        for node, suite in (('pve7', 'bullseye'), ('pve8', 'bookworm'), ('pve9', 'trixie')):
            with self.subTest(node=node):
                fresh = self.ssh(node, 'apt-get update', check=False)
                self.assertEqual(fresh.returncode, 100)
                self.assertRegex(fresh.stderr, r'Failed to fetch https://enterprise\.proxmox\.com/debian/pve/dists/%s/InRelease +'
                                               r'401 +Unauthorized' % suite)
                self.assertNotIn('debian.org', fresh.stderr)
                channel = 'http://download.proxmox.com/debian/pve'
                if node == 'pve9':
                    source = 'Types: deb\nURIs: %s\nSuites: %s\nComponents: pve-no-subscription\nSigned-By: /%s\n' % (
                        channel, suite, machine.KEYRINGS[9])
                    path = '/etc/apt/sources.list.d/proxmox.sources'
                else:
                    source, path = 'deb %s %s pve-no-subscription\n' % (channel, suite), '/etc/apt/sources.list.d/pve.list'
                self.ssh(node, self.OFF[node] + "cat >%s <<'EOF'\n%sEOF\n" % (path, source))
                good = self.ssh(node, 'apt-get update && apt-get install -y rack-probe >/dev/null && dpkg-query -W rack-probe')
                self.assertIn('rack-probe\t1.0+pve.no.subscription.%s' % suite, good.stdout)
                # the enterprise channel with a subscription's login
                login = 'machine enterprise.proxmox.com login pve8c-0123456789 password secret\n'
                self.ssh(node, "echo '%s' >/etc/apt/auth.conf.d/pve.conf; cd /etc/apt/sources.list.d\n"
                         "sed -i 's/^#deb/deb/; /^Enabled: no/d' *; apt-get update" % login.strip())
                # without Proxmox's key its channels are refused, Debian's are not
                refused = self.ssh(node, 'rm /%s; rm -rf /var/lib/apt/lists/*; apt-get update' % machine.KEYRINGS[int(node[3:])],
                                   check=False)
                self.assertEqual(refused.returncode, 100, refused.stderr)
                self.assertIn(channel, refused.stderr)
                self.assertNotIn('debian.org', refused.stderr)

    def test_channels_and_mirrors_that_are_there(self):
        done = self.ssh('pve8', 'python3 - <<EOF\nimport urllib.request, urllib.error\nfor url in """%s""".split():\n'
                        '  try: print(urllib.request.urlopen(url).status, url)\n'
                        '  except urllib.error.HTTPError as error: print(error.code, url)\nEOF\n' % '\n'.join(
                            'http://' + url for url in ('download.proxmox.com/debian/ceph-reef/dists/bookworm/InRelease',
                                                        'download.proxmox.com/debian/ceph-tentacle/dists/trixie/test/binary-amd64/Packages',
                                                        'download.proxmox.com/debian/pve/dists/trixie/pvetest/binary-amd64/Packages',
                                                        'mirror.example.org/proxmox/pve/dists/trixie/InRelease',
                                                        'mirror.example.org/debian/dists/bullseye/InRelease',
                                                        'security.debian.org/dists/bookworm-security/InRelease',
                                                        'enterprise.proxmox.com/debian/pve/dists/trixie/InRelease')))
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ['200', '200', '404', '200', '200', '200', '401'])


class LifeTest(RackCase):
    @classmethod
    def setUpClass(cls):
        need_rack()
        cls.name = RackCase.name + '-life'

    def tearDown(self):
        self.command('down', check=False)
        self.command('down', check=False, name=self.name + '2')

    def test_up_replaces_and_down_leaves_nothing(self):
        self.command('up', 'pve7', 'pve8')
        first = rack.Rack(self.name).init_pid('pve8')
        self.command('up', 'pve8')
        self.assertFalse(rack.is_alive(first))
        made = rack.Rack(self.name)
        self.assertEqual([node['name'] for node in made.nodes], ['pve8'])
        slot = made.slot
        self.command('down')
        self.assert_nothing_left(self.name, slot)
        self.command('down')

    def test_two_racks_side_by_side(self):
        self.command('up', 'pve8')
        self.command('up', 'pve8', name=self.name + '2')
        one, two = rack.Rack(self.name), rack.Rack(self.name + '2')
        self.assertNotEqual(one.nodes[0]['address'], two.nodes[0]['address'])
        self.ssh('pve8', 'touch /root/mark')
        there = self.command('ssh', 'pve8', 'ls', '/root', name=self.name + '2')
        self.assertEqual(there.stdout, '')
        self.command('down')
        self.assertEqual(self.command('ssh', 'pve8', 'hostname', name=self.name + '2').stdout, 'pve8\n')

    def test_a_plain_tree_without_anything_that_behaves(self):
        self.command('up', '--plain', 'pve8')
        pf = '/sys/bus/pci/devices/0000:41:00.0'
        found = self.ssh('pve8', 'uname -r; echo 7 >%s/sriov_numvfs; cat %s/sriov_numvfs; stat -f -c %%T /sys; cat /proc/sys/kernel/osrelease; '
                         'readlink /etc/pve/local; reboot -f; echo $?' % (pf, pf))
        self.assertEqual(found.stdout.split(), [os.uname().release, '7', 'tmpfs', '6.8.12-4-pve', 'nodes/pve8', '1'])
        done = self.ssh('pve8', 'python3 -c "import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.syscall(175, b\'\', 0, b\'\'), ctypes.get_errno())"')
        self.assertIn(done.stdout.split(), (['-1', '1'], ['-1', '38']))  # EPERM, or ENOSYS of a kernel without modules
        self.assertEqual(len(rack.Rack(self.name).order('status')), 1)

    def test_crash_leftovers_are_cleaned(self):
        script = [sys.executable, os.path.join(HERE, 'rack.py'), '--name', self.name, 'up', 'pve7', 'pve8', 'pve9']
        for delay in (0.1, 0.16, 0.2, 0.24, 0.28, 0.34, 0.4):
            process = subprocess.Popen(script, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.command('up', 'pve8')
        self.assertEqual(self.ssh('pve8', 'hostname').stdout, 'pve8\n')
        slot = rack.Rack(self.name).slot
        self.assertEqual(len(rack.Rack(self.name).processes()), len(set(rack.Rack(self.name).processes())))
        self.command('down')
        self.assert_nothing_left(self.name, slot)

    def test_what_cannot_come_up_says_why_and_leaves_nothing(self):
        broken = tempfile.NamedTemporaryFile('w', suffix='.yml', delete=False)
        with broken as file:
            # valid, but a file stands where the tree needs a directory
            file.write('node: broken\nfiles: {etc/hostname/x: text}\n')
        self.addCleanup(os.unlink, broken.name)
        done = self.command('up', broken.name, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('broken did not start', done.stderr)
        self.assertFalse(os.path.exists(rack.Rack(self.name).directory))
        for words, part in ((['up', 'no-such-machine'], 'no-such-machine'), (['up', 'pve8', 'pve8'], "'pve8'"),
                            (['ssh', 'pve8', 'true'], "no node 'pve8'"), (['inventory'], 'is down')):
            done = self.command(*words, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(part, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1)


ONE_PER_LOADER = {'form-a': 'grub', 'form-b': 'grub-pbt', 'form-d': 'systemd-boot'}
FRESH = ['amd', 'domain-1', 'form-a', 'form-b', 'form-c', 'form-d', 'form-e', 'form-f', 'nic-group', 'pve7-zfs', 'twins', 'two-kernels',
         'vtd-off', 'zfs-secure-boot', 'small-boot']


class MachinesCase(RackCase):
    """A rack of all machines that are fresh installations; each test begins with what it needs of it as installed."""

    @classmethod
    def setUpClass(cls):
        need_rack()
        cls.name = '%s-%s' % (RackCase.name, cls.__name__[:4].lower())
        done = cls.command('up', *FRESH, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.rack = rack.Rack(cls.name)

    @classmethod
    def tearDownClass(cls):
        cls.command('down')

    def reset(self, *nodes):
        self.rack.order('reset', *nodes)

    def cmdline(self, node):
        return self.ssh(node, 'cat /proc/cmdline').stdout.strip()

    def reboot(self, node):
        """As a user does it; until the node is another boot."""
        before = self.rack.order('status', node)[node]['boots']
        self.ssh(node, 'shutdown -r 0 "a test"')
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            state = self.rack.order('status', node)[node]
            if state['boots'] > before and state['state'] != 'booting':
                if state['state'] == 'failed':
                    raise rack.RackError(state['problem'])
                return state
            time.sleep(0.02)
        raise AssertionError('%s did not reboot' % node)


class BootTest(MachinesCase):
    def test_what_is_described_is_what_the_loader_starts(self):
        self.reset()
        described = {node: machine.command_line(machine.Machine(machine.load(node))) for node in FRESH}
        self.assertEqual({node: self.cmdline(node) for node in FRESH}, described)
        states = self.rack.order('reboot')
        for node in FRESH:
            if node == 'two-kernels':
                self.assertEqual(states[node]['kernel'], '6.8.12-9-pve')  # installed since
            else:
                self.assertEqual(states[node]['cmdline'], described[node])

    def test_a_reboot_keeps_the_disk_and_makes_all_else_anew(self):
        self.reset('form-a')
        ask = 'cat /proc/sys/kernel/random/boot_id; uname -r; ls /etc/kept /run/gone /tmp/gone 2>/dev/null; ps ax | grep -c "[k]eep-me"'
        self.ssh('form-a', 'touch /etc/kept /run/gone /tmp/gone; sh -c "sleep 600; : keep-me" >/dev/null 2>&1 &')
        before = self.ssh('form-a', ask, check=False).stdout.split()
        self.reboot('form-a')
        after = self.ssh('form-a', ask, check=False).stdout.split()
        self.assertNotEqual(before[0], after[0])
        self.assertEqual(before[1:], ['6.8.12-9-pve', '/etc/kept', '/run/gone', '/tmp/gone', '1'])
        self.assertEqual(after[1:], ['6.8.12-9-pve', '/etc/kept', '0'])

    def test_grub_takes_a_drop_in_when_update_grub_has_run(self):
        self.reset('form-a', 'form-b')
        for node in ('form-a', 'form-b'):
            self.ssh(node, "echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT iommu=pt dyndbg=\\\"a b\\\"\"' >/etc/default/grub.d/x.cfg")
            self.assertNotIn('iommu=pt', self.reboot(node)['cmdline'])
            self.ssh(node, 'update-grub')
            self.assertNotIn('iommu=pt', self.cmdline(node))
            self.assertRegex(self.reboot(node)['cmdline'], r' iommu=pt "dyndbg=a b"$')
            self.assertEqual(self.ssh(node, 'cat /sys/kernel/iommu_groups/0/type').stdout, 'identity\n')
        # what GRUB reads there is on the partition
        self.assertIn('partition 5C1A-2B3D', self.rack.log('form-b'))
        self.ssh('form-b', 'rm /etc/default/grub.d/x.cfg; proxmox-boot-tool refresh')
        self.assertNotIn('iommu=pt', self.reboot('form-b')['cmdline'])

    def test_systemd_boot_takes_the_first_line_of_its_file(self):
        self.reset('form-d')
        self.ssh('form-d', "sed -i '1s/$/ iommu=pt/' /etc/kernel/cmdline; echo nonsense >>/etc/kernel/cmdline")
        self.assertNotIn('iommu=pt', self.reboot('form-d')['cmdline'])
        self.ssh('form-d', 'proxmox-boot-tool refresh')
        self.assertRegex(self.reboot('form-d')['cmdline'], r'^initrd=\\EFI\\proxmox\\6.14.11-2-pve\\.* boot=zfs quiet iommu=pt$')
        self.ssh('form-d', 'echo quiet >/etc/kernel/cmdline')
        refused = self.ssh('form-d', 'proxmox-boot-tool refresh', check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn('No root= parameter in /etc/kernel/cmdline found!', refused.stderr)

    def test_nobody_reads_the_file_with_grub_on_the_partition(self):
        self.reset('zfs-secure-boot')
        self.ssh('zfs-secure-boot', "sed -i '1s/$/ iommu=pt/' /etc/kernel/cmdline; proxmox-boot-tool refresh")
        self.assertNotIn('iommu=pt', self.reboot('zfs-secure-boot')['cmdline'])

    def test_the_iommu_needs_bios_command_line_and_kernel(self):
        look = 'ls /sys/class/iommu /sys/kernel/iommu_groups | wc -l; ls /sys/firmware/acpi/tables | grep -e DMAR -e IVRS; grep -c IR- /proc/interrupts'

        def seen(node):
            words = self.ssh(node, look, check=False).stdout.split()
            return int(words[0]) > 4, words[1:]
        self.reset('vtd-off', 'form-e', 'form-f', 'amd')
        self.assertEqual(seen('amd'), (True, ['IVRS', '2']))
        self.assertEqual(seen('form-f'), (False, ['DMAR', '0']))
        for node in ('vtd-off', 'form-e'):
            self.ssh(node, "echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"' >/etc/default/grub.d/x.cfg; update-grub")
            self.reboot(node)
        self.assertEqual(seen('vtd-off'), (False, ['0']))
        self.assertEqual(seen('form-e'), (True, ['DMAR', '2']))  # kernel 5.15: off without the parameter
        self.assertIn('IOMMU off: the switch in the BIOS', self.rack.log('vtd-off'))

    def test_pins(self):
        other = {'two-kernels': '6.5.13-6-pve', 'form-d': '6.14.8-2-pve', 'zfs-secure-boot': '6.14.8-2-pve'}
        self.reset(*other)
        for node, release in other.items():
            with self.subTest(node=node):
                done = self.ssh(node, 'proxmox-boot-tool kernel pin %s' % release)
                newest = 'two-kernels' == node and '6.8.12-9-pve' or '6.14.11-2-pve'
                if node != 'two-kernels':
                    # without a terminal it does not refresh
                    self.assertIn("Use the 'refresh' command to update the ESPs", done.stdout)
                    self.assertEqual(self.reboot(node)['kernel'], newest)
                    self.ssh(node, 'proxmox-boot-tool refresh')
                self.assertEqual(self.reboot(node)['kernel'], release)
                self.assertEqual(self.ssh(node, 'uname -r; cut -d" " -f3 /proc/version; cat /proc/sys/kernel/osrelease; ls /lib/modules/$(uname -r)/kernel'
                                          ).stdout.split()[:3], [release] * 3)
                self.ssh(node, 'proxmox-boot-tool kernel unpin; proxmox-boot-tool refresh')
                self.assertEqual(self.reboot(node)['kernel'], newest)
                self.ssh(node, 'proxmox-boot-tool kernel pin --next-boot %s; proxmox-boot-tool refresh' % release)
                self.assertEqual(self.reboot(node)['kernel'], release)
                self.assertEqual(self.reboot(node)['kernel'], newest)  # once
        missing = self.ssh('two-kernels', 'proxmox-boot-tool kernel pin 1.2.3-4-pve', check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("no kernel image found in /boot for '1.2.3-4-pve'", missing.stderr)

    def test_a_machine_that_cannot_boot_stays_down_and_says_why(self):
        for node, script, reason in (('form-a', 'rm /boot/vmlinuz-*', 'does not find the kernel'),
                                     ('twins', 'rm /boot/initrd.img-*', 'has no initramfs'),
                                     ('two-kernels', 'sed -i "s/root=[^ ]*//" /boot/grub/grub.cfg', 'no root='),
                                     ('form-d', 'rm /var/lib/rack/esp/*/loader/entries/*', 'systemd-boot finds no entry')):
            with self.subTest(node=node):
                self.reset(node)
                self.ssh(node, script)
                with self.assertRaises(rack.RackError) as caught:
                    self.reboot(node)
                self.assertIn(reason, str(caught.exception))
                self.assertIn('failed', self.command('list').stdout)
        self.reset('form-a', 'twins', 'two-kernels', 'form-d')

    def test_apt_installs_a_kernel_and_the_next_boot_starts_it(self):
        self.reset('form-a')
        self.ssh('form-a', PackagesTest.OFF['pve8'] + 'echo "deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription" '
                 '>/etc/apt/sources.list.d/n.list; apt-get -qq update')
        # nothing that is there already is offered again
        self.assertIn('0 upgraded, 0 newly installed', self.ssh('form-a', 'apt-get --simulate dist-upgrade').stdout)
        self.ssh('form-a', 'apt-get -y install proxmox-kernel-6.11 proxmox-headers-6.11')
        self.assertEqual(self.ssh('form-a', 'ls -d /usr/src/*; ls /boot/initrd.img-6.11*').stdout.split(),
                         ['/usr/src/linux-headers-6.11.11-2-pve', '/boot/initrd.img-6.11.11-2-pve'])
        self.assertEqual(self.reboot('form-a')['kernel'], '6.11.11-2-pve')
        self.ssh('form-a', 'modprobe vfio-pci; apt-get -y purge proxmox-kernel-6.8.12-9-pve-signed')
        self.assertEqual(self.ssh('form-a', 'ls /boot/vmlinuz-*; grep -c "with Linux 6.8.12-9" /boot/grub/grub.cfg', check=False).stdout.split(),
                         ['/boot/vmlinuz-6.11.11-2-pve', '/boot/vmlinuz-6.8.12-4-pve', '0'])

    def test_modules_and_their_options_at_boot(self):
        self.reset('form-c')
        self.ssh('form-c', 'printf "vfio\\nvfio_iommu_type1 # why\\nvfio-pci\\nno_such_module\\n" >/etc/modules-load.d/v.conf; '
                 'echo "options vfio_iommu_type1 allow_unsafe_interrupts=1" >/etc/modprobe.d/v.conf; update-initramfs -u -k all')
        self.reboot('form-c')
        found = self.ssh('form-c', 'ls /sys/module | grep vfio; cat /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts').stdout.split()
        self.assertEqual(found, ['vfio', 'vfio_iommu_type1', 'vfio_pci', 'vfio_pci_core', '1'])

    def test_a_blacklist_counts_when_the_initramfs_has_it(self):
        self.reset('twins')
        driver = 'for d in 0000:17:00.0 0000:65:00.0; do basename $(readlink /sys/bus/pci/devices/$d/driver || echo none); done'
        self.assertEqual(self.ssh('twins', driver).stdout.split(), ['nouveau', 'nouveau'])
        self.ssh('twins', 'echo "blacklist nouveau" >/etc/modprobe.d/n.conf')
        self.reboot('twins')
        self.assertEqual(self.ssh('twins', driver).stdout.split(), ['nouveau', 'nouveau'])
        self.ssh('twins', 'update-initramfs -u')
        self.reboot('twins')
        self.assertEqual(self.ssh('twins', driver).stdout.split(), ['none', 'none'])
        self.ssh('twins', 'echo "options vfio-pci ids=10de:2231" >>/etc/modprobe.d/n.conf; echo vfio-pci >/etc/modules-load.d/v.conf')
        self.reboot('twins')
        self.assertEqual(self.ssh('twins', driver).stdout.split(), ['vfio-pci', 'vfio-pci'])  # twins

    def test_guests_start_again_if_they_are_to(self):
        self.reset('two-kernels')
        names = "ps ax -o args | sed -n 's/.*-name \\([a-z]*\\),.*/\\1/p' | sort"
        self.assertEqual(self.ssh('two-kernels', names).stdout.split(), ['files', 'spare'])
        self.reboot('two-kernels')
        self.assertEqual(self.ssh('two-kernels', names).stdout.split(), ['files'])
        self.assertEqual(self.ssh('two-kernels', 'qm status 501; qm status 502').stdout, 'status: running\nstatus: stopped\n')

    def test_services_at_boot(self):
        self.reset('form-a')
        unit = '[Unit]\\nDescription=x\\n[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/touch /run/%%n\\nExecStart=/bin/false\\n'
        self.ssh('form-a', ("printf '" + unit.replace('ExecStart=/bin/false\\n', '') + "[Install]\\nWantedBy=multi-user.target\\n' "
                            '>/etc/systemd/system/good.service; printf \'' + unit + "' >/etc/systemd/system/bad.service; "
                            'systemctl daemon-reload; systemctl enable --now good.service').replace('%%n', 'mark'))
        self.assertEqual(self.ssh('form-a', 'systemctl is-active good; systemctl is-enabled good; ls /run/mark').stdout.split(),
                         ['active', 'enabled', '/run/mark'])
        self.assertEqual(self.ssh('form-a', 'systemctl start bad', check=False).returncode, 1)
        shown = self.ssh('form-a', 'systemctl show --property=LoadState,ActiveState,SubState,UnitFileState -- bad.service no.service').stdout
        self.assertEqual(shown, 'LoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=static\n\n'
                         'LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n')
        self.reboot('form-a')
        self.assertEqual(self.ssh('form-a', 'systemctl is-active good bad; ls /run/mark', check=False).stdout.split(),
                         ['active', 'inactive', '/run/mark'])

    def test_snapshot_and_reset(self):
        self.reset('amd')
        self.ssh('amd', 'echo one >/etc/mark; qm set 110 --memory 1024')
        self.rack.order('snapshot', 'amd')
        self.ssh('amd', 'echo two >/etc/mark; rm /boot/grub/grub.cfg; qm stop 110; rm /etc/pve/nodes/amd/qemu-server/110.conf')
        self.rack.order('reset', 'amd')
        self.assertEqual(self.ssh('amd', 'cat /etc/mark; qm config 110 | grep memory; ls /boot/grub').stdout.split(),
                         ['one', 'memory:', '1024', 'grub.cfg'])

    def test_a_full_boot_partition(self):
        self.reset('small-boot')
        self.ssh('small-boot', 'dd if=/dev/zero of=/boot/filler bs=1M 2>/dev/null || sync')
        self.assertEqual(self.ssh('small-boot', 'df --output=avail -B1M /boot | tail -n 1').stdout.strip(), '0')
        done = self.ssh('small-boot', 'echo blacklist x >/etc/modprobe.d/x.conf; update-initramfs -u', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('No space left on device', done.stderr)
        self.assertEqual(self.reboot('small-boot')['kernel'], '6.8.12-9-pve')
        self.rack.order('reset', 'small-boot')
        self.assertEqual(self.ssh('small-boot', 'ls /boot/filler', check=False).returncode, 2)

    def test_faults_of_stand_ins(self):
        self.reset('form-a', 'form-d')
        menu = self.ssh('form-a', 'sha256sum /boot/grub/grub.cfg; echo "GRUB_TIMEOUT=9" >/etc/default/grub.d/t.cfg').stdout.split()[0]
        self.command('fault', 'form-a', 'update-grub', 'ignore', 'x1')
        self.command('fault', 'form-d', 'proxmox-boot-tool', 'refresh*', 'exit', '1', 'no space left')
        self.ssh('form-a', 'update-grub')
        self.assertEqual(self.ssh('form-a', 'sha256sum /boot/grub/grub.cfg').stdout.split()[0], menu)
        self.ssh('form-a', 'update-grub')
        self.assertNotEqual(self.ssh('form-a', 'sha256sum /boot/grub/grub.cfg').stdout.split()[0], menu)
        self.assertEqual([(call['exit'], call['fault']) for call in self.rack.calls('form-a', 'update-grub')], [(0, 'ignore'), (0, None)])
        # the tools call each other
        self.command('fault', 'form-a', 'update-grub', 'exit', '3', 'no space left')
        done = self.ssh('form-a', 'proxmox-boot-tool kernel pin 6.8.12-4-pve', check=False)
        self.assertEqual((done.returncode, done.stderr), (3, 'no space left\n'))
        self.assertEqual(len(self.rack.calls('form-a', 'update-grub', nested=True)), 3)
        done = self.ssh('form-d', 'proxmox-boot-tool status --quiet; proxmox-boot-tool refresh', check=False)
        self.assertEqual((done.returncode, done.stderr), (1, 'no space left\n'))
        self.command('fault', 'form-d', 'clear')
        self.ssh('form-d', 'proxmox-boot-tool refresh')
        self.assertEqual([call['argv'][1:] for call in self.rack.calls('form-d', 'proxmox-boot-tool')],
                         [['status', '--quiet'], ['refresh'], ['refresh']])

    def test_faults_of_sys_and_of_programs(self):
        self.reset('form-a')
        self.command('fault', 'form-a', 'simfs', 'errno', '*/driver_override', 'write', 'EIO')
        self.assertIn('I/O error', self.ssh(
            'form-a', 'echo vfio-pci >/sys/bus/pci/devices/0000:17:00.0/driver_override', check=False).stderr)
        # dies after its second effect
        self.command('fault', 'form-a', 'supervisor', 'kill', '*maker*', '2', 'after')
        done = self.ssh('form-a', "python3 -c 'import os\nfor n in range(4): os.mkdir(\"/root/d%d\" % n)' maker; echo $?; ls -d /root/d*", check=False)
        self.assertEqual(done.stdout.split(), ['137', '/root/d0', '/root/d1'])
        self.assertRegex(self.command('fault', 'form-a', 'supervisor', 'report').stdout, r'^killed 2\b')

    def test_the_executable_dies_after_each_effect_and_the_next_run_converges(self):
        executable = os.path.join(HERE, '..', '..', 'build', 'portable', 'pve-gpu')
        if not os.access(executable, os.X_OK):
            self.skipTest('build/portable/pve-gpu is not built')
        self.reset('form-d')
        root = '/proc/%d/root' % self.rack.init_pid('form-d')
        shutil.copy(executable, root + '/root/pve-gpu')
        arguments = json.dumps({'parameters': ['iommu=pt']})
        self.ssh('form-d', "echo '%s' >/root/args" % arguments)
        self.rack.order('snapshot', 'form-d')
        first = json.loads(self.ssh('form-d', '/root/pve-gpu kernel_cmdline /root/args', check=False).stdout)
        if 'failed' in first:
            self.skipTest('this executable has no kernel_cmdline with these parameters: %s' % first.get('msg'))
        for number in (1, 4, 9):
            self.rack.order('reset', 'form-d')
            self.rack.fault('form-d', ['supervisor', 'kill', '*pve-gpu*', str(number), 'after'])
            self.assertEqual(self.ssh('form-d', '/root/pve-gpu kernel_cmdline /root/args >/dev/null; echo $?', check=False).stdout, '137\n')
            done = json.loads(self.ssh('form-d', '/root/pve-gpu kernel_cmdline /root/args').stdout)
            self.assertNotIn('failed', done)
            self.assertIn('iommu=pt', self.reboot('form-d')['cmdline'])

    def test_wrong_orders_say_what_is_wrong(self):
        for words, part in ((['off', 'nobody'], "no node 'nobody'"), (['fault', 'form-a', 'update-grub'], 'ignore|exit CODE'),
                            (['fault', 'form-a', 'simfs', 'nonsense'], 'error')):
            done = self.command(*words, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(part, done.stderr)


class ClusterTest(MachinesCase):
    LAB = ['form-a', 'form-b', 'form-c', 'form-d', 'form-e', 'form-f']
    NORTH = ['twins', 'nic-group', 'domain-1']

    def setUp(self):
        self.reset(*self.LAB, *self.NORTH)

    def members(self, node):
        return json.loads(self.ssh(node, 'cat /etc/pve/.members').stdout)

    def test_quorum_is_of_the_nodes_that_are_up(self):
        self.assertEqual(self.members('form-a')['cluster'], {'name': 'lab', 'version': 6, 'nodes': 6, 'quorate': 1})
        self.rack.order('off', 'form-b')
        found = self.members('form-a')
        self.assertEqual([name for name, entry in found['nodelist'].items() if not entry['online']], ['form-b'])
        self.ssh('form-a', 'echo x >/etc/pve/x')
        self.rack.order('off', 'form-c', 'form-d')
        self.assertEqual(self.members('form-a')['cluster']['quorate'], 0)
        self.assertIn('Permission denied', self.ssh('form-a', 'echo x >/etc/pve/x', check=False).stderr)
        self.assertEqual(self.ssh('form-a', 'stat -c %a /etc/pve/x /etc/pve/nodes').stdout.split(), ['440', '555'])
        done = self.ssh('form-a', 'corosync-quorumtool -s', check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('Activity blocked', done.stdout)
        self.assertEqual(self.members('twins')['cluster']['quorate'], 1)  # another cluster
        self.rack.order('on', 'form-b', 'form-c', 'form-d')
        self.assertEqual(self.ssh('form-d', 'cat /etc/pve/x; readlink /etc/pve/local').stdout.split(), ['x', 'nodes/form-d'])
        self.ssh('form-a', 'rm /etc/pve/x')

    def test_cluster_files_have_rules_of_their_own(self):
        done = self.ssh('twins', 'cd /etc/pve; echo 1 >a; chmod 640 a && echo same; chmod 600 a; ln a b; ln -s a b; chown www-data a; '
                        'stat -c "%a %U:%G" a priv; mv a c; cat c; dd if=/dev/zero of=c bs=1M count=2; rm c', check=False)
        self.assertEqual(done.stdout.split('\n')[:4], ['same', '640 root:www-data', '700 root:www-data', '1'])
        for text in ('Operation not permitted', 'Function not implemented', 'File too large'):
            self.assertIn(text, done.stderr)
        self.assertEqual(self.ssh('twins', 'ls /etc/pve/c', check=False).returncode, 2)
        # of several writers one has the lock at a time
        script = ('import sys; sys.path.insert(0, "/usr/lib/rack"); import cluster\n'
                  'for _ in range(10):\n  with cluster.Lock("x"):\n    n = int(open("/etc/pve/n").read()); open("/etc/pve/n", "w").write(str(n + 1))\n')
        self.ssh('twins', 'echo 0 >/etc/pve/n')
        writers = [subprocess.Popen([sys.executable, os.path.join(HERE, 'rack.py'), '--name', self.name, 'ssh', node, 'python3', '-c', "'%s'" % script])
                   for node in self.NORTH]
        self.assertEqual([writer.wait(60) for writer in writers], [0, 0, 0])
        self.assertEqual(self.ssh('twins', 'cat /etc/pve/n; rm /etc/pve/n').stdout, '30')

    def test_node_guard_sees_it(self):
        executable = os.path.join(HERE, '..', '..', 'build', 'portable', 'pve-gpu')
        if not os.access(executable, os.X_OK):
            self.skipTest('build/portable/pve-gpu is not built')
        shutil.copy(executable, '/proc/%d/root/root/pve-gpu' % self.rack.init_pid('form-a'))

        def guard(**parameters):
            found = json.loads(self.ssh('form-a', "echo '%s' >a; ./pve-gpu node_guard a" % json.dumps(parameters)).stdout)
            return found['allowed'], found['reasons']
        self.assertEqual(guard(running_guests='movable'), (True, []))
        self.assertIn('1 guest runs here: VM 101 (broker)', guard()[1][0])
        self.rack.order('off', 'form-c')
        self.assertIn('1 other node is not there: form-c', guard(running_guests='allow')[1][0])
        self.rack.order('off', 'form-d')
        self.assertIn('without this node the cluster lab has 3 of 4 needed votes', guard(running_guests='allow')[1][0])
        self.rack.order('off', 'form-e')
        self.assertIn('the cluster lab has no quorum now', guard(running_guests='allow')[1][0])

    def test_a_guest_moves_if_it_can(self):
        refused = self.ssh('twins', 'qm migrate 301 nic-group', check=False)
        self.assertIn("can't migrate running VM without --online", refused.stderr)
        self.ssh('twins', 'qm migrate 301 nic-group --online')
        self.assertEqual(self.ssh('nic-group', 'qm list').stdout.split()[6:9], ['301', 'desk-1', 'running'])
        self.assertEqual(self.ssh('twins', 'ls /etc/pve/nodes/*/qemu-server/301.conf; pgrep -f "id 301"', check=False).stdout.split(),
                         ['/etc/pve/nodes/nic-group/qemu-server/301.conf'])
        self.ssh('nic-group', 'qm set 301 --scsi1 local:301/vm-301-disk-1.qcow2')
        self.assertIn("can't migrate local disk", self.ssh('nic-group', 'qm migrate 301 twins --online', check=False).stderr)
        # a reset of its first home brings it back, and only there
        self.reset('twins')
        self.assertEqual(self.ssh('twins', 'ls /etc/pve/nodes/*/qemu-server/301.conf').stdout.split(), ['/etc/pve/nodes/twins/qemu-server/301.conf'])
        self.reset(*self.NORTH)
        self.ssh('twins', 'qm migrate 301 nic-group --online')
        self.rack.order('off', 'domain-1')
        self.assertEqual(self.ssh('nic-group', 'qm migrate 301 domain-1 --online', check=False).returncode, 255)

    def test_ha_moves_services_away_for_maintenance_and_back(self):
        began = int(time.time())
        self.ssh('twins', 'ha-manager add vm:301 --state started; ha-manager crm-command node-maintenance enable twins')

        def manager():
            return json.loads(self.ssh('domain-1', 'cat /etc/pve/ha/manager_status', check=False).stdout or '{}')

        def wait(node, state):
            deadline = time.monotonic() + 600
            while time.monotonic() < deadline:
                entry = manager().get('service_status', {}).get('vm:301', {})
                if entry.get('node') not in (None, 'twins') if node is None else (entry.get('node'), entry.get('state')) == (node, state):
                    return entry
                time.sleep(0.2)
            raise AssertionError('vm:301 is not %s on %s: %r' % (state, node, manager()))
        entry = wait(None, 'started')
        self.assertEqual(manager()['node_status']['twins'], 'maintenance')
        self.assertEqual(entry['maintenance_node'], 'twins')
        self.reboot('twins')
        self.ssh('twins', 'ha-manager crm-command node-maintenance disable twins')
        wait('twins', 'started')
        self.assertTrue(began <= manager()['timestamp'] <= time.time())
        self.assertEqual(self.ssh('twins', 'qm status 301').stdout, 'status: running\n')


class CephTest(RackCase):
    @classmethod
    def setUpClass(cls):
        need_rack()
        cls.name = RackCase.name + '-ceph'
        cls.files = tempfile.mkdtemp(prefix='rack-ceph.')
        text = ('node: %s\nrelease: 8\ncluster: {name: store, nodes: [s1, s2, s3], ceph: {mons: [s1, s2, s3], osds: {s1: [0, 1], s2: [2, 3], s3: [4, 5]}, '
                'recover_seconds: 2}}\n')
        for node in ('s1', 's2', 's3'):
            with open(os.path.join(cls.files, node + '.yml'), 'w', encoding='ascii') as file:
                file.write(text % node)
        cls.command('up', *[os.path.join(cls.files, node + '.yml') for node in ('s1', 's2', 's3')])
        cls.rack = rack.Rack(cls.name)

    @classmethod
    def tearDownClass(cls):
        cls.command('down')
        shutil.rmtree(cls.files)

    def status(self):
        found = json.loads(self.ssh('s2', 'ceph --connect-timeout 10 status --format json').stdout)
        return found['health']['status'], sorted(found['health']['checks']), len(found['quorum_names']), found['pgmap']['pgs_by_state'][0]['state_name']

    def test_ceph_knows_what_is_down_and_recovers(self):
        self.assertEqual(self.status(), ('HEALTH_OK', [], 3, 'active+clean'))
        self.ssh('s1', 'ceph osd set noout; ceph osd ok-to-stop 0 1')
        self.assertEqual(self.status(), ('HEALTH_WARN', ['OSDMAP_FLAGS'], 3, 'active+clean'))
        self.rack.order('off', 's1')
        self.assertEqual(self.status(), ('HEALTH_WARN', ['OSDMAP_FLAGS', 'OSD_DOWN', 'PG_DEGRADED'], 2, 'active+undersized+degraded'))
        self.assertEqual(self.ssh('s2', 'ceph osd ok-to-stop 2 3', check=False).returncode, 16)
        self.rack.order('on', 's1')
        self.assertEqual(self.status()[3], 'active+recovering+degraded')
        self.ssh('s1', 'ceph osd unset noout')
        time.sleep(2)
        self.assertEqual(self.status(), ('HEALTH_OK', [], 3, 'active+clean'))


class ManyTest(RackCase):
    name = RackCase.name + '-many'

    def test_32_nodes(self):
        need_rack()
        directory = tempfile.mkdtemp(prefix='rack-many.')
        self.addCleanup(shutil.rmtree, directory)
        names = ['n%d' % number for number in range(1, 33)]
        for number, name in enumerate(names):
            with open(os.path.join(directory, name + '.yml'), 'w', encoding='ascii') as file:
                file.write('node: %s\nrelease: %d\nloader: %s\ncluster: {name: many, nodes: [%s]}\nguests: {%d: {name: g, running: true}}\n'
                           'cards: [{slot: "0000:01:00.0", board: A10}]\nmappings: {map-%s: {map: ["0000:01:00.0"]}}\n' % (
                               name, 7 + number % 3, ('grub', 'grub-pbt', 'systemd-boot')[number % 3], ', '.join(names), 100 + number, name))
        self.addCleanup(self.command, 'down')
        began = time.monotonic()
        self.command('up', *[os.path.join(directory, name + '.yml') for name in names])
        seconds = time.monotonic() - began
        made = rack.Rack(self.name)
        keeper = next(pid for pid, name in made.processes().items() if name == '')
        megabytes = [made.memory(name, keeper) for name in names]
        began = time.monotonic()
        made.order('reboot')
        print('32 nodes: up in %.1f s, rebooted in %.1f s, %.1f MB the largest' % (seconds, time.monotonic() - began, max(megabytes)), file=sys.stderr)
        self.assertLess(max(megabytes), 60)
        self.assertIn('Total votes:      32', self.ssh('n32', 'pvecm status').stdout)
        self.assertEqual(self.ssh('n32', 'grep -c ^map- /etc/pve/mapping/pci.cfg').stdout, '32\n')


if __name__ == '__main__':
    unittest.main()
