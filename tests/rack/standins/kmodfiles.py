# SPDX-License-Identifier: MIT
# Files that libkmod, modprobe and modinfo read: a module's information and the binary index that depmod makes.
import os
import struct


def module_file(words):
    """An ELF object with a .modinfo section and nothing else: what modinfo and libkmod read of a module."""
    info = b''.join(word.encode() + b'\0' for word in words)
    names = b'\0.modinfo\0.shstrtab\0'
    offset = 64 + len(info)
    table = offset + len(names)
    header = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\2\1\1', 1, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2)
    section = '<IIQQQQIIQQ'
    return (header + info + names + bytes(64) + struct.pack(section, 1, 1, 2, 0, 64, len(info), 0, 0, 1, 0) +
            struct.pack(section, 10, 3, 0, 0, offset, len(names), 0, 0, 1, 0))


def module_index(values):
    """kmod's binary index (libkmod-index.c, version 2.1): a trie whose nodes are written children first."""
    trie = {}
    for key, value in values.items():
        node = trie
        for letter in key.encode():
            node = node.setdefault(letter, {})
        node[None] = value.encode()
    out = bytearray(struct.pack('>III', 0xB007F457, 0x00020001, 0))

    def write_node(node):
        children = {letter: write_node(child) for letter, child in sorted((k, v) for k, v in node.items() if k is not None)}
        offset, flags = len(out), 0
        if children:
            flags |= 0x20000000
            out.extend(bytes((min(children), max(children))))
            for letter in range(min(children), max(children) + 1):
                out.extend(struct.pack('>I', children.get(letter, 0)))
        if None in node:
            flags |= 0x40000000
            out.extend(struct.pack('>II', 1, 0) + node[None] + b'\0')
        return offset | flags

    if trie:
        struct.pack_into('>I', out, 8, write_node(trie))
    return bytes(out)


def read_index(path):
    """modules.dep (the text beside the index): {name: line}."""
    lines = {}
    try:
        with open(path, encoding='utf-8') as file:
            for line in file:
                name = line.split(':')[0].rsplit('/', 1)[-1].split('.ko')[0].replace('-', '_')
                lines[name] = line.strip()
    except FileNotFoundError:
        pass
    return lines


def own_line(directory, module):
    """The line of modules.dep for the kernel's own module of that name, None without one: what depmod finds when the one in updates goes."""
    for place, _, names in os.walk(directory + '/kernel'):
        if module + '.ko' in names:
            return os.path.relpath(os.path.join(place, module + '.ko'), directory) + ':'
    return None


def depmod(directory, changes):
    """Puts modules (name -> line of modules.dep, None: gone) into a module directory's lists."""
    lines = read_index(directory + '/modules.dep')
    for name, line in changes.items():
        if line is None:
            lines.pop(name, None)
        else:
            lines[name] = line
    with open(directory + '/modules.dep', 'w', encoding='utf-8') as file:
        file.write(''.join(line + '\n' for line in lines.values()))
    with open(directory + '/modules.dep.bin', 'wb') as file:
        file.write(module_index(lines))
