#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.repo: the module itself is compiled. Written by `./dev docs` from modules/repo.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: repo
short_description: APT sources of a Proxmox VE host
version_added: 0.1.0
description:
  - Sets the channel of Proxmox VE, the release of Ceph, and the mirrors of Proxmox and Debian, for the release of the
    host. New sources are one-line files on Proxmox VE 7 and 8 and deb822 on 9; those that are there keep their form.
  - 'Sources that already say what is wished are accepted wherever they are. Others are switched on or off, or get another
    URI, in place: comments, order, options and sources of third parties stay as they are. Nothing is deleted.'
  - 'Succeeds only if the wished channels are really offered: APT must have their packages, as C(apt-cache policy) tells.
    Runs C(apt-get update) after a change, and where APT has no packages of a wished channel yet. If a source that was
    changed can''t be read, or APT offers no wished channel then, the old files are put back and the task fails, naming
    the source, file and line, and the reason. Other sources that can''t be read are named in a warning.'
  - 'What is wrong with sources of Proxmox by their text is named before the first effect: two of one URI and suite that
    differ in C(Signed-By) or C(Trusted), so that APT reads nothing at all, keyrings that are missing, paths that are
    there twice, suites and components that Proxmox does not have. A mirror may have a path or components of its own:
    then APT''s word counts.'
author:
  - the pve.gpu authors (@pve-gpu)
options:
  channel:
    description:
      - The channel of Proxmox VE that must be active. Newer ones are switched off, and C(enterprise) unless it is the
        one or I(keep_enterprise) is set. C(keep) leaves channels as they are.
    type: str
    default: keep
    choices:
      - keep
      - no-subscription
      - enterprise
      - test
  keep_enterprise:
    description:
      - 'The host has a subscription: its enterprise sources stay active beside another I(channel).'
    type: bool
    default: false
  ceph:
    description:
      - The release of Ceph that must have an active source, in the same channel. C(none) switches Proxmox's sources of
        Ceph off, C(keep) leaves their release as it is. Proxmox VE 7 has C(octopus), C(pacific) and C(quincy), 8 has
        C(quincy), C(reef) and C(squid), 9 has C(squid) and C(tentacle).
    type: str
    default: keep
    choices:
      - keep
      - none
      - octopus
      - pacific
      - quincy
      - reef
      - squid
      - tentacle
  proxmox_mirror:
    description:
      - URL of the folder that holds C(pve) and C(ceph-...), in place of C(http://download.proxmox.com/debian). Enterprise
        sources keep theirs.
    type: str
  debian_mirror:
    description:
      - URL of Debian's archive, for all its suites but security updates.
    type: str
  debian_security_mirror:
    description:
      - URL of Debian's archive of security updates.
    type: str
  state:
    description:
      - C(absent) takes back what this module changed.
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
  - 'A Release file that has expired, as in archives, is refused by APT unless the source carries the option C(check-valid-until=no)
    (deb822: C(Check-Valid-Until: no)). The module keeps it where it is set.'
  - Passwords for a mirror belong into C(/etc/apt/auth.conf.d).
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: Packages without a subscription
  pve.gpu.repo:
    channel: no-subscription

- name: Everything from a mirror in the house, Ceph Squid included
  pve.gpu.repo:
    channel: no-subscription
    ceph: squid
    proxmox_mirror: https://mirror.example.org/proxmox/debian
    debian_mirror: https://mirror.example.org/debian
    debian_security_mirror: https://mirror.example.org/debian-security

- name: Debian 11 below Proxmox VE 7 moved to the archive
  pve.gpu.repo:
    debian_mirror: http://archive.debian.org/debian
    debian_security_mirror: http://archive.debian.org/debian-security

- name: Take it all back
  pve.gpu.repo:
    state: absent
'''

RETURN = r'''
---
release:
  description: The Debian release that the host runs.
  returned: when I(state=present)
  type: str
  sample: bookworm
channel:
  description: The newest channel of Proxmox VE that an active source offers, C(none) without any.
  returned: when I(state=present)
  type: str
  sample: no-subscription
sources:
  description: The active sources of Proxmox and Debian, as they are after the task succeeded.
  returned: when I(state=present)
  type: list
  elements: dict
  contains:
    file:
      description: The file that holds it.
      type: str
      sample: /etc/apt/sources.list.d/proxmox.sources
    line:
      description: Where in the file it begins.
      type: int
      sample: 2
    archive:
      description: One of C(proxmox), C(ceph), C(debian) and C(debian-security).
      type: str
      sample: proxmox
    uri:
      description: Where the packages come from. A login in it is not shown.
      type: str
      sample: http://download.proxmox.com/debian/pve
    suites:
      description: The suites that it names.
      type: list
      elements: str
      sample:
        - trixie
    components:
      description: The components that it names.
      type: list
      elements: str
      sample:
        - pve-no-subscription
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
