#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Machines with a real kernel and a real boot loader, under QEMU: up, ssh, reboots for real, down.
"""vm.py up IMAGE | ssh IMAGE [COMMAND] | down [IMAGE] | list

`up` starts a machine from the state in which it had just booted, on a disk of its own; `up --boot` boots it. A reboot is a real one.
`down` throws its disk away.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import images
import qemu


class Machine:
    """A machine of an image, with a disk of its own. Where it lives: disk.qcow2, serial.log, qemu.log."""

    def __init__(self, image, where, restored=True, devices=()):
        """image: the image's folder; restored: not booted, but as it was when it had booted. devices: more of QEMU's arguments, which may
        be changed for the next boot."""
        self.image, self.where, self.restored, self.devices = pathlib.Path(image), pathlib.Path(where), restored, devices
        self.serial, self.log = self.where / 'serial.log', self.where / 'qemu.log'
        self.port = qemu.free_port()
        self.qemu = None
        self.failure = None
        self._stopping = False
        self._thread = None
        self._goes = threading.Event()

    def prepare(self):
        remove(self.where)
        self.where.mkdir(parents=True)
        base = self.image / 'ready' if self.restored else self.image
        qemu.make_overlay(str(self.where / 'disk.qcow2'), str(base / 'disk.qcow2'))
        if (base / 'variables.fd').exists():
            shutil.copy(base / 'variables.fd', self.where)

    def run(self):
        """Until it is powered off or stopped."""
        variables = self.where / 'variables.fd'
        arguments = qemu.machine(self.where / 'disk.qcow2', self.serial, self.port, variables if variables.exists() else None)
        incoming = ['-incoming', 'exec:cat %s' % (self.image / 'ready/state')] if self.restored else []
        try:
            while not self._stopping:
                self.qemu = qemu.Qemu(arguments + list(self.devices) + incoming, self.log)
                if incoming:
                    self.qemu.go_on()
                    incoming = []
                self._goes.set()
                if self.qemu.wait() != 'guest-reset':
                    break
        except qemu.QemuError as problem:
            self.failure = problem
            self._goes.set()

    def start(self):
        """Returns when it runs, which is not yet that it is up."""
        self.prepare()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        self._goes.wait()

    def wait(self, timeout=1200):
        """Until its sshd answers."""
        deadline = time.monotonic() + timeout
        while not qemu.answers(self.port):
            if self.failure:
                raise self.failure
            if self._thread and not self._thread.is_alive():
                raise qemu.QemuError('the machine is off: see %s' % self.serial)
            if time.monotonic() > deadline:
                raise qemu.QemuError('its sshd does not answer after %d s: see %s' % (timeout, self.serial))
            time.sleep(0.2)

    def ssh_command(self):
        return qemu.ssh_command(self.port, images.cache() / 'key')

    def ssh(self, text, data=b''):
        """What a shell script on it prints, which reads this data."""
        done = subprocess.run(self.ssh_command() + [text], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=1200, check=False)
        out, err = done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')
        if done.returncode:
            raise qemu.QemuError('%r ended with %d: %s%s' % (text, done.returncode, out, err))
        return out

    def boot_id(self):
        return self.ssh('cat /proc/sys/kernel/random/boot_id').strip()

    def reboot(self, timeout=1200):
        """Until it is up again."""
        before = self.boot_id()
        self.ssh('systemctl --no-block reboot')
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            time.sleep(1)
            self.wait(timeout)
            with contextlib.suppress(qemu.QemuError):
                if self.boot_id() != before:
                    return
        raise qemu.QemuError('it is not up again after %d s: see %s' % (timeout, self.serial))

    def end(self):
        """What makes run() return."""
        self._stopping = True
        if self.qemu:
            self.qemu.process.kill()

    @contextlib.contextmanager
    def used(self, kept):
        """It runs, and is up, for so long. If that fails, what it said is kept in this folder."""
        try:
            self.start()
            self.wait()
            yield
        except BaseException:
            kept.mkdir(parents=True, exist_ok=True)
            for file in (self.serial, self.log):
                if file.exists():
                    shutil.copy(file, kept)
            print('%s: the serial console is kept in %s; it ends with:\n%s' % (
                kept.name, kept, self.serial.read_text(errors='replace')[-1500:] if self.serial.exists() else ''), file=sys.stderr)
            raise
        finally:
            self.stop()

    def join(self):
        self._thread.join()

    def stop(self):
        self.end()
        if self._thread:
            self.join()


def remove(path):
    if path.exists():
        shutil.rmtree(path)


# --- machines that stay up: ./dev vm -----------------------------------------------------------------------------------------


def place(name):
    return images.cache() / 'run' / name


def running(name):
    """What is known of a machine that is up, or None. The process that serves it holds a lock."""
    while True:
        with open_lock(name) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
            except BlockingIOError:
                pass
        path = place(name) / 'machine.json'
        if path.exists():
            return json.loads(path.read_text())
        time.sleep(0.05)


def open_lock(name):
    place(name).parent.mkdir(parents=True, exist_ok=True)
    return open(place(name).parent / ('.%s.lock' % name), 'a', encoding='ascii')  # pylint: disable=consider-using-with


def up(name, restored):
    if running(name):
        raise qemu.QemuError('%s is up already' % name)
    machine = Machine(images.image(name), place(name), restored)
    remove(machine.where)
    began = time.monotonic()
    lock = open_lock(name)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not os.fork():
        serve(machine, place(name) / 'machine.json')
    lock.close()
    if not running(name):
        raise qemu.QemuError('%s did not start: see %s' % (name, machine.log))
    machine.wait()
    print('%s is up after %.1f s, port %d: ./dev vm ssh %s' % (name, time.monotonic() - began, machine.port, name))


def serve(machine, record):
    """A process of its own as long as the machine is on."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    signal.signal(signal.SIGTERM, lambda *_: machine.end())
    machine.start()
    if not machine.failure:
        new = record.with_suffix('.new')
        new.write_text(json.dumps({'pid': os.getpid(), 'port': machine.port}))
        new.rename(record)
    machine.join()
    os._exit(0)  # pylint: disable=protected-access


def ssh(name, words):
    machine = running(name)
    if not machine:
        raise qemu.QemuError('%s is not up: ./dev vm up %s' % (name, name))
    os.execvp('ssh', qemu.ssh_command(machine['port'], images.cache() / 'key') + words)


def down(names):
    for name in names or images.IMAGES:
        machine = running(name)
        if machine:
            os.kill(machine['pid'], signal.SIGTERM)
            while running(name):
                time.sleep(0.05)
        remove(place(name))


def listing():
    for name, (suite, loader) in images.IMAGES.items():
        machine = running(name)
        print('%-22s Debian %s, %s: %s' % (name, suite, loader, 'up, port %d' % machine['port'] if machine else 'down'))


def main(words):
    command, words = (words + [''])[0], words[1:]
    boot = '--boot' in words[:2]
    if boot:
        words.remove('--boot')
    if command in ('up', 'ssh', 'down') and words and words[0] not in images.IMAGES:
        raise qemu.QemuError('there is no image %s; there are: %s' % (words[0], ', '.join(images.IMAGES)))
    if command == 'up' and words:
        up(words[0], not boot)
    elif command == 'ssh' and words:
        ssh(words[0], words[1:])
    elif command == 'down':
        down(words)
    elif command == 'list':
        listing()
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except (images.ImageError, qemu.QemuError) as error:
        sys.exit('vm: %s' % error)
