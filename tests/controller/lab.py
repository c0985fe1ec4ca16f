# SPDX-License-Identifier: MIT
# Hosts with a real sshd and controllers with a real Ansible, in namespaces of this machine, for the tests beside this file.
import contextlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import types
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ROOTS = REPOSITORY / 'tests' / 'rack' / 'roots.sh'

# One line of JSON for each result, as Ansible's callbacks get it. stdout callbacks differ between releases, this one doesn't.
RECORDER = '''
import json
import os
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = "name: recorder\\ntype: aggregate\\nshort_description: Records results\\ndescription: For tests.\\n"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = 'recorder'
    CALLBACK_NEEDS_ENABLED = False

    def record(self, result, status):
        got = getattr(result, '_result', None)
        got = result.result if got is None else got
        host = getattr(result, '_host', None) or result.host
        task = getattr(result, '_task', None) or result.task
        with open(os.environ['RECORD'], 'a') as f:
            record = {'host': host.get_name(), 'task': task.name, 'status': status, 'result': dict(got)}
            f.write(json.dumps(record, default=str) + '\\n')

    def v2_runner_on_ok(self, result):
        self.record(result, 'ok')

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.record(result, 'failed')

    def v2_runner_on_unreachable(self, result):
        self.record(result, 'unreachable')

    def v2_runner_on_skipped(self, result):
        self.record(result, 'skipped')

    def v2_runner_item_on_ok(self, result):
        self.record(result, 'item')

    def v2_runner_retry(self, result):
        self.record(result, 'retry')
'''


NAMESPACES = ('--mount', '--pid', '--uts', '--ipc')

# $1: a folder of the node, $2: its root, $3: its name; what follows is shared
BOOT = r'''
m=$1/m
mount -t tmpfs tmpfs "$1"
mkdir "$1/u" "$1/w" "$m"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/u,workdir=$1/w" "$m"
mount -t proc proc "$m/proc"
mount -t sysfs -o ro sysfs "$m/sys"
mount --rbind /dev "$m/dev"
mount -t tmpfs tmpfs "$m/run"
mkdir "$m/run/sshd"
hostname "$3"
printf '127.0.0.1 localhost %s\n' "$3" >"$m/etc/hosts"
shift 3
for folder; do mkdir -p "$m$folder"; mount --bind "$folder" "$m$folder"; done
exec chroot "$m" sleep infinity
'''


class Node:
    """A Debian root of roots.sh with changes of its own that are lost when it ends: its own mounts, processes and host name."""

    def __init__(self, root, name, shared=()):
        """root: a name that roots.sh knows, or the path of a root; shared: folders that are seen under the same path inside"""
        self.name = name
        path = root if root.startswith('/') else self.made(root)
        self._base = pathlib.Path(tempfile.mkdtemp(prefix='pve-gpu-node-'))
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', 'unshare', *NAMESPACES, '--fork', '--kill-child', '--propagation', 'private',
             'sh', '-ec', BOOT, 'sh', str(self._base), path, name, *map(str, shared)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        children = pathlib.Path(f'/proc/{self._process.pid}/task/{self._process.pid}/children')
        deadline = time.monotonic() + 600
        while True:
            self.pid = (children.read_text().split() or [None])[0] if self._process.poll() is None else None
            if self.pid and self._comm() == 'sleep':
                break
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f'the node {name} did not start: are you root, and may you mount?')
            time.sleep(0.01)
        self.path = pathlib.Path(f'/proc/{self.pid}/root')

    @staticmethod
    def made(name):
        done = subprocess.run(['sh', str(ROOTS), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            problem = f'the root {name} cannot be made: {done.stderr.strip()}'
            # unstable is the one release that a mirror may not have, or not be able to install
            raise unittest.SkipTest(problem) if name.endswith('-sid') else RuntimeError(problem)
        return done.stdout.strip()

    def _comm(self):
        try:
            return pathlib.Path(f'/proc/{self.pid}/comm').read_text().strip()
        except OSError:
            return None

    def start(self, *argv, **kwargs):
        return subprocess.Popen(['nsenter', '--target', self.pid, *NAMESPACES, '--root', '--wd', *argv], **kwargs)

    def run(self, *argv, check=True, text=None, **kwargs):
        """a program inside, or with text a shell script; its result as subprocess.run gives it"""
        if text is not None:
            argv = ('sh', '-c', text)
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root', 'LC_ALL': 'C.UTF-8', **kwargs.pop('env', {})}
        done = subprocess.run(['nsenter', '--target', self.pid, *NAMESPACES, '--root', '--wd', *argv], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **kwargs)
        if check and done.returncode:
            raise RuntimeError(f'{self.name}: {argv} ended with {done.returncode}: {done.stdout}{done.stderr}')
        return done

    def stop(self):
        self._process.kill()
        self._process.wait()
        # what the node mounted went with its mount namespace
        with contextlib.suppress(OSError):
            self._base.rmdir()


class Host(Node):
    """A target: sshd on a free port of 127.0.0.1; users root, alice and bob (both may sudo without a password), carol (sudo with one)."""

    PASSWORD = 'correct horse'

    def __init__(self, root, name, key):
        super().__init__(root, name)
        self.run(text='''set -e
            for u in alice bob carol; do useradd -m -s /bin/bash -p '*' $u; chmod 755 /home/$u; done
            printf '%s\\n' 'alice ALL=(ALL:ALL) NOPASSWD: ALL' 'bob ALL=(ALL:ALL) NOPASSWD: ALL' 'carol ALL=(ALL:ALL) ALL' >/etc/sudoers.d/tests
            chmod 440 /etc/sudoers.d/tests
            echo "carol:$PASSWORD" | chpasswd; echo "root:$PASSWORD" | chpasswd
            for h in /root /home/alice /home/bob /home/carol; do
              mkdir -p -m 700 $h/.ssh; printf '%s\\n' "$KEY" >$h/.ssh/authorized_keys; chown -R --reference=$h $h/.ssh
            done''', env={'PASSWORD': self.PASSWORD, 'KEY': key})
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        # no limits: every task of a test may open a connection of its own
        self._sshd = self.start('/usr/sbin/sshd', '-D', '-e', '-p', str(self.port), '-o', 'ListenAddress=127.0.0.1', '-o', 'PermitRootLogin=yes',
                                '-o', 'MaxStartups=200', '-o', 'UsePAM=no', '-o', 'PidFile=none', '-o', 'UseDNS=no',
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 600
        while True:
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.port), 1):
                break
            if time.monotonic() > deadline or self._sshd.poll() is not None:
                raise RuntimeError(f'sshd of {name} did not start')
            time.sleep(0.02)

    def stop(self):
        super().stop()
        self._sshd.wait()

    def forget(self):
        """as if Ansible had never been here"""
        self.run(text='rm -rf /var/lib/pve-gpu /root/.cache /root/.ansible /home/*/.cache /home/*/.ansible /starts /starts.args')

    def starts(self):
        """how the stand-in was started with log=/starts, once for each time: `staged` or `file`"""
        file = self.path / 'starts'
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

    def staged(self, folder='/var/lib/pve-gpu/bin'):
        path = self.path / folder.lstrip('/')
        return sorted(p.name for p in path.iterdir()) if path.is_dir() else []


class Controller(Node):
    """A machine with ansible-core of one Debian release. It counts how often ssh is started, with how many bytes on its input."""

    def __init__(self, root, name, work, collections):
        super().__init__(root, name, shared=[work, *([collections] if not str(collections).startswith(str(work)) else [])])
        self.work = pathlib.Path(work)
        self._collections = collections
        self._count = 0
        (self.work / 'callbacks').mkdir(exist_ok=True)
        (self.work / 'callbacks' / 'recorder.py').write_text(RECORDER)
        self.version = self.run('ansible', '--version').stdout.split()[2].rstrip(']')
        self.collections_path = 'ANSIBLE_COLLECTIONS_PATH' + 'S' * self.version.startswith('2.14')    # its old name

    def key(self):
        """the public half of the key that this controller logs in with"""
        self.run(text='mkdir -p /root/.ssh; [ -e /root/.ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519')
        return (self.path / 'root/.ssh/id_ed25519.pub').read_text().strip()

    def play(self, hosts, tasks, *, variables=None, play=None, options=(), env=None, adhoc=None, book=None, check=True):
        """Run tasks on hosts ({name: host variables}); a Run. adhoc: the arguments of `ansible` instead; book: a playbook's path instead."""
        self._count += 1
        folder = self.work / f'{self.name}-{self._count}'
        folder.mkdir()
        wrapper = folder / 'ssh'
        wrapper.write_text('#!/bin/bash\n'
                           'case " $* " in *" -O "*) exec ssh "$@";; esac\n'    # a word to the master, not a round trip
                           'n=$(mktemp -u XXXXXXXX)\n'
                           f'echo "$n $*" >>{folder}/ssh.log\n'
                           '[ -t 0 ] && exec ssh "$@"\n'                        # nothing is piped in
                           f'[ -z "$BREAK" ] || . "$BREAK"\n'
                           f'exec ssh "$@" < <(tee {folder}/in.$n 2>/dev/null)\n')
        wrapper.chmod(0o755)
        (folder / 'ansible.cfg').write_text(
            '[defaults]\nhost_key_checking = false\nretry_files_enabled = false\ngathering = explicit\nlocalhost_warning = false\n'
            f'callback_plugins = {self.work}/callbacks\ncallbacks_enabled = recorder\ninterpreter_python = auto_silent\n'
            '[inventory]\nunparsed_warning = false\n')
        inventory = {'all': {'hosts': hosts, 'vars': {'ansible_ssh_executable': str(wrapper), **(variables or {})}}}
        (folder / 'inventory.json').write_text(json.dumps(inventory))
        (folder / 'play.json').write_text(json.dumps([{'hosts': 'all', 'gather_facts': False, 'tasks': tasks, **(play or {})}]))
        command = ['ansible', 'all', *adhoc] if adhoc else ['ansible-playbook', str(book or folder / 'play.json')]
        environment = {'ANSIBLE_CONFIG': str(folder / 'ansible.cfg'), self.collections_path: str(self._collections),
                       'RECORD': str(folder / 'record'), 'ANSIBLE_LOAD_CALLBACK_PLUGINS': '1', **(env or {})}
        done = self.run(*command, '-i', str(folder / 'inventory.json'), *options, env=environment, check=False)
        run = Run(folder, done)
        if check and done.returncode:
            raise AssertionError(f'ansible {self.version} ended with {done.returncode}: {done.stdout}{done.stderr}')
        return run


class Run:
    """What came of one ansible-playbook."""

    def __init__(self, folder, done):
        self.output = done.stdout + done.stderr
        self.code = done.returncode
        record = folder / 'record'
        self.records = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        log = folder / 'ssh.log'
        self.ssh = log.read_text().splitlines() if log.exists() else []
        self.inputs = [p.stat().st_size for line in self.ssh for p in [folder / f'in.{line.split()[0]}'] if p.exists()]

    def result(self, index=-1):
        return self.records[index]['result']

    def results(self, status=None):
        return [r['result'] for r in self.records if status in (None, r['status'])]


ALL = bool(os.environ.get('PVE_GPU_TEST_ALL'))


def controllers():
    """The roots of PVE_GPU_CONTROLLERS (comma separated names of roots.sh, or paths). The oldest ansible-core is tried in full; others, with what
    differs by release; the newest, which not every mirror has, only with PVE_GPU_TEST_ALL."""
    return [name for name in os.environ.get('PVE_GPU_CONTROLLERS', 'control-bookworm,control-trixie' + ',control-sid' * ALL).split(',') if name]


def tests(loader, case, of_others):
    """The tests of a case made for a controller; for others than the first, only `of_others`."""
    suite = loader.loadTestsFromTestCase(case)
    if ALL or case.CONTROLLER == controllers()[0]:
        return suite
    return unittest.TestSuite(test for test in suite if test._testMethodName in of_others)


def hosts():
    return [name for name in os.environ.get('PVE_GPU_HOSTS', 'host-bookworm').split(',') if name]


def shipped():
    """the executable that travels, if it is built"""
    program = REPOSITORY / 'build' / 'portable' / 'pve-gpu'
    return program if program.exists() else None


def userlands():
    """the Debian releases below Proxmox VE 7, 8 and 9"""
    return [name for name in os.environ.get('PVE_GPU_USERLANDS', 'host-bullseye,host-bookworm,host-trixie').split(',') if name]


def build_standin(folder):
    version = re.search(r'^project\(.* VERSION ([0-9.]+)', (REPOSITORY / 'CMakeLists.txt').read_text(), re.MULTILINE).group(1)
    program = pathlib.Path(folder) / 'standin'
    # static: it starts on every Debian release
    subprocess.run(['cc', '-O2', '-static', '-s', f'-DVERSION="{version}"', '-o', str(program),
                    str(REPOSITORY / 'tests/controller/standin.c')], check=True)
    return program


def build_collection(program, output):
    documented = program.with_name('pve-gpu-documented') if program == shipped() else program
    subprocess.run([sys.executable, '-B', str(REPOSITORY / 'cmake/collection/assemble.py'), '--executable', str(program),
                    '--documented', str(documented), '--out', str(output), '--no-archive'],
                   check=True, stdout=subprocess.DEVNULL)
    return pathlib.Path(output)


def native(base=object):
    """the action plugin as a Python module on top of a class in place of Ansible's: it needs no Ansible for that"""
    for name in ('ansible', 'ansible.constants', 'ansible.plugins', 'ansible.plugins.action', 'ansible.plugins.action.normal'):
        sys.modules[name] = types.ModuleType(name)
    sys.modules['ansible'].constants = sys.modules['ansible.constants']
    sys.modules['ansible.plugins.action.normal'].ActionModule = base
    specification = importlib.util.spec_from_file_location('native', REPOSITORY / 'common/controller/native.py')
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def why_not():
    """why these tests cannot run here, or None"""
    if os.geteuid():
        return 'needs root, for namespaces and mounts'
    missing = [tool for tool in ('unshare', 'nsenter', 'mmdebstrap', 'cc') if not shutil.which(tool)]
    return f"needs {', '.join(missing)}: apt-get install util-linux mmdebstrap gcc libc6-dev" if missing else None
