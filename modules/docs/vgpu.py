#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.vgpu: the module itself is compiled. Written by `./dev docs` from modules/vgpu.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: vgpu
short_description: The wanted NVIDIA vGPU types are offered
version_added: 0.1.0
description:
  - 'Checks that cards offer the wanted vGPU types, by name, wherever this kernel and driver show them: mediated devices
    on the card, mediated devices on its virtual functions, or vendor VFIO.'
  - What an earlier step of the same playbook or a reboot brings is C(pending_on) C(driver), C(sriov) or C(reboot). What
    nothing brings by itself fails with the reason.
  - 'A type with nothing available is offered all the same: the card is full, or is in use for another size.'
  - 'It changes nothing: Proxmox VE assigns a type when a guest starts, and refuses a virtual function that has one before.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  types:
    description:
      - Names of vGPU types, as C(GRID P4-1Q) or C(NVIDIA A40-4Q). Each selected card must offer those that are its board's.
        Without any, each card must offer something.
    type: list
    elements: str
    default: []
  boards:
    description:
      - Cards, by address or by name of the board; by default all that do vGPU.
    type: list
    elements: str
    default: []
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
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: Desktops of 1 and 2 GB on the P4
  pve.gpu.vgpu:
    types: [GRID P4-1Q, GRID P4-2Q]

- name: The A5000 offers something
  pve.gpu.vgpu:
    boards: [RTX A5000]
'''

RETURN = r'''
---
ready:
  description: All selected cards offer what is wanted of them.
  returned: always
  type: bool
cards:
  description: The selected cards.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address.
      type: str
    board:
      description: Name.
      type: str
    framework:
      description: Where its types are, one of C(none), C(mdev), C(mdev_on_vfs), C(vendor_vfio).
      type: str
    types:
      description: The wanted types that are this board's.
      type: list
      elements: dict
      contains:
        name:
          description: Name.
          type: str
        id:
          description: As a guest's C(mdev=) takes it, null when it is not offered.
          type: str
        offered:
          description: Whether the card offers it.
          type: bool
        available:
          description: How many more can be made now.
          type: int
    offers:
      description: All types that it offers.
      type: list
      elements: str
    ready:
      description: It offers what is wanted.
      type: bool
    reason:
      description: Why not, null when it does.
      type: str
broker:
  description: What a desktop broker that runs C(mdevctl types) sees.
  returned: always
  type: dict
  contains:
    mdevctl_installed:
      description: Whether the program is there.
      type: bool
    mdev_parents:
      description: Devices that it lists, as far as they are of the selected cards.
      type: list
      elements: str
    mapping_required:
      description: Some cards use vendor VFIO, which C(mdevctl) does not show, so a resource mapping is needed.
      type: bool
    sees:
      description: The same as a sentence.
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
