#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The plan of a large cluster with the shipped executable: 1,000 nodes with 8 GPUs each, 100 pools.
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import unittest

EXECUTABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'build', 'portable', 'pve-gpu')
NODES, CARDS = 1000, 8
# It takes about three times as long as Python takes to read the same documents.
TIMES_READING, MEGABYTES = 8, 200
# board: device, subsystem device, framework, framebuffer in MB, sizes of its Q types in GB with their instances
BOARDS = {
    'Tesla P4': ('1bb3', '11d8', 'mdev', {1: 8, 2: 4, 4: 2, 8: 1}),
    'Tesla T4': ('1eb8', '12a2', 'mdev', {1: 16, 2: 8, 4: 4, 8: 2, 16: 1}),
    'A40': ('2235', '145a', 'vendor_vfio', {1: 32, 2: 24, 3: 16, 4: 12, 6: 8, 8: 6, 12: 4, 16: 3, 24: 2, 48: 1}),
    'L4': ('27b8', '16ca', 'vendor_vfio', {1: 24, 2: 12, 3: 8, 4: 6, 6: 4, 8: 3, 12: 2, 24: 1}),
}
FAMILY = {'Tesla P4': 'GRID P4', 'Tesla T4': 'GRID T4', 'A40': 'NVIDIA A40', 'L4': 'NVIDIA L4'}


def technology(possible):
    return {'possible': possible, 'ready': possible, 'missing': [] if possible else ['not on this board']}


def gpu(board, slot):
    device, subsystem, framework, sizes = BOARDS[board]
    address = '0000:%02x:00' % (0x11 + slot * 0x10)
    types = [{'name': '%s-%d%s' % (FAMILY[board], size, series), 'framebuffer_mb': size * 1024, 'max_instances': instances}
             for series in 'QBCA' for size, instances in sizes.items()]
    vfs = []
    if framework == 'vendor_vfio':
        vfs = [{'address': '%s.%d' % (address[:-2] + '%02x' % (number // 8), number % 8), 'driver': 'nvidia', 'held': False} for number in range(32)]
    return {'address': address + '.0', 'kind': 'gpu', 'vendor_id': '10de', 'device_id': device, 'subsystem_vendor_id': '10de',
            'subsystem_device_id': subsystem, 'name': board, 'boot_vga': False, 'iommu_siblings': [], 'framework': framework, 'vgpu_types': types,
            'sriov': {'total': len(vfs), 'enabled': len(vfs), 'vfs': vfs}, 'used_by': [],
            'technologies': {'passthrough': technology(True), 'nvidia_mdev': technology(framework == 'mdev'), 'nvidia_sriov_mdev': technology(False),
                             'nvidia_vendor_vfio': technology(framework == 'vendor_vfio')}}


def cluster():
    boards = list(BOARDS)
    drivers = {True: {'loaded': True, 'version': '535.216.01', 'branch': 16}, False: {'loaded': True, 'version': '570.158.02', 'branch': 18}}
    return [{'host': {'node': 'n%04d' % number, 'pve': {'release': 9}, 'drivers': {'nvidia': drivers[boards[number % len(boards)] == 'Tesla P4']}},
             'gpus': [gpu(boards[number % len(boards)], slot) for slot in range(CARDS)]} for number in range(NODES)]


def pools():
    """25 for each board, of all its sizes, together for about nine of ten GPUs."""
    out = []
    for board, (_, _, _, sizes) in BOARDS.items():
        choice = list(sizes.items())
        for number in range(25):
            size, instances = choice[number % len(choice)]
            out.append({'name': '%s pool %d' % (board, number), 'type': '%s-%dQ' % (FAMILY[board], size), 'desktops': instances * 70 + number * 3,
                        'spare_percent': number % 3 * 5, 'spare_nodes': number % 2})
    return out


def write(path):
    with open(path, 'w', encoding='ascii') as file:
        json.dump({'hosts': cluster(), 'pools': pools()}, file)


def reading(path):
    """Processor time in which a Python of its own reads the documents."""
    program = 'import json, sys, time; file = open(sys.argv[1]); json.load(file); print(time.process_time())'
    return float(subprocess.run([sys.executable, '-S', '-c', program, path], stdout=subprocess.PIPE, check=True).stdout)


@unittest.skipUnless(os.access(EXECUTABLE, os.X_OK), 'build/portable/pve-gpu is not built: ./dev build')
class LargeClusterTest(unittest.TestCase):
    def test_time_memory_and_bound(self):
        with tempfile.TemporaryDirectory() as directory:
            arguments, output = os.path.join(directory, 'args.json'), os.path.join(directory, 'answer.json')
            # by another process: the peak of a program counts from the fork, with the memory of who started it
            maker = multiprocessing.Process(target=write, args=(arguments,))
            maker.start()
            maker.join()
            runs, readings = [], []
            for _ in range(2):  # in turns; the better of each counts
                with open(output, 'wb') as file:
                    done = subprocess.Popen([EXECUTABLE, 'pools', arguments], stdout=file)  # pylint: disable=consider-using-with
                    _, status, used = os.wait4(done.pid, 0)
                done.returncode = os.waitstatus_to_exitcode(status)
                runs.append(used.ru_utime + used.ru_stime)
                readings.append(reading(arguments))
            size = os.path.getsize(arguments)
            with open(output, encoding='utf-8') as file:
                answer = json.load(file)
        self.assertEqual(done.returncode, 0, answer.get('msg'))
        seconds, megabytes = min(runs), used.ru_maxrss / 1024
        print('%d GPUs, %d pools, %.1f MB of documents: %.2f s of processor time, Python reads them in %.2f s; %.1f MB; %s' % (
            NODES * CARDS, len(answer['pools']), size / 1e6, seconds, min(readings), megabytes, json.dumps(answer['quality'])), file=sys.stderr)
        self.assertEqual(len(answer['gpus']), NODES * CARDS)
        self.assertEqual(sum(pool['placed'] for pool in answer['pools']), answer['quality']['placed'])
        self.assertGreaterEqual(answer['quality']['at_most_better_by']['desktops'], 0)
        self.assertLess(seconds, TIMES_READING * min(readings))
        self.assertLess(megabytes, MEGABYTES)


if __name__ == '__main__':
    unittest.main()
