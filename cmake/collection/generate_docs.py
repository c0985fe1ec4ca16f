#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# What ansible-doc reads beside a module that is an executable: a sidecar NAME.py, made from `pve-gpu --describe NAME`.
import argparse
import json
import pathlib
import re
import subprocess
import sys

import yaml

SIDECAR = """\
#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.{name}: the module itself is compiled. Made from modules/{name}.cpp.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
{documentation}'''

EXAMPLES = r'''
---
{examples}'''

RETURN = r'''
---
{returns}'''
"""

# The order that people expect; JSON objects may come sorted by name.
TOP = ('module', 'short_description', 'version_added', 'description', 'author', 'requirements', 'options', 'attributes', 'notes', 'seealso')
OPTION = ('description', 'type', 'elements', 'required', 'default', 'choices', 'aliases', 'no_log', 'suboptions')


class Dumper(yaml.SafeDumper):
    """Block style, with list items indented below their key as yamllint wants them."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data):
        return True


def to_yaml(value):
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=116)


def in_order(mapping, order):
    return {key: mapping[key] for key in [*(k for k in order if k in mapping), *(k for k in mapping if k not in order)]}


def options_in_order(options):
    out = {}
    for name, option in options.items():
        option = in_order(option, OPTION)
        if 'suboptions' in option:
            option['suboptions'] = options_in_order(option['suboptions'])
        out[name] = option
    return out


def documentation_of(described):
    documentation = in_order(described['DOCUMENTATION'], TOP)
    if 'options' in documentation:
        documentation['options'] = options_in_order(documentation['options'])
    return documentation


def block(text):
    """YAML text of the module's author as it stands in the sidecar: no document marker, one newline at its end."""
    text = text.strip('\n')
    return text[4:] + '\n' if text.startswith('---\n') else text + '\n'


MARKUP = re.compile(r'\b(C|E|I|O|RV|V)\(((?:[^()\\]|\\.)*)\)')


def old_markup(text):
    """ansible-core 2.14 shows O(...), V(...), RV(...) and E(...) as they stand: all releases understand I(...) and C(...)"""
    return MARKUP.sub(lambda m: f"{'I' if m[1] in 'IO' else 'C'}({m[2]})", text)


def sidecar(name, described):
    texts = {
        'documentation': old_markup(to_yaml(documentation_of(described))),
        'examples': block(described['EXAMPLES']),
        'returns': old_markup(to_yaml(described['RETURN'])),
    }
    for what, text in texts.items():
        if "'''" in text:
            raise SystemExit(f"{name}: three single quotes in {what} would end the sidecar's string: write them another way in modules/{name}.cpp")
    return SIDECAR.format(name=name, **texts)


def ask(executable, *arguments):
    return subprocess.run([executable, *arguments], check=True, stdout=subprocess.PIPE, text=True, encoding='utf-8').stdout


def modules(executable):
    return ask(executable, '--list').split()


def describe(executable, name):
    return json.loads(ask(executable, '--describe', name))


def sidecars(executable):
    """{module: content of its sidecar} of an executable that holds its modules' documentation"""
    return {name: sidecar(name, describe(executable, name)) for name in modules(executable)}


def main():
    parser = argparse.ArgumentParser(description='Write NAME.py, which ansible-doc reads, of each module.')
    parser.add_argument('executable', type=pathlib.Path, help='a built pve-gpu that holds its modules\' documentation')
    parser.add_argument('out', type=pathlib.Path, help='a folder that holds nothing else')
    arguments = parser.parse_args()
    files = {f'{name}.py': content for name, content in sidecars(arguments.executable.resolve()).items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in arguments.out.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (arguments.out / name).write_text(content, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
