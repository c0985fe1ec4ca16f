# SPDX-License-Identifier: MIT
# The seeds in parsers.cpp with every change; with PVE_GPU_TEST_ALL=1 a libFuzzer executable made by clang and two minutes of fuzzing from
# them, which is no test that always ends the same. For longer: build/dev/fuzz/fuzz-parsers -max_total_time=600 CORPUS
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 120


def fuzzing_clang():
    """The first clang++ whose fuzzer runtime is installed."""
    for name in ('clang++', *('clang++-%d' % version for version in range(22, 13, -1))):
        compiler = shutil.which(name)
        if not compiler:
            continue
        with tempfile.TemporaryDirectory() as place:
            source = os.path.join(place, 'empty.cpp')
            with open(source, 'w', encoding='utf-8') as file:
                file.write('#include <string>\nextern "C" int LLVMFuzzerTestOneInput(const unsigned char*, std::size_t) { return 0; }\n')
            tried = subprocess.run([compiler, '-std=c++20', '-fsanitize=fuzzer,address,undefined', source, '-o', os.path.join(place, 'empty')],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if tried.returncode == 0:
                return compiler
    return None


class Smoke(unittest.TestCase):
    def setUp(self):
        self.place = os.path.join(os.environ['PVE_GPU_BINARY_DIR'], 'fuzz')
        self.seeds = os.path.join(self.place, 'seeds')
        shutil.rmtree(self.seeds, ignore_errors=True)
        os.makedirs(self.seeds)

    def done(self, command, **options):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
        output = done.stdout.decode('utf-8', 'replace')
        self.assertEqual(done.returncode, 0, '%s fails:\n%s' % (' '.join(command[:2]), output[-6000:]))
        return output

    def test_no_seed_breaks_a_parser(self):
        program = os.path.join(os.environ['PVE_GPU_BINARY_DIR'], 'tests', 'fuzz-seeds')
        self.done([program], env={**os.environ, 'PVE_GPU_SEEDS': self.seeds})
        names = sorted(os.listdir(self.seeds))
        self.assertGreater(len(names), 19, 'there are seeds for each parser')
        output = self.done([program, *names], cwd=self.seeds)
        self.assertEqual(output.split(), names)

    @unittest.skipUnless(os.environ.get('PVE_GPU_TEST_ALL'), 'takes minutes: ./dev test --all')
    def test_no_input_breaks_a_parser(self):
        self.compiler = fuzzing_clang()
        if not self.compiler:
            self.skipTest("there is no clang++ with its fuzzer runtime; install clang and libclang-rt-dev")
        self.done(['cmake', '-G', 'Ninja', '-S', HERE, '-B', self.place, '-DCMAKE_BUILD_TYPE=None', '-DCMAKE_CXX_COMPILER=' + self.compiler])
        self.done(['cmake', '--build', self.place])
        program, seeds = os.path.join(self.place, 'fuzz-parsers'), self.seeds
        self.done([program, '-runs=0'], env={**os.environ, 'PVE_GPU_SEEDS': seeds}, cwd=self.place)
        output = self.done([program, '-seed=1', '-max_len=1000', '-max_total_time=%d' % SECONDS, '-print_final_stats=1', seeds], cwd=self.place)
        runs = int(re.search(r'number_of_executed_units: (\d+)', output).group(1))
        self.assertGreater(runs, 1000, output[-2000:])
        print('%d inputs' % runs)


if __name__ == '__main__':
    if 'PVE_GPU_BINARY_DIR' not in os.environ:
        sys.exit('test_smoke: run it with ctest, or give PVE_GPU_BINARY_DIR')
    unittest.main()
