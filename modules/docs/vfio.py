#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.vfio: the module itself is compiled. Written by `./dev docs` from modules/vfio.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: vfio
short_description: Cards kept free for passthrough, by address and by what they are
version_added: 0.1.0
description:
  - 'Keeps the drivers of the host away from the chosen cards, now where nothing is in the way and else from the next
    boot on, so that guests can have them. The parameters name all such cards of the host: a card that an earlier task
    chose and this one does not goes back to its driver.'
  - 'A script in the initramfs does it before the drivers are loaded, for each function by its address and only if the
    device there still has the recorded ids: twins are told apart, and a card that was moved to another slot, or another
    one in its place, is never seized.'
  - 'All functions of a card go together: its display, sound, USB-C. The graphics of a processor shares its slot with
    other devices, such as USB controllers, which stay with the host and are named in C(left_alone). The task is refused
    if the IOMMU group holds anything else that I(devices) does not list, bridges aside, if the host needs a device for
    its disks or network, and if a running guest has a card whose driver would change.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  devices:
    description:
      - Addresses such as C(0000:41:00), C(0000:41:00.0) or C(41:00). One function of a GPU means its whole card; what
        else is in its slot, as in that of a processor's graphics, is taken by its own address only. Devices that share
        the IOMMU group of a card are listed here too. With I(state=absent) only these are given back.
    type: list
    elements: str
    default: []
  model:
    description:
      - All cards of this model (C(A40), C(NVIDIA A40), C(10de:2235)), but the boot display.
    type: str
    default: ''
  all:
    description:
      - All GPUs but the boot display, the display of a management controller and those that have virtual functions or
        vGPUs.
    type: bool
    default: false
  bind:
    description:
      - C(at_start) keeps the display and sound drivers of the host away; Proxmox VE binds the card when a guest starts.
        C(boot) binds all its functions to C(vfio-pci) from the initramfs on.
    type: str
    default: at_start
    choices:
      - at_start
      - boot
  boot_display:
    description:
      - C(allow) gives away the display on which the firmware shows the host's console, if I(devices) lists it. It takes
        hold with the next boot.
    type: str
    default: refuse
    choices:
      - refuse
      - allow
  ignore_msrs:
    description:
      - Whether KVM ignores model-specific registers that it does not know, without a message. Some Windows guests with
        GPUs need it.
    type: bool
    default: false
  state:
    description:
      - C(absent) gives cards back to the drivers that they had.
    type: str
    default: present
    choices:
      - present
      - absent
  follow_ups:
    description:
      - When C(update-initramfs) runs. C(later) leaves it to the module C(follow_ups).
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
  - The IOMMU is the work of the module C(iommu), also where interrupts can't be remapped.
  - 'Virtual functions are not for this module: Proxmox VE binds them by itself.'
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: All cards of the server but the boot display
  pve.gpu.vfio:
    all: true

- name: One of two equal cards, with vfio-pci from boot on
  pve.gpu.vfio:
    devices: ["0000:65:00"]
    bind: boot

- name: Back to the host's drivers
  pve.gpu.vfio:
    state: absent
'''

RETURN = r'''
---
cards:
  description: The chosen cards as they are now.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: Address of the first function.
      type: str
    name:
      description: Board or model.
      type: str
    boot_display:
      description: Whether the firmware shows the host's console on it.
      type: bool
    guest:
      description: The running guest that has it.
      type: int
    functions:
      description: What the card consists of, such as display, sound and USB-C.
      type: list
      elements: dict
      contains:
        address:
          description: Address of the function.
          type: str
        class:
          description: What it is.
          type: str
        id:
          description: Vendor and device.
          type: str
        subsystem_id:
          description: Vendor and device of the board.
          type: str
        driver:
          description: The driver that has it now.
          type: str
        kept_free:
          description: Whether the host's drivers are kept away from it; with I(bind=at_start) only from display and sound.
          type: bool
        former_driver:
          description: The driver that it had, and that C(absent) gives back.
          type: str
        iommu_group:
          description: Its IOMMU group.
          type: int
        reset_methods:
          description: How the kernel can reset it between guests, the first one first; empty if it can't, or does not
            tell (before 5.15).
          type: list
          elements: str
        rom:
          description: Whether it shows an expansion ROM.
          type: bool
left_alone:
  description: The GPUs, and functions in the slot of a GPU that are no part of its card, that are not taken, with the
    reason.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: Address of the GPU or function.
      type: str
    reason:
      description: Why it is not taken.
      type: str
loader:
  description: The boot loader, how that is known, and the files that are kept for it. See C(kernel_cmdline).
  returned: when the kernel command line is changed for the boot display
  type: dict
conflicting:
  description: Parameters of others that contradict the wish, with their file and line. See C(kernel_cmdline).
  returned: when the kernel command line is changed for the boot display
  type: list
  elements: dict
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
