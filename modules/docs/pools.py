#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.pools: the module itself is compiled. Written by `./dev docs` from modules/pools.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: pools
short_description: Which GPU serves which desktop pool, and what does not fit
version_added: 0.1.0
description:
  - Plans from the documents of M(pve.gpu.host_info) of all nodes of a cluster. It changes nothing and looks at nothing
    else, so it runs on any host that the executable runs on.
  - A GPU serves one pool and has one vGPU size; of a board with several GPUs (M10, A16) each is planned by itself. Mixed
    sizes on one GPU are not planned.
  - Of all plans it takes the one that places the most desktops; of these, one with the fewest spare seats missing; of
    these, one that uses the fewest GPUs; of these, one that leaves the most GPUs with the pool that has them today. I(strategy)
    decides between equals. C(quality) says whether that is proven, and else how much better a plan could be at most.
  - 'A pool needs a resource mapping where pools of different types share a GPU model, and where a broker does not find
    GPUs by type: whole cards, and vGPUs of vendor VFIO.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  hosts:
    description:
      - What M(pve.gpu.host_info) returned, of each node of one cluster. The answer's C(invocation) tells it in short.
    type: list
    elements: dict
    required: true
  pools:
    description:
      - The pools.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the pool.
        type: str
        required: true
      type:
        description:
          - 'What each desktop gets: the name of a vGPU type, with or without C(GRID) or C(NVIDIA) before it, or C(passthrough),
            or C(intel-vgpu).'
        type: str
        required: true
      desktops:
        description:
          - How many desktops run at once.
        type: int
        required: true
      model:
        description:
          - GPU model that it shall have, as C(pve.gpu.host_info#module:gpus[].name) spells it.
        type: str
      mapping:
        description:
          - Name of its resource mapping. A pool that names one always gets one; without, its name is the pool's, with
            C(-) for what Proxmox VE does not take.
        type: str
      minimum_per_node:
        description:
          - Seats that each node shall have for it that has a GPU which can serve it.
        type: int
        default: 0
      spare_percent:
        description:
          - Seats beyond its desktops, in per cent of them.
        type: int
        default: 0
      spare_nodes:
        description:
          - How many nodes may fail at once while all its desktops still have seats; C(1) is N+1.
        type: int
        default: 0
  strategy:
    description:
      - Of plans that are equally good, whether to use few nodes or many. Pools with I(pools[].spare_nodes) or I(pools[].minimum_per_node)
        are spread always.
    type: str
    default: pack
    choices:
      - pack
      - spread
  separate_by:
    description:
      - 'How the broker tells pools apart. C(type): by vGPU type alone, so no mapping is planned, and pools of different
        types on one GPU model are refused.'
    type: str
    default: mapping
    choices:
      - mapping
      - type
  only_ready:
    description:
      - Plan with GPUs as they are now. Otherwise with what they can do once their hosts are set up; C(gpus[].missing)
        tells what that takes.
    type: bool
    default: false
  mappings:
    description:
      - Today's resource mappings, as C(pvesh get /cluster/mapping/pci --output-format json) prints them. Without, every
        GPU counts as new.
    type: list
    elements: dict
    default: []
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
  - 'Large clusters: only these keys of the documents are read, others may be left out: C(host.node), C(host.pve), C(host.drivers.nvidia),
    and of C(gpus) all but C(functions), C(displays), C(mdevs) and C(problems).'
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: What every node has
  pve.gpu.host_info:
  register: info

- name: Two pools with different vGPU types on the same model
  pve.gpu.pools:
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, 'info') | list }}"
    pools:
      - {name: Pool A, type: P4-1Q, desktops: 16, mapping: GPUA}
      - {name: Pool B, type: P4-2Q, desktops: 8, mapping: GPUB, spare_nodes: 1}
  register: plan
  run_once: true

- name: Stop when something does not fit
  ansible.builtin.assert:
    that: plan.fits
    fail_msg: "{{ plan.pools | rejectattr('fits') | map(attribute='reasons') | list }}"
  run_once: true
'''

RETURN = r'''
---
fits:
  description: Whether every pool gets all it wants.
  returned: always
  type: bool
pools:
  description: The pools, in the order of I(pools).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pool.
      type: str
    vgpu_type:
      description: The vGPU type by its whole name, C(Intel-vGPU) or C(GPU Passthrough).
      type: str
    models:
      description: Models of the GPUs that serve it.
      type: list
      elements: str
    desktops:
      description: How many desktops it wants.
      type: int
    placed:
      description: How many of them have a seat.
      type: int
    seats:
      description: Seats on its GPUs.
      type: int
    spare_seats:
      description: Seats beyond the desktops.
      type: int
    surviving_seats:
      description: Seats that are left when as many nodes fail as it wants to survive, those with the most seats; C(null)
        when it wants none.
      type: int
    gpus:
      description: How many GPUs serve it.
      type: int
    nodes:
      description: On how many nodes these are.
      type: int
    mapping:
      description: The resource mapping that it needs, C(null) when it needs none.
      type: str
    licence:
      description: The least NVIDIA product that licenses its type (C(vws), C(vpc), C(vapps), C(ai_enterprise) or C(vgaming)),
        C(null) for none.
      type: str
    fits:
      description: Whether it gets all it wants.
      type: bool
    reasons:
      description: Why it does not, as sentences with numbers.
      type: list
      elements: str
    nearest:
      description: What would fit in its place, the least change first.
      type: list
      elements: str
gpus:
  description: Every GPU, by node and address. Consoles are left out.
  returned: always
  type: list
  elements: dict
  contains:
    node:
      description: Its node.
      type: str
    address:
      description: Its PCI address.
      type: str
    model:
      description: Its model.
      type: str
    pool:
      description: The pool that it serves, C(null) when it is left.
      type: str
    vgpu_type:
      description: The type that it has then.
      type: str
    seats:
      description: How many desktops it serves.
      type: int
    mapping:
      description: The resource mapping that holds it then.
      type: str
    before:
      description: The pool whose mapping holds it today.
      type: str
    change:
      description: C(keep), C(move) from one pool to another, C(new), C(release), or C(none) for a GPU that no pool has
        or gets.
      type: str
    running:
      description: Guests that run on it now.
      type: list
      elements: int
    missing:
      description: What it still lacks for that, as M(pve.gpu.host_info) says it.
      type: list
      elements: str
mappings:
  description: The resource mappings that the plan needs.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the mapping.
      type: str
    pool:
      description: Its pool.
      type: str
    vgpu_type:
      description: The type that guests ask of it.
      type: str
    mdev:
      description: Whether it is one of mediated devices, as vGPUs are for Proxmox VE on every framework of NVIDIA's.
      type: bool
    action:
      description: C(create), C(change) or C(keep).
      type: str
    entries:
      description: The GPUs that it holds.
      type: list
      elements: dict
      contains:
        node:
          description: The node.
          type: str
        address:
          description: PCI address of the GPU.
          type: str
        functions:
          description: C(card) for the GPU itself, C(vfs) for its virtual functions.
          type: str
        seats:
          description: How many desktops it serves. So many virtual functions are enough in the mapping.
          type: int
    unknown_nodes:
      description: Nodes of today's mapping of which there is no document. Their entries are not judged.
      type: list
      elements: str
overlaps:
  description: GPUs of the plan that other mappings hold today as well. Take them out there, else two pools meet on one
    GPU.
  returned: always
  type: list
  elements: dict
  contains:
    mapping:
      description: The other mapping.
      type: str
    node:
      description: The node.
      type: str
    address:
      description: The GPU.
      type: str
    pool:
      description: The pool that gets the GPU.
      type: str
left:
  description: GPUs that serve no pool, by model.
  returned: always
  type: list
  elements: dict
  contains:
    model:
      description: The model.
      type: str
    gpus:
      description: How many.
      type: int
    nodes:
      description: On how many nodes.
      type: int
licences:
  description: The NVIDIA licences that the placed desktops need.
  returned: always
  type: list
  elements: dict
  contains:
    licence:
      description: The product.
      type: str
    desktops:
      description: How many at once.
      type: int
quality:
  description: How good the plan is.
  returned: always
  type: dict
  contains:
    desktops:
      description: Desktops that all pools want.
      type: int
    placed:
      description: Desktops that have a seat.
      type: int
    missing_spare_seats:
      description: Seats that are missing for spare shares, for nodes that may fail and for nodes' minimums.
      type: int
    gpus_used:
      description: GPUs that serve a pool.
      type: int
    gpus_changed:
      description: Of these, those that do not serve it today.
      type: int
    best:
      description: Whether it is proven that there is no better plan.
      type: bool
    at_most_better_by:
      description: How much better a plan could be at most, in the first of these that is not 0. All are 0 for the best
        plan.
      type: dict
      contains:
        desktops:
          description: More desktops.
          type: int
        spare_seats:
          description: Fewer missing spare seats.
          type: int
        gpus_used:
          description: Fewer GPUs.
          type: int
        gpus_changed:
          description: Fewer changes.
          type: int
notes:
  description: What else is worth knowing.
  returned: always
  type: list
  elements: str
msg:
  description: What went wrong, where, and what to do next.
  returned: on failure
  type: str
invocation:
  description: The parameters that the task ran with, defaults included, secrets masked.
  returned: always
  type: dict
'''
