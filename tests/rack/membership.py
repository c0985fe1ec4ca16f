# SPDX-License-Identifier: MIT
# What the nodes of a cluster know of each other: corosync's votes, and the text of /etc/pve/.members.
import re


class Cluster:
    """Of the file corosync.conf, which a node alone has not got. A node that is off has no vote; nothing else separates them."""

    def __init__(self, path):
        try:
            with open(path, encoding='utf-8') as file:
                text = file.read()
        except FileNotFoundError:
            text = ''
        self.configured = bool(text)
        device = re.search(r'device\s*\{([^{}]*)', text)
        # a QDevice is taken to vote for those that are up
        self.device = int(self.value(device.group(1), 'votes', '1')) if device else 0
        self.name = self.value(text, 'cluster_name', '')
        self.version = int(self.value(text, 'config_version', '1'))
        self.two_node = self.value(text, 'two_node', '0') == '1'
        self.nodes = {}  # name -> (id, votes, address)
        for block in re.findall(r'^\s*node\s*\{([^}]*)\}', text, re.M):
            self.nodes[self.value(block, 'name', '')] = (int(self.value(block, 'nodeid', '0')), int(self.value(block, 'quorum_votes', '1')),
                                                         self.value(block, 'ring0_addr', ''))
        expected = self.value(text, 'expected_votes', None)
        self.expected = int(expected) if expected else sum(votes for _, votes, _ in self.nodes.values()) + self.device
        self.needed = 1 if self.two_node and len(self.nodes) == 2 else self.expected // 2 + 1

    @staticmethod
    def value(text, key, default):
        found = re.search(r'^\s*%s:\s*(\S+)' % key, text, re.M)
        return found.group(1) if found else default

    def votes(self, online):
        return sum(votes for name, (_, votes, _) in self.nodes.items() if name in online) + (self.device if online else 0)

    def view(self, node, online, generation):
        """What pmxcfs of one node needs: whether it may write, and .members (status.c, cfs_create_memberlist_msg)."""
        if not self.configured:
            return {'quorate': True, 'version': generation, 'members': '{\n"nodename": "%s",\n"version": %d\n}\n' % (node, generation)}
        quorate = node in online and self.votes(online) >= self.needed
        head = '{\n"nodename": "%s",\n"version": %d,\n"cluster": { "name": "%s", "version": %d, "nodes": %d, "quorate": %d },\n' % (
            node, generation, self.name, self.version, len(self.nodes), quorate)
        entries = ['  "%s": { "id": %d, "online": %d, "ip": "%s"}' % (name, number, name in online, address)
                   for name, (number, _, address) in self.nodes.items()]
        return {'quorate': quorate, 'version': generation, 'members': head + '"nodelist": {\n' + ',\n'.join(entries) + '\n  }\n}\n',
                'name': self.name, 'expected': self.expected, 'total': self.votes(online), 'needed': self.needed,
                'online': sorted(online), 'nodes': {name: list(entry) for name, entry in self.nodes.items()}}
