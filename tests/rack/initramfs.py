# SPDX-License-Identifier: MIT
# What the scripts of an initramfs do before the drivers of a simulated host are loaded.
import os
import shutil

import machine as machines
from system import CLONE_NEWNS, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_REC, PR_CAPBSET_DROP, bind, call, libc, mount

# modprobe of an initramfs finds only what was put into it.
MODPROBE = '''#!/bin/sh
for name; do
  case " $MODULES " in
    *" $name "*) echo "$name" >>/run/loaded ;;
    *) echo "modprobe: FATAL: Module $name not found" >&2; exit 1 ;;
  esac
done
'''


def run_top(node, spec, started, capabilities):
    """Runs scripts/init-top of the initramfs that is started, over a /sys in which no function has a driver yet. Returns {overrides:
    function -> driver_override, loaded: modules}; what the scripts say to the kernel's log goes to the node's."""
    scripts = started['initrd'].get('init-top', {})
    if not scripts:
        return {}
    work = os.path.join(node.base, 'initramfs')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work + '/run/bin')
    bare = machines.Machine(spec, node.described.catalogue, dict(started, bare=True))
    machines.write(bare, work + '/tree', installed=False)
    for name, text in [('bin/modprobe', MODPROBE)] + sorted(scripts.items()):
        with open(os.path.join(work, 'run', name), 'w', encoding='utf-8') as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o755)
    os.mkfifo(work + '/kmsg')
    log = os.open(work + '/kmsg', os.O_RDWR | os.O_NONBLOCK)
    environment = {'PATH': '/run/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'MODULES': ' '.join(started['initrd'].get('taken', []))}
    pid = os.fork()
    if pid == 0:
        try:
            call('unshare', CLONE_NEWNS)
            mount('none', '/', flags=MS_REC | MS_PRIVATE)
            bind(work + '/tree/sys', node.at('sys'))
            bind(work + '/run', node.at('run'))
            mount('tmpfs', node.at('dev'), 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755')
            for name in ('null', 'kmsg'):
                os.close(os.open(node.at('dev/' + name), os.O_CREAT | os.O_WRONLY, 0o666))
            bind('/dev/null', node.at('dev/null'))
            bind(work + '/kmsg', node.at('dev/kmsg'))
            os.chroot(node.root)
            os.chdir('/')
            for number in range(64):
                if number not in capabilities and libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
                    break
            os.execve('/bin/sh', ['sh', '-c', 'for script; do "/run/$script"; done', 'sh'] + sorted(scripts), environment)
        finally:
            os._exit(127)
    os.waitpid(pid, 0)
    try:
        for line in os.read(log, 65536).decode(errors='replace').splitlines():
            node.log('kernel log: ' + line)
    except BlockingIOError:
        pass
    os.close(log)
    found = {'overrides': {}, 'loaded': []}
    for slot in bare.functions:
        with open('%s/tree/sys/bus/pci/devices/%s/driver_override' % (work, slot), encoding='ascii') as file:
            override = file.read().strip()
        if override != '(null)':
            found['overrides'][slot] = override
    if os.path.exists(work + '/run/loaded'):
        with open(work + '/run/loaded', encoding='utf-8') as file:
            found['loaded'] = [line.strip().replace('-', '_') for line in file]
    shutil.rmtree(work)
    return found
