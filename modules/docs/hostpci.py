#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.hostpci: the module itself is compiled. Written by `./dev docs` from modules/hostpci.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: hostpci
short_description: PCI device of a guest
version_added: 0.1.0
description:
  - 'Puts a device into one of the sixteen slots C(hostpci0) to C(hostpci15) of a guest or template of this node: through
    a cluster-wide resource mapping, or by its address; whole, or a vGPU of it by the name of its type.'
  - The value is compared as a whole after parsing, so that the order of keys and spelled-out defaults are no difference,
    and a key that the task does not give is taken away. It is written with C(qm set) and the digest of the configuration.
  - 'Refused, before anything is changed: what would keep the guest from starting (a mapping without an entry for this
    node or with one that does not fit the hardware, a vGPU type that no card here offers, C(pcie) without the machine
    type q35, a device twice, be it through mappings, more slots than a mapping has cards), what this release does not
    know, a guest that is locked, runs, or is on another node.'
  - 'Refused too is what would harm others at the guest''s start: a device whose IOMMU group holds disks or a network
    that the host uses, since a guest gets a group as a whole; a card of which another running guest has a part; and a
    slot, written without a function, that holds more than one card: virtual functions, or the USB controllers beside
    a processor''s graphics.'
  - 'C(absent) with a device takes back what this module set in the slot: what others had there before comes back, and
    what others put there since stays. C(absent) with I(slot) and no device empties the slot, whoever filled it.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  vmid:
    description:
      - Number of the guest or template.
    type: int
    required: true
  slot:
    description:
      - The N of C(hostpciN), 0 to 15; 0 when it is not given.
    type: int
  mapping:
    description:
      - Resource mapping (Proxmox VE 8 and later) with an entry for this node.
    type: str
  host:
    description:
      - 'Address of the device: C(0000:41:00) for all of its functions, C(0000:41:00.0) for one. Several are passed together,
        as C(0000:c5:00.0) and C(0000:c5:00.1) of a processor''s graphics.'
    type: list
    elements: str
    default: []
  mdev:
    description:
      - vGPU type, by its name (C(NVIDIA A40-8Q)) or as Proxmox VE writes it (C(nvidia-562)). Numbers differ between driver
        branches, names do not. It is looked up in what the card offers now.
    type: str
  pcie:
    description:
      - On a PCI Express port. The guest's machine type must be q35.
    type: bool
    default: false
  x_vga:
    description:
      - As the guest's primary display; it gets no emulated one unless C(vga) is set.
    type: bool
    default: false
  rombar:
    description:
      - Whether the guest sees the device's ROM.
    type: bool
    default: true
  romfile:
    description:
      - ROM to show instead, a file of C(/usr/share/kvm).
    type: str
  legacy_igd:
    description:
      - 'An Intel iGPU as the guest''s only display. Needs the machine type i440fx and C(vga: none).'
    type: bool
    default: false
  vendor_id:
    description:
      - Vendor id that the guest sees instead, as C(0x10de).
    type: str
  device_id:
    description:
      - Device id that the guest sees instead.
    type: str
  sub_vendor_id:
    description:
      - Subsystem vendor id that the guest sees instead.
    type: str
  sub_device_id:
    description:
      - Subsystem device id that the guest sees instead.
    type: str
  driver:
    description:
      - C(keep) leaves the device with the driver that it has (Proxmox VE 9.1 and later), C(vfio) binds it to vfio-pci
        at the guest's start.
    type: str
    default: vfio
    choices:
      - vfio
      - keep
  running:
    description:
      - 'What to do when the guest runs and something is to be changed: refuse, or leave it pending until it is started
        again.'
    type: str
    default: refuse
    choices:
      - refuse
      - pending
  state:
    description:
      - Whether the guest shall have the device.
    type: str
    default: present
    choices:
      - present
      - absent
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
  - 'A guest''s owner may be a desktop broker: name guests and templates one by one, not all of a pool.'
  - With C(pending_on) C(guest_restart) the guest runs with another device than the one it will have.
  - The former value is kept in C(/var/lib/pve-gpu) of this node. It does not move along with the guest.
  - Proxmox VE itself does not see that two guests name the same device until both shall run.
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
  - Only one of mapping, host may be given.
'''

EXAMPLES = r'''
---
- name: A whole GPU of the pool a4000 for a workstation
  pve.gpu.hostpci:
    vmid: 210
    mapping: a4000
    pcie: true

- name: A vGPU for a template
  pve.gpu.hostpci:
    vmid: 9000
    mapping: a40
    mdev: NVIDIA A40-8Q
    pcie: true

- name: Proxmox VE 7, by address; the guest may go on running with what it has
  pve.gpu.hostpci:
    vmid: 103
    host: "0000:81:00.0"
    mdev: GRID P4-1Q
    running: pending

- name: Nothing in the second slot
  pve.gpu.hostpci:
    vmid: 210
    slot: 1
    state: absent
'''

RETURN = r'''
---
node:
  description: This node.
  returned: always
  type: str
  sample: pve1
guest:
  description: The guest.
  returned: when this node has it
  type: dict
  contains:
    vmid:
      description: Its number.
      type: int
    name:
      description: Its name, empty when it has none.
      type: str
    running:
      description: Whether it runs.
      type: bool
    template:
      description: Whether it is a template.
      type: bool
option:
  description: The option of its configuration.
  returned: when this node has it
  type: str
  sample: hostpci0
value:
  description: What the guest has there at its next start, C(null) when nothing; in check mode as it is before the run.
  returned: when this node has it
  type: str
  sample: mapping=a40,mdev=nvidia-562,pcie=1
running_value:
  description: What the guest was started with, C(null) when it does not run or has nothing there.
  returned: when this node has it
  type: str
wanted:
  description: What the task makes of it, C(null) when the slot shall be empty.
  returned: when nothing is against it
  type: str
mdev:
  description: The vGPU type.
  returned: when one is asked for
  type: dict
  contains:
    id:
      description: What Proxmox VE calls it, by the driver's number.
      type: str
      sample: nvidia-562
    name:
      description: Its name.
      type: str
      sample: NVIDIA A40-8Q
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
