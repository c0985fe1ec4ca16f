#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.i915_sriov_driver: the module itself is compiled. Written by `./dev docs` from modules/i915_sriov_driver.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: i915_sriov_driver
short_description: The driver that makes virtual functions of Intel graphics
version_added: 0.1.0
description:
  - Installs strongtz's C(i915-sriov-dkms) of one version from the user's own file, builds it for the kernel that runs
    and for the one that the next boot starts, proves that the i915 which these will load has the parameter C(max_vfs),
    and puts C(i915.enable_guc=3 i915.max_vfs=7 module_blacklist=xe) on the kernel's command line where the boot loader
    reads it.
  - 'Before it does anything it judges whether that can work: the processor''s generation, the kernels for which that
    version is made (outside of these DKMS skips it without a word, and the kernel''s own i915 is loaded, which makes
    no VFs), headers and tools, Secure Boot, room.'
  - 'i915 draws the host''s console, so it is never reloaded: the task answers C(pending_on=reboot). After that reboot
    it proves that the GPU offers VFs. The VFs themselves are made by the modules C(sriov) and C(sriov_service).'
  - 'Graphics which only the kernel''s own C(xe) splits (Panther Lake, Battlemage) need no file: the kernel must be new
    enough.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  file:
    description:
      - 'The driver on the host, with the name that its release gave it: C(i915-sriov-dkms_VERSION_amd64.deb), or for
        kernels that only a branch serves C(i915-sriov-dkms-intel-lts-v6.1.tar.gz). It is not needed any more once that
        version is installed. Required with I(state=present) but for C(xe).'
    type: str
  sha256:
    description:
      - SHA-256 of I(file). Required with it unless I(allow_unverified=true).
    type: str
  allow_unverified:
    description:
      - Install the file without knowing that it is the right one.
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
  version:
    description:
      - The version that I(file) must have; by default whatever its name says.
    type: str
  driver:
    description:
      - Which driver makes the VFs. C(auto) takes i915-sriov-dkms for all GPUs that it knows, and the kernel's C(xe) for
        those that only this splits. C(xe) on older ones (Tiger Lake, Alder Lake, Raptor Lake) needs kernel 6.18 and forces
        it on them.
    type: str
    default: auto
    choices:
      - auto
      - i915
      - xe
  max_vfs:
    description:
      - How many VFs the GPU offers at most, from 1 to 7; by default 7, and with C(xe) as many as it has.
    type: int
  conflicts:
    description:
      - 'What to do with kernel parameters of others that contradict: refuse with their file and line, or remove them
        there.'
    type: str
    default: refuse
    choices:
      - refuse
      - remove
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
      - When C(update-initramfs), C(update-grub) and C(proxmox-boot-tool refresh) run. C(later) leaves them to the module
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
  - 'The driver is not in this collection and is not downloaded: take it from the releases of strongtz/i915-sriov-dkms,
    and keep its SHA-256.'
  - If a host hangs or stays dark at boot with it, choose the entry in the boot menu, press C(e), add C(module_blacklist=i915,xe)
    at the end of the line with the kernel's parameters, and start it with Ctrl-x (GRUB) or Enter (systemd-boot). It boots
    without graphics driver and without VFs; then run this module with I(state=absent).
  - 'The card itself, C(0000:00:02.0), must not be given to a guest: its VFs would vanish.'
  - C(state=absent) removes a driver that this module installed. One that was there before is named and left.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: Seven VFs on an i5-12400, Proxmox VE 9
  pve.gpu.i915_sriov_driver:
    file: /root/i915-sriov-dkms_2025.07.22_amd64.deb
    sha256: 1f0e8cd3b1b6a2d0f6b6a7a5a8f7c7f3c1a9a3e3b5d4c2b1a0f9e8d7c6b5a493

- name: Kernel 6.5 is served by a branch only
  pve.gpu.i915_sriov_driver:
    file: /root/i915-sriov-dkms-intel-lts-v6.1.tar.gz
    sha256: 5b3f0b7a2c1d4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7

- name: Remove it
  pve.gpu.i915_sriov_driver:
    state: absent
'''

RETURN = r'''
---
driver:
  description: The driver that is wanted and the one that is there.
  returned: always
  type: dict
  contains:
    module:
      description: The kernel module that makes the VFs, C(i915) or C(xe).
      type: str
    wanted:
      description: Version of i915-sriov-dkms, from the name of the file; null for C(xe).
      type: str
      sample: 2025.07.22
    installed:
      description: Version that is installed, with a remark in brackets when it has to be installed again; null for none.
      type: str
    max_vfs:
      description: Value of this parameter in the i915 that runs; null for one without it, which makes no VFs.
      type: int
    kernels:
      description: The running kernel, and the one that the next boot starts if that is another.
      type: list
      elements: dict
      contains:
        kernel:
          description: Kernel release.
          type: str
        builds:
          description: Whether the wanted version is made for it, one of C(yes), C(no), C(unknown).
          type: str
        built:
          description: The version that DKMS has installed for it, null for none.
          type: str
        makes_vfs:
          description: Whether the module that it will load has the parameter C(max_vfs).
          type: bool
cards:
  description: The Intel GPUs that are meant.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address.
      type: str
    name:
      description: Name.
      type: str
    platform:
      description: The processor's or card's family, null when it is not known.
      type: str
      sample: Alder Lake-S
    driver:
      description: The driver that has it, null for none.
      type: str
    vfs:
      description: How many VFs it offers now.
      type: int
boot_without:
  description: What to do at the boot menu when the host does not come up with this driver.
  returned: always
  type: str
lacks:
  description: What has to come to the host before the driver can be installed. Headers and tools are looked for with
    I(missing=wait) only.
  returned: with C(state=present), unless the task is refused before it is looked for
  type: dict
  contains:
    file:
      description: I(file), which is not there and is needed.
      type: bool
    packages:
      description: Packages that building the driver needs.
      type: list
      elements: str
loader:
  description: The boot loader, how that is known, and the files that are kept for it. See C(kernel_cmdline).
  returned: when the command line was looked at
  type: dict
conflicting:
  description: Parameters of others that contradict the wish, with their file and line. See C(kernel_cmdline).
  returned: when the command line was looked at
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
