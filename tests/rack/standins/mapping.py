# SPDX-License-Identifier: MIT
# PCI resource mappings as Proxmox VE keeps them: PVE::Mapping::PCI, PVE::SectionConfig, PVE::API2::Cluster::Mapping::PCI.
"""What is there of it and what is not depends on the release: nothing in 7, live-migration-capable from 8.4 on."""
import os
import random
import re

import cluster
import guests
import hostpci
import standin
from bootfiles import ToolError, read

FILE = '/etc/pve/mapping/pci.cfg'
BASE = '/cluster/mapping/pci'
LARGEST = 1 << 20
ID = re.compile(r'[A-Za-z][A-Za-z0-9_-]+')
PCI = r'[a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}(?:.[a-f0-9])?'
ENTRY = {
    'node': r'[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?',
    'path': '(?:%s;)*%s' % (PCI, PCI),
    'id': '[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}',
    'subsystem-id': '[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}',
    'iommugroup': r'[+-]?\d+',
    'description': '.{0,4096}',
}


def release():
    return tuple(int(part) for part in standin.machine()['pve'].split('.')[:2])


def scalar_keys():
    return ['description', 'mdev'] + (['live-migration-capable'] if release() >= (8, 4) else [])


def parse_entry(text):
    """{key: value} of a map entry, or ValueError."""
    found = {}
    for part in text.split(','):
        if not part.strip():
            continue
        key, sign, value = part.partition('=')
        if not sign or not key or not value:
            raise ValueError("value without key, but schema does not define a default key")
        if key in found:
            raise ValueError("duplicate key in comma-separated list property: %s" % key)
        if key not in ENTRY:
            raise ValueError("%s: property is not defined in schema and the schema does not allow additional properties" % key)
        if not re.fullmatch(ENTRY[key], value):
            raise ValueError("%s: value does not match the regex pattern" % key)
        found[key] = value
    for key in ('node', 'path', 'id'):
        if key not in found:
            raise ValueError("%s: property is missing and it is not optional" % key)
    return found


def check_value(key, value, from_file):
    if key == 'map':
        if value is None:
            raise ValueError('got undefined value')
        parse_entry(value)
        return value
    if key not in scalar_keys():
        raise ValueError("unexpected property '%s'" % key)
    if key == 'description':
        if value is None or len(value) > 4096:
            raise ValueError('value may only be 4096 characters long' if value else 'got undefined value')
        return value
    if value is None:
        return '1'
    if not from_file and value.lower() in ('1', 'on', 'yes', 'true', '0', 'off', 'no', 'false'):
        return '1' if value.lower() in ('1', 'on', 'yes', 'true') else '0'
    if value not in ('0', '1'):
        raise ValueError("type check ('boolean') failed - got '%s'" % value)
    return value


def load(raw=None):
    """({id: section or None for a poisoned one}, digest); warnings go to standard error."""
    if raw is None:
        raw = read(FILE)
    found = {}
    section = name = skip = None

    def end():
        if section is None or skip:
            return
        found.pop(name, None)
        if 'map' not in section:
            standin.warn("file %s (section '%s') - missing value for required option 'map'" % (FILE, name))
            found[name] = None  # check_config died, and the undefined value is kept
        else:
            found[name] = section

    for number, line in enumerate(raw.split('\n'), 1):
        if re.match(r'\s*#', line):
            continue
        if line in ('', '0'):
            end()
            section = None
        elif section is None:
            head = re.fullmatch(r'(\S+)\s*', line)
            if head:
                name, section = head.group(1), {}
                skip = not ID.fullmatch(name)
                if skip:
                    standin.warn("file %s line %d (skip section '%s'): invalid configuration ID '%s'" % (FILE, number, name, name))
            else:
                standin.warn('file %s line %d - ignore config line: %s' % (FILE, number, line))
        elif not skip:
            words = re.fullmatch(r'\s+(\S+)(?:\s+(.*\S))?\s*', line)
            if not words:
                standin.warn("file %s line %d (section '%s') - ignore config line: %s" % (FILE, number, name, line))
                continue
            key, value = words.groups()
            try:
                value = check_value(key, value, True)
                if key == 'map':
                    section.setdefault('map', []).append(value)
                elif key in section:
                    raise ValueError('duplicate attribute')
                else:
                    section[key] = value
            except ValueError as error:
                standin.warn("file %s line %d (section '%s') - unable to parse value of '%s': %s" % (FILE, number, name, key, error))
    end()
    return found


def store(config):
    text = ''
    for name, section in config.items():
        if section is None:
            raise ToolError("unknown section type ''", 255)
        for key, value in section.items():
            if re.search(r'[\n\r]', '' if key == 'map' else value):  # format_config_line
                raise ToolError("property '%s' contains a line feed" % key, 255)
        text += name + '\n' + ''.join('\tmap %s\n' % entry for entry in section['map'])
        text += ''.join('\t%s %s\n' % (key, section[key]) for key in sorted(section) if key != 'map' and section[key] != '') + '\n'
    temporary = '%s.tmp.%d' % (FILE, os.getpid())
    try:
        with open(temporary, 'wb', buffering=0) as file:
            file.write(text.encode('ascii', 'replace'))
        os.rename(temporary, FILE)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise ToolError("unable to write '%s' - %s" % (temporary, error.strerror), error.errno) from None


# --- the calls --------------------------------------------------------------------------------------------------------------------


# PVE::RESTHandler::getopt_usage: the path is an argument of pvesh's, what is required follows
USAGE = {verb: 'pvesh %s <api_path>%s [OPTIONS] [FORMAT_OPTIONS]' % (verb, ' --id <string> --map <array>' if verb == 'create' else '')
         for verb in ('get', 'create', 'set', 'delete')}


def wrong(verb, text):
    return standin.refused('400 Parameter verification failed.\n' + text, USAGE[verb])


def options(verb, words, allowed):
    """{key: [values]}"""
    found, words = {}, list(words)
    while words:
        word = words.pop(0)
        key, sign, value = word[2:].partition('=')
        if not word.startswith('--') or key not in allowed:
            raise standin.refused('Unknown option: %s\n400 unable to parse option' % key, USAGE[verb])
        if not sign:
            if not words:
                raise standin.refused('Option %s requires an argument\n400 unable to parse option' % key, USAGE[verb])
            value = words.pop(0)
        found.setdefault(key, []).append(value)
    return found


def given_section(verb, given):
    """What the schema of the call takes; that `map` is required counts in `create` alone (SectionConfig.pm, createSchema, updateSchema)."""
    section = {}
    for index, entry in enumerate(given.get('map', [])):
        try:
            parse_entry(entry)
        except ValueError as error:
            raise wrong(verb, 'map[%d]: invalid format - format error\nmap[%d].%s' % (index, index, error)) from None
        section.setdefault('map', []).append(entry)
    for key in scalar_keys():
        if key in given:
            try:
                section[key] = check_value(key, given[key][-1], False)
            except ValueError as error:
                raise wrong(verb, '%s: %s' % (key, error)) from None
    if verb == 'create' and 'map' not in section:
        raise wrong(verb, 'map: property is missing and it is not optional')
    return section


def locked(failed, work):
    try:
        with cluster.Lock('file-mapping_pci_cfg'):
            config = load()
            work(config)
            store(config)
    except ToolError as error:
        raise ToolError('%s: %s' % (failed, error), error.code) from None


def create(words):
    given = options('create', words, ['id', 'map'] + scalar_keys())
    if 'id' not in given:
        raise wrong('create', 'id: property is missing and it is not optional')
    name = given['id'][-1]
    if not ID.fullmatch(name):
        raise wrong('create', "id: invalid format - invalid configuration ID '%s'" % name)
    section = given_section('create', given)

    def work(config):
        if config.get(name) is not None:
            raise ToolError("pci ID '%s' already defined" % name, 255)
        config[name] = section
    locked('create hardware mapping failed', work)


def update(name, words):
    given = options('set', words, ['map', 'digest', 'delete'] + scalar_keys())
    standin.check_digest(given.get('digest', [''])[-1], USAGE['set'])
    section = given_section('set', given)
    delete = [key for key in re.split(r'[,;\s\0]+', given.get('delete', [''])[-1]) if key]

    def work(config):
        digest = given.get('digest', [''])[-1]
        if digest and digest != cluster.digest(FILE):
            # whatever errno was left
            raise ToolError('detected modified configuration - file changed by other user? Try again.', random.choice((255, 2, 11, 17)))
        if config.get(name) is None:
            raise ToolError("pci ID '%s' does not exist" % name, 255)
        if 'map' not in section:
            raise ToolError("missing value for required option 'map'", 255)
        for key in delete:
            if key == 'map':
                raise ToolError("unable to delete required option 'map'", 255)
            if key not in scalar_keys():
                raise ToolError("no such option '%s'" % key, 255)
            if key in section:
                raise ToolError("unable to set and delete property '%s' at the same time!" % key, 255)
            config[name].pop(key, None)
        config[name].update(section)
    locked('update hardware mapping failed', work)


def delete(name, words):
    options('delete', words, [])

    def work(config):
        if config.get(name) is not None:
            del config[name]
    locked('delete pci mapping failed', work)


def shown(name, section, digest):
    return dict(section, id=name, type='pci', digest=digest)


def call(verb, path, words):
    """The answer of a get, None of the others."""
    if release() < (8, 0):
        raise ToolError("No '%s' handler defined for '%s'" % (verb, path), 1)
    if not os.path.islink('/etc/pve/local'):
        raise ToolError('ipcc_send_rec[1] failed: Connection refused\n' * 3 + 'Unable to load access control list: Connection refused', 111)
    name = path[len(BASE) + 1:]
    if verb == 'create' and not name:
        return create(words)
    if verb == 'set' and name:
        return update(name, words)
    if verb == 'delete' and name:
        return delete(name, words)
    if verb != 'get':
        raise ToolError("No '%s' handler defined for '%s'" % (verb, path), 1)
    digest, config = cluster.digest(FILE), load()
    if name:
        if config.get(name) is None:
            raise ToolError("mapping '%s' not found" % name, 255)
        return shown(name, config[name], digest)
    given = options('get', [word for word in words if word not in ('--output-format', 'json')], ['check-node'])
    found = [shown(key, section, digest) for key, section in config.items() if section is not None]
    random.shuffle(found)  # a Perl hash has no order
    for mapping in found if 'check-node' in given else []:
        mapping['checks'] = checks(mapping)
    return found


# --- what a guest's start looks at --------------------------------------------------------------------------------------------------


def entries_here(mapping):
    return [entry for entry in map(parse_entry, mapping['map']) if entry['node'] == guests.node()]


def checks(mapping):
    here = entries_here(mapping)
    if not here:
        return [{'severity': 'warning', 'message': 'No mapping for node %s.' % guests.node()}]
    found = []
    for entry in here:
        try:
            hostpci.assert_valid(mapping['id'], entry, mapping)
        except ToolError as error:
            found.append({'severity': 'error', 'message': 'Invalid configuration: %s\n' % error})
    return found
