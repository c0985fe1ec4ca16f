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
    return parse(path, lambda text: None)[0].values


# What QemuServer.pm ($confdesc) knows, by the types that it checks; drives, and other numbered ones, are strings.
BOOLEANS = set('acpi allow-ksm autostart ciupgrade freeze keephugepages kvm localtime numa onboot protection reboot tablet tdf template'.split())
INTEGERS = set('balloon cores cpuunits migrate_speed shares smp snaptime sockets vcpus'.split())
STRINGS = set('affinity agent amd-sev arch args audio0 bios boot bootdisk cdrom cicustom cipassword citype ciuser cpu cpulimit description efidisk0 '
              'hookscript hotplug hugepages intel-tdx ivshmem keyboard lock machine memory meta migrate_downtime name nameserver ostype parent rng0 '
              'running-nets-host-mtu runningcpu runningmachine scsihw searchdomain smbios1 spice_enhancements sshkeys startdate startup tags '
              'tpmstate0 vga vmgenid vmstate vmstatestorage watchdog'.split())
NUMBERED = r'(hostpci|ide|ipconfig|net|numa|parallel|sata|scsi|serial|unused|usb|virtio|virtiofs)\d+'


def check_type(key, value):
    """PVE::QemuServer::check_type: the value as it is written."""
    if key in BOOLEANS:
        if not re.fullmatch(hostpci.BOOLEAN, value):
            raise ValueError("type check ('boolean') failed - got '%s'\n" % value)
        return '1' if hostpci.true(value) else '0'
    if key in INTEGERS:
        if not re.fullmatch(r'\d+', value):
            raise ValueError("type check ('integer') failed - got '%s'\n" % value)
        return str(int(value))
    if key not in STRINGS and not re.fullmatch(NUMBERED, key) or key.startswith('hostpci') and int(key[7:]) >= hostpci.SLOTS:
        raise ValueError("unknown setting '%s'\n" % key)
    if key.startswith('hostpci'):
        try:
            hostpci.parse(key, value)
        except hostpci.FormatError as error:
            raise ValueError(str(error)) from None
    return value


class Section:
    def __init__(self, head=None):
        self.head, self.description, self.values = head, '', {}

    def text(self):
        return self.description + ''.join('%s: %s\n' % pair for pair in sorted(self.values.items()))


def sections(text, vmid, warn=standin.warn):
    """PVE::QemuServer::parse_vm_config: the current section, the pending one, and the others by their heads. What is not valid is left out, with
    a warning, and so is gone at the next write."""
    current, pending, others = Section(), Section('[PENDING]'), {}
    at = current
    for line in text.split('\n'):
        line = line.rstrip()
        if not line:
            continue
        head = re.fullmatch(r'\[([^\]]*)\]', line)
        if head:
            name = head.group(1)
            if name.lower() == 'pending':
                at = pending = Section('[PENDING]')
            elif re.fullmatch(r'(?i)special:(cloudinit|fleecing)|[a-z][a-z0-9_-]+', name):
                at = others[name] = Section(line)
            else:
                at = None
                warn("vm %s - skipping unknown section: '%s'" % (vmid, name))
            continue
        if at is None:
            continue
        if line.startswith('#'):
            at.description += line + '\n'
            continue
        words = re.fullmatch(r'([a-z][a-z_-]*\d*):\s*(.+?)', line)
        if not words:
            warn('vm %s - unable to parse config: %s' % (vmid, line))
            continue
        key, value = words.groups()
        try:
            if key == 'delete' and at is not pending:
                warn("vm %s - property 'delete' is only allowed in [PENDING]" % vmid)
            elif key in ('delete', 'snapstate'):
                at.values[key] = value
            else:
                at.values['ide2' if key == 'cdrom' else key] = check_type(key, value)
        except ValueError as error:
            warn(("vm %s - unable to parse value of '%s' - %s" % (vmid, key, error)).rstrip('\n'))
    return current, pending, others


def container_sections(text):
    """The same of a container, whose values nobody checks here."""
    current, pending, others = Section(), Section('[pve:pending]'), {}
    at = current
    for line in text.split('\n'):
        if re.match(r'\[pve:pending\]\s*$', line, re.I):
            at = pending
        elif line.startswith('['):
            at = others[line] = Section(line)
        elif line.startswith('#'):
            at.description += line + '\n'
        elif ': ' in line:
            key, value = line.split(': ', 1)
            at.values[key] = value.strip()
    return current, pending, others


def parse(path, warn=standin.warn):
    """(current, pending, others) of the configuration at a path."""
    if is_container(path):
        return container_sections(read(path))
    return sections(read(path), os.path.basename(path)[:-5], warn)


def write(path, current, pending, others):
    """As QemuServer.pm (write_vm_config) writes it: keys in their order, an empty line before each section."""
    text = '\n'.join([current.text()] + ['%s\n%s' % (each.head, each.text()) for each in ([pending] if pending.values else []) + [
        others[name] for name in sorted(others)]])
    temporary = path + '.tmp.%d' % os.getpid()
    with open(temporary, 'w', encoding='utf-8', errors='surrogateescape') as file:
        file.write(text)
    os.rename(temporary, path)


def apply_pending(path):
    """What a VM's start does with the changes that were made while it ran (vmconfig_apply_pending)."""
    current, pending, others = parse(path)
    if pending.values:
        for key in re.findall(r'[a-z]+\d*', pending.values.pop('delete', '')):
            current.values.pop(key, None)
        current.values.update(pending.values)
        write(path, current, Section(), others)


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
