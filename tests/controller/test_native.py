#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Modules over real ssh with real Ansible: how many round trips, whose hands they pass through, and which way is taken when.
import pathlib
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab  # noqa: E402

SECRET = 'hush-hush'
FOLDER = '/var/lib/pve-gpu/bin'


def echo(**args):
    task = {key: args.pop(key) for key in list(args) if key in KEYWORDS}
    return {'name': 'echo', **task, 'pve.gpu.echo': {'log': '/starts', **args}}


KEYWORDS = {'loop', 'until', 'retries', 'delay', 'environment', 'become', 'become_user', 'become_method', 'become_flags', 'async', 'poll', 'no_log',
            'delegate_to', 'register', 'vars', 'ignore_errors', 'timeout', 'check_mode', 'diff', 'module_defaults', 'ignore_unreachable', 'connection'}


class Transport:
    """Mixed with TestCase once for each controller."""

    # What goes through parts of ansible-core that change from release to release: how a module is built and its arguments are made, what becomes
    # of its answer, and how options of a connection are told.
    BY_RELEASE = ('test_two_round_trips_then_one', 'test_noexec', 'test_check_diff_environment_defaults', 'test_no_log', 'test_vaulted_argument',
                  'test_delegated_to_a_host_with_other_settings', 'test_local_connection', 'test_sudo', 'test_async', 'test_kept_files',
                  'test_pipelining_of_the_user_by_host', 'test_crash_after_the_start')

    CONTROLLER = ''
    HOST = ''

    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory(prefix='pve-gpu-lab-')
        cls.addClassCleanup(work.cleanup)
        cls.work = pathlib.Path(work.name)
        cls.work.chmod(0o755)
        program = lab.build_standin(cls.work)
        cls.collections = lab.build_collection(program, cls.work / 'collections')
        cls.controller = lab.Controller(cls.CONTROLLER, 'controller', cls.work, cls.collections)
        cls.addClassCleanup(cls.controller.stop)
        cls.host = lab.Host(cls.HOST, 'host', cls.controller.key())
        cls.addClassCleanup(cls.host.stop)

    def setUp(self):
        self.host.forget()
        self.host.run(text=': >/starts; chmod 666 /starts')

    def where(self, user='root', **variables):
        return {'ansible_host': '127.0.0.1', 'ansible_port': self.host.port, 'ansible_user': user, **variables}

    def play(self, *tasks, user='root', warm=False, hosts=None, **kwargs):
        if warm:
            self.play(echo(), user=user, hosts=hosts)
            self.host.run(text=': >/starts')
        return self.controller.play(hosts or {'host': self.where(user)}, list(tasks), **kwargs)

    def ways(self, run):
        return [result.get('how') for result in run.results('ok')]

    # -- round trips

    def test_two_round_trips_then_one(self):
        run = self.play(echo(data=1), echo(data=2), echo(data=3))
        self.assertEqual(self.ways(run), ['staged'] * 3)
        self.assertEqual(len(run.ssh), 4, run.ssh)
        self.assertEqual(self.host.starts(), ['staged'] * 3)
        self.assertEqual(len(self.host.staged()), 1)
        self.assertEqual(len(self.play(echo()).ssh), 1)
        self.assertLess(self.play(echo()).inputs[0], 4096)

    def test_tampered_file_is_replaced_not_started(self):
        self.play(echo())
        name = self.host.staged()[0]
        # test_script.py has other changes
        for change in ('chmod 700 $f; printf X | dd of=$f bs=1 seek=5000 conv=notrunc status=none; chmod 500 $f',):
            with self.subTest(change=change):
                self.host.run(text=f'f={FOLDER}/{name}; {change}; : >/starts')
                run = self.play(echo())
                self.assertEqual((self.ways(run), len(run.ssh), self.host.starts()), (['staged'], 2, ['staged']))
                self.assertEqual(self.host.run(text=f'stat -c "%U %a %F" {FOLDER}/{name}').stdout, 'root 500 regular file\n')
                self.assertEqual(len(self.play(echo()).ssh), 1)

    def test_folder_that_others_can_change(self):
        self.play(echo())
        self.host.run(text=f'chmod 777 {FOLDER}; : >/starts')
        run = self.play(echo())
        self.assertEqual((self.ways(run), len(run.ssh), self.host.starts()), (['staged'], 1, ['staged']))    # nobody has changed it
        self.host.run(text=f'for f in {FOLDER}/*; do printf X >>$f; done; : >/starts')
        run = self.play(echo())
        self.assertEqual((self.ways(run), self.host.starts()), (['file'], ['file']))
        self.assertRegex(run.output.replace('\n', ' '), r'pve\.gpu on host: .*uploaded +for +every')

    def test_noexec(self):
        self.host.run(text=f'mkdir -p -m 700 {FOLDER}; mount -t tmpfs -o noexec,mode=700 tmpfs {FOLDER}')
        try:
            run = self.play(echo())
            self.assertEqual((self.ways(run), self.host.starts()), (['file'], ['file']))
            self.assertLess(run.inputs[0], 4096)    # found out without the executable
        finally:
            self.host.run(text=f'umount {FOLDER}')

    # -- what Ansible promises about every task

    def test_check_diff_environment_defaults(self):
        run = self.play(echo(check_mode=True, diff=True), echo(environment={'MARK': 'it\'s "here"', 'PATH': '/nowhere'}),
                        echo(module_defaults={'group/pve.gpu.gpu': {'data': 'of the group'}}),
                        echo(module_defaults={'pve.gpu.echo': {'data': 'of the module'}}),
                        {'name': 'short', 'echo': {'data': 'short name'}},
                        play={'collections': ['pve.gpu']})
        first, second, third, fourth, fifth = run.results('ok')
        self.assertEqual((first['check'], first['diff_mode']), (True, True))
        self.assertEqual((second['mark'], second['path'], second['check']), ('it\'s "here"', '/nowhere', False))
        self.assertIn('of the group', third['got'])
        self.assertIn('of the module', fourth['got'])
        self.assertIn('short name', fifth['got'])
        self.assertEqual(self.ways(run), ['staged'] * 5)

    def test_defaults_of_the_play_and_options_of_the_command_line(self):
        run = self.play(echo(), play={'module_defaults': {'group/pve.gpu.gpu': {'data': 'of the group'}}}, options=['--check', '--diff'])
        self.assertIn('of the group', run.result()['got'])
        self.assertEqual((run.result()['check'], run.result()['diff_mode']), (True, True))

    def test_no_log(self):
        run = self.play(echo(data=SECRET, no_log=True), echo(data=SECRET, no_log=True), options=['-vvvv'])
        self.assertNotIn(SECRET, run.output)
        self.assertEqual(self.host.starts(), ['staged'] * 2)

    def test_loops_and_retries(self):
        run = self.play(echo(loop=[1, 2, 3], data='{{ item }}'), echo(do='fail', until='false', retries=2, delay=0, register='r', ignore_errors=True))
        self.assertEqual(self.host.starts(), ['staged'] * 6)    # the second: once, and two retries
        self.assertEqual(len(run.ssh), 7)

    def test_big_and_odd_arguments(self):
        data = 'x' * 200000 + '\'"\\$(id)`id`\n{% raw %}{{ @ARGS@ }}{% endraw %} \u20ac'
        run = self.play(echo(data=data))
        self.assertIn('{{ @ARGS@ }} \\u20ac', run.result()['got'])
        self.assertEqual(self.ways(run), ['staged'])

    def test_vaulted_argument(self):
        (self.work / 'password').write_text('x\n')
        text = self.controller.run('ansible-vault', 'encrypt_string', '--vault-password-file', str(self.work / 'password'), SECRET).stdout
        play = self.work / 'vaulted.yml'
        play.write_text('- hosts: all\n  gather_facts: false\n  tasks:\n    - pve.gpu.echo:\n        log: /starts\n        data: '
                        + '\n'.join('            ' * bool(i) + line.strip() for i, line in enumerate(text.splitlines())))
        for env in ({}, {'ANSIBLE_KEEP_REMOTE_FILES': '1'}):    # either way
            self.play(book=play, env=env, options=['--vault-password-file', str(self.work / 'password')])
            self.assertIn(SECRET, (self.host.path / 'starts.args').read_text())    # not in the result: ansible-core 2.22 blackens it there
        self.assertEqual(self.host.starts(), ['staged', 'file'])

    def test_several_hosts_at_once(self):
        hosts = {f'h{i}': self.where() for i in range(8)}
        run = self.controller.play(hosts, [echo(), echo(), echo(delegate_to='h0')], options=['--forks', '8'])
        self.assertEqual(self.ways(run), ['staged'] * 24)
        self.assertEqual(self.host.starts(), ['staged'] * 24)
        self.assertEqual(len(self.host.staged()), 1)

    def test_delegated_to_a_host_with_other_settings(self):
        hosts = {'one': self.where(), 'two': self.where('alice', ansible_pipelining=False)}
        run = self.controller.play(hosts, [echo(delegate_to='two')], options=['--limit', 'one'])
        self.assertEqual(self.ways(run), ['file'])
        run = self.controller.play(hosts, [echo(delegate_to='one')], options=['--limit', 'two'])
        self.assertEqual(self.ways(run), ['staged'])

    def test_ad_hoc(self):
        run = self.play(adhoc=['-m', 'pve.gpu.echo', '-a', 'data=1 log=/starts'])
        self.assertEqual(self.ways(run), ['staged'])

    def test_module_path_without_the_collection(self):
        run = self.play(adhoc=['-M', f'{self.collections}/ansible_collections/pve/gpu/plugins/native', '-m', 'echo', '-a', 'data=1 log=/starts'])
        self.assertEqual((self.ways(run), run.result()['me']), (['file'], 'AnsiballZ_echo'))

    def test_local_connection(self):
        # ssh isn't there in the way: a folder of root and one of another user on the controller itself
        self.controller.run(text='rm -rf /var/lib/pve-gpu; id dave >/dev/null 2>&1 || useradd -m dave')
        run = self.play(echo(log='/dev/null'), echo(log='/dev/null'), echo(log='/dev/null', become=True, become_user='dave'),
                        hosts={'here': {'ansible_connection': 'local'}})
        self.assertEqual(self.ways(run), ['staged'] * 3)
        self.assertEqual([r['uid'] == 0 for r in run.results('ok')], [True, True, False])
        self.assertTrue((self.controller.path / 'home/dave/.cache/pve-gpu/bin').is_dir())
        self.assertEqual(run.ssh, [])

    # -- other users

    def test_sudo(self):
        run = self.play(echo(become=True), echo(become=True), echo(), echo(become=True, become_user='bob'), user='alice')
        self.assertEqual(self.ways(run), ['staged'] * 4)
        alice, bob = (int(self.host.run('id', '-u', user).stdout) for user in ('alice', 'bob'))
        self.assertEqual([r['uid'] for r in run.results('ok')], [0, 0, alice, bob])
        self.assertEqual(len(run.ssh), 2 + 1 + 2 + 2)
        for folder, owner in ((FOLDER, 'root'), ('/home/alice/.cache/pve-gpu/bin', 'alice'), ('/home/bob/.cache/pve-gpu/bin', 'bob')):
            self.assertEqual(self.host.run(text=f'stat -c "%U %a" {folder} {folder}/*').stdout, f'{owner} 700\n{owner} 500\n')

    def test_sudo_with_a_password(self):
        run = self.play(echo(become=True), echo(become=True), hosts={'host': self.where('carol', ansible_become_password=lab.Host.PASSWORD)})
        self.assertEqual((self.ways(run), [r['uid'] for r in run.results('ok')], len(run.ssh)), (['staged'] * 2, [0, 0], 3))

    def test_su_takes_the_ordinary_way(self):
        run = self.play(echo(become=True, become_method='su'), hosts={'host': self.where('alice', ansible_become_password=lab.Host.PASSWORD)})
        self.assertEqual((self.ways(run), self.host.starts()), (['file'], ['file']))

    def test_sudo_that_wants_a_terminal(self):
        self.host.run(text='echo "Defaults:alice requiretty" >/etc/sudoers.d/tty')
        try:
            run = self.play(echo(become=True), echo(become=True), user='alice')
            self.assertEqual((self.ways(run), self.host.starts()), (['file'] * 2, ['file'] * 2))
        finally:
            self.host.run(text='rm /etc/sudoers.d/tty')

    # -- the ordinary way

    def test_async(self):
        run = self.play(echo(**{'async': 30, 'poll': 1}))
        self.assertEqual(self.host.starts(), ['file'])
        self.assertEqual(run.result()['how'], 'file')

    def test_kept_files(self):
        self.assertEqual(self.ways(self.play(echo(), env={'ANSIBLE_KEEP_REMOTE_FILES': '1'})), ['file'])

    def test_terminal(self):
        for variables in ({'ansible_ssh_extra_args': '-o RequestTTY=force'}, {'ansible_ssh_extra_args': '-tt'})[:2 if lab.ALL else 1]:
            with self.subTest(variables=variables):
                self.setUp()
                run = self.play(echo(data=SECRET), hosts={'host': self.where(**variables)})
                self.assertEqual((self.ways(run), self.host.starts()), (['file'], ['file']))
                self.assertEqual(run.result()['msg'], 'ok')

    def test_pipelining_switched_off_by_the_user(self):
        for name, kwargs in {
            'environment': {'env': {'ANSIBLE_PIPELINING': '0'}}, 'play': {'play': {'vars': {'ansible_pipelining': False}}},
            'extra': {'options': ['-e', 'ansible_pipelining=false']},
        }.items():
            with self.subTest(name):
                self.assertEqual(self.ways(self.play(echo(), echo(), **kwargs)), ['file'] * 2)
        self.assertEqual(self.ways(self.play(echo(), env={'ANSIBLE_PIPELINING': '1'})), ['staged'])

    def test_pipelining_of_the_user_by_host(self):
        hosts = {'off': self.where(ansible_pipelining=False), 'ssh_off': self.where(ansible_ssh_pipelining=False),
                 'on': self.where(ansible_pipelining=True), 'unsaid': self.where()}
        run = self.play(echo(), echo(vars={'ansible_pipelining': False}), hosts=hosts)
        ways = {name: [r['result'].get('how') for r in run.records if r['host'] == name] for name in hosts}
        self.assertEqual(ways, {'off': ['file'] * 2, 'ssh_off': ['file'] * 2, 'on': ['staged', 'file'], 'unsaid': ['staged', 'file']})

    def test_host_without_python(self):
        self.host.run(text='mkdir /away; for f in /usr/bin/python3*; do mv $f /away/; done')
        try:
            run = self.play(echo(), echo(), user='root')
            self.assertEqual((self.ways(run), len(run.ssh)), (['staged'] * 2, 3))
            self.assertEqual(self.ways(self.play(echo(), env={'ANSIBLE_KEEP_REMOTE_FILES': '1'})), ['file'])
        finally:
            self.host.run(text='mv /away/* /usr/bin/; rmdir /away')

    # -- never twice

    def failure(self, run):
        results = [r['result'] for r in run.records if r['status'] in ('failed', 'unreachable')]
        self.assertEqual(len(results), 1, run.output)
        return results[0]

    def test_crash_after_the_start(self):
        for do in ('crash', 'silent'):
            with self.subTest(do=do):
                self.setUp()
                run = self.play(echo(do=do), check=False)
                self.assertIn('The module started but gave no answer', self.failure(run)['msg'])
                self.assertEqual(self.host.starts(), ['staged'])

    def test_silence_may_mean_a_start(self):
        run = self.play(echo(environment={'STANDIN_DEAF': '1'}), check=False)
        self.assertIn('The module may have started but gave no answer (exit code 3)', self.failure(run)['msg'])
        self.assertEqual(self.host.starts(), [])

    def test_task_that_takes_too_long(self):
        run = self.play(echo(do='sleep', timeout=10), warm=True, check=False)
        self.failure(run)
        self.assertEqual(self.host.starts(), ['staged'])

    def breaks(self, script):
        path = self.work / 'break.sh'
        path.write_text(script)
        return {'BREAK': str(path)}

    # what `ssh` does instead of ssh; its arguments are "$@". The first script is short, the second brings the executable.
    CUT = 'exec ssh "$@" < <(head -c 100000)\n'
    KILL = """mkfifo /tmp/pipe.$$; ssh "$@" </tmp/pipe.$$ & head -c 100000 >/tmp/pipe.$$
        [ $(cat | wc -c) = 0 ] || { sleep .3; kill $!; wait $!; exit 255; }; wait $!; exit\n"""

    def test_input_that_ends_in_mid_transfer(self):
        run = self.play(echo(), env=self.breaks(self.CUT), check=False)
        self.failure(run)
        self.assertEqual((self.host.starts(), self.host.staged()), ([], []))
        self.assertEqual(self.ways(self.play(echo())), ['staged'])

    def test_connection_that_breaks_in_mid_transfer(self):
        run = self.play(echo(), env=self.breaks(self.KILL), check=False)
        self.assertEqual(run.records[-1]['status'], 'unreachable', run.output)
        self.assertEqual((self.host.starts(), self.host.staged()), ([], []))
        self.assertEqual(self.ways(self.play(echo())), ['staged'])

    # ends the first connection as soon as the module runs
    DIE = ('if mkdir "$BREAK.once" 2>/dev/null; then exec 3<&0; ssh "$@" <&3 & '
           'until [ -e "$BREAK.started" ]; do sleep .1; done; kill $!; wait $!; exit 255; fi\n')

    def tells(self, path):
        """Makes the file when the module has started, or after ten minutes."""
        deadline = time.monotonic() + 600
        while not self.host.starts() and time.monotonic() < deadline:
            time.sleep(0.05)
        path.touch()

    def test_connection_that_breaks_after_the_start(self):
        self.play(echo())
        for retries in (0, 3):
            with self.subTest(retries=retries):
                self.host.run(text=': >/starts')
                environment, started = self.breaks(self.DIE), self.work / 'break.sh.started'
                watcher = threading.Thread(target=self.tells, args=(started,), daemon=True)
                watcher.start()
                run = self.controller.play({'host': self.where(ansible_ssh_retries=retries)}, [echo(do='sleep')], env=environment, check=False)
                watcher.join()
                started.unlink()
                failure = self.failure(run)
                self.assertEqual(self.host.starts(), ['staged'])
                if retries:
                    self.assertIn('was not run a second time', failure['msg'])
                else:
                    self.assertEqual(run.records[-1]['status'], 'unreachable')
                (self.work / 'break.sh.once').rmdir()


class Shipped:
    """The executable that travels, from each controller to each userland: the same answer whichever way it goes."""

    CONTROLLER = ''

    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory(prefix='pve-gpu-lab-')
        cls.addClassCleanup(work.cleanup)
        cls.work = pathlib.Path(work.name)
        cls.work.chmod(0o755)
        cls.controller = lab.Controller(cls.CONTROLLER, 'controller', cls.work, lab.build_collection(lab.shipped(), cls.work / 'collections'))
        cls.addClassCleanup(cls.controller.stop)

    def test_host_info(self):
        for root in lab.userlands():
            with self.subTest(root):
                host = lab.Host(root, pathlib.Path(root).name, self.controller.key())
                try:
                    self.ask(host)
                finally:
                    host.stop()

    def ask(self, host):
        where = {'host': {'ansible_host': '127.0.0.1', 'ansible_port': host.port, 'ansible_user': 'alice'}}
        task = {'name': 'host_info', 'pve.gpu.host_info': {}}
        run = self.controller.play(where, [{**task, 'become': True}, task, {**task, 'become': True}, task])
        self.assertEqual(len(run.ssh), 2 + 2 + 1 + 1)
        uploaded = self.controller.play(where, [{**task, 'become': True}, task], env={'ANSIBLE_KEEP_REMOTE_FILES': '1'})
        first, second, third, fourth = run.results('ok')
        self.assertEqual(first['host']['kernel']['release'], pathlib.Path('/proc/sys/kernel/osrelease').read_text().strip())
        self.assertEqual((first, second), (third, fourth))
        self.assertEqual([first, second], uploaded.results('ok'))


def load_tests(loader, standard, pattern):
    suite = unittest.TestSuite()
    reason = lab.why_not()
    for controller in lab.controllers():
        name = pathlib.Path(controller).name.replace('-', '_')
        for root in lab.hosts():
            case = type(f"{name}_to_{pathlib.Path(root).name.replace('-', '_')}", (Transport, unittest.TestCase), {'CONTROLLER': controller, 'HOST': root})
            suite.addTests(lab.tests(loader, unittest.skipIf(reason, reason)(case), Transport.BY_RELEASE))
        unbuilt = reason or (None if lab.shipped() else 'build/portable/pve-gpu is not built: ./dev build')
        case = type(f'{name}_shipped', (Shipped, unittest.TestCase), {'CONTROLLER': controller})
        suite.addTests(lab.tests(loader, unittest.skipIf(unbuilt, unbuilt)(case), ()))
    return suite


if __name__ == '__main__':
    unittest.main()
