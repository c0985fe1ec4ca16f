#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.follow_ups: the module itself is compiled. Written by `./dev docs` from modules/follow_ups.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: follow_ups
short_description: Do the work that other tasks put off
version_added: 0.1.0
description:
  - Tasks with C(follow_ups=later) leave the rebuilding of the initramfs and of the boot loader's files to this module,
    so that each is done once before a reboot.
  - It also does what a run that was killed still owes.
author:
  - the pve.gpu authors (@pve-gpu)
options: {}
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
- name: IOMMU on
  pve.gpu.iommu:
    follow_ups: later

- name: A parameter for the desktops
  pve.gpu.kernel_cmdline:
    parameters: [hugepages=4096]
    follow_ups: later

- name: The boot loader's files, once
  pve.gpu.follow_ups:
'''

RETURN = r'''
---
owed:
  description: What is owed once this run is over; in check mode, what was owed before it.
  returned: always
  type: list
  elements: dict
  contains:
    work:
      description: The program, as C(run PROGRAM).
      type: str
    modules:
      description: The modules that need it.
      type: list
      elements: str
    put_off:
      description: Whether a task put it off, or a run ended before it was done.
      type: bool
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
