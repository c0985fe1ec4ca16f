# SPDX-License-Identifier: MIT
# Roles that know all hosts of a play: one host acts for each cluster, and the work grows with the number of hosts, not with its square.
import collections
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]

# In place of the modules: what they were given is written down.
MODULE = '''#!/usr/bin/python3
# WANT_JSON
import json, os, sys
facts, record = {facts!r}, {record!r}
arguments = json.load(open(sys.argv[1]))
answer = {{'changed': False}}
if {name!r} == 'host_info':
    answer.update(json.load(open(os.path.join(facts, os.environ['NODE']))))
else:
    with open(os.path.join(record, {name!r} + '.' + os.environ['NODE']), 'a') as file:
        file.write(json.dumps({{'id': arguments.get('id'), 'nodes': [h['host']['node'] for h in arguments.get('hosts', [])]}}) + '\\n')
print(json.dumps(answer))
'''
MAPPINGS = [{'id': 'a40', 'model': 'A40', 'mdev': True}, {'id': 'igpu', 'vfs_of': 'UHD'}, {'id': 'a2', 'model': 'A2'},
            {'id': 't4', 'model': 'T4'}, {'id': 'l4', 'model': 'L4'}]
PLAY = [{
    'hosts': 'all', 'gather_facts': False, 'connection': 'local', 'environment': {'NODE': '{{ inventory_hostname }}'},
    'roles': ['pve.gpu.gpu_mapping', 'pve.gpu.gpu_guests'],
}]


def facts(node, cluster, release):
    """As large as what host_info says of a server with two cards of 32 VFs."""
    types = [{'id': f'nvidia-{n}', 'name': f'NVIDIA A40-{n}Q', 'framebuffer_mb': 1024 * n, 'available': 1} for n in range(1, 20)]
    vfs = [{'address': f'0000:17:{n // 8:02x}.{n % 8}', 'driver': 'nvidia', 'iommu_group': n, 'types': ['nvidia-1'] * 19} for n in range(32)]
    return {'host': {'node': node, 'cluster': cluster, 'pve': {'release': release}},
            'gpus': [{'address': f'0000:{bus}:00.0', 'name': 'A40', 'types': types, 'vfs': vfs} for bus in ('17', 'ca')],
            'resources': [{'mapping': m['id'], 'assignable': True} for m in MAPPINGS]}


class Scale(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='pve-gpu-scale.'))
        self.addCleanup(shutil.rmtree, self.folder)
        collection = self.folder / 'collections/ansible_collections/pve/gpu'
        shutil.copytree(PROJECT / 'roles', collection / 'roles')
        (collection / 'plugins/modules').mkdir(parents=True)
        for name in ('facts', 'record'):
            (self.folder / name).mkdir()
        for name in ('host_info', 'mapping', 'hostpci'):
            text = MODULE.format(name=name, facts=str(self.folder / 'facts'), record=str(self.folder / 'record'))
            (collection / 'plugins/modules' / f'{name}.py').write_text(text)
        (self.folder / 'play.yml').write_text(json.dumps(PLAY))

    def play(self, hosts):
        """hosts: name -> (cluster, release, variables). What each module was given by each host, and the seconds of processor time that it took."""
        for file in (self.folder / 'record').iterdir():
            file.unlink()
        inventory = {'all': {'hosts': {}, 'vars': {'gpu_mapping_mappings': MAPPINGS}}}
        for name, (cluster, release, variables) in hosts.items():
            (self.folder / 'facts' / name).write_text(json.dumps(facts(name, cluster, release)))
            inventory['all']['hosts'][name] = variables
        (self.folder / 'inventory.json').write_text(json.dumps(inventory))
        environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(self.folder / 'collections'), ANSIBLE_HOME=str(self.folder / 'home'),
                           ANSIBLE_LOCALHOST_WARNING='false', ANSIBLE_PYTHON_INTERPRETER='auto_silent')
        environment.pop('ANSIBLE_CONFIG', None)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(['ansible-playbook', '-i', str(self.folder / 'inventory.json'), str(self.folder / 'play.yml')], cwd=self.folder,
                              env=environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-2000:])
        record = collections.defaultdict(list)
        for file in (self.folder / 'record').iterdir():
            record[file.name] = [json.loads(line) for line in file.read_text().splitlines()]
        return dict(record), took

    def test_one_host_writes_for_each_cluster(self):
        waits = {'gpu_nvidia_vgpu_waits': 'nouveau is loaded'}
        guest = {'gpu_guests_devices': [{'vmid': 100, 'mapping': 'a2'}, {'vmid': 101, 'mapping': 'a40', 'mdev': 'NVIDIA A40-4Q'}]}
        record, _ = self.play({
            'old': ('one', 7, {}), 'one1': ('one', 8, {}), 'one2': ('one', 9, guest), 'two1': ('two', 8, {}), 'two2': ('two', 8, {**waits, **guest}),
            'alone': (None, 9, {}), 'alone7': (None, 7, {}), 'nothing': ('one', 8, {'gpu_mapping_mappings': []}),
        })
        self.assertEqual(sorted(record), ['hostpci.one2', 'hostpci.two2', 'mapping.alone', 'mapping.one1', 'mapping.two1'])
        every = [m['id'] for m in MAPPINGS]
        self.assertEqual([r['id'] for r in record['mapping.one1']], every)
        self.assertEqual([r['id'] for r in record['mapping.alone']], every)
        self.assertEqual([r['id'] for r in record['mapping.two1']], ['a2', 't4', 'l4'])  # its vGPUs and VFs wait for those of two2
        self.assertEqual({tuple(r['nodes']) for r in record['mapping.one1']}, {('one1', 'one2')})
        self.assertEqual({tuple(r['nodes']) for r in record['mapping.two1']}, {('two1', 'two2')})
        self.assertEqual({tuple(r['nodes']) for r in record['mapping.alone']}, {('alone',)})
        self.assertEqual((len(record['hostpci.one2']), len(record['hostpci.two2'])), (2, 1))

    def test_four_times_the_hosts_are_no_more_than_eight_times_the_work(self):
        def cluster(size):
            return self.play({f'n{n:02}': ('lab', 8, {}) for n in range(size)})
        few, many = cluster(8), cluster(32)
        for size, (record, _) in ((8, few), (32, many)):
            self.assertEqual([len(r['nodes']) for r in record['mapping.n00']], [size] * len(MAPPINGS))
        print(f'8 hosts {few[1]:.1f} s, 32 hosts {many[1]:.1f} s')
        self.assertLess(many[1], 8 * few[1])


if __name__ == '__main__':
    unittest.main()
