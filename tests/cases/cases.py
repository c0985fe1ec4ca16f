#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Runs cases: described hosts, what is asked of the executable there, and what its answers must say.
"""cases.py EXECUTABLE DIRECTORY [PATTERN...]: runs the cases in DIRECTORY whose names match; says what falls short, and how many are right.

A case is a folder:
    machine.yml               the host (tests/rack/machines/README.md)
    args.json                 arguments of the module that the folder is named after (its name up to the first dot), or
    args.MODULE[.NAME].json   of others, by name
    units                     (optional) lines "UNIT ACTIVE-STATE FILE-STATE"; journal.UNIT, journal.kernel: logs. machine.yml can say both, too
    fake.PROGRAM              (optional) a program instead of the stand-in of that name
    EXPECT                    lines "RUN PHASE +REGEX" and "RUN PHASE -REGEX": the answer, as one line of JSON, must match, or not. RUN is MODULE[.NAME] or *.
                              PHASE: check (mode), run, again, absent, absent2 (state=absent, twice), or file=/PATH: that file after `run`
Phases go as far as a line names them. The executable runs in a root of the described files with the programs of tests/rack/faults."""
import fnmatch
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'rack', 'faults'))
import root as roots  # noqa: E402

# Programs that modules start and that a case may take for granted: they end well and do nothing.
QUIET = ('apt-get', 'modprobe', 'qm', 'pvesh', 'udevadm')


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as file:
        return [line for line in file.read().splitlines() if line.strip()]


def described(folder):
    """The machine of a case, with the units and logs that lie beside it."""
    spec = roots.machines.load(folder + '/machine.yml')
    units = {unit: '%s %s' % (active, enabled) for unit, active, enabled in map(str.split, lines_of(folder + '/units'))}
    logs = {os.path.basename(path)[len('journal.'):]: lines_of(path) for path in sorted(glob.glob(folder + '/journal.*'))}
    kernel = logs.pop('kernel', None)
    spec = dict(spec, units={**(spec.get('units') or {}), **units}, journals={**(spec.get('journals') or {}), **logs})
    return roots.machines.Machine(dict(spec, kernel_log=kernel) if kernel else spec)


def expectations(folder):
    """[(run, phase, '+' or '-', regex)]"""
    found = []
    for line in lines_of(folder + '/EXPECT'):
        if not line.startswith('#'):
            run, phase, rest = line.split(None, 2)
            found.append((run, phase, rest[0], rest[1:].strip()))
    return found


def runs(folder):
    """[(run, arguments)]"""
    found = []
    for path in sorted(glob.glob(folder + '/args*.json')):
        name = os.path.basename(path)[len('args.'):-len('.json')] if os.path.basename(path) != 'args.json' else os.path.basename(folder).split('.')[0]
        with open(path, encoding='utf-8') as file:
            found.append((name, json.load(file)))
    return found


def ask(host, **more):
    try:
        code, answer = host.run(_ansible_diff=True, **more)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return (None, 'it was killed (%d)' % code) if answer is None else (json.dumps(answer), None)


def answers(host, phases):
    """{phase: (answer, None) or (None, what went wrong)}"""
    found = {'check': ask(host, _ansible_check_mode=True)}
    if phases <= {'check'}:
        return found
    found['run'] = ask(host)
    for phase in phases:
        if phase.startswith('file='):
            try:
                with open(host.root + phase[len('file='):], encoding='utf-8', errors='replace') as file:
                    found[phase] = (file.read(), None)
            except OSError as error:
                found[phase] = (str(error), None)
    found['again'] = ask(host)
    if phases & {'absent', 'absent2'}:
        found['absent'] = ask(host, state='absent')
        found['absent2'] = ask(host, state='absent')
    return found


def problems(folder, userland, directory):
    """What falls short in one case, a line each."""
    found, expected = [], expectations(folder)
    asked = [(run, arguments, [each for each in expected if each[0] in (run, '*')]) for run, arguments in runs(folder)]
    named = {run for run, _, _ in asked}
    found += ['%s: there is no args.%s.json' % (run, run) for run in sorted({each[0] for each in expected} - named - {'*'})]
    if not expected:
        found.append('nothing is expected')
    machine = roots.Described(userland, directory, described(folder), None, {})
    for name in QUIET:
        stand_in(directory, name, '#!/bin/sh\nexit 0\n')
    for path in glob.glob(folder + '/fake.*'):
        with open(path, encoding='utf-8') as file:
            stand_in(directory, os.path.basename(path)[len('fake.'):], file.read())
    for run, arguments, mine in asked:
        if not mine:
            continue
        machine.module, machine.arguments = run.split('.')[0], arguments
        with roots.Try(machine, os.path.dirname(directory)) as host:
            given = answers(host, {phase for _, phase, _, _ in mine})
        for _, phase, sign, regex in mine:
            answer, wrong = given.get(phase, (None, 'there is no such phase'))
            if wrong or bool(re.search(regex, answer, re.I | re.S)) != (sign == '+'):
                found.append('%s %s: %s' % (run, phase, wrong or sign + regex))
            if os.environ.get('SHOW'):
                print('%s %s: %s' % (run, phase, (wrong or answer)[:int(os.environ['SHOW'])]))
    return found


def stand_in(directory, name, text):
    for place in ('/usr/sbin/', '/usr/bin/'):
        path = directory + place + name
        if os.path.lexists(path):
            os.unlink(path)
    path = directory + '/usr/sbin/' + name
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, 0o755)


def run_all(executable, folder, patterns=('*',), say=print):
    """(how many are right, how many there are). Of this process's own mounts; nothing is left."""
    top = tempfile.mkdtemp(prefix='pve-gpu-cases-')
    right = total = 0
    try:
        roots.own_mounts(top)
        userland = roots.make_userland(top + '/userland', os.path.abspath(executable))
        for path in sorted(glob.glob(os.path.join(folder, '*', 'EXPECT'))):
            case = os.path.dirname(path)
            if not any(fnmatch.fnmatchcase(os.path.basename(case), pattern) for pattern in patterns):
                continue
            total += 1
            directory = '%s/case-%d/machine' % (top, total)
            os.mkdir(os.path.dirname(directory))
            try:
                wrong = problems(case, userland, directory)
            except (roots.machines.MachineError, ValueError, OSError) as error:
                wrong = ['it can not be run: %s' % error]
            shutil.rmtree(os.path.dirname(directory), ignore_errors=True)
            right += not wrong
            if wrong:
                say('%s falls short: %s' % (os.path.basename(case), '; '.join(wrong)))
    finally:
        roots.system.call('umount2', top.encode(), roots.system.MNT_DETACH)
        shutil.rmtree(top, ignore_errors=True)
    say('%d of %d cases right' % (right, total))
    return right, total


def main(argv):
    if len(argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print('cases: they need root (mounts, chroot)', file=sys.stderr)
        return 2
    right, total = run_all(argv[1], argv[2], argv[3:] or ['*'])
    if total == 0:
        print('cases: there is none of that name in %s' % argv[2], file=sys.stderr)
    return 0 if right == total > 0 else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv))
