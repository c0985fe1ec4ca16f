# SPDX-License-Identifier: MIT
# System calls of the rack that Python has no function for, and small helpers around processes.
import ctypes
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 24, 36


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


def prctl(option, value):
    call('prctl', option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def new_network():
    """A descriptor of a fresh network namespace; this process stays in its own."""
    own = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
    try:
        call('unshare', CLONE_NEWNET)
        made = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        call('setns', own, CLONE_NEWNET)
    finally:
        os.close(own)
    return made


def is_alive(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def listens(pid, port):
    """Whether something listens on a TCP port in the network of a process, without connecting to it."""
    wanted = ':%04X' % port
    try:
        with open('/proc/%d/net/tcp' % pid, encoding='ascii') as file:
            return any(words[1].endswith(wanted) and words[3] == '0A' for words in map(str.split, file))
    except OSError:
        return False


class Directory:
    """A directory as a place for sockets: their names may be 108 bytes long at most, with all directories before them."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def at(self, name):
        return '/proc/self/fd/%d/%s' % (self.fd, name)

    def listen(self, name):
        made = socket.socket(socket.AF_UNIX)
        made.bind(self.at(name))
        made.listen(64)
        return made

    def connect(self, name):
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(self.at(name))
        except OSError:
            made.close()
            raise
        return made
