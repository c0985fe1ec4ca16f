# SPDX-License-Identifier: MIT
# A host with Debian's own GRUB tools in which the real executable runs, and what a boot loader and the kernel would make of its files.
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY / 'tests' / 'controller'))
import lab  # noqa: E402

ROOTS = ['grub-bookworm', 'grub-trixie'] if os.environ.get('PVE_GPU_TEST_ALL') else ['grub-bookworm']
DEFAULTS = '/etc/default/grub'
MENU = '/boot/grub/grub.cfg'
CMDLINE = '/etc/kernel/cmdline'
KERNEL = '6.8.12-4-pve'

# The one program of GRUB's that needs the real disk. Answers as on a Proxmox VE host with an ext4 root on LVM.
PROBE = r'''#!/bin/sh
for word; do case $word in --target=*) target=${word#--target=} ;; esac; done
case $target in
  device) echo /dev/mapper/pve-root ;;
  fs) echo ext2 ;;
  fs_uuid) echo 2c5f1d0a-7b1e-4f57-9d0e-0c6f1f6a3b11 ;;
  abstraction) echo lvm ;;
  partmap) echo gpt ;;
  drive | compatibility_hint) echo lvm/pve-root ;;
  hints_string) echo "--hint='lvmid/a/b'" ;;
esac
'''


def executable():
    """the executable to test, or None: PVE_GPU_EXECUTABLE, else the build's, else the one that travels"""
    build = os.environ.get('PVE_GPU_BINARY_DIR')
    for path in (os.environ.get('PVE_GPU_EXECUTABLE'), build and os.path.join(build, 'pve-gpu'), REPOSITORY / 'build/portable/pve-gpu'):
        if path and os.access(path, os.X_OK):
            return pathlib.Path(path)
    return None


class NotStarted(AssertionError):
    """GRUB does not come to the end of an entry."""


class Host(lab.Node):
    """A host that GRUB boots. What is written on it is lost when it ends; it can't load modules or reboot."""

    DROP = ('setpriv', '--bounding-set=-sys_module,-sys_boot')

    def __init__(self, root):
        super().__init__(root, 'pve1')
        program = executable()
        self._write_executable(program)
        # Nothing of this machine's firmware and hardware is to be seen, and its command line is not ours.
        self.write('/run/cmdline', f'BOOT_IMAGE=/boot/vmlinuz-{KERNEL} root=/dev/mapper/pve-root ro quiet\n')
        self.run(text='mount -t tmpfs tmpfs /sys; mount --bind /run/cmdline /proc/cmdline')
        self.write('/usr/sbin/grub-probe', PROBE, 0o755)
        self.default = (self.path / 'usr/share/grub/default/grub').read_text() + 'GRUB_TERMINAL=console\n'    # what GRUB shows is read
        self.write(DEFAULTS, self.default)
        self.kernels(KERNEL)

    def _write_executable(self, program):
        """with its libraries: it may have been built for this machine, not for the host's release"""
        self._folder = '/opt/pve-gpu'
        needs = subprocess.run(['ldd', str(program)], stdout=subprocess.PIPE, check=True, text=True).stdout
        for path in [program, *re.findall(r'(/\S+) \(0x', needs)]:
            self.write(f'{self._folder}/{os.path.basename(path)}', pathlib.Path(path).read_bytes(), 0o755)
        loader = re.search(r'(/\S*/ld-\S+) \(0x', needs).group(1)
        self._argv = [f'{self._folder}/{os.path.basename(loader)}', '--library-path', self._folder, f'{self._folder}/{program.name}']

    def write(self, path, content, mode=0o644):
        file = self.path / path.lstrip('/')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)

    def read(self, path):
        """a file's text; None where there is none"""
        file = self.path / path.lstrip('/')
        return file.read_bytes().decode() if file.exists() else None

    def remove(self, *paths):
        self.run('rm', '-rf', '--', *paths)

    def kernels(self, *releases):
        """these are installed and no others"""
        self.run(text='rm -f /boot/vmlinuz-* /boot/initrd.img-*; mkdir -p /boot/grub')
        for release in releases:
            self.write(f'/boot/vmlinuz-{release}', 'kernel\n')
            self.write(f'/boot/initrd.img-{release}', 'initramfs\n')

    def module(self, name, **args):
        """the answer of one run"""
        text = shlex.join([*self.DROP, *self._argv, name]) + ' <<"END OF ARGUMENTS"\n' + json.dumps(args) + '\nEND OF ARGUMENTS\n'
        return self.answer(self.run(text=text, check=False))

    def modules(self, name, many):
        """the answers of many runs, in one go: the executable starts in a millisecond, a namespace is entered in ten"""
        self.write('/run/arguments', ''.join(json.dumps(args) + '\n' for args in many))
        loop = 'while IFS= read -r line; do printf "%s\\n" "$line" | ' + shlex.join([*self._argv, name]) + '; done </run/arguments'
        done = self.run(*self.DROP, 'sh', '-c', loop, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) != len(many):
            raise AssertionError(f'{len(many)} runs gave {len(answers)} answers: {done.stdout[-2000:]}{done.stderr[-2000:]}')
        return answers

    @staticmethod
    def answer(done):
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f'not an answer: {done.returncode} {done.stdout[-2000:]}{done.stderr[-2000:]}') from None

    def files(self):
        """every file below /etc and /boot and our records: path -> bytes"""
        out = {}
        for folder in ('etc', 'boot', 'var/lib/pve-gpu'):
            for base, _, names in os.walk(self.path / folder):
                for name in names:
                    path = pathlib.Path(base, name)
                    if path.is_file() and not path.is_symlink():
                        out['/' + str(path.relative_to(self.path))] = path.read_bytes()
        return out

    def entries(self):
        """the menu's entries of Linux as `default` names them: outermost first, joined by '>'"""
        out, submenu = [], None
        for line in self.read(MENU).splitlines():
            found = re.match(r"(\t*)(menuentry|submenu) '.*\$menuentry_id_option '(gnulinux-[^']*)' \{$", line)
            if not found:
                continue
            if found.group(2) == 'submenu':
                submenu = found.group(3)
            else:
                out.append(f'{submenu}>{found.group(3)}' if found.group(1) else found.group(3))
        return out

    def started(self, entry=None, seconds=60):
        """The words that GRUB hands to `linux` when it starts this entry of its menu: said by GRUB, which runs the real menu here.

        grub-emu has no loader: instead of `linux` it shows the words, and ends where it would read the initramfs."""
        menu = self.read(MENU)
        shown = re.sub(r'^(\t*)initrd\t.*$', r'\1halt', re.sub(r'^(\t*)linux\t', r'\1show ', menu, flags=re.M), flags=re.M)
        entry = entry or self.entries()[0]
        self.write('/run/grub/grub.cfg', 'function show { echo "count=$#"; for word in "$@"; do echo "<$word>"; done; }\n' + shown +
                   f"\nset default='{entry}'\nset timeout=0\n")
        self.run('ln', '-sfn', '/usr/lib/grub/x86_64-emu', '/run/grub/x86_64-emu')
        shown = self.terminal('grub-emu', '--directory=/run/grub', '--device-map=/dev/null', seconds=seconds)
        count = re.findall(r'count=(\d+)\r\n', shown)
        words = re.findall(r'<(.*)>\r\n', shown)
        if len(count) != 1 or int(count[0]) != len(words):
            raise NotStarted(f'GRUB did not start {entry}: {shown[:3000]!r}')
        return words

    def terminal(self, *argv, seconds):
        """what a program shows on a terminal wide enough for every line"""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 400, 20000, 0, 0))
        process = self.start(*self.DROP, 'env', '-i', 'TERM=dumb', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', *argv,
                             stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        out, deadline = b'', time.monotonic() + seconds
        try:
            # So GRUB ends an entry that failed.
            while time.monotonic() < deadline and b'Press any key to continue' not in out:
                if select.select([ours], [], [], 1)[0]:
                    try:
                        out += os.read(ours, 65536)
                    except OSError:     # the program ended
                        break
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return out.decode('latin-1')


# --- what the kernel gets: written from the sources' rules ----------------------------------------------------------------------

COMMAND_LINE_SIZE = 2048     # arch/x86/include/asm/setup.h; with the NUL


def grub_loader(words):
    """What GRUB's `linux` writes for the kernel (GRUB 2.06 and 2.12: grub-core/lib/cmdline.c, grub_create_loader_cmdline)."""
    done, room = [], COMMAND_LINE_SIZE - len('BOOT_IMAGE=')
    for word in words:
        text = re.sub(r'''([\\'"])''', r'\\\1', word)
        text = f'"{text}"' if ' ' in word else text
        room -= len(text) + 1
        if room < 0:
            break                # this word and all after it are lost, without a word
        done.append(text)
    return 'BOOT_IMAGE=' + ' '.join(done)


def kernel_parameters(line):
    """(key, value or None) of each parameter (Linux: lib/cmdline.c, next_arg; kernel/params.c, parse_args)."""
    blanks = ' \t\n\v\f\r\xa0'
    out = []
    line = line.lstrip(blanks)
    while line:
        quoted = line[0] == '"'
        line = line[1:] if quoted else line
        inside, equals, end = quoted, 0, 0
        while end < len(line) and (inside or line[end] not in blanks):
            if not equals and line[end] == '=':
                equals = end     # at the word's first character it counts as none
            if line[end] == '"':
                inside = not inside
            end += 1
        word, line = line[:end], line[end + 1:].lstrip(blanks)
        key, value = (word[:equals], word[equals + 1:]) if equals else (word, None)
        closes = word.endswith('"')
        if value is not None and value.startswith('"'):
            value = value[1:]
            if closes:
                value, closes = value[:-1], False
        if quoted and closes:
            key, value = (key[:-1], None) if value is None else (key, value[:-1])
        if (key, value) == ('--', None):
            break                # what follows is for init
        out.append((key, value))
    return out


def systemd_boot(entry):
    """The command line of a boot entry (systemd 247 to 257: src/boot/efi/boot.c, line_get_key_value and config_entry_add_type1).

    Boot Loader Specification: several `options` are joined by a blank. An initramfs is put in front."""
    options, initrds = [], []
    for line in re.split('[\n\r]', entry):
        key, _, value = line.strip(' \t').partition(' ')
        value = value.lstrip(' \t')
        if value.startswith('"') and value.endswith('"') and len(value) > 1:
            value = value[1:-1]
        if key == 'options':
            options.append(value)
        elif key == 'initrd':
            initrds.append('initrd=' + value.replace('/', '\\'))
    return ' '.join(initrds + options)
