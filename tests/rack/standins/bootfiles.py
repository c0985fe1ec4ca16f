# SPDX-License-Identifier: MIT
# Kernels, initramfs and boot loader files of a simulated host: how its tools write them, and what its firmware makes of them.
"""Everything works below a root directory ('/' in a node), with `facts` of the machine: `loader` (grub, grub-pbt, systemd-boot),
`efi`, `root` (what grub-mkconfig finds out about the root file system), `root_id` (its id in menu entries).

Facts: grub-mkconfig, 00_header and 10_linux of GRUB 2.06; proxmox-boot-tool, zz-proxmox-boot and functions of proxmox-kernel-helper
8.1.0; the Boot Loader Specification. An EFI system partition is a directory below /var/lib/rack/esp, named after its UUID.
"""
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

ESPS = 'var/lib/rack/esp'
ESP_LIST = 'etc/kernel/proxmox-boot-uuids'
PIN, NEXT_BOOT_PIN, MANUAL = 'etc/kernel/proxmox-boot-pin', 'etc/kernel/next-boot-pin', 'etc/kernel/proxmox-boot-manual-kernels'
GRUB_PIN = 'etc/default/grub.d/proxmox-kernel-pin.cfg'
GRUB_VARIABLES = ('GRUB_DEFAULT', 'GRUB_TIMEOUT', 'GRUB_DISTRIBUTOR', 'GRUB_CMDLINE_LINUX', 'GRUB_CMDLINE_LINUX_DEFAULT',
                  'GRUB_CMDLINE_LINUX_RECOVERY', 'GRUB_DISABLE_SUBMENU', 'GRUB_DISABLE_RECOVERY')


class ToolError(Exception):
    """A tool's message and exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


class BootFailure(Exception):
    """Why the machine does not come up."""


def at(root, path):
    return os.path.join(root, path.lstrip('/'))


def read(path):
    try:
        with open(path, encoding='utf-8', errors='surrogateescape', newline='') as file:  # a CR is a character as others
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ''


def first_line(path):
    return read(path).split('\n', 1)[0]


def write(path, text):
    """As a whole. Its new content has a name of its own: nodes of one cluster write the same file at once, and have equal process ids."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = '%s.new.%s' % (path, os.urandom(4).hex())
    with open(new, 'w', encoding='utf-8', errors='surrogateescape') as file:
        file.write(text)
    os.rename(new, path)


def version_key(text):
    """Orders kernel releases as `sort -V` does."""
    return [(1, int(part), '') if part.isdigit() else (0, 0, part) for part in re.findall(r'\d+|[^\d]+', text)]


def kernels_in(directory):
    """Releases of the kernel images in a directory, newest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted((name[len('vmlinuz-'):] for name in names if name.startswith('vmlinuz-')), key=version_key, reverse=True)


# --- initramfs ---------------------------------------------------------------------------------------------------------------


def configuration(root):
    """What an initramfs takes along of modprobe's configuration, and the modules that it loads."""
    found = {}
    for directory in ('lib/modprobe.d', 'usr/lib/modprobe.d', 'etc/modprobe.d'):
        base = at(root, directory)
        for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
            if name.endswith('.conf'):
                found[name] = read(os.path.join(base, name))  # a name in /etc hides the same in /lib
    modules = [line.strip() for line in read(at(root, 'etc/initramfs-tools/modules')).splitlines()]
    return {'modprobe.d': dict(sorted(found.items())), 'modules': [line for line in modules if line and line[0] != '#'],
            'init-top': {os.path.basename(path): read(path) for path in executables(at(root, 'etc/initramfs-tools/scripts/init-top'))}}


def executables(directory):
    """The scripts that initramfs-tools takes from a directory, by name."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    paths = [os.path.join(directory, name) for name in sorted(names) if re.fullmatch(r'[A-Za-z0-9_.-]+', name)]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def hooked_modules(release):
    """The modules that the hooks of this host put into an initramfs."""
    with tempfile.TemporaryDirectory() as work:
        wanted = os.path.join(work, 'modules')
        for hook in executables('/etc/initramfs-tools/hooks'):
            code = subprocess.run([hook], env=dict(os.environ, DESTDIR=work, version=release, verbose='n', __MODULES_TO_ADD=wanted),
                                  stdin=subprocess.DEVNULL, check=False).returncode
            if code:
                raise ToolError('E: %s failed with return %d.' % (hook, code))
        return sorted(set(read(wanted).split()))


def built_modules(root, release):
    """The modules that DKMS built for a kernel, by name: what an initramfs takes along, and what is loaded at boot."""
    base, found = at(root, 'lib/modules/%s/updates/dkms' % release), {}
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
        with open(os.path.join(base, name), 'rb') as file:
            words = [word.decode() for word in file.read().split(b'\0') if b'=' in word]
        found[name[:-len('.ko')]] = {'version': next((word[8:] for word in words if word.startswith('version=')), ''),
                                     'parameters': sorted(word[9:].split(':')[0] for word in words if word.startswith('parmtype='))}
    return found


def make_initramfs(root, release, taken=()):
    write(at(root, 'boot/initrd.img-' + release), json.dumps(
        dict(configuration(root), kernel=release, taken=list(taken), built=built_modules(root, release)), indent=1) + '\n')


# --- GRUB --------------------------------------------------------------------------------------------------------------------


def grub_defaults(root):
    """Variable -> value, the files sourced as grub-mkconfig does."""
    defaults = at(root, 'etc/default/grub')
    script = ('set -e; if test -f "$1"; then . "$1"; fi; for x in "$1".d/*.cfg; do if [ -e "$x" ]; then . "$x"; fi; done; ' +
              ' '.join('printf "%%s\\0" "$%s";' % name for name in GRUB_VARIABLES))
    done = subprocess.run(['sh', '-c', script, 'sh', defaults], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise ToolError(done.stderr.decode(errors='replace').strip(), done.returncode)
    values = done.stdout.decode(errors='surrogateescape').split('\0')[-len(GRUB_VARIABLES) - 1:-1]
    return dict(zip(GRUB_VARIABLES, values))


def grub_menu(root, facts, directory, prefix):
    """The text of grub.cfg for the kernels in a directory, which GRUB sees as `prefix`."""
    values = grub_defaults(root)
    releases = kernels_in(directory)
    system = (values['GRUB_DISTRIBUTOR'] or 'Debian') + ' GNU/Linux'
    recovery = values['GRUB_CMDLINE_LINUX_RECOVERY'] or 'single'
    default = values['GRUB_DEFAULT'] or '0'
    lines = ['#', '# DO NOT EDIT THIS FILE', '#', '# It is automatically generated by grub-mkconfig using templates',
             '# from /etc/grub.d and settings from /etc/default/grub', '#', '', '### BEGIN /etc/grub.d/00_header ###',
             'if [ -s $prefix/grubenv ]; then', '  set have_grubenv=true', '  load_env', 'fi', 'if [ "${next_entry}" ] ; then',
             '   set default="${next_entry}"', '   set next_entry=', '   save_env next_entry', '   set boot_once=true', 'else',
             '   set default="%s"' % ('${saved_entry}' if default == 'saved' else default), 'fi',
             'set timeout=%s' % (values['GRUB_TIMEOUT'] or '5'), '### END /etc/grub.d/00_header ###', '',
             '### BEGIN /etc/grub.d/10_linux ###']

    def entry(indent, release, title, identity, arguments):
        lines.append("%smenuentry '%s' --class gnu-linux --class gnu --class os $menuentry_id_option '%s' {" % (indent, title, identity))
        lines.append("%s\tlinux\t%s/vmlinuz-%s root=%s ro %s " % (indent, prefix, release, facts['root'], arguments))
        if os.path.exists(os.path.join(directory, 'initrd.img-' + release)):
            lines.append('%s\tinitrd\t%s/initrd.img-%s' % (indent, prefix, release))
        lines.append(indent + '}')

    usual = '%s %s' % (values['GRUB_CMDLINE_LINUX'], values['GRUB_CMDLINE_LINUX_DEFAULT'])
    identity = facts['root_id']
    flat = values['GRUB_DISABLE_SUBMENU'] in ('y', 'true')
    for index, release in enumerate(releases):
        if index == 0 and not flat:
            entry('', release, system, 'gnulinux-simple-' + identity, usual)
            lines.append("submenu 'Advanced options for %s' $menuentry_id_option 'gnulinux-advanced-%s' {" % (system, identity))
        indent = '' if flat else '\t'
        entry(indent, release, '%s, with Linux %s' % (system, release), 'gnulinux-%s-advanced-%s' % (release, identity), usual)
        if values['GRUB_DISABLE_RECOVERY'] != 'true':
            entry(indent, release, '%s, with Linux %s (recovery mode)' % (system, release),
                  'gnulinux-%s-recovery-%s' % (release, identity), '%s %s' % (recovery, values['GRUB_CMDLINE_LINUX']))
    if releases and not flat:
        lines.append('}')
    return '\n'.join(lines + ['### END /etc/grub.d/10_linux ###', ''])


def update_grub(root, facts, say):
    """As update-grub does where GRUB reads /boot. On partitions of proxmox-boot-tool the caller refreshes these too."""
    say('Generating grub configuration file ...')
    menu = grub_menu(root, facts, at(root, 'boot'), '/boot')
    for release in kernels_in(at(root, 'boot')):
        say('Found linux image: /boot/vmlinuz-%s' % release)
    write(at(root, 'boot/grub/grub.cfg'), menu)
    say('done')


def parse_menu(text):
    """[(title, id, linux line or list of the same for a submenu)]"""
    stack, top = [], []
    current = top
    for line in text.splitlines():
        line = line.strip()
        found = re.match(r"(menuentry|submenu) '([^']*)'.*?(?:\$menuentry_id_option '([^']*)')? \{$", line)
        if found:
            entry = [found.group(2), found.group(3), [] if found.group(1) == 'submenu' else None]
            current.append(entry)
            stack.append((current, entry))
            if found.group(1) == 'submenu':
                current = entry[2]
        elif line == '}' and stack:
            current, _ = stack.pop()
        elif line.startswith(('linux\t', 'linux ', 'linuxefi')) and stack:
            stack[-1][1][2] = line
    return top


def pick(entries, name):
    """The entry that GRUB starts for a default such as 0, a title, an id or SUBMENU>ENTRY; the first one if there is none such."""
    head, _, rest = name.partition('>')
    chosen = None
    for index, entry in enumerate(entries):
        if head in (str(index), entry[0], entry[1]):
            chosen = entry
            break
    found = chosen is not None
    chosen = chosen or entries[0]
    if isinstance(chosen[2], list):
        if not chosen[2]:
            return chosen, False
        inner, inner_found = pick(chosen[2], rest or '0')
        return inner, found and inner_found
    return chosen, found


def environment_block(path):
    return dict(line.split('=', 1) for line in read(path).splitlines() if '=' in line and not line.startswith('#'))


def start_grub(directory, seen_as):
    """What GRUB starts from a directory with grub/grub.cfg: (release, command line, initramfs, reasons)."""
    path = os.path.join(directory, 'grub/grub.cfg')
    menu = read(path)
    entries = parse_menu(menu)
    if not entries:
        raise BootFailure('GRUB finds no menu entry in %s/grub/grub.cfg and waits at its prompt' % seen_as)
    default = next(iter(re.findall(r'^\s*set default="([^"$]*)"', menu, re.M)), '0')
    block_path = os.path.join(directory, 'grub/grubenv')
    block = environment_block(block_path)
    why = ['%s/grub/grub.cfg: default "%s"' % (seen_as, default)]
    if 'default="${saved_entry}"' in menu:
        default = block.get('saved_entry', '0')
        why = ['grubenv: saved_entry "%s"' % default]
    if block.get('next_entry'):
        default = block.pop('next_entry')
        write(block_path, '# GRUB Environment Block\n' + ''.join('%s=%s\n' % pair for pair in block.items()))
        why = ['grubenv: next_entry "%s"' % default]
    entry, found = pick(entries, default)
    if not found:
        why.append('there is no such entry: the first one')
    if not isinstance(entry[2], str):
        raise BootFailure('the entry %r in %s/grub/grub.cfg starts no kernel' % (entry[0], seen_as))
    why.append("entry '%s'" % entry[0])
    words = shlex.split(entry[2])[1:]
    image = words[0]
    here = os.path.join(directory, os.path.basename(image))
    if not os.path.exists(here):
        raise BootFailure('GRUB does not find the kernel %s that the entry %r names' % (image, entry[0]))
    release = os.path.basename(image)[len('vmlinuz-'):]
    # grub_create_loader_cmdline puts words with blanks in quotes again
    shown = ['"%s"' % re.sub(r'(["\\])', r'\\\1', word) if ' ' in word else word for word in words[1:]]
    return release, ' '.join(['BOOT_IMAGE=' + image] + shown), os.path.join(directory, 'initrd.img-' + release), why


# --- proxmox-boot-tool -------------------------------------------------------------------------------------------------------


def esp_uuids(root):
    return [line for line in read(at(root, ESP_LIST)).splitlines() if line]


def kept_kernels(root, running):
    """Those that go to the partitions, oldest first: boot_kernel_list."""
    installed = kernels_in(at(root, 'boot'))
    kept = set(installed[:2]) | {running if running in installed else ''}
    kept |= {line.strip() for line in read(at(root, MANUAL)).splitlines()}
    kept |= {first_line(at(root, PIN)), first_line(at(root, NEXT_BOOT_PIN))}
    return sorted(kept - {''}, key=version_key)


def set_grub_default(root, release):
    if not release:
        if os.path.exists(at(root, GRUB_PIN)):
            os.unlink(at(root, GRUB_PIN))
        return
    identity = next(iter(re.findall(r"gnulinux-advanced-([^']+)' \{$", read(at(root, 'boot/grub/grub.cfg')), re.M)), '')
    write(at(root, GRUB_PIN), 'GRUB_DEFAULT="gnulinux-advanced-{0}>gnulinux-{1}-advanced-{0}"\n'.format(identity, release))


def refresh(root, facts, running, say, hook=None):
    """proxmox-boot-tool refresh."""
    if hook in (None, 'proxmox-auto-removal'):
        say("Running hook script 'proxmox-auto-removal'..")
        write(at(root, 'etc/apt/apt.conf.d/76pveconf'), 'APT::NeverAutoRemove\n{\n' + ''.join(
            '   "^(pve|proxmox)-(kernel|headers)-%s(-signed)?$";\n' % re.escape(release) for release in kept_kernels(root, running)) + '};\n')
    if hook not in (None, 'zz-proxmox-boot'):
        return
    say("Running hook script 'zz-proxmox-boot'..")
    if not os.path.exists(at(root, ESP_LIST)):
        say('No /%s found, skipping ESP sync.' % ESP_LIST)
        return
    if os.path.exists(at(root, 'etc/kernel/cmdline')):
        options = ' '.join(first_line(at(root, 'etc/kernel/cmdline')).split())
        if 'root=' not in options:
            raise ToolError('No root= parameter in /etc/kernel/cmdline found!')
    else:
        say('No /etc/kernel/cmdline found - falling back to /proc/cmdline')
        options = re.sub(r'\binitrd=([0-9a-zA-Z\\/.-])*\s*', '', read('/proc/cmdline')).strip()
    for uuid in esp_uuids(root):
        esp = at(root, os.path.join(ESPS, uuid))
        if not os.path.isdir(esp):
            say("WARN: /dev/disk/by-uuid/%s does not exist - clean '/%s'! - skipping" % (uuid, ESP_LIST))
            continue
        refresh_one(root, facts, running, say, esp, uuid, options)


def refresh_one(root, facts, running, say, esp, uuid, options):
    grub = not facts['efi'] or os.path.exists(os.path.join(esp, 'EFI/proxmox/grubx64.efi'))
    say('Copying and configuring kernels on /dev/disk/by-uuid/' + uuid)
    kept = kept_kernels(root, running)
    for release in kept:
        image, initrd = at(root, 'boot/vmlinuz-' + release), at(root, 'boot/initrd.img-' + release)
        missing = [('linux-image', image), ('initrd-image', initrd)]
        missing = [(kind, path) for kind, path in missing if not os.path.exists(path)]
        if missing:
            say('No %s /%s found - skipping' % (missing[0][0], os.path.relpath(missing[0][1], root)))
            continue
        target = esp if grub else os.path.join(esp, 'EFI/proxmox', release)
        say('\tCopying kernel %s' % release if grub else '\tCopying kernel and creating boot-entry for %s' % release)
        os.makedirs(target, exist_ok=True)
        for path in (image, initrd):
            shutil.copy(path, target)
        if not grub:
            write(os.path.join(esp, 'loader/entries/proxmox-%s.conf' % release),
                  'title    Proxmox Virtual Environment\nversion  {0}\noptions  {1}\nlinux    /EFI/proxmox/{0}/vmlinuz-{0}\n'
                  'initrd   /EFI/proxmox/{0}/initrd.img-{0}\n'.format(release, options))
    pinned = first_line(at(root, NEXT_BOOT_PIN)) or first_line(at(root, PIN))
    if grub:
        set_grub_default(root, pinned)
        for release in kernels_in(esp):
            if release not in kept:
                say('\tRemoving old version ' + release)
                os.unlink(os.path.join(esp, 'vmlinuz-' + release))
                if os.path.exists(os.path.join(esp, 'initrd.img-' + release)):
                    os.unlink(os.path.join(esp, 'initrd.img-' + release))
        say('Generating grub configuration file ...')
        write(os.path.join(esp, 'grub/grub.cfg'), grub_menu(root, facts, esp, ''))
        say('done')
        return
    conf = os.path.join(esp, 'loader/loader.conf')
    wanted = 'default %s' % ('proxmox-%s.conf' % pinned if pinned else 'proxmox-*')
    lines = [line for line in read(conf).splitlines() if not line.startswith('default ')]
    write(conf, '\n'.join(lines + [wanted]) + '\n')
    for release in os.listdir(os.path.join(esp, 'EFI/proxmox')):
        if release not in kept:
            say('\tRemoving old version ' + release)
            shutil.rmtree(os.path.join(esp, 'EFI/proxmox', release))
            entry = os.path.join(esp, 'loader/entries/proxmox-%s.conf' % release)
            if os.path.exists(entry):
                os.unlink(entry)


def start_systemd_boot(esp, uuid):
    entries = {}
    directory = os.path.join(esp, 'loader/entries')
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        fields = dict(line.split(None, 1) for line in read(os.path.join(directory, name)).splitlines() if len(line.split(None, 1)) == 2)
        entries[name] = fields
    if not entries:
        raise BootFailure('systemd-boot finds no entry on the partition %s' % uuid)
    ordered = sorted(entries, key=lambda name: version_key(entries[name].get('version', name)), reverse=True)
    pattern = next(iter(re.findall(r'^default\s+(\S+)', read(os.path.join(esp, 'loader/loader.conf')), re.M)), '*')
    name = next((name for name in ordered if fnmatch.fnmatchcase(name, pattern)), ordered[0])
    fields = entries[name]
    image, initrd = fields.get('linux', ''), fields.get('initrd', '')
    if not os.path.exists(esp + image):
        raise BootFailure('systemd-boot does not find the kernel %s that %s names' % (image, name))
    release = os.path.basename(image)[len('vmlinuz-'):]
    line = 'initrd=%s %s' % (initrd.replace('/', '\\'), fields.get('options', ''))
    return release, line.strip(), esp + initrd, ['partition %s: default %s' % (uuid, pattern), 'entry %s' % name]


# --- The firmware ------------------------------------------------------------------------------------------------------------


def start(root, facts):
    """What this machine boots: {kernel, cmdline, initrd (what configuration() said when it was made), why}. BootFailure if nothing."""
    if facts['loader'] == 'grub':
        release, line, initrd, why = start_grub(at(root, 'boot'), '/boot')
    else:
        uuids = [uuid for uuid in esp_uuids(root) if os.path.isdir(at(root, os.path.join(ESPS, uuid)))]
        uuids += sorted(set(os.listdir(at(root, ESPS))) - set(uuids)) if os.path.isdir(at(root, ESPS)) else []
        if not uuids:
            raise BootFailure('the firmware finds no EFI system partition')
        esp = at(root, os.path.join(ESPS, uuids[0]))
        if facts['loader'] == 'grub-pbt':
            release, line, initrd, why = start_grub(esp, 'partition ' + uuids[0] + ': ')
        else:
            release, line, initrd, why = start_systemd_boot(esp, uuids[0])
    if not re.search(r'(^| )root=\S', line):
        raise BootFailure('the kernel %s has no root= on its command line and panics' % release)
    if not os.path.exists(initrd):
        raise BootFailure('the kernel %s has no initramfs and finds no root file system' % release)
    try:
        contents = json.loads(read(initrd))
    except ValueError:
        contents = {'modprobe.d': {}, 'modules': []}  # one that the description wrote, or another tool
    return {'kernel': release, 'cmdline': line, 'initrd': contents, 'why': why}
