# SPDX-License-Identifier: MIT
# A described machine as a root that the real executable runs in, and faults at its system calls.
"""Each try has an overlay of its own over the described files, so that what it changed is what lies in the overlay's upper directory.
kernel.cpp, preloaded, plays the kernel; bin/ has the programs that a module starts. strace injects the faults, into the executable alone."""
import ctypes
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RACK = os.path.dirname(HERE)
sys.path.insert(0, RACK)
import machine as machines  # noqa: E402
import system  # noqa: E402
from standins import kmodfiles  # noqa: E402

TOOLS = ('sh', 'env', 'printf', 'mkdir', 'rmdir', 'rm', 'cat', 'cp', 'ln', 'sed', 'grep', 'readlink', 'basename', 'dirname', 'tar', 'tail')
CAPABILITIES = (16, 17, 22)  # to load modules, to reach the hardware, to reboot: not even by accident
ERRORS = ('ENOSPC', 'EIO', 'EROFS')
KINDS = ('KILL',) + ERRORS
EFFECTS = ('openat,open,creat,write,pwrite64,rename,renameat,renameat2,fsync,fdatasync,ftruncate,unlink,unlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,'
           'fchmodat,chown,fchown,lchown,fchownat,link,linkat,symlink,symlinkat,utimensat,clone,clone3,vfork')
MODULES = {'nvidia': ['nvidia', 'nvidia-vgpu-vfio'], 'i915': ['i915']}
# not of the machine's files: a lock, and what the tools here leave
IGNORED = ('/run/pve-gpu.lock', '/run/rack-units', '/tmp', '/dev')


def libraries(path):
    out = subprocess.run(['ldd', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return re.findall(r'(/\S+)', out)


def put(root, source, target, mode=None):
    path = root + target
    if os.path.lexists(path):
        os.unlink(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy2(os.path.realpath(source), path)
    if mode:
        os.chmod(path, mode)


def own_mounts(directory):
    """A mount namespace of this process's own, with memory below `directory`: nothing of it is left when the process ends."""
    system.call('unshare', system.CLONE_NEWNS)
    system.mount('none', '/', flags=system.MS_REC | system.MS_PRIVATE)
    system.mount('tmpfs', directory, 'tmpfs')


def make_userland(directory, executable):
    """What all machines share: the executable, a shell and a few tools, with their libraries."""
    library = os.path.join(directory, 'kernel.so')
    os.makedirs(directory)
    subprocess.run([os.environ.get('CXX', 'c++'), '-std=c++17', '-O1', '-shared', '-fPIC', '-o', library, os.path.join(HERE, 'kernel.cpp')], check=True)
    for source, target in [(executable, '/pve-gpu')] + [(shutil.which(name), '/bin/' + name) for name in TOOLS]:
        put(directory, source, target)
        for path in libraries(source):
            put(directory, path, path)
    for pattern in ('libkmod.so.2', 'libzstd.so.1', 'liblzma.so.5', 'libcrypto.so.*', 'libstdc++.so.6', 'libgcc_s.so.1', 'libm.so.6'):  # opened when asked for
        for path in glob.glob('/usr/lib/x86_64-linux-gnu/' + pattern) + glob.glob('/lib/x86_64-linux-gnu/' + pattern):
            put(directory, path, '/usr/lib/x86_64-linux-gnu/' + os.path.basename(path))
    return directory


class Described:
    """The files of a described machine, with programs that work, and the module that is run there."""

    @classmethod
    def of_fixture(cls, userland, directory, fixture):
        with open(os.path.join(fixture, 'args.json'), encoding='utf-8') as file:
            arguments = json.load(file)
        described = machines.Machine(machines.load(os.path.join(fixture, 'machine.yml')))
        made = cls(userland, directory, described, os.path.basename(os.path.dirname(fixture)), arguments)
        if 'file' in arguments:
            made.user_file()
        return made

    def __init__(self, userland, directory, described, module, arguments):
        self.userland, self.base, self.described, self.module, self.arguments = userland, directory, described, module, arguments
        machines.write(self.described, directory)
        for name in os.listdir(os.path.join(HERE, 'bin')):
            put(directory, os.path.join(HERE, 'bin', name), '/usr/sbin/' + name, 0o755)
        for path in ('/tmp', '/var/lib', '/run/lock', '/run/case', '/dev', '/boot/grub', '/etc/kernel', '/root', '/usr/src', '/etc/systemd/system',
                     '/var/lib/dkms', '/var/lib/dpkg/info'):
            os.makedirs(directory + path, exist_ok=True)
        for name, minor in (('null', 3), ('urandom', 9)):
            if not os.path.lexists(directory + '/dev/' + name):
                os.mknod(directory + '/dev/' + name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        put(directory, os.path.join(HERE, 'kernel.sh'), '/run/case/kernel')
        with open(directory + '/run/case/drivers', 'w', encoding='ascii') as file:
            for link in sorted(glob.glob(directory + '/sys/bus/pci/devices/*/driver')):
                file.write('%s %s\n' % (os.path.basename(os.path.dirname(link)), os.path.basename(os.readlink(link))))
        with Try(self, os.path.dirname(directory)) as first:  # what its programs have made before
            subprocess.run(['chroot', first.root, '/bin/sh', '-c', 'update-grub && update-initramfs'], env=first.environment(), check=True)
            subprocess.run(['cp', '-a', first.upper + '/.', directory], check=True)

    def user_file(self):
        """The file that the user brings, which works, and the modules that are built of it."""
        path = self.base + self.arguments['file']
        nvidia = 'NVIDIA' in path
        version = re.search(r'x86_64-([\d.]+)|dkms_([\d.]+)_', path).group(1 if nvidia else 2)
        if nvidia:
            put(self.base, os.path.join(HERE, 'nvidia.run'), self.arguments['file'], 0o755)
        with open(path, 'rb') as file:
            self.arguments['sha256'] = hashlib.sha256(file.read()).hexdigest()
        with open(self.base + '/run/case/version', 'w', encoding='ascii') as file:
            file.write(version + '\n')
        kernel = self.described.kernel
        place = '%s/lib/modules/%s' % (self.base, kernel)
        built, unbuilt = ('%s/run/case/%s/%s' % (self.base, name, kernel) for name in ('built', 'unbuilt'))
        for directory in (place, built, unbuilt):
            os.makedirs(directory, exist_ok=True)
        for name in ('modules.dep', 'modules.dep.bin'):
            if os.path.exists(place + '/' + name):
                shutil.copy(place + '/' + name, unbuilt)
                shutil.copy(place + '/' + name, built)
        lines = {}
        for name in MODULES['nvidia' if nvidia else 'i915']:
            lines[name.replace('-', '_')] = 'updates/dkms/%s.ko:%s' % (name, ' updates/dkms/nvidia.ko' if name == 'nvidia-vgpu-vfio' else '')
            words = ['license=GPL', 'version=' + version, 'name=' + name.replace('-', '_')]
            with open('%s/%s.ko' % (built, name), 'wb') as file:
                file.write(kmodfiles.module_file(words + ([] if nvidia else ['parmtype=enable_guc:int', 'parmtype=max_vfs:int'])))
        kmodfiles.depmod(built, lines)

    def state_of(self, path):
        """(type, mode, owner, content) of a path of the description, None without it."""
        for layer in (self.base, self.userland):
            if os.path.lexists(layer + path):
                return describe(layer + path)
        return None

    def names_in(self, path):
        return {name for layer in (self.base, self.userland) if os.path.isdir(layer + path) for name in os.listdir(layer + path)}


def describe(path):
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        return ('link', 0, 0, os.readlink(path))
    if stat.S_ISREG(info.st_mode):
        with open(path, 'rb') as file:
            return ('file', stat.S_IMODE(info.st_mode), info.st_uid, file.read())
    return ('directory' if stat.S_ISDIR(info.st_mode) else 'other', stat.S_IMODE(info.st_mode), info.st_uid, b'')


def hides(path):
    """Whether an upper directory hides what is below it."""
    try:
        return os.getxattr(path, 'trusted.overlay.opaque') == b'y'
    except OSError:
        return False


class Try:
    """One overlay. `upper`: begin with what another try had changed."""
    count = 0

    def __init__(self, machine, directory, upper=None):
        Try.count += 1
        self.machine = machine
        self.directory = os.path.join(directory, 'try-%d' % Try.count)
        self.upper, self.root = self.directory + '/upper', self.directory + '/root'
        os.mkdir(self.directory)
        if upper:
            subprocess.run(['cp', '-a', upper, self.upper], check=True)
        for name in ('upper', 'work', 'root'):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        system.mount('overlay', self.root, 'overlay', data='lowerdir=%s:%s,upperdir=%s,workdir=%s/work' % (machine.base, machine.userland, self.upper, self.directory))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        system.call('umount2', self.root.encode(), system.MNT_DETACH)
        shutil.rmtree(self.directory)

    def environment(self):
        return {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C', 'FAKE_KERNEL': self.machine.described.kernel}

    def keep(self, directory):
        """Keeps what was changed, to begin other tries with."""
        subprocess.run(['cp', '-a', self.upper, directory], check=True)

    def copy(self):
        return Try(self.machine, os.path.dirname(self.directory), self.upper)

    def run(self, fault=None, trace=False, **more):
        """(exit code, negative if killed; the answer). `fault`: (system call, which time, kind)."""
        words = ['chroot', self.root, '/bin/sh', '-c', 'LD_PRELOAD=/kernel.so exec /pve-gpu "$1"', 'sh', self.machine.module]
        if fault:
            name, number, kind = fault
            words = ['strace', '-qq', '-o', '/dev/null', '-e', 'trace=' + name, '-e', 'inject=%s:%s:when=%d' % (
                name, 'signal=KILL' if kind == 'KILL' else 'error=' + kind, number)] + words
        elif trace:
            words = ['strace', '-qq', '-s', '300', '-o', self.directory + '/trace', '-e', 'trace=execve,' + EFFECTS] + words
        done = subprocess.run(words, input=json.dumps(dict(self.machine.arguments, **more)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                              env=self.environment(), preexec_fn=drop, check=False)
        if done.returncode < 0:
            return done.returncode, None
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise AssertionError('no answer (exit code %d): %r %r' % (done.returncode, done.stdout[-500:], done.stderr[-500:])) from None

    def effects(self):
        """[(system call, which time, line)] of what the last traced run did, and the files that it put in place."""
        found, placed, times, started = [], set(), {}, False
        with open(self.directory + '/trace', encoding='utf-8', errors='replace') as file:
            for line in file:
                name = line.split('(')[0]
                times[name] = times.get(name, 0) + 1
                started = started or line.startswith('execve("/pve-gpu"')
                if started and is_effect(name, line):
                    found.append((name, times[name], line.strip()))
                    moved = re.match(r'rename\("[^"]*", "([^"]*)"\)', line)
                    if moved:
                        placed.add(moved.group(1))
        return found, placed

    def state(self):
        """{path: what it is now} of all that differs from the description; None: it is gone."""
        found = {}
        self.walk('', found, False)
        return found

    def walk(self, at, found, hidden):
        hidden = hidden or hides(self.upper + at)
        names = set(os.listdir(self.upper + at)) | (self.machine.names_in(at) if hidden else set())
        for name in sorted(names):
            path = at + '/' + name
            if path.startswith(IGNORED):
                continue
            now = describe(self.upper + path) if os.path.lexists(self.upper + path) else None
            if now and now[0] == 'other' and os.lstat(self.upper + path).st_rdev == 0:
                now = None  # overlayfs's mark of what is gone
            if now != self.machine.state_of(path):
                found[path] = now
            if now and now[0] == 'directory':
                self.walk(path, found, hidden)


def drop():
    for number in CAPABILITIES:
        system.libc.prctl(system.PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)


def is_effect(name, line):
    if ' = -1 ' in line or not re.fullmatch(r'\w+', name) or name == 'execve':
        return False
    if name in ('openat', 'open', 'creat'):
        return bool(re.search(r'O_(WRONLY|RDWR|CREAT)', line)) and '/dev/null' not in line
    if name in ('write', 'pwrite64'):
        return not re.match(r'\w+\([012],', line)
    if name in ('clone', 'clone3', 'vfork'):
        return name == 'vfork' or 'CLONE_VFORK' in line
    return True
