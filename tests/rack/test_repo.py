#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The module repo over ssh in the three userlands, with their real APT and a small signed archive in Proxmox's and Debian's names.
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'))
NODES = {'pve7': 'bullseye', 'pve8': 'bookworm', 'pve9': 'trixie'}
TEST_COMPONENT = {'pve7': 'pvetest', 'pve8': 'pvetest', 'pve9': 'pve-test'}
CEPH = {'pve7': 'quincy', 'pve8': 'squid', 'pve9': 'tentacle'}
KEYRINGS = {'pve7': '/etc/apt/trusted.gpg.d/proxmox-release-bullseye.gpg', 'pve8': '/etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg',
            'pve9': '/usr/share/keyrings/proxmox-archive-keyring.gpg'}
# Everything below /etc/apt and all that the module remembers, by content, mode and owner.
STATE = ('cd / && find etc/apt var/lib/pve-gpu ! -type d -exec stat -c "%n %a %U" {} + -exec sha256sum {} + 2>/dev/null | sort; '
         'find etc/apt var/lib/pve-gpu -type d 2>/dev/null | sort')


class RepoTest(unittest.TestCase):
    rack = 'test-repo-%d' % os.getpid()
    SIGNED = '[signed-by=%s] http://download.proxmox.com/debian/pve trixie' % KEYRINGS['pve9']

    @classmethod
    def command(cls, *words, data=b''):
        return subprocess.run([sys.executable, os.path.join(HERE, 'rack.py'), '--name', cls.rack] + list(words), input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest('nodes need root (namespaces, mounts): run the tests as root')
        for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh'):
            if not shutil.which(tool):
                raise unittest.SkipTest('%s is not installed' % tool)
        if not os.path.exists(EXECUTABLE):
            raise unittest.SkipTest('%s is missing: ./dev build makes it' % EXECUTABLE)
        with open(EXECUTABLE, 'rb') as file:
            cls.executable = file.read()
        done = cls.command('up', '--plain', *NODES)
        if done.returncode:
            raise AssertionError(done.stderr.decode())

    @classmethod
    def tearDownClass(cls):
        cls.command('down')

    def setUp(self):
        done = self.command('reset')
        self.assertEqual(done.returncode, 0, done.stderr.decode())

        def install(node, _):
            copied = self.command('ssh', node, 'cat >/root/pve-gpu && chmod 755 /root/pve-gpu', data=self.executable)
            self.assertEqual(copied.returncode, 0, copied.stderr.decode())
        self.on_each_node(install)

    def on_each_node(self, test):
        """All three at once: most of the time is APT waiting for hosts that don't answer."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {node: pool.submit(test, node, suite) for node, suite in NODES.items()}
        for node, future in running.items():
            with self.subTest(node=node):
                future.result()

    def ssh(self, node, script, check=True):
        done = self.command('ssh', node, 'sh', '-s', data=script.encode())
        if check:
            self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        return done.stdout.decode()

    def state(self, node):
        return self.ssh(node, STATE)

    def run_module(self, node, check=False, **parameters):
        parameters.update(_ansible_check_mode=check, _ansible_diff=True)
        done = self.command('ssh', node, '/root/pve-gpu repo', data=json.dumps(parameters).encode())
        answer = json.loads(done.stdout.decode())
        self.assertEqual(done.returncode, 1 if answer.get('failed') else 0, answer)
        return answer

    def succeed(self, node, **parameters):
        answer = self.run_module(node, **parameters)
        self.assertFalse(answer.get('failed'), answer)
        return answer

    def fail_without_a_trace(self, node, *expected, **parameters):
        """The run fails, says all of `expected`, and leaves every file as it was."""
        before = self.state(node)
        answer = self.run_module(node, **parameters)
        self.assertTrue(answer.get('failed'), answer)
        self.assertFalse(answer['changed'], answer)
        for words in expected:
            self.assertIn(words, answer['msg'])
        self.assertEqual(self.state(node), before)
        return answer

    def probes(self, node):
        """Which archives APT has packages from: the versions of rack-probe, see archive.py."""
        return self.ssh(node, "apt-cache madison rack-probe | cut -d'|' -f2,3")

    def test_right_once_and_not_again(self):
        def test(node, suite):
            fresh = self.state(node)
            planned = self.run_module(node, check=True, channel='no-subscription')
            self.assertEqual(self.state(node), fresh)
            answer = self.succeed(node, channel='no-subscription')
            self.assertTrue(answer['changed'])
            self.assertEqual((planned['steps'], planned['diff'], planned['sources']), (answer['steps'], answer['diff'], answer['sources']))
            self.assertEqual((answer['release'], answer['channel'], answer.get('warnings', [])), (suite, 'no-subscription', []))
            self.assertIn('download.proxmox.com/debian/pve %s/pve-no-subscription' % suite, self.probes(node))
            self.ssh(node, 'apt-get update')
            again = self.succeed(node, channel='no-subscription')
            self.assertEqual((again['changed'], again['steps'], again['sources']), (False, [], answer['sources']))
            # the old sources fail without a subscription, which is not the task's fault
            absent = self.succeed(node, state='absent')
            self.assertTrue(absent['changed'])
            self.assertIn('https://enterprise.proxmox.com/debian/pve %s' % suite, ' '.join(absent['warnings']))
            self.assertEqual(self.state(node), fresh)
            self.assertFalse(self.succeed(node, state='absent')['changed'])
        self.on_each_node(test)

    def test_every_wish_at_once(self):
        def test(node, suite):
            fresh = self.state(node)
            wish = {'channel': 'test', 'ceph': CEPH[node], 'proxmox_mirror': 'http://mirror.example.org/proxmox',
                    'debian_mirror': 'http://mirror.example.org/debian',
                    'debian_security_mirror': 'https://mirror.example.org/debian-security/'}
            self.assertTrue(self.succeed(node, **wish)['changed'])
            self.assertFalse(self.succeed(node, **wish)['changed'])
            probes = self.probes(node)
            for part in ('proxmox/pve %s/%s' % (suite, TEST_COMPONENT[node]), 'proxmox/ceph-%s %s/test' % (CEPH[node], suite),
                         'debian %s/main' % suite, 'debian %s-updates/main' % suite):
                self.assertIn('http://mirror.example.org/' + part, probes)
            self.assertIn('https://mirror.example.org/debian-security %s-security/main' % suite, probes)
            for host in ('debian.org', 'proxmox.com'):
                self.assertNotIn(host, probes)
            # back to the common channel, then back to nothing
            self.assertTrue(self.succeed(node, channel='no-subscription')['changed'])
            self.assertNotIn(TEST_COMPONENT[node], self.probes(node))
            self.succeed(node, state='absent')
            self.assertEqual(self.state(node), fresh)
        self.on_each_node(test)

    def test_enterprise_needs_a_subscription(self):
        def test(node, suite):
            self.succeed(node, channel='no-subscription')
            self.fail_without_a_trace(node, 'https://enterprise.proxmox.com/debian/pve %s: 401' % suite, 'subscription', channel='enterprise')
            self.ssh(node, 'echo machine enterprise.proxmox.com login pve8c-0123456789 password secret >/etc/apt/auth.conf.d/pve.conf')
            self.assertEqual(self.succeed(node, channel='enterprise')['channel'], 'enterprise')
            self.assertNotIn('no-subscription', self.probes(node))
            kept = self.succeed(node, channel='no-subscription', keep_enterprise=True)
            self.assertTrue(kept['changed'])
            probes = self.probes(node)
            self.assertIn('pve-enterprise', probes)
            self.assertIn('pve-no-subscription', probes)
        self.on_each_node(test)

    def test_a_mirror_that_does_not_work_is_taken_back(self):
        def test(node, suite):
            self.succeed(node, channel='no-subscription')
            self.fail_without_a_trace(node, 'http://mirror.example.org/nowhere/pve %s: 404' % suite, 'check the mirror',
                                      proxmox_mirror='http://mirror.example.org/nowhere')
            # APT ends with exit code 0 here
            self.fail_without_a_trace(node, 'http://mirror.example.org:81/debian %s' % suite, 'onnect',
                                      debian_mirror='http://mirror.example.org:81/debian')
            self.fail_without_a_trace(node, 'http://nosuch.example.org/debian %s' % suite, 'resolving',
                                      debian_mirror='http://nosuch.example.org/debian')
        self.on_each_node(test)

    def test_a_component_that_is_not_there(self):
        # The name that the test component had until Proxmox VE 8. APT ends with exit code 0.
        self.ssh('pve9', 'echo "deb %s pvetest" >/etc/apt/sources.list.d/test.list' % self.SIGNED)
        self.fail_without_a_trace('pve9', 'http://mirror.example.org/proxmox/pve trixie: it has no component \'pvetest\'',
                                  proxmox_mirror='http://mirror.example.org/proxmox')
        answer = self.succeed('pve9', channel='test', proxmox_mirror='http://mirror.example.org/proxmox')
        self.assertIn('http://mirror.example.org/proxmox/pve trixie pve-test\n', self.ssh('pve9', 'cat /etc/apt/sources.list.d/test.list'))
        self.assertEqual(answer['channel'], 'test')

    def test_keys(self):
        def test(node, suite):
            self.ssh(node, 'mv %s /root/key.gpg' % KEYRINGS[node])
            refused = self.fail_without_a_trace(node, KEYRINGS[node] + ' is missing', channel='no-subscription')
            self.assertEqual(refused['steps'], [])
            self.assertTrue(self.run_module(node, check=True, channel='no-subscription')['failed'])
            # the wrong key
            self.ssh(node, 'cp /usr/share/keyrings/debian-archive-keyring.gpg %s' % KEYRINGS[node])
            self.fail_without_a_trace(node, 'http://download.proxmox.com/debian/pve %s' % suite, 'keyring', channel='no-subscription')
            self.ssh(node, 'cp /root/key.gpg %s' % KEYRINGS[node])
            self.succeed(node, channel='no-subscription')
        self.on_each_node(test)

    def test_what_was_broken_before_is_told_and_left(self):
        def test(node, _):
            third = '# theirs\ndeb [arch=amd64] http://third.example.org/x stable main # keep\n'
            self.ssh(node, "printf '%s' >/etc/apt/sources.list.d/third.list" % third.replace('\n', '\\n'))
            answer = self.succeed(node, channel='no-subscription')
            self.assertEqual(len(answer['warnings']), 1, answer)
            self.assertIn('http://third.example.org/x stable', answer['warnings'][0])
            self.assertEqual(self.ssh(node, 'cat /etc/apt/sources.list.d/third.list'), third)
        self.on_each_node(test)

    def test_while_another_program_holds_the_lists(self):
        hold = ("python3 -c 'import fcntl, time; f = open(\"/var/lib/apt/lists/lock\", \"w\"); fcntl.lockf(f, fcntl.LOCK_EX); "
                "open(\"/run/held\", \"w\"); time.sleep(600)' >/dev/null 2>&1 & echo $! >/run/holder; while [ ! -e /run/held ]; do sleep 0.05; done")
        self.ssh('pve8', hold)
        self.fail_without_a_trace('pve8', 'Could not get lock', 'run again when it has ended', channel='no-subscription')
        self.ssh('pve8', 'kill $(cat /run/holder)')
        self.succeed('pve8', channel='no-subscription')

    def test_upgraded_host_with_both_forms(self):
        one_line = ('deb http://ftp.debian.org/debian trixie main contrib\ndeb http://ftp.debian.org/debian trixie-updates main contrib\n'
                    'deb %s pve-no-subscription\n' % self.SIGNED)
        self.ssh('pve9', "printf '%s' >/etc/apt/sources.list" % one_line.replace('\n', '\\n'))
        answer = self.succeed('pve9', channel='no-subscription', debian_mirror='http://mirror.example.org/debian')
        self.assertTrue(answer['changed'])
        update = self.command('ssh', 'pve9', 'apt-get update')
        self.assertEqual((update.returncode, update.stderr), (0, b''), 'nothing is configured twice')
        self.assertEqual([source['file'] for source in answer['sources'] if source['archive'] == 'proxmox'], ['/etc/apt/sources.list'])

    def write_sources(self, node, **sources):
        """NAME=(URI, component[, keyring]): these in place of Proxmox's own sources. Returns the paths, with the line at which they begin."""
        folder, ending, form = '/etc/apt/sources.list.d/', 'list', 'deb [signed-by={2}] {0} {3} {1}'
        if node == 'pve9':
            ending, form = 'sources', 'Types: deb\\nURIs: {0}\\nSuites: {3}\\nComponents: {1}\\nSigned-By: {2}'
        script = 'cd %s && rm -f *enterprise* *ceph*\n' % folder
        for name, (uri, component, *keyring) in sources.items():
            script += "printf '%s\\n' >%s.%s\n" % (form.format(uri, component, (keyring or [KEYRINGS[node]])[0], NODES[node]), name, ending)
        self.ssh(node, script)
        return ['%s%s.%s:1' % (folder, name, ending) for name in sources]

    def test_two_keyrings_for_one_source(self):
        def test(node, suite):
            pve = 'http://download.proxmox.com/debian/pve'
            self.ssh(node, 'mkdir -p /etc/apt/keyrings && cp %s /etc/apt/keyrings/proxmox.gpg' % KEYRINGS[node])
            first, second = self.write_sources(node, a=(pve, 'pve-no-subscription'),
                                               b=(pve + '/', 'pve-no-subscription', '/etc/apt/keyrings/proxmox.gpg'))
            self.assertNotEqual(self.command('ssh', node, 'apt-get update').returncode, 0, 'APT reads nothing')
            words = ('%s and %s give %s %s two values of Signed-By' % (first, second, pve, suite), KEYRINGS[node], '/etc/apt/keyrings/proxmox.gpg')
            for check in (True, False):
                self.assertEqual(self.fail_without_a_trace(node, *words, channel='no-subscription', check=check)['steps'], [])
            # what it says to do helps
            self.write_sources(node, b=(pve + '/', 'pve-no-subscription'))
            self.succeed(node, channel='no-subscription')
            self.assertIn('pve-no-subscription', self.probes(node))
        self.on_each_node(test)

    def test_a_component_that_ceph_does_not_have(self):
        def test(node, suite):
            ceph, = self.write_sources(node, ceph=('http://download.proxmox.com/debian/ceph-' + CEPH[node], 'main'))
            answer = self.succeed(node, channel='no-subscription', ceph=CEPH[node])
            self.assertEqual(self.ssh(node, 'grep -c main %s || true' % ceph[:-2]), '1\n' if node == 'pve7' else '0\n')
            fault = ['%s: Ceph %s has no component main for %s, but enterprise, no-subscription, test' % (ceph, CEPH[node], suite)]
            self.assertEqual(answer.get('warnings', []), [] if node == 'pve7' else fault)
            self.assertIn('ceph-%s %s/%s' % (CEPH[node], suite, 'main' if node == 'pve7' else 'no-subscription'), self.probes(node))
            self.assertFalse(self.succeed(node, channel='no-subscription', ceph=CEPH[node])['changed'])
        self.on_each_node(test)

    def test_the_only_source_is_not_there(self):
        """Nothing is to be changed, and APT has read nothing yet: check mode says that it will be asked, the run what it found."""
        def test(node, suite):
            path = '/debian/pve/debian/pve'
            place, = self.write_sources(node, pve=('http://download.proxmox.com' + path, 'pve-no-subscription'))
            for check in (True, False):
                self.assertEqual(self.fail_without_a_trace(node, place + ': download.proxmox.com has no packages at ' + path,
                                                           channel='no-subscription', check=check)['steps'], [])
            for uri, why in (('http://mirror.example.org' + path, "goes on after 'pve', as if the path was there twice"),
                             ('http://mirror.example.org/nowhere/pve', "check the mirror's address")):
                place, = self.write_sources(node, pve=(uri, 'pve-no-subscription'))
                before = self.state(node)
                planned = self.run_module(node, check=True, channel='no-subscription')
                self.assertEqual((planned['changed'], planned['steps']), (True, ['run apt-get update']))
                self.assertEqual(self.state(node), before)
                for _ in range(2):
                    self.fail_without_a_trace(node, '%s (%s %s pve-no-subscription): 404' % (place, uri, suite), why, channel='no-subscription')
            self.write_sources(node, pve=('http://mirror.example.org/proxmox/pve', 'pve-no-subscription'))
            self.assertEqual(self.run_module(node, check=True, channel='no-subscription')['steps'], ['run apt-get update'])
            self.assertEqual(self.succeed(node, channel='no-subscription')['steps'], ['run apt-get update'])
            for check in (True, False):
                self.assertFalse(self.run_module(node, check=check, channel='no-subscription')['changed'])
        self.on_each_node(test)


if __name__ == '__main__':
    unittest.main()
