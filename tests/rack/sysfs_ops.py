#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Does everything to a sysfs that our modules do, and more, and prints what came of it: the same on a real kernel as on simfs.
"""sysfs_ops.py [--sys /sys] [--pf ADDRESS]: prints a transcript of sysfs operations.

It finds its own paths: the PF is the first function with sriov_totalvfs of three or more whose driver takes sriov_numvfs. Names that
differ from machine to machine (addresses, group numbers, the driver, type directories) are replaced by what they stand for, so two
machines that behave alike give the same text, byte for byte. Each operation is a line with its errno, and below it the names that
appeared (+) and disappeared (-). In the end everything is as before; on a host in use it would cost the guests their VFs.
"""
import argparse
import errno
import os
import re
import stat
import sys

UUIDS = ['%08x-0000-4000-8000-00000000aa%02x' % (number, number) for number in range(4)]
# The attributes and links that modules meet; what else a kernel shows differs between versions.
KNOWN = ('vendor device class revision subsystem_vendor subsystem_device modalias uevent config resource numa_node enable driver_override '
         'remove driver physfn iommu_group subsystem sriov_totalvfs sriov_numvfs sriov_offset sriov_stride sriov_vf_device '
         'sriov_drivers_autoprobe mdev_supported_types nvidia').split()
TYPE_ATTRIBUTES = 'available_instances create description device_api devices name'.split()


class Transcript:
    def __init__(self, sysfs, out):
        self.sys, self.out = sysfs.rstrip('/'), out
        self.names = []  # (pattern, what it stands for), the first that fits wins
        self.before = {}

    # -- words

    def say(self, text):
        self.out.write(text + '\n')

    def title(self, text):
        self.say('\n== ' + text)

    def plain(self, text):
        """The text with machine-specific names replaced."""
        text = text.replace(self.sys + '/', '')
        for name, meaning in self.names:
            text = re.sub(r'(?<![0-9A-Za-z_-])%s(?![0-9A-Za-z_-])' % re.escape(name), meaning, text)
        return text

    def name(self, real, meaning):
        self.names = [(real, meaning)] + [entry for entry in self.names if entry[0] != real]

    @staticmethod
    def outcome(action):
        try:
            return action(), 'ok'
        except OSError as error:
            return None, errno.errorcode.get(error.errno, str(error.errno))

    # -- operations

    def at(self, path):
        return path if path.startswith('/') else os.path.join(self.sys, path)

    def show(self, path):
        """Contents, unsaid."""
        with open(self.at(path), 'rb') as file:
            return file.read().decode(errors='replace')

    def read(self, path):
        text, result = self.outcome(lambda: self.show(path))
        shown = self.plain(repr(text)) if text is None or len(text) < 200 else '%r * %d and %r' % (text[0], len(text) - 1, text[-1])
        self.say('read %s -> %s' % (self.plain(path), shown if result == 'ok' else result))
        return text

    def write(self, path, text):
        def store():
            fd = os.open(self.at(path), os.O_WRONLY)
            try:
                return os.write(fd, text.encode())
            finally:
                os.close(fd)
        count, result = self.outcome(store)
        short = '' if count in (None, len(text.encode())) else ' (%d of %d)' % (count, len(text.encode()))
        shown = repr(text) if len(text) < 200 else '%r * %d' % (text[0], len(text))
        self.say('write %s %s -> %s%s' % (self.plain(path), self.plain(shown), result, short))
        self.changes()
        return result

    def call(self, what, path, action):
        _, result = self.outcome(lambda: action(self.at(path)))
        self.say('%s %s -> %s' % (what, self.plain(path), result))

    def follow(self, path):
        """Where a link leads, by its last name."""
        target, result = self.outcome(lambda: os.path.basename(os.readlink(self.at(path))))
        self.say('link %s -> %s' % (self.plain(path), self.plain(target) if result == 'ok' else result))

    # -- what is there

    def watch(self, *slots):
        self.slots = slots
        self.before = self.picture()

    def listing(self, path):
        try:
            return sorted(os.listdir(self.at(path)))
        except OSError:
            return []

    def picture(self):
        """Names that count: of the watched functions, their drivers, groups and instances."""
        found = {}

        def note(path, value=''):
            found[self.plain(path)] = value
        for slot in self.slots:
            base = 'bus/pci/devices/' + slot
            if not os.path.exists(self.at(base)):
                continue
            note(base)
            for name in self.listing(base):
                if name in KNOWN or re.fullmatch(r'virtfn\d+', name):
                    path = base + '/' + name
                    note(path, self.plain(os.path.basename(os.readlink(self.at(path)))) if name in ('driver', 'physfn') or
                         name.startswith('virtfn') else '')
                elif re.fullmatch(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', name):
                    note(base + '/' + name)
            group = self.outcome(lambda path=base: os.path.basename(os.readlink(self.at(path + '/iommu_group'))))[0]
            if group is not None:
                for member in self.listing('kernel/iommu_groups/%s/devices' % group):
                    note('kernel/iommu_groups/(of %s)/devices/%s' % (self.plain(slot), self.plain(member)))
        for driver in self.listing('bus/pci/drivers'):
            for slot in self.slots:
                if os.path.lexists(self.at('bus/pci/drivers/%s/%s' % (driver, slot))):
                    note('bus/pci/drivers/%s/%s' % (driver, slot))
        for directory in ('bus/mdev/devices', 'class/mdev_bus'):
            for name in self.listing(directory):
                note(directory + '/' + name)
        return found

    def changes(self):
        """A line for each directory in which names appeared (+), disappeared (-) or lead elsewhere (~)."""
        now = self.picture()
        lines = {}
        for path in sorted(set(now) | set(self.before)):
            sign = '-' if path not in now else '+' if path not in self.before else '~' if now[path] != self.before[path] else None
            if sign:
                directory, name = os.path.split(path)
                lines.setdefault((directory, sign), []).append(name + (' -> ' + now[path] if now.get(path) else ''))
        for (directory, sign), names in sorted(lines.items()):
            self.say('  %s %s: %s' % (sign, directory, ', '.join(names)))
        self.before = now

    def modes(self, base, names):
        for name in names:
            path = base + '/' + name
            status, result = self.outcome(lambda path=path: os.lstat(self.at(path)))
            if result == 'ok':
                kind = 'link' if stat.S_ISLNK(status.st_mode) else 'directory' if stat.S_ISDIR(status.st_mode) else '%04o' % (
                    status.st_mode & 0o7777)
                self.say('mode %s %s' % (self.plain(path), kind))
            else:
                self.say('mode %s %s' % (self.plain(path), result))


class NoPf(Exception):
    """There is nothing to try it on."""


def find_pf(transcript, wanted):
    """The first PF whose driver takes sriov_numvfs; leaves it with no VFs."""
    for slot in [wanted] if wanted else transcript.listing('bus/pci/devices'):
        base = 'bus/pci/devices/' + slot
        try:
            if int(transcript.show(base + '/sriov_totalvfs')) < 3:
                continue
            for count in ('0', '1', '0'):
                with open(transcript.at(base + '/sriov_numvfs'), 'w', encoding='ascii') as file:
                    file.write(count)
        except (OSError, ValueError):
            continue
        return slot
    raise NoPf('no function here has sriov_totalvfs of three or more and a driver that takes sriov_numvfs')


def vf_slots(transcript, pf, count):
    """Addresses from sriov_offset and sriov_stride, by the arithmetic of the SR-IOV specification."""
    domain, bus, device, function = (int(part, 16) for part in re.split('[:.]', pf))
    offset, stride = (int(transcript.show('bus/pci/devices/%s/sriov_%s' % (pf, name))) for name in ('offset', 'stride'))
    routes = [(bus << 8 | device << 3 | function) + offset + stride * index for index in range(count)]
    return ['%04x:%02x:%02x.%x' % (domain, route >> 8, route >> 3 & 31, route & 7) for route in routes]


class Session:
    """The operations, in chapters."""

    def __init__(self, transcript, pf_slot):
        self.t = transcript
        self.pf_slot = pf_slot
        self.pf = 'bus/pci/devices/' + pf_slot
        self.vf_slots = vf_slots(transcript, pf_slot, 3)
        self.vfs = ['bus/pci/devices/' + slot for slot in self.vf_slots]
        self.total = int(transcript.show(self.pf + '/sriov_totalvfs'))
        self.driver = os.path.basename(os.readlink(transcript.at(self.pf + '/driver')))
        self.numvfs = self.pf + '/sriov_numvfs'
        transcript.name(pf_slot, 'PF')
        for index, slot in enumerate(self.vf_slots):
            transcript.name(slot, 'VF%d' % index)
        transcript.name(self.driver, 'DRIVER')
        transcript.watch(pf_slot, *self.vf_slots)

    def files(self):
        t = self.t
        t.title('Files')
        t.modes(self.pf, [name for name in KNOWN if name not in ('physfn', 'mdev_supported_types', 'nvidia')])
        t.modes('bus/pci', ('drivers_probe', 'drivers_autoprobe', 'rescan'))
        t.modes('bus/pci/drivers/' + self.driver, ('bind', 'unbind', 'new_id', 'remove_id'))
        for path, flags in ((self.pf + '/vendor', os.O_WRONLY), (self.pf + '/sriov_totalvfs', os.O_RDWR),
                            (self.pf + '/remove', os.O_RDONLY), (self.pf + '/none', os.O_RDONLY), (self.pf + '/none', os.O_WRONLY),
                            (self.pf + '/none', os.O_WRONLY | os.O_CREAT), (self.pf + '/vendor/none', os.O_RDONLY)):
            words = {os.O_RDONLY: 'r', os.O_WRONLY: 'w', os.O_RDWR: 'rw'}[flags & os.O_ACCMODE] + ('+create' if flags & os.O_CREAT else '')
            t.call('open(%s)' % words, path, lambda full, flags=flags: os.close(os.open(full, flags)))
        t.call('mkdir', self.pf + '/none', os.mkdir)
        t.call('unlink', self.pf + '/vendor', os.unlink)
        t.call('unlink', self.pf + '/none', os.unlink)
        t.call('rmdir', self.pf, lambda full: os.rmdir(os.path.realpath(full)))
        t.call('symlink', self.pf + '/none', lambda full: os.symlink('x', full))
        t.call('rename', self.pf + '/vendor', lambda full: os.rename(full, full + '2'))
        t.call('truncate', self.pf + '/driver_override', lambda full: os.truncate(full, 0))
        t.say('size of an attribute: %d' % os.stat(t.at(self.pf + '/vendor')).st_size)
        for text in ('change\n', 'jump\n'):
            t.write(self.pf + '/uevent', text)
        t.write(self.pf + '/enable', 'x')
        t.write(self.pf + '/enable', '1')

    def numbers(self):
        t = self.t
        t.title('sriov_numvfs')
        t.read(self.numvfs)
        for text in ('', 'x', '-1', ' 2', '2 ', '0x', '65536', '2\n\n'):
            t.write(self.numvfs, text)
        result = t.outcome(lambda: self.store(self.numvfs, str(self.total + 1)))[1]
        t.say('write %s (one more than sriov_totalvfs) -> %s' % (t.plain(self.numvfs), result))
        t.write(self.numvfs, '0')
        t.write(self.numvfs, '2\n')
        t.read(self.numvfs)
        t.write(self.numvfs, '2')
        t.write(self.numvfs, '3')
        t.write(self.numvfs, '1')
        t.read(self.numvfs)
        self.identity()
        t.write(self.numvfs, '0')
        t.read(self.numvfs)
        t.write(self.numvfs, '0x3')
        t.write(self.numvfs, '+0')

    def store(self, path, text):
        with open(self.t.at(path), 'w', encoding='ascii') as file:
            file.write(text)

    def identity(self):
        t, vf = self.t, self.vfs[0]
        t.modes(vf, [name for name in KNOWN if name not in ('mdev_supported_types', 'nvidia')])
        for name in ('driver', 'physfn', 'subsystem'):
            t.follow(vf + '/' + name)
        t.follow(self.pf + '/virtfn0')
        ids = {name: int(t.show(vf + '/' + name), 16) for name in ('vendor', 'device', 'subsystem_vendor', 'subsystem_device', 'class')}
        alias = 'pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n' % (
            ids['vendor'], ids['device'], ids['subsystem_vendor'], ids['subsystem_device'], ids['class'] >> 16, ids['class'] >> 8 & 255,
            ids['class'] & 255)
        with open(t.at(vf + '/config'), 'rb') as file:
            header = file.read(4)
        for text, holds in (('vendor is the PF\'s', t.show(vf + '/vendor') == t.show(self.pf + '/vendor')),
                            ('device is the PF\'s', t.show(vf + '/device') == t.show(self.pf + '/device')),
                            ('class is a display', ids['class'] >> 16 == 3),
                            ('modalias agrees', t.show(vf + '/modalias') == alias),
                            ('config has no ids', header == b'\xff' * 4),
                            ('resource has 13 lines', t.show(vf + '/resource').count('\n') == 13),
                            ('driver_override is unset', t.show(vf + '/driver_override') == '(null)\n')):
            t.say('VF0: %s: %s' % (text, 'yes' if holds else 'no'))
        for line in t.show(vf + '/uevent').splitlines():
            key, _, value = line.partition('=')
            expected = {'DRIVER': self.driver, 'PCI_CLASS': '%X' % ids['class'], 'PCI_ID': '%04X:%04X' % (ids['vendor'], ids['device']),
                        'PCI_SUBSYS_ID': '%04X:%04X' % (ids['subsystem_vendor'], ids['subsystem_device']),
                        'PCI_SLOT_NAME': self.vf_slots[0], 'MODALIAS': alias.strip()}.get(key)
            if expected is not None:
                t.say('VF0: uevent %s %s' % (key, 'agrees' if value == expected else 'differs'))

    def override(self):
        t, path = self.t, self.vfs[0] + '/driver_override'
        t.title('driver_override')
        t.write(self.numvfs, '1')
        for text in ('pve-gpu-none', 'pve-gpu-none\n', 'one\ntwo', '\n', 'one\0two', '\0', 'n' * 4094, '\n', 'n' * 4095):
            t.write(path, text)
            t.read(path)
        t.write(path, '\n')

    def binding(self):
        t, home = self.t, 'bus/pci/drivers/' + self.driver
        vf, slot = self.vfs[0], self.vf_slots[0]
        t.title('bind, unbind and drivers_probe')
        t.write(home + '/bind', 'ffff:ff:1f.7')
        t.write(home + '/unbind', 'ffff:ff:1f.7')
        t.write(home + '/bind', slot)
        t.write('bus/pci/drivers_probe', 'ffff:ff:1f.7')
        t.write('bus/pci/drivers_probe', slot)
        t.write(home + '/unbind', slot)
        t.write(home + '/unbind', slot)
        t.follow(vf + '/driver')
        t.say('VF0: uevent names a driver: %s' % ('yes' if 'DRIVER=' in t.show(vf + '/uevent') else 'no'))
        t.write(home + '/bind', slot + '\n')
        t.write(vf + '/driver/unbind', slot)
        t.write('bus/pci/drivers_probe', slot + '\n')
        t.write(vf + '/driver/unbind', self.pf_slot + '0')
        t.write(vf + '/driver_override', 'pve-gpu-none')
        t.write(vf + '/driver/unbind', slot)
        t.write(home + '/bind', slot)
        t.write('bus/pci/drivers_probe', slot)
        t.write(vf + '/driver_override', '\n')
        t.write('bus/pci/drivers_probe', slot)
        for text in ('', 'x', 'ffff', 'ffff fffe', 'ffff fffe'):
            t.write(home + '/new_id', text)
        for text in ('', 'ffff', 'ffff fffd', 'ffff fffe', 'ffff fffe'):
            t.write(home + '/remove_id', text)

    def vfio(self):
        t, home = self.t, 'bus/pci/drivers/vfio-pci'
        vf, slot = self.vfs[0], self.vf_slots[0]
        if not os.path.exists(t.at(home)):
            return
        t.title('vfio-pci')
        t.write(home + '/bind', slot)
        t.write(vf + '/driver/unbind', slot)
        t.write(home + '/bind', slot)
        t.write(vf + '/driver_override', 'vfio-pci')
        t.write('bus/pci/drivers/%s/bind' % self.driver, slot)
        t.write(home + '/bind', slot)
        t.write('bus/pci/drivers_probe', slot)
        t.write(vf + '/driver_override', '\n')
        t.follow(vf + '/driver')
        t.write('bus/pci/drivers/%s/unbind' % self.driver, slot)
        t.write(home + '/unbind', slot)
        t.write('bus/pci/drivers_probe', slot)
        for text in ('x', 'ffff fffe', 'ffff fffe'):
            t.write(home + '/new_id', text)
        t.write(home + '/remove_id', 'ffff fffe')

    def autoprobe(self):
        t, vf, slot = self.t, self.vfs[0], self.vf_slots[0]
        t.title('sriov_drivers_autoprobe')
        t.write(self.numvfs, '0')
        t.write(self.pf + '/sriov_drivers_autoprobe', '2')
        for text in ('n', '0'):
            t.write(self.pf + '/sriov_drivers_autoprobe', text)
            t.read(self.pf + '/sriov_drivers_autoprobe')
        t.write(self.numvfs, '1')
        t.write('bus/pci/drivers/%s/bind' % self.driver, slot)
        t.write('bus/pci/drivers_probe', slot)
        t.write(vf + '/driver_override', self.driver)
        t.write('bus/pci/drivers_probe', slot)
        t.write(self.numvfs, '0')
        t.write(self.pf + '/sriov_drivers_autoprobe', 'on')
        t.read(self.pf + '/sriov_drivers_autoprobe')

    def without_driver(self):
        t, home = self.t, 'bus/pci/drivers/' + self.driver
        # an override may be all that makes the driver take this PF
        t.title('A PF without driver')
        t.write(self.numvfs, '2')
        t.write(home + '/unbind', self.pf_slot)
        t.read(self.numvfs)
        t.write(self.numvfs, t.show(self.numvfs).strip())
        t.write(self.numvfs, '3')
        t.write(self.numvfs, 'x')
        t.write(home + '/bind', self.pf_slot)
        t.write(self.numvfs, '0')

    def removal(self):
        t, slot = self.t, self.pf_slot
        t.title('remove and rescan')
        override = t.show(self.pf + '/driver_override')
        t.write(self.numvfs, '1')
        for text in ('x', '0', '1'):
            t.write(self.pf + '/remove', text)
        t.call('stat', self.pf, os.stat)
        for text in ('x', '0'):
            t.write('bus/pci/rescan', text)
        # which driver takes it then is the host's affair
        t.say('write bus/pci/rescan %r -> %s' % ('1', t.outcome(lambda: self.store('bus/pci/rescan', '1'))[1]))
        t.call('stat', self.pf, os.stat)
        t.read(self.pf + '/driver_override')
        t.read(self.numvfs)
        if os.path.lexists(t.at(self.pf + '/driver')):
            self.store(self.pf + '/driver/unbind', slot)
        if override != '(null)\n':
            self.store(self.pf + '/driver_override', override)
        self.store('bus/pci/drivers/%s/bind' % self.driver, slot)
        t.before = t.picture()

    def bus_autoprobe(self):
        """drivers_autoprobe is about drivers that come later: a new function gets its driver all the same."""
        t = self.t
        t.title('drivers_autoprobe')
        for text in ('0', 'x', '0\n'):
            t.write('bus/pci/drivers_autoprobe', text)
            t.read('bus/pci/drivers_autoprobe')
        t.write(self.numvfs, '1')
        t.write(self.numvfs, '0')
        t.write('bus/pci/drivers_autoprobe', '1')
        t.read('bus/pci/drivers_autoprobe')

    # -- mediated devices

    def kinds(self, parent):
        """Type directories of a parent with their frame buffer, smallest first."""
        found = []
        for name in self.t.listing(parent + '/mdev_supported_types'):
            path = '%s/mdev_supported_types/%s' % (parent, name)
            text = self.t.show(path + '/description') if 'description' in self.t.listing(path) else ''
            size = re.search(r'framebuffer=(\d+)M', text)
            found.append((int(size.group(1)) if size else 0, name, path))
        return sorted(found)

    def offers(self, parent, size, meaning):
        """What a parent still offers, of a size and of the others."""
        same, other = set(), set()
        for wanted, _, path in self.kinds(parent):
            (same if wanted == size else other).add(int(self.t.show(path + '/available_instances')))
        self.t.say('%s offers, of this size: %s; of other sizes: %s' % (meaning, sorted(same), sorted(other)))

    def mdev(self):
        t = self.t
        t.write(self.numvfs, '2')
        kinds = self.kinds(self.vfs[0])
        if not kinds:
            t.write(self.numvfs, '0')
            return
        t.title('Mediated devices on VFs')
        size, name, kind = kinds[len(kinds) // 2]
        t.name(name, 'TYPE')
        t.modes(kind, TYPE_ATTRIBUTES)
        prefixed = all(other[1].startswith(self.driver + '-') for other in kinds)
        t.say('type directories begin with the driver\'s name: %s' % ('yes' if prefixed else 'no'))
        t.read(kind + '/device_api')
        self.offers(self.vfs[0], size, 'VF0')
        for index, text in enumerate((UUIDS[0], UUIDS[1], UUIDS[2])):
            t.name(text, 'UUID%d' % index)
        create = kind + '/create'
        other = '%s/mdev_supported_types/%s/create' % (self.vfs[1], name)
        for text in ('x', UUIDS[0][:-1], UUIDS[0] + '00', UUIDS[0].replace('-', '_'), 'g' + UUIDS[0][1:], ''):
            t.write(create, text)
        t.write(create, UUIDS[0].upper() + '\n')
        device = 'bus/mdev/devices/' + UUIDS[0]
        t.modes(device, ('remove', 'mdev_type', 'subsystem', 'iommu_group'))
        for link in ('mdev_type', 'subsystem'):
            t.follow(device + '/' + link)
        members = t.listing(device + '/iommu_group/devices')
        t.say('its group holds: %s' % t.plain(' '.join(members)))
        t.read(device + '/iommu_group/type')
        t.say('type\'s devices: %s' % t.plain(' '.join(t.listing(kind + '/devices'))))
        self.offers(self.vfs[0], size, 'VF0')
        self.offers(self.vfs[1], size, 'VF1')
        t.write(other, UUIDS[0])
        t.write(create, UUIDS[1])
        t.write(other, UUIDS[1])
        for text in ('x', '', '0'):
            t.write(device + '/remove', text)
        t.write(device + '/remove', '1\n')
        self.offers(self.vfs[0], size, 'VF0')
        t.write('bus/pci/drivers/%s/unbind' % self.driver, self.vf_slots[1])
        t.write('bus/pci/drivers/%s/bind' % self.driver, self.vf_slots[1])
        t.write(create, UUIDS[2])
        t.write(self.numvfs, '0')

    # -- NVIDIA's vendor VFIO

    def vendor(self):
        t, current = self.t, self.vfs[0] + '/nvidia/current_vgpu_type'
        t.write(self.numvfs, '2')
        if os.path.exists(t.at(current)):
            t.title('Vendor VFIO')
            t.modes(self.vfs[0] + '/nvidia', ('creatable_vgpu_types', 'current_vgpu_type', 'vgpu_params'))
            lines = t.show(self.vfs[0] + '/nvidia/creatable_vgpu_types').splitlines()
            regular = all(re.fullmatch(r'\d+ *: .+', line) for line in lines[1:])
            t.say('first line: %r; the others are "ID : NAME": %s' % (lines[0], 'yes' if regular else 'no'))
            chosen = lines[len(lines) // 2].split()[0]
            t.name(chosen, 'TYPE')
            t.read(current)
            for text in ('0', 'x', '-1', chosen, chosen, 'x'):
                t.write(current, text)
                t.read(current)
            t.say('creatable on VF0: %d' % (len(t.show(self.vfs[0] + '/nvidia/creatable_vgpu_types').splitlines()) - 1))
            t.write(current, '0')
            t.say('creatable on VF0 as before: %s' % (t.show(self.vfs[0] + '/nvidia/creatable_vgpu_types').splitlines() == lines))
            t.write(current, '0')
        t.write(self.numvfs, '0')

    def run(self):
        self.files()
        self.numbers()
        self.override()
        self.binding()
        self.vfio()
        self.autoprobe()
        self.bus_autoprobe()
        self.without_driver()
        self.removal()
        self.mdev()
        self.vendor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sys', default='/sys', help='where the sysfs is mounted')
    parser.add_argument('--pf', help='address of the PF to use')
    options = parser.parse_args()
    transcript = Transcript(options.sys, sys.stdout)
    try:
        session = Session(transcript, find_pf(transcript, options.pf))
    except NoPf as reason:
        print('sysfs_ops: %s' % reason, file=sys.stderr)
        return 1
    session.run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
