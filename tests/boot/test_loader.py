#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# booting.grub_loader writes what the loader of a real GRUB writes: Debian's GRUB on a disk, in QEMU, starts a kernel of 34 bytes that
# says its command line on the serial port.
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import booting  # noqa: E402
import values  # noqa: E402

SECONDS = 600    # patience, for machines that others keep busy
IMAGE = '(memdisk)/boot/vmlinuz'

# 32 bit, esi: the boot parameters (Linux: Documentation/arch/x86/boot.rst)
SAY_COMMAND_LINE = bytes.fromhex(
    '8bb628020000'      # mov esi, [esi + 0x228]    cmd_line_ptr
    '66baf803'          # mov dx, 0x3f8             serial port
    'ac 84c0 7403'      # lodsb; test al, al; jz over the next two
    'ee ebf8'           # out dx, al; jmp to lodsb
    'b00a ee'           # a newline
    '66baf400 ee'       # mov dx, 0xf4; out dx, al  QEMU ends
    'ebfe')             # jmp to itself


def kernel():
    """a bzImage of boot protocol 2.06 with that code"""
    head = bytearray(1024)
    head[0x1f1] = 1                                          # setup_sects
    head[0x1fe:0x206] = b'\x55\xaa\xeb\x66HdrS'              # boot_flag, jump, header
    struct.pack_into('<H', head, 0x206, 0x206)               # version
    head[0x211] = 1                                          # loadflags: LOADED_HIGH
    struct.pack_into('<I', head, 0x214, 0x100000)            # code32_start
    struct.pack_into('<I', head, 0x22c, 0x37ffffff)          # initrd_addr_max
    struct.pack_into('<I', head, 0x238, booting.COMMAND_LINE_SIZE - 1)
    return bytes(head) + SAY_COMMAND_LINE.ljust(512, b'\0')


def tar(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo('boot/' + name.replace('_', '/'))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Loader(unittest.TestCase):
    ROOT = 'grub-bookworm'

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest('it mounts: it needs root')
        if not shutil.which('qemu-system-x86_64'):
            raise unittest.SkipTest('qemu-system-x86_64 is missing: apt-get install qemu-system-x86')
        cls.node = booting.lab.Node(cls.ROOT, 'grub')
        cls.addClassCleanup(cls.node.stop)

    def command_line(self, words):
        """what the kernel finds when GRUB starts it with these words"""
        quoted = ["'%s'" % word.replace("'", r"'\''") for word in words]
        menu = f"linux {IMAGE} {' '.join(quoted)}\nboot\n"
        (self.node.path / 'run/files.tar').write_bytes(tar(**{'grub_grub.cfg': menu.encode(), 'vmlinuz': kernel()}))
        self.node.run('grub-mkimage', '-O', 'i386-pc', '-p', '(memdisk)/boot/grub', '-m', '/run/files.tar', '-o', '/run/core.img',
                      'biosdisk', 'memdisk', 'tar', 'normal', 'linux', 'boot')
        with tempfile.NamedTemporaryFile() as disk:
            disk.write((self.node.path / 'usr/lib/grub/i386-pc/boot.img').read_bytes())
            disk.write((self.node.path / 'run/core.img').read_bytes() + bytes(1 << 20))
            disk.flush()
            done = subprocess.run(
                ['qemu-system-x86_64', '-machine', 'pc,accel=tcg', '-m', '128', '-nodefaults', '-vga', 'std', '-display', 'none',
                 '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=1', '-no-reboot',
                 '-drive', f'file={disk.name},format=raw,if=ide'],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
        self.assertTrue(done.stdout.endswith(b'\n'), done)
        return done.stdout.decode('latin-1').rstrip('\n')

    def test_every_odd_character(self):
        words = []
        for number, c in enumerate(values.ODD):
            words += [f'a{number}={c}', f'b{number}=v{c}w', f'{c}c{number}', f'd{number}=a {c}']
        line = self.command_line(words)
        self.assertEqual(line, booting.grub_loader([IMAGE, *words]))
        self.assertLess(len(line), booting.COMMAND_LINE_SIZE - 100)      # none was lost

    def test_what_does_not_fit(self):
        start = len(booting.grub_loader([IMAGE, 'x=']))
        room = booting.COMMAND_LINE_SIZE - 1 - start
        for last, fits in (('v' * room, True), ('v' * (room + 1), False), ("'" + 'v' * (room - 1), False)):
            with self.subTest(last=last[:2], length=len(last)):
                words = ['x=' + last, 'y']
                line = self.command_line(words)
                self.assertEqual(line, booting.grub_loader([IMAGE, *words]))
                self.assertEqual(' x=' in line, fits)
                self.assertFalse(line.endswith(' y'))


if __name__ == '__main__':
    unittest.main()
