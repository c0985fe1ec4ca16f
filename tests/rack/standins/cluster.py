# SPDX-License-Identifier: MIT
# What a node of the rack knows of its cluster, as its tools ask for it.
import hashlib
import json
import os
import re
import subprocess
import time

import guests
from bootfiles import ToolError, read

SHARED = '/run/rack/cluster'


def view():
    """online, up_since, name, votes and so on, as the keeper wrote it; {} on a node alone."""
    try:
        with open(SHARED + '/view.json', encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def members():
    return json.loads(read('/etc/pve/.members') or '{}')


def online():
    listed = members().get('nodelist')
    return [guests.node()] if listed is None else sorted(name for name, entry in listed.items() if entry['online'])


def all_nodes():
    listed = members().get('nodelist')
    return [guests.node()] if listed is None else sorted(listed)


def quorate():
    return members().get('cluster', {}).get('quorate', 1) == 1


def need_quorum():
    if not quorate():
        raise ToolError('cluster not ready - no quorum?', 255)


def on(node, *words):
    """Runs a program on another node, over ssh as Proxmox VE does."""
    done = subprocess.run(['ssh', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR',
                           '-o', 'ConnectTimeout=5', 'root@' + node] + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, check=False)
    if done.returncode:
        raise ToolError((done.stderr or done.stdout).strip() or 'ssh to %s failed' % node, done.returncode)
    return done.stdout


def digest(path):
    try:
        with open(path, 'rb') as file:
            return hashlib.sha1(file.read()).hexdigest()
    except FileNotFoundError:
        return hashlib.sha1(b'').hexdigest()


class Lock:
    """Proxmox VE's cluster-wide lock: a directory below /etc/pve/priv/lock (PVE-FACTS 1.7)."""

    def __init__(self, name):
        self.name, self.path = name, '/etc/pve/priv/lock/' + name

    def __enter__(self):
        need_quorum()
        deadline = time.monotonic() + 10
        while True:
            try:
                os.mkdir(self.path)
                return self
            except FileExistsError:
                if time.monotonic() > deadline:
                    raise ToolError("cfs-lock '%s' error: got lock request timeout" % self.name, 17) from None
                try:
                    os.utime(self.path, (0, 0))
                except OSError:
                    pass
                time.sleep(0.2)

    def __exit__(self, *_):
        os.rmdir(self.path)


# --- section configuration: ha/resources.cfg, storage.cfg -----------------------------------------------------------------------


def sections(path):
    """[(type, id, {key: value})]"""
    found = []
    for line in read(path).splitlines():
        head = re.match(r'^(\S+): (\S+)\s*$', line)
        if head:
            found.append((head.group(1), head.group(2), {}))
        elif line.strip() and found and line[0] in ' \t':
            key, _, value = line.strip().partition(' ')
            found[-1][2][key] = value
    return found


def write_sections(path, found):
    text = ''.join('%s: %s\n%s\n' % (kind, name, ''.join('\t%s %s\n' % pair for pair in fields.items())) for kind, name, fields in found)
    with open(path + '.tmp.%d' % os.getpid(), 'w', encoding='utf-8') as file:
        file.write(text)
    os.rename(path + '.tmp.%d' % os.getpid(), path)


def is_shared(storage):
    for kind, name, fields in sections('/etc/pve/storage.cfg'):
        if name == storage:
            return fields.get('shared') == '1' or kind in ('nfs', 'cifs', 'rbd', 'cephfs', 'iscsi', 'iscsidirect', 'zfs', 'pbs')
    return False
