# SPDX-License-Identifier: MIT
# Every mutant is killed by the test that guards its place; each of the laws L1 to L11 has at least one.
import os
import sys
import unittest

import mutate


class Mutation(unittest.TestCase):
    def test_every_mutant_is_killed(self):
        try:
            self.assertEqual(mutate.main(os.environ['PVE_GPU_BINARY_DIR'], []), 0, 'a mutant survives: see SURVIVES above')
        except SystemExit as stop:
            self.fail(stop.code)


if __name__ == '__main__':
    if 'PVE_GPU_BINARY_DIR' not in os.environ:
        sys.exit('test_mutation: run it with ctest, or give PVE_GPU_BINARY_DIR')
    unittest.main()
