# SPDX-License-Identifier: MIT
# The process behind a rack: it holds the nodes' disks, starts nodes, restarts those that reboot, and does what rack.py asks for.
"""Its mount namespace has a tmpfs for each node (directory RACK/NODE), so that nothing is left when it ends. Beside it, on disk,
RACK/NODE.d has what is read from outside: simfs.log, supervisor.log, run/standins.log, and the control sockets.

Requests to RACK/keeper.sock, a JSON line each, answered by one: {"do": "off|on|reboot|snapshot|reset|status", "nodes": [NAME...]}.
"""
import json
import os
import selectors
import shutil
import signal
import subprocess
import time

import membership
from crm import Manager
from node import NodeSetup
from system import (CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, MS_REC, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG,
                    Directory, call, is_alive, listens, mount, new_network, prctl)


class Node:
    """A node's place in the rack. `state`: off, booting, up, failed."""

    def __init__(self, spec, network):
        self.spec, self.network = spec, network
        self.name = spec['name']
        self.state, self.problem = 'off', ''
        self.boots = 0
        self.pid = self.pidfd = self.report = self.events = None
        self.helpers = []
        self.text = b''
        self.boot = {}
        self.began = self.since = self.seconds = 0.0

    def status(self):
        return {'state': self.state, 'problem': self.problem, 'boots': self.boots, 'pid': self.pid, 'seconds': self.seconds, **self.boot}


class Keeper:
    def __init__(self, rack, executables, ready):
        self.rack, self.executables, self.ready = rack, executables, ready
        self.selector = selectors.DefaultSelector()
        self.nodes = {}
        self.archive = None
        self.generation = 0
        self.managers = {}  # of HA, by cluster
        self.ended = {}     # pid -> exit code, of the managers' programs
        self.waiting = []  # (connection, names): answered when none of them boots any more

    # -- the start

    def run(self):
        os.environ['PVE_GPU_RACK'] = self.rack.directory
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        call('unshare', CLONE_NEWNS)
        mount('none', '/', flags=MS_REC | MS_PRIVATE)
        self.start_archive()
        os.mkdir(os.path.join(self.rack.directory, 'clusters'))
        mount('tmpfs', os.path.join(self.rack.directory, 'clusters'), 'tmpfs', 0, 'mode=755,nr_inodes=0')
        for spec in self.rack.nodes:
            directory = os.path.join(self.rack.directory, spec['name'])
            os.makedirs(directory + '.d/run', exist_ok=True)
            os.makedirs(directory, exist_ok=True)
            mount('tmpfs', directory, 'tmpfs', 0, 'mode=755,nr_inodes=0')
            size = spec['described'].spec.get('boot_mb')
            if size:
                os.mkdir(directory + '/boot')
                mount('tmpfs', directory + '/boot', 'tmpfs', 0, 'mode=755,size=%dm' % size)
            name = (spec['described'].spec.get('cluster') or {}).get('name') or '=' + spec['name']
            spec['cluster'] = os.path.join(self.rack.directory, 'clusters', name)
            spec['shared'] = os.path.join(self.rack.directory, 'shared', name)
            os.makedirs(spec['shared'], exist_ok=True)
            for part in ('tree', 'status'):
                os.makedirs(os.path.join(spec['cluster'], part), exist_ok=True)
            self.nodes[spec['name']] = Node(spec, new_network())
        for directory in {node.spec['cluster'] for node in self.nodes.values()}:
            self.managers[directory] = Manager(directory, self.rack, self.ended)
        self.changed()
        self.cable()
        with Directory(self.rack.directory) as directory:
            listening = directory.listen('keeper.sock')
        self.selector.register(listening, selectors.EVENT_READ, self.accept)
        for node in self.nodes.values():
            self.start(node)
        while True:
            booting = [node for node in self.nodes.values() if node.state == 'booting']
            for key, _ in self.selector.select(0.01 if booting else 1):
                if self.selector.get_map().get(key.fd) is key:  # not closed by what came before it
                    key.data(key.fileobj)
            for manager in self.managers.values():
                manager.round({node.name: node for node in self.nodes.values() if node.spec['cluster'] == manager.directory})
            for node in booting:
                self.look(node)
            self.reap()
            if self.ready is not None and not any(node.state == 'booting' for node in self.nodes.values()):
                self.report_ready()
            self.answer_waiting()

    def report_ready(self):
        failed = ['%s did not start: %s' % (node.name, node.problem) for node in self.nodes.values() if node.state != 'up']
        os.read(self.archive, 6)  # ready
        # from here on it lives on without the process that started it
        prctl(PR_SET_PDEATHSIG, 0)
        os.write(self.ready, json.dumps(failed).encode())
        os.close(self.ready)
        self.ready = None

    def start_archive(self):
        """The archive's process: its network is its own, so that ports 80 and 443 of this machine stay free."""
        readable, ready = os.pipe()
        self.archive = readable
        self.archive_network = new_network()
        if os.fork() == 0:
            try:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                os.setsid()
                log = os.open(os.path.join(self.rack.directory, 'archive.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(log, 1)
                os.dup2(log, 2)
                call('setns', self.archive_network, CLONE_NEWNET)
                os.set_inheritable(ready, True)
                command = self.rack.archive_command(ready)
                os.execv(command[0], command)
            finally:
                os._exit(1)
        os.close(ready)

    def cable(self):
        """A bridge, and an Ethernet cable to every network; the other end is eth0 with its address."""
        rack = self.rack
        commands = ['link add %s type bridge' % rack.bridge, 'addr add %s/24 dev %s' % (rack.gateway_address, rack.bridge)]
        ends = [(self.archive_network, rack.archive_address)] + [(node.network, node.spec['address']) for node in self.nodes.values()]
        for index, (network, _) in enumerate(ends):
            port = '%s-%d' % (rack.bridge, index)
            commands += ['link add %s type veth peer name eth0 netns /proc/%d/fd/%d' % (port, os.getpid(), network),
                         'link set %s master %s up' % (port, rack.bridge)]
        rack.ip_batch(commands + ['link set %s up' % rack.bridge])
        own = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        for network, address in ends:
            call('setns', network, CLONE_NEWNET)
            rack.ip_batch(['link set lo up', 'addr add %s/24 dev eth0' % address, 'link set eth0 up'])
        call('setns', own, CLONE_NEWNET)
        os.close(own)

    # -- nodes

    def start(self, node):
        node.boots += 1
        node.state, node.problem, node.text, node.began = 'booting', '', b'', time.monotonic()
        node.report, report = os.pipe()
        node.events, events = os.pipe()
        parent = os.getpid()
        if os.fork() == 0:
            try:
                NodeSetup(self.rack, node.spec, node.network, node.boots, self.executables).become(parent, report, events)
            except BaseException as error:  # pylint: disable=broad-except
                os.write(report, json.dumps({'failed': '%s: %s' % (type(error).__name__, error)}).encode() + b'\n')
            finally:
                os._exit(0)
        os.close(report)
        os.close(events)
        self.selector.register(node.report, selectors.EVENT_READ, lambda fd: self.read_report(node))
        self.selector.register(node.events, selectors.EVENT_READ, lambda fd: self.read_event(node))

    def read_report(self, node):
        some = os.read(node.report, 65536)
        node.text += some
        for line in node.text.split(b'\n')[:-1]:
            told = json.loads(line)
            if 'failed' in told:
                node.problem = told['failed']
            else:
                node.pid, node.helpers, node.boot = told['pid'], told['helpers'], told['boot']
        node.text = node.text.split(b'\n')[-1]
        if some:
            return
        self.selector.unregister(node.report)
        os.close(node.report)
        node.report = None
        if node.problem or node.pid is None:
            self.end(node, 'failed', node.problem or 'its first process died: see %s.log' % os.path.join(self.rack.directory, node.name))
            return
        try:
            node.pidfd = os.pidfd_open(node.pid)
        except ProcessLookupError:
            self.end(node, 'failed', 'its first process died: see %s.log' % os.path.join(self.rack.directory, node.name))
            return
        self.selector.register(node.pidfd, selectors.EVENT_READ, lambda fd: self.died(node))

    def look(self, node):
        """Whether a node that boots has come up."""
        if node.state != 'booting':
            return
        if node.pidfd is not None and listens(node.pid, 22):
            node.state, node.problem, node.since = 'up', '', time.time()
            node.seconds = round(time.monotonic() - node.began, 3)
            self.changed()
        elif time.monotonic() - node.began > 600:
            self.end(node, 'failed', 'sshd does not listen after 600 s')

    def died(self, node):
        self.end(node, 'failed' if node.state == 'booting' else 'off', 'its first process ended')

    def read_event(self, node):
        words = os.read(node.events, 4096).split()
        if words and words[0] == b'restart':
            self.end(node, 'off', '')
            self.start(node)
        elif words:
            self.end(node, 'off', '')
        elif node.report is None:
            self.selector.unregister(node.events)
            os.close(node.events)
            node.events = None

    def end(self, node, state, problem):
        """Ends all processes of a node; its disk stays."""
        for fd in (node.report, node.events, node.pidfd):
            if fd is not None:
                self.selector.unregister(fd)
        if node.pid is not None and node.pidfd is not None:
            try:
                signal.pidfd_send_signal(node.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            # its first process is gone when all others in its pid namespace are
            watched = selectors.DefaultSelector()
            watched.register(node.pidfd, selectors.EVENT_READ)
            watched.select(600)
            watched.close()
        for fd in (node.report, node.events, node.pidfd):
            if fd is not None:
                os.close(fd)
        for pid in node.helpers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + 600
        for pid in [node.pid] + node.helpers:
            while pid is not None and is_alive(pid) and time.monotonic() < deadline:
                self.reap()
                time.sleep(0.001)
        node.pid = node.pidfd = node.report = node.events = None
        node.helpers = []
        node.state, node.problem = state, problem
        self.changed()

    def reap(self):
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self.ended:
                    self.ended[pid] = status
        except ChildProcessError:
            pass

    def changed(self):
        """Members of a cluster came or went: tells it to all."""
        self.generation += 1
        for directory in sorted({node.spec['cluster'] for node in self.nodes.values()}):
            nodes = {node.name: node for node in self.nodes.values() if node.spec['cluster'] == directory}
            online = {name for name, node in nodes.items() if node.state == 'up'}
            cluster = membership.Cluster(os.path.join(directory, 'tree', 'corosync.conf'))
            view = {}
            for name in nodes:
                view = cluster.view(name, online, self.generation)
                put(os.path.join(directory, 'status', name + '.json'), view)
            if cluster.configured:
                view = dict(view, generation=self.generation, up_since={name: node.since for name, node in nodes.items() if node.state == 'up'},
                            reboots=sum(node.boots - 1 for node in nodes.values()))
                put(os.path.join(next(iter(nodes.values())).spec['shared'], 'view.json'), view)

    # -- what rack.py asks for

    def accept(self, listening):
        connection, _ = listening.accept()
        self.selector.register(connection, selectors.EVENT_READ, self.request)

    def request(self, connection):
        self.selector.unregister(connection)
        try:
            text = connection.recv(65536)
            asked = json.loads(text) if text.strip() else {}
            names = asked.get('nodes') or list(self.nodes)
            getattr(self, 'do_' + asked['do'])([self.nodes[name] for name in names])
            self.waiting.append((connection, names))
        except (KeyError, AttributeError, ValueError, OSError, subprocess.CalledProcessError) as error:
            self.reply(connection, {'error': '%s: %s' % (type(error).__name__, error)})

    @staticmethod
    def reply(connection, answer):
        try:
            connection.sendall(json.dumps(answer).encode() + b'\n')
        except OSError:
            pass
        connection.close()

    def answer_waiting(self):
        for entry in list(self.waiting):
            connection, names = entry
            if not any(self.nodes[name].state == 'booting' for name in names):
                self.waiting.remove(entry)
                self.reply(connection, {'nodes': {name: self.nodes[name].status() for name in names}})

    def do_status(self, nodes):
        pass

    def do_off(self, nodes):
        for node in nodes:
            self.end(node, 'off', '')

    def do_on(self, nodes):
        for node in nodes:
            if node.state in ('off', 'failed'):
                self.start(node)

    def do_reboot(self, nodes):
        for node in nodes:
            self.end(node, 'off', '')
            self.start(node)

    def disk(self, node, name):
        return os.path.join(self.rack.directory, node.name, name)

    def do_snapshot(self, nodes):
        for node in nodes:
            keep(self.disk(node, 'up'), self.disk(node, 'saved'))
            keep(self.disk(node, 'boot'), self.disk(node, 'saved-boot'))
            keep(os.path.join(node.spec['cluster'], 'tree'), os.path.join(node.spec['cluster'], 'saved'))

    def do_reset(self, nodes):
        for node in nodes:
            self.end(node, 'off', '')
            state = os.path.join(self.rack.directory, node.name + '.d')
            for name in ('simfs.log', 'supervisor.log', 'run/standins.log', 'run/faults.json'):
                if os.path.exists(os.path.join(state, name)):
                    os.unlink(os.path.join(state, name))
            keep(self.disk(node, 'saved'), self.disk(node, 'up'))
            keep(self.disk(node, 'saved-boot'), self.disk(node, 'boot'))
            shutil.rmtree(self.disk(node, 'work'), ignore_errors=True)
        for directory in {node.spec['cluster'] for node in nodes}:
            tree, saved = os.path.join(directory, 'tree'), os.path.join(directory, 'saved')
            members = [node for node in self.nodes.values() if node.spec['cluster'] == directory]
            if all(node in nodes for node in members):
                keep(saved, tree)
                os.makedirs(tree, exist_ok=True)
                self.managers[directory] = Manager(directory, self.rack, self.ended)
                ceph = os.path.join(members[0].spec['shared'], 'ceph.json')
                if os.path.exists(ceph):
                    os.unlink(ceph)
            else:  # the others go on with what they share; only the nodes' own directories go back
                for name in ('nodes/' + node.name for node in nodes if node.spec['cluster'] == directory):
                    keep(os.path.join(saved, name), os.path.join(tree, name))
        for node in nodes:
            self.start(node)


def put(path, value):
    with open(path + '.new', 'w', encoding='utf-8') as file:
        json.dump(value, file)
    os.rename(path + '.new', path)


def keep(source, target):
    """Makes a directory a copy of another, or nothing where that is not there."""
    if os.path.isdir(target):
        for name in os.listdir(target):
            path = os.path.join(target, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    if os.path.isdir(source):
        subprocess.run(['cp', '-a', '-T', source, target], check=True)
