# SPDX-License-Identifier: MIT
# Ansible callback: for every task, the time until the next one starts and the bytes that went over the host's network interface.
import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_figures
type: aggregate
short_description: Records time and bytes of each task
description: For the bench. BENCH_RECORD names the file to append to, BENCH_INTERFACE this machine's end of the host's cable.
"""


def counter(name):
    with open('/sys/class/net/%s/statistics/%s' % (os.environ['BENCH_INTERFACE'], name), encoding='ascii') as file:
        return int(file.read())


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = 'task_figures'
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self):
        super().__init__()
        self.before = None

    def turn(self, name):
        """The task before ends where the next begins, so that what Ansible does in between counts, as a user feels it."""
        now = (time.monotonic(), counter('tx_bytes'), counter('rx_bytes'))
        if self.before:
            task, began, sent, received = self.before
            with open(os.environ['BENCH_RECORD'], 'a', encoding='utf-8') as file:
                file.write(json.dumps({'task': task, 'seconds': now[0] - began, 'sent': now[1] - sent, 'received': now[2] - received}) + '\n')
        self.before = (name, *now)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.turn(task.get_name())

    def v2_playbook_on_stats(self, stats):
        self.turn(None)
