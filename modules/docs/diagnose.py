#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.diagnose: the module itself is compiled. Written by `./dev docs` from modules/diagnose.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: diagnose
short_description: Why a GPU, a mapping or a guest is not ready, and what cures it
version_added: 0.1.0
description:
  - 'Climbs a ladder of checks, from the firmware to the guest, in the order in which one thing rests on the other: firmware,
    command line, IOMMU, board, display, card, build of the driver, rival drivers, driver, SR-IOV, vGPU types, mapping,
    guest, use.'
  - 'The first rung that is false is blamed, with the evidence, the cause, and the task or command that cures it. What
    is false above it is C(waiting): it may be cured along.'
  - 'It changes nothing, and the task does not fail when something is not ready: look at C(ok).'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  gpu:
    description:
      - Address of one GPU. Without it, and without the next two, all GPUs of the host.
    type: str
  mapping:
    description:
      - 'A resource mapping: is it good on this node.'
    type: str
  vmid:
    description:
      - 'A guest of this node: would it start with its devices.'
    type: int
  vgpu_type:
    description:
      - The vGPU type that is wanted, by name.
    type: str
  way:
    description:
      - How guests shall get the GPU; C(any) for what the hardware suggests.
    type: str
    default: any
    choices:
      - any
      - passthrough
      - nvidia_vgpu
      - intel_vgpu
      - intel_gvtg
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
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
  - Only one of gpu, mapping, vmid may be given.
'''

EXAMPLES = r'''
---
- name: What is wrong with the GPUs of this host
  pve.gpu.diagnose:
  register: found

- name: Show it
  ansible.builtin.debug:
    var: found.text

- name: Why does guest 201 not start
  pve.gpu.diagnose:
    vmid: 201
'''

RETURN = r'''
---
ok:
  description: Everything that was asked about is ready.
  returned: always
  type: bool
text:
  description: A line for each target that a person can read.
  returned: always
  type: list
  elements: str
targets:
  description: The GPUs, the mapping, or the devices of the guest that were asked about.
  returned: always
  type: list
  elements: dict
  contains:
    target:
      description: What it is.
      type: str
      sample: 0000:41:00.0 A40
    way:
      description: How guests get it, one of C(passthrough), C(nvidia_vgpu), C(intel_vgpu), C(intel_gvtg).
      type: str
      sample: nvidia_vgpu
    rungs:
      description: All rungs, in order.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the rung.
          type: str
          sample: iommu
        state:
          description: One of C(ok), C(fail), C(unknown), C(not_needed), C(waiting).
          type: str
        evidence:
          description: What was seen.
          type: list
          elements: str
        cause:
          description: Why it is false.
          type: str
        cure:
          description: The task or command that cures it.
          type: str
    blamed:
      description: The first rung that is false, C(null) when none is.
      type: dict
msg:
  description: What went wrong, where, and what to do next.
  returned: on failure
  type: str
invocation:
  description: The parameters that the task ran with, defaults included, secrets masked.
  returned: always
  type: dict
'''
