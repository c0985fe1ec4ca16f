#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes each module's documentation sidecar (NAME.py, for ansible-doc) and reference page (NAME.md) from `pve-gpu --describe`.
import argparse
import json
import pathlib
import re
import subprocess
import sys

import yaml

DOCS = pathlib.Path(__file__).resolve().parents[2] / 'modules' / 'docs'

SIDECAR = """\
#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.{name}: the module itself is compiled. Written by `./dev docs` from modules/{name}.cpp; do not edit.
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


def markdown(text):
    return MARKUP.sub(lambda m: f'`{m[2]}`', text)


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


def sentences(value):
    return markdown(' '.join(value) if isinstance(value, list) else str(value))


def cell(text):
    return markdown(text).replace('|', '\\|').replace('\n', ' ')


def option_rows(options, prefix=''):
    for name, option in options.items():
        kind = option.get('type', 'str') + (f" of {option['elements']}" if 'elements' in option else '')
        facts = []
        if option.get('required'):
            facts.append('required')
        if 'choices' in option:
            facts.append('one of ' + ', '.join(f'`{json.dumps(c) if isinstance(c, bool) else c}`' for c in option['choices']))
        if 'default' in option:
            facts.append(f"default `{json.dumps(option['default'])}`")
        if option.get('aliases'):
            facts.append('also called ' + ', '.join(f'`{a}`' for a in option['aliases']))
        yield f"| `{prefix}{name}` | {kind} | {cell('; '.join(facts))} | {cell(sentences(option['description']))} |"
        yield from option_rows(option.get('suboptions', {}), f'{prefix}{name}.')


def return_rows(returns, prefix=''):
    for name, value in (returns or {}).items():
        kind = value.get('type', '') + (f" of {value['elements']}" if 'elements' in value else '')
        yield f"| `{prefix}{name}` | {kind} | {cell(value.get('returned', ''))} | {cell(sentences(value['description']))} |"
        contains = value.get('contains')
        if contains:
            yield from return_rows(contains, f"{prefix}{name}{'[]' if value.get('type') == 'list' else ''}.")


def page(name, described):
    doc = documentation_of(described)
    description = doc['description'] if isinstance(doc['description'], list) else [doc['description']]
    lines = [f'<!-- Written by `./dev docs` from modules/{name}.cpp; do not edit. -->', f'# pve.gpu.{name}', '', f"{doc['short_description']}.", '']
    for paragraph in description:
        lines += [markdown(paragraph), '']
    if doc.get('options'):
        lines += ['## Parameters', '', '| name | type | | |', '|---|---|---|---|', *option_rows(doc['options']), '']
    if doc.get('attributes'):
        lines += ['## Attributes', '', '| name | support | |', '|---|---|---|']
        lines += [f"| `{key}` | {a['support']} | {cell(sentences(a['description']))} |" for key, a in doc['attributes'].items()]
        lines.append('')
    if doc.get('notes'):
        lines += ['## Notes', '', *(f'- {markdown(note)}' for note in doc['notes']), '']
    lines += ['## Examples', '', '```yaml', block(described['EXAMPLES']).rstrip('\n'), '```', '']
    lines += ['## Results', '', '| key | type | returned | |', '|---|---|---|---|', *return_rows(described['RETURN']), '']
    return '\n'.join(lines)


def ask(executable, *arguments):
    return subprocess.run([executable, *arguments], check=True, stdout=subprocess.PIPE, text=True, encoding='utf-8').stdout


def modules(executable):
    return ask(executable, '--list').split()


def describe(executable, name):
    return json.loads(ask(executable, '--describe', name))


def generate(executable):
    """{file name: content} of all sidecars and pages"""
    files = {}
    for name in modules(executable):
        described = describe(executable, name)
        files[f'{name}.py'] = sidecar(name, described)
        files[f'{name}.md'] = page(name, described)
    return files


def main():
    parser = argparse.ArgumentParser(description='Write the documentation of all modules from the executable.')
    parser.add_argument('executable', type=pathlib.Path, help='a built pve-gpu')
    parser.add_argument('--out', default=DOCS, type=pathlib.Path, help='a folder that holds nothing else; default: modules/docs')
    arguments = parser.parse_args()
    files = generate(arguments.executable.resolve())
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in arguments.out.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (arguments.out / name).write_text(content, encoding='utf-8')
    print(f'{len(files)} files in {arguments.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
