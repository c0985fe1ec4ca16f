# SPDX-License-Identifier: MIT
# The state that a described machine is in: BARs and who holds them, power, resets, reserved memory, NVIDIA's view of its GPUs, units, logs.
"""What machine.py writes besides what hardware there is. Without a key a card is as a healthy one is. machines/README.md has the keys."""
import re

# Keys of a card, and of the machine.
FUNCTION_KEYS = {'bars', 'power_state', 'config', 'reset_method', 'reserved', 'framebuffer', 'initialised', 'mig', 'mixed_size', 'vf'}
MACHINE_KEYS = {'kernel_log', 'units', 'journals'}
NVIDIA_KEYS = {'version', 'host_vgpu', 'open', 'vgpu_vfio', 'installed'}
VF_KEYS = {'driver', 'nvidia'}

K, M, G = 1 << 10, 1 << 20, 1 << 30
UNITS = {'K': K, 'M': M, 'G': G}
# Flags of `resource` (include/linux/ioport.h): memory below 4 GiB, 64-bit prefetchable memory, ports, an expansion ROM.
LOW, WIDE, PORTS, ROM = 0x40200, 0x14220c, 0x40101, 0x46200
ROM_INDEX, VF_INDEX = 6, 7  # lines of `resource`: the ROM, and the first of the BARs of all VFs together
# Who may hold a BAR before a driver does: what the firmware's framebuffer is called in /proc/iomem, by kernel and sysfb driver.
FRAMEBUFFERS = ('BOOTFB', 'efifb', 'simple-framebuffer', 'simplefb')
# The window of interrupt messages, which no IOMMU translates (Documentation/ABI/testing/sysfs-kernel-iommu_groups).
RESERVED = '0x00000000fee00000 0x00000000feefffff msi\n'


class DescriptionError(Exception):
    """The description is wrong: what, where, and what it may be."""


# --- BARs --------------------------------------------------------------------------------------------------------------------


def size_of(text):
    found = re.fullmatch(r'(\d+)([KMG])', str(text))
    if not found:
        raise DescriptionError('a BAR is "unassigned" or a size like 64G, it is %r' % (text,))
    return int(found.group(1)) * UNITS[found.group(2)]


def power_of_two(size):
    return 1 << (size - 1).bit_length()


def plausible_bars(function, memory_mb):
    """{index: (size, flags)} of a function that the firmware has given all it asks for."""
    kind, vendor = function.pci_class >> 16, function.vendor
    if function.bridge_to is not None or kind in (0x06, 0x08):
        return {}
    if kind not in (0x03, 0x12):
        return {0: (16 * K, LOW)}
    if vendor == 0x10de:
        # A display that is on leaves 256 MiB; boards of 8 GiB and the T4 have no more without one (nvidia-smi -q, "BAR1 Memory Usage")
        large = function.pci_class >> 8 == 0x0302 and (memory_mb or 0) > 8192 and function.spec.get('board') != 'Tesla T4'
        bars = {0: (64 * M if function.device >= 0x2900 else 16 * M, LOW), 1: (power_of_two(memory_mb * M) if large else 256 * M, WIDE),
                3: (32 * M, WIDE)}
    elif vendor == 0x1002:
        bars = {0: (256 * M, WIDE), 2: (2 * M, WIDE), 4: (256, PORTS), 5: (512 * K, LOW)}
    elif vendor == 0x8086:
        bars = {0: (16 * M, WIDE), 2: (256 * M if function.address[1] == 0 else 8 * G, WIDE), 4: (64, PORTS)}
    else:
        bars = {0: (16 * M, LOW), 1: (128 * K, LOW)}
    if function.pci_class >> 8 == 0x0300 and vendor == 0x10de:
        bars.update({5: (128, PORTS), ROM_INDEX: (512 * K, ROM)})
    total = function.spec.get('total_vfs')
    if total and vendor in VF_BARS:
        bars.update({VF_INDEX + index: (size * total, flags) for index, (size, flags) in VF_BARS[vendor].items()})
    return bars


# BARs of one VF: NVIDIA's, and those of Intel's graphics.
VF_BARS = {0x10de: {0: (256 * K, LOW), 1: (2 * G, WIDE), 3: (32 * M, WIDE)}, 0x8086: {0: (16 * M, WIDE), 2: (512 * M, WIDE)}}


class Resources:
    """Addresses of all BARs, in the order of the functions: the same for the same description."""

    def __init__(self, machine):
        self.next = {LOW: 0x90000000, WIDE: 0x380000000000, PORTS: 0x3000}
        self.bars = {}  # slot -> {index: (start, end, flags)}; start None: unassigned
        ordered = sorted(machine.functions.values(), key=lambda function: function.address)
        for function in ordered:
            if not function.physfn:
                self.bars[function.slot] = self.assigned(function, function.memory_mb)
        for function in ordered:
            if function.physfn:
                self.bars[function.slot] = self.of_vf(function)

    def assigned(self, function, memory_mb):
        wanted, given = plausible_bars(function, memory_mb), function.spec.get('bars') or {}
        for index, value in given.items():
            if not isinstance(index, int) or not 0 <= index <= 12:
                raise DescriptionError('%s.bars: %r is no line of `resource` (0 to 12)' % (function.slot, index))
            flags = wanted.get(index, (0, WIDE))[1]
            wanted[index] = (0, flags) if value == 'unassigned' else (size_of(value), flags)
        found = {}
        for index, (size, flags) in sorted(wanted.items()):
            if size == 0:
                found[index] = (None, None, flags)
                continue
            room = LOW if flags == ROM else flags
            align = power_of_two(size)
            start = (self.next[room] + align - 1) // align * align
            self.next[room] = start + size
            found[index] = (start, start + size - 1, flags)
        return found

    def of_vf(self, vf):
        whole, number, found = self.bars[vf.physfn.slot], vf.physfn.vfs.index(vf), {}
        for index, (size, flags) in VF_BARS.get(vf.vendor, {}).items():
            start = whole.get(VF_INDEX + index, (None,))[0]
            found[index] = (None, None, flags) if start is None else (start + number * size, start + (number + 1) * size - 1, flags)
        return found

    def text(self, function):
        """The file `resource` (resource_show, drivers/pci/pci-sysfs.c: the windows of bridges come last)."""
        bars = self.bars[function.slot]
        return ''.join('0x%016x 0x%016x 0x%016x\n' % (bars[index][0] or 0, bars[index][1] or 0, bars[index][2]) if index in bars else
                       '0x%016x 0x%016x 0x%016x\n' % (0, 0, 0) for index in range(17 if function.bridge_to is not None else 13))

    def iomem(self, machine):
        """/proc/iomem: memory, each assigned BAR with its device, and who holds it: its driver, or the firmware's framebuffer in it."""
        regions = [(0x1000, 0x9ffff, ['System RAM']), (0x100000, 0x7fffffff, ['System RAM']), (0x100000000, 0x207fffffff, ['System RAM']),
                   (0xfee00000, 0xfee00fff, ['Local APIC'])]
        for function in sorted(machine.functions.values(), key=lambda each: each.address):
            framebuffer = function.spec.get('framebuffer')
            if framebuffer not in (None,) + FRAMEBUFFERS:
                raise DescriptionError('%s.framebuffer must be one of %s, it is %r' % (function.slot, ', '.join(FRAMEBUFFERS), framebuffer))
            for index, (start, end, flags) in sorted(self.bars[function.slot].items()):
                if start is None or flags in (PORTS, ROM) or index >= VF_INDEX:
                    continue
                below = [function.slot]
                if framebuffer and index == framebuffer_bar(function):
                    regions += [(start, start + 0x2fffff, below + [framebuffer])]
                elif function.driver and (function.driver != 'vfio-pci' or machine.in_use(function.slot)):
                    regions += [(start, end, below + [function.driver])]  # vfio-pci takes the BARs when a guest opens the device
                regions += [(start, end, below)]
        lines = []
        for start, end, names in sorted(regions, key=lambda region: (region[0], len(region[2]))):
            lines.append('%s%08x-%08x : %s\n' % ('  ' * (len(names) - 1), start, end, names[-1]))
        return ''.join(lines)


def framebuffer_bar(function):
    """The BAR with the memory that a firmware draws in."""
    return {0x10de: 1, 0x1002: 0, 0x8086: 2}.get(function.vendor, 0)


# --- The rest of /sys ----------------------------------------------------------------------------------------------------------


def write_function(machine, tree, function):
    spec, base = function.spec, function.path
    tree.write(base + '/resource', machine.resources.text(function), 0o444)
    if spec.get('config') not in (None, 'dead'):
        raise DescriptionError('%s.config: only "dead" can be described, it is %r' % (function.slot, spec['config']))
    if spec.get('config') == 'dead':
        tree.write(base + '/config', b'\xff' * 256)
    if function.bridge_to is not None or function.pci_class >> 16 == 0x06:
        return  # the files below are there too, and nobody asks for them
    # vfio-pci puts what nobody uses to sleep (its parameter disable_idle_d3); a VF has no power management of its own, and FLR only
    idle = function.driver == 'vfio-pci' and not function.physfn and not machine.in_use(function.slot)
    tree.write(base + '/power_state', spec.get('power_state', 'D3hot' if idle else 'D0') + '\n', 0o444)
    if machine.kernel_at_least(5, 15):
        tree.write(base + '/reset_method', spec.get('reset_method', 'flr bus' if function.address[1] and not function.physfn else 'flr') + '\n')


def reserved_regions(machine, number):
    """The file reserved_regions of an IOMMU group: in the order of the addresses."""
    lines = [RESERVED]
    for function in machine.functions.values():
        if function.group == number:
            for line in function.spec.get('reserved', ()):
                found = re.fullmatch(r'0x([0-9a-f]+) 0x([0-9a-f]+) (direct|direct-relaxable|reserved|msi)', str(line))
                if not found:
                    raise DescriptionError('%s.reserved: %r is no line like "0xbdf83000 0xbdf84fff direct"' % (function.slot, line))
                lines.append('0x%016x 0x%016x %s\n' % (int(found.group(1), 16), int(found.group(2), 16), found.group(3)))
    return ''.join(sorted(set(lines)))


# --- NVIDIA --------------------------------------------------------------------------------------------------------------------


def mig_instances(spec):
    """The slices of each GPU instance, or None without MIG mode."""
    mig = spec.get('mig')
    if mig is None or isinstance(mig, bool):
        return [] if mig else None
    if not isinstance(mig, list) or not all(isinstance(slices, int) for slices in mig):
        raise DescriptionError('mig is true, false (MIG is off) or the slices of each GPU instance, like [1, 1, 2]; it is %r' % (mig,))
    return mig


def slices_of(item):
    """Of a type that is backed by a GPU instance ("A30-1-6C"), else None."""
    found = re.search(r'-(\d)-\d+[A-Z]+$', item.name or '')
    return int(found.group(1)) if found else None


def room(item, used, spec):
    """How many more instances of a type a GPU takes (GPU-FACTS 9): of one size, up to the type's maximum; with mixed sizes what memory is
    left; in MIG mode one for each free GPU instance of the type's slices, and none of those that share the GPU in time."""
    instances, slices = mig_instances(spec), slices_of(item)
    if instances is not None:
        return 0 if slices is None else max(instances.count(slices) - sum(slices_of(other) == slices for other in used), 0)
    if slices is not None:
        return 0
    if item.max_instances is None:
        return 1
    if spec.get('mixed_size'):
        memory = max(other.framebuffer * other.max_instances for other in spec['types'] if other.framebuffer and other.max_instances)
        return max(min(item.max_instances - len(used), (memory - sum(other.framebuffer for other in used)) // item.framebuffer), 0)
    if any(other.framebuffer != item.framebuffer for other in used):
        return 0
    return max(item.max_instances - len(used), 0)


def write_nvidia(machine, tree, nvidia):
    """/proc/driver/nvidia of a loaded driver."""
    kind = 'NVIDIA UNIX Open Kernel Module for x86_64' if nvidia.get('open') else 'NVIDIA UNIX x86_64 Kernel Module'
    tree.write('proc/driver/nvidia/version', 'NVRM version: %s  %s  Release Build  (dvs-builder)\nGCC version:  gcc\n' % (
        kind, nvidia['version']), 0o444)
    owned = sorted((function for function in machine.functions.values()
                    if function.driver == 'nvidia' and not function.physfn), key=lambda function: function.address)
    for minor, function in enumerate(owned):
        spec, base = function.spec, 'proc/driver/nvidia/gpus/' + function.slot
        model, lives = spec.get('board', 'Graphics Device'), spec.get('initialised', True)
        unique = machine.stable_uuid('gpu', machine.node, function.slot)
        # What the driver has not read from a GPU it shows as question marks; GSP firmware runs with the open modules, or not at all
        firmware = nvidia['version'] if lives and nvidia.get('open') else 'N/A'
        tree.write(base + '/information',
                   'Model: \t\t %s\nIRQ:   \t\t %d\nGPU UUID: \t GPU-%s\nVideo BIOS: \t %s\nBus Type: \t PCIe\n'
                   'DMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\nBus Location: \t %s\nDevice Minor: \t %d\n'
                   'GPU Firmware: \t %s\nGPU Excluded:\t No\n' % (
                       model if model.startswith('NVIDIA') else 'NVIDIA ' + model, 100 + minor,
                       unique if lives else re.sub('[0-9a-f]', '?', unique),
                       '%02x.02.5c.00.%s' % (function.device >> 8, unique[:2]) if lives else '??.??.??.??.??', function.slot, minor, firmware), 0o444)
        tree.write(base + '/unbindLock', '0\n')
        if lives and {'mig', 'mixed_size'} & set(spec):  # of others the description does not say
            write_modes(tree, function, nvidia)
        write_mig(tree, 'proc/driver/nvidia/capabilities/gpu%d/mig' % minor, spec)


def write_modes(tree, function, nvidia):
    """What `nvidia-smi -q -i ADDRESS` tells of modes that no file shows. Lines and their order as recorded of 525 and 580."""
    spec = function.spec
    mig = 'N/A' if 'mig' not in spec and not function.mig_capable else 'Disabled' if mig_instances(spec) is None else 'Enabled'
    domain, bus, device, number = function.address
    lines = ['GPU %08X:%02X:%02X.%d' % (domain, bus, device, number), '    Product Name                          : NVIDIA %s' % spec.get('board', 'Graphics Device'),
             '    MIG Mode', '        Current                           : ' + mig, '        Pending                           : ' + mig]
    if nvidia.get('host_vgpu', True):
        lines += ['    GPU Virtualization Mode', '        Virtualization Mode               : Host VGPU']
        if int(str(nvidia['version']).split('.')[0]) >= 550:
            mode = ('Enabled' if spec.get('mixed_size') else 'Disabled') if function.mixed_size_capable else 'N/A'
            lines += ['        vGPU Heterogeneous Mode           : ' + mode]
    tree.write('run/rack-nvidia-smi/' + function.slot, '\n'.join(lines) + '\n')


def write_mig(tree, base, spec):
    """The capabilities of a GPU in MIG mode; a GPU that could be, and is not, has the empty directory."""
    if 'mig' not in spec:
        return
    tree.mkdir(base)
    instances = mig_instances(spec)
    if instances is None:
        return
    access = 'DeviceFileMinor: %d\n'
    tree.write(base + '/config', access % 1, 0o444)
    for number, _ in enumerate(instances, 1):
        tree.write('%s/gi%d/access' % (base, number), access % (3 + 9 * number), 0o444)
        tree.write('%s/gi%d/ci0/access' % (base, number), access % (4 + 9 * number), 0o444)


NVIDIA_UNITS = {'nvidia-vgpu-mgr.service': 'active enabled', 'nvidia-vgpud.service': 'inactive enabled'}


def with_installed_nvidia(spec, kernel):
    """`nvidia: {installed: true}`: what the installer leaves besides the loaded modules, as keys of the description; its own keys win."""
    nvidia = spec.get('nvidia') or {}
    if not nvidia.get('installed'):
        return spec
    version, host_vgpu = str(nvidia['version']), nvidia.get('host_vgpu', True)
    license_text = 'Dual MIT/GPL' if nvidia.get('open') else 'NVIDIA'
    modules = {'nvidia': {'version': version, 'file': 'updates/dkms/nvidia.ko', 'license': license_text}}
    programs = ['usr/bin/nvidia-smi', 'usr/bin/nvidia-uninstall']
    if host_vgpu:
        modules['nvidia_vgpu_vfio'] = {'version': version, 'file': 'updates/dkms/nvidia-vgpu-vfio.ko', 'license': license_text,
                                       'loaded': nvidia.get('vgpu_vfio', True)}
        programs += ['usr/bin/nvidia-vgpu-mgr', 'usr/bin/nvidia-vgpud']
    files = {program: {'content': '', 'mode': '755'} for program in programs}
    files['usr/src/nvidia-%s/dkms.conf' % version] = 'PACKAGE_NAME="nvidia"\nPACKAGE_VERSION="%s"\n' % version
    files['usr/src/linux-headers-%s/Makefile' % kernel] = 'all:\n'
    files['etc/modprobe.d/nvidia-installer-disable-nouveau.conf'] = 'blacklist nouveau\noptions nouveau modeset=0\n'
    return dict(spec, modules={**modules, **(spec.get('modules') or {})}, files={**files, **(spec.get('files') or {})},
                units={**(NVIDIA_UNITS if host_vgpu else {}), **(spec.get('units') or {})})


# --- Units and logs ------------------------------------------------------------------------------------------------------------


SUB_STATES = {'active': 'running', 'inactive': 'dead', 'failed': 'failed', 'activating': 'auto-restart'}
UNIT_FILE_STATES = ('enabled', 'disabled', 'static', 'masked')
UNIT_PLACE, OWN_PLACE = 'usr/lib/systemd/system/', 'etc/systemd/system/'


def units(machine):
    """name -> (active state, unit file state)"""
    found = {}
    for name, text in (machine.spec.get('units') or {}).items():
        words = (str(text).split() + ['enabled'])[:2]
        if '.' not in name or words[0] not in SUB_STATES or words[1] not in UNIT_FILE_STATES:
            raise DescriptionError('units.%s: %r; say "NAME.service: STATE FILE_STATE": %s; %s (enabled)' % (
                name, text, ', '.join(SUB_STATES), ', '.join(UNIT_FILE_STATES)))
        found[name] = tuple(words)
    return found


def write_installed_units(machine, tree):
    for name, (_, file_state) in units(machine).items():
        template = re.sub('@.*[.]', '@.', name)
        if file_state == 'masked':
            tree.symlink(OWN_PLACE + name, '/dev/null')
            continue
        install = '' if file_state == 'static' else '\n[Install]\nWantedBy=multi-user.target\n'
        tree.write(UNIT_PLACE + template, '[Unit]\nDescription=%s\n\n[Service]\nExecStart=/usr/bin/%s\n%s' % (
            name, template.rsplit('.', 1)[0].rstrip('@'), install))
        if file_state == 'enabled':
            tree.symlink('%smulti-user.target.wants/%s' % (OWN_PLACE, name), '/' + UNIT_PLACE + template)


def write_running(machine, tree):
    """/run/rack-units and /run/rack-journal, which the stand-ins of systemctl and journalctl answer from, and /proc/iomem."""
    for name, (active, _) in units(machine).items():
        tree.write('run/rack-units/' + name, '%s %s\n' % (active, SUB_STATES[active]))
    logs = dict(machine.spec.get('journals') or {})
    if machine.spec.get('kernel_log'):
        logs['kernel'] = machine.spec['kernel_log']
    for name, lines in logs.items():
        if not isinstance(lines, list):
            raise DescriptionError('the log of %s must be a list of lines, it is %r' % (name, lines))
        tree.write('run/rack-journal/' + name, ''.join('%s\n' % line for line in lines))
    tree.write('proc/iomem', machine.resources.iomem(machine), 0o444)
