# SPDX-License-Identifier: MIT
# simfs behaves as the kernel's sysfs: what appears and disappears, and with which errnos. Nothing here touches the real /sys.
import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import machine  # noqa: E402
from simfs import control  # noqa: E402

BUILD = os.environ.get('PVE_GPU_BINARY_DIR', os.path.join(HERE, '..', '..', 'build', 'dev'))
SIMFS = os.path.join(BUILD, 'tests', 'rack', 'simfs', 'simfs')
UUIDS = ['%08d-0000-0000-0000-000000000100' % number for number in range(8)]

A40 = {'slot': '0000:41:00.0', 'board': 'A40', 'driver': 'nvidia'}
PF = 'bus/pci/devices/0000:41:00.0'
VF0 = 'bus/pci/devices/0000:41:00.4'
MDEV_ON_VFS = {'kernel': '6.5.13-5-pve', 'cmdline': 'quiet intel_iommu=on', 'nvidia': {'version': '535.161.05'}}
VENDOR_VFIO = {'kernel': '6.8.12-9-pve', 'nvidia': {'version': '550.163.02'}}
LEGACY = {'kernel': '6.5.13-5-pve', 'nvidia': {'version': '535.161.05'},
          'cards': [{'slot': '0000:41:00.0', 'board': 'Tesla P4', 'driver': 'nvidia'}]}
IGPU = {'kernel': '6.8.12-9-pve', 'cpu': {'vendor': 'GenuineIntel', 'model': 'Intel(R) Core(TM) i5-12400'},
        'modules': {'i915': {'version': '2025.07.22', 'parameters': {'max_vfs': 7, 'enable_guc': 3}}},
        'cards': [{'slot': '0000:00:02.0', 'id': '8086:4692', 'class': '0300', 'driver': 'i915', 'total_vfs': 7, 'boot_vga': True}]}
TWINS = {'kernel': '6.8.12-9-pve', 'modules': {'vfio_pci': {}, 'vfio': {}},
         'cards': [{'slot': '0000:01:00.0', 'board': 'RTX A5000', 'driver': 'nouveau', 'boot_vga': True},
                   {'slot': '0000:02:00.0', 'board': 'RTX A5000', 'driver': 'nouveau'}]}


def missing():
    if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
        return 'mounting needs root and /dev/fuse'
    if not os.access(SIMFS, os.X_OK):
        return '%s is not built: install libfuse3-dev and build' % SIMFS
    return None


def walk(top):
    """path -> contents of a tree: text of readable files, target of links, None for directories."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            key = os.path.relpath(path, top)
            if os.path.islink(path):
                found[key] = '-> ' + os.readlink(path)
            elif os.path.isdir(path):
                found[key] = None
            elif os.stat(path).st_mode & 0o444:
                with open(path, 'rb') as file:
                    found[key] = file.read()
            elif name != 'remove' or not os.path.lexists(os.path.join(directory, 'physfn')):  # no VF has it
                found[key] = b''
    return found


@unittest.skipIf(missing(), missing())
class SimfsTest(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix='simfs-test-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        self.addCleanup(shutil.rmtree, self.state)

    def tree(self, name, spec):
        described = machine.Machine(dict({'node': 'pve1', 'release': 8}, **spec))
        target = os.path.join(self.state, name)
        machine.write(described, target)
        return described, os.path.join(target, 'sys')

    def start(self, spec, change=None):
        """A mounted machine; `change` may edit its model. self.sys is the mount point."""
        described, tree = self.tree('tree', spec)
        model = control.model_of(described)
        if change:
            change(model)
        self.sys = os.path.join(self.state, 'mnt')
        os.mkdir(self.sys)
        self.simfs = control.Simfs(SIMFS, tree, self.sys, os.path.join(self.state, 'simfs'), model)
        self.addCleanup(self.simfs.stop)
        return tree

    def with_vfs(self, spec, **card):
        """A machine with an A40 whose driver takes `sriov_numvfs`, as an upstream one would."""
        def sriov(model):
            next(driver for driver in model['drivers'] if driver['name'] == 'nvidia')['sriov'] = True
        return self.start(dict(spec, cards=[dict(A40, **card)]), sriov)

    def at(self, path):
        return os.path.join(self.sys, path)

    def read(self, path):
        with open(self.at(path), encoding='utf-8') as file:
            return file.read()

    def write(self, path, text):
        fd = os.open(self.at(path), os.O_WRONLY)
        try:
            return os.write(fd, text.encode())
        finally:
            os.close(fd)

    def refused(self, number, path, text):
        with self.assertRaises(OSError) as caught:
            self.write(path, text)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number], '%s <- %r' % (path, text))

    def driver(self, slot):
        try:
            return os.path.basename(os.readlink(self.at('bus/pci/devices/%s/driver' % slot)))
        except FileNotFoundError:
            return None

    def slots(self):
        return sorted(os.listdir(self.at('bus/pci/devices')))


class Files(SimfsTest):
    def test_shows_the_tree_as_it_is(self):
        tree = self.with_vfs(MDEV_ON_VFS, vfs=4)
        self.assertEqual(walk(self.sys), walk(tree))

    def test_modes_bind_root_as_in_kernfs(self):
        self.with_vfs(MDEV_ON_VFS)
        for path, flags, number in ((PF + '/vendor', os.O_WRONLY, errno.EACCES),
                                    (PF + '/remove', os.O_RDONLY, errno.EACCES),
                                    (PF + '/sriov_totalvfs', os.O_RDWR, errno.EACCES),
                                    (PF + '/none', os.O_WRONLY, errno.ENOENT),
                                    (PF + '/none', os.O_WRONLY | os.O_CREAT, errno.EACCES),
                                    ('bus/pci/devices/0000:ff:00.0', os.O_RDONLY, errno.ENOENT)):
            with self.subTest(path=path, flags=flags), self.assertRaises(OSError) as caught:
                os.open(self.at(path), flags)
            self.assertEqual(caught.exception.errno, number)

    def test_nothing_can_be_made_or_removed_by_hand(self):
        self.with_vfs(MDEV_ON_VFS)
        for call in (lambda: os.mkdir(self.at(PF + '/new')), lambda: os.unlink(self.at(PF + '/vendor')),
                     lambda: os.rmdir(self.at('bus/pci')), lambda: os.symlink('x', self.at(PF + '/new')),
                     lambda: os.rename(self.at(PF + '/vendor'), self.at(PF + '/device')),
                     lambda: os.link(self.at(PF + '/vendor'), self.at(PF + '/new'))):
            with self.assertRaises(OSError) as caught:
                call()
            self.assertEqual(caught.exception.errno, errno.EPERM)
        os.chmod(self.at(PF + '/vendor'), 0o400)
        self.assertEqual(os.stat(self.at(PF + '/vendor')).st_mode & 0o777, 0o400)

    def test_sizes_offsets_and_truncation(self):
        self.with_vfs(MDEV_ON_VFS)
        self.assertEqual(os.stat(self.at(PF + '/vendor')).st_size, 4096)
        self.assertEqual(os.stat(self.at(PF + '/config')).st_size, 256)
        fd = os.open(self.at(PF + '/vendor'), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.assertEqual(os.pread(fd, 4, 2), b'10de')
        self.assertEqual(os.pread(fd, 100, 7), b'')
        with open(self.at(PF + '/sriov_numvfs'), 'w', encoding='ascii') as file:  # O_TRUNC, as a shell's >
            file.write('0')
        self.assertEqual(self.read(PF + '/sriov_numvfs'), '0\n')
        fd = os.open(self.at(PF + '/driver_override'), os.O_WRONLY)
        self.addCleanup(os.close, fd)
        self.assertEqual(os.pwrite(fd, b'abc', 100), 3)  # the offset is ignored
        self.assertEqual(self.read(PF + '/driver_override'), 'abc\n')
        self.assertEqual(self.write(PF + '/numa_node', '1' * 5000), 4096)  # at most a page

    def test_an_open_file_of_a_removed_device(self):
        self.with_vfs(MDEV_ON_VFS)
        self.write(PF + '/sriov_numvfs', '1')
        fd = os.open(self.at(VF0 + '/driver_override'), os.O_RDWR)
        self.addCleanup(os.close, fd)
        self.write(PF + '/sriov_numvfs', '0')
        for call in (lambda: os.pread(fd, 10, 0), lambda: os.write(fd, b'x')):
            with self.assertRaises(OSError) as caught:
                call()
            self.assertEqual(caught.exception.errno, errno.ENODEV)


class Sriov(SimfsTest):
    def test_makes_what_a_machine_with_vfs_has(self):
        """The same files as machine.py writes for the VFs that are there from the start, text for text."""
        for name, base in (('mdev', MDEV_ON_VFS), ('vendor', VENDOR_VFIO)):
            with self.subTest(framework=name):
                self.with_vfs(base, vfs=0)
                self.write(PF + '/sriov_numvfs', '16\n')
                _, expected = self.tree('expected', dict(base, cards=[dict(A40, vfs=16)]))
                self.assertEqual(walk(self.sys), walk(expected))
                self.doCleanups()
                self.setUp()

    def test_intel_vfs(self):
        self.start(IGPU)
        self.write('bus/pci/devices/0000:00:02.0/sriov_numvfs', '7')
        _, expected = self.tree('expected', dict(IGPU, cards=[dict(IGPU['cards'][0], vfs=7)]))
        found, wanted = walk(self.sys), walk(expected)
        self.assertEqual({path for path in found if '/drm' not in path}, {path for path in wanted if '/drm' not in path})
        self.assertEqual(self.read('bus/pci/devices/0000:00:02.7/uevent').splitlines()[:3],
                         ['DRIVER=i915', 'PCI_CLASS=30000', 'PCI_ID=8086:4692'])

    def test_everything_goes_away_again(self):
        tree = self.with_vfs(MDEV_ON_VFS, vfs=0)
        before = walk(self.sys)
        for count in ('4', '0', '32', '0'):
            self.write(PF + '/sriov_numvfs', count)
        after = walk(self.sys)
        # the directory of mdev parents stays, empty
        self.assertEqual({path for path in after if path not in before}, {'class/mdev_bus'})
        self.assertEqual({path: text for path, text in after.items() if path in before}, walk(tree))

    def test_errors_and_their_order(self):
        self.with_vfs(MDEV_ON_VFS)
        numvfs = PF + '/sriov_numvfs'
        for text in ('', ' 4', '4 ', '4x', '-1', '70000', '0x', '\n', '4\n\n'):
            if text:
                self.refused(errno.EINVAL, numvfs, text)
        self.assertEqual(self.write(numvfs, ''), 0)  # nothing reaches the kernel
        self.refused(errno.ERANGE, numvfs, '33')
        self.write(numvfs, '0')  # the same value: no change, whatever else
        self.write(numvfs, '0x2')
        self.assertEqual(self.read(numvfs), '2\n')
        self.write(numvfs, '2')
        self.refused(errno.EBUSY, numvfs, '3')
        self.refused(errno.ERANGE, numvfs, '99')
        self.assertEqual(self.read(numvfs), '2\n')
        self.write('bus/pci/drivers/nvidia/unbind', '0000:41:00.0')
        self.assertEqual(len(self.slots()), 5)  # nvidia leaves its VFs alone
        self.refused(errno.ENOENT, numvfs, '0')
        self.write(numvfs, '2')

    def test_without_driver_or_callback(self):
        self.start(dict(MDEV_ON_VFS, cards=[A40]))  # NVIDIA's own driver has no sriov_configure
        self.refused(errno.ENOENT, PF + '/sriov_numvfs', '4')
        self.write(PF + '/driver/unbind', '0000:41:00.0\n')
        self.refused(errno.ENOENT, PF + '/sriov_numvfs', '4')
        self.write(PF + '/sriov_numvfs', '0')

    def test_the_way_of_sriov_manage(self):
        """unbind nvidia, bind pci-pf-stub, write, and back: the VFs stay (GPU-FACTS 3)."""
        self.start(dict(MDEV_ON_VFS, cards=[A40]))
        self.simfs.ask('module', 'load', 'pci_pf_stub')
        self.write('bus/pci/drivers/nvidia/unbind', '0000:41:00.0')
        self.write(PF + '/driver_override', 'pci-pf-stub')
        self.write('bus/pci/drivers/pci-pf-stub/bind', '0000:41:00.0')
        self.write(PF + '/sriov_numvfs', '32')
        self.assertEqual(self.driver('0000:41:00.4'), 'nvidia')
        self.write('bus/pci/drivers/pci-pf-stub/unbind', '0000:41:00.0')
        self.write(PF + '/driver_override', '\n')
        self.write('bus/pci/drivers/nvidia/bind', '0000:41:00.0')
        self.assertEqual((self.driver('0000:41:00.0'), self.read(PF + '/sriov_numvfs')), ('nvidia', '32\n'))
        self.assertEqual(os.path.basename(os.readlink(self.at(PF + '/virtfn31'))), '0000:41:04.3')

    def test_addresses_groups_and_links(self):
        self.with_vfs(MDEV_ON_VFS)
        groups = set(os.listdir(self.at('kernel/iommu_groups')))
        self.write(PF + '/sriov_numvfs', '8')
        self.assertEqual(os.path.realpath(self.at(PF + '/virtfn4')), os.path.realpath(self.at('bus/pci/devices/0000:41:01.0')))
        self.assertEqual(os.path.realpath(self.at(VF0 + '/physfn')), os.path.realpath(self.at(PF)))
        own = os.path.basename(os.readlink(self.at(VF0 + '/iommu_group')))
        self.assertEqual((own in groups, os.listdir(self.at('kernel/iommu_groups/%s/devices' % own))), (False, ['0000:41:00.4']))
        self.assertEqual([self.read(VF0 + '/' + name) for name in ('vendor', 'device', 'class', 'subsystem_vendor', 'subsystem_device')],
                         ['0x10de\n', '0x2235\n', '0x030200\n', '0x10de\n', '0x0000\n'])
        with open(self.at(VF0 + '/config'), 'rb') as file:
            self.assertEqual(file.read(4), b'\xff' * 4)

    def test_without_iommu_there_are_no_groups(self):
        self.with_vfs(dict(MDEV_ON_VFS, iommu=False))
        self.write(PF + '/sriov_numvfs', '1')
        self.assertFalse(os.path.lexists(self.at(VF0 + '/iommu_group')))

    def test_drivers_autoprobe(self):
        self.with_vfs(MDEV_ON_VFS)
        self.refused(errno.EINVAL, PF + '/sriov_drivers_autoprobe', '2')
        self.write(PF + '/sriov_drivers_autoprobe', 'off')
        self.assertEqual(self.read(PF + '/sriov_drivers_autoprobe'), '0\n')
        self.write(PF + '/sriov_numvfs', '1')
        self.assertIsNone(self.driver('0000:41:00.4'))
        self.refused(errno.ENODEV, 'bus/pci/drivers/nvidia/bind', '0000:41:00.4')
        self.write('bus/pci/drivers_probe', '0000:41:00.4')  # no error, no driver
        self.assertIsNone(self.driver('0000:41:00.4'))
        self.write(VF0 + '/driver_override', 'nvidia')
        self.write('bus/pci/drivers_probe', '0000:41:00.4')
        self.assertEqual(self.driver('0000:41:00.4'), 'nvidia')

    def test_no_room_for_the_bars(self):
        def no_room(model):
            next(driver for driver in model['drivers'] if driver['name'] == 'nvidia')['sriov'] = True
            model['cards']['0000:41:00.0']['enable_error'] = 'ENOMEM'
        self.start(dict(MDEV_ON_VFS, cards=[A40]), no_room)
        self.refused(errno.ENOMEM, PF + '/sriov_numvfs', '4')
        self.assertEqual(self.read(PF + '/sriov_numvfs'), '0\n')

    def test_max_vfs_of_i915(self):
        spec = dict(IGPU, cards=[dict(IGPU['cards'][0], driver=None)],
                    modules={'i915': {'loaded': False, 'parameters': {'max_vfs': 0}}})
        self.start(spec)
        igpu = 'bus/pci/devices/0000:00:02.0'
        self.simfs.ask('module', 'load', 'i915', 'enable_guc=3')
        self.assertEqual((self.driver('0000:00:02.0'), self.read(igpu + '/sriov_totalvfs')), ('i915', '0\n'))
        self.refused(errno.ERANGE, igpu + '/sriov_numvfs', '1')
        self.simfs.ask('module', 'unload', 'i915')
        self.assertEqual((self.driver('0000:00:02.0'), self.read(igpu + '/sriov_totalvfs')), (None, '7\n'))
        self.simfs.ask('module', 'load', 'i915', 'enable_guc=3 max_vfs=4')
        self.assertEqual(self.read('module/i915/parameters/max_vfs'), '4\n')
        self.write(igpu + '/sriov_numvfs', '4')
        self.refused(errno.ERANGE, igpu + '/sriov_numvfs', '7')
        self.simfs.ask('module', 'unload', 'i915')  # takes the VFs along
        self.assertEqual(self.read(igpu + '/sriov_numvfs'), '0\n')


class Drivers(SimfsTest):
    def test_override(self):
        self.start(TWINS)
        override = 'bus/pci/devices/0000:02:00.0/driver_override'
        self.assertEqual(self.read(override), '(null)\n')
        for text, shown in (('vfio-pci', 'vfio-pci\n'), ('vfio-pci\n', 'vfio-pci\n'), ('a\nb', 'a\n'), ('\n', '(null)\n'),
                            ('x\0y', 'x\n'), ('\0', '(null)\n')):
            self.write(override, text)
            self.assertEqual(self.read(override), shown, repr(text))
        self.refused(errno.EINVAL, override, 'n' * 4096)

    def test_one_twin_moves_to_vfio_and_back(self):
        self.start(TWINS)
        second = 'bus/pci/devices/0000:02:00.0'
        self.write(second + '/driver_override', 'vfio-pci')
        self.assertEqual(self.driver('0000:02:00.0'), 'nouveau')  # the override moves nothing by itself
        self.write(second + '/driver/unbind', '0000:02:00.0')
        self.assertNotIn('DRIVER', self.read(second + '/uevent'))
        self.write('bus/pci/drivers_probe', '0000:02:00.0\n')
        self.assertEqual((self.driver('0000:01:00.0'), self.driver('0000:02:00.0')), ('nouveau', 'vfio-pci'))
        self.assertIn('DRIVER=vfio-pci\n', self.read(second + '/uevent'))
        self.assertIn('0000:02:00.0', os.listdir(self.at('bus/pci/drivers/vfio-pci')))
        self.write(second + '/driver_override', '\n')
        self.write(second + '/driver/unbind', '0000:02:00.0')
        self.write('bus/pci/drivers_probe', '0000:02:00.0')
        self.assertEqual(self.driver('0000:02:00.0'), 'nouveau')

    def test_errors(self):
        self.start(TWINS)
        self.refused(errno.ENODEV, 'bus/pci/drivers/vfio-pci/bind', '0000:09:00.0')
        self.refused(errno.ENODEV, 'bus/pci/drivers/vfio-pci/bind', '0000:02:00.0')  # no id, no override
        self.refused(errno.EBUSY, 'bus/pci/drivers/nouveau/bind', '0000:02:00.0')
        self.refused(errno.ENODEV, 'bus/pci/drivers/vfio-pci/unbind', '0000:02:00.0')  # another's
        self.refused(errno.ENODEV, 'bus/pci/drivers_probe', '0000:09:00.0')
        self.write('bus/pci/drivers_probe', '0000:02:00.0')  # has a driver: nothing to do
        self.write('bus/pci/drivers/nouveau/unbind', '0000:02:00.0')
        self.refused(errno.ENODEV, 'bus/pci/drivers/nouveau/unbind', '0000:02:00.0')
        self.write('bus/pci/devices/0000:02:00.0/driver_override', 'nothing')
        self.refused(errno.ENODEV, 'bus/pci/drivers/nouveau/bind', '0000:02:00.0')
        self.write('bus/pci/drivers_probe', '0000:02:00.0')
        self.assertIsNone(self.driver('0000:02:00.0'))

    def test_ids_take_twins(self):
        self.start(TWINS)
        new_id, remove_id = 'bus/pci/drivers/vfio-pci/new_id', 'bus/pci/drivers/vfio-pci/remove_id'
        for text in ('', '10de', 'zz 1'):
            if text:
                self.refused(errno.EINVAL, new_id, text)
        for slot in ('0000:01:00.0', '0000:02:00.0'):
            self.write('bus/pci/drivers/nouveau/unbind', slot)
        self.write(new_id, '10de 2231')
        self.assertEqual((self.driver('0000:01:00.0'), self.driver('0000:02:00.0')), ('vfio-pci', 'vfio-pci'))
        self.refused(errno.EEXIST, new_id, '10de 2231')
        self.write(remove_id, '10de 2231')
        self.refused(errno.ENODEV, remove_id, '10de 2231')
        self.write('bus/pci/drivers/vfio-pci/unbind', '0000:01:00.0')
        self.refused(errno.ENODEV, 'bus/pci/drivers/vfio-pci/bind', '0000:01:00.0')

    def test_vfio_declines(self):
        self.start(dict(TWINS, iommu=False))
        self.write('bus/pci/drivers/nouveau/unbind', '0000:02:00.0')
        self.write('bus/pci/devices/0000:02:00.0/driver_override', 'vfio-pci')
        self.refused(errno.EINVAL, 'bus/pci/drivers/vfio-pci/bind', '0000:02:00.0')  # no IOMMU group
        self.write('bus/pci/drivers_probe', '0000:02:00.0')  # a probe that fails is no error here
        self.assertIsNone(self.driver('0000:02:00.0'))

    def test_vfio_declines_bridges_and_pfs_with_vfs(self):
        self.with_vfs(dict(MDEV_ON_VFS, modules={'vfio_pci': {}}), vfs=2)
        self.write('bus/pci/drivers/nvidia/unbind', '0000:41:00.0')
        for slot, number in (('0000:41:00.0', errno.EBUSY), ('0000:40:01.0', errno.EINVAL)):
            with contextlib.suppress(FileNotFoundError):
                self.write('bus/pci/devices/%s/driver/unbind' % slot, slot)
            self.write('bus/pci/devices/%s/driver_override' % slot, 'vfio-pci')
            self.refused(number, 'bus/pci/drivers/vfio-pci/bind', slot)

    def test_remove_and_rescan(self):
        tree = self.with_vfs(MDEV_ON_VFS)
        before = self.slots()
        self.refused(errno.EINVAL, PF + '/remove', 'x')
        self.write(PF + '/remove', '0')
        self.assertEqual(self.slots(), before)
        self.write(PF + '/remove', '1')
        self.assertEqual(self.slots(), [slot for slot in before if slot != '0000:41:00.0'])
        self.assertFalse(os.path.lexists(self.at('bus/pci/drivers/nvidia/0000:41:00.0')))
        self.refused(errno.EINVAL, 'bus/pci/rescan', 'x')
        self.write('bus/pci/rescan', '1')
        self.assertEqual(walk(self.sys), walk(tree))
        self.write('bus/pci/devices/0000:40:01.0/remove', '1')  # a port takes what is behind it along
        self.assertEqual(self.slots(), ['0000:00:00.0'])
        self.write('bus/pci/rescan', '1')
        self.assertEqual(walk(self.sys), walk(tree))

    def test_a_vf_cannot_be_removed_by_hand(self):
        self.with_vfs(MDEV_ON_VFS, vfs=1)
        self.assertFalse(os.path.exists(self.at(VF0 + '/remove')))
        self.write(PF + '/sriov_numvfs', '0')
        self.write(PF + '/sriov_numvfs', '1')
        self.assertFalse(os.path.exists(self.at(VF0 + '/remove')))

    def test_uevent(self):
        self.start(TWINS)
        uevent = 'bus/pci/devices/0000:02:00.0/uevent'
        before = self.read(uevent)
        self.write(uevent, 'add\n')
        self.write(uevent, 'change 1234 A=b')
        self.refused(errno.EINVAL, uevent, 'jump')
        self.assertEqual(self.read(uevent), before)

    def test_enable_and_reset(self):
        self.start(TWINS)
        second = 'bus/pci/devices/0000:02:00.0'
        self.refused(errno.EBUSY, second + '/enable', '1')
        self.refused(errno.EINVAL, second + '/reset', '2')
        self.write(second + '/reset', '1')
        self.write(second + '/driver/unbind', '0000:02:00.0')
        self.refused(errno.EIO, second + '/enable', '0')
        self.write(second + '/enable', '1')


class Modules(SimfsTest):
    def test_a_driver_comes_and_goes_with_its_module(self):
        spec = dict(TWINS, cards=[dict(card, driver=None) for card in TWINS['cards']], modules={})
        tree = self.start(spec)
        before = walk(tree)
        self.assertFalse(os.path.exists(self.at('bus/pci/drivers/vfio-pci')))
        with self.assertRaisesRegex(control.Refused, 'ENOENT'):
            self.simfs.ask('module', 'unload', 'vfio_pci')
        self.simfs.ask('module', 'load', 'vfio')
        self.simfs.ask('module', 'load', 'vfio_pci', 'ids=10de:2231,1234:5678 disable_vga=1 unknown=1')
        with self.assertRaisesRegex(control.Refused, 'EEXIST'):
            self.simfs.ask('module', 'load', 'vfio_pci')
        self.assertEqual(self.read('module/vfio_pci/initstate'), 'live\n')
        self.assertEqual(self.read('module/vfio_pci/parameters/ids'), '10de:2231,1234:5678\n')
        self.assertEqual((self.read('module/vfio/refcnt'), os.listdir(self.at('module/vfio/holders'))), ('1\n', ['vfio_pci']))
        self.assertEqual((self.driver('0000:01:00.0'), self.driver('0000:02:00.0')), ('vfio-pci', 'vfio-pci'))
        self.assertEqual(os.path.realpath(self.at('bus/pci/drivers/vfio-pci/module')), os.path.realpath(self.at('module/vfio_pci')))
        with self.assertRaisesRegex(control.Refused, 'EAGAIN'):
            self.simfs.ask('module', 'unload', 'vfio')
        self.simfs.ask('module', 'unload', 'vfio_pci')
        self.simfs.ask('module', 'unload', 'vfio')
        self.assertEqual(walk(self.sys), before)

    def test_nvidia_brings_the_frameworks(self):
        self.start(dict(MDEV_ON_VFS, cards=[dict(A40, driver=None, vfs=4)], nvidia={}, modules={}))
        self.assertIsNone(self.driver('0000:41:00.4'))
        self.simfs.ask('module', 'load', 'nvidia')
        self.assertEqual(self.driver('0000:41:00.4'), 'nvidia')
        self.assertTrue(os.listdir(self.at(VF0 + '/mdev_supported_types')))
        self.simfs.ask('module', 'unload', 'nvidia')
        self.assertFalse(os.path.exists(self.at(VF0 + '/mdev_supported_types')))
        self.assertEqual(len(self.slots()), 7)


class Mdev(SimfsTest):
    def types(self, parent):
        """type name -> available instances"""
        base = parent + '/mdev_supported_types'
        return {self.read('%s/%s/name' % (base, name)).strip(): int(self.read('%s/%s/available_instances' % (base, name)))
                for name in os.listdir(self.at(base))}

    def type_directory(self, parent, name):
        base = parent + '/mdev_supported_types'
        return next('%s/%s' % (base, entry) for entry in os.listdir(self.at(base))
                    if self.read('%s/%s/name' % (base, entry)).strip() == name)

    def test_classic_board(self):
        self.start(LEGACY)
        fresh = self.types(PF)
        self.assertEqual((fresh['GRID P4-1Q'], fresh['GRID P4-2Q'], fresh['GRID P4-8Q']), (8, 4, 1))
        create = self.type_directory(PF, 'GRID P4-2Q') + '/create'
        self.write(create, UUIDS[0] + '\n')
        used = self.types(PF)
        self.assertEqual((used['GRID P4-1Q'], used['GRID P4-2Q'], used['GRID P4-2A'], used['GRID P4-8Q']), (0, 3, 3, 0))
        for uuid in UUIDS[1:4]:
            self.write(create, uuid)
        self.refused(errno.EUSERS, create, UUIDS[4])
        self.write('bus/mdev/devices/%s/remove' % UUIDS[0], '1')
        self.assertEqual(self.types(PF)['GRID P4-2Q'], 1)
        for uuid in UUIDS[1:4]:
            self.write('bus/mdev/devices/%s/remove' % uuid, '1')
        self.assertEqual(self.types(PF), fresh)

    def test_errors_and_names(self):
        self.with_vfs(MDEV_ON_VFS, vfs=4)
        create = self.type_directory(VF0, 'NVIDIA A40-4Q') + '/create'
        for text in ('x', UUIDS[0][:-1], UUIDS[0] + '00', UUIDS[0].replace('-', '_'), 'g' + UUIDS[0][1:]):
            self.refused(errno.EINVAL, create, text)
        self.write(create, '0000ABCD-0000-0000-0000-0000000000EF')
        name = '0000abcd-0000-0000-0000-0000000000ef'  # %pUl
        self.assertEqual(os.listdir(self.at('bus/mdev/devices')), [name])
        other = self.type_directory('bus/pci/devices/0000:41:00.5', 'NVIDIA A40-4Q') + '/create'
        self.refused(errno.EEXIST, other, name)  # names are the host's, not the card's
        self.refused(errno.EUSERS, create, UUIDS[1])
        device = 'bus/mdev/devices/' + name
        self.assertEqual(os.path.realpath(self.at(device + '/mdev_type')), os.path.realpath(self.at(os.path.dirname(create))))
        self.assertEqual(os.listdir(self.at(os.path.dirname(create) + '/devices')), [name])
        group = os.path.basename(os.readlink(self.at(device + '/iommu_group')))
        self.assertEqual(os.listdir(self.at('kernel/iommu_groups/%s/devices' % group)), [name])
        self.refused(errno.EINVAL, device + '/remove', 'x')
        self.write(device + '/remove', '0')
        self.assertTrue(os.path.exists(self.at(device)))
        self.write(device + '/remove', '1')
        self.assertFalse(os.path.lexists(self.at(device)) or os.path.exists(self.at('kernel/iommu_groups/' + group)))

    def test_vfs_offer_one_of_the_size_in_use(self):
        self.with_vfs(MDEV_ON_VFS, vfs=16)
        self.assertEqual(set(self.types(VF0).values()), {1})
        self.write(self.type_directory(VF0, 'NVIDIA A40-4Q') + '/create', UUIDS[0])
        self.assertEqual(set(self.types(VF0).values()), {0})
        left = self.types('bus/pci/devices/0000:41:00.5')
        self.assertEqual((left['NVIDIA A40-4Q'], left['NVIDIA A40-4C'], left['NVIDIA A40-8Q']), (1, 1, 0))
        self.assertTrue(all(count == 0 for name, count in left.items() if not re.search(r'-4\D*$', name)))
        self.write(PF + '/sriov_numvfs', '0')  # takes the instance along
        self.assertEqual(os.listdir(self.at('bus/mdev/devices')), [])

    def test_agrees_with_machine_py(self):
        self.with_vfs(MDEV_ON_VFS, vfs=4)
        self.write(self.type_directory(VF0, 'NVIDIA A40-8Q') + '/create', UUIDS[0])
        _, expected = self.tree('expected', dict(MDEV_ON_VFS, cards=[dict(
            A40, vfs=4, vgpus=[{'type': 'NVIDIA A40-8Q', 'vf': 0, 'uuid': UUIDS[0]}])]))
        found, wanted = walk(self.sys), walk(expected)
        self.assertEqual(sorted(found), sorted(wanted))
        kind = [path for path in found if found[path] != wanted[path]]
        self.assertTrue(all(path.endswith('/type') for path in kind), kind)  # a group without a domain says unknown

    def test_gvt_g_shares_the_aperture(self):
        types = [{'id': 'i915-GVTg_V5_4', 'available': 1}, {'id': 'i915-GVTg_V5_8', 'available': 2}]
        self.start({'kernel': '5.15.158-2-pve', 'release': 7, 'cards': [
            {'slot': '0000:00:02.0', 'id': '8086:5912', 'class': '0300', 'driver': 'i915', 'framework': 'mdev', 'types': types}]})
        base = 'bus/pci/devices/0000:00:02.0/mdev_supported_types/'
        available = lambda: [self.read(base + '%s/available_instances' % item['id']) for item in types]  # noqa: E731
        self.write(base + 'i915-GVTg_V5_8/create', UUIDS[0])
        self.assertEqual(available(), ['0\n', '1\n'])
        self.refused(errno.ENOSPC, base + 'i915-GVTg_V5_4/create', UUIDS[1])
        self.write(base + 'i915-GVTg_V5_8/create', UUIDS[1])
        self.refused(errno.ENOSPC, base + 'i915-GVTg_V5_8/create', UUIDS[2])


class VendorVfio(SimfsTest):
    def creatable(self, slot):
        lines = self.read('bus/pci/devices/%s/nvidia/creatable_vgpu_types' % slot).splitlines()
        self.assertEqual(lines[0], 'ID    : vGPU Name')
        return {line.split(' : ')[1]: line.split(' : ')[0].strip() for line in lines[1:]}

    def test_create_and_delete(self):
        self.with_vfs(VENDOR_VFIO, vfs=4)
        current = VF0 + '/nvidia/current_vgpu_type'
        fresh = self.creatable('0000:41:00.4')
        number = fresh['NVIDIA A40-24Q']
        self.assertEqual(self.read(current), '0\n')
        self.refused(errno.EPERM, current, '0')
        self.refused(errno.EINVAL, current, 'nvidia-558')
        self.refused(errno.EIO, current, '99999')
        self.write(current, number)
        self.assertEqual((self.read(current), self.creatable('0000:41:00.4')), (number + '\n', {}))
        self.refused(errno.EPERM, current, number)
        self.assertEqual({name for name in self.creatable('0000:41:00.5')}, {'NVIDIA A40-24Q', 'NVIDIA A40-24C', 'NVIDIA A40-24A'})
        self.write('bus/pci/devices/0000:41:00.5/nvidia/current_vgpu_type', number)
        self.assertEqual(self.creatable('0000:41:00.6'), {})  # two of 24 GB: full
        self.refused(errno.EIO, 'bus/pci/devices/0000:41:00.6/nvidia/current_vgpu_type', number)
        self.write(current, '0')
        self.write('bus/pci/devices/0000:41:00.5/nvidia/current_vgpu_type', '0')
        self.assertEqual(self.creatable('0000:41:00.4'), fresh)
        self.assertFalse(os.path.exists(self.at(VF0 + '/mdev_supported_types')))

    def test_params_are_text(self):
        self.with_vfs(VENDOR_VFIO, vfs=1)
        self.write(VF0 + '/nvidia/vgpu_params', 'frame_rate_limiter=0, disable_vnc=1')
        self.assertEqual(self.read(VF0 + '/nvidia/vgpu_params'), 'frame_rate_limiter=0, disable_vnc=1\n')


class FaultsAndLog(SimfsTest):
    def test_errors_on_demand(self):
        self.with_vfs(MDEV_ON_VFS)
        self.simfs.ask('fault', 'errno', PF + '/sriov_numvfs', 'write', 'EIO', 2)
        self.refused(errno.EIO, PF + '/sriov_numvfs', '1')
        self.refused(errno.EIO, PF + '/sriov_numvfs', '1')
        self.write(PF + '/sriov_numvfs', '1')
        self.simfs.ask('fault', 'errno', '*/vendor', 'read', 'EINVAL')
        with self.assertRaises(OSError) as caught:
            self.read(PF + '/vendor')
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.simfs.ask('fault', 'clear')
        self.assertEqual(self.read(PF + '/vendor'), '0x10de\n')
        for words in (('errno', 'x', 'write', 'ENOWAY'), ('errno', 'x', 'jump', 'EIO'), ('late', 'x'), ('what',)):
            with self.assertRaises(control.Refused):
                self.simfs.ask('fault', *words)

    def test_success_without_effect(self):
        self.with_vfs(MDEV_ON_VFS)
        self.simfs.ask('fault', 'ignore', PF + '/sriov_numvfs', 1)
        self.assertEqual(self.write(PF + '/sriov_numvfs', '4'), 1)
        self.assertEqual(self.read(PF + '/sriov_numvfs'), '0\n')
        self.write(PF + '/sriov_numvfs', '4')
        real = os.path.relpath(os.path.realpath(self.at(PF)), self.sys)
        self.assertEqual(self.simfs.writes(), [(real + '/sriov_numvfs', '4', 'ignored'), (real + '/sriov_numvfs', '4', 'ok')])

    def test_late(self):
        self.with_vfs(MDEV_ON_VFS)
        self.assertFalse(os.path.exists(self.at(VF0 + '/mdev_supported_types')))
        self.simfs.ask('fault', 'late', '*/mdev_supported_types', 300)
        self.write(PF + '/sriov_numvfs', '1')
        began = time.monotonic()
        self.assertNotIn('mdev_supported_types', os.listdir(self.at(VF0)))
        while not os.path.exists(self.at(VF0 + '/mdev_supported_types')):
            self.assertLess(time.monotonic(), began + 600)
            time.sleep(0.01)
        self.assertGreater(time.monotonic() - began, 0.25)
        self.assertIn('mdev_supported_types', os.listdir(self.at(VF0)))

    def test_changes_from_outside(self):
        self.with_vfs(MDEV_ON_VFS)
        self.assertFalse(os.path.exists(self.at('module/new/version')))
        self.simfs.ask('set', 'module/new/version', '1.2\n', '444')
        self.assertEqual(self.read('module/new/version'), '1.2\n')
        self.simfs.ask('set', PF + '/class', '0x030000\n')
        self.assertEqual((self.read(PF + '/class'), self.simfs.ask('get', PF + '/class')), ('0x030000\n', '0x030000\n'))
        self.simfs.ask('absent', 'module/new')
        self.assertFalse(os.path.exists(self.at('module/new')))

    def test_log(self):
        self.with_vfs(MDEV_ON_VFS)
        self.refused(errno.EINVAL, PF + '/sriov_numvfs', 'a\tb\n\\')
        self.assertEqual([(data, result) for _, data, result in self.simfs.writes()], [('a\tb\n\\', 'EINVAL')])


class ManyAtOnce(SimfsTest):
    def test_readers_never_see_half_of_it(self):
        """Names cached before a write are right after it, with other processes looking up all the time."""
        self.with_vfs(MDEV_ON_VFS)
        stop, wrong = threading.Event(), []

        def look():
            while not stop.is_set():
                for name in os.listdir(self.at('bus/pci/devices')):
                    try:
                        if self.read('bus/pci/devices/%s/vendor' % name) not in ('0x10de\n', '0x8086\n', '0x1022\n'):
                            wrong.append(name)
                    except OSError as error:
                        if error.errno not in (errno.ENOENT, errno.ENODEV):
                            wrong.append(error)
        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(40):
                self.write(PF + '/sriov_numvfs', '8')
                self.assertEqual(sum(name.startswith('virtfn') for name in os.listdir(self.at(PF))), 8)
                self.assertEqual(self.read(VF0 + '/vendor'), '0x10de\n')
                self.write(PF + '/sriov_numvfs', '0')
                self.assertFalse(os.path.lexists(self.at(VF0)) or os.path.lexists(self.at(PF + '/virtfn0')))
                self.assertNotIn('0000:41:00.4', os.listdir(self.at('bus/pci/devices')))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(wrong, [])

    def test_cost_of_a_read(self):
        self.with_vfs(MDEV_ON_VFS, vfs=16)
        path = self.at(PF + '/vendor')
        self.read(PF + '/vendor')
        rounds = 2000
        began = time.perf_counter()
        for _ in range(rounds):
            fd = os.open(path, os.O_RDONLY)
            os.read(fd, 4096)
            os.close(fd)
        read = (time.perf_counter() - began) / rounds * 1e6
        began = time.perf_counter()
        for _ in range(rounds):
            os.stat(path)
        stat = (time.perf_counter() - began) / rounds * 1e6
        before = self.simfs.ask('stats')
        for _ in range(100):
            os.stat(path)
            os.readlink(self.at(PF + '/driver'))
            os.path.exists(self.at(PF + '/none'))
        after = self.simfs.ask('stats')
        print('simfs: open, read and close of an attribute %.0f us, stat %.1f us' % (read, stat), file=sys.stderr)
        count = lambda text, key: int(re.search(key + r'=(\d+)', text).group(1))  # noqa: E731
        for key in ('lookup', 'getattr', 'readlink'):  # what was seen once is not asked again, absent names included
            self.assertLessEqual(count(after, key) - count(before, key), 3, key)

    def test_32_mounts(self):
        described, tree = self.tree('tree', dict(MDEV_ON_VFS, cards=[dict(A40, vfs=4)]))
        model = control.model_of(described)
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            mounts = []
            for index in range(32):
                target = os.path.join(self.state, 'm%d' % index)
                os.mkdir(target)
                mounts.append(stack.enter_context(control.Simfs(SIMFS, tree, target, target, model)))
            for mount in mounts:
                with open(os.path.join(mount.mountpoint, VF0, 'vendor'), encoding='ascii') as file:
                    self.assertEqual(file.read(), '0x10de\n')
            took = time.monotonic() - began
            sizes = []
            for mount in mounts:
                with open('/proc/%d/smaps_rollup' % mount.process.pid, encoding='ascii') as file:
                    sizes.append(int(re.search(r'^Pss:\s+(\d+)', file.read(), re.M).group(1)))
            print('simfs: 32 mounts in %.2f s, %.1f MB each' % (took, sum(sizes) / 32 / 1024), file=sys.stderr)
            self.assertLess(sum(sizes) / 32, 20 * 1024)
        with open('/proc/self/mounts', encoding='utf-8') as file:
            self.assertNotIn(self.state, file.read())


class Conformance(SimfsTest):
    """The transcript of sysfs_ops.py is the recorded one, which a real kernel's must equal.

    PVE_GPU_REGENERATE=1 records it anew.
    """

    # the board that the test driver for QEMU plays: an A10 with 7 VFs and four types
    TYPES = [{'id': number, 'name': 'NVIDIA A10-' + name, 'framebuffer': size, 'max_instances': most}
             for number, name, size, most in ((588, '1B', 1024, 16), (589, '2B', 2048, 12), (592, '4Q', 4096, 6), (595, '24Q', 24576, 1))]
    BOARD = {'slot': '0000:01:00.0', 'id': '10de:2236', 'class': '0302', 'driver': 'nvidia', 'total_vfs': 7, 'vf_offset': 128,
             'vf_stride': 2, 'types': TYPES}

    def compare(self, name, framework, iommu):
        described, tree = self.tree('tree', {'kernel': '6.1.0-0-amd64', 'iommu': iommu, 'nvidia': {'version': '535.161.05'},
                                             'modules': {'vfio_pci': {}}, 'cards': [dict(self.BOARD, framework=framework)]})
        os.chmod(os.path.join(tree, PF.replace('41:', '01:'), 'driver_override'), 0o644)  # DEVICE_ATTR_RW
        model = control.model_of(described)
        # as the test driver: pci_sriov_configure_simple, and pci_disable_sriov in its remove
        next(driver for driver in model['drivers'] if driver['name'] == 'nvidia').update(sriov=True, keeps_vfs=False)
        mount = os.path.join(self.state, 'mnt')
        os.mkdir(mount)
        with control.Simfs(SIMFS, tree, mount, os.path.join(self.state, 'simfs'), model):
            before = walk(mount)
            done = subprocess.run([sys.executable, '-B', os.path.join(HERE, 'sysfs_ops.py'), '--sys', mount], stdout=subprocess.PIPE,
                                  check=True, universal_newlines=True)
            after = walk(mount)
        self.assertEqual({path: text for path, text in after.items() if path in before}, before)  # it cleans up
        self.assertNotRegex(done.stdout, r'[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\b(?<!ffff:ff:1f\.7)')  # no address of its own
        path = os.path.join(HERE, 'simfs', 'transcripts', name + '.txt')
        if os.environ.get('PVE_GPU_REGENERATE'):
            with open(path, 'w', encoding='utf-8') as file:
                file.write(done.stdout)
        with open(path, encoding='utf-8') as file:
            self.assertEqual(done.stdout, file.read())

    def test_mdev_on_vfs(self):
        self.compare('mdev-on-vfs', 'mdev_on_vfs', True)

    def test_mdev_on_vfs_without_iommu(self):
        self.compare('mdev-on-vfs-without-iommu', 'mdev_on_vfs', False)

    def test_vendor_vfio(self):
        self.compare('vendor-vfio', 'vendor_vfio', True)

    def test_says_when_there_is_nothing_to_try(self):
        self.start(TWINS)
        done = subprocess.run([sys.executable, '-B', os.path.join(HERE, 'sysfs_ops.py'), '--sys', self.sys], stderr=subprocess.PIPE,
                              check=False, universal_newlines=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('no function here has sriov_totalvfs', done.stderr)


if __name__ == '__main__':
    unittest.main()
