#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# What the action plugin's shell script does on a host, without Ansible: whom it trusts, and that it starts a module once or not at all.
import concurrent.futures
import json
import os
import pathlib
import pty
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab  # noqa: E402

native = lab.native()
FOLDER = '/var/lib/pve-gpu/bin'


@unittest.skipIf(lab.why_not(), lab.why_not())
class Script(unittest.TestCase):
    SHELL = 'dash'

    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.work.cleanup)
        cls.executable = lab.build_standin(cls.work.name).read_bytes()
        cls.sum = native.hashlib.sha256(cls.executable).hexdigest()
        cls.node = lab.Node(lab.hosts()[0], 'script')
        cls.addClassCleanup(cls.node.stop)
        cls.node.run(text='useradd -m alice; useradd -m bob; chmod 755 /home/alice /home/bob')

    def setUp(self):
        self.node.run(text='umount /var/lib/pve-gpu 2>/dev/null; chmod 755 /var/lib; rm -rf /var/lib/pve-gpu /home/*/.cache /starts /elsewhere; '
                           ': >/starts; chmod 666 /starts')

    def feed(self, script, user='root', env=None):
        home = {'root': '/root'}.get(user, f'/home/{user}')
        environment = {'PATH': '/usr/bin:/bin', 'HOME': home, **(env or {})}
        process = self.node.start('/usr/bin/setpriv', '--reuid', user, '--regid', user, '--init-groups', '/usr/bin/env', '-i',
                                  *(f'{key}={value}' for key, value in environment.items()), f'/bin/{self.SHELL}',
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(script)
        return process.returncode, out.decode(), err.decode()

    def task(self, args=None, unpack=None, once=False, executable=None):
        executable = executable or self.executable
        return native.compose(native.hashlib.sha256(executable).hexdigest(), json.dumps({'log': '/starts', **(args or {})}), executable, unpack, once)

    def starts(self):
        return len((self.node.path / 'starts').read_text().splitlines())

    def answer(self, done):
        """the script's own word, or the module's answer"""
        lines = [line for line in done[1].splitlines() if line.startswith('{')]
        self.assertEqual(len(lines), 1, done)
        return json.loads(lines[0])

    def state(self, script, **kwargs):
        return self.answer(self.feed(script, **kwargs)).get(native.STATE)

    def stage(self, user='root'):
        answer = self.answer(self.feed(self.task(unpack='gzip'), user=user))
        self.assertEqual(answer.get('how'), 'staged', answer)
        (self.node.path / 'starts').write_text('')

    def sh(self, text):
        return self.node.run(text=text.replace('FOLDER', FOLDER).replace('SUM', self.sum)).stdout

    def refuses(self, state, **kwargs):
        """neither script starts anything, and both say why"""
        for unpack in (None, 'gzip'):
            self.assertEqual(self.state(self.task(unpack=unpack), **kwargs), state)
        self.assertEqual(self.starts(), 0)

    def replaces(self):
        """the file that is there is not started; it comes anew, and then the module runs"""
        self.assertEqual(self.state(self.task()), 'gzip')
        self.assertEqual(self.starts(), 0)
        self.assertEqual(self.answer(self.feed(self.task(unpack='gzip')))['how'], 'staged')
        self.assertEqual(self.starts(), 1)
        self.assertEqual(self.sh('stat -c "%U %a %F" FOLDER/SUM'), 'root 500 regular file\n')
        self.assertEqual(self.sh('sha256sum <FOLDER/SUM').split()[0], self.sum)

    def test_cold_then_warm(self):
        self.assertEqual(self.state(self.task()), 'gzip')
        self.assertEqual(self.sh('stat -c "%U %a" FOLDER FOLDER/..; ls -A FOLDER'), 'root 700\nroot 700\n')
        self.stage()
        self.assertEqual(self.sh('stat -c "%U %a" FOLDER/SUM; ls -A FOLDER'), f'root 500\n{self.sum}\n')
        code, out, err = self.feed(self.task())
        self.assertEqual((code, err), (0, ''))
        self.assertTrue(out.startswith('pve-gpu:started\n{'), out)
        self.assertEqual(self.starts(), 1)

    def test_other_users_have_their_own_folder(self):
        self.stage(user='alice')
        self.assertEqual(self.sh('stat -c "%U %a" /home/alice/.cache/pve-gpu/bin /home/alice/.cache/pve-gpu/bin/SUM; ls /var/lib/pve-gpu 2>&1 || true').split('\n')[:2],
                         ['alice 700', 'alice 500'])
        self.assertEqual(self.answer(self.feed(self.task(), user='alice'))['uid'], int(self.sh('id -u alice')))

    def test_exit_code_is_the_module_s(self):
        self.stage()
        self.assertEqual(self.feed(self.task({'do': 'fail'}))[0], 1)
        code, out, dummy = self.feed(self.task({'do': 'crash'}))
        self.assertIn((code, out), [(code, 'pve-gpu:started\n') for code in (134, -6)])    # of the shell, of the module in its place

    def test_arguments_arrive_as_they_are(self):
        self.stage()
        for data in ("it's", '"', '\\', '\n\t\x00', 'ä€😀\ud800', '$HOME `id` $(id)', '@SUM@ @ARGS@ @ID@', '%s%n', "'\n.\nmain\n", '-n', '{}', 'x' * 300000):
            code, out, err = self.feed(self.task({'data': data}))
            self.assertEqual((code, err), (0, ''))
            self.assertEqual(json.loads(self.answer((code, out, err))['got'])['data'], data)

    def test_tampered_file_is_replaced(self):
        self.stage()
        self.sh('chmod u+w FOLDER/SUM; printf X | dd of=FOLDER/SUM bs=1 seek=100000 conv=notrunc status=none; chmod 500 FOLDER/SUM')
        self.replaces()

    def test_truncated_file_is_replaced(self):
        self.stage()
        self.sh('truncate -s 1000 FOLDER/SUM')
        self.replaces()

    def test_foreign_file_is_replaced(self):
        self.stage()
        self.sh('chown alice FOLDER/SUM')
        self.replaces()

    def test_symbolic_link_is_replaced(self):
        self.stage()
        self.sh('mv FOLDER/SUM /elsewhere; ln -s /elsewhere FOLDER/SUM')
        self.replaces()

    def test_symbolic_link_to_a_folder_is_replaced(self):
        self.stage()
        self.sh('mkdir /elsewhere; rm FOLDER/SUM; ln -s /elsewhere FOLDER/SUM')
        self.replaces()
        self.assertEqual(self.sh('ls /elsewhere'), '')

    def test_wrong_mode_is_replaced(self):
        for mode in ('0700', '0520', '0502', '0400', '4500', '0555'):
            with self.subTest(mode=mode):
                self.setUp()
                self.stage()
                self.sh(f'chmod {mode} FOLDER/SUM')
                self.replaces()

    def test_folder_in_place_of_the_file(self):
        self.sh('mkdir -p -m 700 FOLDER FOLDER/..; mkdir FOLDER/SUM')
        for unpack in (None, 'gzip'):
            self.assertIn(self.state(self.task(unpack=unpack)), ('unsafe', 'no'))
        self.assertEqual((self.starts(), self.sh('ls -A FOLDER/SUM')), (0, ''))

    def test_unreadable_file_is_replaced(self):
        self.stage(user='alice')
        self.sh('chmod 0 /home/alice/.cache/pve-gpu/bin/SUM')
        self.assertEqual(self.state(self.task(), user='alice'), 'gzip')
        self.assertEqual(self.answer(self.feed(self.task(unpack='gzip'), user='alice'))['how'], 'staged')
        self.assertEqual(self.starts(), 1)

    def test_what_was_checked_is_what_starts(self):
        """Another file takes the place of the executable as soon as that is being checked."""
        self.stage()
        evil = '#!/bin/sh\necho evil >>/starts\n'
        for tool in ('sha256sum', 'stat'):
            for once in (False, True):
                with self.subTest(tool=tool, once=once):
                    self.sh(f'cp -p FOLDER/SUM /kept; printf %s {shlex.quote(evil)} >/evil; chmod 500 /evil; : >/starts')
                    self.sh(f'mv /usr/bin/{tool} /{tool}.away; printf "#!/bin/sh\\nmv -f /evil FOLDER/SUM 2>/dev/null; exec /{tool}.away \\"\\$@\\"\\n" >/usr/bin/{tool}; '
                            f'chmod 755 /usr/bin/{tool}')
                    try:
                        answer = self.answer(self.feed(self.task(once=once)))
                    finally:
                        self.sh(f'mv /{tool}.away /usr/bin/{tool}')
                    self.assertEqual(answer.get('how'), 'staged', answer)
                    self.assertEqual((self.node.path / 'starts').read_text().split()[:1], ['staged'])
                    self.assertEqual(self.sh('cat FOLDER/SUM'), evil)    # it had really been exchanged
                    self.sh(': >/starts')
                    self.replaces()

    # who can write to a folder can take the executable away, or put another one there
    OPEN = ('chmod 770 FOLDER', 'chmod 702 FOLDER', 'chmod 1777 FOLDER', 'chmod 720 FOLDER/..', 'chmod 777 /var/lib', 'chmod 1777 /var/lib',
            'chown bob FOLDER/..')

    def test_nothing_is_staged_where_others_can_change_it(self):
        firsts = ('rm FOLDER/SUM', 'chown bob FOLDER/SUM', 'chmod 502 FOLDER/SUM', 'truncate -s 1000 FOLDER/SUM')
        for number, change in enumerate(self.OPEN):
            for first in firsts if lab.ALL else (firsts[number % len(firsts)],):
                with self.subTest(change=change, first=first):
                    self.setUp()
                    self.stage()
                    self.sh(f'{first}; {change}')
                    self.refuses('unsafe')

    def test_what_is_staged_starts_wherever_it_is(self):
        for change in self.OPEN:
            with self.subTest(change=change):
                self.setUp()
                self.stage()
                self.sh(change)
                self.assertEqual(self.answer(self.feed(self.task()))['how'], 'staged')
                self.assertEqual(self.state(self.task(once=True)), 'unsafe')    # its mark could be taken away
                self.assertEqual(self.starts(), 1)

    def test_folder_of_somebody_else_is_refused(self):
        for change in ('chown bob FOLDER', 'mv FOLDER /elsewhere; ln -s /elsewhere FOLDER'):
            with self.subTest(change=change):
                self.setUp()
                self.stage()
                self.sh(change)
                self.refuses('unsafe')

    def test_folder_behind_a_link_is_judged_where_it_is(self):
        self.stage()
        self.sh('mv /var/lib/pve-gpu /elsewhere; ln -s /elsewhere /var/lib/pve-gpu')
        self.assertEqual(self.answer(self.feed(self.task()))['how'], 'staged')
        (self.node.path / 'starts').write_text('')
        self.sh('rm FOLDER/SUM; chmod 777 /elsewhere')
        self.refuses('unsafe')

    def test_without_proc(self):
        self.stage()
        self.sh('mkdir -p /elsewhere')
        script = b'umount -l /proc 2>/dev/null\n' + self.task(unpack='gzip')
        done = subprocess.run(['nsenter', '--target', self.node.pid, *lab.NAMESPACES, '--root', '--wd', 'unshare', '--mount', '--propagation', 'private',
                               f'/bin/{self.SHELL}'], input=script, stdout=subprocess.PIPE, env={'PATH': '/usr/sbin:/usr/bin:/bin', 'HOME': '/root'})
        self.assertEqual((json.loads(done.stdout)[native.STATE], self.starts()), ('no', 0))

    def test_a_user_s_cache_that_others_can_change_is_refused(self):
        self.sh('install -d -o alice -g alice -m 775 /home/alice/.cache')
        self.refuses('unsafe', user='alice')

    def test_home_of_somebody_else(self):
        self.sh('chmod 777 /home/bob')
        try:
            self.refuses('unsafe', user='alice', env={'HOME': '/home/bob'})
        finally:
            self.sh('chmod 755 /home/bob; rm -rf /home/bob/.cache')

    def test_no_home(self):
        for home in ('/nonexistent', ''):
            self.refuses('no', user='alice', env={'HOME': home})

    def test_noexec(self):
        self.sh('mkdir -m 700 /var/lib/pve-gpu; mount -t tmpfs -o mode=700,noexec tmpfs /var/lib/pve-gpu')
        self.assertEqual((self.state(self.task()), self.sh('ls -A FOLDER')), ('no', ''))
        self.refuses('no')

    def test_remounted_noexec(self):
        self.sh('mkdir -m 700 /var/lib/pve-gpu; mount -t tmpfs -o mode=700 tmpfs /var/lib/pve-gpu')
        self.stage()
        self.sh('mount -o remount,noexec /var/lib/pve-gpu')
        self.refuses('no')

    def test_read_only(self):
        self.sh('mkdir -m 700 /var/lib/pve-gpu; mount -t tmpfs -o mode=700 tmpfs /var/lib/pve-gpu; mkdir -m 700 FOLDER; mount -o remount,ro /var/lib/pve-gpu')
        self.refuses('no')
        self.sh('mount -o remount,rw /var/lib/pve-gpu')
        self.stage()
        self.sh('mount -o remount,ro /var/lib/pve-gpu')
        self.assertEqual(self.answer(self.feed(self.task()))['how'], 'staged')
        self.assertEqual(self.answer(self.feed(self.task(once=True)))['how'], 'staged')

    def test_full_disk(self):
        self.sh('mkdir -m 700 /var/lib/pve-gpu; mount -t tmpfs -o mode=700,size=64k tmpfs /var/lib/pve-gpu')
        self.assertEqual(self.state(self.task(unpack='gzip')), 'no')
        self.assertEqual((self.starts(), self.sh('ls -A FOLDER')), (0, ''))

    def test_without_gzip(self):
        gzip = self.sh('command -v gzip').strip()
        self.sh(f'mv {gzip} {gzip}.away')
        try:
            self.assertEqual(self.state(self.task()), 'cat')
            self.assertEqual(self.answer(self.feed(self.task(unpack='cat')))['how'], 'staged')
        finally:
            self.sh(f'mv {gzip}.away {gzip}')

    def test_without_a_tool_nothing_starts(self):
        for tool, staged in (('sha256sum', True), ('stat', True), ('sha256sum', False), ('mktemp', False), ('base64', False), ('mv', False)):
            with self.subTest(tool=tool, staged=staged):
                self.setUp()
                if staged:
                    self.stage()
                path = self.sh(f'command -v {tool}').strip()
                self.sh(f'cp -p {path} /{tool}.away; rm {path}')
                try:
                    for unpack in (None, 'gzip'):    # the first script tells it already, so that nothing is sent in vain
                        answer = self.answer(self.feed(self.task(unpack=unpack)))
                        self.assertEqual((answer[native.STATE], answer['msg']), ('lacks', f'the program {tool} is missing; install the package coreutils'))
                    self.assertEqual(self.starts(), 0)
                finally:
                    self.sh(f'cp -p /{tool}.away {path}')

    def test_path_of_the_task(self):
        self.stage()
        answer = self.answer(self.feed(self.task(), env={'PATH': '/nonexistent'}))
        self.assertEqual((answer['how'], answer['path']), ('staged', '/nonexistent'))

    def test_executable_that_cannot_start(self):
        broken = self.executable[:200]
        code, out, dummy = self.feed(self.task(unpack='gzip', executable=broken))
        self.assertIn(code, (126, 127))
        self.assertNotIn(native.STARTED, out)

    def test_others_go_after_a_day(self):
        self.stage()
        self.sh('cd FOLDER; touch -d "2 days ago" old .new.leftover; touch young; mv SUM gone; rm gone')
        self.assertEqual(self.answer(self.feed(self.task(unpack='gzip')))['how'], 'staged')
        self.assertEqual(sorted(self.sh('ls -A FOLDER').split()), sorted([self.sum, 'young']))

    def test_others_go_though_no_new_version_comes(self):
        self.stage()
        self.sh('cd FOLDER; touch -d "2 days ago" old .new.leftover; touch young; chmod 770 .')
        self.assertEqual(self.answer(self.feed(self.task()))['how'], 'staged')
        self.assertEqual(sorted(self.sh('ls -A FOLDER').split()), sorted([self.sum, 'young', 'old', '.new.leftover']))    # others could exchange what goes by name
        self.sh('chmod 700 FOLDER')
        self.assertEqual(self.answer(self.feed(self.task()))['how'], 'staged')
        self.assertEqual(sorted(self.sh('ls -A FOLDER').split()), sorted([self.sum, 'young']))

    def test_many_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda dummy: self.feed(self.task(unpack='gzip')), range(8)))
        self.assertEqual({self.answer(d)['how'] for d in done}, {'staged'})
        self.assertEqual((self.starts(), self.sh('ls -A FOLDER')), (8, self.sum + '\n'))

    def test_cut_off_anywhere_nothing_starts(self):
        self.stage()
        warm = self.task()
        for cut in [*range(0, len(warm) - 40, 61), *range(len(warm) - 40, len(warm) - 1)]:
            self.feed(warm[:cut])
            self.assertEqual(self.starts(), 0, warm[:cut][-40:])
        self.feed(warm[:-1])
        self.assertEqual(self.starts(), 1)

    def test_cut_off_while_the_executable_is_sent(self):
        bring = self.task(unpack='gzip')
        for cut in [*range(0, len(bring) - 2500, 50021), *range(len(bring) - 2500, len(bring) - 1, 211)]:
            self.feed(bring[:cut])
            self.assertEqual((self.starts(), self.sh('ls -A FOLDER 2>/dev/null || true')), (0, ''))

    def test_sent_twice_starts_once(self):
        self.stage()
        script = self.task(once=True)
        self.assertEqual(self.answer(self.feed(script))['how'], 'staged')
        self.assertEqual(self.state(script), 'again')
        self.assertEqual(self.starts(), 1)
        self.assertEqual(self.answer(self.feed(self.task(once=True)))['how'], 'staged')    # another task

    def test_terminal(self):
        self.stage()
        for unpack in (None, 'gzip'):
            master, slave = pty.openpty()
            process = self.node.start(f'/bin/{self.SHELL}', stdin=slave, stdout=slave, stderr=slave, env={'PATH': '/usr/bin:/bin', 'HOME': '/root'})
            os.close(slave)
            script, out = self.task({'secret': 'hush'}, unpack=unpack), b''
            while True:
                readable, dummy, dummy = select.select([master], [master] if script else [], [])
                try:
                    if readable:
                        out += os.read(master, 65536)
                    else:
                        script = script[os.write(master, script[:512]):]
                except OSError:    # EIO: the shell has gone
                    if readable:
                        break
                    script = b''
            process.wait()
            os.close(master)
            # The shell echoes the script and may print its prompt before the answer.
            answers = []
            for line in out.decode(errors='replace').splitlines():
                try:
                    answers.append(json.loads(line[line.index('{'):line.rindex('}') + 1])[native.STATE])
                except (ValueError, KeyError, TypeError):
                    pass
            self.assertIn('no', answers, out[-2000:])
            self.assertEqual(self.starts(), 0)


class Shellcheck(unittest.TestCase):
    @unittest.skipUnless(shutil.which('shellcheck'), 'needs shellcheck: apt-get install shellcheck')
    def test_scripts(self):
        for unpack in (None, 'gzip'):
            # SC2015: a && b || say ... is meant, and say ends the script
            done = subprocess.run(['shellcheck', '--shell', 'dash', '--exclude', 'SC2015', '-'], input=native.compose('0' * 64, '{}', b'', unpack, once=True),
                                  stdout=subprocess.PIPE)
            self.assertEqual(done.returncode, 0, done.stdout.decode())


class ScriptInBash(Script):
    SHELL = 'bash'
    # What a shell does with its input, its words and its processes; what the script asks of programs is the same in both.
    BY_SHELL = ('test_cold_then_warm', 'test_exit_code_is_the_module_s', 'test_arguments_arrive_as_they_are', 'test_what_was_checked_is_what_starts',
                'test_tampered_file_is_replaced', 'test_executable_that_cannot_start', 'test_sent_twice_starts_once', 'test_cut_off_anywhere_nothing_starts',
                'test_full_disk', 'test_no_home', 'test_path_of_the_task', 'test_terminal')


def load_tests(loader, standard, pattern):
    if lab.ALL:
        return standard
    in_bash = [ScriptInBash(name) for name in ScriptInBash.BY_SHELL]
    return unittest.TestSuite([loader.loadTestsFromTestCase(Script), loader.loadTestsFromTestCase(Shellcheck), *in_bash])


if __name__ == '__main__':
    unittest.main()
