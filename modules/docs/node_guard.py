#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.node_guard: the module itself is compiled. Written by `./dev docs` from modules/node_guard.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: node_guard
short_description: May this node be rebooted now
version_added: 0.1.0
description:
  - 'Says whether this node of a Proxmox VE cluster may be rebooted now, and if not, each reason with what to do: quorum
    without this node, other nodes that are away, the HA manager and its services, Ceph, running replication, guests that
    are locked, and guests that run.'
  - 'Of each guest of this node it tells whether it could move to another node as it is, to which, and why not: devices,
    disks that other nodes don''t see, CD-ROM images, locks.'
  - 'It reads the files of the cluster file system; it asks C(corosync-quorumtool) only where there is a QDevice, and
    C(ceph) only where Proxmox VE runs Ceph. It changes nothing, and the task does not fail when the answer is no: look
    at C(allowed).'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  max_nodes_down:
    description:
      - How many other nodes may be offline or in maintenance mode. Quorum is judged apart from that.
    type: int
    default: 0
  running_guests:
    description:
      - 'What guests that run here mean: C(refuse) any is a reason against the reboot, C(movable) only those are that
        can''t move, C(allow) none is.'
    type: str
    default: refuse
    choices:
      - refuse
      - movable
      - allow
  allow_quorum_loss:
    description:
      - 'Accept that the other nodes lose quorum while this one is away, as in a cluster of two nodes without a QDevice:
        their guests run on, but nothing can be changed or started. Not accepted while HA manages services elsewhere.'
    type: bool
    default: false
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
  - HA rules, free memory and CPU types of the other nodes are not judged.
  - 'Needs root: without it the cluster''s files can''t be read, and the answer is no.'
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: May this node go
  pve.gpu.node_guard:
    running_guests: movable
  register: guard

- name: Stop if it may not
  ansible.builtin.assert:
    that: guard.allowed
    fail_msg: "{{ guard.reasons | join(' / ') }}"
'''

RETURN = r'''
---
node:
  description: Name of this node.
  returned: always
  type: str
  sample: pve1
single_node:
  description: Whether this node is alone, so that no cluster suffers from its reboot and no guest can go elsewhere.
  returned: always
  type: bool
quorum:
  description: Votes, from C(corosync.conf) and the members that are online. All null but the first two on a node alone.
  returned: always
  type: dict
  contains:
    cluster:
      description: Name of the cluster, null without one.
      type: str
    quorate:
      description: Whether this node is in the part that has quorum; null when that is not known.
      type: bool
    expected_votes:
      description: Votes of all nodes and the QDevice.
      type: int
    needed_votes:
      description: Votes that quorum needs.
      type: int
    total_votes:
      description: Votes that are there now.
      type: int
    own_votes:
      description: Votes of this node.
      type: int
    remaining_votes:
      description: Votes that are there without this node.
      type: int
    holds_without_node:
      description: Whether the other nodes keep quorum.
      type: bool
    qdevice:
      description: The QDevice, null without one.
      type: dict
      contains:
        votes:
          description: Votes that it may give.
          type: int
        voting:
          description: Whether it gives them to the other nodes; null when corosync can't be asked.
          type: bool
nodes:
  description: All nodes of the cluster.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node.
      type: str
    online:
      description: Whether it is a member now.
      type: bool
    votes:
      description: Its votes.
      type: int
    ha_state:
      description: What the HA manager says of it, one of C(online), C(maintenance), C(unknown), C(fence), C(gone); null
        when HA was never used.
      type: str
ha:
  description: The HA manager.
  returned: always
  type: dict
  contains:
    active:
      description: Whether it manages any service.
      type: bool
    master:
      description: The node whose manager is in charge.
      type: str
    master_alive:
      description: Whether it reported in the last 30 seconds. A manager without services need not.
      type: bool
    node_state:
      description: What it says of this node.
      type: str
    lrm_state:
      description: State of this node's local resource manager, for example C(active) or C(wait_for_agent_lock).
      type: str
    lrm_mode:
      description: Its mode, for example C(active), C(maintenance) or C(restart).
      type: str
    disarmed:
      description: Whether HA is disarmed, which Proxmox VE can since 9.2.
      type: bool
    shutdown_policy:
      description: What HA does with its services when the node shuts down, from C(datacenter.cfg).
      type: str
    services:
      description: HA services of the whole cluster.
      type: list
      elements: dict
      contains:
        sid:
          description: Its id.
          type: str
          sample: vm:100
        node:
          description: Where it is, null when HA has not seen it yet.
          type: str
        state:
          description: What HA does with it now; C(queued) when HA has not seen it yet, C(ignored) when it shall not.
          type: str
        request:
          description: What HA shall do with it; C(none) when it is no HA resource any more.
          type: str
ceph:
  description: Ceph, null where Proxmox VE does not run it.
  returned: always
  type: dict
  contains:
    health:
      description: C(HEALTH_OK), C(HEALTH_WARN) or C(HEALTH_ERR); null when Ceph can't be asked.
      type: str
    checks:
      description: What Ceph complains of.
      type: list
      elements: dict
      contains:
        code:
          description: Its code.
          type: str
          sample: OSD_DOWN
        severity:
          description: C(HEALTH_WARN) or C(HEALTH_ERR).
          type: str
        message:
          description: Its message.
          type: str
        muted:
          description: Whether the operator has muted it.
          type: bool
        counts:
          description: Whether it is a reason against the reboot. Muted ones and those that have nothing to do with availability
            are not.
          type: bool
    noout:
      description: Whether OSDs that are down stay in, so that no data is moved during the reboot.
      type: bool
    flags:
      description: Flags of the OSD map that Ceph warns of.
      type: list
      elements: str
    placement_groups_not_clean:
      description: Placement groups that are not active and clean.
      type: list
      elements: dict
      contains:
        state:
          description: Their state.
          type: str
          sample: active+undersized+degraded
        count:
          description: How many.
          type: int
    monitors:
      description: Number of monitors.
      type: int
    monitors_left:
      description: Monitors in the quorum without this node's.
      type: int
    monitors_here:
      description: This node's monitors.
      type: list
      elements: str
    osds_here:
      description: Numbers of this node's OSDs.
      type: list
      elements: int
    ok_to_stop:
      description: What Ceph itself says of stopping all of these; null without any.
      type: bool
replication:
  description: Replication jobs of this node's guests. Jobs of other nodes' guests to this node are not known here.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Id of the job.
      type: str
      sample: 100-0
    guest:
      description: VMID of the guest.
      type: int
    target:
      description: The node it goes to.
      type: str
    disabled:
      description: Whether it is switched off.
      type: bool
    running:
      description: Whether it runs now.
      type: bool
    last_sync:
      description: When it last succeeded, in seconds since 1970; null when it never did.
      type: int
    failures:
      description: How often it failed since.
      type: int
    error:
      description: The last error.
      type: str
guests:
  description: The guests of this node, those that don't run too.
  returned: always
  type: list
  elements: dict
  contains:
    vmid:
      description: Its id.
      type: int
    name:
      description: Its name, null when its configuration can't be read.
      type: str
    type:
      description: C(qemu) or C(lxc).
      type: str
    running:
      description: Whether it runs.
      type: bool
    ha:
      description: What HA shall do with it, for example C(started); null when HA does not manage it.
      type: str
    lock:
      description: Its lock, for example C(backup); null without one.
      type: str
    movable:
      description: Whether it can move as it is; a VM that runs without interruption, a container that runs with a restart.
      type: bool
    movable_with_disks:
      description: The same when disks on storages of this node are copied.
      type: bool
    targets:
      description: Nodes that are online, not in maintenance mode, and have the storages and mapped devices that it needs.
      type: list
      elements: str
    reasons:
      description: Why it can't move, one sentence each.
      type: list
      elements: str
allowed:
  description: Whether this node may be rebooted now.
  returned: always
  type: bool
reasons:
  description: Why it may not, one sentence each with what to do.
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
