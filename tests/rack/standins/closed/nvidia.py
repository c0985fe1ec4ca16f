# SPDX-License-Identifier: MIT
# What the stand-ins for NVIDIA's closed programs share: the cards of the node, what the driver would do with them, the catalogue.
import csv
import glob
import os
import sys
import uuid

sys.path.insert(0, '/usr/lib/rack')
from bootfiles import read  # noqa: E402

CATALOGUE = '/run/rack/catalogue'  # copied there at each boot
PROC = '/proc/driver/nvidia'


def table(name):
    with open(os.path.join(CATALOGUE, name + '.csv'), encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def number(path):
    return int(read(path).strip() or '0', 16)


def cards():
    """[(address, driver, board or None)] of NVIDIA's display functions that are no VFs."""
    boards = {row['board']: row for row in table('boards')}
    ids = table('board_ids')
    found = []
    for path in sorted(glob.glob('/sys/bus/pci/devices/*')):
        if number(path + '/vendor') != 0x10de or number(path + '/class') >> 16 != 3 or os.path.lexists(path + '/physfn'):
            continue
        device, subsystem = '%04x' % number(path + '/device'), '%04x' % number(path + '/subsystem_device')
        same = [row for row in ids if row['vendor_id'] == '10de' and row['device_id'] == device]
        match = [row for row in same if row['subsystem_device_id'] == subsystem] or (same if len({row['board'] for row in same}) == 1 else [])
        driver = os.path.basename(os.path.realpath(path + '/driver')) if os.path.lexists(path + '/driver') else None
        found.append((os.path.basename(path), driver, boards.get(match[0]['board']) if match else None))
    return found


def branch_of(version):
    return next((int(row['branch']) for row in table('driver_branches') if row['series'] == version.split('.')[0]), 0)


def serves(board, branch):
    """Whether nvidia-vgpud of a branch knows this board."""
    if board is None or board['technology'] != 'nvidia_vgpu' or board['vgpu_class'] in ('', 'none'):
        return False
    first, last = board['first_branch_possible'], board['last_branch_possible'] or board['last_branch']
    return (not first or branch >= int(first)) and (not last or branch <= int(last))


def builds(version, kernel):
    """'yes', 'no' or 'unknown', as driver_kernels.csv says."""
    series = tuple(int(part) for part in kernel.split('.')[:2])
    pair = lambda text: tuple(int(part) for part in text.split('.'))  # noqa: E731
    release = next((row for row in table('driver_releases') if row['version'] == version), None)
    for row in table('driver_kernels'):
        if int(row['branch']) != branch_of(version) or not pair(row['kernel_first']) <= series <= pair(row['kernel_last']):
            continue
        if release and release['minor'] and not int(row['minor_first']) <= int(release['minor']) <= int(row['minor_last'] or 999):
            continue
        return row['builds']
    return 'unknown'


def loaded():
    """Version of the loaded module, or None."""
    return read('/sys/module/nvidia/version').strip() or None if os.path.exists('/sys/module/nvidia/initstate') else None


def is_open(version):
    """Whether the installed driver was built of the open modules: the installer's options, which it notes in dkms.conf."""
    words = read('/usr/src/nvidia-%s/dkms.conf' % version).split()
    return '-m=kernel-open' in words or '--kernel-module-type=open' in words


def show_proc():
    """What the driver shows in /proc/driver/nvidia: the real one does so when it is loaded, here whoever asks it first."""
    version = loaded()
    if version is None:
        return
    os.makedirs(PROC + '/gpus', exist_ok=True)
    if version not in read(PROC + '/version').split():  # what a machine's description shows stays
        kind = 'NVIDIA UNIX Open Kernel Module for x86_64' if is_open(version) else 'NVIDIA UNIX x86_64 Kernel Module'
        put(PROC + '/version', 'NVRM version: %s  %s  Release Build  (dvs-builder)\nGCC version:  gcc\n' % (kind, version))
    bound = [(address, board) for address, driver, board in cards() if driver == 'nvidia']
    for index, (address, board) in enumerate(bound):
        os.makedirs('%s/gpus/%s' % (PROC, address), exist_ok=True)
        if not os.path.exists('%s/gpus/%s/information' % (PROC, address)):
            put('%s/gpus/%s/information' % (PROC, address),
                'Model: \t\t NVIDIA %s\nIRQ:   \t\t %d\nGPU UUID: \t GPU-%s\nVideo BIOS: \t 90.02.5c.00.01\nBus Type: \t PCIe\n'
                'Bus Location: \t %s\nDevice Minor: \t %d\nGPU Excluded:\t No\n' % (
                    board['board'] if board else 'Graphics Device', 100 + index, uuid.uuid5(uuid.NAMESPACE_OID, address), address, index))
        if not os.path.exists('%s/gpus/%s/unbindLock' % (PROC, address)):
            put('%s/gpus/%s/unbindLock' % (PROC, address), '0\n')


def put(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, mode)


def journal(unit, text):
    path = '/run/rack-journal/' + unit
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'a', encoding='utf-8') as file:
        file.write(text)
