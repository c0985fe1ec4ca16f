#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# A planner that writes, or runs a program of its own, does not compile; the same file without that line does.
import concurrent.futures
import os
import subprocess
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, 'planner.cpp')
ROOT = os.path.join(HERE, '..', '..')
COMPILER = os.environ.get('CXX', 'c++')

# Offence: words of which the compiler's first error must have one (g++ or clang++).
OFFENCES = {
    1: ('a file is written', ['write_file']),
    2: ('a file is removed', ['remove_file']),
    3: ('an attribute is written', ['write_attr']),
    4: ('a program is run', ["'run'", '‘run’']),
    5: ('a query is made of free words', ['private']),
    6: ('words are taken for a query', ['explicit']),
    7: ('a kernel module is loaded', ['load_module']),
    8: ('the host is taken for one that acts', ['Host&', "'pvegpu::Host'", "'const pvegpu::HostView'", 'Host']),
    9: ('an observation acts', ['operator=', 'no viable overloaded', 'no match for']),
    10: ('a verification acts', ['operator=', 'no viable overloaded', 'no match for']),
    11: ('an answer is dropped', ['nodiscard', 'unused']),
    12: ('a planner asks for a host that acts', ['no matching', 'invalid conversion', 'could not convert', 'no known conversion']),
}


def compile_with(offence):
    return subprocess.run([COMPILER, '-std=c++20', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-Wno-gnu-statement-expression', '-DFMT_HEADER_ONLY=1',
                           '-DOFFENCE=%d' % offence, '-I', ROOT, SOURCE], capture_output=True, text=True, check=False)


class CompileFail(unittest.TestCase):
    def test_planner_that_only_asks_compiles(self):
        done = compile_with(0)
        self.assertEqual(done.returncode, 0, done.stderr[:3000])

    def test_offences_do_not(self):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            compilations = list(pool.map(compile_with, OFFENCES))
        for done, (what, words) in zip(compilations, OFFENCES.values()):
            with self.subTest(what):
                self.assertNotEqual(done.returncode, 0, 'it compiles that %s' % what)
                errors = [line for line in done.stderr.splitlines() if 'error:' in line]
                self.assertTrue(errors, done.stderr[:2000])
                self.assertTrue(any(word in errors[0] for word in words), 'another error than meant: %s' % errors[0])


if __name__ == '__main__':
    unittest.main()
