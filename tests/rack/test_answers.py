#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# One described machine, the same questions: the host in memory of the laws, the stand-ins of a node and those of the roots of faults/ answer
# the same. Files are read from the same tree (laws-ask compares them); programs are asked in a root over that tree.
import glob
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'faults'))
import root as roots  # noqa: E402

ASK = os.path.join(os.environ.get('PVE_GPU_BINARY_DIR', os.path.join(HERE, '..', '..', 'build', 'dev')), 'tests', 'laws-ask')
MACHINE = {
    'release': 8, 'loader': 'systemd-boot', 'nvidia': {'version': '550.90.05', 'installed': True},
    'cards': [{'slot': '0000:41:00.0', 'board': 'A40', 'driver': 'nvidia', 'mixed_size': True, 'vfs': 4, 'vf': {1: {'driver': 'vfio-pci'}, 2: {'nvidia': False}}},
              {'slot': '0000:81:00.0', 'board': 'A40', 'driver': 'nvidia', 'initialised': False, 'config': 'dead', 'power_state': 'D3cold',
               'bars': {1: 'unassigned'}, 'mig': [1, 2], 'reserved': ['0xbdf83000 0xbdf84fff direct'], 'reset_method': ''}],
    'units': {'nvidia-vgpu-mgr.service': 'failed enabled', 'off.service': 'inactive disabled', 'fixed.service': 'active static',
              'hidden.service': 'inactive masked', 'again@x.service': 'activating'},
    'kernel_log': ['[   12.1] NVRM: first', '[   12.2] usb: second', '[   12.3] vfio-pci 0000:81:00.0: third', '[   12.4] NVRM: last'],
    'journals': {'nvidia-vgpu-mgr.service': ['error: vmiop_env_log: Failed to initialize RM client: 0x26', 'second line']},
}


def why_not():
    if os.geteuid() != 0:
        return 'roots need root (mounts, chroot): run the tests as root'
    return None if os.path.exists(ASK) else '%s is missing: ./dev build makes it' % ASK


@unittest.skipIf(why_not(), why_not())
class AnswersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='pve-gpu-answers-')
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        roots.own_mounts(cls.directory)
        cls.addClassCleanup(roots.system.call, 'umount2', cls.directory.encode(), roots.system.MNT_DETACH)
        cls.tree = cls.directory + '/tree'
        roots.machines.write(roots.machines.Machine(MACHINE), cls.tree)
        cls.asked = json.loads(subprocess.run([ASK, cls.tree], stdout=subprocess.PIPE, check=True).stdout)

    def root(self, name, programs, lower):
        """A root with these programs, above the tree's files that they read, above `lower`."""
        upper, work, root = ('%s/%s-%s' % (self.directory, name, part) for part in ('upper', 'work', 'root'))
        for path in (upper + '/usr/sbin', upper + '/run/rack', upper + '/usr/lib/rack', upper + '/dev', work, root):
            os.makedirs(path)
        for part in ('run', 'etc/systemd', 'usr/lib/systemd', 'var/lib/rack'):
            shutil.copytree(os.path.join(self.tree, part), os.path.join(upper, part), symlinks=True, dirs_exist_ok=True)
        for program in os.listdir(programs):
            roots.put(upper, os.path.join(programs, program), '/usr/sbin/' + program, 0o755)
        for module in glob.glob(os.path.join(HERE, 'standins', '*.py')):
            roots.put(upper, module, '/usr/lib/rack/' + os.path.basename(module))
        os.mknod(upper + '/dev/null', 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        roots.system.mount('overlay', root, 'overlay', data='lowerdir=%s,upperdir=%s,workdir=%s' % (lower, upper, work))
        self.addCleanup(roots.system.call, 'umount2', root.encode(), roots.system.MNT_DETACH)
        return root

    def compare(self, root, programs):
        asked = 0
        for query in self.asked['queries']:
            if query['argv'][0] not in programs:
                continue
            with self.subTest(argv=query['argv']):
                done = subprocess.run(['chroot', root] + query['argv'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C'}, check=False)
                self.assertEqual(done.stderr, '')
                lines = sorted if query['argv'][0] == 'systemctl' else list  # the order of properties is the program's
                self.assertEqual((done.returncode, lines(done.stdout.splitlines())), (query['exit'], lines(query['out'].splitlines())))
                asked += 1
        self.assertGreater(asked, 15)

    def test_files_are_read_as_they_are(self):
        self.assertEqual(self.asked['differs'], [])

    def test_stand_ins_of_a_node(self):
        self.compare(self.root('node', os.path.join(HERE, 'standins', 'bin'), '/'), ('systemctl', 'journalctl', 'zpool'))

    def test_programs_of_the_roots_with_faults(self):
        userland = roots.make_userland(self.directory + '/userland', '/bin/true')
        self.compare(self.root('faults', os.path.join(HERE, 'faults', 'bin'), userland), ('systemctl', 'journalctl', 'nvidia-smi'))


if __name__ == '__main__':
    unittest.main()
