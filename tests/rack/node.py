# SPDX-License-Identifier: MIT
# A node of the rack from inside: what is installed on it once, and what each boot sets up until its first process is sshd's parent.
import contextlib
import copy
import fcntl
import glob
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import uuid

import initramfs
import machine as machines
from simfs import control
from system import (CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID,
                    MS_PRIVATE, MS_REC, PR_CAPBSET_DROP, PR_SET_PDEATHSIG, Directory, bind, call, libc, mount, prctl)

HERE = os.path.dirname(os.path.abspath(__file__))
STANDINS = os.path.join(HERE, 'standins')
sys.path.insert(0, STANDINS)
import bootfiles  # noqa: E402  pylint: disable=wrong-import-position

USER = 'admin'

# What is left of root: enough for sshd, sudo and apt. In particular no SYS_ADMIN (would mount the real sysfs), SYS_MODULE,
# SYS_RAWIO, SYS_BOOT, SYS_TIME, SYSLOG, MKNOD (the real disks), DAC_READ_SEARCH (open_by_handle_at leaves the root), NET_ADMIN.
CAPABILITIES = {'CHOWN': 0, 'DAC_OVERRIDE': 1, 'FOWNER': 3, 'FSETID': 4, 'KILL': 5, 'SETGID': 6, 'SETUID': 7, 'SETPCAP': 8,
                'NET_BIND_SERVICE': 10, 'SYS_CHROOT': 18, 'AUDIT_WRITE': 29}

# Where the stand-ins are found in a node; those that are not named here are in usr/sbin. The second name is the program's file.
PROGRAMS = {'usr/sbin/grub-mkconfig': 'update-grub', 'usr/sbin/reboot': 'shutdown', 'usr/sbin/poweroff': 'shutdown',
            'usr/sbin/halt': 'shutdown', 'usr/sbin/pct': 'qm', 'usr/sbin/corosync-quorumtool': 'pvecm'}
IN_BIN = {'pvesh', 'pvecm', 'pveversion', 'ceph', 'systemctl'}
ESP = '5C1A-2B3D'


class NodeError(Exception):
    """What went wrong, where, and what to do."""


def copy_over(source, target):
    """Copies a tree over another and follows links of the target such as /lib."""
    if os.path.islink(source):
        if os.path.lexists(target):
            os.unlink(target)
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(source):
            copy_over(os.path.join(source, name), os.path.join(target, name))
    else:
        if os.path.lexists(target):
            os.unlink(target)
        shutil.copy(source, target)


def facts_of(described):
    """What the tools and the firmware of a machine know (standins/bootfiles.py)."""
    zfs = described.loader != 'grub'
    identity = machines.stable_uuid('root', described.node)
    return {'loader': described.loader, 'efi': described.bios['uefi'], 'root': 'ZFS=/ROOT/pve-1' if zfs else '/dev/mapper/pve-root',
            'root_id': identity.replace('-', '')[:16] if zfs else identity}


class NodeSetup:
    """One boot of a node. `rack` has directory, nodes, address(); `node` name, address, described, lower, plain,
    cluster (directory of its cluster), shared (another, on disk); `boot` counts from 1."""

    def __init__(self, rack, node, network, boot, executables):
        self.rack, self.node, self.network, self.boot = rack, node, network, boot
        self.executables = executables
        self.base = os.path.join(rack.directory, node['name'])
        self.state = self.base + '.d'
        self.root = os.path.join(self.base, 'root')
        self.tree = os.path.join(self.base, 'tree')
        self.described = node['described']
        self.guests = []
        # the files of /etc/pve: all nodes of a cluster have the same
        self.pve_tree = self.at('etc/pve') if node['plain'] else os.path.join(node['cluster'], 'tree')

    def at(self, path):
        return os.path.join(self.root, path.lstrip('/'))

    def write(self, path, content, mode=0o644, owner=0):
        path = self.at(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, 'wb') as file:
            os.fchmod(file.fileno(), mode)
            os.fchown(file.fileno(), owner, owner)
            file.write(content.encode() if isinstance(content, str) else content)

    # -- the processes

    def become(self, parent, report, events):
        """In a child of the keeper: reports a JSON line {pid, helpers, boot} or {failed}, and ends when the node runs."""
        prctl(PR_SET_PDEATHSIG, 9)
        if os.getppid() != parent:
            return
        os.setsid()
        log = os.open(self.base + '.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open('/dev/null', os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        call('setns', self.network, CLONE_NEWNET)
        call('unshare', CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
        mount('none', '/', flags=MS_REC | MS_PRIVATE)
        try:
            started = self.prepare()
        except bootfiles.BootFailure as error:
            self.log('does not boot: %s' % error)
            os.write(report, json.dumps({'failed': 'it does not boot: %s' % error}).encode() + b'\n')
            return
        helpers = [] if self.node['plain'] else [self.start_simfs(), self.start_pmxcfs()]
        # a pid namespace begins with the next child; this process waits until that one has become its program (which closes
        # `alive`), because the death signal hangs on the parent
        ended, alive = os.pipe()
        own = os.open('/proc/self/ns/pid', os.O_RDONLY | os.O_CLOEXEC)
        call('unshare', CLONE_NEWPID)
        pid = os.fork()
        if pid:
            os.close(own)
            os.close(alive)
            os.write(report, json.dumps({'pid': pid, 'helpers': helpers, 'boot': {
                key: started[key] for key in ('kernel', 'cmdline', 'why')}}).encode() + b'\n')
            os.read(ended, 1)
            return
        try:
            prctl(PR_SET_PDEATHSIG, 9)
            self.run(events)
        except BaseException as error:  # pylint: disable=broad-except
            os.write(report, json.dumps({'failed': '%s: %s' % (type(error).__name__, error)}).encode() + b'\n')
        finally:
            os._exit(1)

    def log(self, text):
        print('rack: boot %d: %s' % (self.boot, text), file=sys.stderr, flush=True)

    # -- before there are processes in the node

    def prepare(self):
        """The node's file systems, as its boot loader starts it. Returns what that was."""
        for name in ('up', 'work', 'root'):
            os.makedirs(os.path.join(self.base, name), 0o755, exist_ok=True)
        mount('overlay', self.root, 'overlay', 0, 'lowerdir=%s,upperdir=%s/up,workdir=%s/work' % (self.node['lower'], self.base, self.base))
        if 'boot_mb' in self.described.spec:
            os.makedirs(self.at('boot'), exist_ok=True)
            bind(os.path.join(self.base, 'boot'), self.at('boot'))
        facts = facts_of(self.described)
        first = not os.path.exists(self.at('var/lib/rack/installed'))
        if first:
            self.install(facts)
            # it runs since before whatever the description's files say about the next boot
            started = {'kernel': self.described.kernel, 'cmdline': machines.command_line(self.described),
                       'initrd': bootfiles.configuration(self.root), 'why': ['as the description says']}
        else:
            started = bootfiles.start(self.root, facts)
            started['boot_id'] = str(uuid.uuid4())
        started['modprobe.d'] = bootfiles.configuration(self.root)['modprobe.d']
        guests = machines.running_guests(self.described) if first else self.guests_at_boot()
        self.guests = list(guests)
        for name in os.listdir(self.node['shared']):
            path = os.path.join(self.node['shared'], name)
            if name.startswith('running-') and bootfiles.read(path) == self.described.node:
                os.unlink(path)
        spec = self.spec_at_boot(guests)
        if not first:
            self.firmware(spec)
            self.installed_nvidia(spec, started['kernel'], started['initrd']['modprobe.d'])
            self.installed_i915(spec, started)
        if not first and not self.node['plain']:
            started.update(initramfs.run_top(self, spec, started, CAPABILITIES.values()))
        booted = machines.Machine(spec, self.described.catalogue, started)
        self.log('kernel %s, command line: %s' % (started['kernel'], started['cmdline']))
        self.log('%s; IOMMU %s' % ('; '.join(started['why']), booted.iommu_reason()))
        shutil.rmtree(self.tree, ignore_errors=True)
        machines.write(booted, self.tree, installed=False)
        os.makedirs(os.path.join(self.tree, 'proc/driver'), exist_ok=True)  # what is loaded later shows itself there
        for name in os.listdir(machines.CATALOGUE):  # what closed software knows by itself (standins/closed)
            if name.endswith('.csv'):
                os.makedirs(os.path.join(self.state, 'run/catalogue'), exist_ok=True)
                shutil.copy(os.path.join(machines.CATALOGUE, name), os.path.join(self.state, 'run/catalogue', name))
        with open(os.path.join(self.state, 'model.json'), 'w', encoding='utf-8') as file:
            json.dump(control.model_of(booted), file)
        with open(os.path.join(self.state, 'run', 'machine.json'), 'w', encoding='utf-8') as file:
            json.dump(dict(facts, node=self.described.node, release=self.described.release, pve=self.described.pve,
                           repoid=self.described.repoid, kernel=booted.kernel, boot=self.boot, started=time.time(),
                           guests={str(vmid): name for vmid, name in guests.items()}, reservations=machines.reservations(booted)), file)
        return started

    def guests_at_boot(self):
        """vmid -> name of the guests on this node with `onboot: 1`."""
        found = {}
        directory = os.path.join(self.pve_tree, 'nodes', self.described.node, 'qemu-server')
        for name in os.listdir(directory) if os.path.isdir(directory) else []:
            fields = dict(line.split(': ', 1) for line in bootfiles.read(os.path.join(directory, name)).split('\n[')[0].splitlines()
                          if ': ' in line)
            if name.endswith('.conf') and fields.get('onboot') == '1':
                found[int(name[:-5])] = fields.get('name', 'vm' + name[:-5])
        return found

    def spec_at_boot(self, guests):
        """The description with the guests that are started now, and the vGPUs of these."""
        spec = copy.deepcopy(self.described.spec)
        for vmid, guest in (spec.get('guests') or {}).items():
            guest['running'] = int(vmid) in guests
        for card in spec.get('cards', []):
            if 'vgpus' in card:
                card['vgpus'] = [entry for entry in card['vgpus'] if entry.get('vmid') is None or int(entry['vmid']) in guests]
        return spec

    def firmware(self, spec):
        """What displaymodeselector wrote into cards: their class and the size of BAR1 from this boot on (GPU-FACTS 4)."""
        for card in spec.get('cards', []):
            mode = bootfiles.read(self.at('var/lib/rack/firmware/' + card['slot'])).strip()
            if mode:
                off = mode == 'physical_display_disabled'
                card['class'] = '0302' if off else '0300'
                if mode.endswith('8GB_bar1'):
                    card['bars'] = {**(card.get('bars') or {}), 1: '8G'}
                if off:
                    card['audio'] = False
                    for key in ('connectors', 'connected', 'drm', 'boot_vga'):
                        card.pop(key, None)

    def installed_nvidia(self, spec, kernel, modprobe):
        """The NVIDIA driver that is installed on this node for the kernel that boots: udev loads it, and it takes the cards."""
        path = self.at('lib/modules/%s/updates/dkms/nvidia.ko' % kernel)
        described = self.described.spec.get('nvidia')
        if not os.path.exists(path):
            if not described and os.path.isdir(self.at('var/lib/dkms')):
                spec.pop('nvidia', None)
            return
        with open(path, 'rb') as file:
            version = re.search(rb'\0version=([0-9.]+)\0', file.read()).group(1).decode()
        configuration = machines.modprobe_configuration(modprobe)
        spec['nvidia'] = {'version': version, 'host_vgpu': os.path.lexists(self.at('usr/bin/nvidia-vgpu-mgr'))}
        for card in spec.get('cards', []):
            ids = self.described.catalogue.board(card['board']).ids if 'board' in card else str(card.get('id', ''))
            if ids.startswith('10de:') and (
                    card.get('driver') is None or card['driver'] == 'nouveau' and 'nouveau' in configuration['blacklist']):
                card['driver'] = 'nvidia'

    def installed_i915(self, spec, started):
        """The i915 of i915-sriov-dkms that is installed for the kernel that boots, as its initramfs has it, which loads it first: it makes
        VFs of the processor's graphics. Secure Boot lets it in only with an enrolled key."""
        built = started['initrd'].get('built', {}).get('i915')
        if not built or 'max_vfs' not in built['parameters']:
            return
        trusted = bootfiles.read(self.at('var/lib/rack/mok')).startswith('enrolled')
        for card in spec.get('cards', []):
            if not self.described.catalogue.intel_sriov(card.get('id')) or card.get('driver') not in ('i915', 'xe'):
                continue
            if self.described.bios['secure_boot'] and not trusted:
                card['driver'] = None
                continue
            listed = [word.partition('=')[2].split(',') for word in started['cmdline'].split() if word.startswith('module_blacklist=')]
            if card['driver'] == 'xe' and 'xe' not in (listed[-1] if listed else ()):
                continue
            card['driver'] = 'i915'
            given = dict(word[len('i915.'):].partition('=')[::2] for word in started['cmdline'].split() if word.startswith('i915.'))
            card['total_vfs'] = min(7, int(given.get('max_vfs', 0))) if given.get('enable_guc') == '3' else 0
            spec['modules'] = dict(spec.get('modules') or {}, i915={
                'version': built['version'], 'parameters': {'enable_guc': -1, 'enable_gvt': False, 'force_probe': '*', 'max_vfs': 0}})

    def start_simfs(self):
        if os.path.lexists(os.path.join(self.state, 'simfs.sock')):
            os.unlink(os.path.join(self.state, 'simfs.sock'))
        pid = self.start_helper('simfs', lambda end: [
            '--tree', os.path.join(self.tree, 'sys'), '--log', 'simfs.log', '--control', 'simfs.sock', '--model', 'model.json',
            '--ready-fd', str(end), self.at('sys')])
        shutil.rmtree(os.path.join(self.tree, 'sys'))  # it keeps all in memory
        return pid

    def start_pmxcfs(self):
        return self.start_helper('pmxcfs', lambda end: [
            self.pve_tree, os.path.join(self.node['cluster'], 'status'), self.node['name'], str(end), self.at('etc/pve')])

    def start_helper(self, name, words):
        """Starts a program that mounts something in the node; it is outside of the node's pid namespace. Its pid."""
        ready, end = os.pipe()
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [self.executables[name]] + words(end), cwd=self.state, pass_fds=[end], stdin=subprocess.DEVNULL)
        os.close(end)
        with open(ready, 'rb') as file:
            if file.read() != b'ready\n':
                raise NodeError('%s did not start' % name)
        return process.pid

    # -- what is installed once

    def install(self, facts):
        described = self.described
        out = os.path.join(self.base, 'installed')
        machines.write(described, out, running=False)
        tree = machines.Tree(out)
        for release in described.kernels:
            spec = described.spec if release == described.kernel else dict(described.spec, modules=None)
            machines.write_kernel(machines.Machine(dict(spec, kernel=release), described.catalogue), tree)
        machines.write_overrides(described, tree, True, False)
        # the root's own package sources name the mirror it was made from
        for name in ['sources.list'] + ['sources.list.d/' + entry for entry in os.listdir(self.at('etc/apt/sources.list.d'))]:
            if os.path.lexists(self.at('etc/apt/' + name)):
                os.unlink(self.at('etc/apt/' + name))
        for top in sorted(os.listdir(out)):
            if top == 'etc' and not self.node['plain']:
                with self.alone():
                    self.install_pve(os.path.join(out, 'etc/pve'))
            if top not in machines.VOLATILE:
                copy_over(os.path.join(out, top), self.at(top))
        shutil.rmtree(out)
        # of systemd, initramfs-tools and GRUB, which the roots have not got
        for name in ('etc/modules-load.d', 'etc/modprobe.d', 'etc/default/grub.d', 'etc/kernel', 'etc/initramfs-tools', 'etc/systemd/system'):
            os.makedirs(self.at(name), exist_ok=True)
        os.makedirs(self.at('etc/pve'), exist_ok=True)
        # pmxcfs shows everything as root's and www-data's
        for directory, _, files in os.walk(self.at('etc/pve')):
            for name in [''] + files:
                os.chown(os.path.join(directory, name), 0, 33)
        self.write('etc/hosts', ''.join(
            ['127.0.0.1 localhost\n'] + ['%s %s\n' % (node['address'], node['name']) for node in self.rack.nodes] +
            ['%s %s\n' % (self.rack.archive_address, ' '.join(self.rack.archive_hosts))]))
        self.write('etc/resolv.conf', '# no name server: /etc/hosts has every name\n')
        with self.alone():
            self.install_ceph()
        self.people()
        self.archive_keys()
        self.packages()
        self.programs()
        self.loader(facts)
        self.write('var/lib/rack/installed', '')

    @contextlib.contextmanager
    def alone(self):
        """While no other node installs what they share."""
        directory = os.open(self.node['shared'], os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def install_pve(self, described):
        """Moves the described /etc/pve to the cluster's: what others have brought already stays, mappings are put together."""
        for directory, _, names in os.walk(described):
            here = os.path.join(self.pve_tree, os.path.relpath(directory, described))
            os.makedirs(here, exist_ok=True)
            for name in names:
                source, target = os.path.join(directory, name), os.path.join(here, name)
                if os.path.islink(source) or (directory == described and name.startswith('.')):
                    continue  # pmxcfs makes these itself
                with open(source, 'rb') as file:
                    content = file.read()
                if name == 'corosync.conf':
                    for node in self.rack.nodes:
                        content = re.sub(rb'(name: %s\n(?:.*\n){0,2}?.*ring0_addr: )\S+' % node['name'].encode(),
                                         rb'\g<1>' + node['address'].encode(), content)
                add = name == 'pci.cfg' and os.path.exists(target)
                if not add and os.path.exists(target) and '/nodes/%s/' % self.described.node not in target:
                    continue
                if re.fullmatch(r'\d+\.conf', name):  # it may have moved since
                    for other in glob.glob(os.path.join(glob.escape(self.pve_tree), 'nodes', '*', '*', name)):
                        os.unlink(other)
                bootfiles.write(target, (bootfiles.read(target) if add else '') + content.decode('utf-8', 'surrogateescape'))
        nodes = (self.described.spec.get('cluster') or {'nodes': [self.described.node]})['nodes']
        storage = os.path.join(self.pve_tree, 'storage.cfg')
        if nodes[0] == self.described.node and not os.path.exists(storage):  # as the installer leaves it
            pool = 'zfspool: local-zfs\n\tpool rpool/data\n\tsparse\n\tcontent images,rootdir\n' if self.described.loader != 'grub' else \
                'lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n'
            bootfiles.write(storage, 'dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\n' + pool)
        for name in ('priv/lock', 'ha', 'mapping', 'nodes/%s/qemu-server' % self.described.node, 'nodes/%s/lxc' % self.described.node):
            os.makedirs(os.path.join(self.pve_tree, name), exist_ok=True)
        shutil.rmtree(described)

    def install_ceph(self):
        ceph = (self.described.spec.get('cluster') or {}).get('ceph')
        path = os.path.join(self.node['shared'], 'ceph.json')
        if ceph and not os.path.exists(path):
            bootfiles.write(path, json.dumps({
                'fsid': machines.stable_uuid('ceph'), 'mons': ceph['mons'], 'flags': [], 'checks': {}, 'min_size': 2,
                'recover_seconds': ceph.get('recover_seconds', 0),
                'osds': {str(number): node for node, numbers in ceph['osds'].items() for number in numbers}}))

    def people(self):
        with open(os.path.join(self.rack.directory, 'id_ed25519.pub'), encoding='ascii') as file:
            key = file.read()
        os.chmod(self.at('root'), 0o700)
        for home, owner in (('root', 0), ('home/' + USER, 1000)):
            for path in (home, home + '/.ssh'):
                os.makedirs(self.at(path), exist_ok=True)
                os.chmod(self.at(path), 0o700)
                os.chown(self.at(path), owner, owner)
            self.write(home + '/.ssh/authorized_keys', key, 0o600, owner)
        # nodes of a cluster reach each other as root
        shutil.copy(os.path.join(self.rack.directory, 'id_ed25519'), self.at('root/.ssh/id_ed25519'))
        for path, line in (('etc/passwd', '{0}:x:1000:1000::/home/{0}:/bin/bash\n'), ('etc/group', '{0}:x:1000:\n'),
                           # no password, but not locked either: sshd refuses locked accounts
                           ('etc/shadow', '{0}:*:20000:0:99999:7:::\n')):
            with open(self.at(path), 'a', encoding='ascii') as file:
                file.write(line.format(USER))
        self.write('etc/sudoers.d/' + USER, USER + ' ALL=(ALL) NOPASSWD: ALL\n', 0o440)

    def archive_keys(self):
        """Puts the archive's keys where Debian's and Proxmox's would be."""
        directory = os.path.join(self.rack.directory, 'archive')
        deadline = time.monotonic() + 600
        while not os.path.isdir(os.path.join(directory, 'keys')):
            if time.monotonic() > deadline:
                raise NodeError('the archive made no keys in 600 s: see %s/archive.log' % self.rack.directory)
            time.sleep(0.005)
        keys = {}
        for name in ('debian', 'proxmox'):
            with open(os.path.join(directory, 'keys', name + '.gpg'), 'rb') as file:
                keys[name] = file.read()
        self.write('usr/share/keyrings/debian-archive-keyring.gpg', keys['debian'])
        self.write('etc/apt/trusted.gpg.d/debian-archive-rack.gpg', keys['debian'])
        self.write(machines.KEYRINGS[self.described.release], keys['proxmox'])
        with open(os.path.join(directory, 'tls', 'cert.pem'), 'rb') as file:
            certificate = file.read()
        with open(self.at('etc/ssl/certs/ca-certificates.crt'), 'ab') as file:
            file.write(certificate)

    def packages(self):
        """Proxmox VE's own packages, in dpkg's books (names: PVE-FACTS 5.2)."""
        import archive  # pylint: disable=import-outside-toplevel
        described = self.described
        seven = described.release == 7
        found = {'proxmox-ve': described.pve.split('.')[0] + '.0.0', 'pve-manager': described.pve,
                 'pve-kernel-helper' if seven else 'proxmox-kernel-helper': '7.3-8' if seven else '8.1.0'}
        found.update(described.spec.get('packages') or {})
        kernels = {}
        for release in described.kernels:
            kernels[archive.image_name(described.suite, release)] = release
            found[archive.image_name(described.suite, release)] = release.rsplit('-pve', 1)[0]
        info = 'var/lib/dpkg/info/'
        with open(self.at('var/lib/dpkg/status'), 'a', encoding='utf-8') as file:
            for name, version in sorted(found.items()):
                file.write(machines.package_stanza(name, version))
                self.write(info + name + '.list', '/.\n' + ''.join(
                    '/%s\n' % member[0][2:].rstrip('/') for member in (archive.files_of_kernel(kernels[name]) if name in kernels else [])))
                if name in kernels:
                    self.write(info + name + '.postrm', archive.POSTRM.format(kernels[name]), 0o755)

    def programs(self):
        os.makedirs(self.at('usr/lib/rack'))
        os.makedirs(self.at('usr/lib/systemd'), exist_ok=True)
        os.makedirs(self.at('usr/share/initramfs-tools'), exist_ok=True)
        os.symlink('/usr/lib/rack/hook-functions', self.at('usr/share/initramfs-tools/hook-functions'))
        if os.path.lexists(self.at('usr/lib/systemd/systemd')):
            os.unlink(self.at('usr/lib/systemd/systemd'))
        os.symlink('/usr/sbin/sshd', self.at('usr/lib/systemd/systemd'))
        programs = dict(PROGRAMS)
        for name in os.listdir(os.path.join(STANDINS, 'bin')):
            if name not in ('sriov-manage', 'dkms'):  # installed by others
                programs['%s/%s' % ('usr/bin' if name in IN_BIN else 'usr/sbin', name)] = name
        if machines.has_host_driver(self.described):
            programs['usr/lib/nvidia/sriov-manage'] = 'sriov-manage'
        described = {path.strip('/') for path in self.described.spec.get('files') or {}}
        for path, name in sorted(programs.items()):
            if path in described:
                continue
            if os.path.lexists(self.at(path)):
                os.unlink(self.at(path))
            os.symlink('/usr/lib/rack/bin/' + name, self.at(path))

    def loader(self, facts):
        described = {path.strip('/') for path in self.described.spec.get('files') or {}}
        for release in bootfiles.kernels_in(self.at('boot')):
            entry = (self.described.spec.get('files') or {}).get('boot/initrd.img-' + release)
            if entry is None:
                bootfiles.make_initramfs(self.root, release)
        if self.described.loader != 'grub':
            esp = self.at(os.path.join(bootfiles.ESPS, ESP))
            os.makedirs(esp)
            if self.described.loader == 'systemd-boot':
                os.makedirs(esp + '/EFI/proxmox')
                bootfiles.write(esp + '/loader/loader.conf', 'timeout 3\ndefault proxmox-*\n')
            else:
                os.makedirs(esp + '/grub')
                if self.described.bios['uefi']:
                    bootfiles.write(esp + '/EFI/proxmox/grubx64.efi', '')
        quiet = []
        try:
            if self.described.loader != 'systemd-boot' and 'boot/grub/grub.cfg' not in described:
                bootfiles.update_grub(self.root, facts, quiet.append)
                pinned = bootfiles.first_line(self.at(bootfiles.PIN))
                if pinned and self.described.loader == 'grub' and bootfiles.GRUB_PIN not in described:
                    bootfiles.set_grub_default(self.root, pinned)
                    bootfiles.update_grub(self.root, facts, quiet.append)
            if self.described.loader != 'grub':
                bootfiles.refresh(self.root, facts, self.described.kernel, quiet.append)
        except bootfiles.ToolError as error:
            # described on purpose: what the loader starts is whatever it finds
            self.log('the boot loader could not be set up: %s' % error)

    # -- inside

    def run(self, events):
        """The first process of the node, until it becomes its program."""
        socket.sethostname(self.described.node)
        self.file_systems()
        supervisor = None if self.node['plain'] else self.open_supervisor(events)
        os.chdir(self.root)
        call('pivot_root', b'.', b'.')
        call('umount2', b'.', MNT_DETACH)
        os.chdir('/')
        init = '/usr/lib/rack/init'
        environment = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C.UTF-8',
                       'RACK_GUESTS': ' '.join(map(str, sorted(self.guests)))}
        if supervisor is None:
            for number in range(64):
                if number not in CAPABILITIES.values() and libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
                    break
            prctl(PR_SET_PDEATHSIG, 0)
            os.execve(init, [init], environment)
        program, words = supervisor
        prctl(PR_SET_PDEATHSIG, 0)
        os.execve(program, ['supervisor'] + words + ['--', init], environment)

    def open_supervisor(self, events):
        """Its executable and options, as descriptors, because the directories are out of reach below the node's root."""
        program = os.open(self.executables['supervisor'], os.O_RDONLY)
        log = os.open(os.path.join(self.state, 'supervisor.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with Directory(self.state) as directory:
            if os.path.lexists(os.path.join(self.state, 'supervisor.sock')):
                os.unlink(os.path.join(self.state, 'supervisor.sock'))
            listening, modules = directory.listen('supervisor.sock').detach(), directory.connect('simfs.sock').detach()
        for fd in (log, events, listening, modules):
            os.set_inheritable(fd, True)
        with open(os.path.join(self.tree, 'proc/version'), encoding='ascii') as file:
            text = file.read().strip()
        release = text.split()[2]
        return program, ['--release', release, '--version', text[text.index('#'):], '--log', 'fd:%d' % log, '--events', 'fd:%d' % events,
                         '--control', 'fd:%d' % listening, '--simfs', 'fd:%d' % modules,
                         '--keep-capabilities', ','.join(map(str, sorted(CAPABILITIES.values())))]

    def file_systems(self):
        if self.node['plain']:
            bind(os.path.join(self.tree, 'sys'), self.at('sys'))
        mount('proc', self.at('proc'), 'proc', MS_NOSUID | MS_NODEV | MS_NOEXEC)
        # files of root's that need no capability to be written, and what tells about the real machine
        for name in ('sys', 'irq', 'bus', 'fs', 'acpi'):
            if os.path.isdir(self.at('proc/' + name)):
                bind(self.at('proc/' + name), self.at('proc/' + name), read_only=True)
        for name in ('sysrq-trigger', 'kcore', 'kmsg', 'keys', 'timer_list', 'kpagecount', 'kpageflags', 'kpagecgroup', 'config.gz'):
            if os.path.exists(self.at('proc/' + name)):
                bind('/dev/null', self.at('proc/' + name))
        self.described_proc()
        bind(STANDINS, self.at('usr/lib/rack'), read_only=True)
        for name in ('tmp', 'var/tmp'):
            os.makedirs(self.at(name), exist_ok=True)
        mount('tmpfs', self.at('tmp'), 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=1777')
        mount('tmpfs', self.at('run'), 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755')
        for name in ('run/sshd', 'run/lock', 'run/rack', 'run/qemu-server', 'run/systemd', 'run/systemd/system'):
            os.mkdir(self.at(name), 0o755)
        bind(os.path.join(self.state, 'run'), self.at('run/rack'))
        os.makedirs(self.at('run/rack/cluster'), exist_ok=True)
        bind(self.node['shared'], self.at('run/rack/cluster'))
        if os.path.isdir(os.path.join(self.tree, 'run')):
            copy_over(os.path.join(self.tree, 'run'), self.at('run'))
        # what runs is written there by those who start it
        for name in os.listdir(self.at('run/qemu-server')):
            os.unlink(self.at('run/qemu-server/' + name))
        mount('tmpfs', self.at('dev'), 'tmpfs', MS_NOSUID, 'mode=755')
        for name, major, minor in (('null', 1, 3), ('zero', 1, 5), ('full', 1, 7), ('random', 1, 8), ('urandom', 1, 9), ('tty', 5, 0)):
            os.mknod(self.at('dev/' + name), 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            os.chmod(self.at('dev/' + name), 0o666)
        for name in ('dev/pts', 'dev/shm'):
            os.mkdir(self.at(name))
        os.chmod(self.at('dev/shm'), 0o1777)
        mount('devpts', self.at('dev/pts'), 'devpts', 0, 'newinstance,ptmxmode=666,mode=620,gid=5')
        for name, target in (('ptmx', 'pts/ptmx'), ('fd', '/proc/self/fd'), ('stdin', 'fd/0'), ('stdout', 'fd/1'), ('stderr', 'fd/2')):
            os.symlink(target, self.at('dev/' + name))

    def described_proc(self):
        """Binds the described files over the real ones. A file that this kernel has not got (modules) cannot be added."""
        for directory, _, files in os.walk(os.path.join(self.tree, 'proc')):
            for name in files:
                source = os.path.join(directory, name)
                path = os.path.relpath(source, self.tree)
                if os.path.isfile(self.at(path)) and path != 'proc/mounts':
                    bind(source, self.at(path), read_only=True)
        if os.path.isdir(os.path.join(self.tree, 'proc/driver')):
            bind(os.path.join(self.tree, 'proc/driver'), self.at('proc/driver'))
