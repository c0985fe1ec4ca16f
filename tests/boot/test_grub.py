#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Kernel parameters through Debian's real GRUB: what the kernel would get is what was wished, or the wish was refused.
"""Real: update-grub, grub-mkconfig with its scripts, grub-script-check, and grub-emu, which runs the menu and says which words it hands
to `linux`. A stand-in: grub-probe, as there is no disk. Written from their sources: GRUB's loader and the kernel's parser (booting.py).
PVE_GPU_SEED, PVE_GPU_INPUTS: to repeat or lengthen the generated part."""
import contextlib
import os
import random
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import booting  # noqa: E402
import values  # noqa: E402
from booting import CMDLINE, DEFAULTS, KERNEL, MENU, grub_loader, kernel_parameters  # noqa: E402

DROPIN = '/etc/default/grub.d/pve-gpu-kernel_cmdline.cfg'
SEED = int(os.environ.get('PVE_GPU_SEED', '20260101'))
TEXTS = int(os.environ.get('PVE_GPU_INPUTS', '15'))
FIRST = [('BOOT_IMAGE', f'/boot/vmlinuz-{KERNEL}'), ('root', '/dev/mapper/pve-root'), ('ro', None)]


class GrubTest(unittest.TestCase):
    ROOT = booting.ROOTS[0]

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest('it mounts: it needs root')
        if not booting.executable():
            raise unittest.SkipTest('no executable is built: ./dev build')
        cls.host = booting.Host(cls.ROOT)
        cls.addClassCleanup(cls.host.stop)

    def setUp(self):
        """as freshly installed, with a menu"""
        self.host.remove('/etc/default/grub.d', '/etc/kernel', '/etc/grub.d/45_test', '/var/lib/pve-gpu', MENU + '.new')
        self.host.write(DEFAULTS, self.host.default)
        self.host.kernels(KERNEL)
        self.host.run('update-grub')

    def defaults(self, line):
        """/etc/default/grub with this line for the command line; the menu is made"""
        self.host.write(DEFAULTS, re.sub('^GRUB_CMDLINE_LINUX_DEFAULT=.*$', lambda _: line, self.host.default, flags=re.M))
        self.host.run('update-grub')

    def kernel_gets(self, entry=None):
        return kernel_parameters(grub_loader(self.host.started(entry)))

    def run_module(self, *words, module='kernel_cmdline', **args):
        answer = self.host.module(module, parameters=list(words), **args)
        self.assertFalse(answer.get('failed'), answer.get('msg'))
        return answer

    def refused(self, *words, naming=(), **args):
        """in check mode and really, with nothing changed; the message"""
        before = self.host.files()
        for check in (True, False):
            answer = self.host.module('kernel_cmdline', parameters=list(words), _ansible_check_mode=check, **args)
            self.assertTrue(answer.get('failed'), answer)
            for name in naming:
                self.assertIn(name, answer['msg'])
        self.assertEqual(self.host.files(), before)
        return answer['msg']

    def assert_menu_is_sound(self):
        done = self.host.run('grub-script-check', MENU, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


class Values(GrubTest):
    def test_every_character_in_every_position(self):
        words = values.generated()
        self.assertGreaterEqual(len(words), 200)
        before = self.host.files()
        answers = self.host.modules('kernel_cmdline', [{'parameters': [word], '_ansible_check_mode': True} for word in words])
        accepted = [word for word, answer in zip(words, answers) if not answer.get('failed')]
        refused = [word for word, answer in zip(words, answers) if answer.get('failed')]
        self.assertGreaterEqual(len(accepted), 200)

        for word, answer in zip(words, answers):
            if answer.get('failed'):
                with self.subTest('refused', word=word):
                    self.assertFalse(values.must_pass(word, values.LOST_IN_GRUB), f"GRUB can pass it: {answer['msg']}")
                    for c in values.in_it(word, values.LOST_IN_GRUB):
                        self.assertRegex(answer['msg'].replace(word, ''), re.escape(c) + '|quote' * (c == '"'), 'it is not named')
        for word, answer in zip(refused, self.host.modules('kernel_cmdline', [{'parameters': [word]} for word in refused])):
            with self.subTest('refused in earnest', word=word):
                self.assertTrue(answer.get('failed'), answer)
        self.assertEqual(self.host.files(), before, 'what was refused had an effect')

        for number, batch in enumerate(values.batches(accepted)):
            with self.subTest('batch', number=number):
                self.assertTrue(self.run_module(*batch)['changed'])
                self.assert_menu_is_sound()
                got = self.kernel_gets()
                wish = [kernel_parameters(word) for word in batch]
                self.assertEqual([g for g in got if [g] not in wish], [*FIRST, ('quiet', None)])
                self.assertEqual([word for word, one in zip(batch, wish) if one[0] not in got], [], 'the kernel would not get these')
                self.assertEqual(len(got), len(batch) + 4)
                again = self.run_module(*batch)
                self.assertFalse(again['changed'], again['steps'])
            self.host.module('kernel_cmdline', parameters=batch, state='absent')
            self.assertEqual(self.host.files(), before, 'absent leaves something')
            self.setUp()

    def test_what_does_not_fit_is_refused(self):
        # The entry with the longest name has the least room.
        self.host.kernels(KERNEL, KERNEL + '-with-a-long-local-version')
        self.host.run('update-grub')

        def accepted(length):
            return not self.host.module('kernel_cmdline', parameters=['x=' + 'v' * length], _ansible_check_mode=True).get('failed')

        low, high = 1000, 2048
        self.assertTrue(accepted(low))
        self.assertFalse(accepted(high))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if accepted(middle) else (low, middle)
        line = max((grub_loader(self.host.started(entry)) for entry in self.host.entries() if '-recovery-' not in entry), key=len)
        fits = booting.COMMAND_LINE_SIZE - 1 - len(line) - len(' x=')
        self.assertLessEqual(low, fits)
        self.assertGreater(low, fits - 200, 'much that fits is refused')
        self.run_module('x=' + 'v' * low)
        for entry in self.host.entries():
            if '-recovery-' not in entry:
                self.assertEqual(self.kernel_gets(entry)[1:], [*FIRST[1:], ('quiet', None), ('x', 'v' * low)])
        # quotes that GRUB's loader adds count too
        self.refused('y="' + 'a ' * 1100 + '"')


class OfOthers(GrubTest):
    MEMMAP = ('memmap', '1G$4G')

    def test_what_others_escaped_for_grub_counts(self):
        for line, word, gets in [
                (r'GRUB_CMDLINE_LINUX_DEFAULT="quiet memmap=1G\\\$4G"', 'memmap=1G$4G', self.MEMMAP),
                (r"GRUB_CMDLINE_LINUX_DEFAULT='quiet memmap=1G\$4G'", 'memmap=1G$4G', self.MEMMAP),
                (r'''GRUB_CMDLINE_LINUX_DEFAULT="quiet 'memmap=1G\$4G'"''', 'memmap=1G$4G', self.MEMMAP),
                (r'''GRUB_CMDLINE_LINUX_DEFAULT='quiet memmap="1G\$4G"' ''', 'memmap=1G$4G', self.MEMMAP),
                (r'''GRUB_CMDLINE_LINUX_DEFAULT="quiet x='a;b'"''', 'x=a;b', ('x', 'a;b')),
                (r'''GRUB_CMDLINE_LINUX_DEFAULT="quiet x=a\\;b"''', 'x=a;b', ('x', 'a;b')),
                (r'''GRUB_CMDLINE_LINUX_DEFAULT="quiet dyndbg='file a.c +p'"''', 'dyndbg="file a.c +p"', ('dyndbg', 'file a.c +p')),
                (r'''GRUB_CMDLINE_LINUX_DEFAULT='quiet "dyndbg=file a.c +p"' ''', 'dyndbg="file a.c +p"', ('dyndbg', 'file a.c +p')),
        ]:
            with self.subTest(line):
                self.setUp()
                self.defaults(line)
                self.assertIn(gets, self.kernel_gets())
                before = self.host.files()
                answer = self.run_module(word)
                self.assertFalse(answer['changed'], answer['steps'])
                self.assertEqual(self.host.files(), before)

    def test_what_others_escaped_wrongly_does_not_count(self):
        for line in (r'GRUB_CMDLINE_LINUX_DEFAULT="quiet memmap=1G\$4G"', r"GRUB_CMDLINE_LINUX_DEFAULT='quiet memmap=1G$4G'"):
            with self.subTest(line):
                self.setUp()
                self.defaults(line)
                self.assertNotIn(self.MEMMAP, self.kernel_gets())
                theirs = self.host.read(DEFAULTS)
                answer = self.host.module('kernel_cmdline', parameters=['memmap=1G$4G'])
                if not answer.get('failed'):
                    self.assertIn(self.MEMMAP, self.kernel_gets())
                self.assertEqual(self.host.read(DEFAULTS), theirs)

    def test_their_bytes_stay_when_a_word_between_goes(self):
        self.defaults(r'''GRUB_CMDLINE_LINUX_DEFAULT="quiet  memmap=1G\\\$4G iommu=off dyndbg='file a.c +p'"  # mine''')
        theirs = self.host.read(DEFAULTS)
        self.run_module('iommu=pt', conflicts='remove')
        self.assertEqual(self.host.read(DEFAULTS), theirs.replace(' iommu=off', ''))
        got = self.kernel_gets()
        self.assertNotIn(('iommu', 'off'), got)
        for one in (self.MEMMAP, ('dyndbg', 'file a.c +p'), ('iommu', 'pt')):
            self.assertIn(one, got)
        self.run_module('iommu=pt', state='absent')
        self.assertEqual(self.host.read(DEFAULTS), theirs)

    def test_a_line_break_is_named(self):
        # GRUB takes what follows for a command: grub-script-check has nothing against it, and the kernel never gets it.
        for line in ('GRUB_CMDLINE_LINUX_DEFAULT="quiet\nnosplash"', "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet x='a\nb' y=z\""):
            with self.subTest(line):
                self.setUp()
                self.defaults(line)
                number = 1 + self.host.read(DEFAULTS)[:self.host.read(DEFAULTS).index(line)].count('\n')
                message = self.refused('a=b', naming=[DEFAULTS])
                self.assertRegex(message, rf'\b({number}|{number + 1})\b')

    def test_a_later_dropin_that_overrides_ours_is_named(self):
        later = '/etc/default/grub.d/zz-site.cfg'
        for text, line in (('GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n', 1), ('# site\nexport GRUB_CMDLINE_LINUX_DEFAULT=quiet\n', 2),
                           ('if true; then\n  GRUB_CMDLINE_LINUX_DEFAULT="splash"\nfi\n', 2)):
            with self.subTest(text):
                self.setUp()
                self.host.write(later, text)
                self.host.run('update-grub')
                message = self.refused('a=b', naming=[later])
                self.assertRegex(message, rf'\bline {line}\b|{re.escape(later)}:{line}\b')

    def test_a_later_dropin_that_adds_is_fine(self):
        self.host.write('/etc/default/grub.d/zz-site.cfg', 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT nosplash"\n')
        self.run_module('a=b;c')
        got = self.kernel_gets()
        self.assertIn(('a', 'b;c'), got)
        self.assertIn(('nosplash', None), got)
        self.assertFalse(self.run_module('a=b;c')['changed'])


    def test_what_stands_in_the_other_variable_counts(self):
        self.host.write('/etc/default/grub.d/installer.cfg', "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX x='1;2'\"\n")
        self.host.run('update-grub')
        self.assertFalse(self.run_module('x=1;2')['changed'])
        self.assertTrue(self.run_module('x=1;2', 'a=b;c')['changed'])
        got = self.kernel_gets()
        self.assertEqual(got.count(('x', '1;2')), 1)
        self.assertIn(('a', 'b;c'), got)

    def test_what_others_wrote_into_our_dropin_stays(self):
        self.run_module('a=b;c')
        theirs = '# since the outage of May\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT theirs=\\"1;2\\""\nGRUB_TIMEOUT=1\n'
        self.host.write(DROPIN, self.host.read(DROPIN) + theirs)
        self.run_module('a=b;c', 'd=$e')
        self.assertIn(theirs, self.host.read(DROPIN))
        got = self.kernel_gets()
        for one in (('a', 'b;c'), ('d', '$e'), ('theirs', '1;2')):
            self.assertEqual(got.count(one), 1, got)
        self.assertFalse(self.run_module('a=b;c', 'd=$e')['changed'])
        self.run_module('a=b;c', 'd=$e', state='absent')
        self.assertIn(theirs, self.host.read(DROPIN))
        self.assertEqual(self.kernel_gets(), [*FIRST, ('quiet', None), ('theirs', '1;2')])


    def fares(self, line):
        """With this line of others: refused at once, in check mode too, with nothing changed; or the kernel gets ours besides theirs."""
        self.setUp()
        self.host.write(DEFAULTS, re.sub('^GRUB_CMDLINE_LINUX_DEFAULT=.*$', lambda _: line, self.host.default, flags=re.M))
        sound = self.host.run('update-grub', check=False).returncode == 0
        self.host.remove(MENU + '.new')
        theirs = None
        if sound:
            # An odd quote pairs with one of the lines below: grub-script-check has nothing against it, but the entry starts nothing.
            with contextlib.suppress(booting.NotStarted):
                theirs = self.kernel_gets()
        before = self.host.files()
        check = self.host.module('kernel_cmdline', parameters=['ours=1;2'], _ansible_check_mode=True)
        answer = self.host.module('kernel_cmdline', parameters=['ours=1;2'])
        self.assertEqual(bool(check.get('failed')), bool(answer.get('failed')), answer.get('msg') or check.get('msg'))
        if answer.get('failed'):
            self.assertTrue(self.host.files() == before, 'it was refused with an effect')
            self.assertIn(DEFAULTS, answer['msg'])
            return 'refused'
        self.assertIsNotNone(theirs, 'this host does not boot, and that is not said')
        self.assertEqual(self.kernel_gets(), [*theirs, ('ours', '1;2')])
        again = self.run_module('ours=1;2')
        self.assertFalse(again['changed'], again['steps'])
        return 'written'

    def test_what_of_others_would_swallow_ours(self):
        for line, outcome in [
                (r'GRUB_CMDLINE_LINUX_DEFAULT="quiet b=\\\"1 z=1"', 'refused'),           # to the kernel an open quote
                (r'GRUB_CMDLINE_LINUX_DEFAULT="quiet dyndbg=\\\"file a.c +p\\\" z=1"', 'written'),
                ("GRUB_CMDLINE_LINUX_DEFAULT='quiet -- a=b'", 'refused'),               # what follows is init's
                ("GRUB_CMDLINE_LINUX_DEFAULT='quiet ; set x=1'", 'refused'),
                ("GRUB_CMDLINE_LINUX_DEFAULT='quiet # why'", 'refused'),
                ("GRUB_CMDLINE_LINUX_DEFAULT='quiet \\\nx=1'", None),
                ("GRUB_CMDLINE_LINUX_DEFAULT='quiet /boot/* à=1'", None),
                ("GRUB_CMDLINE_LINUX_DEFAULT='quiet {'", 'refused')]:
            with self.subTest(line):
                self.assertIn(self.fares(line), [outcome] if outcome else ['refused', 'written'])

    def test_random_texts_of_others(self):
        dice = random.Random(SEED)
        atoms = ['a', 'b=', 'x=', '1', '$', '$4', '${y}', '\\', '\\\\', '\\$', '\\;', ';', "'", '"', '\\"', ' ', '  ', '\t', '#', '&', '|', '{', '}', '*', '[', ',',
                 '-', '`', '<', '!', '~', '--', 'k=v', 'iommu=pt', "'a b'", '"c d"', '"$e"']
        for number in range(TEXTS):
            text = 'quiet ' + ''.join(dice.choice(atoms) for _ in range(dice.randint(1, 8))) + dice.choice(['', ' z=1'])
            quoted = "'" + text.replace("'", "'\\''") + "'" if dice.random() < 0.5 else '"' + re.sub(r'([\\$"`])', r'\\\1', text) + '"'
            with self.subTest(seed=SEED, number=number, text=text):
                self.fares('GRUB_CMDLINE_LINUX_DEFAULT=' + quoted)


class Menu(GrubTest):
    OTHER = '6.5.13-6-pve'
    OLDEST = '6.2.16-20-pve'

    def test_a_failing_update_grub_reverts_the_files(self):
        self.host.write('/etc/grub.d/45_test', "#!/bin/sh\necho \"menuentry 'broken' {\"\n", 0o755)
        before = self.host.files()
        answer = self.host.module('kernel_cmdline', parameters=['a=b;c'])
        self.assertTrue(answer.get('failed'), answer)
        self.assertIn('update-grub', answer['msg'])
        self.host.remove(MENU + '.new')      # grub-mkconfig leaves it
        self.assertEqual(self.host.files(), before)
        self.host.remove('/etc/grub.d/45_test')
        self.assertTrue(self.run_module('a=b;c')['changed'])
        self.assertIn(('a', 'b;c'), self.kernel_gets())

    def test_a_stale_menu_is_made_again(self):
        words = ['a=b;c', 'memmap=1G$4G', 'dyndbg="file a.c +p"', 'x={}']
        stale = self.host.read(MENU)
        self.run_module(*words)
        self.host.write(MENU, stale, 0o444)
        self.assertNotIn(('a', 'b;c'), self.kernel_gets())
        self.assertTrue(self.run_module(*words)['changed'])
        got = self.kernel_gets()
        for word in words:
            self.assertIn(kernel_parameters(word)[0], got)
        self.assertFalse(self.run_module(*words)['changed'])
        # the same text, but not to GRUB
        self.host.write(MENU, stale.replace(' quiet', ' quiet a=b;c memmap=1G$4G dyndbg="file a.c +p" x=\\{\\}'), 0o444)
        self.assertTrue(self.run_module(*words)['changed'])
        self.assertIn(('a', 'b;c'), self.kernel_gets())

    def test_every_entry_but_those_of_recovery(self):
        self.host.kernels(KERNEL, self.OTHER, self.OLDEST)
        for settings, entries in (('', 7), ('GRUB_DISABLE_RECOVERY=true\n', 4), ('GRUB_DISABLE_SUBMENU=y\n', 6),
                                  ('GRUB_CMDLINE_LINUX="net.ifnames=0 x=\'1;2\'"\n', 7)):
            with self.subTest(settings):
                self.host.remove('/etc/default/grub.d', '/var/lib/pve-gpu')
                # as Proxmox VE has it
                self.host.write('/etc/default/grub.d/proxmox-ve.cfg',
                                'GRUB_DISTRIBUTOR="Proxmox Virtual Environment"\nGRUB_DISABLE_OS_PROBER=true\n')
                self.host.write(DEFAULTS, self.host.default + settings)
                self.run_module('a=b;c', 'memmap=1G$4G')
                self.assert_menu_is_sound()
                self.assertIn("menuentry 'Proxmox Virtual Environment GNU/Linux'", self.host.read(MENU).replace(', with Linux', "'"))
                all_entries = self.host.entries()
                self.assertEqual(len(all_entries), entries, all_entries)
                for entry in all_entries:
                    got = self.kernel_gets(entry)
                    ours = [('a', 'b;c'), OfOthers.MEMMAP]
                    self.assertEqual([one for one in got if one in ours], [] if '-recovery-' in entry else ours, entry)
                    if 'ifnames' in settings:
                        self.assertIn(('net.ifnames', '0'), got)
                        self.assertIn(('x', '1;2'), got)
                self.assertFalse(self.run_module('a=b;c', 'memmap=1G$4G')['changed'])

    def test_a_pinned_kernel_gets_it(self):
        # As proxmox-boot-tool pins: an older kernel, in the submenu.
        self.host.kernels(KERNEL, self.OTHER)
        device = '2c5f1d0a-7b1e-4f57-9d0e-0c6f1f6a3b11'
        pinned = f'gnulinux-advanced-{device}>gnulinux-{self.OTHER}-advanced-{device}'
        self.host.write('/etc/default/grub.d/proxmox-kernel-pin.cfg', f'GRUB_DEFAULT="{pinned}"\n')
        self.run_module('a=b;c')
        self.assertIn(f'set default="{pinned}"', self.host.read(MENU))
        self.assertIn(('a', 'b;c'), self.kernel_gets(pinned))

    def test_on_the_partitions_of_proxmox_boot_tool(self):
        # There it is GRUB as well that reads it, and the file of systemd-boot is kept besides.
        self.host.write('/etc/kernel/proxmox-boot-uuids', 'ABCD-1234\n')
        self.host.write(CMDLINE, 'root=ZFS=rpool/ROOT/pve-1 boot=zfs\n')
        self.host.write('/usr/sbin/proxmox-boot-tool', '#!/bin/sh\n', 0o755)
        answer = self.run_module('a=b;c', 'memmap=1G$4G')
        self.assertEqual(answer['loader']['kind'], 'grub-pbt')
        for got in (self.kernel_gets(), kernel_parameters(self.host.read(CMDLINE))):
            self.assertEqual([one for one in got if one in (('a', 'b;c'), OfOthers.MEMMAP)], [('a', 'b;c'), OfOthers.MEMMAP])
        self.refused("x=it's")


if 'grub-trixie' in booting.ROOTS:
    class ValuesTrixie(Values):
        ROOT = 'grub-trixie'

    class OfOthersTrixie(OfOthers):
        ROOT = 'grub-trixie'

    class MenuTrixie(Menu):
        ROOT = 'grub-trixie'

if __name__ == '__main__':
    unittest.main()
