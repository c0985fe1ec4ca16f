#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.sriov_service: the module itself is compiled. Written by `./dev docs` from modules/sriov_service.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: sriov_service
short_description: Virtual functions of GPUs at every boot
version_added: 0.1.0
description:
  - Makes the virtual functions (VFs) of the chosen cards at every boot, before Proxmox VE starts guests; C(sriov) makes
    them now.
  - 'For each card one unit: oneshot, after NVIDIA''s vGPU daemons, before C(pve-guests.service), which waits for it but
    starts all the same when it fails. It tries again until I(patience) is over, gives a card back that C(sriov-manage)
    left on C(pci-pf-stub), and looks whether the VFs are there, with their drivers. It needs nothing but the host itself.'
  - There is one owner for each card. Where Proxmox VE's C(pve-nvidia-sriov@.service) or NVIDIA's C(nvidia-sriov-manage@.service)
    is installed, its instance for the card is enabled, with a drop-in that waits and looks; where it is enabled already,
    for the card or for C(ALL), it is left to it. A unit that only runs C(sriov-manage -e), as guides have it written
    by hand, is kept from starting by a drop-in. Other units and lines that make VFs are told with file and line, see
    I(conflicts).
  - 'I(state=absent) takes back what this module did: other units start again, lines are as they were. The VFs of now
    stay.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  device:
    description:
      - 'The card: a PCI address; a model (C(A40), C(10de:2235)), which means all cards of it; or C(all), all display-class
        devices that have VFs. With I(state=absent) C(all) also means cards that are not there any more.'
    type: str
    required: true
  vfs:
    description:
      - 'How many VFs: C(max), or a number; for NVIDIA cards all or none.'
    type: str
    default: max
  state:
    description:
      - Whether there shall be VFs at boot.
    type: str
    default: present
    choices:
      - present
      - absent
  conflicts:
    description:
      - 'What to do with units and lines of C(/etc/sysfs.conf), C(/etc/sysfs.d) and C(/etc/tmpfiles.d) that make these
        VFs: refuse with file and line, or take over, that is keep the unit from starting, comment the line out. Udev
        rules, cron and C(/etc/rc.local) are refused in any case.'
    type: str
    default: refuse
    choices:
      - refuse
      - take_over
  patience:
    description:
      - For how many seconds it is tried at boot. Guests start that much later at most.
    type: int
    default: 60
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
  - A card that was moved to another slot makes its unit fail with that reason, rather than another card getting VFs.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: All VFs of all GPUs, at every boot
  pve.gpu.sriov_service:
    device: all

- name: Seven VFs of the processor's graphics, instead of what a guide wrote to sysfs.conf
  pve.gpu.sriov_service:
    device: "0000:00:02.0"
    vfs: 7
    conflicts: take_over

- name: No VFs at boot any more
  pve.gpu.sriov_service:
    device: all
    state: absent
'''

RETURN = r'''
---
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
conflicting:
  description: Units and lines of others that make VFs of these cards.
  returned: with I(state=present), unless the task is refused before they are looked for
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
    line:
      description: The line, 0 for a unit.
      type: int
    text:
      description: The line, or the unit's name.
      type: str
cards:
  description: The cards with the unit that makes their VFs; empty with I(state=absent).
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
    vfs:
      description: How many, as in I(vfs).
      type: str
    unit:
      description: The unit.
      type: str
      sample: pve-gpu-sriov-0000-41-00.0.service
    owner:
      description: C(pve.gpu) for a unit of this module, C(shipped) for an instance of an installed template that this
        module enabled, C(others) for one that was enabled already.
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
