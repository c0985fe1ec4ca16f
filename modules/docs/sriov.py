#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.sriov: the module itself is compiled. Written by `./dev docs` from modules/sriov.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: sriov
short_description: Virtual functions of GPUs
version_added: 0.1.0
description:
  - Makes the wanted number of virtual functions (VFs) on the chosen cards, now; C(sriov_service) does the same at each
    boot.
  - 'NVIDIA cards go through the C(sriov-manage) of the vGPU host driver, all others through C(sriov_numvfs), by way of
    0 from one number to another. How many a card has is read from it. Then it looks whether they are there, and whether
    NVIDIA''s have their driver: an exit code proves nothing.'
  - 'A card that C(sriov-manage) left on C(pci-pf-stub) gets its driver back. VFs that guests use are not taken away:
    the task fails and names the guests. A card whose vGPUs are on the card itself is left alone, even if it shows an
    SR-IOV capability as a Tesla T4 may.'
  - 'What can''t be yet is answered with C(pending_on): C(reboot) while the IOMMU is off, C(display_mode) while the card''s
    display outputs are on, C(driver) while the driver is missing that makes VFs.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  device:
    description:
      - 'The card: a PCI address; a model (C(A40), C(10de:2235)), which means all cards of it; or C(all), all display-class
        devices that have VFs. A device of another class is taken by its address only, and a network card never while
        it carries an address or is part of a bridge or a bond.'
    type: str
    required: true
  vfs:
    description:
      - 'How many VFs: C(max), or a number. NVIDIA''s C(sriov-manage) makes all or none, so another number is refused
        there.'
    type: str
    default: max
attributes:
  check_mode:
    support: full
    description: 'Can run in check mode: it plans and changes nothing.'
  diff_mode:
    support: full
    description: Returns what it changed, or would change, file by file.
  platform:
    support: full
    description: Proxmox VE 7, 8 and 9.
    platforms: debian
notes:
  - VFs end with the next boot; there is no I(state), since I(vfs=0) takes them away.
  - Never pass a card through whole while guests use its VFs.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: All VFs of all GPUs
  pve.gpu.sriov:
    device: all

- name: Seven VFs of the processor's graphics
  pve.gpu.sriov:
    device: "0000:00:02.0"
    vfs: 7

- name: No VFs on the A5000, to pass it through whole
  pve.gpu.sriov:
    device: RTX A5000
    vfs: 0
'''

RETURN = r'''
---
cards:
  description: The cards that may have VFs; in check mode as they are before the run.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address.
      type: str
      sample: '0000:41:00.0'
    name:
      description: Its name.
      type: str
      sample: A40
    total:
      description: How many VFs it can have.
      type: int
      sample: 32
    wanted:
      description: How many it shall have, C(null) while something is missing for it.
      type: int
      sample: 32
    tool:
      description: What makes them, C(sriov-manage) or C(sriov_numvfs).
      type: str
    vfs:
      description: The VFs that are there.
      type: list
      elements: dict
      contains:
        address:
          description: PCI address.
          type: str
        driver:
          description: The driver that has it, C(null) when none has.
          type: str
skipped:
  description: Chosen cards that rightly have no VFs.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address.
      type: str
    name:
      description: Its name.
      type: str
    reason:
      description: Why it gets none.
      type: str
changed:
  description: Whether the host was changed, or would be in check mode.
  returned: always
  type: bool
msg:
  description: What went wrong, where, and what to do next.
  returned: on failure
  type: str
failed_step:
  description: The step that failed. The steps before it are done.
  returned: when a step failed
  type: str
reverted:
  description: Files that have their old content again, because the work that the change made necessary failed.
  returned: when files were put back
  type: list
  elements: str
steps:
  description: What was done, or would be in check mode, in order. Follow-up work reads C(run PROGRAM).
  returned: always
  type: list
  elements: str
reboot_required:
  description: What runs now is not what the configuration wishes, and only a reboot brings it.
  returned: always
  type: bool
reboot_reason:
  description: Why a reboot is required.
  returned: when reboot_required
  type: str
follow_ups_pending:
  description: Work that was put off to the module C(follow_ups).
  returned: when work was put off
  type: list
  elements: str
kept_foreign_edits:
  description: Files that others edited since this module changed them, so that only its own part was taken out.
  returned: with C(state=absent), when there are any
  type: list
  elements: str
pending_on:
  description: What the rest of the work waits for, for example C(reboot) or C(driver).
  returned: when something can only be planned later
  type: str
pending_reason:
  description: A sentence for C(pending_on).
  returned: with pending_on
  type: str
invocation:
  description: The parameters that the task ran with, defaults included, secrets masked.
  returned: always
  type: dict
'''
