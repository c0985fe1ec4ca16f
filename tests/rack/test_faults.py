#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The real executable, killed or refused by the kernel (strace) at each of its effects: a rerun converges, absent restores what was there and
# leaves nothing of ours. Law L4 in the real world: real files, real errors, a real SIGKILL.
"""By default some points of each case; PVE_GPU_TEST_ALL=1: every one. PVE_GPU_FAULT='MODULE/CASE state call N KIND' repeats one try.
PVE_GPU_EXECUTABLE: another executable than build/portable/pve-gpu."""
import json
import os
import shutil
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, 'faults'))
import root as roots  # noqa: E402

EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'))
CASES = ('kernel_cmdline/grub', 'kernel_cmdline/systemd_boot', 'kernel_cmdline/contradicted_remove', 'iommu/intel_515', 'kernel_pin/grub', 'kernel_pin/systemd_boot',
         'vfio/server_all_boot', 'vfio/twins', 'nvidia_driver/p4_fresh', 'i915_sriov_driver/i5_12400')
SAMPLE = 6  # tries of each case and state
STATE_DIRECTORY = '/var/lib/pve-gpu'
TEMPORARY = '.pve-gpu-new'
ONE = os.environ.get('PVE_GPU_FAULT', '').split()


def why_not():
    if os.geteuid() != 0:
        return 'roots need root (mounts, chroot): run the tests as root'
    if not shutil.which('strace'):
        return 'strace is missing: apt-get install strace'
    return None if os.path.exists(EXECUTABLE) else '%s is missing: ./dev build makes it' % EXECUTABLE


def differences(wanted, found):
    lines = []
    for path in sorted(set(wanted) | set(found)):
        if wanted.get(path, 'as described') != found.get(path, 'as described'):
            lines.append('%s: wanted %r, found %r' % (path, wanted.get(path, 'as described'), found.get(path, 'as described')))
    return lines


def of_others(state):
    return {path: now for path, now in state.items() if not (path + '/').startswith(STATE_DIRECTORY + '/')}


class Subject:
    """One module on one machine, on its way to `state`, and what it comes to without a fault."""

    def __init__(self, machine, directory, state):
        self.machine, self.directory, self.state = machine, directory, state
        self.start = None
        self.before = {}
        if state == 'absent':
            self.start = os.path.join(directory, 'present')
            with roots.Try(machine, directory) as first:
                succeed(first.run(), 'the run without a fault')
                self.before = first.state()
                first.keep(self.start)
        with self.fresh() as clean:
            succeed(clean.run(trace=True, state=state), '%s without a fault' % state)
            self.effects, self.placed = clean.effects()
            self.wanted = clean.state()
            again = succeed(clean.run(state=state), '%s again' % state)
            if again['changed']:
                raise AssertionError('the second run is not empty: %s' % again)
            if state == 'present':
                succeed(clean.run(state='absent'), 'absent without a fault')
            left = differences({}, clean.state())
            if left:
                raise AssertionError('absent does not restore what was there:\n' + '\n'.join(left))

    def fresh(self):
        return roots.Try(self.machine, self.directory, self.start)

    def points(self):
        """All (system call, which time, kind), or some that differ from case to case."""
        found = [(name, number, kind) for name, number, _ in self.effects for kind in roots.KINDS]
        if os.environ.get('PVE_GPU_TEST_ALL'):
            return found
        step = max(1, len(found) // SAMPLE) | 1  # odd: the kinds take turns
        return found[len(self.machine.module) % step::step]

    def problems(self, point):
        """What is not as it must be after a fault there."""
        out = []
        with self.fresh() as host:
            code, answer = host.run(point, state=self.state)
            now = host.state()
            if point[2] == 'KILL':
                if answer is not None:
                    out.append('it was not killed: %s' % answer)
            elif answer is None:
                out.append('it died (exit code %d)' % code)
            elif not answer.get('failed'):
                out += ['it says that it succeeded: ' + line for line in differences(self.wanted, now)]
            elif not answer.get('msg') or code == 0:
                out.append('it fails with exit code %d and %r' % (code, answer.get('msg')))
            elif not answer['changed']:
                out += ['it says that nothing changed: ' + line for line in differences(of_others(self.before), of_others(now))]
            out += self.torn(now)
            if self.state == 'present':
                with host.copy() as other:  # the operator changes his mind
                    out += self.then(other, 'absent', {}, 'absent at once')
            out += self.then(host, self.state, self.wanted, 'rerun')
            if self.state == 'present' and not out:
                out += self.then(host, 'absent', {}, 'absent after the rerun')
        return out

    def torn(self, now):
        """Files that are neither as before nor as they shall be, at their final names."""
        out = []
        for path, found in now.items():
            if found is None or found[0] != 'file' or path.endswith(TEMPORARY):
                continue
            if path.startswith(STATE_DIRECTORY + '/') and path.endswith('.json'):
                try:
                    json.loads(found[3])
                except ValueError:
                    out.append('%s is half written: %r' % (path, found[3][:200]))
            elif path in self.placed and found not in (self.wanted.get(path), self.before.get(path), self.machine.state_of(path)):
                out.append('%s is neither the old file nor the new one: %r' % (path, found))
        return out

    @staticmethod
    def then(host, state, wanted, when):
        _, answer = host.run(state=state)
        if answer.get('failed'):
            return ['%s: %s' % (when, answer.get('msg'))]
        return ['%s: %s' % (when, line) for line in differences(wanted, host.state())]


def succeed(answered, when):
    _, answer = answered
    if answer is None or answer.get('failed'):
        raise AssertionError('%s: %s' % (when, answer))
    return answer


@unittest.skipIf(why_not(), why_not())
class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='pve-gpu-faults-')
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        roots.own_mounts(cls.directory)
        cls.addClassCleanup(roots.system.call, 'umount2', cls.directory.encode(), roots.system.MNT_DETACH)
        cls.userland = roots.make_userland(cls.directory + '/userland', EXECUTABLE)

    def faults(self, case):
        directory = os.path.join(self.directory, case.replace('/', '-'))
        os.mkdir(directory)
        machine = roots.Described.of_fixture(self.userland, directory + '/machine', os.path.join(PROJECT, 'tests', 'fixtures', case))
        for state in ('present', 'absent'):
            if ONE and ONE[:2] != [case, state]:
                continue
            began, counts = time.monotonic(), dict.fromkeys(roots.KINDS, 0)
            subject = Subject(machine, directory, state)
            for point in [(ONE[2], int(ONE[3]), ONE[4])] if ONE else subject.points():
                with self.subTest(' '.join(map(str, (case, state) + point))):
                    problems = subject.problems(point)
                    line = next((line for name, number, line in subject.effects if (name, number) == point[:2]), '')
                    self.assertEqual(problems, [], '%s\n%s' % (line, '\n'.join(problems)))
                    counts[point[2]] += 1
            print('%s %s: %d effects, held: %s; %.1f s' % (case, state, len(subject.effects), ', '.join('%s %d' % pair for pair in counts.items()),
                                                           time.monotonic() - began), file=sys.stderr)


def add(case):
    def test(self):
        self.faults(case)
    setattr(FaultsTest, 'test_' + case.replace('/', '_'), test)


for each in CASES:
    add(each)

if __name__ == '__main__':
    unittest.main()
