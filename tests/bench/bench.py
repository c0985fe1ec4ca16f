#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Measures what a task costs over ssh and on the host, beside what Ansible and the usual tools cost in the same run.
"""bench.py [--quick] [--json FILE]

Three simulated hosts (tests/rack) are reached over real ssh: one with two cards, one whose two cards have 64 VFs, one with 8 boards x
32 VFs x 40 types. What is compared takes turns; every figure is a median. Exit status 1: a target was missed. Needs root and
build/collection.
"""
import argparse
import glob
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(REPOSITORY, 'build', 'bench')
RACK = [sys.executable, '-B', os.path.join(REPOSITORY, 'tests', 'rack', 'rack.py'), '--name', 'bench%d' % os.getpid()]
# The machines, each called like its node: the tasks of (a) and (d) go to the second.
TWO_CARDS, WITH_VFS, EIGHT_BOARDS = 'two-cards', 'pve8', 'eight-boards'
# The services of their driver run: by their control groups, which a simulated host has not; its systemctl is a Python program.
SERVED = {WITH_VFS: 'pve8', EIGHT_BOARDS: 'eight-boards'}
CONTROL_GROUP = 'files:\n  sys/fs/cgroup/system.slice/nvidia-vgpu-mgr.service/cgroup.procs: "900\\n"\n'
MACHINES = {TWO_CARDS: os.path.join(HERE, 'two-cards.yml'), **{node: os.path.join(WORK, node + '.yml') for node in SERVED}}

# The tasks of (a) and (d). The empty one is a module that finds nothing to do.
NOT_PIPELINED, PIPELINED = {'ansible_pipelining': False}, {'ansible_pipelining': True}
TASKS = {
    'raw: true': {'ansible.builtin.raw': 'true'},
    'ping': {'ansible.builtin.ping': {}, 'vars': NOT_PIPELINED},
    'ping, pipelined': {'ansible.builtin.ping': {}, 'vars': PIPELINED},
    'host_info': {'pve.gpu.host_info': {}},
    'empty': {'pve.gpu.follow_ups': {}},
    # pipelining that the user switched off stays off: Ansible's ordinary way with an executable, which the action plugin falls back to
    'host_info, uploaded': {'pve.gpu.host_info': {}, 'vars': NOT_PIPELINED},
}
OURS = ('host_info', 'empty')
ARGUMENTS = json.dumps({'_ansible_module_name': 'pve.gpu.host_info', '_ansible_check_mode': False, '_ansible_diff': False,
                        '_ansible_no_log': False})


class BenchError(Exception):
    """What could not be measured, and what to do."""


def run(argv, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          **({'stdin': subprocess.DEVNULL} if 'input' not in options else {}), **options)
    if done.returncode:
        raise BenchError('%s ended with %d:\n%s' % (' '.join(argv[:6]), done.returncode,
                                                    '\n'.join((done.stdout + done.stderr).splitlines()[-20:])))
    return done.stdout


# --- The hosts ---------------------------------------------------------------------------------------------------------------


class Hosts:
    """The simulated hosts, and a private Ansible that knows them and the collection."""

    def __init__(self):
        self.environment = dict(os.environ, ANSIBLE_CONFIG=os.path.join(WORK, 'ansible.cfg'), BENCH_RECORD=os.path.join(WORK, 'record'),
                                ANSIBLE_COLLECTIONS_PATH=os.path.join(WORK, 'collections'))
        # connections that are kept open are found by address: those of other simulated hosts must not be
        self.sockets = tempfile.mkdtemp(prefix='pve-gpu-bench-')
        self.pids = {}

    def up(self):
        archives = sorted(glob.glob(os.path.join(REPOSITORY, 'build', 'collection', 'pve-gpu-*.tar.gz')), key=os.path.getmtime)
        if not archives:
            raise BenchError('build/collection holds no collection: make it with ./dev collection')
        shutil.rmtree(WORK, ignore_errors=True)
        os.makedirs(WORK)
        with open(self.environment['ANSIBLE_CONFIG'], 'w', encoding='utf-8') as file:
            file.write('[defaults]\nretry_files_enabled = false\ncallback_plugins = %s\ncallbacks_enabled = task_figures\n'
                       '[ssh_connection]\ncontrol_path_dir = %s\n' % (os.path.join(HERE, 'callbacks'), self.sockets))
        run(['ansible-galaxy', 'collection', 'install', '--offline', '-p', self.environment['ANSIBLE_COLLECTIONS_PATH'], archives[-1]],
            env=self.environment)
        for node, name in SERVED.items():
            with open(os.path.join(REPOSITORY, 'tests', 'rack', 'machines', name + '.yml'), encoding='utf-8') as file:
                description = file.read()
            with open(MACHINES[node], 'w', encoding='utf-8') as file:
                file.write(description + CONTROL_GROUP)
        run(RACK + ['up', '--plain', *MACHINES.values()])
        with open(os.path.join(WORK, 'inventory.yml'), 'w', encoding='utf-8') as file:
            file.write(run(RACK + ['inventory']))
        self.pids = {node: run(RACK + ['pid', node]).strip() for node in MACHINES}

    def down(self):
        shutil.rmtree(self.sockets)
        run(RACK + ['down'])

    def cable(self, node):
        """This machine's end of the node's network cable; each end knows the other's index."""
        inside = json.loads(run(['nsenter', '--net', '--target', self.pids[node], 'ip', '-json', 'link', 'show', 'eth0']))
        index = str(inside[0]['link_index'])
        for name in os.listdir('/sys/class/net'):
            with open('/sys/class/net/%s/ifindex' % name, encoding='ascii') as file:
                if file.read().strip() == index:
                    return name
        raise BenchError('this machine has no network interface %s, the other end of %s in %s' % (index, 'eth0', node))

    def play(self, node, names, **environment):
        """One playbook of the named tasks; (seconds, bytes sent and received) of each, in order."""
        playbook = os.path.join(WORK, 'play.json')
        with open(playbook, 'w', encoding='utf-8') as file:
            json.dump([{'hosts': node, 'gather_facts': False, 'tasks': [{'name': name, **TASKS[name]} for name in names]}], file)
        with open(self.environment['BENCH_RECORD'], 'w', encoding='ascii'):
            pass
        run(['ansible-playbook', '-i', os.path.join(WORK, 'inventory.yml'), playbook],
            env={**self.environment, 'BENCH_INTERFACE': self.cable(node), **environment})
        with open(self.environment['BENCH_RECORD'], encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def probe(self, node, rounds, commands):
        with open(os.path.join(HERE, 'probe.py'), encoding='utf-8') as file:
            program = file.read()
        inside = ['nsenter', '--target', self.pids[node], '--mount', '--pid', '--uts', '--ipc', '--net', '--root']
        return json.loads(run(inside + ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C', '/usr/bin/python3', '-c', program],
                              input=json.dumps({'rounds': rounds, 'commands': commands})))

    def find(self, node, pattern):
        root = '/proc/%s/root' % self.pids[node]
        found = glob.glob(root + pattern)
        if len(found) != 1:
            raise BenchError('%s has %d files %s, one was expected' % (node, len(found), pattern))
        return found[0][len(root):]


# --- Figures -----------------------------------------------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.figures = []
        self.missed = False

    @staticmethod
    def heading(text):
        print('\n%s' % text, flush=True)

    def add(self, name, value, unit, at_most=None, digits=2):
        met = None if at_most is None else value <= at_most
        self.missed = self.missed or met is False
        self.figures.append({'name': name, 'value': value, 'unit': unit, 'at_most': at_most, 'met': met})
        text = '  %-74s %9.*f %-2s' % (name, digits, value, unit)
        if met is not None:
            text += '  target <= %-6g %s' % (at_most, 'ok' if met else 'MISSED')
        print(text, flush=True)


def measure_tasks(hosts, report, rounds):
    first = hosts.play(WITH_VFS, ['raw: true', 'host_info'])[1]
    names = list(TASKS)
    # A B C, then C B A, so that none always follows the same one
    order = [name for turn in range(rounds) for name in (names if turn % 2 else reversed(names))]
    samples = {name: [] for name in names}
    for figures in hosts.play(WITH_VFS, names + order)[len(names):]:
        samples[figures['task']].append(figures)
    seconds = {name: statistics.median(sample['seconds'] for sample in samples[name]) for name in names}

    report.heading('(a) seconds a task over ssh, %d rounds' % rounds)
    for name in names:
        report.add(name, seconds[name], 's', digits=3)
    for name in OURS:
        report.add('%s / raw: true' % name, seconds[name] / seconds['raw: true'], 'x', 1.15)
        report.add('%s / ping, pipelined' % name, seconds[name] / seconds['ping, pipelined'], 'x', 0.65)
        report.add('%s / ping' % name, seconds[name] / seconds['ping'], 'x', 0.3)
    report.add('host_info, first contact (brings the executable along)', first['seconds'], 's', digits=3)

    report.heading('(d) bytes of a warm task on the wire, compressed and encrypted, with TCP and Ethernet headers')
    for name in names:
        for way in ('sent', 'received'):
            report.add('%s, %s' % (name, way), statistics.median(sample[way] for sample in samples[name]) / 1000, 'kB')
    report.add('host_info, first contact, sent', first['sent'] / 1000, 'kB', digits=0)


def command(argv, stdin=''):
    return {'argv': argv, 'stdin': stdin}


def sent_script(hosts):
    """What goes through ssh to the host's shell for one warm task."""
    wrapper, sent = os.path.join(WORK, 'ssh'), os.path.join(WORK, 'sent')
    with open(wrapper, 'w', encoding='utf-8') as file:
        # ssh -O asks the connection that is kept open, and leaves its input alone
        file.write('#!/bin/sh\ncase " $* " in *" -O "*) exec ssh "$@" ;; esac\ntee %s | ssh "$@"\n' % sent)
    os.chmod(wrapper, 0o755)
    hosts.play(WITH_VFS, ['host_info'], ANSIBLE_SSH_EXECUTABLE=wrapper)
    with open(sent, encoding='utf-8') as file:
        return file.read()


def check_answer(output, cards, vfs):
    """A measured run that had failed early, or had not seen the cards, would look fast."""
    answer = json.loads(output.splitlines()[-1])
    gpus = [gpu for gpu in answer['gpus'] if gpu['kind'] == 'gpu']
    seen = len(gpus), sum(len(gpu['sriov']['vfs']) for gpu in gpus)
    if seen != (cards, vfs):
        raise BenchError('host_info saw %d cards with %d VFs, the machine has %d with %d' % (*seen, cards, vfs))


def measure_host(hosts, report, rounds):
    for node in (TWO_CARDS, EIGHT_BOARDS):
        hosts.play(node, ['host_info'])
    hosts.play(WITH_VFS, ['ping'], ANSIBLE_KEEP_REMOTE_FILES='1')
    staged = hosts.find(WITH_VFS, '/var/lib/pve-gpu/bin/*')
    host_info = command([staged, '--staged'], ARGUMENTS)
    two = hosts.probe(TWO_CARDS, rounds, {'host_info': host_info})
    vfs = hosts.probe(WITH_VFS, rounds, {
        'host_info': host_info,
        'ping': command(['/usr/bin/python3', hosts.find(WITH_VFS, '/root/.ansible/tmp/*/AnsiballZ_ping.py')]),
        'script': command(['/bin/sh'], sent_script(hosts)),
    })
    eight = hosts.probe(EIGHT_BOARDS, rounds, {
        'host_info': host_info,
        'mdevctl': command(['mdevctl', 'types', '--dumpjson']),
        'lspci': command(['lspci', '-nnk']),
    })
    for got, cards, number in ((two, 2, 0), (vfs, 2, 64), (eight, 8, 256)):
        check_answer(got['host_info']['output'], cards, number)
    median = {(host, name): {'wall': statistics.median(figures['wall']) * 1000, 'cpu': statistics.median(figures['cpu']) * 1000,
                             'peak': figures['peak'] / 1e6}
              for host, got in (('two', two), ('vfs', vfs), ('eight', eight)) for name, figures in got.items()}

    report.heading('(b) on the host of 8 boards x 32 VFs x 40 types, %d rounds' % rounds)
    tools = statistics.median(map(sum, zip(eight['mdevctl']['wall'], eight['lspci']['wall']))) * 1000
    report.add('host_info', median['eight', 'host_info']['wall'], 'ms')
    report.add('mdevctl types --dumpjson, then lspci -nnk', tools, 'ms')
    report.add('host_info / both', median['eight', 'host_info']['wall'] / tools, 'x', 0.15, digits=3)

    report.heading('(c) CPU time and peak memory on the host, %d rounds' % rounds)
    for host, name, cpu, peak in (('two', 'two cards', 5, 12), ('vfs', 'two cards with 64 VFs', None, None),
                                  ('eight', '8 boards x 32 VFs x 40 types', 30, 16)):
        report.add('host_info, %s, CPU' % name, median[host, 'host_info']['cpu'], 'ms', cpu)
        report.add('host_info, %s, peak memory' % name, median[host, 'host_info']['peak'], 'MB', peak)
    report.add('host_info, two cards with 64 VFs, CPU with the shell script that starts it', median['vfs', 'script']['cpu'], 'ms')
    report.add('ping, CPU of its Python process', median['vfs', 'ping']['cpu'], 'ms')
    report.add('ping, peak memory of its Python process', median['vfs', 'ping']['peak'], 'MB')
    report.add('host_info, two cards with 64 VFs / ping, CPU', median['vfs', 'host_info']['cpu'] / median['vfs', 'ping']['cpu'], 'x', digits=3)
    report.add('host_info, two cards with 64 VFs / ping, peak memory', median['vfs', 'host_info']['peak'] / median['vfs', 'ping']['peak'], 'x', digits=3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='5 rounds of each instead of 21')
    parser.add_argument('--json', metavar='FILE', help='also write the figures there')
    options = parser.parse_args()
    if os.geteuid() != 0:
        print('bench: simulated hosts need root: run ./dev bench, or this with sudo', file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))    # so that the hosts are taken down
    rounds = 5 if options.quick else 21
    hosts, report = Hosts(), Report()
    try:
        hosts.up()
        print('bench: %s, %s CPUs, Linux %s' % (run(['ansible', '--version'], env=hosts.environment).splitlines()[0], os.cpu_count(), platform.release()))
        measure_tasks(hosts, report, rounds)
        measure_host(hosts, report, rounds)
    except BenchError as error:
        print('bench: %s' % error, file=sys.stderr)
        return 2
    finally:
        hosts.down()
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump(report.figures, file, indent=1)
    print('\nbench: %s' % ('a target was missed' if report.missed else 'all targets met'))
    return 1 if report.missed else 0


if __name__ == '__main__':
    sys.exit(main())
