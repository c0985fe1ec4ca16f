#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Turns a machine description (YAML) into the files that such a Proxmox VE host shows: /sys, /proc, /etc, /run, /usr, /lib.
"""machine.py MACHINE.yml OUT_DIR: write the tree of a described machine below OUT_DIR, which must be absent or empty.

The same description gives the same bytes. The tree is data, it does not behave: what a write would change in a kernel
stays as it is. tests/rack/machines/README.md explains the keys of a description.
"""
import csv
import hashlib
import os
import re
import struct
import sys
import uuid

import yaml

import cardstate
from standins.kmodfiles import module_file, module_index

HERE = os.path.dirname(os.path.abspath(__file__))
CATALOGUE = os.path.join(HERE, '..', '..', 'common', 'catalogue')
MACHINES = os.path.join(HERE, 'machines')

# Userland, pve-manager version and kernel that a release has when the description names none (PVE-FACTS 5.2).
RELEASES = {
    7: {'suite': 'bullseye', 'number': 11, 'pve': '7.4-19', 'repoid': 'f98bf8d4', 'kernel': '5.15.158-2-pve'},
    8: {'suite': 'bookworm', 'number': 12, 'pve': '8.4.1', 'repoid': '2a5fa54a8503f96d', 'kernel': '6.8.12-9-pve'},
    9: {'suite': 'trixie', 'number': 13, 'pve': '9.0.10', 'repoid': 'deb1ca707ec72a89', 'kernel': '6.14.11-2-pve'},
}

MACHINE_KEYS = {'node', 'release', 'pve', 'kernel', 'kernels', 'cpu', 'bios', 'loader', 'cmdline', 'iommu', 'cards', 'devices', 'nvidia',
                'modules', 'guests', 'mappings', 'cluster', 'files', 'boot_mb', 'zfs', 'packages'} | cardstate.MACHINE_KEYS
BIOS = {'vtd': True, 'uefi': True, 'secure_boot': False, 'sriov': True, 'above_4g': True, 'interrupt_remapping': True}
FUNCTION_KEYS = {'slot', 'board', 'id', 'subsystem', 'class', 'revision', 'driver', 'override', 'port', 'numa', 'group',
                 'group_with', 'boot_vga', 'drm', 'connectors', 'connected', 'audio', 'total_vfs', 'vfs', 'vf_class', 'vf_driver',
                 'vf_offset', 'vf_stride', 'framework', 'types', 'available', 'vgpus'} | cardstate.FUNCTION_KEYS
TYPE_KEYS = {'id', 'name', 'description', 'framebuffer', 'max_instances', 'heads', 'frl', 'resolution', 'available'}
FRAMEWORKS = ('none', 'mdev', 'mdev_on_vfs', 'vendor_vfio')
LOADERS = ('grub', 'grub-pbt', 'systemd-boot')

# Modules that come with a driver, with what /proc/modules shows as their users.
DRIVER_MODULES = {'nvidia': ['nvidia'], 'i915': ['i915', 'drm'], 'xe': ['xe', 'drm'], 'amdgpu': ['amdgpu', 'drm'],
                  'nouveau': ['nouveau', 'drm'], 'ast': ['ast', 'drm'], 'vfio-pci': ['vfio_pci', 'vfio_iommu_type1', 'vfio'],
                  'snd_hda_intel': ['snd_hda_intel'], 'e1000e': ['e1000e'], 'igb': ['igb'], 'igc': ['igc'], 'ixgbe': ['ixgbe'],
                  'bnxt_en': ['bnxt_en'], 'nvme': ['nvme'], 'ahci': ['ahci']}
BUILT_IN_DRIVERS = {'pcieport'}


MachineError = cardstate.DescriptionError


def check_keys(mapping, allowed, where):
    if not isinstance(mapping, dict):
        raise MachineError('%s must be a mapping, it is %r' % (where, mapping))
    for key in mapping:
        if key not in allowed:
            raise MachineError('%s: unknown key %r; there are: %s' % (where, key, ', '.join(sorted(allowed))))


def hex_pair(text, where):
    found = re.fullmatch(r'([0-9a-fA-F]{4}):([0-9a-fA-F]{4})', str(text))
    if not found:
        raise MachineError('%s: %r is not a pair of ids like "10de:2235"' % (where, text))
    return int(found.group(1), 16), int(found.group(2), 16)


def parse_slot(text):
    found = re.fullmatch(r'([0-9a-f]{4,}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])', str(text))
    if not found:
        raise MachineError('%r is not a PCI address like "0000:41:00.0" (quote it, lower case)' % (text,))
    domain, bus, device, function = (int(part, 16) for part in found.groups())
    if device > 31:
        raise MachineError('%r: a device number is at most 1f' % (text,))
    return domain, bus, device, function


def format_slot(domain, bus, device, function):
    return '%04x:%02x:%02x.%x' % (domain, bus, device, function)


def stable_uuid(*words):
    return str(uuid.UUID(bytes=hashlib.sha256('/'.join(str(word) for word in words).encode()).digest()[:16], version=4))


# --- The output tree ---------------------------------------------------------------------------------------------------------


class Tree:
    """Files below one directory. Paths are written without the leading slash; what is written twice is replaced."""

    def __init__(self, root):
        self.root = root
        self.made = set()

    def mkdir(self, path):
        if path in self.made or not path:
            return
        try:
            os.mkdir(os.path.join(self.root, path), 0o755)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self.mkdir(os.path.dirname(path))
            os.mkdir(os.path.join(self.root, path), 0o755)
        self.made.add(path)

    def write(self, path, content, mode=0o644):
        if isinstance(content, str):
            content = content.encode()
        self.mkdir(os.path.dirname(path))
        fd = os.open(os.path.join(self.root, path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        try:
            if content:
                os.write(fd, content)
        finally:
            os.close(fd)

    def link(self, path, target):
        """A relative link to another path of the tree, as sysfs makes them."""
        here = path.split('/')[:-1]
        there = target.split('/')
        common = 0
        while common < min(len(here), len(there) - 1) and here[common] == there[common]:
            common += 1
        self.symlink(path, '/'.join(['..'] * (len(here) - common) + there[common:]))

    def symlink(self, path, text):
        self.mkdir(os.path.dirname(path))
        os.symlink(text, os.path.join(self.root, path))

    def remove(self, path):
        full = os.path.join(self.root, path)
        if os.path.isdir(full) and not os.path.islink(full):
            for name in os.listdir(full):
                self.remove(os.path.join(path, name))
            os.rmdir(full)
            self.made.discard(path)
        elif os.path.lexists(full):
            os.unlink(full)


class FilesInMemory:
    """Takes the place of a Tree for what writes files only."""

    def __init__(self):
        self.files = {}

    def write(self, path, content, _mode=0o644):
        self.files[path] = content.encode() if isinstance(content, str) else content


# --- The project's catalogue -------------------------------------------------------------------------------------------------


class Board:
    def __init__(self, ids, subsystem, row):
        self.ids, self.subsystem = ids, subsystem
        self.vfs = int(row['vfs_seen'] or 0)
        self.memory_mb = int(row['memory_mb'] or 0)
        self.mig_capable, self.mixed_size_capable = row['mig_slices'] not in ('', '0'), row['mixed_size'] == 'yes'
        self.vgpu_class = row['vgpu_class']
        self.types_from = row['types_from']
        self.frameworks = {False: row['framework_below_6_8'], True: row['framework_from_6_8']}


class VgpuType:
    """One vGPU type, from the catalogue or from the description."""

    def __init__(self, number, name, framebuffer, max_instances, heads=4, frl=60, resolution='7680x4320', description=None,
                 available=None):
        self.number, self.name, self.framebuffer, self.max_instances = number, name, framebuffer, max_instances
        self.available = available
        self.description = description
        if description is None and framebuffer:
            # GPU-FACTS 2: the exact form that NVIDIA's driver writes
            self.description = 'num_heads=%s, frl_config=%s, framebuffer=%sM, max_resolution=%s, max_instance=%s' % (
                heads, frl, framebuffer, resolution, max_instances)


class Catalogue:
    """Boards and types of common/catalogue, so that a description needs only a board's name."""

    def __init__(self, directory=CATALOGUE):
        self.directory = directory
        self.rows = {}

    def table(self, name):
        if name not in self.rows:
            path = os.path.join(self.directory, name)
            try:
                with open(path, encoding='utf-8', newline='') as file:
                    self.rows[name] = list(csv.DictReader(file))
            except FileNotFoundError:
                raise MachineError('%s is missing: give the ids and types in the description itself' % path) from None
        return self.rows[name]

    def board(self, name):
        rows = [row for row in self.table('boards.csv') if row['board'] == name]
        ids = [row for row in self.table('board_ids.csv') if row['board'] == name]
        if not rows or not ids:
            raise MachineError('no board is called %r in common/catalogue' % name)
        vendor = ids[0]['vendor_id']
        subsystem = ids[0]['subsystem_device_id']
        return Board('%s:%s' % (vendor, ids[0]['device_id']), '%s:%s' % (vendor, subsystem) if subsystem else None, rows[0])

    def intel_sriov(self, ids):
        """Whether i915-sriov-dkms makes VFs of the GPU with these ids."""
        vendor, _, device = str(ids or '').partition(':')
        platform = next((row['platform'] for row in self.table('intel_gpus.csv') if row['device_id'] == device), None)
        return vendor == '8086' and any(row['platform'] == platform and row['dkms_from'] for row in self.table('intel_platforms.csv'))

    def types(self, board, driver, gaming=False):
        """Time-sliced types of a board in the order of their numbers: those of the A, B, C and Q series, or the gaming ones."""
        found = []
        for row in self.table('vgpu_types.csv'):
            if row['board'] != board or not row['type_id'] or not row['max_instances'] or row['backing'] != 'time_sliced':
                continue
            if (row['series'] == 'gaming') == gaming:
                resolution = row['max_resolution'] or '7680x4320'
                if row['series'] == 'C' and resolution == '4096x2160' and driver >= 525:
                    resolution = '4096x2400'  # GPU-FACTS 2; the catalogue has what 510 says
                found.append(VgpuType(row['type_id'], row['type_name'], int(row['profile_mb']), int(row['max_instances']),
                                      row['num_heads'] or 4, row['frl_fps'] or 60, resolution))
        return sorted(found, key=lambda item: int(item.number))


# --- PCI functions -----------------------------------------------------------------------------------------------------------


class Function:
    """One PCI function of the machine."""

    def __init__(self, slot, ids, pci_class, subsystem=(0, 0), revision=0, driver=None, bridge_to=None):
        self.address = parse_slot(slot)
        self.slot = slot
        self.vendor, self.device = ids
        self.pci_class = pci_class
        self.subsystem = subsystem
        self.revision = revision
        self.driver = driver
        self.bridge_to = bridge_to
        self.parent = None
        self.ari = False  # of a port: functions above 7 are reachable below it
        self.physfn = None
        self.vfs = []
        self.group = None
        self.group_with = None
        self.numa = -1
        self.boot_vga = None
        self.override = None
        self.memory_mb = 0
        self.mig_capable = self.mixed_size_capable = False
        self.spec = {}

    @property
    def is_display(self):
        return self.pci_class >> 16 == 0x03

    @property
    def path(self):
        if self.parent is not None:
            return '%s/%s' % (self.parent.path, self.slot)
        return 'sys/devices/pci%04x:%02x/%s' % (self.address[0], self.address[1], self.slot)

    @property
    def modalias(self):
        return 'pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X' % (
            self.vendor, self.device, self.subsystem[0], self.subsystem[1], self.pci_class >> 16, self.pci_class >> 8 & 255,
            self.pci_class & 255)

    def config(self, multifunction):
        """The first 256 bytes of the configuration space, without capabilities."""
        space = bytearray(256)
        # the header of a VF has no ids: vendor and device read ffff (PCIe, seen in GPU-FACTS 2)
        ids = (0xffff, 0xffff) if self.physfn else (self.vendor, self.device)
        struct.pack_into('<HHH', space, 0, ids[0], ids[1], 0x0006)
        space[8] = self.revision
        space[9:12] = bytes((self.pci_class & 255, self.pci_class >> 8 & 255, self.pci_class >> 16))
        space[14] = (1 if self.bridge_to is not None else 0) | (0x80 if multifunction else 0)
        if self.bridge_to is not None:
            space[24:27] = bytes((self.address[1], self.bridge_to, self.bridge_to))
        else:
            struct.pack_into('<HH', space, 44, *self.subsystem)
        return bytes(space)


class Machine:
    """The description, resolved: every function with its place, IOMMU group, types and instances."""

    def __init__(self, spec, catalogue=None, started=None):
        """`started`: what the boot loader's files made of it (bootfiles.start), instead of what the description says."""
        check_keys(spec, MACHINE_KEYS, 'the machine')
        self.spec, self.started = spec, started
        self.catalogue = catalogue or Catalogue()
        self.stable_uuid = stable_uuid
        self.node = spec.get('node', 'pve')
        self.release = spec.get('release', 8)
        if self.release not in RELEASES:
            raise MachineError('release must be 7, 8 or 9, it is %r' % (self.release,))
        defaults = RELEASES[self.release]
        self.suite, self.repoid = defaults['suite'], defaults['repoid']
        self.pve = str(spec.get('pve', defaults['pve']))
        self.kernel = started['kernel'] if started else str(spec.get('kernel', defaults['kernel']))
        self.kernels = [str(release) for release in spec.get('kernels', [])]
        if self.kernel not in self.kernels:
            self.kernels.append(self.kernel)
        self.cpu = dict({'vendor': 'GenuineIntel', 'model': 'Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz'}, **spec.get('cpu', {}))
        self.intel = self.cpu['vendor'] == 'GenuineIntel'
        self.server = 'Xeon' in self.cpu['model'] or 'EPYC' in self.cpu['model']
        self.bios = dict(BIOS, **spec.get('bios', {}))
        check_keys(self.bios, set(BIOS), 'bios')
        self.loader = spec.get('loader', 'grub')
        if self.loader not in LOADERS:
            raise MachineError('loader must be one of %s, it is %r' % (', '.join(LOADERS), self.loader))
        self.options = started['cmdline'] if started else spec.get('cmdline', 'quiet')
        self.modprobe = modprobe_at_boot(started)
        self.iommu = self.iommu_is_on()
        self.zfs = spec.get('zfs') or {}
        check_keys(self.zfs, {'pools', 'kernels'}, 'zfs')
        check_keys(spec.get('nvidia') or {}, cardstate.NVIDIA_KEYS, 'nvidia')
        self.spec = spec = cardstate.with_installed_nvidia(spec, self.kernel)
        self.functions = {}
        self.collect()
        self.resources = cardstate.Resources(self)

    def in_use(self, slot):
        """Whether a guest that runs has this function."""
        return any(guest.get('running') and slot in guest.get('uses', ()) for guest in (self.spec.get('guests') or {}).values())

    def kernel_at_least(self, major, minor):
        numbers = re.match(r'(\d+)\.(\d+)', self.kernel)
        return bool(numbers) and (int(numbers.group(1)), int(numbers.group(2))) >= (major, minor)

    def iommu_is_on(self):
        """PVE-FACTS 4.2: AMD is on by default, Intel from kernel 6.8; the last word on the command line wins."""
        if 'iommu' in self.spec:
            return bool(self.spec['iommu'])
        if not self.bios['vtd']:
            return False
        on = not self.intel or self.kernel_at_least(6, 8)
        for word in self.options.split():
            key, _, values = word.partition('=')
            if key == 'intel_iommu' and self.intel:
                for value in values.split(','):
                    on = value == 'on' if value in ('on', 'off') else on
            elif word in ('amd_iommu=off', 'iommu=off'):
                on = False
        return on

    def iommu_reason(self):
        """For a log: on or off, and why."""
        if self.iommu:
            return 'on'
        if not self.bios['vtd']:
            return 'off: the switch in the BIOS'
        if 'iommu' in self.spec:
            return 'off: the description says so'
        return 'off: the command line, or the default of kernel %s' % self.kernel

    # -- functions and where they hang

    def collect(self):
        host_bridge = (0x8086, 0x09a2 if self.server else 0x4650) if self.intel else (0x1022, 0x1480)
        self.add(Function('0000:00:00.0', host_bridge, 0x060000))
        if not self.intel and self.bios['vtd']:
            self.add(Function('0000:00:00.2', (0x1022, 0x1481), 0x080600))
        for kind in ('devices', 'cards'):
            for index, spec in enumerate(self.spec.get(kind, [])):
                where = '%s[%d]' % (kind, index)
                check_keys(spec, FUNCTION_KEYS, where)
                self.add_described(spec, where)
        self.place()
        self.number_groups()
        self.instances = {function.slot: self.used_types(function) for function in self.functions.values()}

    def add(self, function):
        if function.slot in self.functions:
            raise MachineError('two functions at %s' % function.slot)
        self.functions[function.slot] = function
        return function

    def add_described(self, spec, where):
        spec = dict(spec)
        if 'slot' not in spec:
            raise MachineError('%s: slot is missing' % where)
        board = self.catalogue.board(spec['board']) if 'board' in spec else None
        if board:
            spec.setdefault('id', board.ids)
        self.bind_at_boot(spec)
        if board:
            spec.setdefault('total_vfs', board.vfs)
            if board.subsystem:
                spec.setdefault('subsystem', board.subsystem)
            # a workstation board (class 3) is a VGA controller until its display outputs are switched off (GPU-FACTS 4)
            spec.setdefault('class', '0300' if board.vgpu_class == '3' and not spec.get('vfs') else '0302')
            if spec.get('driver') == 'nvidia' and self.spec.get('nvidia', {}).get('host_vgpu', True):
                missing = self.spec.get('nvidia', {}).get('vgpu_vfio') is False
                spec.setdefault('framework', 'none' if missing else board.frameworks[self.kernel_at_least(6, 8)])
        for key in ('id', 'class'):
            if key not in spec:
                raise MachineError('%s: give board, or id and class' % where)
        code = str(spec['class'])
        if not re.fullmatch(r'[0-9a-f]{4}([0-9a-f]{2})?', code):
            raise MachineError('%s: class %r must be four or six hex digits in quotes' % (where, spec['class']))
        framework = spec.setdefault('framework', 'none')
        if framework not in FRAMEWORKS:
            raise MachineError('%s: framework must be one of %s, it is %r' % (where, ', '.join(FRAMEWORKS), framework))
        function = Function(spec['slot'], hex_pair(spec['id'], where), int(code.ljust(6, '0'), 16),
                            hex_pair(spec.get('subsystem', '0000:0000'), where), int(str(spec.get('revision', 'a1')), 16),
                            spec.get('driver'))
        function.spec = spec
        if board:
            function.memory_mb, function.mig_capable, function.mixed_size_capable = board.memory_mb, board.mig_capable, board.mixed_size_capable
        function.numa = spec.get('numa', 0 if self.server else -1)
        function.override = spec.get('override')
        if function.pci_class >> 8 == 0x0300:
            function.boot_vga = 1 if spec.get('boot_vga') else 0
        spec['types'] = self.resolve_types(spec, board, where)
        self.add(function)
        audio = spec.get('audio', '10de:1aef' if function.vendor == 0x10de and function.pci_class >> 8 == 0x0300 else None)
        if audio:
            domain, bus, device, _ = function.address
            by_hand = function.driver == 'vfio-pci' and function.slot not in (self.started or {}).get('overrides', {})
            own = {'slot': format_slot(domain, bus, device, 1), 'driver': 'vfio-pci' if by_hand else 'snd_hda_intel', 'id': audio}
            self.bind_at_boot(own)
            sound = Function(format_slot(domain, bus, device, 1), hex_pair(audio, where), 0x040300, function.subsystem,
                             function.revision, own['driver'])
            sound.numa, sound.group_with, sound.override = function.numa, function.slot, own.get('override')
            self.add(sound)
        self.add_vfs(function, spec, where)

    def bind_at_boot(self, spec):
        """Another driver, or none, where modprobe's configuration and the command line at this boot say so."""
        driver = spec.get('driver')
        started = self.started or {}
        override = started.get('overrides', {}).get(spec['slot'])
        if started.get('bare') or override:  # no drivers yet, or what the initramfs did before they came
            loaded = override and override.replace('-', '_') in started.get('loaded', ()) and self.iommu
            spec.update(driver=override if loaded else None, override=override)
            for key in ('vfs', 'vgpus', 'vf_driver', 'connectors', 'connected', 'framework'):
                spec.pop(key, None)
            return
        if driver is None or driver == 'vfio-pci':
            return
        module = DRIVER_MODULES.get(driver, [driver])[0].replace('-', '_')
        listed = self.modprobe['options'].get('vfio_pci', {}).get('ids', '').lower().split(',')
        first = 'vfio_pci' in self.modprobe['softdep'].get(module, ()) and str(spec.get('id')).lower() in [
            ':'.join(entry.split(':')[:2]) for entry in listed]
        if first or module in self.modprobe['blacklist']:
            spec['driver'] = 'vfio-pci' if first else None
            for key in ('vfs', 'vgpus', 'vf_driver', 'connectors', 'connected'):
                spec.pop(key, None)

    def add_vfs(self, function, spec, where):
        total, count = spec.get('total_vfs', 0), spec.get('vfs', 0)
        if count > total:
            raise MachineError('%s: %d VFs of at most %d' % (where, count, total))
        igpu = function.vendor == 0x8086
        offset, stride = spec.setdefault('vf_offset', 1 if igpu else 4), spec.setdefault('vf_stride', 1)
        domain, bus, device, number = function.address
        own = spec.get('vf') or {}
        for index, fields in own.items():
            if not isinstance(index, int) or not 0 <= index < count:
                raise MachineError('%s.vf: there are VFs 0 to %d, no %r' % (where, count - 1, index))
            check_keys(fields, cardstate.VF_KEYS, '%s.vf.%d' % (where, index))
        for index in range(count):
            # routing id arithmetic of the SR-IOV specification, as the kernel's pci_iov_virtfn_bus() and _devfn() do it
            routing = (bus << 8 | device << 3 | number) + offset + stride * index
            slot = format_slot(domain, routing >> 8, routing >> 3 & 31, routing & 7)
            vf_class = int(str(spec.get('vf_class', '0300' if igpu else '0302')).ljust(6, '0'), 16)
            subsystem = function.subsystem if igpu else (function.vendor, 0)
            vf = Function(slot, (function.vendor, function.device), vf_class, subsystem, function.revision,
                          own.get(index, {}).get('driver', spec.get('vf_driver', function.driver)) or None)
            vf.physfn, vf.numa = function, function.numa
            if vf_class >> 8 == 0x0300:
                vf.boot_vga = 0
            function.vfs.append(vf)
            self.add(vf)

    def place(self):
        """Hangs every function that is not on a root bus below a root port of its own bus."""
        ports = {}
        for function in sorted(self.functions.values(), key=lambda item: item.address):
            if function.physfn:
                continue
            domain, bus, _, _ = function.address
            port_slot = function.spec.get('port')
            if port_slot is None and bus == 0:
                continue
            if (domain, bus) not in ports:
                ports[domain, bus] = self.add_port(domain, bus, port_slot)
            function.parent = ports[domain, bus]
            function.parent.ari = function.parent.ari or bool(function.spec.get('total_vfs'))
        for function in self.functions.values():
            if function.physfn:
                function.parent = function.physfn.parent

    def add_port(self, domain, bus, slot):
        if slot is None:
            # servers have a root bus per sixteen buses or so, PCs only bus 0
            root = bus & 0xf0 if bus & 0x0f else bus - 0x10
            used = {address[2] for address in (f.address for f in self.functions.values()) if address[:2] == (domain, root)}
            slot = format_slot(domain, root, next(number for number in range(1, 32) if number not in used), 0)
        if slot in self.functions:
            port = self.functions[slot]
            if port.bridge_to not in (None, bus):
                raise MachineError('port %s leads to bus %02x already, not to %02x' % (slot, port.bridge_to, bus))
            port.bridge_to = bus
            return port
        ids = (0x8086, 0x347a if self.server else 0x460d) if self.intel else (0x1022, 0x1483)
        port = Function(slot, ids, 0x060400, driver='pcieport', revision=4, bridge_to=bus)
        return self.add(port)

    def number_groups(self):
        """Groups in the order in which a kernel meets the devices: by address, functions of one device together, VFs last."""
        if not self.iommu:
            return
        ordered = sorted(self.functions.values(), key=lambda f: (f.physfn is not None, f.address))
        for function in ordered:
            spec = function.spec
            function.group_with = spec.get('group_with', function.group_with)
            if 'group' in spec:
                function.group = int(spec['group'])
        taken = {function.group for function in ordered if function.group is not None}
        fresh = (number for number in range(100000) if number not in taken)
        for function in ordered:
            if function.group is None and function.group_with is None and function.slot != '0000:00:00.2':
                function.group = next(fresh)
        for function in ordered:
            if function.group is None and function.group_with is not None:
                if function.group_with not in self.functions:
                    raise MachineError('%s: group_with names %s, which is not there' % (function.slot, function.group_with))
                function.group = self.functions[function.group_with].group
        self.next_group = fresh

    # -- vGPU types

    def resolve_types(self, spec, board, where):
        if spec['framework'] == 'none' and 'types' not in spec:
            return []
        listed = spec.get('types')
        driver = int(str(self.spec.get('nvidia', {}).get('version', '550')).split('.')[0])
        known = self.catalogue.types(board.types_from, driver) if board else []
        if listed is None:
            if not known:
                raise MachineError('%s: the catalogue has no types for this board; list them under types' % where)
            return known
        by_name = {item.name: item for item in known}
        if board:
            by_name.update({item.name: item for item in self.catalogue.types(board.types_from, driver, gaming=True)})
        result = []
        for entry in listed:
            if isinstance(entry, dict):
                check_keys(entry, TYPE_KEYS, where + '.types')
                result.append(VgpuType(str(entry['id']), entry.get('name'), entry.get('framebuffer'), entry.get('max_instances'),
                                       entry.get('heads', 4), entry.get('frl', 60), entry.get('resolution', '7680x4320'),
                                       entry.get('description'), entry.get('available')))
            elif entry == 'catalogue':
                result.extend(known)
            elif entry in by_name:
                result.append(by_name[entry])
            else:
                raise MachineError('%s: the catalogue has no type %r for this board' % (where, entry))
        return result

    def used_types(self, function):
        """Instances of a card: (VF index or None, type, entry)."""
        result = []
        for entry in function.spec.get('vgpus', ()):
            check_keys(entry, {'type', 'vf', 'vmid', 'hostpci', 'uuid'}, '%s.vgpus' % function.slot)
            matches = [item for item in function.spec['types'] if entry['type'] in (item.name, item.number)]
            if not matches:
                raise MachineError('%s.vgpus: no type %r on this card' % (function.slot, entry['type']))
            if function.spec['framework'] != 'mdev' and not 0 <= entry.get('vf', -1) < len(function.vfs):
                raise MachineError('%s.vgpus: say which of the %d VFs (vf: N) has %r' % (function.slot, len(function.vfs), entry['type']))
            result.append((entry.get('vf'), matches[0], entry))
        return result


def modprobe_configuration(files):
    """What files of modprobe.d say (name -> text): options, blacklist, softdep (the modules that come before). modprobe.d(5)."""
    found = {'options': {}, 'blacklist': set(), 'softdep': {}}
    for text in files.values():
        for line in text.replace('\\\n', ' ').splitlines():
            words = line.split('#')[0].split()
            if len(words) < 2:
                continue
            name = words[1].replace('-', '_')
            if words[0] == 'options':
                found['options'].setdefault(name, {}).update(word.partition('=')[::2] for word in words[2:])
            elif words[0] == 'blacklist':
                found['blacklist'].add(name)
            elif words[0] == 'softdep' and 'pre:' in words:
                end = words.index('post:') if 'post:' in words else len(words)
                before = [word.replace('-', '_') for word in words[words.index('pre:') + 1:end]]
                found['softdep'].setdefault(name, []).extend(before)
    return found


def modprobe_at_boot(started):
    """The same at a boot: of the initramfs, which loads the drivers first, and of the command line."""
    found = modprobe_configuration(started['initrd']['modprobe.d'] if started else {})
    if started:
        # a driver that only the initramfs leaves alone is loaded later, from the root file system
        found['blacklist'] &= modprobe_configuration(started['modprobe.d'])['blacklist']
        for word in started['cmdline'].split():
            key, _, value = word.partition('=')
            if key in ('module_blacklist', 'modprobe.blacklist', 'rd.driver.blacklist'):
                found['blacklist'].update(name.replace('-', '_') for name in value.split(','))
            elif '.' in key:
                module, _, parameter = key.partition('.')
                found['options'].setdefault(module.replace('-', '_'), {})[parameter] = value
    return found


# --- Writing: /sys -----------------------------------------------------------------------------------------------------------


class SysWriter:
    def __init__(self, machine, tree):
        self.machine, self.tree = machine, tree

    def write(self):
        tree, machine = self.tree, self.machine
        for path in ('sys/bus/pci/devices', 'sys/bus/pci/drivers', 'sys/class/iommu', 'sys/kernel/iommu_groups', 'sys/class/drm',
                     'sys/devices/virtual', 'sys/module', 'sys/firmware'):
            tree.mkdir(path)
        tree.write('sys/bus/pci/drivers_probe', '', 0o200)
        tree.write('sys/bus/pci/rescan', '', 0o200)
        tree.write('sys/bus/pci/drivers_autoprobe', '1\n')
        slots = sorted(machine.functions.values(), key=lambda function: function.address)
        several = {}
        for function in slots:
            if not function.physfn:
                several.setdefault(function.address[:3], []).append(function)
        for function in slots:
            self.function(function, len(several.get(function.address[:3], [])) > 1)
        cards = 0
        for function in slots:
            if function.is_display and not function.physfn and self.has_drm(function):
                self.drm(function, cards)
                cards += 1
        for function in slots:
            if function.spec.get('framework', 'none') != 'none':
                self.vgpu(function)
        self.drivers(slots)
        if machine.iommu:
            self.iommu_class()
        self.modules()
        self.firmware()

    def function(self, function, multifunction):
        tree, base, machine = self.tree, function.path, self.machine
        for name, value in (('vendor', function.vendor), ('device', function.device), ('subsystem_vendor', function.subsystem[0]),
                            ('subsystem_device', function.subsystem[1])):
            tree.write('%s/%s' % (base, name), '0x%04x\n' % value, 0o444)
        tree.write(base + '/class', '0x%06x\n' % function.pci_class, 0o444)
        tree.write(base + '/revision', '0x%02x\n' % function.revision, 0o444)
        tree.write(base + '/modalias', function.modalias + '\n', 0o444)
        tree.write(base + '/uevent', '%sPCI_CLASS=%X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=%s\nMODALIAS=%s\n' % (
            'DRIVER=%s\n' % function.driver if function.driver else '', function.pci_class, function.vendor, function.device,
            function.subsystem[0], function.subsystem[1], function.slot, function.modalias))
        tree.write(base + '/config', function.config(multifunction))
        cardstate.write_function(machine, tree, function)
        tree.write(base + '/irq', '0\n', 0o444)
        tree.write(base + '/enable', '1\n' if function.driver else '0\n')
        tree.write(base + '/ari_enabled', '1\n' if function.parent and function.parent.ari else '0\n', 0o444)
        tree.write(base + '/numa_node', '%d\n' % function.numa)
        tree.write(base + '/driver_override', '%s\n' % (function.override or '(null)'))
        tree.write(base + '/reset', '', 0o200)
        if not function.physfn:
            tree.write(base + '/remove', '', 0o220)
        if function.boot_vga is not None:
            tree.write(base + '/boot_vga', '%d\n' % function.boot_vga, 0o444)
        tree.link(base + '/subsystem', 'sys/bus/pci')
        tree.link('sys/bus/pci/devices/' + function.slot, base)
        if function.driver:
            tree.link(base + '/driver', 'sys/bus/pci/drivers/' + function.driver)
        if function.group is not None:
            self.group(function.group, function.slot, base)
        if function.spec.get('total_vfs'):
            spec = function.spec
            tree.write(base + '/sriov_totalvfs', '%d\n' % spec['total_vfs'], 0o444)
            tree.write(base + '/sriov_numvfs', '%d\n' % len(function.vfs))
            tree.write(base + '/sriov_offset', '%d\n' % spec['vf_offset'], 0o444)
            tree.write(base + '/sriov_stride', '%d\n' % spec['vf_stride'], 0o444)
            tree.write(base + '/sriov_vf_device', '%x\n' % function.device, 0o444)
            tree.write(base + '/sriov_drivers_autoprobe', '1\n')
        for index, vf in enumerate(function.vfs):
            tree.link('%s/virtfn%d' % (base, index), vf.path)
            tree.link(vf.path + '/physfn', base)

    def group(self, number, name, path, reserved=None):
        base = 'sys/kernel/iommu_groups/%d' % number
        if base not in self.tree.made:
            kind = 'identity' if 'iommu=pt' in self.machine.options.split() else 'DMA-FQ'
            self.tree.write(base + '/type', kind + '\n')
            self.tree.write(base + '/reserved_regions', cardstate.reserved_regions(self.machine, number) if reserved is None else reserved, 0o444)
            self.tree.mkdir(base + '/devices')
        self.tree.link('%s/devices/%s' % (base, name), path)
        self.tree.link(path + '/iommu_group', base)

    # -- display connectors

    @staticmethod
    def has_drm(function):
        spec = function.spec
        return spec.get('drm', function.driver in ('i915', 'xe', 'amdgpu', 'nouveau', 'ast', 'radeon'))

    def drm(self, function, number):
        tree, spec, name = self.tree, function.spec, 'card%d' % number
        base = '%s/drm/%s' % (function.path, name)
        tree.write(base + '/dev', '226:%d\n' % number, 0o444)
        tree.write(base + '/uevent', 'MAJOR=226\nMINOR=%d\nDEVNAME=dri/%s\nDEVTYPE=drm_minor\n' % (number, name))
        tree.link(base + '/device', function.path)
        tree.link('sys/class/drm/' + name, base)
        connected = list(spec.get('connected', []))
        for connector in sorted(set(connected) | set(spec.get('connectors', []))):
            full = '%s-%s' % (name, connector)
            tree.write('%s/%s/status' % (base, full), 'connected\n' if connector in connected else 'disconnected\n')
            tree.write('%s/%s/enabled' % (base, full), 'enabled\n' if connector in connected else 'disabled\n', 0o444)
            tree.link('%s/%s/device' % (base, full), base)
            tree.link('sys/class/drm/' + full, '%s/%s' % (base, full))

    # -- vGPU frameworks

    def vgpu(self, function):
        used = self.machine.instances[function.slot]
        framework = function.spec['framework']
        if framework == 'mdev':
            self.mdev_parent(function, function.spec, used, used)
        for index, vf in enumerate(function.vfs):
            own = [entry for entry in used if entry[0] == index]
            itself = (function.spec.get('vf') or {}).get(index, {})
            if itself.get('nvidia') is False or itself.get('driver', function.driver) != function.driver:
                continue  # without NVIDIA's driver a VF shows nothing of it
            if framework == 'mdev_on_vfs':
                self.mdev_parent(vf, function.spec, used, own)
            elif framework == 'vendor_vfio':
                self.vendor_vfio(vf, function.spec, used, own)

    def mdev_parent(self, parent, spec, used, own):
        tree, sizes = self.tree, [item for _, item, _ in used]
        base = parent.path + '/mdev_supported_types'
        prefix = parent.driver or 'nvidia'
        for item in spec['types']:
            available = item.available if item.available is not None else spec.get('available')
            if available is None:
                available = cardstate.room(item, sizes, spec)
                if parent.physfn:
                    available = 0 if own else min(available, 1)
            kind = '%s/%s' % (base, self.type_directory(item, prefix))
            tree.mkdir(kind + '/devices')
            tree.write(kind + '/create', '', 0o200)
            tree.write(kind + '/available_instances', '%d\n' % available, 0o444)
            tree.write(kind + '/device_api', 'vfio-pci\n', 0o444)
            if item.name is not None:
                tree.write(kind + '/name', item.name + '\n', 0o444)
            if item.description is not None:
                tree.write(kind + '/description', item.description.rstrip('\n') + '\n', 0o444)
        tree.link('sys/class/mdev_bus/' + parent.slot, parent.path)
        for _, item, entry in own:
            self.mdev(parent, '%s/%s' % (base, self.type_directory(item, prefix)), mdev_uuid(parent.slot, entry))

    @staticmethod
    def type_directory(item, prefix):
        """GPU-FACTS 0: the directory is the parent driver's name and the type, not always 'nvidia-'."""
        return '%s-%s' % (prefix, item.number) if item.number.isdigit() else item.number

    def mdev(self, parent, kind, name):
        tree, base = self.tree, '%s/%s' % (parent.path, name)
        tree.write(base + '/remove', '', 0o200)
        tree.link(base + '/mdev_type', kind)
        tree.link(base + '/subsystem', 'sys/bus/mdev')
        tree.link('sys/bus/mdev/devices/' + name, base)
        tree.link('%s/devices/%s' % (kind, name), base)
        if parent.vendor == 0x10de:
            tree.write(base + '/nvidia/vgpu_params', '\n')
            tree.write(base + '/nvidia/vm_name', '', 0o444)
        if self.machine.iommu:
            self.group(next(self.machine.next_group), name, base, '')

    def vendor_vfio(self, vf, spec, used, own):
        """The three files of NVIDIA's driver on kernels from 6.8 (GPU-FACTS 3.1, PVE-FACTS 3)."""
        sizes = [item for _, item, _ in used]
        lines = ['ID    : vGPU Name']
        if not own:
            lines += ['%-5d : %s' % (int(item.number), item.name) for item in spec['types']
                      if cardstate.room(item, sizes, spec) and (item.available is None or item.available) and spec.get('available') != 0]
        self.tree.write(vf.path + '/nvidia/creatable_vgpu_types', '\n'.join(lines) + '\n', 0o444)
        self.tree.write(vf.path + '/nvidia/current_vgpu_type', '%s\n' % (own[0][1].number if own else 0))
        self.tree.write(vf.path + '/nvidia/vgpu_params', '\n')

    # -- drivers, IOMMU units, modules, firmware

    def drivers(self, slots):
        tree = self.tree
        names = {function.driver for function in slots if function.driver}
        names.update({'vfio-pci'} if 'vfio_pci' in loaded_modules(self.machine) else ())
        for name in sorted(names):
            base = 'sys/bus/pci/drivers/' + name
            for attribute in ('bind', 'unbind', 'new_id', 'remove_id'):
                tree.write('%s/%s' % (base, attribute), '', 0o200)
            for function in slots:
                if function.driver == name:
                    tree.link('%s/%s' % (base, function.slot), function.path)
            if name not in BUILT_IN_DRIVERS:
                module = name.replace('-', '_')
                tree.link(base + '/module', 'sys/module/' + module)
                tree.link('sys/module/%s/drivers/pci:%s' % (module, name), base)

    def iommu_class(self):
        tree = self.tree
        if self.machine.intel:
            base = 'sys/devices/virtual/iommu/dmar0'
            tree.write(base + '/intel-iommu/version', '1:0\n', 0o444)
            tree.write(base + '/intel-iommu/address', 'fed91000\n', 0o444)
            tree.write(base + '/intel-iommu/cap', '8d2078c106f0466\n', 0o444)
            # bit 3: interrupt remapping (VT-d specification, Extended Capability Register)
            tree.write(base + '/intel-iommu/ecap', 'f020d%s\n' % ('f' if self.machine.bios['interrupt_remapping'] else '7'), 0o444)
            tree.link('sys/class/iommu/dmar0', base)
        else:
            base = 'sys/devices/pci0000:00/0000:00:00.2/iommu/ivhd0'
            tree.write(base + '/amd-iommu/cap', '40081f0b\n', 0o444)
            tree.write(base + '/amd-iommu/features', '2ce7f3fe7e7a4a5a\n', 0o444)
            tree.link(base + '/device', 'sys/devices/pci0000:00/0000:00:00.2')
            tree.link('sys/class/iommu/ivhd0', base)

    def modules(self):
        loaded = loaded_modules(self.machine)
        for name, module in sorted(loaded.items()):
            base = 'sys/module/' + name
            self.tree.mkdir(base + '/holders')
            for user in module['used_by']:
                if user in loaded:
                    self.tree.link('%s/holders/%s' % (base, user), 'sys/module/' + user)
            self.tree.write(base + '/initstate', 'live\n', 0o444)
            self.tree.write(base + '/refcnt', '%d\n' % module['refcnt'], 0o444)
            if module.get('version'):
                self.tree.write(base + '/version', '%s\n' % module['version'], 0o444)
            for key, value in sorted(module.get('parameters', {}).items()):
                self.tree.write('%s/parameters/%s' % (base, key), '%s\n' % text_of(value), 0o444)

    def firmware(self):
        tree, bios = self.tree, self.machine.bios
        tables = ['FACP', 'APIC', 'MCFG'] + ([] if not bios['vtd'] else ['DMAR'] if self.machine.intel else ['IVRS'])
        for name in tables:
            tree.write('sys/firmware/acpi/tables/' + name, acpi_table(name, bios['interrupt_remapping']), 0o400)
        if bios['uefi']:
            tree.write('sys/firmware/efi/fw_platform_size', '64\n', 0o444)
            # four bytes of attributes (boot and runtime access), then the value
            tree.write('sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c',
                       b'\x06\0\0\0' + (b'\1' if bios['secure_boot'] else b'\0'))
        tree.write('sys/kernel/security/lockdown',
                   'none [integrity] confidentiality\n' if bios['secure_boot'] else '[none] integrity confidentiality\n')


def acpi_table(name, interrupt_remapping):
    """A table of the right name, length and checksum without entries."""
    # of a DMAR: width of addresses less one, flags (bit 0: interrupt remapping)
    rest = bytes((45, 1 if interrupt_remapping else 0)) + bytes(10) if name == 'DMAR' else bytes(12)
    table = bytearray(struct.pack('<4sIBB6s8sI4sI12s', name.encode(), 48, 1, 0, b'PVEGPU', b'RACK    ', 1, b'RACK', 1, rest))
    table[9] = -sum(table) & 255
    return bytes(table)


def mdev_uuid(slot, entry):
    if 'uuid' in entry:
        return entry['uuid']
    if 'vmid' in entry:
        # the name that Proxmox VE gives to the instance of a guest (PVE-FACTS 2)
        return '%08d-0000-0000-0000-%012d' % (entry.get('hostpci', 0), entry['vmid'])
    return stable_uuid(slot, entry.get('vf'), entry['type'])


def text_of(value):
    if isinstance(value, bool):
        return 'Y' if value else 'N'
    return str(value)


def loaded_modules(machine):
    """name -> {version, refcnt, parameters, used_by} of /sys/module and /proc/modules."""
    modules = {}

    def load(name, **fields):
        module = modules.setdefault(name, {'refcnt': 0, 'used_by': set()})
        module.update({key: value for key, value in fields.items() if value is not None})
        return module

    bound = {}
    for function in machine.functions.values():
        if function.driver and function.driver not in BUILT_IN_DRIVERS:
            bound[function.driver] = bound.get(function.driver, 0) + 1
    for driver in bound:
        names = DRIVER_MODULES.get(driver, [driver.replace('-', '_')])
        for name in names:
            load(name)
        for user, name in zip(names, names[1:]):
            modules[name]['used_by'].add(user)
    nvidia = machine.spec.get('nvidia')
    if nvidia:
        load('nvidia', version=str(nvidia['version']))
        if nvidia.get('host_vgpu', True) and nvidia.get('vgpu_vfio', True):
            load('nvidia_vgpu_vfio', version=str(nvidia['version']))
            modules['nvidia']['used_by'].add('nvidia_vgpu_vfio')
            for name in ('vfio_iommu_type1', 'vfio') + (() if machine.kernel_at_least(6, 8) else ('mdev',)):
                load(name)['used_by'].add('nvidia_vgpu_vfio')
    for name in (machine.started or {}).get('loaded', ()):
        for each in DRIVER_MODULES.get(name.replace('_', '-'), [name]):
            load(each)
    for name, fields in (machine.spec.get('modules') or {}).items():
        fields = fields or {}
        check_keys(fields, {'loaded', 'version', 'parameters', 'refcnt', 'file', 'license'}, 'modules.%s' % name)
        if fields.get('loaded', True):
            load(name, version=fields.get('version'), parameters=fields.get('parameters'), refcnt=fields.get('refcnt'))
    for name, values in machine.modprobe['options'].items():
        known = modules.get(name, {}).get('parameters')
        if known:
            modules[name]['parameters'] = dict(known, **{key: value for key, value in values.items() if key in known})
    for module in modules.values():
        module['refcnt'] = module['refcnt'] or len(module['used_by'])
    return modules


# --- Writing: /proc ----------------------------------------------------------------------------------------------------------


def command_line(machine):
    """What the boot loader passes on: its own words, then the described options."""
    if machine.started:
        return machine.started['cmdline']
    release = machine.kernel
    if machine.loader == 'systemd-boot':
        return 'initrd=\\EFI\\proxmox\\%s\\initrd.img-%s root=ZFS=rpool/ROOT/pve-1 boot=zfs %s' % (release, release, machine.options)
    if machine.loader == 'grub-pbt':
        return 'BOOT_IMAGE=/vmlinuz-%s root=ZFS=/ROOT/pve-1 ro root=ZFS=rpool/ROOT/pve-1 boot=zfs %s' % (release, machine.options)
    return 'BOOT_IMAGE=/boot/vmlinuz-%s root=/dev/mapper/pve-root ro %s' % (release, machine.options)


def write_proc(machine, tree):
    tree.write('proc/cmdline', command_line(machine).rstrip() + '\n', 0o444)
    tree.write('proc/version', 'Linux version %s (build@proxmox) (gcc, GNU ld) #1 SMP PREEMPT_DYNAMIC PMX\n' % machine.kernel, 0o444)
    tree.write('proc/sys/kernel/osrelease', machine.kernel + '\n', 0o444)
    tree.write('proc/sys/kernel/hostname', machine.node + '\n')
    tree.write('proc/sys/kernel/random/boot_id', (machine.started or {}).get('boot_id', stable_uuid('boot', machine.node)) + '\n', 0o444)
    flags = 'fpu vme de pse tsc msr pae mce apic sep mtrr sse sse2 ht lm ' + ('vmx' if machine.intel else 'svm')
    flags += ' hypervisor' if machine.cpu.get('virtual') else ''
    own = ''.join('%s: %s\n' % (label, machine.cpu[key]) for key, label in (('stepping', 'stepping\t'), ('microcode', 'microcode\t')) if key in machine.cpu)
    tree.write('proc/cpuinfo', ''.join(
        'processor\t: %d\nvendor_id\t: %s\ncpu family\t: %s\nmodel\t\t: %s\nmodel name\t: %s\n%sflags\t\t: %s\n\n' % (
            number, machine.cpu['vendor'], machine.cpu.get('family', 6 if machine.intel else 25),
            machine.cpu.get('model_number', 151), machine.cpu['model'], own, flags) for number in range(2)), 0o444)
    if 'microcode' in machine.cpu and machine.intel and not machine.cpu.get('virtual'):
        tree.write('sys/devices/system/cpu/cpu0/microcode/processor_flags', '%s\n' % machine.cpu.get('platform', '0x80'), 0o400)
    modules = loaded_modules(machine)
    tree.write('proc/modules', ''.join('%s %d %d %s Live 0x0000000000000000\n' % (
        name, 65536, modules[name]['refcnt'], ''.join(user + ',' for user in sorted(modules[name]['used_by'])) or '-')
        for name in sorted(modules)), 0o444)
    root = 'rpool/ROOT/pve-1 / zfs rw,relatime,xattr,posixacl 0 0'
    if machine.loader == 'grub':
        root = '/dev/mapper/pve-root / ext4 rw,relatime 0 0'
    tree.write('proc/mounts', 'sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc rw,relatime 0 0\n%s\n'
               '/dev/fuse /etc/pve fuse rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other 0 0\n' % root, 0o444)
    if machine.started:
        prefix = 'IR-' if machine.iommu and machine.bios['interrupt_remapping'] else ''
        tree.write('proc/interrupts', '           CPU0       CPU1\n   8:          0          0   %sIO-APIC   8-edge      rtc0\n'
                   ' 124:         42          0   %sPCI-MSI 327680-edge      xhci_hcd\n' % (prefix, prefix), 0o444)
    nvidia = machine.spec.get('nvidia')
    if nvidia:
        cardstate.write_nvidia(machine, tree, nvidia)


# --- Writing: /etc, /run, /usr, /lib -----------------------------------------------------------------------------------------


def debian_sources(machine):
    """The package sources of a fresh installation of the release, by file (PVE-FACTS 5.1)."""
    suite = machine.suite
    if machine.release == 9:
        stanza = 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: %s\n'
        debian, proxmox = '/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/proxmox-archive-keyring.gpg'
        components = 'main contrib non-free-firmware'
        return {
            'debian.sources': stanza % ('http://ftp.debian.org/debian/', 'trixie trixie-updates', components, debian) + '\n' +
                              stanza % ('http://security.debian.org/debian-security/', 'trixie-security', components, debian),
            'pve-enterprise.sources': stanza % ('https://enterprise.proxmox.com/debian/pve', suite, 'pve-enterprise', proxmox),
            'ceph.sources': stanza % ('https://enterprise.proxmox.com/debian/ceph-squid', suite, 'enterprise', proxmox),
        }
    files = {'pve-enterprise.list': 'deb https://enterprise.proxmox.com/debian/pve %s pve-enterprise\n' % suite}
    if machine.release == 8:
        files['ceph.list'] = 'deb https://enterprise.proxmox.com/debian/ceph-quincy %s enterprise\n' % suite
    return files


# Where the key of Proxmox's archive lies (PVE-FACTS 5.1).
KEYRINGS = {7: 'etc/apt/trusted.gpg.d/proxmox-release-bullseye.gpg', 8: 'etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg',
            9: 'usr/share/keyrings/proxmox-archive-keyring.gpg'}


def has_host_driver(machine):
    return bool(machine.spec.get('nvidia')) and machine.spec['nvidia'].get('host_vgpu', True)


def write_userland(machine, tree):
    number, suite = RELEASES[machine.release]['number'], machine.suite
    tree.write('usr/lib/os-release', 'PRETTY_NAME="Debian GNU/Linux %d (%s)"\nNAME="Debian GNU/Linux"\nVERSION_ID="%d"\n'
               'VERSION="%d (%s)"\nVERSION_CODENAME=%s\nID=debian\nHOME_URL="https://www.debian.org/"\n'
               'SUPPORT_URL="https://www.debian.org/support"\nBUG_REPORT_URL="https://bugs.debian.org/"\n' % (
                   number, suite, number, number, suite, suite))
    tree.symlink('etc/os-release', '../usr/lib/os-release')
    tree.write('etc/hostname', machine.node + '\n')
    tree.write('etc/hosts', '127.0.0.1 localhost.localdomain localhost\n192.0.2.10 %s.example.org %s\n' % (machine.node, machine.node))
    release = re.match(r'\d+\.\d+', machine.pve).group()
    tree.write('usr/share/perl5/PVE/pvecfg.pm', """package PVE::pvecfg;

use strict;
use warnings;

sub package {{
    return 'pve-manager';
}}

sub version {{
    return '{0}';
}}

sub release {{
    return '{1}';
}}

sub repoid {{
    return '{2}';
}}

sub version_text {{
    return '{0}/{2}';
}}

# this is returned by the API
sub version_info {{
    return {{
\t'version' => '{0}',
\t'release' => '{1}',
\t'repoid' => '{2}',
    }}
}}

1;
""".format(machine.pve, release, machine.repoid))
    write_loader(machine, tree)
    if has_host_driver(machine):
        tree.write('usr/lib/nvidia/sriov-manage', "#!/bin/sh\n# stands for NVIDIA's script; a rack puts its stand-in here\nexit 1\n", 0o755)
    if machine.release < 9:
        tree.write('etc/apt/sources.list',
                   'deb http://ftp.debian.org/debian {0} main contrib\n\ndeb http://ftp.debian.org/debian {0}-updates main contrib\n\n'
                   '# security updates\ndeb http://security.debian.org {0}-security main contrib\n'.format(suite))
    for name, text in debian_sources(machine).items():
        tree.write('etc/apt/sources.list.d/' + name, text)
    tree.write(KEYRINGS[machine.release], "stands for the key of Proxmox's archive; a rack puts the key of its own archive here\n")
    tree.write('etc/modules', '# /etc/modules: kernel modules to load at boot time.\n')
    write_module_directory(machine, tree)


def write_loader(machine, tree):
    options = machine.options
    if machine.loader != 'grub':
        tree.write('etc/kernel/proxmox-boot-uuids', '5C1A-2B3D\n')
        # the installer writes it for every ZFS root, whatever boots it (PVE-FACTS 4.3)
        tree.write('etc/kernel/cmdline', 'root=ZFS=rpool/ROOT/pve-1 boot=zfs%s\n' % (
            ' ' + options if machine.loader == 'systemd-boot' and options else ''))
    if machine.loader != 'systemd-boot':
        tree.write('etc/default/grub', 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n'
                   'GRUB_CMDLINE_LINUX_DEFAULT="%s"\nGRUB_CMDLINE_LINUX=""\n' % options)
    if machine.loader == 'grub-pbt':
        tree.write('etc/default/grub.d/zfs.cfg', 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX root=ZFS=rpool/ROOT/pve-1 boot=zfs"\n')


def write_cluster(machine, tree):
    node = machine.node
    cluster = machine.spec.get('cluster')
    nodes = [node]
    if cluster:
        check_keys(cluster, {'name', 'nodes', 'ceph'}, 'cluster')
        nodes = list(cluster['nodes'])
        if node not in nodes:
            raise MachineError('cluster.nodes has no %r, the node itself' % node)
        tree.write('etc/pve/corosync.conf', 'logging {\n  debug: off\n  to_syslog: yes\n}\n\nnodelist {\n' + ''.join(
            '  node {\n    name: %s\n    nodeid: %d\n    quorum_votes: 1\n    ring0_addr: 192.0.2.%d\n  }\n' % (name, index, 10 + index)
            for index, name in enumerate(nodes, 1)) + '}\n\nquorum {\n  provider: corosync_votequorum\n}\n\ntotem {\n'
            '  cluster_name: %s\n  config_version: %d\n  interface {\n    linknumber: 0\n  }\n  ip_version: ipv4-6\n  link_mode: passive\n'
            '  secauth: on\n  version: 2\n}\n' % (cluster['name'], len(nodes)))
        write_ceph(cluster.get('ceph'), node, tree)
    for name in nodes:
        tree.mkdir('etc/pve/nodes/%s/qemu-server' % name)
        tree.mkdir('etc/pve/nodes/%s/lxc' % name)
    tree.symlink('etc/pve/local', 'nodes/' + node)
    tree.symlink('etc/pve/qemu-server', 'nodes/%s/qemu-server' % node)
    tree.symlink('etc/pve/lxc', 'nodes/%s/lxc' % node)
    write_guests(machine, tree)
    write_mappings(machine, tree)


def write_ceph(ceph, node, tree):
    """What a node with Ceph's daemons shows of them."""
    if not ceph:
        return
    check_keys(ceph, {'mons', 'osds', 'recover_seconds'}, 'cluster.ceph')
    tree.write('etc/pve/ceph.conf', '[global]\n\tfsid = %s\n\tmon_host = %s\n' % (stable_uuid('ceph'), ' '.join(ceph['mons'])))
    if node in ceph['mons']:
        tree.write('var/lib/ceph/mon/ceph-%s/keyring' % node, '[mon.]\n', 0o600)
    for number in ceph['osds'].get(node, []):
        tree.write('var/lib/ceph/osd/ceph-%d/whoami' % number, '%d\n' % number)


def guest_pid(vmid):
    return 100000 + int(vmid)


def guest_argv(vmid, name):
    """The start of the command line that Proxmox VE starts a guest with: what it knows a running one by."""
    return ['/usr/bin/kvm', '-id', str(vmid), '-name', '%s,debug-threads=on' % name, '-no-shutdown', '-daemonize',
            '-pidfile', '/var/run/qemu-server/%s.pid' % vmid]


def running_guests(machine):
    """vmid -> name of the described guests that run."""
    return {int(vmid): guest.get('name', 'vm%s' % vmid) for vmid, guest in (machine.spec.get('guests') or {}).items()
            if guest.get('running')}


def reservations(machine):
    """(address, vmid) of the functions that running guests have reserved."""
    found = []
    for function in machine.functions.values():
        if function.spec.get('framework') == 'vendor_vfio':
            found += [(function.vfs[index].slot, int(entry['vmid'])) for index, _, entry in machine.instances[function.slot] if 'vmid' in entry]
    for vmid, guest in (machine.spec.get('guests') or {}).items():
        if guest.get('running'):
            found += [(slot, int(vmid)) for slot in guest.get('uses', [])]
    return sorted(found)


def write_guests(machine, tree):
    for vmid, guest in sorted((machine.spec.get('guests') or {}).items()):
        guest = dict(guest)
        running, _ = guest.pop('running', False), guest.pop('uses', [])
        guest.setdefault('name', 'vm%s' % vmid)
        guest.setdefault('memory', 4096)
        tree.write('etc/pve/nodes/%s/qemu-server/%s.conf' % (machine.node, vmid),
                   ''.join('%s: %s\n' % (key, guest[key]) for key in sorted(guest)), 0o640)
        if running:
            pid = guest_pid(vmid)
            tree.write('run/qemu-server/%s.pid' % vmid, '%d\n' % pid, 0o600)
            tree.write('proc/%d/cmdline' % pid, ''.join(word + '\0' for word in guest_argv(vmid, guest['name'])), 0o444)
    reserved = reservations(machine)
    if reserved:
        tree.write('run/qemu-server/pci-id-reservations',
                   ''.join('%s %s pid:%d\n' % (slot, vmid, guest_pid(vmid)) for slot, vmid in reserved), 0o600)


def write_mappings(machine, tree):
    sections = []
    for name, mapping in (machine.spec.get('mappings') or {}).items():
        check_keys(mapping, {'map', 'description', 'mdev', 'live-migration-capable'}, 'mappings.%s' % name)
        lines = [name]
        for entry in mapping['map']:
            if isinstance(entry, str) and entry.endswith(' vfs'):
                lines += [map_line(machine, vf.slot, name) for vf in machine.functions[entry[:-len(' vfs')]].vfs]
            else:
                lines.append(map_line(machine, entry, name))
        for key in ('description', 'live-migration-capable', 'mdev'):
            if key in mapping:
                lines.append('\t%s %s' % (key, int(mapping[key]) if isinstance(mapping[key], bool) else mapping[key]))
        sections.append('\n'.join(lines) + '\n\n')
    if sections:
        tree.write('etc/pve/mapping/pci.cfg', ''.join(sections), 0o640)


def map_line(machine, slot, name):
    whole = slot if '.' in slot else slot + '.0'
    if whole not in machine.functions:
        raise MachineError('mappings.%s: no function at %s' % (name, slot))
    function = machine.functions[whole]
    words = ['id=%04x:%04x' % (function.vendor, function.device)]
    if function.group is not None:
        words.append('iommugroup=%d' % function.group)
    words += ['node=' + machine.node, 'path=' + slot, 'subsystem-id=%04x:%04x' % function.subsystem]
    return '\tmap ' + ','.join(words)


# --- /lib/modules ------------------------------------------------------------------------------------------------------------


# Modules of Proxmox VE's kernels that matter here: path, modules that they need, parameters. The others are not there.
GPU, VFIO = 'kernel/drivers/gpu/drm/', 'kernel/drivers/vfio/'


def kernel_modules(machine):
    """name -> (file, needed modules, parameters) of an installed kernel."""
    found = {
        'vfio': (VFIO + 'vfio.ko', [], []),
        'vfio_iommu_type1': (VFIO + 'vfio_iommu_type1.ko', ['vfio'], ['allow_unsafe_interrupts', 'disable_hugepages', 'dma_entry_limit']),
        'vfio_pci': (VFIO + 'pci/vfio-pci.ko', ['vfio_pci_core', 'vfio'], ['ids', 'disable_vga', 'disable_idle_d3', 'nointxmask']),
        'vfio_pci_core': (VFIO + 'pci/vfio-pci-core.ko', ['vfio'], []),
        'mdev': (VFIO + 'mdev/mdev.ko', [], []),
        'nouveau': (GPU + 'nouveau/nouveau.ko', [], ['modeset']),
        'i915': (GPU + 'i915/i915.ko', [], ['enable_guc', 'enable_gvt']),
        'kvmgt': (GPU + 'i915/kvmgt.ko', ['i915', 'mdev', 'vfio'], []),
        'amdgpu': (GPU + 'amd/amdgpu/amdgpu.ko', [], []),
        'ast': (GPU + 'ast/ast.ko', [], []),
        'snd_hda_intel': ('kernel/sound/pci/hda/snd-hda-intel.ko', [], []),
        'pci_stub': ('kernel/drivers/pci/pci-stub.ko', [], ['ids']),
        'pci_pf_stub': ('kernel/drivers/pci/pci-pf-stub.ko', [], []),
    }
    if machine.kernel_at_least(6, 8):
        found['xe'] = (GPU + 'xe/xe.ko', [], ['force_probe'])
    if not machine.kernel_at_least(6, 2):  # PVE-FACTS 4.4
        found['vfio_virqfd'] = (VFIO + 'vfio_virqfd.ko', [], [])
        found['vfio_pci_core'] = (VFIO + 'pci/vfio-pci-core.ko', ['vfio', 'vfio_virqfd'], [])
    return found


def module_license(machine, name):
    """NVIDIA's two flavours differ in it: the loaded one's is the installed one's too, unless the description says otherwise."""
    nvidia = machine.spec.get('nvidia')
    if not nvidia or name.replace('-', '_').split('_')[0] != 'nvidia':
        return 'GPL'
    return 'Dual MIT/GPL' if nvidia.get('open') else 'NVIDIA'


def write_kernel(machine, tree):
    """An installed kernel: its image and its modules. (An initramfs is made by update-initramfs.)"""
    tree.write('boot/vmlinuz-' + machine.kernel, 'Linux version %s\n' % machine.kernel)
    tree.write('boot/config-' + machine.kernel, '# Linux %s\nCONFIG_INTEL_IOMMU=y\n%s\n' % (machine.kernel, (
        'CONFIG_INTEL_IOMMU_DEFAULT_ON=y' if machine.kernel_at_least(6, 8) else '# CONFIG_INTEL_IOMMU_DEFAULT_ON is not set')))
    write_module_directory(machine, tree, kernel_modules(machine))


def write_module_directory(machine, tree, own=None):
    """What depmod would have left for the kernel's own modules, if any are given, and for the described module files."""
    base = 'lib/modules/' + machine.kernel
    files, needs = {}, {}
    for name, (path, needed, parameters) in sorted((own or {}).items()):
        files[name], needs[name] = path, needed
        words = ['license=GPL', 'name=' + name, 'vermagic=%s SMP preempt mod_unload modversions ' % machine.kernel]
        tree.write('%s/%s' % (base, path), module_file(words + ['parmtype=%s:charp' % key for key in parameters]))
    for name, fields in sorted((machine.spec.get('modules') or {}).items()):
        fields = fields or {}
        if fields.get('file'):
            files[name] = fields['file']
            information = {'license': fields.get('license') or module_license(machine, name), 'name': name,
                           'vermagic': machine.kernel + ' SMP preempt mod_unload modversions '}
            if fields.get('version'):
                information['version'] = str(fields['version'])
            words = ['%s=%s' % pair for pair in sorted(information.items())]
            words += ['parmtype=%s:%s' % (key, 'charp' if isinstance(value, str) else 'uint')
                      for key, value in sorted((fields.get('parameters') or {}).items())]
            tree.write('%s/%s' % (base, fields['file']), module_file(words))
    if machine.kernel in (machine.zfs.get('kernels') or {}):
        files['zfs'] = 'zfs/zfs.ko'
        tree.write('%s/zfs/zfs.ko' % base, module_file(['license=CDDL', 'name=zfs', 'version=%s' % machine.zfs['kernels'][machine.kernel]]))
    lines = {name: ' '.join([path + ':'] + [files[other] for other in needs.get(name, ())]) for name, path in files.items()}
    tree.write(base + '/modules.dep', ''.join(line + '\n' for line in lines.values()))
    tree.write(base + '/modules.dep.bin', module_index(lines))
    for name in ('modules.alias', 'modules.symbols', 'modules.builtin', 'modules.builtin.alias'):
        tree.write('%s/%s.bin' % (base, name), module_index({}))
    for name in ('modules.alias', 'modules.symbols', 'modules.builtin', 'modules.builtin.modinfo', 'modules.order', 'modules.softdep'):
        tree.write('%s/%s' % (base, name), '')


# Features that every pool of OpenZFS 0.8 and later has, in the state in which an installer leaves them.
POOL_FEATURES = {'async_destroy': 'enabled', 'empty_bpobj': 'active', 'lz4_compress': 'active', 'spacemap_histogram': 'active',
                 'enabled_txg': 'active', 'hole_birth': 'active', 'extensible_dataset': 'active', 'embedded_data': 'active',
                 'bookmarks': 'enabled', 'device_removal': 'enabled', 'zpool_checkpoint': 'enabled', 'spacemap_v2': 'active',
                 'encryption': 'enabled', 'userobj_accounting': 'active', 'project_quota': 'active', 'resilver_defer': 'enabled'}


def write_pools(machine, tree):
    """What `zpool get -H all POOL` answers, a file for each pool."""
    pools = dict({'rpool': {}} if machine.loader != 'grub' else {}, **(machine.zfs.get('pools') or {}))
    for pool, features in pools.items():
        lines = ['size\t928G\t-', 'health\tONLINE\t-', 'compatibility\toff\tdefault']
        lines += ['feature@%s\t%s\tlocal' % each for each in dict(POOL_FEATURES, **(features or {})).items()]
        tree.write('var/lib/rack/zpool/' + pool, ''.join('%s\t%s\n' % (pool, line) for line in lines))


def package_stanza(name, described):
    """A package in dpkg's books: described as "VERSION [STATE] [hold]"."""
    version, *words = str(described).split()
    want = 'hold' if 'hold' in words else 'install'
    state = next((word for word in words if word != 'hold'), 'installed')
    return ('\nPackage: %s\nStatus: %s ok %s\nPriority: optional\nSection: admin\nMaintainer: Proxmox Support Team <support@proxmox.com>\n'
            'Architecture: amd64\nVersion: %s\nDescription: stands for the package %s\n' % (name, want, state, version, name))


def write_packages(machine, tree):
    """dpkg's books; a node of a rack has its own, to which these are added."""
    if 'packages' in machine.spec:
        packages = dict({'pve-manager': machine.pve}, **(machine.spec['packages'] or {}))
        tree.write('var/lib/dpkg/status', ''.join(package_stanza(name, packages[name]) for name in sorted(packages)).lstrip('\n') + '\n')


# --- The description's own files, and the whole ------------------------------------------------------------------------------


def write_overrides(machine, tree, installed, running):
    for path, entry in (machine.spec.get('files') or {}).items():
        path = path.strip('/')
        if not (running if path.split('/')[0] in VOLATILE else installed):
            continue
        where = 'files.' + path
        if isinstance(entry, str):
            entry = {'content': entry}
        check_keys(entry, {'content', 'hex', 'link', 'mode', 'absent', 'directory'}, where)
        if 'mode' in entry and not isinstance(entry['mode'], str):
            raise MachineError('%s: mode must be octal digits in quotes' % where)
        mode = int(entry.get('mode', '644'), 8)
        if 'content' in entry or 'hex' in entry:
            tree.remove(path)
            tree.write(path, bytes.fromhex(entry['hex']) if 'hex' in entry else entry['content'], mode)
        elif 'link' in entry:
            tree.remove(path)
            tree.symlink(path, entry['link'])
        elif entry.get('absent'):
            tree.remove(path)
        elif entry.get('directory'):
            tree.mkdir(path)
        elif 'mode' in entry:
            os.chmod(os.path.join(tree.root, path), mode)
        else:
            raise MachineError('%s: give content, hex, link, directory, mode or absent' % where)


def load(path_or_name):
    """The description in a file, or of that name in machines/."""
    path = path_or_name
    if not os.path.exists(path) and '/' not in path:
        path = os.path.join(MACHINES, path + '.yml')
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    try:
        with open(path, 'rb') as file:
            spec = yaml.load(file, Loader=loader)
    except FileNotFoundError:
        raise MachineError('no machine %r: neither a file nor one of %s' % (path_or_name, MACHINES)) from None
    except yaml.YAMLError as error:
        raise MachineError('%s: %s' % (path, error)) from None
    return spec


VOLATILE = ('sys', 'proc', 'run')


def write(machine, out_dir, installed=True, running=True):
    """Writes the tree of a machine below a directory that is absent or empty: what is installed (/etc, /usr, /lib and so on), and
    what a boot makes anew (VOLATILE)."""
    os.makedirs(out_dir, exist_ok=True)
    if os.listdir(out_dir):
        raise MachineError('%s is not empty: name an absent or empty directory' % out_dir)
    tree = Tree(out_dir)
    before = os.umask(0)
    try:
        if running:
            SysWriter(machine, tree).write()
            write_proc(machine, tree)
            cardstate.write_running(machine, tree)
            tree.mkdir('run/qemu-server')
        if installed:
            write_userland(machine, tree)
            cardstate.write_installed_units(machine, tree)
            write_cluster(machine, tree)
            write_pools(machine, tree)
            if running:
                write_packages(machine, tree)
            for release in machine.zfs.get('kernels') or {}:
                if release != machine.kernel:
                    write_module_directory(Machine(dict(machine.spec, kernel=release, modules=None), machine.catalogue), tree)
        write_overrides(machine, tree, installed, running)
    finally:
        os.umask(before)


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        write(Machine(load(argv[1])), argv[2])
    except MachineError as error:
        print('machine: %s: %s' % (argv[1], error), file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
