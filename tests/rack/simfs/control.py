# SPDX-License-Identifier: MIT
# Python's side of simfs and the supervisor: the model of a machine, starting simfs, talking to a control socket.
import contextlib
import json
import os
import signal
import socket
import subprocess

# What the kernel modules know by themselves and no file shows: which ids a driver takes (fields as in new_id, ffffffff takes all),
# whether it has sriov_configure, whether it leaves VFs alone when it lets go of a PF.
ANY = 'ffffffff'
VGA, DISPLAY_3D, DISPLAY = '030000 ffff00', '030200 ffff00', '030000 ff0000'
DRIVERS = [
    {'name': 'pcieport', 'ids': ['%s %s %s %s 060400 ffff00' % (ANY, ANY, ANY, ANY)]},
    {'name': 'nouveau', 'module': 'nouveau', 'takes_vfs': False, 'ids': ['10de %s %s %s %s' % (ANY, ANY, ANY, DISPLAY)]},
    # nv-pci.c of the open kernel modules 595.45.04: no sriov_configure, and no pci_disable_sriov in its remove
    {'name': 'nvidia', 'module': 'nvidia', 'keeps_vfs': True,
     'ids': ['10de %s %s %s %s' % (ANY, ANY, ANY, code) for code in (VGA, DISPLAY_3D)]},
    {'name': 'i915', 'module': 'i915', 'ids': ['8086 %s %s %s %s' % (ANY, ANY, ANY, DISPLAY)]},
    {'name': 'xe', 'module': 'xe', 'sriov': True, 'ids': []},
    {'name': 'amdgpu', 'module': 'amdgpu', 'ids': ['1002 %s %s %s %s' % (ANY, ANY, ANY, DISPLAY)]},
    {'name': 'ast', 'module': 'ast', 'ids': ['1a03 2000']},
    {'name': 'snd_hda_intel', 'module': 'snd_hda_intel', 'ids': ['%s %s %s %s 040300 ffff00' % (ANY, ANY, ANY, ANY)]},
    {'name': 'vfio-pci', 'module': 'vfio_pci', 'vfio': True},
    {'name': 'pci-stub', 'module': 'pci_stub'},
    # drivers/pci/pci-pf-stub.c: pci_sriov_configure_simple, and no remove
    {'name': 'pci-pf-stub', 'module': 'pci_pf_stub', 'sriov': True, 'keeps_vfs': True, 'ids': ['1d0f 0053']},
]
NETWORK_DRIVERS = ('igb', 'ixgbe', 'i40e', 'ice', 'bnxt_en', 'mlx5_core')

MODULES = {
    'vfio_pci': {'needs': ['vfio'], 'parameters': {'ids': '', 'disable_vga': 'N', 'disable_idle_d3': 'N', 'nointxmask': 'N',
                                                   'enable_sriov': 'N'}},
    'vfio_iommu_type1': {'needs': ['vfio'], 'parameters': {'allow_unsafe_interrupts': 'N', 'disable_hugepages': 'N'}},
    'pci_stub': {'parameters': {'ids': ''}},
    'i915': {'needs': ['drm']}, 'xe': {'needs': ['drm']}, 'amdgpu': {'needs': ['drm']}, 'nouveau': {'needs': ['drm']},
    'ast': {'needs': ['drm']}, 'nvidia_vgpu_vfio': {'needs': ['nvidia', 'vfio']},
}


def model_of(machine):
    """The model file of a machine.Machine: its drivers, modules and cards. A dictionary for json.dump."""
    drivers = [dict(entry) for entry in DRIVERS]
    by_name = {entry['name']: entry for entry in drivers}
    for name in NETWORK_DRIVERS:
        ids = ['%04x %04x' % (function.vendor, function.device) for function in machine.functions.values() if function.driver == name]
        if ids:
            drivers.append({'name': name, 'module': name, 'sriov': True, 'ids': ids})
    modules = {name: dict(entry) for name, entry in MODULES.items()}
    for name, fields in (machine.spec.get('modules') or {}).items():
        entry = modules.setdefault(name, {})
        fields = fields or {}
        if fields.get('version'):
            entry['version'] = str(fields['version'])
        if fields.get('parameters'):
            entry['parameters'] = dict(entry.get('parameters', {}), **{
                key: ('Y' if value else 'N') if isinstance(value, bool) else str(value) for key, value in fields['parameters'].items()})
    # only a patched i915 knows max_vfs, and only that has sriov_configure
    by_name['i915']['sriov'] = 'max_vfs' in modules['i915'].get('parameters', {})
    nvidia = machine.spec.get('nvidia') or {}
    if nvidia:
        modules.setdefault('nvidia', {})['version'] = str(nvidia['version'])
        modules['nvidia_vgpu_vfio'] = {'version': str(nvidia['version']), 'needs': ['nvidia', 'vfio']}
    by_name['nvidia']['takes_vfs'] = nvidia.get('host_vgpu', True)
    cards = {function.slot: card_of(machine, function, modules) for function in machine.functions.values()}
    return {'drivers': drivers, 'modules': modules, 'cards': {slot: card for slot, card in cards.items() if card}}


def card_of(machine, function, modules):
    spec = function.spec
    framework, types = spec.get('framework', 'none'), spec.get('types') or []
    if framework == 'none' and 'board' in spec and function.driver != 'nvidia':
        # what its own driver will offer once it is there
        board = machine.catalogue.board(spec['board'])
        framework = board.frameworks[machine.kernel_at_least(6, 8)] or 'none'
        types = types or (machine.resolve_types({'framework': framework}, board, function.slot) if framework != 'none' else [])
    if function.physfn or not (spec.get('total_vfs') or framework != 'none'):
        return None
    intel = function.vendor == 0x8086
    vf_class = str(spec.get('vf_class', '0300' if intel else '0302')) if function.is_display else '%06x' % function.pci_class
    subsystem = function.subsystem if intel or not function.is_display else (function.vendor, 0)
    card = {'vf_device': '%04x' % function.device, 'vf_class': vf_class.ljust(6, '0'), 'vf_subvendor': '%04x' % subsystem[0],
            'vf_subdevice': '%04x' % subsystem[1], 'framework': framework, 'vgpu_driver': 'i915' if intel else 'nvidia',
            # i915's GVT-g says ENOSPC; mdev_core.c itself EUSERS; what NVIDIA's driver says is not known
            'full_error': 'ENOSPC' if intel else 'EUSERS',
            'types': [{'id': str(item.number), 'name': item.name, 'description': item.description and item.description.rstrip('\n'),
                       'size': item.framebuffer, 'max_instances': item.max_instances,
                       'available': item.available if item.available is not None else spec.get('available')} for item in types]}
    for module in ('i915', 'xe'):
        if intel and 'max_vfs' in modules[module].get('parameters', {}):
            card['totalvfs_parameter'] = module + '.max_vfs'
    if not (machine.bios['above_4g'] and machine.bios['sriov']):
        card['enable_error'] = 'ENOMEM'  # sriov_enable: "not enough MMIO resources for SR-IOV"
    return card


class Refused(Exception):
    """A control socket's answer that is not "ok": its text."""


def escape(word):
    out = ''
    for byte in word.encode():
        if byte in b'\n\t\\':
            out += {10: '\\n', 9: '\\t', 92: '\\\\'}[byte]
        else:
            out += chr(byte) if 0x20 <= byte <= 0x7e else '\\x%02x' % byte
    return out


def unescape(text):
    return text.encode().decode('unicode_escape').encode('latin-1').decode(errors='replace')


def ask(path, *words):
    """One command to the control socket at a path; what follows "ok"."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(path)
        connection.sendall(('\t'.join(escape(str(word)) for word in words) + '\n').encode())
        answer = b''
        while not answer.endswith(b'\n'):
            some = connection.recv(65536)
            if not some:
                raise Refused('no answer')
            answer += some
    status, _, rest = answer.decode().rstrip('\n').partition(' ')
    if status != 'ok':
        raise Refused('%s %s' % (status, unescape(rest)))
    return unescape(rest)


class Simfs:
    """A running simfs; `with` ends it. `tree` is the sys directory that machine.py wrote; nothing is written to it."""

    def __init__(self, executable, tree, mountpoint, state, model=None):
        self.mountpoint, self.log, self.control = mountpoint, state + '.log', state + '.socket'
        words = [executable, '--tree', tree, '--log', self.log, '--control', self.control]
        if model is not None:
            with open(state + '.model.json', 'w', encoding='utf-8') as file:
                json.dump(model, file)
            words += ['--model', state + '.model.json']
        ready, ready_end = os.pipe()
        try:
            self.process = subprocess.Popen(words + ['--ready-fd', str(ready_end), mountpoint], pass_fds=[ready_end])
        finally:
            os.close(ready_end)
        with open(ready, 'rb') as file:
            if file.read() != b'ready\n':
                raise OSError('simfs did not start on %s: exit code %d' % (mountpoint, self.process.wait()))

    def ask(self, *words):
        return ask(self.control, *words)

    def writes(self):
        """What was written so far: (path, data, result)."""
        with open(self.log, encoding='utf-8') as file:
            rows = [line.rstrip('\n').split('\t') for line in file]
        return [(path, unescape(data), result) for _, _, what, path, data, result in rows if what == 'write']

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
