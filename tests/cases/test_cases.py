#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The cases beside this file are right, and the runner says so of no other.
"""PVE_GPU_EXECUTABLE: another executable than build/portable/pve-gpu."""
import glob
import os
import shutil
import tempfile
import unittest

import cases

EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(cases.HERE, '..', '..', 'build', 'portable', 'pve-gpu'))


def why_not():
    if os.geteuid() != 0:
        return 'cases need root (mounts, chroot): run the tests as root'
    return None if os.path.exists(EXECUTABLE) else '%s is missing: ./dev build makes it' % EXECUTABLE


@unittest.skipIf(why_not(), why_not())
class CasesTest(unittest.TestCase):
    def run_in(self, folder, *patterns):
        self.said = []
        return cases.run_all(EXECUTABLE, folder, patterns or ('*',), self.said.append)

    def copy(self):
        copy = tempfile.mkdtemp(prefix='cases.')
        self.addCleanup(shutil.rmtree, copy)
        for path in glob.glob(cases.HERE + '/*/EXPECT'):
            shutil.copytree(os.path.dirname(path), os.path.join(copy, os.path.basename(os.path.dirname(path))))
        return copy

    def test_all_are_right(self):
        right, total = self.run_in(cases.HERE)
        self.assertEqual(self.said, ['%d of %d cases right' % (total, total)])
        self.assertEqual(right, len(glob.glob(cases.HERE + '/*/EXPECT')))
        self.assertEqual(self.run_in(cases.HERE, 'p4-*'), (1, 1))

    def test_each_expectation_can_fall_short(self):
        copy, lines = self.copy(), 0
        for path in glob.glob(copy + '/*/EXPECT'):
            with open(path, encoding='utf-8') as file:
                turned = [line.replace(' +', ' !', 1).replace(' -', ' +', 1).replace(' !', ' -', 1) for line in file if not line.startswith('#')]
            lines += len(turned)
            with open(path, 'w', encoding='utf-8') as file:
                file.writelines(turned)
        self.assertEqual(self.run_in(copy)[0], 0)
        self.assertEqual(sum(len(text.split('; ')) for text in self.said[:-1]), lines)

    def test_what_can_not_be_asked_falls_short(self):
        copy = self.copy()
        for name, expect, part in (('a', 'host_info check +x\n', 'there is no args.host_info.json'), ('b', '* sometime +x\n', 'there is no such phase'),
                                   ('c', '# nothing\n', 'nothing is expected')):
            case = '%s/kernel_cmdline.%s' % (copy, name)
            shutil.copytree(copy + '/kernel_cmdline.there_and_back', case)
            with open(case + '/EXPECT', 'w', encoding='utf-8') as file:
                file.write(expect)
            self.assertEqual(self.run_in(copy, os.path.basename(case)), (0, 1))
            self.assertIn(part, self.said[0])
        with open(copy + '/kernel_cmdline.a/machine.yml', 'w', encoding='utf-8') as file:
            file.write('relase: 8\n')
        self.run_in(copy, 'kernel_cmdline.a')
        self.assertIn("'relase'", self.said[0])


if __name__ == '__main__':
    unittest.main()
