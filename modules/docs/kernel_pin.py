#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.kernel_pin: the module itself is compiled. Written by `./dev docs` from modules/kernel_pin.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: kernel_pin
short_description: The kernel that the boot loader starts
version_added: 0.1.0
description:
  - Pins one of the installed kernels, for good or for the next boot alone, as C(proxmox-boot-tool kernel pin) does; with
    the refresh of the EFI system partitions that the tool leaves out when it has no terminal.
  - 'A kernel that is not installed is refused, with a list of those that are. So is one whose ZFS does not know a feature
    that is active on a pool that holds C(/) or C(/boot): it would stop in the initramfs.'
  - 'C(state=absent) takes back what this module pinned: the pin that was there before comes back. A pin that somebody
    else made, before or since, stays, and the task says so.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  kernel:
    description:
      - Release of the kernel as C(uname -r) writes it.
    type: str
  next_boot:
    description:
      - Whether it is for the next boot alone. With C(state=absent) only such a pin is taken back, otherwise both kinds
        are.
    type: bool
    default: false
  state:
    description:
      - Whether it shall be pinned. C(absent) takes back what this module pinned.
    type: str
    default: present
    choices:
      - present
      - absent
  follow_ups:
    description:
      - When C(proxmox-boot-tool refresh) and C(update-grub) run. C(later) leaves them to the module C(follow_ups). Where
        GRUB boots from C(/boot), C(proxmox-boot-tool kernel pin) runs C(update-grub) at once all the same.
    type: str
    default: now
    choices:
      - now
      - later
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
  - C(reboot_required) says that another kernel than the pinned one runs; the module does not reboot.
  - 'With C(next_boot) the wish is fulfilled when that kernel runs. It is no trial boot: the boot loader''s setting is
    taken back by the kernel that was started, so one that hangs is started again.'
  - Pinning needs Proxmox VE 7.2 or later.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
  - When state is present, kernel must be given.
'''

EXAMPLES = r'''
---
- name: Stay on the kernel for which the GPU driver is built
  pve.gpu.kernel_pin:
    kernel: 6.8.12-4-pve

- name: Boot another kernel once
  pve.gpu.kernel_pin:
    kernel: 6.14.8-2-pve
    next_boot: true

- name: Whatever kernel is the newest
  pve.gpu.kernel_pin:
    state: absent
'''

RETURN = r'''
---
running:
  description: The kernel that runs.
  returned: always
  type: str
  sample: 6.8.12-9-pve
pinned:
  description: The kernel that is pinned for good, null when none is; in check mode as it is before the run.
  returned: always
  type: str
  sample: 6.8.12-4-pve
pinned_next_boot:
  description: The kernel that is pinned for the next boot alone, null when none is; in check mode as it is before the
    run.
  returned: always
  type: str
  sample: 6.14.8-2-pve
installed:
  description: Kernels that have an image in C(/boot) and modules in C(/lib/modules).
  returned: always
  type: list
  elements: str
  sample:
    - 6.14.8-2-pve
    - 6.8.12-4-pve
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
