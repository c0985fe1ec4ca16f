#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Resource mappings of a cluster of simulated nodes: many writers at once, and what goes wrong. The executable is the shipped one.
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import rack as racks  # noqa: E402

NAME = 'test-mapping-%d' % os.getpid()
EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE') or os.path.join(HERE, '..', '..', 'build', 'portable', 'pve-gpu')
CONFIG = '/etc/pve/mapping/pci.cfg'
QUEUE = '/etc/pve/priv/lock/pve-gpu-mapping'
MANY = 32
RUNS = int(os.environ.get('PVE_GPU_RUNS') or (10 if os.environ.get('PVE_GPU_TEST_ALL') else 2))
CARDS = '''cards:
  - {slot: "0000:41:00.0", board: RTX A4000, class: "0300", audio: "10de:228b"}
  - {slot: "0000:81:00.0", board: RTX A4000, class: "0300", audio: "10de:228b"}
'''
A40 = '''nvidia: {version: 550.144.02}
cards:
  - {slot: "0000:41:00.0", board: A40, driver: nvidia, vfs: 8, framework: vendor_vfio}
'''


def why_not():
    if os.geteuid() != 0:
        return 'nodes need root (namespaces, mounts): run the tests as root'
    missing = [tool for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    if not os.access(EXECUTABLE, os.X_OK):
        return 'build/portable/pve-gpu is not built: ./dev build'
    return None


class MappingCase(unittest.TestCase):
    """A rack of nodes, each from a description made here."""
    machines = {}  # name: text
    cluster = True
    name = NAME

    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(prefix='rack-mapping.')
        cls.addClassCleanup(shutil.rmtree, directory)
        nodes = ', '.join(cls.machines)
        for name, text in cls.machines.items():
            with open(os.path.join(directory, name + '.yml'), 'w', encoding='ascii') as file:
                file.write('node: %s\n%s%s' % (name, 'cluster: {name: mappings, nodes: [%s]}\n' % nodes if cls.cluster else '', text))
        cls.rack = racks.Rack(cls.name)
        cls.addClassCleanup(cls.rack.down)
        began = time.monotonic()
        cls.rack.up([os.path.join(directory, name + '.yml') for name in cls.machines])
        cls.up_seconds = time.monotonic() - began
        for node in cls.machines:
            cls.rack.provide(node, EXECUTABLE)

    @classmethod
    def ssh(cls, node, command, check=True, stdin=''):
        words = ['ssh'] + cls.rack.ssh_options() + ['root@' + cls.rack.node(node)['address'], command]
        done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False, timeout=900)
        if check and done.returncode:
            raise AssertionError('%s: %s: %d: %s%s' % (node, command, done.returncode, done.stdout, done.stderr))
        return done

    def mapping(self, node, check=False, **arguments):
        """(exit code, answer) of the module on a node."""
        done = self.ssh(node, 'f=$(mktemp); cat >$f; /root/pve-gpu mapping $f; code=$?; rm $f; exit $code', False,
                        json.dumps(dict(arguments, _ansible_check_mode=check, _ansible_diff=True)))
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise AssertionError('%s: %s%s' % (node, done.stdout, done.stderr)) from None

    def done(self, node, **arguments):
        code, answer = self.mapping(node, **arguments)
        self.assertEqual(code, 0, answer)
        self.assertFalse(answer.get('failed'), answer)
        return answer

    def refused(self, node, part, **arguments):
        """In check mode as in a run, and before anything is changed."""
        before = self.ssh(node, 'cat %s 2>/dev/null' % CONFIG, False).stdout
        calls = len(self.rack.calls(node, 'pvesh'))
        for check in (True, False):
            _, answer = self.mapping(node, check, **arguments)
            self.assertTrue(answer.get('failed'), answer)
            self.assertIn(part, answer['msg'])
            self.assertFalse(answer['changed'])
        self.assertEqual(self.ssh(node, 'cat %s 2>/dev/null' % CONFIG, False).stdout, before)
        self.assertEqual(len(self.rack.calls(node, 'pvesh')), calls)

    def config(self, node):
        return self.ssh(node, 'cat ' + CONFIG).stdout

    def write(self, node, text):
        self.ssh(node, 'cat >%s' % CONFIG, stdin=text)

    def listed(self, node, *words):
        return {entry['id']: entry for entry in json.loads(self.ssh(node, 'pvesh get /cluster/mapping/pci %s --output-format json' % ' '.join(words)).stdout)}

    @classmethod
    def shared(cls, *parts):
        """The cluster's directory, from outside of the nodes."""
        keeper = next(pid for pid, name in cls.rack.processes().items() if name == '')
        cluster = 'mappings' if cls.cluster else '=' + next(iter(cls.machines))
        return os.path.join('/proc/%d/root%s' % (keeper, cls.rack.directory), 'clusters', cluster, *parts)


@unittest.skipIf(why_not(), why_not())
class ManyWritersTest(MappingCase):
    name = NAME + '-many'
    machines = {'n%d' % number: 'release: %d\n%s' % (8 + number % 2, CARDS) for number in range(1, MANY + 1)}

    def everyone(self, work):
        with concurrent.futures.ThreadPoolExecutor(len(self.machines) + 1) as pool:
            return list(pool.map(work, self.machines))

    def one_run(self, run):
        self.write('n1', 'keep\n\tmap id=10de:2484,node=n1,path=0000:01:00\n\n')
        stop = []

        def gui():
            """Somebody who changes other mappings all the time, with neither digest nor queue."""
            made = 0
            while not stop:
                self.ssh('n2', 'pvesh create /cluster/mapping/pci --id other-%d --map id=10de:2484,node=n2,path=0000:01:00' % made)
                made += 1
                time.sleep(0.5)
            return made
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(gui)
            answers = self.everyone(lambda node: self.mapping(node, id='gpu', model='RTX A4000', description='run %d' % run))
            stop.append(True)
            made = other.result()
        seconds = time.monotonic() - began
        self.assertEqual([(code, answer.get('msg')) for code, answer in answers if code or answer.get('failed')], [])
        self.assertTrue(all(answer['changed'] for _, answer in answers))
        found = self.listed('n3')
        self.assertEqual(sorted(found), sorted(['keep', 'gpu'] + ['other-%d' % number for number in range(made)]))
        places = sorted((entry.split('node=')[1].split(',')[0], entry.split('path=')[1].split(',')[0]) for entry in found['gpu']['map'])
        self.assertEqual(places, sorted((node, slot) for node in self.machines for slot in ('0000:41:00', '0000:81:00')))
        self.assertEqual(found['gpu']['description'], 'run %d' % run)
        self.assertEqual(os.listdir(self.shared('tree', 'priv', 'lock')), [])
        return seconds, made

    def test_each_node_writes_its_own_entries_at_once(self):
        times, calls = [], 0
        for run in range(RUNS):
            seconds, made = self.one_run(run)
            times.append(seconds)
            calls += made
        tries = sum(len([call for call in self.rack.calls(node, 'pvesh') if call['argv'][1] in ('create', 'set')]) for node in self.machines)
        print('%d nodes, %d runs: %s s each; %d other mappings made meanwhile; %.1f calls of pvesh for each change of ours' % (
            MANY, RUNS, ', '.join('%.1f' % seconds for seconds in times), calls, (tries - calls) / (MANY * RUNS)), file=sys.stderr)
        again = self.everyone(lambda node: self.mapping(node, id='gpu', model='RTX A4000'))
        self.assertEqual([answer['changed'] for _, answer in again], [False] * MANY)
        valid = self.everyone(lambda node: self.listed(node, '--check-node', node)['gpu']['checks'])
        self.assertEqual(valid, [[]] * MANY)

    def test_one_write_for_the_cluster(self):
        self.write('n1', '')
        documents = self.everyone(lambda node: json.loads(self.ssh(node, "echo '{}' >a; ./pve-gpu host_info a").stdout))
        calls = len(self.rack.calls('n5', 'pvesh'))
        began = time.monotonic()
        answer = self.done('n5', id='gpu', model='RTX A4000', hosts=documents, purge='all')
        seconds = time.monotonic() - began
        print('one write for %d nodes: %.1f s' % (MANY, seconds), file=sys.stderr)
        self.assertEqual(answer['mapping']['nodes'], {node: 2 for node in self.machines})
        self.assertEqual(len(self.rack.calls('n5', 'pvesh')), calls + 1)
        self.assertEqual(self.everyone(lambda node: self.listed(node, '--check-node', node)['gpu']['checks']), [[]] * MANY)
        # what each node would write itself is the same
        self.assertEqual([answer['changed'] for _, answer in self.everyone(lambda node: self.mapping(node, id='gpu', model='RTX A4000'))], [False] * MANY)


@unittest.skipIf(why_not(), why_not())
class FaultsTest(MappingCase):
    name = NAME + '-faults'
    machines = {'p1': 'release: 8\n' + CARDS + 'guests:\n  101: {name: desk-1, hostpci0: "mapping=used,pcie=1", machine: q35}\n',
                'p2': 'release: 8\npve: "8.0.4"\nkernel: 6.8.4-2-pve\n' + A40, 'p3': 'release: 9\n' + A40}
    wish = {'id': 'gpu', 'devices': ['0000:41:00']}

    def setUp(self):
        self.write('p1', '')
        for node in self.machines:
            self.rack.set_faults(node, [])

    def test_the_way_of_a_mapping(self):
        _, foreseen = self.mapping('p1', True, **self.wish)
        self.assertEqual(self.config('p1'), '')
        answer = self.done('p1', **self.wish)
        self.assertEqual((answer['steps'], answer['diff']), (foreseen['steps'], foreseen['diff']))
        self.assertEqual(self.listed('p1', '--check-node', 'p1')['gpu']['checks'], [])
        self.assertFalse(self.done('p1', **self.wish)['changed'])
        self.assertTrue(self.done('p1', **dict(self.wish, state='absent'))['changed'])
        self.assertEqual(self.config('p1'), '')

    def test_virtual_functions_of_8_0_and_9(self):
        for node in ('p2', 'p3'):
            self.done(node, id='a40', vfs_of=['0000:41:00.0'])
            self.assertEqual(self.listed(node, '--check-node', node)['a40']['checks'], [])
        self.assertEqual(self.listed('p3')['a40']['mdev'], '1')
        self.refused('p2', '8.4 brought it', id='a40', vfs_of=['0000:41:00.0'], live_migration_capable=True)
        self.refused('p3', 'offers mediated devices now', id='other', vfs_of=['0000:41:00.0'], mdev=False)

    def test_a_virtual_function_that_is_gone(self):
        self.done('p3', id='a40', vfs_of=['0000:41:00.0'])
        gone = self.config('p3').split('\n')[1].replace('0000:41:00.4', '0000:41:0f.4')
        self.write('p3', self.config('p3').replace('\tmdev', gone + '\n\tmdev'))
        self.assertIn('not found', self.listed('p3', '--check-node', 'p3')['a40']['checks'][0]['message'])
        answer = self.done('p3', id='a40', vfs_of=['0000:41:00.0'])
        self.assertEqual([entry['path'] for entry in answer['stale']], ['0000:41:0f.4'])
        self.assertFalse(answer['changed'])
        answer = self.done('p3', id='a40', vfs_of=['0000:41:00.0'], purge='node')
        self.assertTrue(answer['changed'])
        self.assertEqual(answer['stale'], [])
        self.assertEqual(self.listed('p3', '--check-node', 'p3')['a40']['checks'], [])

    def test_used_by_a_guest(self):
        self.done('p1', id='used', devices=['0000:41:00'])
        self.refused('p3', 'guest 101 (desk-1) on p1 uses mapping used (hostpci0)', id='used', state='absent')
        self.refused('p1', 'guest 101', id='used', state='absent', purge='node')
        self.done('p3', id='used', state='absent', force=True)
        self.assertEqual(self.config('p1'), '')

    def test_a_digest_storm(self):
        self.write('p1', 'gpu\n\tmap id=10de:2484,node=p9,path=0000:01:00\n\n')
        text = 'update hardware mapping failed: detected modified configuration - file changed by other user? Try again.'
        self.rack.add_fault('p1', 'pvesh', 'exit', 'set *', times=4, code=11, text=text)
        self.assertTrue(self.done('p1', **self.wish)['changed'])
        self.assertEqual(len(self.listed('p1')['gpu']['map']), 2)
        self.rack.add_fault('p1', 'pvesh', 'exit', 'set *', code=11, text=text)
        _, answer = self.mapping('p1', **dict(self.wish, description='x'))
        self.assertIn('20 tries, and each time others had changed or locked', answer['msg'])
        self.assertFalse(answer['changed'])
        self.assertEqual(os.listdir(self.shared('tree', 'priv', 'lock')), [])

    def test_exit_codes_that_mean_nothing(self):
        self.rack.add_fault('p1', 'pvesh', 'ignore', 'create *')
        _, answer = self.mapping('p1', **self.wish)
        self.assertIn('did not take effect', answer['msg'])
        self.rack.set_faults('p1', [])
        self.rack.add_fault('p1', 'pvesh', 'exit', 'create *', times=1, code=17, text='create hardware mapping failed: error during cfs-locked operation: no quorum!')
        _, answer = self.mapping('p1', **self.wish)
        self.assertIn('no quorum!', answer['msg'])
        self.assertTrue(self.done('p1', **self.wish)['changed'])

    def test_a_killed_writer(self):
        # dies while it holds the queue, before pvesh did anything
        self.rack.add_fault('p1', 'pvesh', 'slow', 'create *', times=1, seconds=30)
        words = ['ssh'] + self.rack.ssh_options() + ['root@' + self.rack.node('p1')['address'],
                                                     "echo '%s' >a; ./pve-gpu mapping a & echo $!; wait" % json.dumps(self.wish)]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, universal_newlines=True) as run:
            pid = int(run.stdout.readline())
            for _ in range(200):
                if os.path.isdir(self.shared('tree', QUEUE[len('/etc/pve/'):])):
                    break
                time.sleep(0.05)
            self.ssh('p1', 'kill -9 %d; for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != pvesh ] || kill -9 ${p#/proc/}; done' % pid, False)
            run.wait()
        lock = self.shared('tree', QUEUE[len('/etc/pve/'):])
        self.assertTrue(os.path.isdir(lock))
        # another one waits until the lock is 120 s old
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(self.done, 'p3', id='a40', vfs_of=['0000:41:00.0'])
            time.sleep(3)
            self.assertFalse(other.done())
            old = time.time() - 121
            os.utime(lock, (old, old))
            self.assertTrue(other.result(60)['changed'])
        self.assertTrue(self.done('p1', **self.wish)['changed'])
        self.assertEqual(sorted(self.listed('p1')), ['a40', 'gpu'])
        self.assertFalse(os.path.exists(lock))

    def test_a_poisoned_section(self):
        poison = 'bad\n\tmdev 1\n\n'
        self.write('p1', '# mine\n' + poison + 'keep\n\tmap id=10de:2484,node=p9,path=0000:01:00\n\n')
        self.refused('p1', "section 'bad' has no valid entry", **self.wish)
        self.assertIn("unknown section type ''", self.ssh('p1', 'pvesh delete /cluster/mapping/pci/bad', False).stderr)
        answer = self.done('p1', **dict(self.wish, heal=True))
        self.assertEqual(answer['steps'], ['poisoned sections of ' + CONFIG, 'mapping gpu'])
        self.assertEqual(answer['diff'][0]['before'], poison)
        self.assertEqual(sorted(self.listed('p1')), ['gpu', 'keep'])

    def test_pmxcfs_is_full(self):
        self.write('p1', 'keep\n\tmap id=10de:2484,node=p9,path=0000:01:00\n\n')
        with open(self.shared('status', 'full'), 'w', encoding='ascii'):
            pass
        try:
            self.refused('p1', 'the cluster file system is full', **self.wish)
        finally:
            os.unlink(self.shared('status', 'full'))
        self.done('p1', **self.wish)

    def test_without_quorum(self):
        self.rack.order('off', 'p2', 'p3')
        try:
            self.refused('p1', 'the cluster has no quorum, so /etc/pve is read-only', **self.wish)
        finally:
            self.rack.order('on', 'p2', 'p3')

    def test_without_pmxcfs(self):
        self.done('p1', **self.wish)
        # not umount(8): it reads /proc of a process of the node, which this one is not
        lazily = 'import ctypes, sys; sys.exit(ctypes.CDLL(None).umount2(b"/etc/pve", 2))'
        subprocess.run(['nsenter', '--target', str(self.rack.init_pid('p1')), '--mount', '--root', 'python3', '-c', lazily], check=True)
        try:
            self.refused('p1', 'the cluster file system is not mounted on /etc/pve', **self.wish)
        finally:
            self.rack.order('reboot', 'p1')
            self.rack.provide('p1', EXECUTABLE)
        self.assertFalse(self.done('p1', **self.wish)['changed'])


@unittest.skipIf(why_not(), why_not())
class RulesTest(MappingCase):
    """What the stand-in of pvesh does, and the module against it, where Proxmox VE's own code is peculiar."""
    name = NAME + '-rules'
    machines = {'r1': 'release: 8\n' + CARDS}
    good = '--map id=10de:2484,node=r1,path=0000:41:00'

    def setUp(self):
        self.write('r1', '')
        self.rack.set_faults('r1', [])

    def pvesh(self, words):
        return self.ssh('r1', 'pvesh ' + words, False)

    def test_what_is_refused_ends_with_the_usage(self):
        create = 'pvesh create <api_path> --id <string> --map <array> [OPTIONS] [FORMAT_OPTIONS]'
        change = 'pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]'
        self.assertEqual(self.pvesh('create /cluster/mapping/pci --id gpu ' + self.good).returncode, 0)
        for words, cause, usage in (
                ('create /cluster/mapping/pci --id other %s --digest 0' % self.good, 'Unknown option: digest\n400 unable to parse option', create),
                ('create /cluster/mapping/pci --id other', 'map: property is missing and it is not optional', create),
                ('create /cluster/mapping/pci --id 4090 ' + self.good, "id: invalid format - invalid configuration ID '4090'", create),
                ('create /cluster/mapping/pci --id other --map node=r1', 'map[0]: invalid format - format error', create),
                ('set /cluster/mapping/pci/gpu %s --digest %s' % (self.good, 'a' * 65), 'digest: value may only be 64 characters long', change),
                ('set /cluster/mapping/pci/gpu %s --mdev maybe' % self.good, "mdev: type check ('boolean') failed", change)):
            done = self.pvesh(words)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(cause, done.stderr)
            self.assertEqual(done.stderr.splitlines()[-1], usage)
        # a digest of another length than SHA-1's is but one that does not match
        self.assertIn('detected modified configuration', self.pvesh('set /cluster/mapping/pci/gpu %s --digest %s' % (self.good, 'a' * 64)).stderr)
        self.assertIn("update hardware mapping failed: missing value for required option 'map'", self.pvesh('set /cluster/mapping/pci/gpu --mdev 1').stderr)

    def test_a_line_break_in_a_description(self):
        for text in ('one\ntwo', 'one\r'):
            done = self.pvesh("create /cluster/mapping/pci --id gpu %s --description '%s'" % (self.good, text))
            self.assertIn("create hardware mapping failed: property 'description' contains a line feed", done.stderr)
            self.refused('r1', "parameter 'description'", id='gpu', devices=['0000:41:00'], description=text)
        self.assertEqual(self.config('r1'), '')

    def test_a_file_with_carriage_returns_is_one_section(self):
        one, two = 'id=10de:2484,node=p9,path=0000:01:00', 'id=10de:2484,node=p9,path=0000:02:00'
        self.write('r1', 'one\n\tmap %s\n\ntwo\n\tmap %s\n\n'.replace('\n', '\r\n') % (one, two))
        self.assertEqual({name: entry['map'] for name, entry in self.listed('r1').items()}, {'one': [one, two]})
        answer = self.done('r1', id='gpu', devices=['0000:41:00'])
        self.assertTrue(any('two' in warning and 'drops' in warning for warning in answer['warnings']), answer)
        self.assertEqual({name: len(entry['map']) for name, entry in self.listed('r1').items()}, {'one': 2, 'gpu': 1})
        self.assertFalse(self.done('r1', id='gpu', devices=['0000:41:00'])['changed'])

    def test_the_cause_is_told_not_the_usage(self):
        self.rack.add_fault('r1', 'pvesh', 'exit', 'create *', times=1, code=2, text='400 Parameter verification failed.\n'
                            'map[0]: invalid format - format error\nmap[0].path: value does not match the regex pattern\n\n'
                            'pvesh create <api_path> --id <string> --map <array> [OPTIONS] [FORMAT_OPTIONS]')
        _, answer = self.mapping('r1', id='gpu', devices=['0000:41:00'])
        self.assertIn('value does not match the regex pattern', answer['msg'])
        self.assertFalse(answer['changed'])


@unittest.skipIf(why_not(), why_not())
class SevenTest(MappingCase):
    name = NAME + '-seven'
    machines = {'old': 'release: 7\n' + CARDS}
    cluster = False

    def test_there_are_no_mappings(self):
        self.assertEqual(self.ssh('old', 'pvesh get /cluster/mapping/pci', False).returncode, 1)
        self.refused('old', 'has no resource mappings, 8.0 brought them; give guests the card by its address', id='gpu', devices=['0000:41:00'])


if __name__ == '__main__':
    unittest.main()
