#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Twelve boards on Proxmox VE 7, 8 and 9: each offers its vGPU types where that kernel and driver have them, or is refused with the reason.
# Prints the table. What is expected is written here, after GPU-FACTS 1.4, 1.5, 2 and 3.1, and not taken from the catalogue.
import unittest

import test_nvidia

# (board, class for vGPU: 1 on the card itself, 2 on VFs, 3 on VFs once the display outputs are off)
BOARDS = [('Tesla P4', 1), ('Tesla T4', 1), ('Tesla M10', 1), ('A2', 2), ('A10', 2), ('A16', 2), ('A40', 2), ('L4', 2), ('L40S', 2), ('RTX A5000', 3),
          ('RTX A6000', 3), ('RTX 6000 Ada', 3)]
KERNELS = {7: '5.15.158-2-pve', 8: '6.8.12-9-pve', 9: '6.14.11-2-pve'}
# node: (release of Proxmox VE, release of the driver)
HOSTS = {'pve7-16': (7, '16.4'), 'pve8-16': (8, '16.8'), 'pve8-17': (8, '17.6'), 'pve9-16': (9, '16.14'), 'pve9-18': (9, '18.4')}
VERSIONS = {'16.4': '535.161.05', '16.8': '535.216.01', '16.14': '535.309.01', '17.6': '550.163.02', '18.4': '570.172.07'}
# Branch 16 is the last that serves a P4; of an M10 one list says so, another that 17 does too.
LAST = {'Tesla P4': 16, 'Tesla M10': 17}
# GPU-FACTS 2: as seen, else as many as the most vGPUs of a card
TOTAL_VFS = {'A2': 16, 'A16': 16, 'RTX A5000': 24}


def slot(index):
    return '0000:%02x:00.0' % (0x10 + 8 * index)


def machine(release, outputs_on=False):
    cards = []
    for index, (board, kind) in enumerate(BOARDS):
        if outputs_on and kind != 3:
            continue
        # the newer firmware of a T4 shows an SR-IOV capability, which means nothing; workstation boards have their outputs switched off
        card = {'slot': slot(index), 'board': board}
        if kind != 1 or board == 'Tesla T4':
            card['total_vfs'] = TOTAL_VFS.get(board, 16 if kind == 1 else 32)
        if kind == 3 and not outputs_on:
            card.update({'class': '0302', 'audio': False})
        cards.append(card)
    kernel = KERNELS[release]
    tools = {**test_nvidia.TOOLS, 'usr/src/linux-headers-%s/Makefile' % kernel: 'all:\n'}
    return {'release': release, 'kernel': kernel, 'files': tools, 'cpu': {'vendor': 'AuthenticAMD', 'model': 'AMD EPYC 7763 64-Core Processor'},
            'cards': cards}


def expected(board, kind, release, driver):
    """The framework, or None: refused."""
    if int(driver.split('.')[0]) > LAST.get(board, 99):
        return None
    return 'mdev' if kind == 1 else 'mdev_on_vfs' if release == 7 else 'vendor_vfio'


class Boards(test_nvidia.NvidiaRack):
    nodes = {**{node: machine(release) for node, (release, _) in HOSTS.items()}, 'outputs-on': machine(8, True)}
    versions = VERSIONS

    def test_every_board(self):
        rows = []
        for node, (release, driver) in HOSTS.items():
            with self.subTest(node=node):
                rows += self.judge(node, release, driver)
        print('\n%-14s %-4s %-7s %-13s %-6s %s' % ('BOARD', 'PVE', 'DRIVER', 'FRAMEWORK', 'TYPES', 'VFS OR REFUSAL'))
        for row in sorted(rows, key=lambda row: ([board for board, _ in BOARDS].index(row[0]), row[1])):
            print('%-14s %-4s %-7s %-13s %-6s %s' % row)
        self.assertEqual(len(rows), len(BOARDS) * len(HOSTS))

    def judge(self, node, release, driver):
        rows, served = [], []
        answers = self.modules(node, *(('nvidia_driver', True, self.driver_task(driver, boards=[slot(index)])) for index in range(len(BOARDS))))
        for index, (board, kind) in enumerate(BOARDS):
            answer = answers[index]
            if expected(board, kind, release, driver) is None:
                self.refused(answer, '%s (%s): driver' % (slot(index), board), 'does not serve ' + board, 'last served by branch 16')
                self.assertFalse(answer['changed'])
                rows.append((board, release, driver, '-', '-', 'refused: ' + answer['msg'].split(': ', 2)[2].split(';')[0]))
                continue
            self.succeed(answer)
            unknown = [text for text in answer.get('warnings', []) if 'not known' in text]
            self.assertEqual(bool(unknown), (board, driver) == ('Tesla M10', '17.6'), unknown)
            served.append((slot(index), board, kind, ', with a warning: ' + unknown[0].split(': ')[1] if unknown else ''))
        boards = [address for address, *_ in served]
        self.succeed(self.driver(node, driver, boards=boards))
        made = dict(zip(boards, self.modules(node, *(('sriov', False, {'device': card}) for card in boards))))
        offers = self.succeed(self.module(node, 'vgpu', boards=boards), ready=True)['cards']
        vfs = dict(zip(boards, self.ssh(node, 'for c in %s; do cat /sys/bus/pci/devices/$c/sriov_numvfs 2>/dev/null || echo -; done' %
                                        ' '.join(boards)).split()))
        for address, board, kind, remark in served:
            self.succeed(made[address])
            card = next(card for card in offers if card['address'] == address)
            self.assertEqual(card['framework'], expected(board, kind, release, driver), (node, board))
            self.assertEqual(vfs[address] not in ('0', '-'), kind != 1, 'VFs where the vGPUs are on them, and only there')
            rows.append((board, release, driver, card['framework'], len(card['offers']), vfs[address] + remark))
        return rows

    def test_workstation_boards_as_they_leave_the_factory(self):
        """With their display outputs on they get no VFs, and the reason is told."""
        self.succeed(self.driver('outputs-on', '17.6'))
        for index, (board, kind) in enumerate(BOARDS):
            if kind != 3:
                continue
            with self.subTest(board=board):
                waits = self.succeed(self.module('outputs-on', 'sriov', device=slot(index)), pending_on='display_mode', changed=False)
                self.assertIn('(%s)' % board, waits['pending_reason'])
                types = self.succeed(self.module('outputs-on', 'vgpu', boards=[slot(index)]), pending_on='display_mode', changed=False)
                self.assertIn('its display outputs are on', types['pending_reason'])
                print('%-14s outputs on: %s' % (board, waits['pending_reason'].split(': ', 1)[1]))


if __name__ == '__main__':
    unittest.main()
