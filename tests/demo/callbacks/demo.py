# SPDX-License-Identifier: MIT
# Ansible callback: one line for each host of a task, differences without their surroundings, messages of debug as plain text.
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: demo
type: stdout
short_description: Few lines
description: For the demo.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'demo'

    def __init__(self):
        super().__init__()
        self.texts = []

    def line(self, name, state, text):
        self._display.display('      %-13s %-12s  %s' % (name, state, text))

    @staticmethod
    def parts(result):
        """host name, task and answer; their names changed in ansible-core 2.19"""
        if hasattr(result, '_result'):
            return result._host.get_name(), result._task, result._result
        return result.host.get_name(), result.task, result.result

    def v2_runner_on_ok(self, result):
        name, task, answer = self.parts(result)
        if task.resolved_action == 'ansible.builtin.debug':
            self.texts += answer['msg'] if isinstance(answer['msg'], list) else [answer['msg']]
            return
        if task.resolved_action == 'ansible.builtin.reboot':
            self.line(name, 'rebooted', 'up again after %s s' % answer.get('elapsed', '?'))
            return
        if not (task.resolved_action or '').startswith('pve.gpu.') or task._role and not answer.get('changed'):
            return
        if 'gpus' in answer:
            count = sum(gpu['kind'] in ('gpu', 'accelerator') for gpu in answer['gpus'])
            text = '%d GPU%s' % (count, '' if count == 1 else 's')
        else:
            # "file /etc/apt/sources.list.d/ceph.list" is "ceph.list"
            steps = [step for one in answer.get('results', [answer]) for step in one.get('steps', [])]  # of a loop, those of all items
            text = ', '.join(os.path.basename(step) if step.startswith('file ') else step for step in steps)
        self.line(name, 'ok' if not answer.get('changed') else 'would change' if task.check_mode else 'changed', text or 'nothing to do')
        if answer.get('pending_on'):
            self._display.display('        the rest waits for a %s: %s' % (answer['pending_on'], answer.get('pending_reason', '')))
        if task.check_mode:
            for text in ''.join(map(self._get_diff, answer.get('diff') or [])).splitlines():
                if text.startswith(('+', '-')) and not text.startswith(('+++ ', '--- ')) and text != '+':
                    self._display.display('        ' + text)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        name, _, answer = self.parts(result)
        self.line(name, 'FAILED', answer.get('msg', ''))

    def v2_runner_on_unreachable(self, result):
        name, _, answer = self.parts(result)
        self.line(name, 'UNREACHABLE', answer.get('msg', ''))

    def v2_playbook_on_stats(self, stats):
        hosts = {}
        for name in sorted(stats.processed):
            hosts.setdefault('changed={changed} failed={failures} unreachable={unreachable}'.format(**stats.summarize(name)), []).append(name)
        for text, names in hosts.items():
            self.line('recap', text, ', '.join(names))
        if self.texts:
            self._display.display('\n' + '\n'.join(self.texts) + '\n')
