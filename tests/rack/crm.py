# SPDX-License-Identifier: MIT
# The HA manager of a simulated cluster, as far as its state files tell: who is where, maintenance mode, moving services away and back.
"""Formats: pve-ha-manager's Manager.pm, LRM.pm, Env/PVE2.pm. It fences nobody: a node that is off is "unknown", and its services
stay where they are, as for the first minute of the real one."""
import json
import os
import re
import time


class Manager:
    def __init__(self, directory, rack, ended):
        """`ended`: pid -> status of the programs that were started here; who reaps processes fills it in."""
        self.directory, self.rack, self.ended = directory, rack, ended
        self.tree = os.path.join(directory, 'tree')
        self.last = 0.0
        self.maintenance = set()
        self.home = {}      # sid -> the node that it goes back to
        self.moving = {}    # sid -> (pid of the program, target)
        self.refused = {}   # sid -> when its last move failed

    def read(self, name):
        try:
            with open(os.path.join(self.tree, name), encoding='utf-8') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def put(self, name, value):
        path = os.path.join(self.tree, name)
        if os.path.isdir(os.path.dirname(path)):
            with open(path + '.tmp', 'w', encoding='utf-8') as file:
                json.dump(value, file)
            os.rename(path + '.tmp', path)

    def resources(self):
        """sid -> requested state"""
        found = {}
        sid = None
        for line in self.read('ha/resources.cfg').splitlines():
            head = re.match(r'^(vm|ct): (\d+)\s*$', line)
            if head:
                sid = '%s:%s' % head.groups()
                found[sid] = 'started'
            elif sid and line.strip().startswith('state '):
                found[sid] = line.split()[1].replace('enabled', 'started')
        return found

    def place(self, sid, nodes):
        kind, vmid = sid.split(':')
        for name in nodes:
            if os.path.exists(os.path.join(self.tree, 'nodes', name, 'qemu-server' if kind == 'vm' else 'lxc', vmid + '.conf')):
                return name
        return None

    def round(self, nodes):
        """Every second, where there is anything to do: nodes by name."""
        commands = self.read('ha/crm_commands')
        if time.monotonic() - self.last < (0.2 if self.moving or commands else 1):
            return
        self.last = time.monotonic()
        resources = self.resources()
        if not resources and not commands and not self.maintenance:
            return
        online = [name for name, node in sorted(nodes.items()) if node.state == 'up']
        if not online:
            return
        if commands:
            self.put_text('ha/crm_commands', '')
            self.obey(commands, nodes, online)
        places = {sid: self.place(sid, nodes) for sid in resources}
        self.move(resources, places, nodes, online)
        status = {}
        for sid, request in resources.items():
            node = places[sid]
            if request == 'ignored' or node is None:
                continue
            state = 'migrate' if sid in self.moving else 'started' if request == 'started' else request
            status[sid] = {'node': node, 'state': state if node in online else 'freeze', 'uid': sid, 'running': int(request == 'started')}
            if sid in self.home:
                status[sid]['maintenance_node'] = self.home[sid]
            if sid in self.moving:
                status[sid]['target'] = self.moving[sid][1]
        now = int(time.time())
        self.put('ha/manager_status', {
            'master_node': online[0], 'timestamp': now, 'service_status': status,
            'node_status': {name: 'maintenance' if name in self.maintenance else 'online' if name in online else 'unknown' for name in nodes}})
        for name in online:
            here = [sid for sid, entry in status.items() if entry['node'] == name]
            self.put('nodes/%s/lrm_status' % name, {
                'mode': 'maintenance' if name in self.maintenance else 'active', 'results': {}, 'timestamp': now,
                'state': 'maintenance' if name in self.maintenance and not here else 'active' if here else 'wait_for_agent_lock'})

    def put_text(self, name, text):
        with open(os.path.join(self.tree, name), 'w', encoding='utf-8') as file:
            file.write(text)

    def obey(self, commands, nodes, online):
        for line in commands.splitlines():
            words = line.split()
            if words[0] == 'enable-node-maintenance' and words[1] in nodes:
                self.maintenance.add(words[1])
            elif words[0] == 'disable-node-maintenance':
                self.maintenance.discard(words[1])
            elif words[0] in ('migrate', 'relocate') and words[2] in online:
                self.begin(words[1], self.place(words[1], nodes), words[2], nodes)

    def move(self, resources, places, nodes, online):
        for sid, (pid, _) in list(self.moving.items()):
            if self.ended[pid] is not None:
                del self.moving[sid]
                places[sid] = self.place(sid, nodes)
                if self.ended.pop(pid):
                    self.refused[sid] = time.monotonic()
        free = [name for name in online if name not in self.maintenance]
        for sid, node in places.items():
            if sid in self.moving or node not in online or resources[sid] in ('ignored', 'disabled') or not free:
                continue
            if time.monotonic() - self.refused.get(sid, -60) < 10:
                continue
            if node in self.maintenance:
                if self.begin(sid, node, free[int(sid.split(':')[1]) % len(free)], nodes):
                    self.home.setdefault(sid, node)
            elif self.home.get(sid) in free and self.home[sid] != node:
                self.begin(sid, node, self.home[sid], nodes)
            elif self.home.get(sid) == node:
                del self.home[sid]

    def begin(self, sid, node, target, nodes):
        """Starts the program that moves it, on the node where it is."""
        if node is None or node == target:
            return False
        kind, vmid = sid.split(':')
        words = ['qm', 'migrate', vmid, target, '--online'] if kind == 'vm' else ['pct', 'migrate', vmid, target, '--restart']
        line = ['ssh'] + self.rack.ssh_options() + ['-o', 'BatchMode=yes', 'root@' + nodes[node].spec['address']] + words
        silent = [(os.POSIX_SPAWN_OPEN, 0, '/dev/null', os.O_RDWR, 0), (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        pid = os.posix_spawnp('ssh', line, os.environ, file_actions=silent)
        self.ended[pid] = None
        self.moving[sid] = (pid, target)
        return True
