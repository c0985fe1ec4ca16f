#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# What a real kernel's sysfs answers is what the rack's simulation answers: one script, two transcripts.
"""tests/rack/simfs/transcripts is what sysfs_ops.py prints on simfs. The kernel is Debian 12's; its SR-IOV function is QEMU's nvme, driven
by our own module `nvidia`. Vendor VFIO has no second witness here: only NVIDIA's driver makes its attributes.
"""
import concurrent.futures
import difflib
import pathlib
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
RACK = HERE.parent / 'rack'
sys.path.insert(0, str(HERE))

import kernel  # noqa: E402  pylint: disable=wrong-import-position
import qemu  # noqa: E402  pylint: disable=wrong-import-position

WHY_NOT = qemu.why_not(qemu.KERNEL)


def transcript(options):
    """What sysfs_ops.py prints on the real kernel, and the seconds it took."""
    began = time.monotonic()
    files = {'init': (HERE / 'init.py').read_text(), 'sysfs_ops.py': (RACK / 'sysfs_ops.py').read_text()}
    with tempfile.TemporaryDirectory(prefix='pve-gpu-kernel-') as work:
        answer = kernel.run(pathlib.Path(work), files, options)
    return answer, time.monotonic() - began


@unittest.skipIf(WHY_NOT, WHY_NOT)
class ConformanceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        kernel.built()
        pool = concurrent.futures.ThreadPoolExecutor(2)
        cls.addClassCleanup(pool.shutdown)
        cls.with_iommu = pool.submit(transcript, 'intel_iommu=on')
        cls.without_iommu = pool.submit(transcript, 'intel_iommu=off')

    def compare(self, name, run):
        answer, seconds = run.result()
        print('%s: %d lines from a real kernel in %.0f s' % (name, answer.count('\n'), seconds), file=sys.stderr)
        simulated = (RACK / 'simfs' / 'transcripts' / (name + '.txt')).read_text().splitlines()
        *real, end = answer.splitlines()
        self.assertEqual(end, 'exit code 0', answer[-2000:])
        differing = []
        for tag, a, b, c, d in difflib.SequenceMatcher(None, simulated, real, autojunk=False).get_opcodes():
            if tag != 'equal':
                differing.append(('\n'.join(simulated[a:b]), '\n'.join(real[c:d])))
        self.assertEqual(differing, [])

    def test_with_iommu(self):
        self.compare('mdev-on-vfs', self.with_iommu)

    def test_without_iommu(self):
        self.compare('mdev-on-vfs-without-iommu', self.without_iommu)


if __name__ == '__main__':
    unittest.main()
