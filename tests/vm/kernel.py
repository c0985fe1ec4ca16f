# SPDX-License-Identifier: MIT
# A Debian kernel with the project's own `nvidia` module, started with nothing but an initramfs: seconds to a real sysfs.
import pathlib
import shutil
import stat

import images
import qemu

HERE = pathlib.Path(__file__).resolve().parent
SUITE = 'bookworm'
COMPILER = ['gcc-12', 'binutils', 'make', 'bash', 'dash', 'coreutils', 'sed', 'grep', 'mawk', 'findutils']
PACKAGES = ['linux-image-amd64', 'linux-headers-amd64', *COMPILER, 'python3.11']
# In the order in which they can be loaded.
MODULES = ['irqbypass', 'vfio', 'vfio_virqfd', 'vfio_iommu_type1', 'vfio-pci-core', 'vfio-pci', 'mdev', 'nvidia']
# What the initramfs has of that Debian: an interpreter.
TREE = ['usr/bin/python3.11', 'lib64/ld-linux-x86-64.so.2', 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
        *['lib/x86_64-linux-gnu/lib%s.so.*' % name for name in ('c', 'm', 'z', 'expat')], 'usr/lib/x86_64-linux-gnu/libffi.so.*',
        'usr/lib/python3.11/*.py', *['usr/lib/python3.11/' + name for name in ('collections', 'ctypes', 'encodings', 'importlib', 're')],
        'usr/lib/python3.11/lib-dynload/_ctypes.*']


def compiled(root, log, packages, sources):
    """Kernel modules, made in root/build from these files against the headers among packages; returns the folder of that kernel's own."""
    # unpacked, not installed: all that is run there is the compiler
    images.run(log, 'mmdebstrap', '--variant=extract', '--mode=root', '--skip=check/qemu', '--aptopt=APT::Install-Recommends "false"',
               '--include=' + ','.join(packages), SUITE, str(root), 'deb %s %s main' % (images.mirror(), SUITE))
    (root / 'usr/bin/awk').symlink_to('mawk')
    (root / 'build').mkdir()
    for file in sources:
        shutil.copy(file, root / 'build')
    modules = next((root / 'lib/modules').iterdir())
    images.run(log, 'chroot', str(root), 'env', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'make', '-C', '/lib/modules/%s/build' % modules.name,
               'M=/build', 'modules')
    return modules


def built():
    """A folder with vmlinuz, modules and tree (of TREE)."""
    nvidia = sorted((HERE / 'driver').iterdir())
    recipe = {'version': 1, 'suite': SUITE, 'packages': PACKAGES, 'modules': MODULES, 'tree': TREE, 'nvidia': [file.read_text() for file in nvidia]}

    def build(folder):
        root, log = folder / 'root', folder / 'log'
        modules = compiled(root, log, PACKAGES, nvidia)
        shutil.copy(next((root / 'boot').glob('vmlinuz-*')), folder / 'vmlinuz')
        (folder / 'modules').mkdir()
        for name in MODULES:
            where = root / 'build' if name == 'nvidia' else modules / 'kernel'
            shutil.copy(next(where.rglob(name + '.ko')), folder / 'modules')
        for pattern in TREE:
            for path in root.glob(pattern):
                target = folder / 'tree' / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                images.run(log, 'cp', '-a', str(path), str(target.parent))
        images.remove(root)

    return images.made('kernel-' + SUITE, recipe, build)


def cpio(path, entries):
    """An archive as the kernel unpacks it, of {name: (mode, contents)} and the console's device."""
    number = 0
    with open(path, 'wb') as out:
        def padded(data):
            out.write(data + b'\0' * (-len(data) % 4))

        for name, (mode, data) in list(entries.items()) + [('dev/console', (stat.S_IFCHR | 0o600, b'')), ('TRAILER!!!', (0, b''))]:
            number += 1
            device = (5, 1) if stat.S_ISCHR(mode) else (0, 0)
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
            padded(b'070701' + b''.join(b'%08X' % field for field in fields) + name.encode() + b'\0')
            padded(data)


def initramfs(path, folder, files):
    """What is built there, and files: {name: contents}, executable."""
    entries = {name: (stat.S_IFDIR | 0o755, b'') for name in ('dev', 'proc', 'sys', 'modules')}
    for file in sorted((folder / 'tree').rglob('*')):
        mode = file.lstat().st_mode
        data = str(file.readlink()).encode() if stat.S_ISLNK(mode) else file.read_bytes() if stat.S_ISREG(mode) else b''
        entries[str(file.relative_to(folder / 'tree'))] = (mode, data)
    for index, name in enumerate(MODULES):
        entries['modules/%d-%s.ko' % (index, name)] = (stat.S_IFREG | 0o644, (folder / 'modules' / (name + '.ko')).read_bytes())
    entries.update({name: (stat.S_IFREG | 0o755, text.encode()) for name, text in files.items()})
    cpio(path, entries)


def run(work, files, options, timeout=900):
    """Starts the kernel with an initramfs, whose /init is one of files; what that wrote to /dev/ttyS1 before it powered off."""
    folder = built()
    initramfs(work / 'initramfs', folder, files)
    arguments = qemu.HARDWARE + ['-kernel', str(folder / 'vmlinuz'), '-initrd', str(work / 'initramfs'),
                                 '-append', 'console=ttyS0 quiet panic=-1 %s ' % qemu.CLOCK + options,
                                 '-serial', 'file:%s' % (work / 'console'), '-serial', 'file:%s' % (work / 'answer'),
                                 # a function with SR-IOV: 4 VFs
                                 '-device', 'pcie-root-port,id=port1,slot=1,bus=pcie.0', '-device', 'nvme-subsys,id=nvme1',
                                 '-device', 'nvme,serial=1,subsys=nvme1,bus=port1,sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=4,'
                                            'max_ioqpairs=16,msix_qsize=17']
    machine = qemu.Qemu(arguments, work / 'qemu.log')
    try:
        machine.wait(timeout)
        answer = (work / 'answer').read_bytes().decode(errors='replace').replace('\r\n', '\n')
        if not answer:
            raise qemu.QemuError('/init answered nothing')
    except qemu.QemuError as problem:
        raise qemu.QemuError('%s; the console ends with:\n%s' % (problem, (work / 'console').read_text(errors='replace')[-2000:])) from None
    finally:
        machine.kill()
    return answer
