# SPDX-License-Identifier: MIT
# One machine under QEMU: the process, its QMP, ssh into it. Always software emulation: /dev/kvm may be there and still be useless.
import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time

# One processor: with two, emulation takes a third more time for the same work. The firmware announces VT-d; the vendor, because what
# a host needs for its IOMMU depends on it (TCG's own is AuthenticAMD).
HARDWARE = ['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35,kernel-irqchip=split', '-accel', 'tcg',
            '-cpu', 'max,vendor=GenuineIntel', '-smp', '1', '-m', '1024', '-device', 'intel-iommu,intremap=on,caching-mode=on,device-iotlb=on']

# What a kernel needs to keep time under emulation on busy processors.
CLOCK = 'tsc=unstable clocksource=hpet no_timer_check nowatchdog'


# Programs of every test with a machine, and those of tests with images, and the packages that have them.
KERNEL = {'qemu-system-x86_64': 'qemu-system-x86', 'mmdebstrap': 'mmdebstrap'}
IMAGE = {**KERNEL, 'qemu-img': 'qemu-utils', 'sfdisk': 'fdisk', 'mkfs.vfat': 'dosfstools', 'mke2fs': 'e2fsprogs', 'ssh': 'openssh-client'}


def why_not(tools):
    """why machines that need these programs can't be made here, or None"""
    if os.geteuid():
        return 'making machines needs root'
    missing = [package for tool, package in tools.items() if not shutil.which(tool)]
    return 'needs apt-get install ' + ' '.join(missing) if missing else None


class QemuError(Exception):
    """What went wrong, with where to look."""


def program():
    return 'qemu-system-x86_64'


def version():
    return subprocess.run([program(), '--version'], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]


def machine(disk, serial, port=None, variables=None):
    """Arguments for the machine of all images. variables: the firmware's, which makes it one with UEFI."""
    firmware = [] if not variables else ['-drive', 'if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd',
                                         '-drive', 'if=pflash,format=raw,file=%s' % variables]
    # restrict: the guest reaches nothing, it is only reached
    network = ['-netdev', 'user,id=net,restrict=on' + (',hostfwd=tcp:127.0.0.1:%d-:22' % port if port else ''),
               '-device', 'virtio-net-pci,netdev=net,romfile=']
    drive = ['-drive', 'file=%s,format=%s,if=virtio,cache=unsafe,discard=unmap' % (disk, 'raw' if str(disk).endswith('.raw') else 'qcow2')]
    return HARDWARE + firmware + drive + network + ['-chardev', 'file,id=serial,path=%s,append=on' % serial, '-serial', 'chardev:serial']


class Qemu:
    """A running QEMU. A reboot of the guest ends it: a new one boots twice as fast as a reset one."""

    def __init__(self, arguments, log):
        self.ended_by = None
        self.log = log
        self._answers, self._changed = [], threading.Condition()
        with open(log, 'ab') as errors:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                ['setpriv', '--pdeathsig', 'KILL', program(), *arguments, '-no-reboot', '-qmp', 'stdio'], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.command('qmp_capabilities')

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            with self._changed:
                if message.get('event') == 'SHUTDOWN':
                    self.ended_by = message['data']['reason']
                elif 'return' in message or 'error' in message:
                    self._answers.append(message)
                    self._changed.notify_all()
        with self._changed:
            self._answers.append(None)
            self._changed.notify_all()

    def command(self, name, **arguments):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({'execute': name, 'arguments': arguments}) + '\n')
            self.process.stdin.flush()
        with self._changed:
            self._changed.wait_for(lambda: self._answers, timeout=300)
            answer = self._answers.pop(0) if self._answers else {'error': 'no answer'}
        if answer is None:
            self._answers.append(None)
            with open(self.log, encoding='utf-8', errors='replace') as file:
                raise QemuError('QEMU ended (exit code %s): %s' % (self.process.wait(), file.read()[-1000:].strip()))
        if 'error' in answer:
            raise QemuError('QEMU refuses %s: %s' % (name, answer['error']))
        return answer['return']

    def wait(self, timeout=None):
        """Why it ended: guest-reset, guest-shutdown, or None if QEMU itself did."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise QemuError('still running after %d s: see %s' % (timeout, self.log)) from None
        self._reader.join()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.ended_by

    def save(self, path):
        """The state of memory and devices to a file, with which another QEMU with the same disk goes on."""
        self.command('stop')
        self.command('migrate', uri='exec:cat >%s' % path)
        deadline = time.monotonic() + 600
        while True:
            status = self.command('query-migrate').get('status')
            if status == 'completed':
                return
            if status in ('failed', 'cancelled') or time.monotonic() > deadline:
                raise QemuError('the state of the machine cannot be saved (%s): see %s' % (status, self.log))
            time.sleep(0.1)

    def go_on(self):
        """After -incoming: the saved machine runs."""
        deadline = time.monotonic() + 300
        while self.command('query-status')['status'] == 'inmigrate':
            if time.monotonic() > deadline:
                raise QemuError('the saved state does not load: see %s' % self.log)
            time.sleep(0.05)
        self.command('cont')

    def kill(self):
        self.process.kill()
        self.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def answers(port):
    """Whether an sshd greets there. QEMU itself accepts connections as long as it runs."""
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 2) as connection:
        connection.settimeout(5)
        return connection.recv(4) == b'SSH-'
    return False


def ssh_command(port, key):
    return ['ssh', '-p', str(port), '-i', str(key), '-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
            '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=20', 'root@127.0.0.1']


def make_overlay(disk, base):
    if os.path.exists(disk):
        os.unlink(disk)
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', os.path.realpath(base), disk], check=True)
