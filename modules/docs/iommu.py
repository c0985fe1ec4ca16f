#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.iommu: the module itself is compiled. Written by `./dev docs` from modules/iommu.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: iommu
short_description: IOMMU on, and proven after the reboot
version_added: 0.1.0
description:
  - 'Puts on the kernel command line what this CPU and this kernel need for the IOMMU, and nothing more: Intel before
    kernel 6.8 needs C(intel_iommu=on), later kernels and AMD need nothing. Loads the vfio modules at boot.'
  - 'Then it proves it: C(/sys/class/iommu) and IOMMU groups. While the reboot is still to come it answers C(pending_on=reboot).
    If the command line is right and there is no IOMMU, it fails with the cause, at every later run too.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  state:
    description:
      - C(absent) takes back what this module added.
    type: str
    default: present
    choices:
      - present
      - absent
  dma_mode:
    description:
      - 'C(pt) adds C(iommu=pt): devices that the host keeps go untranslated, which is faster for them.'
    type: str
    default: standard
    choices:
      - standard
      - pt
  vfio_at_boot:
    description:
      - Whether the vfio modules are loaded at boot. vGPU on mdev does not need them.
    type: bool
    default: true
  allow_unsafe_interrupts:
    description:
      - For hosts without interrupt remapping, C(intremap=off) and C(nointremap) among them. A guest can then inject interrupts
        into the host.
    type: bool
    default: false
  conflicts:
    description:
      - 'What to do with parameters of others that switch the IOMMU, or its interrupt remapping, off: refuse with their
        file and line, or remove them there.'
    type: str
    default: refuse
    choices:
      - refuse
      - remove
  follow_ups:
    description:
      - When C(update-grub), C(proxmox-boot-tool refresh) and C(update-initramfs) run. C(later) leaves them to the module
        C(follow_ups).
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
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: IOMMU on
  pve.gpu.iommu:

- name: IOMMU on, without translation for the host's own devices
  pve.gpu.iommu:
    dma_mode: pt
'''

RETURN = r'''
---
loader:
  description: The boot loader, how that is known, and the files that are kept for it. See C(kernel_cmdline).
  returned: always
  type: dict
conflicting:
  description: Parameters of others that contradict the wish, with their file and line. See C(kernel_cmdline).
  returned: always
  type: list
  elements: dict
iommu:
  description: What runs now.
  returned: always
  type: dict
  contains:
    active:
      description: Whether C(/sys/class/iommu) has a unit.
      type: bool
    groups:
      description: Number of IOMMU groups.
      type: int
    evidence:
      description: What was seen, one sentence each.
      type: list
      elements: str
    interrupt_remapping:
      description: Whether interrupts go through the IOMMU; null where C(/proc/interrupts) can't be read.
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
