#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Simulated Proxmox VE hosts on this machine: real sshd and Debian userlands, described hardware, a network of their own.
"""rack.py [--name RACK] up MACHINE... | down | list | inventory | ssh NODE [COMMAND...] | pid NODE

MACHINE is a description (a file, or the name of one in tests/rack/machines). A node has its own mount, pid, uts, ipc and network
namespace, an overlay over the Debian root of its release, the machine's tree over /sys and parts of /proc, and too few
capabilities to reach the real kernel. `up` replaces what is up and cleans after a crash; `down` leaves nothing.
Several racks may be up under different names. State: $PVE_GPU_CACHE (default ~/.cache/pve-gpu)/rack/RACK.
"""
import argparse
import ctypes
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

import machine as machines

HERE = os.path.dirname(os.path.abspath(__file__))
NETWORK = '10.87'
ARCHIVE_HOST, GATEWAY_HOST = 253, 254
USER = 'admin'

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24

# What is left of root: enough for sshd, sudo and apt. In particular no SYS_ADMIN (would mount the real sysfs), SYS_MODULE,
# SYS_RAWIO, SYS_BOOT, SYS_TIME, SYSLOG, MKNOD (the real disks), DAC_READ_SEARCH (open_by_handle_at leaves the root), NET_ADMIN.
CAPABILITIES = {'CHOWN': 0, 'DAC_OVERRIDE': 1, 'FOWNER': 3, 'FSETID': 4, 'KILL': 5, 'SETGID': 6, 'SETUID': 7, 'SETPCAP': 8,
                'NET_BIND_SERVICE': 10, 'SYS_CHROOT': 18, 'AUDIT_WRITE': 29}


class RackError(Exception):
    """What went wrong, where, and what to do."""


def say(text):
    print(text, file=sys.stderr)


# --- System calls ------------------------------------------------------------------------------------------------------------


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, '%s%r: %s' % (name, tuple(arguments), os.strerror(number)))


def mount(source, target, kind=None, flags=0, data=None):
    call('mount', source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), data.encode() if data else None)


def bind(source, target, read_only=False):
    mount(source, target, flags=MS_BIND)
    if read_only:
        mount('none', target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


# --- A node, from inside -----------------------------------------------------------------------------------------------------


class NodeSetup:
    """What the first process of a node does before it becomes sshd. Runs in the node's namespaces."""

    def __init__(self, rack, node):
        self.rack, self.node = rack, node
        self.base = os.path.join(rack.directory, node['name'])
        self.root = os.path.join(self.base, 'root')
        self.tree = os.path.join(self.base, 'tree')

    def at(self, path):
        return os.path.join(self.root, path.lstrip('/'))

    def write(self, path, content, mode=0o644, owner=0):
        path = self.at(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, 'wb') as file:
            os.fchmod(file.fileno(), mode)
            os.fchown(file.fileno(), owner, owner)
            file.write(content.encode() if isinstance(content, str) else content)

    def run(self, _report):
        socket.sethostname(self.node['name'])
        mount('none', '/', flags=MS_REC | MS_PRIVATE)
        self.network()
        mount('tmpfs', self.base, 'tmpfs', 0, 'mode=755,nr_inodes=0')
        for name in ('up', 'work', 'root'):
            os.mkdir(os.path.join(self.base, name), 0o755)
        described = self.node['described']
        machines.write(described, self.tree)
        mount('overlay', self.root, 'overlay', 0, 'lowerdir=%s,upperdir=%s/up,workdir=%s/work' % (self.node['lower'], self.base, self.base))
        self.file_systems()
        self.userland(described)
        self.people()
        self.archive(described)
        os.chdir(self.root)
        call('pivot_root', b'.', b'.')
        call('umount2', b'.', MNT_DETACH)
        os.chdir('/')
        for number in range(64):
            if number not in CAPABILITIES.values() and libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
                break
        self.guests(described)
        call('prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0)
        os.execve('/usr/sbin/sshd', ['/usr/sbin/sshd', '-D', '-e', '-o', 'UsePAM=no', '-o', 'UseDNS=no', '-o', 'PidFile=none',
                                     '-o', 'MaxStartups=1000', '-o', 'MaxSessions=1000', '-o', 'PrintMotd=no'],
                  {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C.UTF-8'})

    def network(self):
        commands = 'link set lo up\naddr add %s/24 dev eth0\nlink set eth0 up\n' % self.node['address']
        subprocess.run(['ip', '-batch', '-'], input=commands.encode(), check=True)

    def file_systems(self):
        bind(os.path.join(self.tree, 'sys'), self.at('sys'))
        mount('proc', self.at('proc'), 'proc', MS_NOSUID | MS_NODEV | MS_NOEXEC)
        # files of root's that need no capability to be written, and what tells about the real machine
        for name in ('sys', 'irq', 'bus', 'fs', 'acpi'):
            if os.path.isdir(self.at('proc/' + name)):
                bind(self.at('proc/' + name), self.at('proc/' + name), read_only=True)
        for name in ('sysrq-trigger', 'kcore', 'kmsg', 'keys', 'timer_list', 'kpagecount', 'kpageflags', 'kpagecgroup', 'config.gz'):
            if os.path.exists(self.at('proc/' + name)):
                bind('/dev/null', self.at('proc/' + name))
        self.described_proc()
        mount('tmpfs', self.at('run'), 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755')
        for name in ('run/sshd', 'run/lock'):
            os.mkdir(self.at(name), 0o755)
        mount('tmpfs', self.at('dev'), 'tmpfs', MS_NOSUID, 'mode=755')
        for name, major, minor in (('null', 1, 3), ('zero', 1, 5), ('full', 1, 7), ('random', 1, 8), ('urandom', 1, 9), ('tty', 5, 0)):
            os.mknod(self.at('dev/' + name), 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            os.chmod(self.at('dev/' + name), 0o666)
        for name in ('dev/pts', 'dev/shm'):
            os.mkdir(self.at(name))
        os.chmod(self.at('dev/shm'), 0o1777)
        mount('devpts', self.at('dev/pts'), 'devpts', 0, 'newinstance,ptmxmode=666,mode=620,gid=5')
        for name, target in (('ptmx', 'pts/ptmx'), ('fd', '/proc/self/fd'), ('stdin', 'fd/0'), ('stdout', 'fd/1'), ('stderr', 'fd/2')):
            os.symlink(target, self.at('dev/' + name))

    def described_proc(self):
        """Binds the described files over the real ones. A file that this kernel has not got (modules) cannot be added."""
        for directory, _, files in os.walk(os.path.join(self.tree, 'proc')):
            for name in files:
                source = os.path.join(directory, name)
                path = os.path.relpath(source, self.tree)
                if os.path.isfile(self.at(path)) and path != 'proc/mounts':
                    bind(source, self.at(path), read_only=True)
        if os.path.isdir(os.path.join(self.tree, 'proc/driver')):
            bind(os.path.join(self.tree, 'proc/driver'), self.at('proc/driver'))

    def userland(self, described):
        # the root's own package sources name the mirror it was made from
        for name in ['sources.list'] + ['sources.list.d/' + entry for entry in os.listdir(self.at('etc/apt/sources.list.d'))]:
            if os.path.lexists(self.at('etc/apt/' + name)):
                os.unlink(self.at('etc/apt/' + name))
        for top in sorted(os.listdir(self.tree)):
            if top not in ('sys', 'proc'):
                copy_over(os.path.join(self.tree, top), self.at(top))
        # pmxcfs shows everything as root's and www-data's
        for directory, _, files in os.walk(self.at('etc/pve')):
            for name in [''] + files:
                os.chown(os.path.join(directory, name), 0, 33)
        self.write('etc/hosts', ''.join(
            ['127.0.0.1 localhost\n'] + ['%s %s\n' % (node['address'], node['name']) for node in self.rack.nodes] +
            ['%s %s\n' % (self.rack.address(ARCHIVE_HOST), ' '.join(archive_hosts()))]))
        self.write('etc/resolv.conf', '# no name server: /etc/hosts has every name\n')
        # `uname -r` is still the real kernel's: programs that look for its modules find the described ones
        real = os.uname().release
        if real != described.kernel:
            os.symlink(described.kernel, self.at('lib/modules/' + real))

    def people(self):
        with open(os.path.join(self.rack.directory, 'id_ed25519.pub'), encoding='ascii') as file:
            key = file.read()
        os.chmod(self.at('root'), 0o700)
        for home, owner in (('root', 0), ('home/' + USER, 1000)):
            for path in (home, home + '/.ssh'):
                os.makedirs(self.at(path), exist_ok=True)
                os.chmod(self.at(path), 0o700)
                os.chown(self.at(path), owner, owner)
            self.write(home + '/.ssh/authorized_keys', key, 0o600, owner)
        for path, line in (('etc/passwd', '{0}:x:1000:1000::/home/{0}:/bin/bash\n'), ('etc/group', '{0}:x:1000:\n'),
                           # no password, but not locked either: sshd refuses locked accounts
                           ('etc/shadow', '{0}:*:20000:0:99999:7:::\n')):
            with open(self.at(path), 'a', encoding='ascii') as file:
                file.write(line.format(USER))
        self.write('etc/sudoers.d/' + USER, USER + ' ALL=(ALL) NOPASSWD: ALL\n', 0o440)

    def archive(self, described):
        """Puts the archive's keys where Debian's and Proxmox's would be."""
        directory = os.path.join(self.rack.directory, 'archive')
        deadline = time.monotonic() + 30
        while not os.path.isdir(os.path.join(directory, 'keys')):
            if time.monotonic() > deadline:
                raise RackError('the archive made no keys in 30 s: see %s/archive.log' % self.rack.directory)
            time.sleep(0.005)
        keys = {}
        for name in ('debian', 'proxmox'):
            with open(os.path.join(directory, 'keys', name + '.gpg'), 'rb') as file:
                keys[name] = file.read()
        self.write('usr/share/keyrings/debian-archive-keyring.gpg', keys['debian'])
        self.write('etc/apt/trusted.gpg.d/debian-archive-rack.gpg', keys['debian'])
        self.write(machines.KEYRINGS[described.release], keys['proxmox'])
        with open(os.path.join(directory, 'tls', 'cert.pem'), 'rb') as file:
            certificate = file.read()
        with open(self.at('etc/ssl/certs/ca-certificates.crt'), 'ab') as file:
            file.write(certificate)

    def guests(self, described):
        """A sleeping process with the command line of a guest for each that runs; its pid in the files that name it."""
        for vmid, name in sorted(machines.running_guests(described).items()):
            words = machines.guest_argv(vmid, name)
            ends = os.pipe()
            pid = os.fork()
            if pid == 0:
                # a shell that waits for a line that never comes; the writing end stays open here, so the read never ends
                os.dup2(ends[0], 0)
                os.set_inheritable(ends[1], True)
                os.execv('/bin/sh', [words[0], '-c', 'read line'] + words[1:])
            os.close(ends[0])
            os.close(ends[1])
            described_pid = machines.guest_pid(vmid)
            for path in ('/run/qemu-server/%d.pid' % vmid, '/run/qemu-server/pci-id-reservations'):
                if os.path.exists(path):
                    with open(path, 'r+', encoding='ascii') as file:
                        text = re.sub(r'\b%d\b' % described_pid, str(pid), file.read())
                        file.seek(0)
                        file.truncate()
                        file.write(text)


def archive_hosts():
    import archive  # pylint: disable=import-outside-toplevel
    return archive.HOSTS


def copy_over(source, target):
    """Copies a tree over another and follows links of the target such as /lib."""
    if os.path.islink(source):
        if os.path.lexists(target):
            os.unlink(target)
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(source):
            copy_over(os.path.join(source, name), os.path.join(target, name))
    else:
        if os.path.lexists(target):
            os.unlink(target)
        shutil.copy(source, target)


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
            json.dump({'slot': self.slot, 'nodes': [{key: node[key] for key in ('name', 'address', 'release', 'machine')}
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
        deadline = time.monotonic() + 10
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
        if self.slot is not None and os.path.exists('/sys/class/net/' + self.bridge):
            ip_batch(['link del ' + self.bridge])
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
            if slot not in claimed and not os.path.exists('/sys/class/net/pgrack%d' % slot) and ' %s.%d.' % (NETWORK, slot) not in used:
                self.slot = slot
                return
        raise RackError('all 256 networks %s.N.0/24 are taken: take racks down' % NETWORK)

    def up(self, sources):
        described = [(source, machines.Machine(machines.load(source))) for source in sources]
        names = [machine.node for _, machine in described]
        for name in names:
            if names.count(name) > 1 or not re.fullmatch(r'[a-zA-Z0-9][a-zA-Z0-9-]*', name) or name in ('archive',):
                raise RackError('%r is not a node name of its own in this rack' % name)
        if not 0 < len(names) < ARCHIVE_HOST:
            raise RackError('a rack has 1 to %d nodes' % (ARCHIVE_HOST - 1))
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
            for name in names:
                os.mkdir(os.path.join(self.directory, name))
            self.nodes = [{'name': machine.node, 'address': self.address(index), 'release': machine.release, 'machine': source,
                           'described': machine, 'lower': roots[machine.release]}
                          for index, (source, machine) in enumerate(described, 1)]
            self.save()
            try:
                self.start()
            except BaseException:
                self.keep_logs()
                self.down()
                raise

    def keep_logs(self):
        for name in [node['name'] for node in self.nodes] + ['archive']:
            try:
                with open(os.path.join(self.directory, name + '.log'), encoding='utf-8', errors='replace') as file:
                    say(''.join('%s: %s' % (name, line) for line in file.readlines()[-8:]).rstrip())
            except OSError:
                continue

    def start(self):
        archive = Helper(self, 'archive', CLONE_NEWNET, self.become_archive)
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'rack', '-f', self.key], check=True)
        nodes = [Helper(self, node['name'], CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET,
                        NodeSetup(self, node).run) for node in self.nodes]
        commands = ['link add %s type bridge' % self.bridge, 'addr add %s/24 dev %s' % (self.address(GATEWAY_HOST), self.bridge)]
        for index, helper in enumerate([archive] + nodes):
            port = '%s-%d' % (self.bridge, index)
            commands += ['link add %s type veth peer name eth0 netns %d' % (port, helper.pid),
                         'link set %s master %s up' % (port, self.bridge)]
        ip_batch(commands + ['link set %s up' % self.bridge])
        for helper in [archive] + nodes:
            helper.go()
        for helper in nodes:
            helper.wait(b'')
        archive.wait(b'ready\n')
        for node, helper in zip(self.nodes, nodes):
            wait_for_listener(helper.pid, node['name'])

    def become_archive(self, ready):
        """The archive's process: its network is its own, so that ports 80 and 443 of this machine stay free."""
        commands = 'link set lo up\naddr add %s/24 dev eth0\nlink set eth0 up\n' % self.address(ARCHIVE_HOST)
        subprocess.run(['ip', '-batch', '-'], input=commands.encode(), check=True)
        os.set_inheritable(ready, True)
        call('prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0)
        os.execve(sys.executable, [sys.executable, os.path.join(HERE, 'archive.py'), '--serve', '--ready-fd', str(ready),
                                   os.path.join(self.directory, 'archive'), self.address(ARCHIVE_HOST)],
                  dict(os.environ, PVE_GPU_RACK=self.directory))

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
        lines = ['%-16s %-14s %-4s %-8s %8s  %s' % ('NODE', 'ADDRESS', 'PVE', 'PID', 'MEMORY', 'MACHINE')]
        for node in self.nodes:
            try:
                pid = self.init_pid(node['name'])
                files = os.statvfs('/proc/%d/root/sys' % pid)
                memory = '%.1f MB' % (sum(map(proportional_memory, self.processes(node['name']))) / 1024 +
                                      (files.f_blocks - files.f_bfree) * files.f_bsize / 1048576)
            except RackError:
                pid, memory = 'down', '-'
            lines.append('%-16s %-14s %-4s %-8s %8s  %s' % (node['name'], node['address'], node['release'], pid, memory, node['machine']))
        return '\n'.join(lines)


class Helper:
    """A process that is made in new namespaces, waits for go(), does its work and becomes another program.

    Until then it dies with this process, so that a crash in `up` leaves no half-made node.
    """

    def __init__(self, rack, name, namespaces, work):
        self.name = name
        self.log = os.path.join(rack.directory, name + '.log')
        start, self.start = os.pipe()
        self.report, report = os.pipe()
        parent = os.getpid()
        self.middle = os.fork()
        if self.middle == 0:
            try:
                self.become(parent, start, report, namespaces, work)
            except BaseException as error:  # pylint: disable=broad-except
                os.write(report, ('%s: %s' % (type(error).__name__, error)).encode())
            finally:
                os._exit(1)
        os.close(start)
        os.close(report)
        first = os.read(self.report, 4096).decode()
        if not first.isdigit():
            raise RackError('%s: %s' % (name, first or 'its first process died'))
        self.pid = int(first)

    def become(self, parent, start, report, namespaces, work):
        call('prctl', PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return
        os.setsid()
        os.close(self.start)
        call('unshare', namespaces)
        # a pid namespace begins with the next child; this process waits until that one has become its program (which closes
        # `alive`), because the death signal hangs on the parent
        ended, alive = os.pipe()
        pid = os.fork()
        if pid:
            os.close(alive)
            os.write(report, b'%d' % pid)
            os.close(report)
            os.read(ended, 1)
            os._exit(0)
        call('prctl', PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if not os.read(start, 1):
            return
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open('/dev/null', os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        work(report)

    def go(self):
        os.write(self.start, b'g')

    def wait(self, expected):
        """Until the program runs (its exec closes the pipe) or says `expected`."""
        text = b''
        while True:
            some = os.read(self.report, 4096)
            if not some:
                break
            text += some
        os.close(self.report)
        os.close(self.start)
        os.waitpid(self.middle, 0)
        if text != expected:
            raise RackError('%s did not start: %s' % (self.name, text.decode(errors='replace') or 'see its log above'))


def is_alive(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def wait_for_listener(pid, name):
    """Looks whether port 22 listens without connecting to it: newer sshd count unfinished connections as attacks."""
    deadline = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < deadline:
        try:
            with open('/proc/%d/net/tcp' % pid, encoding='ascii') as file:
                if any(words[1].endswith(':0016') and words[3] == '0A' for words in map(str.split, file)):
                    return
        except OSError:
            pass
        time.sleep(0.005)
    raise RackError('%s: sshd does not listen' % name)


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
    commands.add_parser('up', help='start a node for each machine').add_argument('machine', nargs='+')
    commands.add_parser('down', help='stop and remove all of it')
    commands.add_parser('list', help='nodes with address, pid and memory')
    commands.add_parser('inventory', help='an Ansible inventory of the nodes')
    ssh = commands.add_parser('ssh', help='a shell or a command in a node')
    ssh.add_argument('--user', default='root', help='root or %s, who may sudo' % USER)
    ssh.add_argument('node')
    ssh.add_argument('words', nargs=argparse.REMAINDER)
    commands.add_parser('pid', help="the node's first process; /proc/PID/root is its file system").add_argument('node')
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
            rack.up(options.machine)
            say('rack %s: %d nodes up in %.2f s' % (rack.name, len(rack.nodes), time.monotonic() - began))
        elif options.command == 'down':
            rack.down()
        elif options.command == 'list':
            print(rack.table())
        elif options.command == 'inventory':
            if not rack.nodes:
                raise RackError('rack %s is down: rack.py up MACHINE... starts it' % rack.name)
            print(rack.inventory(), end='')
        elif options.command == 'pid':
            print(rack.init_pid(rack.node(options.node)['name']))
        else:
            node = rack.node(options.node)
            os.execvp('ssh', ['ssh'] + rack.ssh_options() + ['%s@%s' % (options.user, node['address'])] + options.words)
    except (RackError, machines.MachineError, OSError) as error:
        say('rack: %s' % error)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
