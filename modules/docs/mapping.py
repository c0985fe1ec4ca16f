#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.mapping: the module itself is compiled. Written by `./dev docs` from modules/mapping.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: mapping
short_description: A PCI resource mapping of the cluster
version_added: 0.1.0
description:
  - 'Gives cards a name that guests on any node can use: a resource mapping of Proxmox VE (8.0 or later) with an entry
    for each card, or each virtual function. One task may write the entries of all nodes (I(hosts)), or each node its
    own; then many may run at once.'
  - Fingerprints are what the hardware says now, so running the task again after a BIOS change or a moved card corrects
    them. Entries of others stay unless I(purge) says otherwise.
  - It writes through the API with the digest of the file, so nothing is lost that others write at the same time. A mapping
    that a guest uses is not taken away from under it.
  - 'Refused, before anything is changed: a device whose IOMMU group holds disks or a network that its host uses, since
    a guest gets a group as a whole; and a slot, written without a function, that holds more than one card, such as the
    virtual functions of a GPU or the USB controllers of a processor with graphics.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  id:
    description:
      - 'Name of the mapping: a letter, then letters, digits, C(-) and C(_).'
    type: str
    required: true
  state:
    description:
      - C(absent) takes out the entries that are selected, with I(purge=node) all of the node, and with neither the whole
        mapping. The last entry takes the mapping along.
    type: str
    default: present
    choices:
      - present
      - absent
  devices:
    description:
      - 'Cards by address: C(0000:41:00.0) is one function, C(0000:41:00) all functions of the card, if the slot has no
        others.'
    type: list
    elements: str
    default: []
  vfs_of:
    description:
      - Cards by address or by model, whose virtual functions are mapped. Where a card has none yet, the task answers
        C(pending_on=sriov), and what is mapped of that node stays.
    type: list
    elements: str
    default: []
  model:
    description:
      - 'All GPUs of a model (C(A40), C(NVIDIA A40), C(10de:2235)). A card with several functions is mapped whole, unless
        it offers mediated devices itself or its slot has other functions too: virtual ones, or those of a processor with
        graphics. Then the GPU''s own function is mapped.'
    type: str
  whole_device:
    description:
      - Whether I(devices) and I(model) mean the whole card, whatever is written or found.
    type: bool
  cards:
    description:
      - 'GPUs of nodes as C(pve.gpu.pools#module:mappings[].entries) lists them: each with as many virtual functions
        as it has seats, or whole.'
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description:
          - Name of the node.
        type: str
        required: true
      address:
        description:
          - PCI address of the GPU.
        type: str
        required: true
      functions:
        description:
          - The GPU itself, or its virtual functions.
        type: str
        default: card
        choices:
          - card
          - vfs
      seats:
        description:
          - With C(vfs), how many of them.
        type: int
        default: 0
  entries:
    description:
      - Entries by hand.
    type: list
    elements: dict
    default: []
    suboptions:
      node:
        description:
          - Name of the node.
        type: str
        required: true
      path:
        description:
          - 'Address of a function, C(0000:41:00.0), or of a whole card, C(0000:41:00). Several with C(;) between them
            are passed together: they are no alternatives.'
        type: str
        required: true
      id:
        description:
          - Vendor and device, C(10de:2235). Without it all of the fingerprint is looked up, on this node or in I(hosts).
        type: str
      subsystem_id:
        description:
          - Vendor and device of the subsystem; with I(entries[].id).
        type: str
      iommu_group:
        description:
          - IOMMU group; with I(entries[].id). C(-1), as Proxmox VE lists it, is none.
        type: int
  hosts:
    description:
      - 'What C(host_info) returned of one or more nodes: I(devices), I(vfs_of), I(model) and I(cards) are looked up there
        instead of on this node.'
    type: list
    elements: dict
  purge:
    description:
      - 'Which entries go that are not selected: none, those of the nodes that are looked at or named, or all.'
    type: str
    default: none
    choices:
      - none
      - node
      - all
  description:
    description:
      - Printable ASCII. An empty one is taken away.
    type: str
  mdev:
    description:
      - Whether the mapping is marked as mediated devices. Without it, as the selected hardware is. From Proxmox VE 8.4
        on no guest starts if the two differ.
    type: bool
  live_migration_capable:
    description:
      - Whether guests may be migrated live with these devices. Proxmox VE 8.4 or later.
    type: bool
  heal:
    description:
      - Take out sections without a valid entry, which make Proxmox VE refuse every write. Only this edits the file itself,
        under the lock of Proxmox VE.
    type: bool
    default: false
  force:
    description:
      - Take a mapping or entries away although a guest uses them.
    type: bool
    default: false
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
  - Proxmox VE keeps no comments and no unknown keys in C(pci.cfg) when it writes it. A warning says what that costs.
  - C(state=absent) does not bring back an entry or a description that was replaced.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: This node's cards, for guests that get one whole
  pve.gpu.mapping:
    id: a4000
    model: RTX A4000

- name: The virtual functions of all nodes' cards, written once for the cluster
  pve.gpu.mapping:
    id: a40
    description: A40, desktops
    vfs_of: ["0000:41:00.0", "0000:81:00.0"]
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, 'gpu_host') | list }}"
    purge: all
  run_once: true

- name: This node's entries out of it
  pve.gpu.mapping:
    id: a40
    state: absent
    purge: node
'''

RETURN = r'''
---
mapping:
  description: The mapping as it shall be, null when there shall be none.
  returned: always
  type: dict
  contains:
    id:
      description: Its name.
      type: str
    nodes:
      description: How many entries each node has in it.
      type: dict
    description:
      description: Its description.
      type: str
    mdev:
      description: Whether it is marked as mediated devices.
      type: bool
    live_migration_capable:
      description: Whether its devices may be migrated live.
      type: bool
stale:
  description: Entries of this node that remain in it and do not fit the hardware, so that Proxmox VE starts no guest
    with it here.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: Address, as in the mapping.
      type: str
    problem:
      description: What does not fit.
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
