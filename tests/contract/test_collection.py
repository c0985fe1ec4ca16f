#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# What the modules say about themselves is true and reaches the user: documentation, results, the collection in Ansible's hands.
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / 'tests' / 'controller'))
import lab  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None
else:
    sys.path.insert(0, str(REPOSITORY / 'cmake' / 'collection'))
    import generate_docs  # noqa: E402

BUILD = pathlib.Path(os.environ.get('PVE_GPU_BINARY_DIR', REPOSITORY / 'build' / 'dev'))
EXECUTABLE = BUILD / 'pve-gpu'
MISSING = (f'{EXECUTABLE} is not built: ./dev build' if not EXECUTABLE.exists()
           else None if yaml else 'python3-yaml is missing: apt-get install python3-yaml')

# Any module of Ansible may return these: Ansible documents them itself ("Common return values").
COMMON = {'changed', 'failed', 'warnings', 'deprecations', 'diff'}
# Documented once by the core, for all modules that change something.
CORE = {'changed', 'steps', 'reboot_required', 'reboot_reason', 'pending_on', 'pending_reason', 'follow_ups_pending', 'invocation', 'msg',
        'failed_step', 'reverted', 'kept_foreign_edits'}


@functools.lru_cache(maxsize=None)
def modules():
    return generate_docs.modules(EXECUTABLE)


@functools.lru_cache(maxsize=None)
def described(name):
    return generate_docs.describe(EXECUTABLE, name)


def results(name):
    """(case, answer) of every golden answer"""
    for path in sorted((REPOSITORY / 'tests' / 'fixtures' / name).glob('*/expected*.json')):
        yield f'{path.parent.name}/{path.name}', json.loads(path.read_text())


def paths(value, documented, where=''):
    """the path of every documented and every undocumented key in an answer: (path, its documentation or None, its value)"""
    for key, inner in value.items():
        entry = (documented or {}).get(key)
        path = f'{where}{key}'
        yield path, entry, inner
        if entry is not None and 'contains' in entry:
            for item in inner if isinstance(inner, list) else [inner]:
                if isinstance(item, dict):
                    yield from paths(item, entry['contains'], f'{path}.')


def documented_paths(documented, where=''):
    for key, entry in (documented or {}).items():
        yield f'{where}{key}', entry
        yield from documented_paths(entry.get('contains'), f'{where}{key}.')


@unittest.skipIf(MISSING, MISSING)
class Documentation(unittest.TestCase):
    def test_documentation_is_whole(self):
        for name in modules():
            documentation = described(name)['DOCUMENTATION']
            with self.subTest(name):
                self.assertEqual(documentation['module'], name)
                for key in ('short_description', 'description', 'author', 'version_added'):
                    self.assertTrue(documentation.get(key), key)
                self.assertFalse(documentation['short_description'].endswith('.'))
                for attribute in ('check_mode', 'diff_mode'):
                    self.assertIn(documentation['attributes'][attribute]['support'], ('full', 'partial', 'none', 'N/A'))
                self.options_are_whole(documentation.get('options', {}))

    def options_are_whole(self, options):
        for option, facts in options.items():
            self.assertTrue(all(facts['description']), option)
            self.assertIn(facts['type'], ('str', 'bool', 'int', 'float', 'list', 'dict', 'path', 'raw'), option)
            self.assertEqual('elements' in facts, facts['type'] == 'list', option)
            self.assertFalse(facts.get('required') and 'default' in facts, option)
            if 'choices' in facts and facts.get('default') is not None:
                defaults = facts['default'] if facts['type'] == 'list' else [facts['default']]
                self.assertLessEqual(set(defaults), set(facts['choices']), option)
            self.options_are_whole(facts.get('suboptions', {}))

    def test_examples_use_what_is_documented(self):
        for name in modules():
            whole = described(name)
            tasks = yaml.safe_load(whole['EXAMPLES'])
            ours = [task[f'pve.gpu.{name}'] or {} for task in tasks if f'pve.gpu.{name}' in task]
            with self.subTest(name):
                self.assertTrue(ours, 'no example')
                self.assertTrue(all(task.get('name', '')[:1].isupper() for task in tasks), 'a task without a name that begins with a capital letter')
                for arguments in ours:
                    self.arguments_fit(arguments, whole['DOCUMENTATION'].get('options', {}))

    def arguments_fit(self, arguments, options):
        names = {alias: option for option, facts in options.items() for alias in [option, *facts.get('aliases', [])]}
        self.assertLessEqual(set(arguments), set(names))
        given = {names[key]: value for key, value in arguments.items()}
        for option, facts in options.items():
            if facts.get('required'):
                self.assertIn(option, given)
            value = given.get(option)
            if value is None or isinstance(value, str) and '{{' in value:
                continue
            if 'choices' in facts:
                self.assertLessEqual(set(value if isinstance(value, list) else [value]), set(facts['choices']), option)
            if 'suboptions' in facts:
                for item in value if isinstance(value, list) else [value]:
                    self.arguments_fit(item, facts['suboptions'])


@unittest.skipIf(MISSING, MISSING)
class Results(unittest.TestCase):
    """RETURN against the golden answers, in both directions. Their types are those of the members that both come of."""

    def test_every_key_is_documented(self):
        for name in modules():
            returns = described(name)['RETURN']
            with self.subTest(name):
                wrong = {path: case for case, answer in results(name) for path, entry, dummy in paths(answer, returns)
                         if entry is None and path not in COMMON}
                self.assertEqual(wrong, {}, 'keys that RETURN does not have, with a case that has them')

    def test_every_documented_key_occurs(self):
        everywhere, core = set(), set()
        for name in modules():
            returns = described(name)['RETURN']
            documented = {path for path, dummy in documented_paths(returns)}
            seen = {path for dummy, answer in results(name) for path, entry, value in paths(answer, returns) if value is not None}
            everywhere |= seen
            core |= documented & CORE
            with self.subTest(name):
                self.assertEqual(sorted(documented - seen - CORE), [], 'RETURN has keys that no golden answer has with a value')
        # What no module needs yet (pending_on, ...) the executor has nevertheless: the laws' made-up planners provoke it.
        executor = (REPOSITORY / 'common' / 'core' / 'executor.cpp').read_text()
        with self.subTest('the core'):
            unknown = [key for key in sorted(core - everywhere) if f'"{key}"' not in executor]
            self.assertEqual(unknown, [], 'the core documents keys that nothing returns')


def texts(described):
    """every text of a documentation, long enough to be told from other words of the program"""
    if isinstance(described, dict):
        described = described.values()
    elif not isinstance(described, list):
        return {described} if isinstance(described, str) and len(described) > 40 else set()
    return set().union(*map(texts, described))


class Portable(unittest.TestCase):
    EXECUTABLE = REPOSITORY / 'build' / 'portable' / 'pve-gpu'
    DOCUMENTED = EXECUTABLE.with_name('pve-gpu-documented')

    def setUp(self):
        if not self.EXECUTABLE.is_file():
            self.skipTest('build/portable/pve-gpu is not built')

    def test_what_travels_keeps_to_its_budget(self):
        self.assertLessEqual(self.EXECUTABLE.stat().st_size, 2_500_000)

    @unittest.skipIf(MISSING, MISSING)
    def test_documentation_does_not_travel(self):
        self.assertEqual(generate_docs.modules(self.DOCUMENTED), generate_docs.modules(self.EXECUTABLE))
        travels, documented = (path.read_bytes() for path in (self.EXECUTABLE, self.DOCUMENTED))
        for name in modules():
            done = subprocess.run([self.EXECUTABLE, '--describe', name], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ''))
            self.assertIn(f'ansible-doc pve.gpu.{name}', done.stderr)
            said = generate_docs.describe(self.DOCUMENTED, name)
            del said['DOCUMENTATION']['options']    # what is said of a parameter that is missing
            written = {text for text in texts(said) if text.encode() in documented}    # others are put together
            with self.subTest(name):
                self.assertGreater(len(written), 2)
                self.assertEqual([text for text in sorted(written) if text.encode() in travels], [])

    def test_what_travels_is_hardened(self):
        symbols = subprocess.run(['readelf', '--wide', '--dyn-syms', self.EXECUTABLE], capture_output=True, text=True, check=True).stdout
        self.assertIn('__stack_chk_fail@', symbols)    # -fstack-protector-strong
        self.assertRegex(symbols, r'\b__\w+_chk@')      # _FORTIFY_SOURCE
        headers = subprocess.run(['readelf', '--wide', '--file-header', '--segments', '--dynamic', self.EXECUTABLE], capture_output=True, text=True,
                                 check=True).stdout
        self.assertRegex(headers, r'Type:\s+DYN')       # at another address in each run
        self.assertRegex(headers, r'GNU_STACK.* RW ')
        self.assertIn('GNU_RELRO', headers)
        self.assertRegex(headers, r'BIND_NOW|\bNOW\b')


class Collection:
    """The archive, built and installed by Ansible itself. Mixed with TestCase once for each controller."""

    CONTROLLER = ''
    BY_RELEASE = ('test_ansible_doc_lists_all_modules', 'test_ansible_doc_shows_each_module')
    # these fetch Python packages from the net, or fail
    NEEDS_PIP = ('ansible-doc', 'changelog', 'import', 'pep8', 'pylint', 'runtime-metadata', 'validate-modules', 'yamllint')

    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory(prefix='pve-gpu-contract-')
        cls.addClassCleanup(work.cleanup)
        cls.work = pathlib.Path(work.name)
        cls.work.chmod(0o755)
        # without the debug information, of which nothing here depends
        subprocess.run(['strip', '-o', str(cls.work / 'pve-gpu'), str(EXECUTABLE)], check=True)
        cls.source = lab.build_collection(cls.work / 'pve-gpu', cls.work / 'made') / 'ansible_collections' / 'pve' / 'gpu'
        cls.controller = lab.Controller(cls.CONTROLLER, 'controller', cls.work, cls.work / 'installed')
        cls.addClassCleanup(cls.controller.stop)
        cls.controller.run('ansible-galaxy', 'collection', 'build', '--output-path', str(cls.work), str(cls.source))
        cls.archive = next(cls.work.glob('pve-gpu-*.tar.gz'))
        cls.environment = {cls.controller.collections_path: str(cls.work / 'installed')}
        cls.controller.run('ansible-galaxy', 'collection', 'install', '--offline', '-p', str(cls.work / 'installed'), str(cls.archive),
                           env=cls.environment)
        cls.collection = cls.work / 'installed' / 'ansible_collections' / 'pve' / 'gpu'

    def test_one_executable_and_links_to_it(self):
        plugins = self.collection / 'plugins'
        for name in modules():
            for link, target in ((plugins / 'modules' / name, '../native/pve-gpu'), (plugins / 'native' / name, 'pve-gpu')):
                self.assertEqual(os.readlink(link), target)
            self.assertTrue((plugins / 'modules' / f'{name}.py').is_file())
        self.assertTrue(os.access(plugins / 'native' / 'pve-gpu', os.X_OK))
        with tarfile.open(self.archive) as archive:
            size = (self.work / 'pve-gpu').stat().st_size
            self.assertEqual([member.name for member in archive if member.size >= size], ['plugins/native/pve-gpu'])

    def test_it_is_whole(self):
        for name in ('README.md', 'LICENSE', 'meta/runtime.yml', 'plugins/action/native.py', 'tests/sanity/README.md'):
            self.assertTrue((self.collection / name).is_file(), name)
        links = re.findall(r'\]\(([^):#]+)\)', (self.collection / 'README.md').read_text(encoding='utf-8'))
        self.assertIn('playbooks/examples', links)
        self.assertEqual([link for link in links if not (self.collection / link).exists()], [])
        manifest = json.loads((self.collection / 'MANIFEST.json').read_text())['collection_info']
        self.assertEqual((manifest['namespace'], manifest['name'], manifest['license']), ('pve', 'gpu', ['MIT']))
        self.assertEqual(manifest['version'], generate_docs.ask(EXECUTABLE, '--version').split()[-1])

    def quiet(self, *command):
        done = self.controller.run(*command, env={**self.environment, 'ANSIBLE_NOCOLOR': '1'})
        self.assertEqual(done.stderr, '')
        self.assertNotIn('WARNING', done.stdout)
        return done.stdout

    def test_ansible_doc_lists_all_modules(self):
        listed = json.loads(self.quiet('ansible-doc', '-l', '-j', 'pve.gpu'))
        self.assertEqual(listed, {f'pve.gpu.{name}': described(name)['DOCUMENTATION']['short_description'] for name in modules()})

    def test_ansible_doc_shows_each_module(self):
        # all at once: most of the time is Ansible's start
        names = [f'pve.gpu.{name}' for name in modules()]
        pages = re.split(r'(?m)^> ', self.quiet('ansible-doc', *names))[1:]
        texts = {re.search(r'pve\.gpu\.(\w+)', page, re.IGNORECASE).group(1).lower(): page for page in pages}
        documents = json.loads(self.quiet('ansible-doc', '-j', *names))
        self.assertEqual((sorted(texts), sorted(documents)), (sorted(modules()), sorted(names)))
        for name, shown in texts.items():
            with self.subTest(name):
                documentation = described(name)['DOCUMENTATION']
                for option in documentation.get('options', {}):
                    self.assertRegex(shown, rf'(?m)^[-= ]+ {option}\b')
                self.assertNotRegex(shown, r'\b(RV|V|O)\(')
                facts = documents[f'pve.gpu.{name}']
                self.assertEqual(set(facts['doc'].get('options', {})), set(documentation.get('options', {})))
                self.assertTrue(facts['examples'].strip())
                self.assertIn('invocation', facts['return'])

    def test_sanity(self):
        # ansible-test takes the collection it stands in, and writes there
        version = self.controller.run('python3', '-c', 'import sys; print("%d.%d" % sys.version_info[:2])').stdout.strip()
        skip = ' '.join(f'--skip-test {name}' for name in self.NEEDS_PIP)
        done = self.controller.run(text=f'rm -rf /root/tested; cp -a {self.source.parents[2]} /root/tested; '
                                        'cd /root/tested/ansible_collections/pve/gpu; '
                                        f'unshare --net ansible-test sanity --python {version} {skip} 2>&1', check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn('Running sanity test "action-plugin-docs"', done.stdout)


@unittest.skipIf(MISSING, MISSING)
class ValidateModules(unittest.TestCase):
    def test_sidecars(self):
        # the program that ansible-test would run in an environment made with pip
        python, package = '/usr/bin/python3', pathlib.Path('/usr/lib/python3/dist-packages')
        program = package / 'ansible_test/_util/controller/sanity/validate-modules/validate.py'
        if not program.exists():
            self.skipTest('there is no ansible-test: apt-get install ansible-core')
        with tempfile.TemporaryDirectory() as work:
            folder = pathlib.Path(work) / 'ansible_collections' / 'pve' / 'gpu'
            (folder / 'plugins' / 'modules').mkdir(parents=True)
            for name in modules():
                (folder / 'plugins' / 'modules' / f'{name}.py').write_text(generate_docs.sidecar(name, described(name)))
            command = [python, '-B', str(program), '--format', 'json', '--collection', 'pve/gpu', '--collection-version', '0.1.0']
            done = subprocess.run([*command, *(f'plugins/modules/{name}.py' for name in modules())], cwd=folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(package), 'ANSIBLE_COLLECTIONS_PATH': work, 'HOME': work})
        if 'ModuleNotFoundError' in done.stderr:
            self.skipTest(f'validate-modules: {done.stderr.splitlines()[-1]} (voluptuous: apt-get install python3-voluptuous)')
        found = {(file, error['code']) for file, report in json.loads(done.stdout).items() for error in report['errors']}
        self.assertEqual({(file, code) for file, code in found if code != 'missing-gplv3-license'}, set(), done.stdout)


def load_tests(loader, standard, pattern):
    reason = MISSING or lab.why_not() or (None if shutil.which('strip') else 'needs strip: apt-get install binutils')
    for controller in lab.controllers():
        case = type(pathlib.Path(controller).name.replace('-', '_'), (Collection, unittest.TestCase), {'CONTROLLER': controller})
        standard.addTests(lab.tests(loader, unittest.skipIf(reason, reason)(case), Collection.BY_RELEASE))
    return standard


if __name__ == '__main__':
    unittest.main()
