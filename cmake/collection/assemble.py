#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Makes the Ansible collection pve.gpu from the repository and a built executable, and packs it with ansible-galaxy.
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import generate_docs  # noqa: E402

TEMPLATES = pathlib.Path(__file__).parent
REPOSITORY = TEMPLATES.parent.parent
ELF = b'\x7fELF'


def project_version():
    match = re.search(r'^project\([^)]*\bVERSION\s+([0-9]+\.[0-9]+\.[0-9]+)', (REPOSITORY / 'CMakeLists.txt').read_text(), re.MULTILINE)
    if not match:
        raise SystemExit('CMakeLists.txt: found no VERSION X.Y.Z in project(): write one there')
    return match.group(1)


def fill(template, **values):
    text = (TEMPLATES / template).read_text()
    for key, value in values.items():
        text = text.replace(f'@{key}@', value)
    return text


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def linked(text, collection):
    """the text with those links only that lead somewhere in the collection, which has no sources"""
    return re.sub(r'\[([^]]*)\]\(([^):#]+)\)', lambda link: link[0] if (collection / link[2]).exists() else link[1], text)


def copy_tree(source, target):
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns('__pycache__', '*.pyc', '.*'))


def assemble(executable, root, documented):
    """the collection's folder, made anew below root"""
    with open(executable, 'rb') as f:
        if f.read(4) != ELF:
            raise SystemExit(f'{executable}: not an executable of Linux: give the built pve-gpu')
    version = project_version()
    said = generate_docs.ask(executable, '--version').split()[-1]
    if said != version:
        raise SystemExit(f'{executable} is version {said}, CMakeLists.txt says {version}: build it again')
    names = sorted(generate_docs.modules(executable))
    sidecars = generate_docs.sidecars(documented)
    if sorted(sidecars) != names:
        raise SystemExit(f'{documented} does not have the modules of {executable}: build both again')

    # Ansible and ansible-test find a collection only below a folder of this name.
    collection = root / 'ansible_collections' / 'pve' / 'gpu'
    if collection.exists():
        shutil.rmtree(collection)
    write(collection / 'galaxy.yml', fill('galaxy.yml.in', VERSION=version))
    write(collection / 'meta' / 'runtime.yml', fill('runtime.yml.in', GROUP='\n'.join(f'    - {name}' for name in names)))

    # One executable; a module is a symbolic link to it, which tells it its name. The links beside it are for `ansible -M plugins/native`:
    # in plugins/modules, Ansible's old way to look up modules by folder may find the sidecar first.
    plugins = collection / 'plugins'
    (plugins / 'native').mkdir(parents=True)
    shutil.copyfile(executable, plugins / 'native' / 'pve-gpu')
    (plugins / 'native' / 'pve-gpu').chmod(0o755)
    (plugins / 'modules').mkdir()
    for name in names:
        (plugins / 'modules' / name).symlink_to('../native/pve-gpu')
        (plugins / 'native' / name).symlink_to('pve-gpu')
        write(plugins / 'modules' / f'{name}.py', sidecars[name])
    (plugins / 'action').mkdir()
    shutil.copyfile(REPOSITORY / 'common' / 'controller' / 'native.py', plugins / 'action' / 'native.py')
    # Under each module's name Ansible loads the action plugin once and its workers inherit it; one that meta/runtime.yml names
    # (action_plugin) is compiled by every worker, that is for every task.
    for name in names:
        (plugins / 'action' / f'{name}.py').symlink_to('native.py')

    for folder in ('roles', 'playbooks', 'changelogs'):
        if (REPOSITORY / folder).is_dir():
            copy_tree(REPOSITORY / folder, collection / folder)
    for pattern in ('LICENSE', 'CHANGELOG*'):
        for path in REPOSITORY.glob(pattern):
            shutil.copyfile(path, collection / path.name)
    write(collection / 'README.md', linked((REPOSITORY / 'README.md').read_text(encoding='utf-8'), collection))
    copy_tree(TEMPLATES / 'sanity', collection / 'tests' / 'sanity')
    for minor in range(14, 23):
        write(collection / 'tests' / 'sanity' / f'ignore-2.{minor}.txt', fill('ignore.txt.in', MODULES='\n'.join(
            f'plugins/modules/{name}.py validate-modules:missing-gplv3-license # documentation of an executable under MIT' for name in names)))
    return collection


def pack(collection, output):
    """the collection's archive"""
    environment = dict(os.environ, ANSIBLE_LOCALHOST_WARNING='0')
    subprocess.run(['ansible-galaxy', 'collection', 'build', '--force', '--output-path', str(output), str(collection)],
                   check=True, stdout=subprocess.DEVNULL, env=environment)
    return output / f'pve-gpu-{project_version()}.tar.gz'


def main():
    parser = argparse.ArgumentParser(description='Make the collection pve.gpu and its archive.')
    parser.add_argument('--executable', required=True, type=pathlib.Path, help='the built pve-gpu that travels: the portable one')
    parser.add_argument('--out', default=REPOSITORY / 'build' / 'collection', type=pathlib.Path, help='default: build/collection')
    parser.add_argument('--documented', type=pathlib.Path, help='the executable that holds the documentation, which the one that travels does not; '
                                                                'default: the same')
    parser.add_argument('--no-archive', action='store_true', help='only the folder, which ANSIBLE_COLLECTIONS_PATH=OUT finds')
    arguments = parser.parse_args()
    output = arguments.out.resolve()
    executable = arguments.executable.resolve()
    collection = assemble(executable, output, (arguments.documented or executable).resolve())
    print(collection if arguments.no_archive else pack(collection, output))
    return 0


if __name__ == '__main__':
    sys.exit(main())
