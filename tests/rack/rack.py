#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Simulated Proxmox VE hosts on this machine: real sshd and Debian userlands, described hardware, a network of their own.
"""rack.py [--name RACK] up [--plain] MACHINE... | down | list | inventory | ssh NODE [COMMAND...] | pid NODE | fault NODE ... |
          off|on|reboot NODE... | snapshot|reset [NODE...] | log NODE

MACHINE is a description (a file, or the name of one in tests/rack/machines). A node has its own mount, pid, uts, ipc and network
namespace, an overlay over the Debian root of its release, a /sys that behaves (simfs), the machine's files over parts of /proc,
a supervisor that answers uname, module loading and reboot, and too few capabilities to reach the real kernel. With --plain /sys is
a tree of files and there is no supervisor: as quick to read as a real one, and nothing behaves. `up` replaces what is up and cleans
after a crash; `down` leaves nothing. Several racks may be up under different names. tests/rack/README.md tells more.
State: $PVE_GPU_CACHE (default ~/.cache/pve-gpu)/rack/RACK.
"""
import argparse
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import machine as machines
from node import USER, NodeError
from simfs import control
from system import PR_SET_PDEATHSIG, Directory, is_alive, prctl

HERE = os.path.dirname(os.path.abspath(__file__))
NETWORK = '10.87'
ARCHIVE_HOST, GATEWAY_HOST = 253, 254


class RackError(Exception):
    """What went wrong, where, and what to do."""


def say(text):
    print(text, file=sys.stderr)


def archive_hosts():
    import archive  # pylint: disable=import-outside-toplevel
    return archive.HOSTS


# --- The rack, from outside --------------------------------------------------------------------------------------------------


def cache_directory():
    fallback = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'pve-gpu')
    return os.environ.get('PVE_GPU_CACHE') or fallback


def ip_batch(commands):
    done = subprocess.run(['ip', '-batch', '-'], input='\n'.join(commands).encode() + b'\n', stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RackError('ip could not set up the network: %s' % done.stdout.decode().strip())


class Rack:
    def __init__(self, name):
        if not re.fullmatch(r'[a-z0-9][a-z0-9-]{0,30}', name):
            raise RackError('a rack cannot be called %r: small letters, digits and dashes' % name)
        self.parent = os.path.join(cache_directory(), 'rack')
        self.directory = os.path.join(self.parent, name)
        self.name = name
        self.slot = None
        self.nodes = []
        self.load()

    @property
    def bridge(self):
        return 'pgrack%d' % self.slot

    def address(self, host):
        return '%s.%d.%d' % (NETWORK, self.slot, host)

    @property
    def archive_address(self):
        return self.address(ARCHIVE_HOST)

    @property
    def gateway_address(self):
        return self.address(GATEWAY_HOST)

    @property
    def archive_hosts(self):
        return archive_hosts()

    def archive_command(self, ready):
        return [sys.executable, os.path.join(HERE, 'archive.py'), '--serve', '--ready-fd', str(ready),
                os.path.join(self.directory, 'archive'), self.archive_address]

    @staticmethod
    def ip_batch(commands):
        ip_batch(commands)

    @property
    def key(self):
        return os.path.join(self.directory, 'id_ed25519')

    def load(self):
        try:
            with open(os.path.join(self.directory, 'state.json'), encoding='utf-8') as file:
                state = json.load(file)
        except (FileNotFoundError, ValueError):
            return
        self.slot, self.nodes = state['slot'], state['nodes']

    def save(self):
        path = os.path.join(self.directory, 'state.json')
        with open(path + '.new', 'w', encoding='utf-8') as file:
            json.dump({'slot': self.slot, 'nodes': [{key: node[key] for key in ('name', 'address', 'release', 'machine', 'lower', 'plain')}
                                                    for node in self.nodes]}, file)
        os.rename(path + '.new', path)

    def node(self, name):
        for node in self.nodes:
            if node['name'] == name:
                return node
        names = ', '.join(node['name'] for node in self.nodes) or 'none'
        raise RackError('no node %r in rack %s; there are: %s' % (name, self.name, names))

    # -- processes: known by what the kernel says of them, not by recorded numbers, which a crash or a reboot makes wrong

    def processes(self, node=None):
        """pid -> node name of all processes of this rack ('' for its archive)."""
        found = {}
        upper = ('upperdir=%s/' % self.directory).encode()
        marker = ('PVE_GPU_RACK=%s' % self.directory).encode()
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/mountinfo' % pid, 'rb') as file:
                    for line in file:
                        if b' - overlay ' in line and upper in line and line.split()[4] == b'/':
                            found[int(pid)] = line.split(upper)[1].split(b'/')[0].decode()
                            break
                if int(pid) not in found:
                    with open('/proc/%s/environ' % pid, 'rb') as file:
                        if marker in file.read().split(b'\0'):
                            found[int(pid)] = ''
            except OSError:
                continue
        return {pid: name for pid, name in found.items() if node is None or name == node}

    def init_pid(self, node):
        """The node's first process, seen from here."""
        for pid in self.processes(node):
            try:
                with open('/proc/%d/status' % pid, encoding='ascii') as file:
                    if re.search(r'^NSpid:.*\t1$', file.read(), re.M):
                        return pid
            except OSError:
                continue
        raise RackError('node %s of rack %s does not run: rack.py up ... starts it' % (node, self.name))

    def kill(self):
        deadline = time.monotonic() + 600
        while True:
            pids = [pid for pid in self.processes() if pid != os.getpid() and is_alive(pid)]
            if not pids:
                return
            if time.monotonic() > deadline:
                raise RackError('processes of rack %s survive SIGKILL: %s' % (self.name, pids))
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.005)

    # -- down and up

    def down(self):
        self.kill()
        if self.slot is not None:
            # the kernel takes the cables away with the nodes' networks, but when it pleases
            names = [name for name in os.listdir('/sys/class/net') if re.fullmatch(r'%s(-\d+)?' % self.bridge, name)]
            subprocess.run(['ip', '-force', '-batch', '-'], input=''.join('link del %s\n' % name for name in names).encode(),
                           stderr=subprocess.DEVNULL, check=False)
        if os.path.isdir(self.directory):
            with open('/proc/self/mountinfo', encoding='utf-8') as file:
                if any((line.split()[4] + '/').startswith(self.directory + '/') for line in file):
                    raise RackError('something is mounted below %s: unmount it first' % self.directory)
            import archive  # pylint: disable=import-outside-toplevel
            archive.drop_secret_keys(os.path.join(self.directory, 'archive'))
            shutil.rmtree(self.directory)
        self.slot, self.nodes = None, []

    def take_slot(self):
        """The lowest third number of the network that no rack and no interface of this machine has."""
        claimed = {}
        for name in os.listdir(self.parent):
            try:
                with open(os.path.join(self.parent, name, 'state.json'), encoding='utf-8') as file:
                    claimed[json.load(file)['slot']] = name
            except (OSError, ValueError, KeyError):
                continue
        for name in os.listdir('/sys/class/net'):
            # left by a rack whose state is gone: a bridge of ours without a port
            if re.fullmatch(r'pgrack\d+', name) and int(name[6:]) not in claimed and not os.listdir('/sys/class/net/%s/brif' % name):
                ip_batch(['link del ' + name])
        used = subprocess.run(['ip', '-4', '-o', 'addr'], stdout=subprocess.PIPE, check=True).stdout.decode()
        for slot in range(256):
            taken = any(re.fullmatch(r'pgrack%d(-\d+)?' % slot, name) for name in os.listdir('/sys/class/net'))
            if slot not in claimed and not taken and ' %s.%d.' % (NETWORK, slot) not in used:
                self.slot = slot
                return
        raise RackError('all 256 networks %s.N.0/24 are taken: take racks down' % NETWORK)

    def up(self, sources, plain=False):
        described = [(source, machines.Machine(machines.load(source))) for source in sources]
        names = [machine.node for _, machine in described]
        for name in names:
            if names.count(name) > 1 or not re.fullmatch(r'[a-zA-Z0-9][a-zA-Z0-9-]*', name) or name in ('archive', 'keeper'):
                raise RackError('%r is not a node name of its own in this rack' % name)
        if not 0 < len(names) < ARCHIVE_HOST:
            raise RackError('a rack has 1 to %d nodes' % (ARCHIVE_HOST - 1))
        for name, path in ({} if plain else executables()).items():
            if not os.access(path, os.X_OK):
                raise RackError('%s is not built (%s): cmake --build build/dev --target simfs supervisor pmxcfs; or give --plain' % (name, path))
        if not plain and not os.path.exists('/dev/fuse'):
            raise RackError('there is no /dev/fuse, which a /sys that behaves needs; load the module fuse, or give --plain')
        releases = sorted({machine.release for _, machine in described})
        wanted = ['host-' + machines.RELEASES[release]['suite'] for release in releases]
        done = subprocess.run([os.path.join(HERE, 'roots.sh')] + wanted, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise RackError('roots.sh could not make %s' % ', '.join(wanted))
        roots = dict(zip(releases, done.stdout.decode().split()))
        os.makedirs(self.parent, exist_ok=True)
        with open('/run/pve-gpu-rack.lock', 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.load()
            self.down()
            self.take_slot()
            os.mkdir(self.directory, 0o700)
            self.nodes = [{'name': machine.node, 'address': self.address(index), 'release': machine.release,
                           'machine': os.path.abspath(source) if os.path.exists(source) else source,
                           'lower': roots[machine.release], 'plain': plain} for index, (source, machine) in enumerate(described, 1)]
            self.save()
            try:
                self.start()
            except BaseException:
                self.keep_logs()
                self.down()
                raise

    def keep_logs(self):
        for name in [node['name'] for node in self.nodes] + ['archive', 'keeper']:
            try:
                with open(os.path.join(self.directory, name + '.log'), encoding='utf-8', errors='replace') as file:
                    say(''.join('%s: %s' % (name, line) for line in file.readlines()[-8:]).rstrip())
            except OSError:
                continue

    def start(self):
        """Starts the keeper, which starts all else; it dies with this process until the nodes are up."""
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'rack', '-f', self.key], check=True)
        readable, ready = os.pipe()
        with open(os.path.join(self.directory, 'keeper.log'), 'ab') as log:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                [sys.executable, '-B', os.path.join(HERE, 'rack.py'), '--name', self.name, 'keep', str(ready), str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[ready], cwd='/', start_new_session=True,
                env=dict(os.environ, PVE_GPU_RACK=self.directory, PVE_GPU_CACHE=os.path.dirname(self.parent)))
        os.close(ready)
        with open(readable, 'rb') as file:
            text = file.read()
        if not text:
            raise RackError('the keeper of rack %s did not start (exit code %d)' % (self.name, process.wait()))
        process.returncode = 0  # it lives on, and nobody waits for it
        failed = json.loads(text)
        if failed:
            raise RackError('; '.join(failed))

    def keep(self, ready, parent):
        """Becomes the keeper; `parent` is the process that waits for it."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        os.set_inheritable(ready, False)
        for node in self.nodes:
            node['described'] = machines.Machine(machines.load(node['machine']))
        from keeper import Keeper  # pylint: disable=import-outside-toplevel
        Keeper(self, executables(), ready).run()

    def order(self, what, *names):
        """What the keeper does: off, on, reboot, snapshot, reset, status, to the named nodes or to all. Name -> state, boots and so on."""
        for name in names:
            self.node(name)
        try:
            with Directory(self.directory) as directory:
                connection = directory.connect('keeper.sock')
        except OSError:
            raise RackError('rack %s is down: rack.py up MACHINE... starts it' % self.name) from None
        with connection:
            connection.sendall(json.dumps({'do': what, 'nodes': list(names)}).encode())
            with connection.makefile('r', encoding='utf-8') as file:
                answer = json.loads(file.readline() or '{"error": "the keeper ended"}')
        if 'error' in answer:
            raise RackError('%s: %s' % (what, answer['error']))
        for name, state in answer['nodes'].items():
            if what in ('on', 'reboot', 'reset') and state['state'] != 'up':
                raise RackError('%s: %s' % (name, state['problem'] or state['state']))
        return answer['nodes']

    # -- what tests look at and do

    def state_directory(self, name):
        return os.path.join(self.directory, self.node(name)['name'] + '.d')

    def ask(self, name, which, *words):
        """A command to the control socket of a node's simfs or supervisor; see their README.md."""
        try:
            with Directory(self.state_directory(name)) as directory:
                return control.ask(directory.at(which + '.sock'), *words)
        except OSError as error:
            raise RackError('%s of %s does not answer: %s' % (which, name, error.strerror)) from None

    def calls(self, name, tool=None, nested=False):
        """What the stand-ins of a node were asked, oldest first: dictionaries with tool, argv, exit, fault, out, err; `nested`: also
        what they asked of each other (`inside`)."""
        try:
            with open(os.path.join(self.state_directory(name), 'run', 'standins.log'), encoding='utf-8') as file:
                return [entry for entry in map(json.loads, file) if tool in (None, entry['tool']) and (nested or entry['inside'] is None)]
        except FileNotFoundError:
            return []

    def provide(self, name, executable):
        """Puts the executable into /root of a node, and the libraries named in PVE_GPU_LIBRARIES, which one with sanitizers needs."""
        root = '/proc/%d/root' % self.init_pid(name)
        shutil.copy(executable, root + '/root/pve-gpu')
        for library in os.environ.get('PVE_GPU_LIBRARIES', '').split():
            shutil.copy(library, root + '/usr/lib/x86_64-linux-gnu/' + os.path.basename(library))

    def log(self, name):
        """Its boots with the reasons, then what its programs were asked."""
        with open(os.path.join(self.directory, name + '.log'), encoding='utf-8', errors='replace') as file:
            lines = [line for line in file if line.startswith('rack: ')]
        return ''.join(lines) + ''.join('%s%s -> %d%s\n' % (
            '  ' if entry['inside'] else '', shlex.join(entry['argv']), entry['exit'], ' (fault: %s)' % entry['fault'] if entry['fault'] else '')
            for entry in self.calls(name, nested=True))

    def add_fault(self, name, tool, kind, words='*', times=-1, **fields):
        """A fault of a stand-in: kind ignore, exit (code, text) or slow (seconds)."""
        faults = self.faults(name)
        faults.append(dict(tool=tool, words=words, kind=kind, times=times, **fields))
        self.set_faults(name, faults)

    def faults(self, name):
        try:
            with open(os.path.join(self.state_directory(name), 'run', 'faults.json'), encoding='utf-8') as file:
                return json.load(file)
        except FileNotFoundError:
            return []

    def set_faults(self, name, faults):
        path = os.path.join(self.state_directory(name), 'run', 'faults.json')
        with open(path + '.new', 'w', encoding='utf-8') as file:
            json.dump(faults, file)
        os.rename(path + '.new', path)

    def fault(self, name, words):
        """The command line's form; returns what there is to print."""
        usage = RackError('fault NODE simfs WORD... | supervisor WORD... | TOOL [WORDS-GLOB] ignore|exit CODE TEXT|slow SECONDS [xTIMES] | '
                          'list | clear')
        if words == ['list']:
            lines = [json.dumps(fault) for fault in self.faults(name)]
            return '\n'.join(lines + ['simfs: ' + self.ask(name, 'simfs', 'fault', 'list')])
        if words == ['clear']:
            self.set_faults(name, [])
            self.ask(name, 'simfs', 'fault', 'clear')
            self.ask(name, 'supervisor', 'rules', 'clear')
            return self.ask(name, 'supervisor', 'disarm')
        if words[:1] == ['simfs'] and len(words) > 1:
            return self.ask(name, 'simfs', 'fault', *words[1:])
        if words[:1] == ['supervisor'] and len(words) > 1:
            return self.ask(name, 'supervisor', *words[1:])
        times = -1
        if words and re.fullmatch(r'x\d+', words[-1]):
            times = int(words.pop()[1:])
        kinds = [index for index, word in enumerate(words) if word in ('ignore', 'exit', 'slow')]
        if not kinds or not 1 <= kinds[0] <= 2:
            raise usage
        at = kinds[0]
        fields = {'ignore': {}, 'exit': {'code': 1, 'text': ' '.join(words[at + 2:])}, 'slow': {'seconds': 1.0}}[words[at]]
        if words[at] != 'ignore':
            if len(words) <= at + 1 or not re.fullmatch(r'[0-9.]+', words[at + 1]):
                raise usage
            fields['code' if words[at] == 'exit' else 'seconds'] = (int if words[at] == 'exit' else float)(words[at + 1])
        self.add_fault(name, words[0], words[at], words[1] if at == 2 else '*', times, **fields)
        return ''

    # -- the user's view

    def ssh_options(self):
        return ['-i', self.key, '-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
                '-o', 'LogLevel=ERROR']

    def inventory(self):
        lines = ['all:', '  children:', '    pve:', '      hosts:']
        for node in self.nodes:
            lines.append('        %s: {ansible_host: %s}' % (node['name'], node['address']))
        options = ' '.join(shlex.quote(word) for word in self.ssh_options()[2:])
        lines += ['      vars:', '        ansible_user: root', '        ansible_ssh_private_key_file: %s' % json.dumps(self.key),
                  '        ansible_ssh_common_args: %s' % json.dumps(options), '        ansible_python_interpreter: /usr/bin/python3']
        return '\n'.join(lines) + '\n'

    def table(self):
        """Memory is that of the node's processes (shared pages in proportion) and of its files."""
        states = self.order('status') if self.nodes else {}
        keeper = next((pid for pid, name in self.processes().items() if name == ''), None)
        lines = ['%-16s %-14s %-4s %-8s %8s %8s  %s' % ('NODE', 'ADDRESS', 'PVE', 'STATE', 'PID', 'MEMORY', 'MACHINE')]
        for node in self.nodes:
            state = states[node['name']]
            lines.append('%-16s %-14s %-4s %-8s %8s %8s  %s' % (
                node['name'], node['address'], node['release'], state['state'], state['pid'] or '-',
                '%.1f MB' % self.memory(node['name'], keeper), node['machine'] + (': ' + state['problem'] if state['problem'] else '')))
        return '\n'.join(lines)

    def memory(self, name, keeper):
        disk = os.statvfs('/proc/%d/root%s' % (keeper, os.path.join(self.directory, name)))
        return (sum(map(proportional_memory, self.processes(name))) / 1024 + (disk.f_blocks - disk.f_bfree) * disk.f_bsize / 1048576)


def executables():
    build = os.environ.get('PVE_GPU_BINARY_DIR', os.path.join(HERE, '..', '..', 'build', 'dev'))
    return {name: os.path.join(os.path.abspath(build), 'tests', 'rack', name, name) for name in ('simfs', 'supervisor', 'pmxcfs')}


def proportional_memory(pid):
    """kB of a process, shared pages divided among those that share them."""
    try:
        with open('/proc/%d/smaps_rollup' % pid, encoding='ascii') as file:
            return int(re.search(r'^Pss:\s+(\d+)', file.read(), re.M).group(1))
    except (OSError, AttributeError):
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--name', default='default', help='which rack (default: default)')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    up = commands.add_parser('up', help='start a node for each machine')
    up.add_argument('--plain', action='store_true', help='/sys is a tree of files that does not behave; no supervisor')
    up.add_argument('machine', nargs='+')
    commands.add_parser('down', help='stop and remove all of it')
    commands.add_parser('list', help='nodes with address, pid and memory')
    commands.add_parser('inventory', help='an Ansible inventory of the nodes')
    ssh = commands.add_parser('ssh', help='a shell or a command in a node')
    ssh.add_argument('--user', default='root', help='root or %s, who may sudo' % USER)
    ssh.add_argument('node')
    ssh.add_argument('words', nargs=argparse.REMAINDER)
    commands.add_parser('pid', help="the node's first process; /proc/PID/root is its file system").add_argument('node')
    fault = commands.add_parser('fault', help="faults of a node's /sys, system calls and tools")
    fault.add_argument('node')
    fault.add_argument('words', nargs=argparse.REMAINDER)
    for name, text in (('off', 'power nodes off'), ('on', 'power them on again'), ('reboot', 'press the reset button')):
        commands.add_parser(name, help=text).add_argument('node', nargs='+')
    commands.add_parser('snapshot', help="keep the nodes' files (all nodes, if none is named)").add_argument('node', nargs='*')
    commands.add_parser('reset', help='go back to the kept files, else to the fresh installation').add_argument('node', nargs='*')
    commands.add_parser('log', help="a node's boots, and what its programs were asked").add_argument('node')
    keep = commands.add_parser('keep')
    keep.add_argument('ready', type=int)
    keep.add_argument('parent', type=int)
    options = parser.parse_args()
    try:
        if os.geteuid() != 0:
            raise RackError('namespaces and mounts need root: run it as root or with sudo')
        rack = Rack(options.name)
        if options.command == 'up':
            missing = [tool for tool in ('ip', 'ssh', 'ssh-keygen', 'gpg', 'gpg-agent', 'openssl') if not shutil.which(tool)]
            if missing:
                raise RackError('missing: %s; apt-get install iproute2 openssh-client gpg gpg-agent openssl' % ', '.join(missing))
            began = time.monotonic()
            rack.up(options.machine, options.plain)
            say('rack %s: %d nodes up in %.2f s' % (rack.name, len(rack.nodes), time.monotonic() - began))
        elif options.command == 'down':
            rack.down()
        elif options.command == 'list':
            print(rack.table())
        elif options.command == 'inventory':
            if not rack.nodes:
                raise RackError('rack %s is down: rack.py up MACHINE... starts it' % rack.name)
            print(rack.inventory(), end='')
        elif options.command == 'keep':
            rack.keep(options.ready, options.parent)
        elif options.command == 'fault':
            print(rack.fault(options.node, options.words))
        elif options.command in ('off', 'on', 'reboot', 'snapshot', 'reset'):
            began = time.monotonic()
            done = rack.order(options.command, *options.node)
            say('rack %s: %s of %d nodes in %.2f s' % (rack.name, options.command, len(done), time.monotonic() - began))
        elif options.command == 'log':
            print(rack.log(options.node), end='')
        elif options.command == 'pid':
            print(rack.init_pid(rack.node(options.node)['name']))
        else:
            node = rack.node(options.node)
            os.execvp('ssh', ['ssh'] + rack.ssh_options() + ['%s@%s' % (options.user, node['address'])] + options.words)
    except (RackError, NodeError, machines.MachineError, control.Refused, OSError) as error:
        say('rack: %s' % error)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
