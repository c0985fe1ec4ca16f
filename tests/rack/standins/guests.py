# SPDX-License-Identifier: MIT
# Guests of a simulated node: a sleeping process with the command line of a guest for each that runs.
import os
import re
import signal
import socket
import time

import hostpci
import standin
from bootfiles import ToolError, read

RUN = '/run/qemu-server'
RUNNING = '/run/rack/cluster/running-%s'  # has the name of the node; the whole cluster sees it


def node():
    return os.uname().nodename


def config_path(vmid, where=None, kind=None):
    """The file of a guest on a node, whatever kind it is; None if it has none there."""
    for name in (kind,) if kind else ('qemu-server', 'lxc'):
        path = '/etc/pve/nodes/%s/%s/%s.conf' % (where or node(), name, vmid)
        if os.path.exists(path):
            return path
    return None


def find(vmid):
    """(node, path) of a guest anywhere in the cluster."""
    for where in sorted(os.listdir('/etc/pve/nodes')):
        path = config_path(vmid, where)
        if path:
            return where, path
    raise ToolError("Configuration file 'nodes/%s/qemu-server/%s.conf' does not exist" % (node(), vmid), 2)


def config(path):
    """The current section: key -> value."""
    return parse(read(path))[0]


def parse(text):
    """(current, pending, description, what stands from the first snapshot on) of a configuration."""
    found, at, description, lines = ({}, {}), 0, '', text.split('\n')
    for number, line in enumerate(lines):
        if re.match(r'\[PENDING\]\s*$', line, re.I):
            at = 1
        elif line.startswith('['):
            return found[0], found[1], description, '\n'.join(lines[number:])
        elif line.startswith('#'):
            description += line + '\n' if at == 0 else ''
        elif ': ' in line:
            key, value = line.split(': ', 1)
            found[at][key] = value.strip()
    return found[0], found[1], description, ''


def write(path, current, pending, description, rest):
    """As QemuServer.pm (write_vm_config) writes it: keys in their order, an empty line before each section."""
    text = description + ''.join('%s: %s\n' % pair for pair in sorted(current.items()))
    if pending:
        text += '\n[PENDING]\n' + ''.join('%s: %s\n' % pair for pair in sorted(pending.items()))
    if rest:
        text += '\n' + rest
    temporary = path + '.tmp.%d' % os.getpid()
    with open(temporary, 'w', encoding='utf-8') as file:
        file.write(text)
    os.rename(temporary, path)


def apply_pending(path):
    """What a VM's start does with the changes that were made while it ran (vmconfig_apply_pending)."""
    current, pending, description, rest = parse(read(path))
    if pending:
        for key in re.findall(r'[a-z]+\d*', pending.pop('delete', '')):
            current.pop(key, None)
        current.update(pending)
        write(path, current, {}, description, rest)


def is_container(path):
    return '/lxc/' in path


def pid_of(vmid):
    """The process of a running guest; None if it does not run."""
    text = read('%s/%s.pid' % (RUN, vmid)).strip()
    if text and ('/run/qemu-server/%s.pid' % vmid) in read('/proc/%s/cmdline' % text):
        return int(text)
    text = read('/run/rack-lxc-%s.pid' % vmid).strip()
    return int(text) if text and os.path.exists('/proc/' + text) else None


def start(vmid):
    path = config_path(vmid)
    if path is None:
        raise ToolError("Configuration file 'nodes/%s/qemu-server/%s.conf' does not exist" % (node(), vmid), 2)
    if pid_of(vmid):
        raise ToolError('%s %s already running' % ('CT' if is_container(path) else 'VM', vmid), 255)
    fields = config(path)
    if fields.get('lock'):
        raise ToolError('%s is locked (%s)' % ('CT' if is_container(path) else 'VM', fields['lock']), 255)
    if is_container(path):
        mark(vmid)
        return start_process(vmid, ['lxc-start', '-F', '-n', str(vmid)], '/run/rack-lxc-%s.pid' % vmid, '\0/var/lib/lxc/%s/command' % vmid)
    if fields.get('template') == '1':
        raise ToolError("you can't start a vm if it's a template", 255)
    apply_pending(path)
    fields = config(path)
    words, kept = hostpci.start(int(vmid), fields, pid_of)
    mark(vmid)
    name = fields.get('name', 'vm%s' % vmid)
    # the start of the command line that Proxmox VE starts a guest with: what it knows a running one by
    pid = start_process(vmid, ['/usr/bin/kvm', '-id', str(vmid), '-name', '%s,debug-threads=on' % name, '-no-shutdown', '-daemonize',
                               '-pidfile', '/var/run/qemu-server/%s.pid' % vmid] + words, '%s/%s.pid' % (RUN, vmid))
    described = [slot for slot, owner in standin.machine()['reservations'] if int(owner) == int(vmid)]
    hostpci.reserve(kept or described, int(vmid), pid_of, pid)
    return pid


def mark(vmid):
    """The whole cluster sees where it runs."""
    with open(RUNNING % vmid, 'w', encoding='ascii') as file:
        file.write(node())


def start_process(vmid, words, pid_file, abstract=None):
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        try:
            with open(pid_file, 'w', encoding='ascii') as file:
                file.write('%d\n' % os.getpid())
            os.chmod(pid_file, 0o600)
            if abstract:
                held = socket.socket(socket.AF_UNIX)
                held.bind(abstract)
                held.listen(1)
                held.set_inheritable(True)
            ends = os.pipe()
            null = os.open('/dev/null', os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            # a shell that waits for a line that never comes: it holds the writing end itself
            os.dup2(ends[0], 0)
            os.set_inheritable(ends[1], True)
            os.write(writable, b'%d' % os.getpid())
            os.execv('/bin/sh', [words[0], '-c', 'read line'] + words[1:])
        finally:
            os._exit(1)
    os.wait()
    os.close(writable)
    text = os.read(readable, 32)
    os.close(readable)
    if not text:
        raise ToolError('start failed: guest %s' % vmid, 255)
    return int(text)


def stop(vmid):
    pid = pid_of(vmid)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(200):
        if not os.path.exists('/proc/%d' % pid):
            break
        time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
    for path in ('%s/%s.pid' % (RUN, vmid), '/run/rack-lxc-%s.pid' % vmid, RUNNING % vmid):
        if os.path.exists(path):
            os.unlink(path)
    path = config_path(vmid)
    if path is None or not is_container(path):
        hostpci.free(int(vmid), config(path) if path else {})


def all_here():
    """[(vmid, path)] of the guests of this node."""
    found = []
    for kind in ('qemu-server', 'lxc'):
        directory = '/etc/pve/nodes/%s/%s' % (node(), kind)
        for name in os.listdir(directory) if os.path.isdir(directory) else []:
            if re.fullmatch(r'\d+\.conf', name):
                found.append((int(name[:-5]), os.path.join(directory, name)))
    return sorted(found)
