#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Shows that the tests can fail: breaks one place of the code at a time and expects the test that guards it to notice.
"""mutate.py BUILD_DIR [WORD...]: all mutants, or those whose title has one of the words.

All mutants are compiled into one executable and one at a time is alive (mutants.py, mutant.hpp), so that nothing is compiled for
a single one. A mutant whose text is not in its file any more, or that its test does not kill, fails the run.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

from mutants import MUTANTS

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, '..', '..'))
LAWS = ('L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8', 'L9', 'L10', 'L11')


def texts():
    """The mutated text of each file that has mutants."""
    out = {}
    for number, mutant in enumerate(MUTANTS, 1):
        if mutant.file not in out:
            with open(os.path.join(ROOT, mutant.file), encoding='utf-8') as file:
                out[mutant.file] = file.read()
        for old, new in mutant.edits:
            new = re.sub(r'\bMUTANT\b', 'pve_gpu_mutant(%d)' % number, new)
            if out[mutant.file].count(old) != 1:
                sys.exit('mutate: "%s": %s has this text %d times: bring tests/mutation/mutants.py up to date:\n%s'
                         % (mutant.title, mutant.file, out[mutant.file].count(old), old))
            out[mutant.file] = out[mutant.file].replace(old, new)
    return out


def make(build, top):
    """The executable, made from nothing or brought up to date."""
    for name, text in texts().items():
        path = os.path.join(build, 'mutated', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path) or pathlib.Path(path).read_text(encoding='utf-8') != text:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
    for command in (['cmake', '-G', 'Ninja', '-S', HERE, '-B', build, '-DPVE_GPU_BINARY_DIR=' + top, '-DPVE_GPU_PYTHON=' + sys.executable,
                     '-DCMAKE_BUILD_TYPE=None'],
                    ['cmake', '--build', build]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit('mutate: %s fails:\n%s' % (' '.join(command[:2]), done.stdout[-4000:]))
    return os.path.join(build, 'mutants')


def run_tests(program, names, number=0):
    """The exit code of these tests, 124 when they do not end, and what they print. The first that fails says enough (GoogleTest from
    1.11 on stops there)."""
    environment = {**os.environ, 'PVE_GPU_MUTANT': str(number), 'GTEST_FAIL_FAST': '1'}
    try:
        done = subprocess.run([program, '--gtest_brief=1', '--gtest_filter=' + names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors='replace', check=False, env=environment, timeout=600)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return 124, ''


def main(top, words):
    begin = time.monotonic()
    chosen = [(number, mutant) for number, mutant in enumerate(MUTANTS, 1) if not words or any(word in mutant.title for word in words)]
    unguarded = [law for law in LAWS if not any(re.search(r'\.%s[_*]' % law, mutant.test) for mutant in MUTANTS)]
    if unguarded:
        sys.exit('mutate: no mutant shows that these laws can fail: ' + ' '.join(unguarded))
    top = os.path.realpath(top)
    program = make(os.path.join(top, 'mutation'), top)
    made = time.monotonic()
    tests = sorted({mutant.test for _, mutant in chosen})
    for name in tests:  # without a mutant every named test is there and passes
        listed = subprocess.run([program, '--gtest_list_tests', '--gtest_filter=' + name], capture_output=True, text=True, check=True).stdout
        if not re.search(r'^  \S', listed, re.MULTILINE):
            sys.exit('mutate: no test is called %s' % name)
    code, printed = run_tests(program, ':'.join(tests))
    if code != 0:
        sys.exit('mutate: the tests fail without a mutant; mend that first:\n' + printed[:8000])
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        codes = pool.map(lambda each: run_tests(program, each[1].test, each[0])[0], chosen)
        for (_, mutant), code in zip(chosen, codes):
            survivors += code == 0
            print('%-8s  %-58s %s' % ('SURVIVES' if code == 0 else 'killed', mutant.title, mutant.test), flush=True)
    print('mutate: %d of %d mutants killed; made in %.0f s, run in %.0f s'
          % (len(chosen) - survivors, len(chosen), made - begin, time.monotonic() - made))
    return 1 if survivors else 0


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
