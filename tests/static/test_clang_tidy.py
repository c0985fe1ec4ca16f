# SPDX-License-Identifier: MIT
# clang-tidy with the checks of .clang-tidy on what is shipped: common/ and modules/.
import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))


def tidy(build, source):
    # A compiler's own warnings are the compiler's business: other versions of clang have other ones.
    done = subprocess.run(['clang-tidy', '-p', build, '--quiet', '--extra-arg=-Wno-everything', source], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout


class ClangTidy(unittest.TestCase):
    @unittest.skipUnless(os.environ.get('PVE_GPU_TEST_ALL'), 'takes minutes: ./dev test --all')
    def test_nothing_is_found(self):
        version = subprocess.run(['clang-tidy', '--version'], capture_output=True, text=True, check=False).stdout if shutil.which('clang-tidy') else ''
        if 'version 14.' not in version:
            self.skipTest('clang-tidy 14 is not here; others find other things')
        build = os.environ['PVE_GPU_BINARY_DIR']
        sources = [source for folder in ('common/*', 'modules') for source in sorted(glob.glob(os.path.join(ROOT, folder, '*.cpp')))]
        self.assertGreater(len(sources), 50)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            found = [text or 'clang-tidy fails on ' + source
                     for source, (code, text) in zip(sources, pool.map(lambda each: tidy(build, each), sources)) if code != 0]
        self.assertEqual(found, [], '\n'.join(found))


if __name__ == '__main__':
    if 'PVE_GPU_BINARY_DIR' not in os.environ:
        sys.exit('test_clang_tidy: run it with ctest, or give PVE_GPU_BINARY_DIR')
    unittest.main()
