#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The real executable: whatever comes in, one JSON object on one line goes out, and no secret.
"""PVE_GPU_BINARY_DIR: the build directory. PVE_GPU_SEED, PVE_GPU_INPUTS: to repeat or shorten the generated part."""
import concurrent.futures
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BINARY_DIR = os.environ.get('PVE_GPU_BINARY_DIR', os.path.join(os.path.dirname(__file__), '..', '..', 'build', 'dev'))
EXECUTABLE = os.path.join(BINARY_DIR, 'pve-gpu')
MADE_UP = os.path.join(BINARY_DIR, 'tests', 'pve-gpu-made-up')
SEED = int(os.environ.get('PVE_GPU_SEED', '20260101'))
INPUTS = int(os.environ.get('PVE_GPU_INPUTS') or (10000 if os.environ.get('PVE_GPU_TEST_ALL') else 3000))
STARTED = b'pve-gpu:started\n'
# Leaks are looked for by the C++ tests; looking for them here costs 20 ms a run.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS='detect_leaks=0')
MASK = '********'


class Run:
    """One execution: standard output, standard error, exit code (negative: killed by that signal)."""

    def __init__(self, argv, stdin=b'', executable=None, close=(), stdout_path=None):
        files = [open(os.memfd_create('pve-gpu-test'), 'w+b') for _ in range(3)]  # pylint: disable=consider-using-with
        files[0].write(stdin)
        files[0].seek(0)
        actions = [(os.POSIX_SPAWN_DUP2, files[number].fileno(), number) for number in range(3)]
        if stdout_path:
            actions.append((os.POSIX_SPAWN_OPEN, 1, stdout_path, os.O_WRONLY, 0))
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in close]
        self.code = exit_code(os.posix_spawn(executable or argv[0], argv, ENVIRONMENT, file_actions=actions))
        files[1].seek(0)
        self.out = files[1].read()
        files[2].seek(0)
        self.err = files[2].read()
        for file in files:
            file.close()


def exit_code(pid, seconds=600):
    """A hang is a failure, not a test that never ends."""

    def hangs(*_):
        os.kill(pid, signal.SIGKILL)
        raise AssertionError('it hangs')

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        signal.alarm(0)


def fault_of(run, staged=False, secrets=()):
    """What is wrong with the way a run answered, or None; the answer."""
    if run.code < 0:
        return 'killed by signal %d: %r' % (-run.code, run.err[-2000:]), None
    if b'Sanitizer' in run.err or b'runtime error' in run.err:
        return run.err.decode(errors='replace')[-3000:], None
    out = run.out
    if staged:
        if not out.startswith(STARTED):
            return 'it does not say that it started: %r' % out[:200], None
        out = out[len(STARTED):]
    if out.count(b'\n') != 1 or not out.endswith(b'\n'):
        return 'not one line: %r' % out[:300], None
    try:
        answer = json.loads(out.decode('utf-8'), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    except ValueError as error:
        return 'not JSON (%s): %r' % (error, out[:300]), None
    if not isinstance(answer, dict):
        return 'not an object: %r' % out[:300], None
    if bool(answer.get('failed')) != (run.code != 0):
        return 'exit code %d for %r' % (run.code, out[:300]), None
    if answer.get('failed') and not answer.get('msg'):
        return 'a failure without a message: %r' % out[:300], None
    for secret in secrets:
        if secret.encode() in run.out or secret.encode() in run.err:
            return 'it tells the secret %r: %r' % (secret, (run.out + run.err)[:600]), None
    return None, answer


class Generator:
    """Inputs that callers should not send, made from ones that they may."""

    def __init__(self, seed, directory):
        self.random = random.Random(seed)
        self.directory = directory
        self.kinds = [self.valid, self.truncated, self.flipped, self.garbage, self.wrong_types, self.unknown_keys, self.invalid_utf8,
                      self.nul, self.duplicate_keys, self.numbers, self.not_an_object, self.deep, self.large, self.spaced, self.escaped]
        self.weights = [80, 120, 120, 80, 120, 80, 80, 60, 60, 60, 40, 20, 5, 30, 40]

    def secret(self):
        return 's3cr3t-%08x' % self.random.getrandbits(32)

    def arguments(self, kind, module, secrets):
        """Valid arguments, some of them secret."""
        r = self.random
        secrets += [self.secret() for _ in range(3)]
        args = {'_ansible_module_name': r.choice(['pve.gpu.', 'ansible.legacy.', '']) + module, '_ansible_check_mode': True,
                '_ansible_diff': r.random() < 0.5, '_ansible_no_log': r.random() < 0.98, '_ansible_version': '2.19.0'}
        args['what'] = r.choice(['nothing', 'fail', 'crash_planner', 'tell_everything'])
        args['text'] = r.choice(['', 'text', 'ünïcödé \U0001f600', 'line\nbreak'])
        if r.random() < 0.9:
            args[r.choice(['password', 'pass'])] = secrets[0]
            if kind in (self.valid, self.truncated, self.spaced, self.large, self.unknown_keys):  # those leave the password as it is
                args['text'] = r.choice([args['text'], 'with %s in it' % secrets[0]])
        if r.random() < 0.5:
            args['tokens'] = r.choice([secrets[1:], ','.join(secrets[1:])])
        if r.random() < 0.5:
            args['list'] = r.choice([['a', 1, True], 'a,b', []])
        if r.random() < 0.3:
            args['items'] = [{'name': 'x', 'number': '7', 'key': secrets[1]}]
        if r.random() < 0.2:
            args['flag'] = r.choice([True, 'yes', 0])
        return args

    def text(self, args):
        return json.dumps(args, ensure_ascii=self.random.random() < 0.5).encode()

    def valid(self, args):
        return self.text(args)

    def truncated(self, args):
        text = self.text(args)
        return text[:self.random.randrange(len(text))]

    def flipped(self, args):
        text = bytearray(self.text(args))
        for _ in range(self.random.randint(1, 4)):
            text[self.random.randrange(len(text))] = self.random.randrange(256)
        return bytes(text)

    def garbage(self, _):
        return self.random.randbytes(self.random.choice([0, 1, 10, 1000]))

    def wrong_types(self, args):
        values = [None, True, 0, -1, 1.5, '', 'x', [], {}, [[]], [None], {'a': {'b': [1]}}, 'a,b', [{}], [{'name': 1}], '{"a": 1}', 1e308]
        for key in self.random.sample(sorted(args), min(len(args), self.random.randint(1, 4))):
            if key not in ('_ansible_check_mode',):
                args[key] = self.random.choice(values)
        return self.text(args)

    def unknown_keys(self, args):
        for _ in range(self.random.randint(1, 3)):
            args[self.random.choice(['', 'passwrod', 'x' * 5000, 'Password', '_ansible', 'ansible_x', 'päss', '\n'])] = self.random.choice([1, 'x', None])
        return self.text(args)

    def invalid_utf8(self, args):
        text = self.text(args)
        at = self.random.randrange(len(text))
        return text[:at] + self.random.choice([b'\xff', b'\xc0\x80', b'\xed\xa0\x80', b'\xf8\x88\x80\x80\x80', b'\x80']) + text[at:]

    def nul(self, args):
        text = self.text(args)
        at = self.random.randrange(len(text))
        return self.random.choice([text[:at] + b'\0' + text[at:], text + b'\0', text.replace(b'text', b'te\\u0000xt')])

    def duplicate_keys(self, args):
        text = self.text(args)
        return text[:-1] + b', ' + self.text(dict(self.random.sample(sorted(args.items(), key=lambda i: i[0]), 3)))[1:]

    def numbers(self, args):
        text = self.text(dict(args, number='NUMBER'))
        return text.replace(b'"NUMBER"', self.random.choice([b'1e999', b'-1e999', b'NaN', b'Infinity', b'0x10', b'01', b'1.', b'.5', b'-', b'--1',
                                                             b'9' * 400, b'9223372036854775808', b'-9223372036854775809', b'1e-400', b'-0']))

    def not_an_object(self, _):
        return self.random.choice([b'[]', b'null', b'true', b'1', b'"text"', b'[{"password": "x"}]', b'', b' ', b'\n', b'{}{}', b'\xef\xbb\xbf[]'])

    def deep(self, args):
        depth = self.random.choice([63, 64, 65, 1000, 100000])
        opening, closing = self.random.choice([(b'[', b']'), (b'{"a":', b'}')])
        nested = opening * depth + b'1' + closing * (depth if self.random.random() < 0.5 else 0)
        return self.random.choice([nested, self.text(dict(args, text='NESTED')).replace(b'"NESTED"', nested)])

    def large(self, args):
        size = self.random.choice([100000, 1000000])
        kind = self.random.randrange(3)
        if kind == 0:
            args['text'] = 'x' * size
        elif kind == 1:
            args['list'] = ['y'] * (size // 10)
        else:
            args.update({'key%d' % n: n for n in range(size // 100)})
        return self.text(args)

    def spaced(self, args):
        return b' \n\t' * 100 + self.text(args).replace(b', ', b'\n,\r\n ') + b'\n' * 100

    def escaped(self, args):
        return self.text(args).replace(b'text', self.random.choice([b'\\ud800', b'\\udc00\\ud800', b'\\uZZZZ', b'\\x41', b'\\', b'\\u0000', b'\\u00e9']))

    def empty(self, _):
        return self.random.choice([b'', b' ', b'\n'])

    def next(self):
        """argv, executable, standard input, staged?, secrets, kind of input."""
        r = self.random
        module, program = r.choices([('information', MADE_UP), ('secretive', MADE_UP), ('host_info', EXECUTABLE)], [80, 10, 10])[0]
        secrets = []
        kind = r.choices(self.kinds, self.weights)[0]
        args = self.arguments(kind, module, secrets)
        if module == 'host_info':  # has no parameters
            args = {key: value for key, value in args.items() if key.startswith('_')}
        elif kind == self.flipped:  # a flipped letter must not turn a question into a change
            args['what'] = 'tell_everything'
        text = kind(args)
        way = r.randrange(5)
        if way in (0, 1, 2):
            path = os.path.join(self.directory, 'args-%d' % r.randrange(8))
            with open(path, 'wb') as file:
                file.write(text)
        if way == 0:
            return [program, path], None, b'', False, secrets, kind
        if way == 1:
            return [program, module, path], None, b'', False, secrets, kind
        if way == 2:
            return [os.path.join(self.directory, 'AnsiballZ_' + module), path], program, b'', False, secrets, kind
        if way == 3:  # by hand, no input means no parameters
            return [program, module, '-'], None, text, False, secrets, kind if text.strip() else self.empty
        return [program, '--staged'], None, text, True, secrets, kind


def try_inputs(seed, inputs):
    """Runs in a process of its own; what was wrong, and how often each kind of input failed or was done."""
    faults, counts = [], {}
    with tempfile.TemporaryDirectory() as directory:
        generator = Generator(seed, directory)
        for number in range(inputs):
            argv, executable, stdin, staged, secrets, kind = generator.next()
            try:
                fault, answer = fault_of(Run(argv, stdin, executable), staged, secrets)
            except AssertionError as error:
                fault, answer = str(error), None
            outcome = kind.__name__, 'failed' if answer and answer.get('failed') else 'done'
            counts[outcome] = counts.get(outcome, 0) + 1
            if fault:
                faults.append('seed %d, input %d (%s, %s): %s' % (seed, number, kind.__name__, argv[1:], fault))
            if len(faults) >= 5:
                break
    return faults, counts


class Generated(unittest.TestCase):
    def test_any_input_gets_one_json_object(self):
        begin = time.monotonic()
        faults, counts = [], {}
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            for some_faults, some_counts in pool.map(try_inputs, (SEED, SEED + 1), (INPUTS // 2, INPUTS - INPUTS // 2)):
                faults += some_faults
                for outcome, count in some_counts.items():
                    counts[outcome] = counts.get(outcome, 0) + count
        self.assertEqual(faults, [])
        self.assertEqual(sum(counts.values()), INPUTS)
        for kind in ('truncated', 'garbage', 'not_an_object'):
            self.assertGreater(counts.get((kind, 'failed'), 0), 0)
            self.assertNotIn((kind, 'done'), counts)
        self.assertGreater(counts.get(('valid', 'done'), 0), 0)
        print('protocol: seed %d, %d inputs in %.0f s: %s' % (SEED, INPUTS, time.monotonic() - begin, ', '.join(
            '%s %s %d' % (kind, outcome, count) for (kind, outcome), count in sorted(counts.items()))), file=sys.stderr)


class Ways(unittest.TestCase):
    """How a run is asked for, and what can be wrong with that."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def file(self, content, name='args.json', mode=0o600):
        path = os.path.join(self.directory, name)
        with open(path, 'wb') as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        os.chmod(path, mode)
        return path

    def answer(self, *argv, stdin=b'', staged=False, secrets=(), executable=None, **more):
        run = Run([MADE_UP, *argv] if executable is None else list(argv), stdin, executable, **more)
        fault, answer = fault_of(run, staged, secrets)
        self.assertIsNone(fault)
        return answer

    def refused(self, *argv, **more):
        answer = self.answer(*argv, **more)
        self.assertTrue(answer.get('failed'), answer)
        return answer['msg']

    def test_all_ways_give_the_same_answer(self):
        args = {'what': 'tell_everything', 'text': 'hello', '_ansible_module_name': 'pve.gpu.information'}
        path, text = self.file(args), json.dumps(args).encode()
        expected = self.answer(path)
        self.assertEqual(expected['said'], 'hello')
        self.assertEqual(self.answer('information', path), expected)
        self.assertEqual(self.answer('information', '-', stdin=text), expected)
        self.assertEqual(self.answer('information', stdin=text), expected)
        self.assertEqual(self.answer('--staged', stdin=text, staged=True), expected)
        self.assertEqual(self.answer('/x/AnsiballZ_information', path, executable=MADE_UP), expected)
        self.assertEqual(self.answer('/x/information', path, executable=MADE_UP), expected)
        self.assertEqual(self.answer('AnsiballZ_information', executable=MADE_UP, stdin=text), expected)

    def test_name_on_the_command_line_is_stronger_than_the_arguments(self):
        path = self.file({'_ansible_module_name': 'pve.gpu.secretive', '_ansible_check_mode': True})
        self.assertIn('steps', self.answer(path))
        self.assertNotIn('steps', self.answer('information', path))

    def test_file_that_is_missing_a_directory_or_unreadable(self):
        self.assertIn('/none/args', self.refused('/none/args'))
        self.assertIn(self.directory, self.refused(self.directory))
        self.assertIn('/none/args', self.refused('information', '/none/args'))
        self.refused('information', '/dev/null')
        self.refused('/proc/self/mem')
        self.refused('')
        self.refused('information', '')
        if os.geteuid() != 0:
            self.assertIn('Permission denied', self.refused(self.file({}, mode=0)))

    def test_which_module(self):
        self.assertIn('_ansible_module_name', self.refused(self.file({})))
        self.assertIn('no module', self.refused(self.file({'_ansible_module_name': 'pve.gpu.none'})))
        self.refused(self.file({'_ansible_module_name': 'pve.gpu.'}))
        self.refused(self.file({'_ansible_module_name': ['information']}))
        message = self.refused(self.file({'_ansible_module_name': 'x' * 100000}))
        self.assertLess(len(message), 500)

    def test_words_that_are_no_arguments(self):
        self.refused('--nonsense')
        self.refused('x' * 100000)
        self.refused(b'\xff\xfe'.decode('utf-8', 'surrogateescape'))
        self.assertIn('one file of arguments', self.refused('information', self.file({}), 'and', 'more'))
        self.assertIn('one file of arguments', self.refused('information', '--recorded'))

    def test_standard_input_closed_or_a_directory(self):
        self.refused('information', '-', close=(0,))
        self.refused('--staged', close=(0,), staged=True)
        # With standard input closed the arguments file gets its number: nothing may mix them up.
        self.assertFalse(self.answer('information', self.file({}), close=(0,)).get('failed'))
        self.assertFalse(self.answer('information', self.file({}), close=(0, 2)).get('failed'))

    def test_answer_that_can_not_be_written_is_a_failure(self):
        for more in ({'close': (1,)}, {'stdout_path': '/dev/full'}):
            run = Run([MADE_UP, 'information', self.file({})], **more)
            self.assertGreater(run.code, 0, more)

    def test_reader_that_goes_away(self):
        read, write = os.pipe()
        os.close(read)
        pid = os.posix_spawn(MADE_UP, [MADE_UP, 'information', self.file({'text': 'x'})], ENVIRONMENT,
                             file_actions=[(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_CLOSE, write)])
        os.close(write)
        self.assertEqual(exit_code(pid), 1)

    def test_arguments_that_are_too_large(self):
        path = os.path.join(self.directory, 'huge')
        with open(path, 'wb') as file:
            file.truncate(65 << 20)
        self.refused(path)
        self.assertIn('larger than 64 MiB', self.refused('information', '-', stdin=b' ' * (65 << 20)))

    def test_wrong_spelling_of_check_mode_is_no_run(self):
        for flag in ('maybe', [], 2, {}):
            path = self.file({'what': 'write', 'path': os.path.join(self.directory, 'x'), 'text': 'x', '_ansible_check_mode': flag})
            self.assertIn('_ansible_check_mode', self.refused('secretive', path))
        self.assertFalse(os.path.exists(os.path.join(self.directory, 'x')))

    def test_check_mode_writes_nothing(self):
        target = os.path.join(self.directory, 'x')
        args = {'what': 'write', 'path': target, 'text': 'x\n', '_ansible_check_mode': True, '_ansible_diff': True}
        answer = self.answer('secretive', self.file(args))
        self.assertTrue(answer['changed'])
        self.assertEqual(answer['diff'][0]['after'], 'x\n')
        self.assertFalse(os.path.exists(target))

    def test_keys_that_are_nearly_ansibles_are_refused_by_hand(self):
        target = os.path.join(self.directory, 'x')
        wish = {'what': 'write', 'path': target, 'text': 'x'}
        for key in ('_ansible_checkmode', '_ansible_check', '_ansible_Check_mode', '_ansible_'):
            self.assertIn("there is no key '%s'; by hand there are: _ansible_check_mode," % key, self.refused('secretive', self.file({**wish, key: True})))
        self.refused('secretive', self.file({**wish, 'items': [{'name': 'x', '_ansible_check_mode': True}], '_ansible_version': '2.19.0'}))
        self.assertFalse(os.path.exists(target))
        newer = {'_ansible_version': '2.30.0', '_ansible_module_name': 'pve.gpu.information', '_ansible_new': {'a': 1}}    # as Ansible calls
        self.assertFalse(self.answer(self.file(newer)).get('failed'))

    def test_arguments_through_a_pipe(self):
        read, write = os.pipe()
        os.write(write, b'{"what": "tell_everything", "text": "hello"}')
        os.close(write)
        os.set_inheritable(read, True)
        try:
            self.assertEqual(self.answer('information', '/proc/self/fd/%d' % read)['said'], 'hello')
        finally:
            os.close(read)

    def test_long_values_are_not_echoed_whole(self):
        long = 'x' * 100000
        for args in ({'text': long}, {'list': [long]}, {'list': ['0000:41:00.0'] * 8000}, {'path': long, 'what': 'write'}, {'what': long}, {long: 1}):
            run = Run([MADE_UP, 'secretive', '-'], json.dumps(dict(args, _ansible_check_mode=True)).encode())
            self.assertIsNone(fault_of(run)[0])
            self.assertLess(len(run.out), 20000, str(args)[:50])
        self.assertIn('[100000 bytes in all]', self.answer('information', self.file({'text': long}))['invocation']['module_args']['text'])

    def test_commands_of_the_executable(self):
        run = Run([EXECUTABLE, '--list'])
        self.assertEqual(run.code, 0)
        names = run.out.decode().split()
        self.assertEqual(names, sorted(set(names)))
        for name in names:
            described = Run([EXECUTABLE, '--describe', name])
            self.assertEqual(described.code, 0)
            self.assertEqual(json.loads(described.out)['DOCUMENTATION']['module'], name)
        self.assertRegex(Run([EXECUTABLE, '--version']).out.decode(), r'\Apve-gpu \d+\.\d+\.\d+\n\Z')
        for words in (['--describe'], ['--describe', 'none'], ['--describe', names[0], 'more'], []):
            run = Run([EXECUTABLE, *words])
            self.assertEqual(run.code, 2, words)
            self.assertEqual(run.out, b'')
            self.assertTrue(run.err)
        self.assertEqual(Run([EXECUTABLE, '--help']).code, 0)

    def test_real_module_answers_on_any_machine(self):
        run = Run([EXECUTABLE, 'host_info', '-'], b'{"_ansible_no_log": true}')
        fault, _ = fault_of(run)
        self.assertIsNone(fault)


class Surroundings(unittest.TestCase):
    """What a parent process, other users or a broken disk put in the way, each in a mount namespace of its own."""

    def setUp(self):
        if subprocess.run(['unshare', '--mount', 'true'], capture_output=True, check=False).returncode != 0:
            self.skipTest('needs a mount namespace (root)')

    def answer(self, args, prepare='', executable=MADE_UP, module='secretive', start=''):
        script = ('set -e; for place in /run /var/lib; do mount -t tmpfs -o mode=755 none $place; done; mkdir -m 700 /var/lib/pve-gpu\n%s\n'
                  'exec %s "$0" "$1" -' % (prepare, start))
        done = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, executable, module], capture_output=True, timeout=60,
                              input=json.dumps(args).encode(), check=False, env=ENVIRONMENT)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)

    def test_parent_that_ignores_or_blocks_signals(self):
        for start in ('', 'env --ignore-signal=CHLD', 'env --block-signal', 'env --ignore-signal'):
            self.assertIn('run false: exit code 1', self.answer({'what': 'run_false'}, start=start)['msg'], start)

    def test_no_file_is_waited_for(self):
        state = '/var/lib/pve-gpu/'
        for make, kind in (('mkfifo', 'a FIFO'), ('mknod -m 600 %s c 1 5; true', 'a device')):
            for path in ('/run/target', '/run/pve-gpu.lock', state + 'pending/0.json'):
                command = make % path if '%' in make else '%s -m 600 %s' % (make, path)
                msg = self.answer({'what': 'write', 'path': '/run/target', 'text': 'x'}, 'mkdir -m 700 %spending; %s' % (state, command))['msg']
                self.assertIn(path, msg)
                self.assertTrue(kind in msg or 'is neither a file' in msg, msg)
        # the boot loaders' files, as a real module reads them
        for path in ('/etc/kernel/cmdline', '/etc/default/grub', '/etc/default/grub.d/x.cfg'):
            prepare = 'mount -t tmpfs none /etc; mkdir -p /etc/kernel /etc/default/grub.d; >/etc/default/grub; rm -f %s; mkfifo %s' % (path, path)
            if 'kernel' in path:
                prepare += '; echo x >/etc/kernel/proxmox-boot-uuids; rm -r /etc/default; mkdir -p /run/none'
            answer = self.answer({'parameters': ['quiet'], '_ansible_check_mode': True}, prepare, EXECUTABLE, 'kernel_cmdline')
            self.assertTrue(answer.get('failed'), (path, answer))

    def test_state_of_others_is_refused(self):
        record = '{"follow_up":{"kind":"program","argv":["touch","/run/evil"],"when":"now","on_failure":"keep_pending","rank":1,"timeout":9,"data":null},'\
                 '"modules":["secretive"],"put_off":false,"images":[]}'
        path = '/var/lib/pve-gpu/pending/%s.json' % hashlib.sha256(b'program\x1ftouch\x1f/run/evil').hexdigest()[:16]
        make = "mkdir -m 700 /var/lib/pve-gpu/pending; echo '%s' >%s; chmod 600 %s\n" % (record, path, path)
        self.assertEqual(self.answer({}, make)['steps'], ['run touch /run/evil'])
        for change in ('chown 1000 ' + path, 'chmod 622 ' + path, 'chmod 777 /var/lib/pve-gpu',
                       'chown 1000 /var/lib/pve-gpu/pending', 'mv /var/lib/pve-gpu /run/x; ln -s /run/x /var/lib/pve-gpu'):
            answer = self.answer({}, make + change)
            self.assertIn('not trusted', answer.get('msg', ''), change)
            self.assertEqual(answer['steps'], [])

    def test_state_directory_that_is_a_mount_point(self):
        answer = self.answer({}, 'mount -t tmpfs -o mode=700 none /var/lib/pve-gpu')
        self.assertFalse(answer.get('failed'), answer)


class Secrets(unittest.TestCase):
    """A secret is told by nothing: not by results, warnings, diffs, errors, crashes, standard error."""

    def ask(self, args, secrets):
        run = Run([MADE_UP, 'secretive', '-'], json.dumps(dict(args, _ansible_check_mode=True, _ansible_diff=True, _ansible_no_log=True)).encode())
        fault, answer = fault_of(run, secrets=secrets)
        self.assertIsNone(fault)
        return answer

    def test_wherever_a_module_puts_it(self):
        for what in ('tell_everything', 'fail', 'crash_planner', 'write'):
            answer = self.ask({'what': what, 'path': '/etc/none', 'text': 'in hunter2 text', 'password': 'hunter2', 'tokens': ['tok1', 'tok2'],
                               'items': [{'name': 'x', 'key': 'nested1'}]}, ['hunter2', 'tok1', 'tok2', 'nested1'])
            self.assertEqual(bool(answer.get('failed')), what in ('fail', 'crash_planner'))
            self.assertIn(MASK, json.dumps(answer))

    def test_in_arguments_that_are_wrong(self):
        for args in ({'password': {'a': 'hunter2'}}, {'password': ['hunter2']}, {'tokens': [['hunter2']]}, {'tokens': {'hunter2': 'hunter2'}},
                     {'password': 'hunter2', 'number': 'hunter2'}, {'password': 'hunter2', 'what': 'hunter2'},
                     {'items': [{'key': 'hunter2', 'nme': 1}]}, {'items': [{'key': ['hunter2']}]}, {'items': ['hunter2']}, {'items': {'key': 'hunter2'}},
                     {'password': 'hunter2', 'hunter2': 1}, {'pass': 'hunter2', 'list': {'hunter2': 1}}):
            self.assertTrue(self.ask(args, ['hunter2']).get('failed'), args)

    def test_both_spellings_of_one_parameter(self):
        self.ask({'what': 'tell_everything', 'password': 'hunter2', 'pass': 'hunter3', 'text': 'hunter2 hunter3'}, ['hunter2', 'hunter3'])

    def test_secrets_of_awkward_kinds(self):
        for secret in ('failed', 'changed', 'msg', 'true', 'a', '{', '"', '\\', '\n', ':', ',', ' ', '*', MASK, 'ü', '\u0000x', '1', 'x' * 100000,
                       'VALUE_SPECIFIED_IN_NO_LOG_PARAMETER', 12345, 1.5, True, 'se"cret\\with\nall'):
            for what in ('tell_everything', 'fail', 'crash_planner'):
                long_enough = [secret] if isinstance(secret, str) and len(secret) > 6 and secret not in (MASK, 'changed') else []
                if secret == 'VALUE_SPECIFIED_IN_NO_LOG_PARAMETER':
                    long_enough = []
                answer = self.ask({'what': what, 'text': 'plain', 'password': secret}, long_enough)
                self.assertIn('changed', answer)
                if secret != '\u0000x':
                    self.assertEqual(bool(answer.get('failed')), what != 'tell_everything', (secret, what, answer))

    def logged(self, **arguments):
        """What reaches syslog(3), read off the socket it writes to."""
        if subprocess.run(['unshare', '--mount', 'true'], capture_output=True, check=False).returncode != 0:
            self.skipTest('needs a mount namespace (root) to put a socket at /dev/log')
        script = (
            'import os, socket, subprocess, sys\n'
            'subprocess.run(["mount", "--make-rprivate", "/"], check=True)\n'
            'for place in "/dev", "/run", "/var/lib":\n'
            '    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)\n'
            's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n'
            's.bind("/dev/log")\n'
            's.setblocking(False)\n'
            'subprocess.run([sys.argv[1], "secretive", sys.argv[2]], stdout=sys.stderr)\n'
            'try:\n'
            '    while True:\n'
            '        sys.stdout.buffer.write(s.recv(65536) + b"\\n")\n'
            'except BlockingIOError:\n'
            '    pass\n')
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump({'password': 'hunter2', '_ansible_syslog_facility': 'LOG_LOCAL3', **arguments}, file)
            file.flush()
            done = subprocess.run(['unshare', '--mount', sys.executable, '-c', script, MADE_UP, file.name], capture_output=True, check=False,
                                  env=ENVIRONMENT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(b'hunter2', done.stdout)
        lines = done.stdout.splitlines()
        for line in lines:
            self.assertTrue(line.startswith(b'<158>'), lines)  # local3.info
        return [line.partition(b'ansible-secretive: ')[2].decode() for line in lines]

    def test_login_in_a_url(self):
        for url in ('https://user:hunter2@host/x', 'https://user:hun/ter2@host', 'user:hunter2@host', 'http:/user:hunter2@host\n', 'x://user:hunter2 @h',
                    'https://hunter2@host/x'):
            for what in ('tell_everything', 'fail'):
                self.ask({'what': what, 'url': url, 'text': 'see https://other:hunter2@host'}, ['hunter2', 'hun/ter2'])
                self.logged(password='x', what=what, url=url, list=['http://user:hunter2@host'])

    def test_masking_goes_to_the_log_too(self):
        self.assertTrue(self.logged(what='tell_everything', text='see hunter2')[0].startswith('Invoked with what=tell_everything'))
        self.assertEqual(self.logged(what='tell_everything', text='see hunter2', _ansible_no_log=True), [])

    def test_the_log_tells_how_far_a_run_is(self):
        wish = {'what': 'write', 'path': '/run/hunter2', 'text': 'x'}
        begun, invoked = self.logged(**wish)
        self.assertEqual(begun, 'Begins: file /run/********')
        self.assertTrue(invoked.startswith('Invoked with what=write'), invoked)
        self.assertEqual(len(self.logged(**wish, _ansible_check_mode=True)), 1)
        self.assertEqual(self.logged(**wish, _ansible_no_log=True), [])


if __name__ == '__main__':
    print('protocol: seed %d' % SEED, file=sys.stderr)
    unittest.main()
