#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The action plugin's decisions on top of a made-up ansible-core: which way it takes, how often, and what it says.
import dataclasses
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab  # noqa: E402


@dataclasses.dataclass
class Bits:
    module_style: str = 'binary'
    shebang: str = None
    b_module_data: bytes = b''


class Connection:
    transport, become, _shell = 'ssh', None, types.SimpleNamespace(SHELL_FAMILY='sh')

    def __init__(self):
        self.options = {'pipelining': False, 'reconnection_retries': 0}
        self.origin = 'default'

    def get_option(self, name):
        return self.options[name]

    def get_option_and_origin(self, name):
        return self.options[name], self.origin

    def set_option(self, name, value):
        self.options[name], self.origin = value, 'Direct'


class Core:
    """Ansible's `normal` action: builds the module with _configure_module(), and answers with the next of `answers`."""

    built = None
    answers = ()

    def __init__(self):
        self.sent, self.warnings = [], []
        self._connection = Connection()
        self._task = types.SimpleNamespace(async_val=0, delegate_to=None)
        self._display = types.SimpleNamespace(vvv=lambda *args, **kwargs: None, warning=self.warnings.append)

    def run(self, tmp=None, task_vars=None):
        self.sent.append((self._configure_module('pve.gpu.echo', {'data': 1}, task_vars), self._connection.get_option('pipelining')))
        return dict(self.answers[len(self.sent) - 1])

    def _configure_module(self, module_name, module_args, task_vars):
        return self.built

    def _is_pipelining_enabled(self, module_style):
        return self._connection.get_option('pipelining')

    def get_connection_option(self, name):
        return self._connection.get_option(name)


class Decisions(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.path = pathlib.Path(work.name) / 'pve-gpu'
        self.path.write_bytes(b'\x7fELF and so on')

    def act(self, built, *answers, **settings):
        core = type('Core', (Core,), {'built': built, 'answers': answers})
        native = lab.native(core)
        native.encode = lambda args, bits: '{}'
        plugin = native.ActionModule()
        for key, value in settings.items():
            setattr(plugin._connection, key, dict(value) if key == 'options' else value)
        self.result = plugin.run(None, {'inventory_hostname': 'host'})
        before = settings.get('options', {'pipelining': False})['pipelining']
        self.assertEqual(plugin._connection.options['pipelining'], before, 'not as it was')
        return plugin

    def scripts(self, plugin):
        return [built != plugin.built for built, dummy in plugin.sent]

    def today(self):
        return Bits(), str(self.path)

    def test_answer_of_the_first_script(self):
        for built in (self.today(), ('binary', None, b'', str(self.path))):
            plugin = self.act(built, {'how': 'staged'})
            self.assertEqual((self.scripts(plugin), plugin.sent[0][1], self.result), ([True], True, {'how': 'staged'}))

    def test_executable_is_sent_once(self):
        plugin = self.act(self.today(), {'pve_gpu_staging': 'gzip'}, {'how': 'staged'})
        self.assertEqual((self.scripts(plugin), self.result), ([True, True], {'how': 'staged'}))
        self.assertIn(b'gzip -dc', plugin.sent[1][0][0].b_module_data)
        plugin = self.act(self.today(), {'pve_gpu_staging': 'cat'}, {'pve_gpu_staging': 'cat'}, {'how': 'file'})
        self.assertEqual((self.scripts(plugin), self.result), ([True, True, False], {'how': 'file'}))

    def test_ordinary_way_after_a_refusal(self):
        for state, warnings in (('no', 0), ('unsafe', 1), ('lacks', 1)):
            plugin = self.act(self.today(), {'pve_gpu_staging': state, 'msg': 'why'}, {'how': 'file'})
            self.assertEqual((self.scripts(plugin), plugin.sent[1][1], self.result, len(plugin.warnings)), ([True, False], False, {'how': 'file'}, warnings))

    def test_ordinary_way_when_the_shell_could_not_start_it(self):
        for answer, become in (({'module_stdout': '', 'rc': 126}, None), ({'module_stdout': 'x\n', 'rc': 127}, None),
                               ({'module_stdout': '', 'module_stderr': 'sudo: sorry, you must have a tty', 'rc': 1}, types.SimpleNamespace(name='sudo'))):
            plugin = self.act(self.today(), answer, {'how': 'file'}, become=become)
            self.assertEqual((self.scripts(plugin), self.result), ([True, False], {'how': 'file'}))

    def test_never_again_after_what_may_be_a_start(self):
        for answer in ({'module_stdout': 'pve-gpu:started\n', 'rc': 127}, {'module_stdout': 'pve-gpu:started\n', 'rc': 139}, {'module_stdout': '', 'rc': 0},
                       {'module_stdout': '', 'rc': 1, 'module_stderr': 'sudo: x'}, {'module_stdout': '', 'rc': 137}, {'module_stdout': 'what?', 'rc': 2},
                       {'pve_gpu_staging': 'again'}):
            plugin = self.act(self.today(), {'failed': True, **answer})
            self.assertEqual(self.scripts(plugin), [True], answer)
            self.assertTrue(self.result['failed'] and 'unknown' in self.result['msg'], self.result)
        plugin = self.act(self.today(), {'failed': True, 'module_stdout': 'x', 'rc': 1, 'module_stderr': 'sudo: x'}, become=types.SimpleNamespace(name='sudo'))
        self.assertEqual(self.scripts(plugin), [True])

    def test_unknown_ansible_core(self):
        # what a release to come may hand out, its own work going on undisturbed
        for built in ((), ('binary',), (Bits(), str(self.path), 1), (object(), str(self.path)), (Bits(), '/nonexistent'), object(), (Bits(), None)):
            plugin = self.act(built, {'how': 'file'})
            self.assertEqual((self.scripts(plugin), self.result), ([False], {'how': 'file'}), built)

    def test_not_our_executable(self):
        self.path.write_text('#!/usr/bin/python3\n')
        self.assertEqual(self.scripts(self.act(self.today(), {'how': 'file'})), [False])

    def test_ways_that_are_not_ours(self):
        for settings in ({'transport': 'paramiko'}, {'become': types.SimpleNamespace(name='su')}, {'become': types.SimpleNamespace(name='community.general.doas')},
                         {'_shell': types.SimpleNamespace(SHELL_FAMILY='csh')}, {'origin': 'var: ansible_pipelining'}, {'origin': 'Direct'}):
            plugin = self.act(self.today(), {'how': 'file'}, **settings)
            self.assertEqual((self.scripts(plugin), plugin.sent[0][1]), ([False], False), settings)

    def test_become_that_is_not_sudo_with_pipelining_of_the_user(self):
        plugin = self.act(self.today(), {'how': 'file'}, become=types.SimpleNamespace(name='community.general.doas'),
                          options={'pipelining': True, 'reconnection_retries': 0}, origin='var: ansible_pipelining')
        self.assertEqual(self.scripts(plugin), [False])

    def test_guard_only_where_ssh_sends_again(self):
        for retries in (0, 3):
            plugin = self.act(self.today(), {'how': 'staged'}, options={'pipelining': False, 'reconnection_retries': retries})
            self.assertEqual(b'.ran.' in plugin.sent[0][0][0].b_module_data, bool(retries))


if __name__ == '__main__':
    unittest.main()
