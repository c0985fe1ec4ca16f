#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The real executable records described machines of every form, and answers elsewhere, without root, what it answered there.
"""PVE_GPU_EXECUTABLE: another executable than build/portable/pve-gpu."""
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, 'faults'))
import root as roots  # noqa: E402
import machine as machines  # noqa: E402

EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'))
MOST = 2 * 1024 * 1024
NOBODY = 65534
# One of each hardware form, and vGPUs that are in use.
MACHINES = ('form-a', 'form-b', 'form-c', 'form-d', 'form-e', 'form-f', 'pve8')
LARGEST = 'eight-boards'
# The EFI system partition that every described machine has, and what becomes of it.
VOLUME, MASK = '5C1A-2B3D', 'AAAA-0001'
# What is asked of each; GPU: of every GPU.
TASKS = (('host_info', {}), ('diagnose', {}), ('diagnose', {'gpu': 'GPU'}), ('iommu', {}), ('iommu', {'dma_mode': 'pt'}), ('kernel_cmdline', {'parameters': ['iommu=pt']}),
         ('kernel_gate', {}), ('kernel_pin', {'state': 'absent'}), ('repo', {'channel': 'no-subscription'}), ('microcode', {}), ('vgpu', {}), ('sriov', {'device': 'all'}),
         ('sriov', {'device': 'GPU'}), ('sriov_service', {'device': 'all'}), ('vfio', {'devices': ['GPU']}), ('vfio', {'state': 'absent'}),
         ('mapping', {'id': 'gpu', 'devices': ['GPU']}), ('hostpci', {'vmid': 'VMID', 'host': ['GPU']}), ('nvidia_driver', {'state': 'absent'}), ('i915_sriov_driver', {}),
         ('display_mode', {'devices': ['GPU'], 'mode': 'physical_display_disabled', 'missing': 'wait'}), ('node_guard', {}), ('follow_ups', {}), ('pools', {'hosts': [], 'pools': []}))


def why_not():
    if os.geteuid() != 0:
        return 'roots need root (chroot): run the tests as root'
    return None if os.path.exists(EXECUTABLE) else '%s is missing: ./dev build makes it' % EXECUTABLE


def plain(description):
    """The description with names that nobody would mask."""
    nodes = description.get('cluster', {}).get('nodes', [description['node']])
    names = {name: 'pve%d' % (number + 1) for number, name in enumerate(nodes)}
    out = dict(description, node=names[description['node']])
    if 'cluster' in out:
        out['cluster'] = dict(out['cluster'], name='lab', nodes=list(names.values()))
    out['guests'] = {vmid: dict(guest, name='vm%s' % vmid) for vmid, guest in description.get('guests', {}).items()}
    return out


class Host:
    """A machine's files with the executable in them."""

    def __init__(self, userland, directory, description):
        self.root = directory
        machine = machines.Machine(description)
        machines.write(machine, directory)
        subprocess.run(['cp', '-a', userland + '/.', directory], check=True)
        for name in os.listdir(os.path.join(roots.HERE, 'bin')):
            roots.put(directory, os.path.join(roots.HERE, 'bin', name), '/usr/sbin/' + name, 0o755)
        for path in ('/tmp', '/root', '/run/case', '/dev', '/var/lib', '/boot/grub'):
            os.makedirs(directory + path, exist_ok=True)
        with open(directory + '/dev/null', 'wb'):
            pass
        self.kernel = machine.kernel

    def run(self, words, stdin=''):
        return subprocess.run(['chroot', self.root, '/bin/sh', '-c', 'LD_PRELOAD=/kernel.so exec /pve-gpu "$@"', 'sh'] + words, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=600, preexec_fn=roots.drop, check=False,
                              env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C', 'FAKE_KERNEL': self.kernel})

    def ask(self, module, arguments):
        return self.run([module], json.dumps(arguments)).stdout

    def record(self):
        done = self.run(['record', '/root/recording.json.gz'])
        assert done.returncode == 0, done
        return self.root + '/root/recording.json.gz'

    def files(self):
        """What is there, but for the recording."""
        listed = subprocess.run(['find', self.root, '-newer', self.root + '/dev/null', '-type', 'f'], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [path for path in listed.split() if not path.endswith('/root/recording.json.gz')]


def elsewhere(recording, module, arguments):
    """This machine, as a user who may do nothing."""
    with open(recording, 'rb') as file:
        name = '/proc/self/fd/%d' % file.fileno()
        os.set_inheritable(file.fileno(), True)
        os.chmod(recording, 0o644)
        return subprocess.run([EXECUTABLE, module, '--recorded', name], input=json.dumps(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=600, close_fds=False, preexec_fn=lambda: os.setuid(NOBODY), check=False, env={'PATH': '/nowhere'}).stdout


@unittest.skipIf(why_not(), why_not())
class Recording(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='pve-gpu-recording.')
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.userland = roots.make_userland(cls.directory + '/userland', EXECUTABLE)

    def host(self, name, change=lambda description: description):
        description = machines.load(os.path.join(machines.MACHINES, name + '.yml'))
        return Host(self.userland, tempfile.mkdtemp(prefix=name + '.', dir=self.directory) + '/root', change(description))

    def tasks(self, host):
        gpus = [gpu['address'] for gpu in json.loads(host.ask('host_info', {}))['gpus'] if gpu['kind'] == 'gpu']
        node = os.path.basename(os.readlink(host.root + '/etc/pve/local')) if os.path.islink(host.root + '/etc/pve/local') else ''
        guests = [name[:-5] for name in sorted(os.listdir(host.root + '/etc/pve/nodes/%s/qemu-server' % node))]
        for module, arguments in TASKS:
            for gpu in gpus if 'GPU' in json.dumps(arguments) else ['']:
                text = json.dumps(arguments).replace('GPU', gpu).replace('"VMID"', guests[0] if guests else '100')
                yield module, dict(json.loads(text), _ansible_check_mode=True, _ansible_diff=True)

    def test_same_answers_elsewhere(self):
        """Byte for byte: but for that partition nothing had to be masked."""
        modules = set(subprocess.run([EXECUTABLE, '--list'], stdout=subprocess.PIPE, text=True, check=True).stdout.split())
        self.assertEqual(modules - {module for module, _ in TASKS}, set())
        for name in MACHINES:
            with self.subTest(name):
                host = self.host(name, plain)
                tasks = [(module, arguments, host.ask(module, arguments)) for module, arguments in self.tasks(host)]
                recording = host.record()
                self.assertLess(os.path.getsize(recording), MOST)
                self.assertEqual(host.files(), [], 'recording changed the host')
                for module, arguments, answer in tasks:
                    self.assertTrue(answer.endswith('}\n'), (module, answer))
                    self.assertEqual(elsewhere(recording, module, arguments), answer.replace(VOLUME, MASK), (module, arguments))
                print('%s: %d answers, %d bytes' % (name, len(tasks), os.path.getsize(recording)))

    def test_names_are_masked(self):
        """A cluster of six, whose names tell: none is left, and the answers are the same but for them."""
        host = self.host('form-a')
        recording = host.record()
        with gzip.open(recording, 'rt', encoding='utf-8') as file:
            text = file.read()
        for word in ('form-a', 'form-b', 'form-f', 'broker', 'template-host'):
            self.assertNotIn(word, text)
        answer = json.loads(elsewhere(recording, 'host_info', {}))
        real = json.loads(host.ask('host_info', {}))
        self.assertEqual(answer['host']['node'], 'host01')
        self.assertEqual(answer['gpus'], real['gpus'])
        self.assertNotIn('warnings', answer)

    def test_largest_host(self):
        host = self.host(LARGEST)
        size = os.path.getsize(host.record())
        print('%s: %d bytes' % (LARGEST, size))
        self.assertLess(size, MOST)

    def test_what_was_not_recorded_is_told(self):
        recording = self.host('form-a').record()
        answer = json.loads(elsewhere(recording, 'nvidia_driver', {'file': '/root/NVIDIA-Linux-x86_64-999.1.2-vgpu-kvm.run', 'allow_unverified': True}))
        self.assertIn('not in the recording: /root/NVIDIA', json.dumps(answer))
        self.assertRegex(answer['warnings'][-1], '^[0-9]+ of the questions w')
        # Never a run on this machine, whatever is asked.
        for words in (['iommu', '--recorded'], ['iommu', '/dev/null', '--recorded'], ['iommu', '--recorded', '/nowhere'], ['iommu', '--recorded', '/dev/null']):
            done = subprocess.run([EXECUTABLE] + words, input='{}', stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertNotIn('steps', done.stdout)


if __name__ == '__main__':
    unittest.main()
