# SPDX-License-Identifier: MIT
# Ansible callback: every result as a line of JSON in the file that PVE_GPU_RECORD names.
import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: notification
short_description: Writes every result to a file
description: For tests of roles. PVE_GPU_RECORD names the file.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'record'
    CALLBACK_NEEDS_ENABLED = True

    def write(self, outcome, result):
        task = result._task
        line = {'host': result._host.get_name(), 'role': task._role.get_name() if task._role else '', 'task': task.get_name().split(' : ')[-1],
                'action': task.action, 'outcome': outcome, 'result': result._result}
        with open(os.environ['PVE_GPU_RECORD'], 'a', encoding='utf-8') as file:
            file.write(json.dumps(line, default=str) + '\n')

    def v2_runner_on_ok(self, result):
        self.write('ok', result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.write('failed', result)

    def v2_runner_on_unreachable(self, result):
        self.write('unreachable', result)
