#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Kernel parameters through proxmox-boot-tool and systemd-boot: what the kernel would get is what was wished, or the wish was refused.
"""proxmox-boot-tool is a stand-in that treats the text as Proxmox's does, in a real sh; systemd-boot, the kernel's EFI stub and its
parser are written from their sources (booting.py). PVE_GPU_SEED, PVE_GPU_INPUTS: to repeat or lengthen the generated part."""
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import booting  # noqa: E402
import values  # noqa: E402
from booting import CMDLINE, KERNEL, kernel_parameters  # noqa: E402

SEED = int(os.environ.get('PVE_GPU_SEED', '20260101'))
TEXTS = int(os.environ.get('PVE_GPU_INPUTS', '60'))
ENTRY = f'/boot/efi/loader/entries/proxmox-{KERNEL}.conf'
LINE = 'root=ZFS=rpool/ROOT/pve-1 boot=zfs'

# proxmox-kernel-helper 8.1: the hook zz-proxmox-boot takes the first line that `read -r` gives, hands it on by `echo`, wants the text
# "root=" in it and puts it behind `options` of each kernel's entry.
BOOT_TOOL = r'''#!/bin/sh
set -e
[ "$1" = refresh ] || exit 0
options=$(IFS= read -r line </etc/kernel/cmdline || [ -n "$line" ]; echo "$line")
case $options in *root=*) ;; *) echo "No root= parameter in /etc/kernel/cmdline found!" >&2; exit 1 ;; esac
mkdir -p /boot/efi/loader/entries
for image in /boot/vmlinuz-*; do
  release=${image#/boot/vmlinuz-}
  cat >"/boot/efi/loader/entries/proxmox-$release.conf" <<ENTRY
title    Proxmox Virtual Environment
version  $release
options  $options
linux    /EFI/proxmox/$release/vmlinuz-$release
initrd   /EFI/proxmox/$release/initrd.img-$release
ENTRY
done
'''


def efi_stub(line):
    """Linux: drivers/firmware/efi/libstub, efi_convert_cmdline: what is too long ends with the last whole word."""
    if len(line) < booting.COMMAND_LINE_SIZE:
        return line
    return line[:booting.COMMAND_LINE_SIZE].rpartition(' ')[0]


class SystemdBoot(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest('it mounts: it needs root')
        if not booting.executable():
            raise unittest.SkipTest('no executable is built: ./dev build')
        cls.host = booting.Host(booting.ROOTS[0])
        cls.addClassCleanup(cls.host.stop)
        cls.host.run('mkdir', '-p', '/sys/firmware/efi')
        cls.host.write('/run/cmdline', f'initrd=\\EFI\\proxmox\\{KERNEL}\\initrd.img-{KERNEL} {LINE}\n')
        cls.host.write('/usr/sbin/proxmox-boot-tool', BOOT_TOOL, 0o755)
        cls.host.write('/etc/kernel/proxmox-boot-uuids', 'ABCD-1234\n')

    def setUp(self):
        self.given(LINE + '\n')

    def given(self, text):
        self.host.remove('/var/lib/pve-gpu', '/etc/default/grub.d')
        self.host.write(CMDLINE, text)
        return self.host.run('proxmox-boot-tool', 'refresh', check=False).returncode == 0

    def kernel_gets(self):
        """without the initramfs that systemd-boot puts in front"""
        got = kernel_parameters(efi_stub(booting.systemd_boot(self.host.read(ENTRY))))
        self.assertEqual(got[0][0], 'initrd')
        return got[1:]

    def run_module(self, *words, **args):
        answer = self.host.module('kernel_cmdline', parameters=list(words), **args)
        self.assertFalse(answer.get('failed'), answer.get('msg'))
        return answer

    def test_every_character_in_every_position(self):
        words = values.generated()
        before = self.host.files()
        answers = self.host.modules('kernel_cmdline', [{'parameters': [word], '_ansible_check_mode': True} for word in words])
        accepted = [word for word, answer in zip(words, answers) if not answer.get('failed')]
        refused = [word for word, answer in zip(words, answers) if answer.get('failed')]
        self.assertGreaterEqual(len(accepted), 200)
        self.assertEqual({answer['loader']['kind'] for answer in answers if not answer.get('failed')}, {'systemd-boot'})

        for word, answer in zip(words, answers):
            if answer.get('failed'):
                with self.subTest('refused', word=word):
                    self.assertFalse(values.must_pass(word, values.LOST_IN_SYSTEMD_BOOT), f"it can be passed: {answer['msg']}")
                    for c in values.in_it(word, '\\'):
                        self.assertIn(c, answer['msg'].replace(word, ''), 'the character is not named')
        for word, answer in zip(refused, self.host.modules('kernel_cmdline', [{'parameters': [word]} for word in refused])):
            with self.subTest('refused in earnest', word=word):
                self.assertTrue(answer.get('failed'), answer)
        self.assertEqual(self.host.files(), before, 'what was refused had an effect')

        for number, batch in enumerate(values.batches(accepted)):
            with self.subTest('batch', number=number):
                self.assertTrue(self.run_module(*batch)['changed'])
                got = self.kernel_gets()
                wish = [kernel_parameters(word) for word in batch]
                self.assertEqual([word for word, one in zip(batch, wish) if one[0] not in got], [], 'the kernel would not get these')
                self.assertEqual([g for g in got if [g] not in wish], kernel_parameters(LINE))
                self.assertEqual(len(got), len(batch) + 2)
                again = self.run_module(*batch)
                self.assertFalse(again['changed'], again['steps'])
            self.host.module('kernel_cmdline', parameters=batch, state='absent')
            self.assertEqual(self.host.files(), before, 'absent leaves something')
            self.setUp()

    def test_what_does_not_fit_is_refused(self):
        def accepted(length):
            return not self.host.module('kernel_cmdline', parameters=['x=' + 'v' * length], _ansible_check_mode=True).get('failed')

        low, high = 1000, 2048
        self.assertTrue(accepted(low))
        self.assertFalse(accepted(high))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if accepted(middle) else (low, middle)
        line = booting.systemd_boot(self.host.read(ENTRY))
        fits = booting.COMMAND_LINE_SIZE - 1 - len(line) - len(' x=')
        self.assertLessEqual(low, fits)
        self.assertGreater(low, fits - 200, 'much that fits is refused')
        self.run_module('x=' + 'v' * low)
        self.assertEqual(self.kernel_gets(), [*kernel_parameters(LINE), ('x', 'v' * low)])

    def test_a_line_in_quotes(self):
        # systemd-boot takes a pair of quotes off that begins and ends the whole line.
        first = f'"x=a b" {LINE}'
        self.given(first + '\n')
        answer = self.host.module('kernel_cmdline', parameters=['y="c d"'])
        if answer.get('failed'):
            self.assertEqual(self.host.read(CMDLINE), first + '\n')
        else:
            self.assertEqual(self.kernel_gets(), [('x', 'a b'), *kernel_parameters(LINE), ('y', 'c d')])

    def test_random_lines_of_others(self):
        dice = random.Random(SEED)
        atoms = ['a', 'b=', 'x=', '1', '$', ';', 'c', 'd', "'", '"', ' ', '  ', '\t', '#', '&', '*', ',', '-', '--', 'k=v', '"a b"', 'x="c d"', '"y=e f"', '\\n']
        for number in range(TEXTS):
            parts = [''.join(dice.choice(atoms) for _ in range(dice.randint(0, 5))) for _ in range(2)]
            text = f'{parts[0]} {LINE} {parts[1]}'
            with self.subTest(seed=SEED, number=number, text=text):
                theirs = self.kernel_gets() if self.given(text + '\n') else None
                before = self.host.files()
                check = self.host.module('kernel_cmdline', parameters=['ours="1 2"'], _ansible_check_mode=True)
                answer = self.host.module('kernel_cmdline', parameters=['ours="1 2"'])
                self.assertEqual(bool(check.get('failed')), bool(answer.get('failed')), answer.get('msg') or check.get('msg'))
                if answer.get('failed'):
                    self.assertTrue(self.host.files() == before, 'it was refused with an effect')
                    self.assertIn(CMDLINE, answer['msg'])
                else:
                    self.assertIsNotNone(theirs, 'proxmox-boot-tool fails, and that is not said')
                    self.assertEqual(self.kernel_gets(), [*theirs, ('ours', '1 2')])
                    again = self.run_module('ours="1 2"')
                    self.assertFalse(again['changed'], again['steps'])

    def test_a_line_without_its_end(self):
        for text in (LINE, f'  {LINE}  \n', f'{LINE}\n\n', f'{LINE}\t\n'):
            with self.subTest(text):
                self.given(text)
                self.run_module('a=b;c', "x=it's")
                self.assertEqual(self.kernel_gets(), [*kernel_parameters(LINE), ('a', 'b;c'), ('x', "it's")])
                self.run_module('a=b;c', "x=it's", state='absent')
                self.assertEqual(self.host.read(CMDLINE), text)

    def test_a_second_line_that_nobody_reads_is_named(self):
        self.given(f'{LINE}\niommu=pt\n')
        self.assertEqual(self.kernel_gets(), kernel_parameters(LINE))
        for check in (True, False):
            answer = self.host.module('kernel_cmdline', parameters=['iommu=pt'], _ansible_check_mode=check)
            self.assertRegex(str(answer.get('warnings', '')) + str(answer.get('msg', '')), r'second line|line 2')
        if not answer.get('failed'):
            self.assertIn(('iommu', 'pt'), self.kernel_gets())


if __name__ == '__main__':
    unittest.main()
