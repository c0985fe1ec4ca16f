#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes the trees of table.yml: OUT/BASE and OUT/rN, and prints the rows as JSON.
import json
import os
import shutil
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'rack'))
import machine  # noqa: E402


def merged(base, change):
    """`change` over `base`: keys of dictionaries one by one, entries of lists by their number, null takes a key away; {} empties one."""
    if isinstance(change, dict) and isinstance(base, list):
        out = list(base)
        for number, value in change.items():
            out[number] = merged(out[number], value)
        return out
    if not isinstance(change, dict) or not isinstance(base, dict) or not change:
        return change
    out = dict(base)
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out[key], value) if key in out else value
    return out


def write(description, tree):
    shutil.rmtree(tree, ignore_errors=True)
    machine.write(machine.Machine(description), tree)


def main(out):
    with open(os.path.join(HERE, 'table.yml'), encoding='utf-8') as file:
        table = yaml.safe_load(file)
    for name, base in table['bases'].items():
        write(base, os.path.join(out, name))
    for number, row in enumerate(table['rows']):
        row['tree'] = 'r%d' % number
        try:
            write(merged(table['bases'][row['base']], row.pop('change') or {}) or table['bases'][row['base']], os.path.join(out, row['tree']))
        except machine.MachineError as error:
            sys.exit('%s: %s' % (row['fault'], error))
    print(json.dumps(table['rows']))


if __name__ == '__main__':
    main(sys.argv[1])
