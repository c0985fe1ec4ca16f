# SPDX-License-Identifier: MIT
# A short bench: its figures exist. Those that do not depend on the machine - ratios of what took turns in one run, bytes, memory - hold
# limits so generous that only a blunder misses them.
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))

LIMITS = {
    'host_info / ping': 0.8,
    'empty / ping': 0.8,
    'host_info, sent': 20,
    'host_info / both': 0.5,
    'host_info, two cards, peak memory': 20,
    'host_info, 8 boards x 32 VFs x 40 types, peak memory': 30,
    'host_info, two cards with 64 VFs / ping, CPU': 0.5,
}


def why_not():
    if os.geteuid() != 0:
        return 'simulated hosts need root'
    missing = [tool for tool in ('ansible-playbook', 'mmdebstrap', 'ip', 'nsenter') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    if not glob.glob(os.path.join(REPOSITORY, 'build', 'collection', 'pve-gpu-*.tar.gz')):
        return 'build/collection holds no collection: make it with ./dev collection'
    return None


@unittest.skipIf(why_not(), why_not())
class Bench(unittest.TestCase):
    def test_figures(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'figures.json')
            done = subprocess.run([sys.executable, '-B', os.path.join(HERE, 'bench.py'), '--quick', '--json', path], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False)
            # 1: a target was missed, which says nothing on a busy machine
            self.assertIn(done.returncode, (0, 1), done.stdout)
            with open(path, encoding='utf-8') as file:
                figures = {figure['name']: figure['value'] for figure in json.load(file)}
        self.assertEqual(set(LIMITS) - set(figures), set())
        for name, value in figures.items():
            with self.subTest(name):
                self.assertGreater(value, 0)
                self.assertLessEqual(value, LIMITS.get(name, float('inf')), done.stdout)


if __name__ == '__main__':
    unittest.main()
