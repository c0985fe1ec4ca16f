# SPDX-License-Identifier: MIT
# Kernel parameters to try a boot loader with: every printable ASCII character in every position, and what means something to a reader.
import itertools
import string

PLAIN = string.ascii_letters + string.digits
ODD = [c for c in map(chr, range(0x20, 0x7f)) if c not in PLAIN]

# What can't be passed by GRUB: its loader puts a backslash before each of these, which the kernel keeps (grub-core/lib/cmdline.c).
LOST_IN_GRUB = '\'"\\'

SPECIAL = [
    'memmap=1G$4G', 'memmap=16M$0x100000000,1G$4G', 'x=${y}', 'x=$y', 'x=$1', 'x=$?', 'x=$*', 'x=$#', 'x=$$', 'x=$', 'x=$(id)', 'x=`id`', 'x=${',
    'x=1;reboot', 'x=;', 'x=;;', 'x=a;b;c', 'pci=resource_alignment=20@0000:41:00.0;20@0000:42:00.0', 'x=a&&b', 'x=a||b', 'x=a&', 'x=a|b', 'x=<in',
    'x=>out', 'x=2>&1', 'x={', 'x=}', 'x={}', 'x={a,b}', 'x=[', 'x=]', 'x=[[', 'x=]]', 'x=[a-z]', 'x=*', 'x=?', 'x=/boot/*', 'x=/dev/*', 'x=~', 'x=~root',
    'x=!', 'x=!!', 'x=#', 'x=a#b', 'x=%s', 'x=%d%n', 'x=a=b', 'x==', 'x=a==b', 'x=', 'x=,', 'x=a,b,,c', 'x=-n', 'x=--', 'x=-', 'x=+', 'x=@', 'x=^', 'x=a:b',
    'x="a b"', 'x="a  b"', 'x=" a"', 'x="a "', 'x=" "', 'x="a;b c"', 'x="$4 G"', 'x="a #b"', 'x="# a"', 'x="{ a }"', 'x="a & b"', 'x="if x; then y; fi"',
    'x="* ?"', 'x="/boot/* /"', 'x="[[ a ]]"', '"x=a b"', 'x="a=b c=d"', 'dyndbg="file drivers/pci/*.c +p; module vfio +p"',
    r'x=\n', r'x=\\', 'x=\\', r'x=\$', r'x=a\ b', r'x=\"', "x='a'", "x='", "x=it's", 'x=a"b c"d', 'x="a"b"c"', r'x=\x41', r'x=\0', r'x=\c', 'x=$"a"', "x=$'a'",
    'flag', 'flag-with-dash', 'flag_with_underscore', 'a.b', 'a.b=c', 'a-b.c_d=e', 'systemd.unit=rescue.target', 'console=ttyS0,115200n8',
    'if=x', 'then', 'fi', 'done', 'for', 'in', 'function', 'case=esac', 'menuentry', 'reboot', 'halt', 'true', '*', '?x', '/b*', '(host)/b*', '!', '{', '}',
    '[[', ']]', '#', '#x=1', '$x=1', '${x}', '~', '-', '--', '-n', '=', '==', '=x', '"', "'", '\\',
    'x=' + 'v' * 300, 'x=' + ';$' * 150, 'x="' + 'a b ' * 60 + '"', 'x=' + ','.join('0000:%02x:00.0' % bus for bus in range(20)),
]


def generated():
    """Words as a user gives them; each key that can carry a number has one of its own, so that many fit on one command line."""
    words = []
    for c in ODD:
        words += ['k=%sv' % c, 'k=v%sw' % c, 'k=v%s' % c, 'k=%s' % c, 'k=%s%sv' % (c, c), 'k=v%s4' % c, 'k="%s b"' % c, 'k="a %s"' % c, 'k="a %s b"' % c]
        words += ['k%sy=v' % c, '%sk=v' % c, 'k%s=v' % c]
    words += SPECIAL
    numbers = itertools.count()
    out = []
    for word in words:
        for start in ('"k', '"x', 'k', 'x'):
            if word.startswith(start) and not word[len(start):][:1].isalpha():
                word = start + str(next(numbers)) + word[len(start):]
                break
        out.append(word)
    return list(dict.fromkeys(out))
