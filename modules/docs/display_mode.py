#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.display_mode: the module itself is compiled. Written by `./dev docs` from modules/display_mode.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: display_mode
short_description: Display outputs of NVIDIA workstation boards on or off
version_added: 0.1.0
description:
  - Boards such as the RTX A5000 and A6000 make vGPUs only while their display outputs are switched off. That is a setting
    in the card's firmware, which NVIDIA's displaymodeselector writes, and which the card shows from the next power-on.
  - 'The state is read without the tool: a board whose outputs are off is a 3D controller (class 0302). The tool is run
    only to change something, for one card at a time, before any NVIDIA driver is there. It is not needed once the mode
    is set.'
  - It refuses the boot display, a card with a display connected, a card that a running guest has, and a kernel that is
    locked down.
author:
  - the pve.gpu authors (@pve-gpu)
options:
  tool:
    description:
      - displaymodeselector on the host. Needed only where a mode has to be changed.
    type: str
  sha256:
    description:
      - SHA-256 of I(tool). Required with it unless I(allow_unverified=true).
    type: str
  allow_unverified:
    description:
      - Run the tool without knowing that it is the right one.
    type: bool
    default: false
  devices:
    description:
      - The cards, by address or by name of the board.
    type: list
    elements: str
    required: true
  mode:
    description:
      - The mode that the cards shall have.
    type: str
    required: true
    choices:
      - physical_display_disabled
      - physical_display_enabled_256MB_bar1
      - physical_display_enabled_8GB_bar1
  missing:
    description:
      - 'What to do while I(tool) is needed and not on the host: refuse, or wait, that is answer C(pending_on) C(file).
        For check mode, in which an earlier task only said that it would bring it.'
    type: str
    default: refuse
    choices:
      - refuse
      - wait
  again:
    description:
      - Run the tool again for a card that was set before the last boot and does not show it.
    type: bool
    default: false
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
  - 'The tool is not in this collection: NVIDIA gives it to its customers only. 1.72 or later for Blackwell.'
  - The module does not reboot. A warm reboot may not be enough for the card to read its firmware again.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: Outputs of the A5000 off
  pve.gpu.display_mode:
    tool: /root/displaymodeselector
    sha256: 1f0e8cd3b1b6a2d0f6b6a7a5a8f7c7f3c1a9a3e3b5d4c2b1a0f9e8d7c6b5a493
    devices: ["0000:65:00.0"]
    mode: physical_display_disabled
'''

RETURN = r'''
---
cards:
  description: The named cards as they were found.
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
    class:
      description: PCI class, C(0300) with outputs, C(0302) without.
      type: str
    mode:
      description: The mode that it shows in this boot, null when the outputs are on and the size of BAR1 is not told.
      type: str
    set:
      description: The mode that was written and is still to be seen, null when there is none.
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
