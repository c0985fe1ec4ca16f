#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes the trees of all fixtures (tests/rack/machine.py) where they are older than what they are made of.
"""make_trees.py FIXTURES OUT [PATTERN...]: OUT/MODULE/CASE for each FIXTURES/MODULE/CASE/machine.yml, or those that match; prints MODULE/CASE.
A case that has a recording.json instead has no tree."""
import fcntl
import fnmatch
import glob
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'rack'))
import cardstate  # noqa: E402
import machine  # noqa: E402


def main(fixtures, out, patterns):
    os.makedirs(out, exist_ok=True)
    lock = os.open(out, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)    # shards begin at the same time
    makers = [machine.__file__, cardstate.__file__, *glob.glob(os.path.join(machine.CATALOGUE, '*.csv')), *glob.glob(os.path.join(machine.MACHINES, '*.yml'))]
    newest = max(os.path.getmtime(path) for path in makers)
    for description in sorted(glob.glob(os.path.join(fixtures, '*', '*', 'machine.yml'))):
        case = os.path.relpath(os.path.dirname(description), fixtures)
        if patterns and not any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns):
            continue
        tree, stamp = os.path.join(out, case), os.path.join(out, case + '.stamp')
        wanted = '%r %r' % (newest, os.path.getmtime(description))
        try:
            with open(stamp, encoding='ascii') as file:
                fresh = file.read() == wanted
        except FileNotFoundError:
            fresh = False
        if not fresh:
            shutil.rmtree(tree, ignore_errors=True)
            try:
                machine.write(machine.Machine(machine.load(description)), tree)
            except machine.MachineError as error:
                sys.exit('%s: %s' % (description, error))
            with open(stamp, 'w', encoding='ascii') as file:
                file.write(wanted)
        print(case)
    for recording in sorted(glob.glob(os.path.join(fixtures, '*', '*', 'recording.json'))):
        case = os.path.relpath(os.path.dirname(recording), fixtures)
        if not patterns or any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns):
            print(case)


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
