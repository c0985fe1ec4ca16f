# SPDX-License-Identifier: MIT
# Kernel parameters to try a boot loader with: every printable ASCII character in every position, and what means something to a reader.
import itertools
import re
import string

from booting import kernel_parameters

PLAIN = string.ascii_letters + string.digits
ODD = [c for c in map(chr, range(0x20, 0x7f)) if c not in PLAIN]

# What can't be passed by GRUB: its loader puts a backslash before each of these, which the kernel keeps (grub-core/lib/cmdline.c).
LOST_IN_GRUB = '\'"\\'
# Nor by systemd-boot: proxmox-boot-tool hands the line on by sh's `echo`, for which a backslash means something, and the kernel takes
# quotes for quotes.
LOST_IN_SYSTEMD_BOOT = '"\\'

SPECIAL = [
    'memmap=1G$4G', 'memmap=16M$0x100000000,1G$4G', 'x=${y}', 'x=$y', 'x=$1', 'x=$?', 'x=$*', 'x=$#', 'x=$$', 'x=$', 'x=$(id)', 'x=`id`', 'x=${',
    'x=1;reboot', 'x=;', 'x=;;', 'x=a;b;c', 'pci=resource_alignment=20@0000:41:00.0;20@0000:42:00.0', 'x=a&&b', 'x=a||b', 'x=a&', 'x=a|b', 'x=<in',
    'x=>out', 'x=2>&1', 'x={', 'x=}', 'x={}', 'x={a,b}', 'x=[', 'x=]', 'x=[[', 'x=]]', 'x=[a-z]', 'x=*', 'x=?', 'x=/boot/*', 'x=/dev/*', 'x=~', 'x=~root',
    'x=!', 'x=!!', 'x=#', 'x=a#b', 'x=%s', 'x=%d%n', 'x=a=b', 'x==', 'x=a==b', 'x=', 'x=,', 'x=a,b,,c', 'x=-n', 'x=--', 'x=-', 'x=+', 'x=@', 'x=^', 'x=a:b',
    'x="a b"', 'x="a  b"', 'x=" a"', 'x="a "', 'x=" "', 'x="a;b c"', 'x="$4 G"', 'x="a #b"', 'x="# a"', 'x="{ a }"', 'x="a & b"', 'x="if x; then y; fi"',
    'x="* ?"', 'x="/boot/* /"', 'x="[[ a ]]"', '"x=a b"', 'x="a=b c=d"', 'dyndbg="file drivers/pci/*.c +p; module vfio +p"',
    r'x=\n', r'x=\\', 'x=\\', r'x=\$', r'x=a\ b', r'x=\"', "x='a'", "x='", "x=it's", 'x=a"b c"d', 'x="a"b"c"', r'x=\x41', r'x=\0', r'x=\c', 'x=$"a"', "x=$'a'",
    'flag', 'flag-with-dash', 'flag_with_underscore', 'a.b', 'c.d=e', 'a-b.c_d=e', 'systemd.unit=rescue.target', 'console=ttyS0,115200n8',
    'x=' + PLAIN, 'if=x', 'then', 'fi', 'done', 'for', 'in', 'function', 'case=esac', 'menuentry', 'reboot', 'halt', 'true', '*', '?x', '/b*', '(host)/b*', '!', '{', '}',
    '[[', ']]', '#', '#x=1', '$x=1', '${x}', '~', '-', '--', '-n', '=', '==', '=x', '"', "'", '\\',
    'x=' + 'v' * 300, 'x=' + ';$' * 150, 'x="' + 'a b ' * 60 + '"', 'x=' + ','.join('0000:%02x:00.0' % bus for bus in range(20)),
]


def generated():
    """Words as a user gives them; nearly every key has a number of its own, so that many fit on one command line."""
    words = []
    for c in ODD:
        words += ['k\0=%sv' % c, 'k\0=v%sw' % c, 'k\0=v%s' % c, 'k\0=%s' % c, 'k\0=%s%sv' % (c, c), 'k\0=v%s4' % c,
                  'k\0="%s b"' % c, 'k\0="a %s"' % c, 'k\0="a %s b"' % c, '%sk\0=v' % c, 'k\0%sy=v' % c, 'k\0%s=v' % c]
    words += [re.sub('^("?x)=', '\\1\0=', word) for word in SPECIAL]
    return [word.replace('\0', str(number)) for number, word in enumerate(words)]


def in_it(word, lost):
    """which of these characters the value has to the kernel, where the word is one parameter at all"""
    wish = kernel_parameters(word)
    return [c for c in lost if len(wish) == 1 and word.count('"') % 2 == 0 and c in (wish[0][1] or '')]


def must_pass(word, lost):
    """Whether it can be passed, and the key is one as the kernel has them: then refusing it would be a fault."""
    wish = kernel_parameters(word)
    return (len(wish) == 1 and word.count('"') % 2 == 0 and re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._-]*', wish[0][0]) is not None and
            not in_it(word, lost))


def batches(words):
    """no more at once than a command line holds"""
    out = [[]]
    for word in words:
        if sum(len(w) + 3 for w in out[-1]) + len(word) > 1700:
            out.append([])
        out[-1].append(word)
    return out
