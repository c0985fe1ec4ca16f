#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The shipped roles and playbooks on simulated nodes, over ssh, with real ansible-playbook.
import concurrent.futures
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import rack as racks  # noqa: E402

CLUSTER = ['form-a', 'form-b', 'form-c', 'form-d', 'form-e', 'form-f']
ALL = bool(os.environ.get('PVE_GPU_TEST_ALL'))
ALONE = ['amd', 'pve7-zfs', 'two-kernels', 'vtd-off', 'zfs-secure-boot']
# A second cluster, which needs no reboot. What is special are its cards, and those are test_vfio.py's matter.
OTHER_CLUSTER = ['domain-1', 'nic-group', 'twins']
# Intel before kernel 6.8 needs intel_iommu=on; two-kernels runs 6.5 although 6.8 is installed
NEED_REBOOT = {'form-e', 'form-f', 'two-kernels'}
REBOOT = ['-e', 'gpu_reboot_allowed=true', '-e', 'gpu_reboot_guests=stop']
# What belongs to programs and not to us: initramfs and boot menus are made anew by whoever is asked to
STATE = (r'cd / && find etc -xdev ! -type d -printf "%p %m %U %G %l\n" -o -type d -printf "%p %m %U %G\n" | grep -v "^etc/pve/" | sort; '
         r'find etc -xdev -type f ! -path "etc/pve/*" -exec sha256sum {} + | sort -k 2; find var/lib/pve-gpu -mindepth 1 ! -path "*/bin*" 2>/dev/null | sort')


def why_not():
    if os.geteuid() != 0:
        return 'nodes need root (namespaces, mounts): run the tests as root'
    missing = [tool for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh', 'ansible-playbook') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    if not glob.glob(os.path.join(PROJECT, 'build', 'collection', 'pve-gpu-*.tar.gz')):
        return 'build/collection holds no collection: make it with ./dev collection'
    return None


def sha256(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


class Run:
    """A run of ansible-playbook: its exit code, its output, and the results of its tasks."""

    def __init__(self, code, output, results):
        self.code, self.output, self.results = code, output, results

    def of(self, host, role=None, task=None):
        return [r for r in self.results if r['host'] == host and role in (None, r['role'].split('.')[-1]) and task in (None, r['task'])]

    def changed(self, host):
        return [r['task'] for r in self.of(host) if r['result'].get('changed')]

    def failed(self, host):
        return [r['result'].get('msg', '') for r in self.of(host) if r['outcome'] != 'ok']

    def drift(self, host):
        """The lines that verify shows of a host."""
        return self.of(host, 'gpu_verify', 'Show the drift')[-1]['result']['msg']


@unittest.skipIf(why_not(), why_not())
class SiteTest(unittest.TestCase):
    machines = []
    descriptions = {}  # of machines that are not in tests/rack/machines

    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix='pve-gpu-site-')
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        archive = max(glob.glob(os.path.join(PROJECT, 'build', 'collection', 'pve-gpu-*.tar.gz')), key=os.path.getmtime)
        subprocess.run(['ansible-galaxy', 'collection', 'install', '--offline', '-p', cls.work, archive], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.rack = racks.Rack('test-%s-%d' % (cls.__name__.lower()[:12], os.getpid()))
        files = {}
        for node, description in cls.descriptions.items():
            files[node] = os.path.join(cls.work, node + '.yml')
            with open(files[node], 'w', encoding='utf-8') as file:
                yaml.safe_dump(dict(description, node=node), file)
        cls.rack.up([files.get(node, node) for node in cls.machines])
        cls.addClassCleanup(cls.rack.down)
        with open(os.path.join(cls.work, 'inventory.yml'), 'w', encoding='utf-8') as file:
            file.write(cls.rack.inventory())
        with open(os.path.join(cls.work, 'ansible.cfg'), 'w', encoding='utf-8') as file:
            file.write('[defaults]\ninventory = {0}/inventory.yml\ncollections_path = {0}\ncollections_paths = {0}\nretry_files_enabled = false\n'
                       'callback_plugins = {1}/callbacks\ncallbacks_enabled = record\nforks = 16\nlocalhost_warning = false\n'
                       '[ssh_connection]\ncontrol_path_dir = {0}/ssh\n'.format(cls.work, HERE))

    def play(self, name, *words):
        record = os.path.join(self.work, 'record')
        if os.path.exists(record):
            os.unlink(record)
        environment = dict(os.environ, ANSIBLE_CONFIG=os.path.join(self.work, 'ansible.cfg'), PVE_GPU_RECORD=record, ANSIBLE_NOCOLOR='1')
        done = subprocess.run(['ansible-playbook', 'pve.gpu.' + name, *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        results = []
        if os.path.exists(record):
            with open(record, encoding='utf-8') as file:
                results = [json.loads(line) for line in file]
        return Run(done.returncode, done.stdout, results)

    def ssh(self, node, script):
        address = self.rack.node(node)['address']
        kept = ['-o', 'ControlMaster=auto', '-o', 'ControlPath=%s/%%h' % self.work, '-o', 'ControlPersist=60']
        done = subprocess.run(['ssh', *self.rack.ssh_options(), *kept, 'root@' + address, 'sh -s'], input=script, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        return done.stdout

    def states(self):
        return {node: self.ssh(node, STATE) for node in self.machines}

    def same(self, found, wanted, about=''):
        """Two lists of files are the same; else only the lines that differ are shown."""
        differences = ['%s %s' % (sign, line) for sign, one, other in (('+', found, wanted), ('-', wanted, found))
                       for line in sorted(set(one.splitlines()) - set(other.splitlines()))]
        self.assertEqual(differences, [], about)

    def boots(self):
        return {node: self.ssh(node, 'cat /proc/sys/kernel/random/boot_id') for node in self.machines}


class FromFreshToProven(SiteTest):
    maxDiff = 2000
    machines = CLUSTER + ALONE + OTHER_CLUSTER * ALL

    def test_check_run_reboot_run_undo(self):
        fresh, cmdlines, boots = self.states(), {node: self.ssh(node, 'cat /proc/cmdline') for node in self.machines}, self.boots()

        checked = self.play('site', '--check', '--diff')
        self.assertEqual(checked.code, 2, checked.output)  # vtd-off is refused, in check mode too
        for node, state in self.states().items():
            self.same(state, fresh[node], node)

        run = self.play('site', '--diff')
        self.assertEqual(run.code, 2, run.output)
        self.assertEqual(self.boots(), boots, 'nobody allowed a reboot')
        for node in self.machines:
            with self.subTest(node=node):
                self.check_predicted(node, checked, run)

        rebooted = self.play('site', *REBOOT)
        self.assertEqual(rebooted.code, 2, rebooted.output)
        after = self.boots()
        self.assertEqual({node for node in self.machines if after[node] != boots[node]}, NEED_REBOOT)
        for node in self.machines:
            with self.subTest(node=node):
                failed = rebooted.failed(node)
                if node == 'vtd-off':
                    self.assertIn("switch on 'VT-d'", failed[0])
                    continue
                self.assertEqual(failed, [])
                summary = rebooted.of(node, 'gpu_report', 'Summary')[0]['result']['msg']
                self.assertRegex(summary, 'IOMMU proven, [0-9]+ groups')

        again = self.play('site', *REBOOT)
        self.assertEqual({node: again.changed(node) for node in self.machines}, {node: [] for node in self.machines}, again.output)
        self.assertEqual(self.boots(), after)
        self.assertEqual([node for node in self.machines if again.failed(node)], ['vtd-off'])

        undone = self.play('undo')
        self.assertEqual(undone.code, 0, undone.output)
        for node in self.machines:
            with self.subTest(node=node):
                self.same(self.ssh(node, STATE), fresh[node])
        self.rack.order('reboot', *sorted(NEED_REBOOT - {'two-kernels'}))
        for node in NEED_REBOOT - {'two-kernels'}:
            self.assertEqual(self.ssh(node, 'cat /proc/cmdline'), cmdlines[node])
            self.assertEqual(self.ssh(node, 'ls /sys/class/iommu'), '')

    def check_predicted(self, node, checked, run):
        """What a run did is what check mode said; work that tasks put off is done by the one task that is for it."""
        put_off, done = [], None
        for before, after in zip(*([r for r in each.of(node) if r['action'].startswith('pve.gpu.')] for each in (checked, run))):
            self.assertEqual((before['task'], before['outcome']), (after['task'], after['outcome']))
            said, did = before['result'], after['result']
            if before['action'] == 'pve.gpu.follow_ups':
                done = did['steps']
                continue
            self.assertEqual(*({key: result.get(key) for key in ('changed', 'steps', 'diff', 'msg', 'pending_on', 'reboot_required')}
                               for result in (said, did)), before['task'])
            put_off += [work for work in said.get('follow_ups_pending', []) if work not in put_off]
            for step in said.get('steps', []):
                if step.startswith('file '):
                    self.assertIn(step[5:], json.dumps(said['diff']), 'each file that changes is in the diff')
        if node != 'vtd-off':
            self.assertEqual(sorted(done), sorted(put_off))
            self.assertTrue(done)


class WrongHosts(SiteTest):
    """Refused before the first effect, with a sentence that says what to do."""
    machines = ['form-a', 'form-b', 'form-c', 'form-d', 'form-e', 'form-f']

    def refused(self, node, pattern, *words):
        before = self.ssh(node, STATE)
        run = self.play('site', '-l', node, *words)
        self.assertEqual(run.code, 2, run.output)
        self.assertRegex(' / '.join(run.failed(node)), pattern)
        self.same(self.ssh(node, STATE), before)
        return run

    def test_full_boot(self):
        self.refused('form-a', r'/boot has [0-9]+ MiB free, 99999999 are needed .*apt-get autoremove', '-e', 'gpu_preflight_boot_free_mb=99999999')

    def test_command_line_file(self):
        for broken, pattern in (('echo quiet >F', r'no root=.*write the whole command line'), ('ln -sf cmdline F', r'can.t build boot entries: repair it'),
                                ('rm F', r'is missing.*write the wished one there')):
            with self.subTest(broken=broken):
                self.ssh('form-f', 'cp -a /etc/kernel/cmdline /root/kept; ' + broken.replace('F', '/etc/kernel/cmdline'))
                self.refused('form-f', pattern, '--tags', 'preflight,boot')
                self.ssh('form-f', 'rm -f /etc/kernel/cmdline; mv /root/kept /etc/kernel/cmdline')

    def test_cluster(self):
        self.assertEqual(self.play('site', '-l', 'form-e').code, 0)
        boots = self.boots()
        try:
            self.rack.order('off', 'form-b')
            self.refused('form-e', r'may not be rebooted now: .*form-b', *REBOOT)
            self.rack.order('off', 'form-c', 'form-d')
            self.refused('form-e', r'may not be rebooted now: .*quorum', *REBOOT)
        finally:
            self.rack.order('on', 'form-b', 'form-c', 'form-d')
        self.assertEqual(self.ssh('form-e', 'cat /proc/sys/kernel/random/boot_id'), boots['form-e'])

    def test_no_reboot_by_a_word(self):
        """Variables from the command line are words: false is no consent."""
        boots = self.boots()
        run = self.play('site', '-l', 'form-e', '-e', 'gpu_reboot_allowed=false', '-e', 'gpu_reboot_required=true')
        self.assertEqual(run.code, 0, run.output)
        self.assertEqual(self.boots(), boots)
        self.assertIn('gpu_reboot_allowed=true permits it', run.output)

    def test_running_guests(self):
        run = self.play('site', '-l', 'form-a', '-e', 'gpu_reboot_allowed=true', '-e', 'gpu_reboot_required=true')
        self.assertEqual(run.code, 2, run.output)
        self.assertIn('101', ' '.join(run.failed('form-a')))


class Reboots(SiteTest):
    machines = ['form-a', 'form-b', 'form-c', 'form-d', 'form-e', 'form-f']

    def test_hooks_and_guests(self):
        hook = os.path.join(self.work, 'hook.yml')
        with open(hook, 'w', encoding='utf-8') as file:
            file.write('- name: Hook\n  ansible.builtin.command: "true"\n')
        running = 'qm list | awk \'$3 == "running" {print $1}\''
        self.assertEqual(self.ssh('form-a', running).split(), ['101'])
        run = self.play('site', '-l', 'form-a', *REBOOT, '-e', 'gpu_reboot_required=true', '-e', 'gpu_reboot_before_tasks=' + hook,
                        '-e', 'gpu_reboot_after_tasks=' + hook)
        self.assertEqual(run.code, 0, run.output)
        self.assertEqual(len(run.of('form-a', task='Hook')), 2)
        moved = [node for node in self.machines if '101' in self.ssh(node, running).split()]
        self.assertEqual(len(moved), 1, 'the guest runs somewhere else')
        self.assertNotEqual(moved, ['form-a'])
        self.assertEqual(self.ssh('form-a', 'ls /var/lib/pve-gpu/reboot.json'), '')

    def test_run_stops_at_the_first_node_that_is_bad(self):
        run = self.play('site')
        self.assertEqual(run.code, 0, run.output)
        boots = self.boots()
        # form-e comes before form-f; its guard will not let it go
        self.ssh('form-e', 'mkdir -p /var/lib/pve-gpu')
        stopped = self.play('site', '-e', 'gpu_reboot_allowed=true', '-e', 'gpu_reboot_max_nodes_down=-1')
        self.assertEqual(stopped.code, 2, stopped.output)
        self.assertEqual(self.boots(), boots)
        self.assertIn('NO MORE HOSTS LEFT', stopped.output)
        resumed = self.play('site', *REBOOT)
        self.assertEqual(resumed.code, 0, resumed.output)
        self.assertEqual({node for node, boot in self.boots().items() if boot != boots[node]}, {'form-e', 'form-f'})


class KilledAnywhere(SiteTest):
    """The executable dies around its n-th effect, or that effect fails; the next run ends where an undisturbed one does, and the node boots."""
    machines = ['two-kernels', 'form-b', 'pve7-zfs']
    ARGS = {'dma_mode': 'pt'}

    def module(self, node, **args):
        text = json.dumps(dict(self.ARGS, **args, _ansible_check_mode=False))
        out = self.ssh(node, "/root/pve-gpu iommu - <<'.'\n%s\n.\n" % text)
        return json.loads(out) if out.strip() else {'killed': True}

    FILES = STATE + '; sha256sum /boot/grub/grub.cfg 2>/dev/null; find /var/lib/rack/esp -type f -exec sha256sum {} + 2>/dev/null | sort -k 2'

    def test_every_effect(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {node: pool.submit(self.every_effect, node) for node in self.machines}
        for node, future in running.items():
            with self.subTest(node=node):
                future.result()

    def every_effect(self, node):
        subprocess.run(['scp', '-q', *self.rack.ssh_options(), os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'),
                        'root@%s:/root/pve-gpu' % self.rack.node(node)['address']], check=True)
        fresh = self.ssh(node, STATE)
        first = self.module(node)
        self.assertTrue(first['changed'], first)
        wanted = self.ssh(node, self.FILES)
        self.assertFalse(self.module(node, state='absent').get('failed'))
        self.same(self.ssh(node, STATE), fresh)
        killed = failed = 0
        ways = (('kill', 'before'), ('kill', 'after'), ('fail', 'EIO'))
        # Every way at every effect only with PVE_GPU_TEST_ALL: else every effect of the node in one of the ways.
        share = 1 if ALL else len(ways)
        for way, words in enumerate(ways):
            for number in range(1 + (way + self.machines.index(node)) % share, 200, share):
                self.rack.ask(node, 'supervisor', words[0], '*pve-gpu iommu*', str(number), words[1])
                answer = self.module(node)
                report = self.rack.ask(node, 'supervisor', 'report')
                self.rack.ask(node, 'supervisor', 'disarm')
                killed += bool(answer.get('killed'))
                failed += bool(answer.get('failed'))
                again = self.module(node)
                self.assertFalse(again.get('failed'), (words, number, again, report))
                self.same(self.ssh(node, self.FILES), wanted, (words, number))
                self.assertFalse(self.module(node)['changed'])
                self.module(node, state='absent')
                self.same(self.ssh(node, STATE), fresh, (words, number))
                # Some effects may fail without harm: a run is past its last one when it had fewer.
                if report.startswith('ended') and int(report.split()[1]) < number:
                    break
        self.assertGreater(killed, 20 // share)
        self.assertGreater(failed, 20 // share)
        self.module(node)
        self.rack.order('reboot', node)
        self.assertIn('iommu=pt', self.ssh(node, 'cat /proc/cmdline'))


if __name__ == '__main__':
    unittest.main()
