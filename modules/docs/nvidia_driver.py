#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.nvidia_driver: the module itself is compiled. Written by `./dev docs` from modules/nvidia_driver.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: nvidia_driver
short_description: NVIDIA's vGPU host driver of one version
version_added: 0.1.0
description:
  - Installs the vGPU host driver from the file that NVIDIA gives to its customers, unattended and with DKMS, loads it,
    starts NVIDIA's daemons, and sees that the selected boards are there. Another version that is installed is replaced,
    newer or older.
  - 'Before it does anything it judges whether that can work: is it a vGPU I(host) driver, does its branch serve the selected
    boards, does it build on the kernel that runs and on the one that the next boot starts, is there what a build needs,
    do guests use the cards, would Secure Boot let the driver in, is there room.'
  - While nouveau is loaded it only keeps nouveau away from the next boot and answers C(pending_on=reboot).
  - A failed installation is cleared away again; the message quotes what the logs say.
author:
  - the pve.gpu authors (@pve-gpu)
options:
  file:
    description:
      - The driver on the host, with the name that NVIDIA gave it, C(NVIDIA-Linux-x86_64-VERSION-vgpu-kvm.run). It is
        not needed any more once that version is installed.
    type: str
  sha256:
    description:
      - SHA-256 of I(file). Required unless I(allow_unverified=true).
    type: str
  allow_unverified:
    description:
      - Run the file without knowing that it is the right one.
    type: bool
    default: false
  version:
    description:
      - The version that I(file) must have; by default whatever its name says.
    type: str
  boards:
    description:
      - The boards that shall do vGPU, by address or by name; by default all that can. Other cards of the host are ignored.
    type: list
    elements: str
    default: []
  kernel_module_type:
    description:
      - Which of NVIDIA's kernel modules to install. C(auto) takes the open ones where only they drive a board, the proprietary
        ones where only these do or the driver is older than 560, and else what the installer prefers. Another flavour
        that is installed is replaced.
    type: str
    default: auto
    choices:
      - auto
      - open
      - proprietary
  allow_unsupported_kernel:
    description:
      - Try to build although the driver is known not to build on the kernel.
    type: bool
    default: false
  missing:
    description:
      - 'What to do while I(file), or what a build needs, is not on the host: refuse, or wait, that is say the rest and
        answer C(pending_on) C(file) or C(packages). For check mode, in which earlier tasks only said that they would
        bring them.'
    type: str
    default: refuse
    choices:
      - refuse
      - wait
  state:
    description:
      - Whether the driver shall be there.
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
  - 'The driver is not in this collection and is not downloaded: NVIDIA gives it to its customers only.'
  - C(state=absent) removes a driver that this module installed. One that was there before is named and left.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
  - When state is present, file must be given.
'''

EXAMPLES = r'''
---
- name: NVIDIA vGPU host driver 16.8
  pve.gpu.nvidia_driver:
    file: /root/NVIDIA-Linux-x86_64-535.216.01-vgpu-kvm.run
    sha256: 1f0e8cd3b1b6a2d0f6b6a7a5a8f7c7f3c1a9a3e3b5d4c2b1a0f9e8d7c6b5a493

- name: Only for the A5000, there is an A2000 for the console
  pve.gpu.nvidia_driver:
    file: /root/NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run
    sha256: 5b3f0b7a2c1d4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7
    boards: [RTX A5000]

- name: Remove it
  pve.gpu.nvidia_driver:
    state: absent
'''

RETURN = r'''
---
driver:
  description: The driver that is wanted and the one that is there.
  returned: always
  type: dict
  contains:
    wanted:
      description: Version, from the name of the file.
      type: str
      sample: 535.216.01
    release:
      description: Its vGPU release, null when the catalogue does not know the version.
      type: str
      sample: '16.8'
    branch:
      description: Its vGPU branch.
      type: int
      sample: 16
    installed:
      description: Version that is installed, with a remark in brackets when it has to be installed again; null for none.
      type: str
    loaded:
      description: Version that runs, null for none.
      type: str
    kernels:
      description: The running kernel, and the one that the next boot starts if that is another.
      type: list
      elements: dict
      contains:
        kernel:
          description: Kernel release.
          type: str
        builds:
          description: Whether the wanted driver is known to build on it, one of C(yes), C(no), C(unknown).
          type: str
        built:
          description: Version of its module nvidia, null without one.
          type: str
boards:
  description: The selected boards.
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
    driver:
      description: The driver that has it, null for none.
      type: str
    served:
      description: Whether the driver's branch serves it, one of C(yes), C(no), C(unknown).
      type: str
licences:
  description: The vGPU types of the selected boards by the licence that a guest with them needs, one of C(vapps), C(vpc),
    C(vws), C(ai_enterprise), C(vgaming).
  returned: always
  type: dict
guest_driver_versions:
  description: Linux guest drivers that fit this host driver, with their branch and release, as far as they are known.
  returned: always
  type: list
  elements: dict
  contains:
    branch:
      description: vGPU branch.
      type: int
    release:
      description: vGPU release.
      type: str
    version:
      description: Version of the Linux guest driver.
      type: str
lacks:
  description: What has to come to the host before the driver can be installed. Headers and tools are looked for with
    I(missing=wait) only.
  returned: unless the task is refused before it is looked for
  type: dict
  contains:
    file:
      description: I(file), which is not there and is needed.
      type: bool
    packages:
      description: Packages that building the driver needs.
      type: list
      elements: str
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
