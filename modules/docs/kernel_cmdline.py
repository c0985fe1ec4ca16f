#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.kernel_cmdline: the module itself is compiled. Written by `./dev docs` from modules/kernel_cmdline.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: kernel_cmdline
short_description: Kernel parameters where the host's boot loader reads them
version_added: 0.1.0
description:
  - Puts parameters on the kernel command line of the next boot, or takes away those that it put there.
  - With GRUB they go to a drop-in of their own in C(/etc/default/grub.d). Where proxmox-boot-tool manages the EFI system
    partitions they go to the first line of C(/etc/kernel/cmdline), which keeps its C(root=); with GRUB on such partitions
    to both.
  - A parameter that is there already, from anyone, is not written twice. Files of others are changed only with C(conflicts=remove).
  - Parameters compare as the kernel takes them. Of most the last one counts; options within a list count one by one (C(intel_iommu=on,sm_on)
    is C(intel_iommu=on)); C(hugepages) belongs to the C(hugepagesz) before it, and both are added and taken away together.
  - 'With GRUB values are written so that GRUB passes them on as they are wished. Quotes within a value, backslashes and
    what is not ASCII it can''t pass on: they are refused, and so is a backslash with systemd-boot.'
  - The whole command line is judged before it is written. One with another C(root=) or none, without what mounts the
    root file system, of more than 2,047 characters, or one that a later file of GRUB's defaults overrides is refused.
author:
  - the pve.gpu authors (@pve-gpu)
options:
  parameters:
    description:
      - Parameters, C(key) or C(key=value) each. Keys that differ in dashes and underscores only are the same, as for
        the kernel.
    type: list
    elements: str
    required: true
  state:
    description:
      - Whether the next boot shall have them. C(absent) takes back what this module added.
    type: str
    default: present
    choices:
      - present
      - absent
  conflicts:
    description:
      - 'What to do with parameters of others that contradict the wish, or that shall be absent: refuse with their file
        and line, or remove them there.'
    type: str
    default: refuse
    choices:
      - refuse
      - remove
  follow_ups:
    description:
      - When C(update-grub) and C(proxmox-boot-tool refresh) run. C(later) leaves them to the module C(follow_ups).
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
  - C(reboot_required) compares the running C(/proc/cmdline) with the wish; the module does not reboot.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: Huge pages for desktops
  pve.gpu.kernel_cmdline:
    parameters:
      - hugepagesz=1G
      - hugepages=64

- name: Take them back
  pve.gpu.kernel_cmdline:
    parameters: [hugepagesz=1G, hugepages=64]
    state: absent
'''

RETURN = r'''
---
loader:
  description: The boot loader, how that is known, and the files that are kept for it.
  returned: always
  type: dict
  contains:
    kind:
      description: One of C(grub), C(grub-pbt) (GRUB on partitions of proxmox-boot-tool), C(systemd-boot), C(unknown).
      type: str
    evidence:
      description: What was seen, one sentence each.
      type: list
      elements: str
    places:
      description: Files in which the parameters are kept.
      type: list
      elements: str
conflicting:
  description: Parameters of others that contradict the wish, with their file and line.
  returned: always
  type: list
  elements: dict
  contains:
    parameter:
      description: The parameter.
      type: str
    file:
      description: The file that has it.
      type: str
    line:
      description: Its line, 0 where no plain assignment holds it.
      type: int
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
