# SPDX-License-Identifier: MIT
# Roles: defaults and argument_specs say the same, and what they hand to a module is what that module takes.
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(PROJECT, 'cmake', 'collection'))
import generate_docs  # noqa: E402

EXECUTABLE = os.path.join(os.environ.get('PVE_GPU_BINARY_DIR', os.path.join(PROJECT, 'build', 'dev')), 'pve-gpu')
ROLES = sorted(os.listdir(os.path.join(PROJECT, 'roles')))


def load(*path):
    with open(os.path.join(PROJECT, 'roles', *path), encoding='utf-8') as file:
        return yaml.safe_load(file) or {}


def tasks_in(items):
    for item in items or []:
        yield item
        for key in ('block', 'rescue', 'always'):
            yield from tasks_in(item.get(key))


def tasks(role):
    for path in sorted(glob.glob(os.path.join(PROJECT, 'roles', role, 'tasks', '*.yml'))):
        yield from tasks_in(load(path))


class Roles(unittest.TestCase):
    def options(self, role):
        return load(role, 'meta', 'argument_specs.yml')['argument_specs']['main']['options']

    def test_there_are_roles(self):
        self.assertIn('gpu_boot', ROLES)

    def test_defaults_and_argument_specs_agree(self):
        for role in ROLES:
            defaults, options = load(role, 'defaults', 'main.yml'), self.options(role)
            with self.subTest(role=role):
                self.assertEqual(sorted(defaults), sorted(options))
                for name, option in options.items():
                    self.assertTrue(name == role or name.startswith(role + '_'), name)
                    if 'default' in option:
                        self.assertEqual(defaults[name], option['default'], name)
                    else:  # what other roles found
                        self.assertIn('{{', defaults[name], name)

    def test_arguments_are_what_modules_take(self):
        compared = 0
        for role in ROLES:
            options = self.options(role)
            for task in tasks(role):
                for module in [key for key in task if key.startswith('pve.gpu.')]:
                    described = generate_docs.describe(EXECUTABLE, module[len('pve.gpu.'):])['DOCUMENTATION']['options']
                    for name, value in (task[module] or {}).items():
                        with self.subTest(role=role, module=module, argument=name):
                            self.assertIn(name, described)
                            variable = re.fullmatch(r'\{\{ (\w+) \}\}', str(value))
                            if not variable or variable.group(1) not in options:
                                continue
                            compared += 1
                            option = options[variable.group(1)]
                            self.assertEqual(option['type'], described[name]['type'])
                            self.assertEqual(option.get('elements'), described[name].get('elements'))
                            if 'choices' in option:
                                self.assertEqual(option['choices'], described[name]['choices'])
                            if 'default' in option and not described[name].get('required'):
                                self.assertEqual(option['default'], described[name].get('default'))
        self.assertGreater(compared, 10)

    def test_variables_carry_the_role_s_name(self):
        for role in ROLES:
            for task in tasks(role):
                names = [task['register']] if 'register' in task else []
                names += list(task.get('ansible.builtin.set_fact', {})) + list(task.get('vars', {}))
                for name in names:
                    self.assertRegex(name, '^_?%s_' % role)

    def test_private_variables_of_roles_are_named_so(self):
        for path in glob.glob(os.path.join(PROJECT, 'roles', '*', 'vars', 'main.yml')):
            role = path.split(os.sep)[-3]
            for name in load(role, 'vars', 'main.yml'):
                self.assertTrue(name.startswith('_%s_' % role), name)

    def test_example_inventories_set_what_roles_take(self):
        known = {name for role in ROLES for name in self.options(role)} | {'ansible_user', 'ansible_host', 'gpu_reboot_serial', 'gpu_hosts'}
        examples = sorted(glob.glob(os.path.join(PROJECT, 'playbooks', 'examples', '*.yml')))
        self.assertGreater(len(examples), 2)

        def variables(group):
            yield from group.get('vars') or {}
            for host in (group.get('hosts') or {}).values():
                yield from host or {}
            for child in (group.get('children') or {}).values():
                yield from variables(child or {})

        for path in examples:
            with open(path, encoding='utf-8') as file:
                groups = yaml.safe_load(file)
            with self.subTest(example=os.path.basename(path)):
                self.assertTrue([name for name in groups if re.fullmatch('form_[a-f]', name)])
                for group in groups.values():
                    for name in variables(group):
                        self.assertIn(name, known)

    def test_ansible_lint(self):
        """Profile production, on a copy of the roles and playbooks outside any ignored folder."""
        if not shutil.which('ansible-lint'):
            self.skipTest('ansible-lint is not installed')
        built = os.path.join(PROJECT, 'build', 'collection', 'ansible_collections', 'pve', 'gpu')
        if not os.path.isdir(built):
            self.skipTest('build/collection is missing: ./dev collection makes it')
        with tempfile.TemporaryDirectory() as place:
            copy = os.path.join(place, 'ansible_collections', 'pve', 'gpu')
            shutil.copytree(built, copy, symlinks=True)
            # its newer releases refuse to run beside the old name
            inherited = {name: value for name, value in os.environ.items() if name != 'ANSIBLE_COLLECTIONS_PATHS'}
            done = subprocess.run(['ansible-lint', '--offline', '--nocolor', '-p', '--profile', 'production', 'roles', 'playbooks'], cwd=copy,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                  env={**inherited, 'ANSIBLE_COLLECTIONS_PATH': place, 'HOME': place})
            self.assertEqual(done.returncode, 0, done.stdout[-4000:])
            self.assertNotIn('on 0 files', done.stdout)


if __name__ == '__main__':
    unittest.main()
