# SPDX-License-Identifier: MIT
# PCI devices of guests as Proxmox VE checks, chooses, prepares and frees them, on the node's simulated /sys.
"""Follows qemu-server's PCI.pm, PCI/Mdev.pm, QemuServer.pm (vm_start_nolock, cleanup_pci_devices), guest-common's Mapping/PCI.pm and
common's SysFSTools.pm; what changed from release to release is in PVE-FACTS 1.1, 1.5 and 2. Messages are theirs."""
import contextlib
import errno
import fcntl
import os
import re
import subprocess
import time

import standin
from bootfiles import ToolError, read

DEVICES = '/sys/bus/pci/devices/'
VFIO = '/sys/bus/pci/drivers/vfio-pci'
RESERVATIONS = '/run/qemu-server/pci-id-reservations'
SLOTS = 16
ADDRESS = r'(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?'
BOOLEAN = r'(?i:0|1|on|off|yes|no|true|false)'
HEX = r'0x[0-9a-fA-F]{4}'
# key -> (pattern, since)
KEYS = {'host': ('%s(;%s)*' % (ADDRESS, ADDRESS), (0, 0)), 'mapping': (r'[A-Za-z][A-Za-z0-9_-]+', (8, 0)), 'rombar': (BOOLEAN, (0, 0)),
        'romfile': (r'[^,;]+', (0, 0)), 'pcie': (BOOLEAN, (0, 0)), 'x-vga': (BOOLEAN, (0, 0)), 'legacy-igd': (BOOLEAN, (0, 0)),
        'mdev': (r'[^/\.:]+', (0, 0)), 'vendor-id': (HEX, (7, 2)), 'device-id': (HEX, (7, 2)), 'sub-vendor-id': (HEX, (7, 2)),
        'sub-device-id': (HEX, (7, 2)), 'driver': (r'vfio|keep', (9, 1))}
# NVIDIA's driver may take a mediated device away by itself: Proxmox VE waits ten seconds for that, the rack a shorter time
PATIENCE = 0.02


def release():
    """(8, 4) of 8.4.1"""
    return tuple(int(part) for part in re.findall(r'\d+', standin.machine()['pve'])[:2])


def true(value):
    return str(value).lower() in ('1', 'on', 'yes', 'true')


# --- the property ---------------------------------------------------------------------------------------------------------------


class FormatError(ToolError):
    """What PVE::JSONSchema::check_format says."""


def parse(option, value):
    """The keys of a value of hostpciN; the errors of PVE::JSONSchema::check_format."""
    found, wrong = {}, []
    for part in value.split(','):
        if not part.strip():
            continue
        key, sign, text = part.partition('=')
        if not sign:
            key, text = 'host', part
        if key in found:
            wrong.append('duplicate key in comma-separated list property: %s' % key)
        elif key not in KEYS or release() < KEYS[key][1]:
            wrong.append('%s: property is not defined in schema and the schema does not allow additional properties' % key)
        elif not re.fullmatch(KEYS[key][0], text):
            wrong.append('%s: value does not match the regex pattern' % key)
        found[key] = text
    if release() < (8, 0) and 'host' not in found:
        wrong.append('host: property is missing and it is not optional')
    if wrong:
        raise FormatError('format error\n%s\n' % '\n'.join('%s.%s' % (option, line) for line in wrong), 255)
    return found


# --- /sys -----------------------------------------------------------------------------------------------------------------------


def normal(address):
    return address if re.match(r'[a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}', address) else '0000:' + address


def attribute(address, name):
    try:
        with open(DEVICES + address + '/' + name, encoding='ascii') as file:
            return file.readline().rstrip('\n')
    except OSError:
        return None


def write(path, text, existing=False):
    """PVE::SysFSTools::file_write: whether it worked."""
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
        return True
    except OSError as error:
        if existing and error.errno == errno.EEXIST:
            return True
        standin.warn("error writing '%s' to '%s': %s" % (text, path, error.strerror))
        return False
    finally:
        os.close(fd)


def functions(address):
    """The functions that an address means, as they are there now."""
    address = normal(address)
    if '.' in address:
        return [address] if os.path.exists(DEVICES + address) else []
    return sorted(name for name in os.listdir(DEVICES) if name.startswith(address + '.'))


def info(address):
    """What assert_valid compares; None without such a device."""
    ids = [attribute(address, name) for name in ('vendor', 'device', 'subsystem_vendor', 'subsystem_device')]
    if ids[0] is None:
        return None
    ids = [value and value[2:] for value in ids]
    group = os.path.basename(os.readlink(DEVICES + address + '/iommu_group')) if os.path.exists(DEVICES + address + '/iommu_group') else None
    mediated = os.path.isdir(DEVICES + address + '/mdev_supported_types') or (
        release() >= (8, 4) and os.path.isdir(DEVICES + address + '/nvidia'))
    return {'id': '%s:%s' % (ids[0], ids[1]), 'subsystem-id': '%s:%s' % (ids[2], ids[3]) if ids[2] and ids[3] else None,
            'iommugroup': group, 'mdev': '1' if mediated else '0'}


def has_iommu():
    return os.path.isdir('/sys/class/iommu') and bool(os.listdir('/sys/class/iommu'))


# --- mappings -------------------------------------------------------------------------------------------------------------------


def mapping(name):
    """({key: value}, [entries]) of a section of pci.cfg, as PVE::SectionConfig reads it; None without it."""
    import mapping as mappings  # pylint: disable=import-outside-toplevel
    section = mappings.load().get(name)
    return section and ({key: value for key, value in section.items() if key != 'map'}, [mappings.parse_entry(text) for text in section['map']])


def assert_valid(name, entry, section):
    """PVE::Mapping::PCI::assert_valid."""
    old = release() < (8, 3)
    for index, path in enumerate(entry.get('path', '').split(';')):
        if '.' not in path:
            path += '.0'
        there = info(path)
        if there is None:
            raise ToolError("pci device '%s' not found" % path, 255)
        configured = {key: entry.get(key) for key in ('id', 'iommugroup', 'subsystem-id')}
        if release() >= (8, 4):
            configured['mdev'] = '1' if section.get('mdev') == '1' else '0'
        for key in sorted(configured):
            mine, theirs = configured[key], there[key]
            if (key == 'iommugroup' and index > 0) or (mine is None and theirs is None):
                continue
            if mine is None:
                raise ToolError(("no '%s' for device '%s'" if old else "missing expected property '%s' for device '%s'") % (key, path), 255)
            if theirs is None:
                raise ToolError("'%s' configured but should not be" % key if old else
                                "unexpected property '%s' configured for device '%s'" % (key, path), 255)
            if mine.replace('0x', '') != theirs:
                raise ToolError("'%s' does not match for '%s' (%s != %s)" % (key, name, theirs, mine), 255)


# --- choosing ---------------------------------------------------------------------------------------------------------------------


def wished(option, value):
    """parse_hostpci: the keys, and `ids`, the alternatives, each a list of functions that are passed together."""
    found = parse(option, value)
    if ('host' in found) == ('mapping' in found):  # parse_hostpci; `qm set` of root takes both, and neither (check_hostpci_perm)
        raise ToolError("Cannot set both 'host' and 'mapping'." if 'host' in found else "Either 'host' or 'mapping' must be set.", 255)
    paths = [found.get('host', '')]
    if 'mapping' in found:
        name, section = found['mapping'], mapping(found['mapping'])
        entries = [entry for entry in (section[1] if section else []) if entry.get('node') == os.uname().nodename]
        if not entries:
            raise ToolError("PCI device mapping not found for '%s'" % name, 255)
        for entry in entries:  # all of them, whichever is chosen
            try:
                assert_valid(name, entry, section[0])
            except ToolError as error:
                raise ToolError('PCI device mapping invalid (hardware probably changed): %s\n' % error, 255) from None
        paths = [entry['path'] for entry in entries]
    found['ids'] = []
    for path in paths:
        ids = []
        for address in path.split(';'):
            there = functions(address)
            if not there:
                raise ToolError("no PCI device found for '%s'" % address, 255)
            ids += there
        if len(ids) > 1:
            found['multifunction'] = True
            if 'mdev' in found or 'nvidia' in found:
                raise ToolError('cannot use mediated device with multifunction device', 255)
        elif 'mdev' in found and release() >= (8, 3) and os.path.isdir(DEVICES + ids[0] + '/nvidia'):
            number = re.fullmatch(r'nvidia-(\d+)', found['mdev'])
            if number:
                found['nvidia'] = number.group(1)
                del found['mdev']
        found['ids'].append(ids)
    return found


def wished_by(config):
    """parse_hostpci_devices: slot -> device."""
    q35, igd, found = 'q35' in config.get('machine', ''), False, {}
    for slot in range(SLOTS):
        value = config.get('hostpci%d' % slot)
        if value is None:
            continue
        device = wished('hostpci%d' % slot, value)
        if true(device.get('pcie')) and not q35:
            raise ToolError('q35 machine model is not enabled', 255)
        if true(device.get('legacy-igd')):
            for wrong, text in ((igd, 'only one device can be assigned in legacy-igd mode'),
                                (config.get('vga') != 'none', "legacy IGD assignment requires VGA mode to be 'none'"),
                                (not true(device.get('rombar', '1')), 'legacy IGD assignment requires rombar to be enabled'),
                                (true(device.get('x-vga')), 'legacy IGD assignment is not compatible with x-vga'),
                                ('mdev' in device or 'nvidia' in device, 'legacy IGD assignment is not compatible with mdev'),
                                (q35, 'legacy IGD assignment is not compatible with q35'),
                                (device.get('multifunction'), 'legacy IGD assignment is not compatible with multifunction devices'),
                                (len(device['ids']) > 1, 'legacy IGD assignment is not compatible with alternate devices'),
                                (not device['ids'][0][0].endswith('02.0'),
                                 'legacy IGD assignment only works for devices on host bus 00:02.0')):
                if wrong:
                    raise ToolError(text, 255)
            igd = True
        found[slot] = device
    return found


@contextlib.contextmanager
def reservations():
    """address -> (vmid, 'pid' or 'time', number), written back."""
    with open(RESERVATIONS + '.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = [re.fullmatch(r'(\S+) (\d+) (time|pid):(\d+)', line) for line in read(RESERVATIONS).splitlines()]
        held = {found.group(1): (int(found.group(2)), found.group(3), int(found.group(4))) for found in lines if found}
        before = dict(held)
        yield held
        if held != before:
            with open(RESERVATIONS + '.new', 'w', encoding='ascii') as file:
                file.writelines('%s %d %s:%d\n' % ((address,) + held[address]) for address in sorted(held))
            os.chmod(RESERVATIONS + '.new', 0o600)
            os.rename(RESERVATIONS + '.new', RESERVATIONS)


def reserve(addresses, vmid, running, pid=None):
    """reserve_pci_usage; `running(vmid)`: the process of a guest. With a pid for good, else until the guest should have started."""
    now = int(time.time())
    with reservations() as held:
        for address in addresses:
            owner, kind, number = held.get(address, (vmid, None, 0))
            if owner != vmid and kind == 'time' and number > now:
                raise ToolError("PCI device '%s' is currently reserved for use by VMID '%d'" % (address, owner), 255)
            if owner != vmid and kind == 'pid':
                if running(owner) == number:
                    raise ToolError("PCI device '%s' already in use by VMID '%d'" % (address, owner), 255)
                standin.warn("leftover PCI reservation found for %s, lets take it..." % address)
        for address in addresses:
            held[address] = (vmid, 'pid', pid) if pid else (vmid, 'time', now + 15)


def release_all(vmid, only=None):
    with reservations() as held:
        for address in [address for address, entry in held.items() if entry[0] == vmid and only in (None, address)]:
            del held[address]


def choose(devices, vmid, running):
    """choose_hostpci_devices: `ids` becomes a list of functions; of mediated devices, a list of alternatives."""
    used = set()

    def take(addresses):
        for address in addresses:
            if address in used:
                raise ToolError("device '%s' assigned more than once" % address, 255)
            used.add(address)
    # what the description says that the guest runs on, if it begins so
    described = {slot for slot, owner in standin.machine()['reservations'] if int(owner) == vmid}
    for slot, device in sorted(devices.items()):
        if 'mdev' in device:
            device['ids'] = [alternative[0] for alternative in device['ids']]
            continue
        if len(device['ids']) == 1:
            device['ids'] = device['ids'][0]
            take(device['ids'])
            if 'nvidia' in device:
                reserve(device['ids'], vmid, running)
                set_nvidia_type(device['ids'][0], device['nvidia'])
            continue
        for alternative in sorted(device['ids'], key=lambda ids: ids[0] not in described):
            if used & set(alternative):
                continue
            try:
                reserve(alternative, vmid, running)
            except ToolError:
                continue
            if 'nvidia' in device:
                try:
                    set_nvidia_type(alternative[0], device['nvidia'])
                except ToolError as error:
                    standin.warn(str(error))
                    release_all(vmid, alternative[0])
                    continue
            take(alternative)
            device['ids'] = alternative
            break
        else:
            raise ToolError("could not find a free device for 'hostpci%d'" % slot, 255)
    return devices


def set_nvidia_type(address, number):
    """create_nvidia_device."""
    path = DEVICES + address + '/nvidia/current_vgpu_type'
    if not os.path.exists(path):
        raise ToolError("no nvidia sysfs api for '%s'" % address, 255)
    current = read(path).strip()
    if current == number:
        return
    if current != '0' and not write(path, '0'):
        raise ToolError("unable to reset vgpu type for '%s'" % address, 255)
    creatable = re.findall(r'^(\d+)\s*:', read(DEVICES + address + '/nvidia/creatable_vgpu_types'), re.M)
    if number not in creatable:
        raise ToolError("vgpu type '%s' not available for '%s'" % (number, address), 255)
    if not write(path, number):
        raise ToolError("could not set vgpu type to '%s' for '%s'" % (number, address), 255)


def create_mdev(address, uuid, kind):
    """pci_create_mdev_device."""
    types = DEVICES + address + '/mdev_supported_types'
    if not os.path.isdir(types):
        raise ToolError("pci device '%s' does not support mediated devices " % address, 255)
    if not os.path.isdir(types + '/' + kind):
        raise ToolError("pci device '%s' has no type '%s'" % (address, kind), 255)
    if os.path.isdir(DEVICES + address + '/' + uuid):
        if os.path.basename(os.readlink(DEVICES + address + '/' + uuid + '/mdev_type')) != kind:
            raise ToolError("mdev instance '%s' already exists, but type is not '%s'" % (uuid, kind), 255)
        standin.warn("mdev instance '%s' already existed, using it." % uuid)
        return
    if int(read(types + '/' + kind + '/available_instances') or 0) < 1:
        raise ToolError("pci device '%s' has no available instances of '%s'" % (address, kind), 255)
    if not write(types + '/' + kind + '/create', uuid):
        raise ToolError("could not create '%s' for pci devices '%s'" % (kind, address), 255)


def bind_group(address):
    """pci_dev_group_bind_to_vfio: all members of the IOMMU group but bridges."""
    if not os.path.isdir(VFIO):
        subprocess.run(['/sbin/modprobe', 'vfio-pci'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if not os.path.isdir(VFIO):
        raise ToolError('Cannot find vfio-pci module!', 255)
    group = DEVICES + address + '/iommu_group/devices'
    if not os.path.isdir(group):
        raise ToolError('Cannot open iommu_group: No such file or directory', 255)
    for member in sorted(os.listdir(group)):
        if os.path.exists(DEVICES + member + '/pci_bus') or (attribute(member, 'class') or '').startswith('0x06'):
            continue
        if os.path.exists(VFIO + '/' + member):
            continue
        ids = '%s %s' % tuple(attribute(member, name)[2:] for name in ('vendor', 'device'))
        done = write(VFIO + '/new_id', ids, True)
        unbind = DEVICES + member + '/driver/unbind'
        if done and not os.path.exists(VFIO + '/' + member):
            done = write(unbind, member) or not os.path.exists(unbind)
        if done and not os.path.exists(VFIO + '/' + member):
            write(VFIO + '/bind', member)
        if not os.path.exists(VFIO + '/' + member):
            raise ToolError('Cannot bind %s to vfio' % member, 255)


def uuid_of(vmid, slot):
    return '%08d-0000-0000-0000-%012d' % (slot, vmid)


def prepare(vmid, slot, device, address):
    """prepare_pci_device."""
    if not has_iommu():
        raise ToolError('cannot prepare PCI pass-through, IOMMU not present', 255)
    if 'nvidia' in device or device.get('driver') == 'keep':
        return
    if 'mdev' in device:
        create_mdev(address, uuid_of(vmid, slot), device['mdev'])
        return
    bind_group(address)
    if os.path.exists(DEVICES + address + '/reset') and not write(DEVICES + address + '/reset', '1'):
        standin.warn("failed to reset PCI device '%s', but trying to continue as not all devices need a reset" % address)


def start(vmid, config, running):
    """What vm_start does before the process is there: (words for its command line, addresses to reserve when it is)."""
    try:
        devices = choose(wished_by(config), vmid, running)
        kept = [address for device in devices.values() if 'mdev' not in device for address in device['ids']]
        reserve(kept, vmid, running)
        words, uuid = [], None
        for slot, device in sorted(devices.items(), key=lambda entry: 'hostpci%d' % entry[0]):
            chosen = None
            for address in device['ids']:
                try:
                    prepare(vmid, slot, device, address)
                    chosen = chosen or address
                except ToolError as error:
                    if 'mdev' not in device and 'nvidia' not in device:
                        raise
                    standin.warn(str(error))
                if chosen and ('mdev' in device or 'nvidia' in device):
                    break
            mediated = 'mdev' in device or 'nvidia' in device
            if chosen is None and mediated:
                raise ToolError('could not create mediated device', 255)
            if mediated and uuid is None and attribute(chosen, 'vendor') == '0x10de':
                named = re.search(r'(?:^|,)uuid=([^,]+)', config.get('smbios1', ''))
                uuid = named.group(1) if named else uuid_of(vmid, slot)
            words += command_line(vmid, slot, device)
    except ToolError:
        free(vmid, config)
        raise
    return words + (['-uuid', uuid] if uuid else []), kept


def command_line(vmid, slot, device):
    """print_hostpci_devices, without the places on the guest's bus."""
    words = []
    several = len(device['ids']) > 1 and 'mdev' not in device
    for index, address in enumerate(device['ids']):
        text = 'vfio-pci,%s' % ('sysfsdev=/sys/bus/mdev/devices/' + uuid_of(vmid, slot) if 'mdev' in device else 'host=' + address)
        text += ',id=hostpci%d%s' % (slot, '.%d' % index if several else '')
        if index == 0:
            text += '' if true(device.get('rombar', '1')) else ',rombar=0'
            text += ',x-vga=on' if true(device.get('x-vga')) else ''
            text += ',multifunction=on' if several else ''
            if 'romfile' in device:
                path = '/usr/share/kvm/' + device['romfile']
                if not os.path.exists(path):
                    raise ToolError('kvm: -device %s: failed to find romfile "%s"\nstart failed: QEMU exited with code 1' % (text, path), 255)
                text += ',romfile=' + path
            text += ''.join(',x-pci-%s=%s' % (key, device[key]) for key in ('vendor-id', 'device-id', 'sub-vendor-id', 'sub-device-id')
                            if key in device)
        words += ['-device', text]
        if 'mdev' in device:
            break
    return words


def free(vmid, config):
    """cleanup_pci_devices. What was bound to vfio-pci stays so."""
    with reservations() as held:
        mine = [address for address, entry in held.items() if entry[0] == vmid]
    for address in mine:
        path = DEVICES + normal(address) + '/nvidia/current_vgpu_type'
        if not os.path.exists(path):
            continue
        for _ in range(10):
            if read(path).strip() == '0':
                break
            time.sleep(PATIENCE)
            write(path, '0')
        else:
            standin.warn("could not cleanup nvidia vgpu for '%s'" % address)
    for key in config:
        slot = re.fullmatch(r'hostpci(\d+)', key)
        path = slot and '/sys/bus/mdev/devices/' + uuid_of(vmid, int(slot.group(1)))
        if not slot or not os.path.exists(path):
            continue
        time.sleep(PATIENCE)
        print('actively clean up mediated device with UUID %s' % os.path.basename(path))
        write(path + '/remove', '1')
    release_all(vmid)
