#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# sriov and sriov_service in simulated nodes: an A40 beside a T4, an A5000 whose display is off, a PC's Intel graphics; over a reboot.
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import rack as racks  # noqa: E402

EXECUTABLE = os.environ.get('PVE_GPU_EXECUTABLE', os.path.join(PROJECT, 'build', 'portable', 'pve-gpu'))
A40, T4, A5000, IGPU = '0000:41:00.0', '0000:81:00.0', '0000:01:00.0', '0000:00:02.0'
MACHINES = {
    'server': """
node: server
release: 8
kernel: 6.8.12-4-pve
cpu: {vendor: AuthenticAMD, model: "AMD EPYC 7313 16-Core Processor", model_number: 1}
nvidia: {version: 550.144.02}
devices:
  - {slot: "0000:03:00.0", id: "1a03:2000", subsystem: "15d9:1b58", class: "0300", revision: "52", driver: ast, boot_vga: true}
cards:
  - {slot: "0000:41:00.0", board: A40, driver: nvidia}
  - {slot: "0000:81:00.0", board: Tesla T4, driver: nvidia, total_vfs: 16, framework: mdev}
guests:
  201: {name: cad-1, onboot: 1, running: false, hostpci0: "0000:41:00.4,mdev=nvidia-562", machine: q35, uses: ["0000:41:00.4"]}
""",
    'workstation': """
node: workstation
release: 8
kernel: 6.8.12-4-pve
cpu: {vendor: GenuineIntel, model: "13th Gen Intel(R) Core(TM) i9-13900KF", model_number: 183}
nvidia: {version: 550.144.02}
cards:
  - {slot: "0000:01:00.0", board: RTX A5000, class: "0302", driver: nvidia}
  - {slot: "0000:02:00.0", board: RTX A2000, class: "0300", driver: nouveau, boot_vga: true}
files:
  etc/systemd/system/sriov.service: |
    [Unit]
    Description=Enable NVIDIA SR-IOV

    [Service]
    Type=simple
    ExecStart=/usr/lib/nvidia/sriov-manage -e ALL
    Restart=on-failure

    [Install]
    WantedBy=multi-user.target
  etc/systemd/system/multi-user.target.wants/sriov.service: {link: /etc/systemd/system/sriov.service}
""",
    'shipped': """
node: shipped
release: 9
kernel: 6.14.11-2-pve
cpu: {vendor: AuthenticAMD, model: "AMD EPYC 7313 16-Core Processor", model_number: 1}
nvidia: {version: 580.65.05}
cards:
  - {slot: "0000:41:00.0", board: A40, driver: nvidia}
files:
  usr/lib/systemd/system/pve-nvidia-sriov@.service: |
    [Service]
    Type=oneshot
    ExecStart=/usr/lib/nvidia/sriov-manage -e %i

    [Install]
    WantedBy=multi-user.target
""",
    'pc': """
node: pc
release: 9
kernel: 6.14.11-2-pve
cpu: {vendor: GenuineIntel, model: "12th Gen Intel(R) Core(TM) i5-12400", model_number: 151}
cmdline: quiet i915.enable_guc=3 i915.max_vfs=7 module_blacklist=xe
modules:
  i915: {version: "2025.07.22", file: updates/dkms/i915.ko, parameters: {enable_guc: 3, max_vfs: 7}}
cards:
  - {slot: "0000:00:02.0", id: "8086:4692", subsystem: "1043:8882", class: "0300", revision: "0c", driver: i915, boot_vga: true,
     connectors: [DP-1], total_vfs: 7}
guests:
  301: {name: office-1, onboot: 1, hostpci0: "0000:00:02.1", uses: ["0000:00:02.1"]}
""",
}
# address, VFs, whether NVIDIA's
CARDS = {'server': (A40, 32, True), 'workstation': (A5000, 24, True), 'shipped': (A40, 32, True), 'pc': (IGPU, 7, False)}


def unit_of(address):
    return 'pve-gpu-sriov-%s.service' % address.replace(':', '-')


def why_not():
    if os.geteuid() != 0:
        return 'nodes need root (namespaces, mounts): run the tests as root'
    missing = [tool for tool in ('mmdebstrap', 'ip', 'gpg', 'openssl', 'ssh') if not shutil.which(tool)]
    if missing:
        return 'missing: %s' % ', '.join(missing)
    if not os.path.exists(EXECUTABLE):
        return '%s is missing: ./dev build makes it' % EXECUTABLE
    return None


@unittest.skipIf(why_not(), why_not())
class SriovTest(unittest.TestCase):
    maxDiff = 3000

    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix='pve-gpu-sriov-')
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        files = []
        for name, text in MACHINES.items():
            files.append(os.path.join(cls.work, name + '.yml'))
            with open(files[-1], 'w', encoding='utf-8') as file:
                file.write(text)
        cls.rack = racks.Rack('test-sriov-%d' % os.getpid())
        cls.rack.up(files)
        cls.addClassCleanup(cls.rack.down)
        for node in MACHINES:
            with open(EXECUTABLE, 'rb') as file:
                cls.ssh(node, 'cat >/root/pve-gpu && chmod 755 /root/pve-gpu', file)

    @classmethod
    def ssh(cls, node, script, stdin=subprocess.DEVNULL):
        done = subprocess.run(['ssh', *cls.rack.ssh_options(), '-o', 'ControlMaster=auto', '-o', 'ControlPath=%s/%%h' % cls.work,
                               '-o', 'ControlPersist=10', 'root@' + cls.rack.node(node)['address'], script],
                              stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=stdin is subprocess.DEVNULL, check=False)
        return done.stdout

    def run_module(self, node, name, check=False, **parameters):
        parameters.update(_ansible_check_mode=check, _ansible_diff=True)
        arguments = tempfile.TemporaryFile(dir=self.work)
        arguments.write(json.dumps(parameters).encode())
        arguments.seek(0)
        with arguments:
            return json.loads(self.ssh(node, '/root/pve-gpu ' + name, arguments))

    def vfs(self, node, address):
        """How many VFs are enabled, there, and have a driver."""
        return tuple(map(int, self.ssh(node, 'cd /sys/bus/pci/devices/%s; cat sriov_numvfs; ls -d virtfn* 2>/dev/null | wc -l; '
                                       'ls -d virtfn*/driver 2>/dev/null | wc -l' % address).split()))

    def assert_vfs(self, node):
        address, count, nvidia = CARDS[node]
        enabled, there, bound = self.vfs(node, address)
        self.assertEqual((enabled, there), (count, count))
        if nvidia:
            self.assertEqual(bound, count)
            self.assertEqual(self.driver(node, address), 'nvidia')

    def driver(self, node, address):
        return self.ssh(node, 'basename $(readlink /sys/bus/pci/devices/%s/driver)' % address).strip()

    def fails(self, answer, *words):
        self.assertTrue(answer.get('failed'), answer)
        for word in words:
            self.assertIn(word, answer['msg'])

    def works(self, answer, changed):
        self.assertFalse(answer.get('failed'), answer.get('msg'))
        self.assertEqual(answer['changed'], changed, answer['steps'])
        return answer

    def each(self, test):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {node: pool.submit(test, node) for node in MACHINES}
        for node, future in running.items():
            with self.subTest(node=node):
                future.result()

    def test_from_none_over_a_reboot_to_undone(self):
        untouched = {node: self.files(node) for node in MACHINES}
        self.each(self.make)
        for node, unit in (('server', unit_of(A40)), ('pc', unit_of(IGPU))):
            self.verify_unit(node, unit)
        self.rack.order('reboot', *MACHINES)
        self.each(self.after_boot)
        self.with_guests()
        self.faults()
        self.each(lambda node: self.undo(node, untouched[node]))

    def files(self, node):
        return self.ssh(node, 'cd /; find etc/systemd usr/local/lib etc/sysfs* etc/tmpfiles.d var/lib/pve-gpu ! -type d 2>/dev/null | sort | '
                              'while read -r f; do echo "$f $(readlink "$f" || sha256sum <"$f")"; done')

    def make(self, node):
        address, count, _ = CARDS[node]
        checked = self.works(self.run_module(node, 'sriov', check=True, device='all'), True)
        self.assertEqual(self.vfs(node, address)[0], 0)
        made = self.works(self.run_module(node, 'sriov', device='all'), True)
        self.assertEqual(checked['steps'], made['steps'])
        self.assert_vfs(node)
        self.assertEqual([len(card['vfs']) for card in made['cards']], [count])
        self.works(self.run_module(node, 'sriov', device='all'), False)
        self.works(self.run_module(node, 'sriov_service', check=True, device='all'), True)
        service = self.works(self.run_module(node, 'sriov_service', device='all'), True)
        self.assertEqual([card['owner'] for card in service['cards']], ['shipped' if node == 'shipped' else 'pve.gpu'])
        self.works(self.run_module(node, 'sriov_service', device='all'), False)

    def verify_unit(self, node, unit):
        """systemd's own judgement, of the unit and of the script that it runs."""
        if not shutil.which('systemd-analyze'):
            self.skipTest('systemd-analyze is not installed')
        script = os.path.join(self.work, 'sriov-at-boot')
        with open(script, 'w', encoding='utf-8') as file:
            file.write(self.ssh(node, 'cat /usr/local/lib/pve-gpu/sriov-at-boot'))
        os.chmod(script, 0o755)
        with open(os.path.join(self.work, unit), 'w', encoding='utf-8') as file:
            file.write(self.ssh(node, 'cat /etc/systemd/system/' + unit).replace('/usr/local/lib/pve-gpu/sriov-at-boot', script))
        done = subprocess.run(['systemd-analyze', 'verify', '--man=no', os.path.join(self.work, unit)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ''))
        if shutil.which('shellcheck'):
            done = subprocess.run(['shellcheck', script], stdout=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.stdout, '')

    def after_boot(self, node):
        self.assert_vfs(node)
        self.assertEqual(self.vfs('server', T4)[0], 0)
        calls = [call['argv'] for call in self.rack.calls(node, 'sriov-manage') if len(call['argv']) == 3]
        if node == 'workstation':  # the guide's unit did not start: ALL would have been asked for
            self.assertNotIn('ALL', [call[2] for call in calls])
            self.assertEqual(self.ssh(node, 'systemctl is-active sriov.service').strip(), 'inactive')
        if node in ('server', 'pc'):
            vmid = {'server': '201', 'pc': '301'}[node]
            self.assertIn(vmid, self.ssh(node, 'cat /run/qemu-server/pci-id-reservations'))
            # it asked for its VF when that was there: the unit ended before guests were started
            unit = self.ssh(node, 'stat -c %%Y.%%y /run/rack-units/%s' % unit_of(CARDS[node][0]))
            guest = self.ssh(node, 'stat -c %%Y.%%y /run/qemu-server/%s.pid' % vmid)
            self.assertLess(unit, guest)
        self.works(self.run_module(node, 'sriov', device='all'), False)
        self.works(self.run_module(node, 'sriov_service', device='all'), False)

    def with_guests(self):
        self.fails(self.run_module('server', 'sriov', device=A40, vfs=0), '201 (cad-1)', '0000:41:00.4')
        self.fails(self.run_module('pc', 'sriov', device=IGPU, vfs=3), '301 (office-1)', '0000:00:02.1')
        self.assert_vfs('server')
        self.assert_vfs('pc')
        self.ssh('pc', 'qm stop 301')
        self.works(self.run_module('pc', 'sriov', device=IGPU, vfs=3), True)
        self.assertEqual(self.vfs('pc', IGPU)[:2], (3, 3))
        self.fails(self.run_module('pc', 'sriov', device=IGPU, vfs=8), '7 VFs, 8 are wanted')
        self.works(self.run_module('pc', 'sriov', device=IGPU, vfs=7), True)
        answer = self.works(self.run_module('server', 'sriov', device=T4), False)
        self.assertIn('on the card itself', answer['warnings'][0])

    def faults(self):
        node = 'workstation'
        self.works(self.run_module(node, 'sriov', device=A5000, vfs=0), True)
        self.assertEqual(self.vfs(node, A5000)[0], 0)

        self.ssh(node, 'echo 1 >/run/rack/sriov-stub')
        self.fails(self.run_module(node, 'sriov', device=A5000), 'exit code 1', 'has it again')
        self.assertEqual(self.driver(node, A5000), 'nvidia')

        self.ssh(node, 'touch /run/rack/gpu-in-use')
        self.fails(self.run_module(node, 'sriov', device=A5000), 'Cannot obtain unbindLock', 'in use')
        self.ssh(node, 'rm /run/rack/gpu-in-use; echo 1 >/run/rack/sriov-stub; /usr/lib/nvidia/sriov-manage -e %s' % A5000)
        self.assertEqual(self.driver(node, A5000), 'pci-pf-stub')
        made = self.works(self.run_module(node, 'sriov', device=A5000), True)
        self.assertIn('attribute /sys/bus/pci/devices/%s/driver_override' % A5000, made['steps'])
        self.assert_vfs(node)

        # the unit by itself: the first try leaves the stub, the second works
        self.ssh(node, '/usr/lib/nvidia/sriov-manage -d %s; echo 1 >/run/rack/sriov-stub; systemctl restart %s' % (A5000, unit_of(A5000)))
        self.assert_vfs(node)
        # VFs that the script left without a driver
        self.ssh(node, '/usr/lib/nvidia/sriov-manage -d %s; echo 1 >/run/rack/sriov-bare; /usr/lib/nvidia/sriov-manage -e %s' % (A5000, A5000))
        self.assertLess(self.vfs(node, A5000)[2], 24)
        self.works(self.run_module(node, 'sriov', device=A5000), True)
        self.assert_vfs(node)

        self.ssh(node, '/usr/lib/nvidia/sriov-manage -d ' + A5000)
        self.rack.fault(node, ['simfs', 'late', '*/0000:01:0?.?/driver', '2000'])
        self.works(self.run_module(node, 'sriov', device=A5000), True)
        self.assert_vfs(node)

    def undo(self, node, untouched):
        self.works(self.run_module(node, 'sriov_service', device='all', state='absent'), True)
        self.assertEqual(self.files(node), untouched)
        self.works(self.run_module(node, 'sriov_service', device='all', state='absent'), False)

    def test_exit_code_0_without_effect(self):
        """It waits for late VFs until it gives up, so it has a card to itself."""
        self.works(self.run_module('shipped', 'sriov', device=A40, vfs=0), self.vfs('shipped', A40)[0] > 0)
        self.rack.fault('shipped', ['sriov-manage', 'ignore'])
        self.fails(self.run_module('shipped', 'sriov', device=A40), 'did not take effect: 0 VFs are enabled, not 32')
        self.rack.fault('shipped', ['clear'])


class Recordings(unittest.TestCase):
    """The stand-in says what NVIDIA's script was recorded to say."""

    def test_messages(self):
        shared = os.environ.get('PVE_GPU_SHARED', os.path.join(PROJECT, '..', 'shared'))
        folder = os.path.join(shared, 'domain', 'samples', 'sriov_manage')
        if not os.path.isdir(folder):
            self.skipTest('no recordings in %s; set PVE_GPU_SHARED to the folder that holds domain/samples' % folder)
        with open(os.path.join(HERE, 'standins', 'bin', 'sriov-manage'), encoding='utf-8') as file:
            played = file.read()
        with open(os.path.join(folder, 'messages.txt'), encoding='utf-8') as file:
            lines = [line for line in file.read().splitlines() if line and not line.startswith('#')]
        self.assertGreater(len(lines), 5)
        for line in lines:
            for part in re.split(r'[0-9a-f]+:[0-9a-f]+:[0-9a-f.]+', line):
                self.assertIn(part.strip(), played, line)
        with open(os.path.join(folder, 'help_new.txt'), encoding='utf-8') as file:
            for line in file.read().splitlines():
                self.assertIn(line.replace('/usr/lib/nvidia/sriov-manage', '{0}').strip(), played)


if __name__ == '__main__':
    unittest.main()
