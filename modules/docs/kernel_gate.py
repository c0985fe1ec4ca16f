#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.kernel_gate: the module itself is compiled. Written by `./dev docs` from modules/kernel_gate.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: kernel_gate
short_description: Whether the GPU drivers build on the kernels that are to come
version_added: 0.1.0
description:
  - 'Judges kernels, for example those that an upgrade would bring, by what is known of the installed or wanted NVIDIA
    vGPU host driver and of Intel''s SR-IOV i915 package: which version builds on which kernel. A driver that does not
    build leaves the host without vGPUs after the next boot.'
  - 'Where the host boots from ZFS, a kernel whose ZFS does not know a feature that the pool uses stops in the initramfs:
    that is a reason against it too.'
  - 'It changes nothing, and the task does not fail when the answer is no: look at C(allowed).'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  kernels:
    description:
      - Kernel releases as C(uname -r) writes them; without any, the one that the next boot starts.
    type: list
    elements: str
    default: []
  nvidia_driver:
    description:
      - Version of the NVIDIA host driver that is wanted, for example C(535.161.05); by default the one that is installed.
    type: str
  i915_sriov_driver:
    description:
      - Tag of the i915-sriov-dkms package that is wanted; by default the one that is installed.
    type: str
attributes:
  check_mode:
    support: full
    description: 'Can run in check mode: it plans and changes nothing.'
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
  platform:
    support: full
    description: Proxmox VE 7, 8 and 9.
    platforms: debian
notes:
  - What is known is mostly the experience of other operators; a build that failed is seen in the log of DKMS.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: May the upgrade bring this kernel
  pve.gpu.kernel_gate:
    kernels: [6.14.11-2-pve]
  register: gate

- name: Stop if it may not
  ansible.builtin.assert:
    that: gate.allowed
    fail_msg: "{{ gate.reasons | join(' / ') }}; kernel {{ gate.pin }} can be pinned"
'''

RETURN = r'''
---
allowed:
  description: No driver is known not to build on one of the kernels, and each can import the ZFS pools that the host
    boots from.
  returned: always
  type: bool
reasons:
  description: One sentence for each driver or ZFS pool and kernel that do not fit.
  returned: always
  type: list
  elements: str
verdicts:
  description: What is known of each driver on each kernel. Empty where there is no driver to judge.
  returned: always
  type: list
  elements: dict
  contains:
    kernel:
      description: Kernel release.
      type: str
      sample: 6.14.11-2-pve
    driver:
      description: C(nvidia) or C(i915-sriov-dkms).
      type: str
      sample: nvidia
    version:
      description: Version of the driver.
      type: str
      sample: 535.161.05
    builds:
      description: One of C(yes), C(no), C(unknown).
      type: str
      sample: 'no'
    evidence:
      description: What says so.
      type: str
    confidence:
      description: How good that source is, one of C(low), C(medium), C(high).
      type: str
      sample: medium
installed:
  description: Kernels that have an image in C(/boot), the oldest first.
  returned: always
  type: list
  elements: str
next_kernel:
  description: The kernel that the next boot starts, as things are, the pinned one or the newest.
  returned: always
  type: str
  sample: 6.8.12-9-pve
pin:
  description: The newest installed kernel on which no driver is known to fail and whose ZFS can import the pools that
    the host boots from, null when there is none.
  returned: always
  type: str
  sample: 6.5.13-6-pve
msg:
  description: What went wrong, where, and what to do next.
  returned: on failure
  type: str
invocation:
  description: The parameters that the task ran with, defaults included, secrets masked.
  returned: always
  type: dict
'''
