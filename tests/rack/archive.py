#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# A small signed package archive that stands for Debian's and Proxmox's, and the web server that answers in their names.
"""archive.py OUT: build the archive below OUT, an absent or empty directory.
archive.py --serve OUT ADDRESS: build it if it is not there, then serve it on ADDRESS, ports 80 and 443, until killed.

OUT/www/HOST/... is what each host serves, OUT/keys/{debian,proxmox}.gpg the public keys, OUT/tls/cert.pem the server's
certificate. Keys are made anew by every build. Every suite and component has one package, `rack-probe`, whose version names
them: `apt-cache policy rack-probe` tells which sources are active. enterprise.proxmox.com answers 401 without a login, as the
real one does, and takes any login. Proxmox VE's own sources have kernels and headers besides, Debian's what DKMS needs.
"""
import argparse
import concurrent.futures
import email.utils
import hashlib
import http.server
import io
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading

import machine as machines

SUITES = ('bullseye', 'bookworm', 'trixie')
# Ceph releases that Proxmox builds for each suite; bullseye's use the older component names (PVE-FACTS 5.1)
CEPH = {'bullseye': ('pacific', 'quincy'), 'bookworm': ('quincy', 'reef', 'squid'), 'trixie': ('squid', 'tentacle')}
HOSTS = ('ftp.debian.org', 'security.debian.org', 'download.proxmox.com', 'enterprise.proxmox.com', 'mirror.example.org')


def repositories():
    """(key, host, directory, suite, components) of every repository."""
    for suite in SUITES:
        debian = ['main', 'contrib', 'non-free'] + ([] if suite == 'bullseye' else ['non-free-firmware'])
        yield 'debian', 'ftp.debian.org', 'debian', suite, debian
        yield 'debian', 'ftp.debian.org', 'debian', suite + '-updates', debian
        yield 'debian', 'security.debian.org', 'debian-security', suite + '-security', debian
        test = 'pve-test' if suite == 'trixie' else 'pvetest'
        yield 'proxmox', 'download.proxmox.com', 'debian/pve', suite, ['pve-no-subscription', test]
        yield 'proxmox', 'enterprise.proxmox.com', 'debian/pve', suite, ['pve-enterprise']
        for ceph in CEPH[suite]:
            components = ['main', 'test'] if suite == 'bullseye' else ['no-subscription', 'test']
            yield 'proxmox', 'download.proxmox.com', 'debian/ceph-' + ceph, suite, components
            if suite != 'bullseye':
                yield 'proxmox', 'enterprise.proxmox.com', 'debian/ceph-' + ceph, suite, ['enterprise']


def tar_of(members):
    """(name, content or None for a directory, mode)"""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz', format=tarfile.GNU_FORMAT, compresslevel=1) as tar:
        for name, content, mode in members:
            member = tarfile.TarInfo(name)
            member.mode = mode
            if content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b''))
    return buffer.getvalue()


def make_package(fields, scripts=(), files=()):
    """(control data, .deb)"""
    control = ''.join('%s: %s\n' % pair for pair in fields).encode()
    members = [('./control', control, 0o644)] + [('./' + name, text.encode(), 0o755) for name, text in scripts]
    package = b'!<arch>\n'
    for name, content in (('debian-binary', b'2.0\n'), ('control.tar.gz', tar_of(members)), ('data.tar.gz', tar_of(files))):
        package += ('%-16s%-12d%-6d%-6d%-8s%-10d`\n' % (name, 0, 0, 0, '100644', len(content))).encode() + content
        package += b'\n' * (len(content) % 2)
    return control, package


def probe_package(version):
    """rack-probe: control data and nothing else."""
    return 'rack-probe_%s_all' % version, make_package([
        ('Package', 'rack-probe'), ('Version', version), ('Architecture', 'all'), ('Maintainer', 'nobody <nobody@example.org>'),
        ('Description', 'tells which package source it came from')])


# Kernels that Proxmox's own sources offer; the last of a series is what its meta package brings (names: PVE-FACTS 5.2).
KERNELS = {'bullseye': ('5.15.152-1-pve', '5.15.158-2-pve', '6.2.16-11-bpo11-pve'),
           'bookworm': ('6.5.13-6-pve', '6.8.12-4-pve', '6.8.12-9-pve', '6.8.12-15-pve', '6.11.11-2-pve'),
           'trixie': ('6.14.8-2-pve', '6.14.11-2-pve', '6.14.11-4-pve', '6.17.2-1-pve')}
DEFAULT_SERIES = {'bookworm': '6.8', 'trixie': '6.14'}
POSTINST = """#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
update-initramfs -c -k {0}
if [ -e /etc/kernel/proxmox-boot-uuids ]; then proxmox-boot-tool refresh; else update-grub; fi
"""
POSTRM = """#!/bin/sh
set -e
[ "$1" = remove ] || exit 0
rm -f /boot/initrd.img-{0}
if [ -e /etc/kernel/proxmox-boot-uuids ]; then proxmox-boot-tool refresh; else update-grub; fi
"""


def image_name(suite, release):
    old = suite == 'bullseye' or tuple(int(part) for part in release.split('.')[:2]) < (6, 5)
    return 'pve-kernel-' + release if old else 'proxmox-kernel-%s-signed' % release


def files_of_kernel(release):
    """What an installed kernel consists of, as machine.py writes it, with its directories."""
    tree = machines.FilesInMemory()
    machines.write_kernel(machines.Machine({'kernel': release}), tree)
    directories = {'/'.join(parts[:count]) for parts in (path.split('/') for path in tree.files) for count in range(1, len(parts))}
    return sorted([('./%s/' % name, None, 0o755) for name in directories] +
                  [('./' + path, content, 0o644) for path, content in tree.files.items()])


def kernel_packages(suite):
    """(name of the file, (control data, .deb)) of kernels, headers, series and the defaults."""
    prefix = 'pve' if suite == 'bullseye' else 'proxmox'

    def package(name, version, architecture='all', depends=None, scripts=(), files=()):
        fields = [('Package', name), ('Version', version), ('Architecture', architecture),
                  ('Maintainer', 'Proxmox Support Team <support@proxmox.com>')]
        fields += ([('Depends', depends)] if depends else []) + [('Description', 'stands for the package of Proxmox VE')]
        return '%s_%s_%s' % (name, version, architecture), make_package(fields, scripts, files)

    latest = {}
    for release in KERNELS[suite]:
        version = release.rsplit('-pve', 1)[0]
        latest['.'.join(release.split('.')[:2])] = release
        yield package(image_name(suite, release), version, 'amd64', None,
                      [('postinst', POSTINST.format(release)), ('postrm', POSTRM.format(release))], files_of_kernel(release))
        source = './usr/src/linux-headers-%s' % release
        yield package('%s-headers-%s' % (prefix, release), version, 'amd64', None, (), [
            ('./usr/', None, 0o755), ('./usr/src/', None, 0o755), (source + '/', None, 0o755), (source + '/Makefile', b'all:\n', 0o644)])
    for series, release in latest.items():
        version = release.rsplit('-pve', 1)[0]
        yield package('%s-kernel-%s' % (prefix, series), version, 'all', image_name(suite, release))
        yield package('%s-headers-%s' % (prefix, series), version, 'all', '%s-headers-%s' % (prefix, release))
    if suite in DEFAULT_SERIES:
        series = DEFAULT_SERIES[suite]
        version = {'bookworm': '1.1.0', 'trixie': '2.0.0'}[suite]  # the suites share a pool
        yield package('proxmox-default-kernel', version, 'all', 'proxmox-kernel-' + series)
        yield package('proxmox-default-headers', version, 'all', 'proxmox-headers-' + series)


# What building a driver needs. DKMS is played by a stand-in; nobody looks at what compilers do.
BUILD_TOOLS = (('gcc', None, 'usr/bin/gcc', '#!/bin/sh\nexit 0\n'), ('make', None, 'usr/bin/make', '#!/bin/sh\nexit 0\n'),
               ('dkms', 'gcc, make', 'usr/sbin/dkms', '#!/bin/sh\nexec /usr/lib/rack/bin/dkms "$@"\n'))


def build_packages():
    """(name of the file, (control data, .deb)) of Debian's packages that DKMS takes."""
    for name, depends, path, content in BUILD_TOOLS:
        fields = [('Package', name), ('Version', '1:1.0'), ('Architecture', 'all'), ('Maintainer', 'nobody <nobody@example.org>')]
        fields += ([('Depends', depends)] if depends else []) + [('Description', 'stands for the package of Debian')]
        directories = path.split('/')[:-1]
        members = [('./%s/' % '/'.join(directories[:count]), None, 0o755) for count in range(1, len(directories) + 1)]
        yield name + '_1.0_all', make_package(fields, (), members + [('./' + path, content.encode(), 0o755)])


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(content)


def build_repository(base, suite, components, packages):
    """Packages and Release of one suite; returns the path of Release."""
    sums = []
    for component in components:
        version = '1.0+%s.%s' % (component.replace('-', '.'), suite.replace('-', '.'))
        index = b''
        for file_name, (control, package) in [probe_package(version)] + packages:
            name = 'pool/%s/%s.deb' % (component, file_name)
            write(os.path.join(base, name), package)
            index += control + ('Filename: %s\nSize: %d\nSHA256: %s\n\n' % (
                name, len(package), hashlib.sha256(package).hexdigest())).encode()
        for place, content in (('%s/binary-amd64/Packages' % component, index), ('%s/binary-all/Packages' % component, b'')):
            write(os.path.join(base, 'dists', suite, place), content)
            sums.append(' %s %d %s\n' % (hashlib.sha256(content).hexdigest(), len(content), place))
    release = ('Origin: rack\nLabel: rack\nSuite: %s\nCodename: %s\nDate: %s\nArchitectures: all amd64\nComponents: %s\nSHA256:\n%s' % (
        suite, suite, email.utils.formatdate(usegmt=True).replace('GMT', 'UTC'), ' '.join(components), ''.join(sums)))
    path = os.path.join(base, 'dists', suite, 'Release')
    write(path, release.encode())
    return path


def run(*argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode:
        raise RuntimeError('%s: exit code %d: %s' % (' '.join(argv), done.returncode, done.stdout.decode(errors='replace').strip()))
    return done.stdout


def gpg_home(out):
    """Where the secret keys live while the archive is built: gpg-agent's socket there may have no more than 107 characters."""
    home = os.path.join(os.path.abspath(out), 'gpg')
    return home if len(home) < 80 else '/tmp/rack-gpg.' + hashlib.sha256(home.encode()).hexdigest()[:12]


def gpg(home, *argv):
    return run('gpg', '--homedir', home, '--batch', '--quiet', '--no-tty', '--yes', '--pinentry-mode', 'loopback', *argv)


def make_keys(out):
    """The server's certificate and the two signing keys. OUT/keys appears last: who waits for it finds all of them."""
    os.makedirs(os.path.join(out, 'tls'))
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30',
        '-subj', '/CN=rack', '-addext', 'subjectAltName=' + ','.join('DNS:' + host for host in HOSTS),
        '-keyout', os.path.join(out, 'tls', 'key.pem'), '-out', os.path.join(out, 'tls', 'cert.pem'))
    drop_secret_keys(out)
    home = gpg_home(out)
    os.mkdir(home, 0o700)
    unfinished = os.path.join(out, 'keys.new')
    os.mkdir(unfinished)
    for name in ('debian', 'proxmox'):
        gpg(home, '--passphrase', '', '--quick-gen-key', name + '@rack.example.org', 'ed25519', 'sign', 'never')
        gpg(home, '--output', os.path.join(unfinished, name + '.gpg'), '--export', name + '@rack.example.org')
    os.rename(unfinished, os.path.join(out, 'keys'))


def drop_secret_keys(out):
    home = gpg_home(out)
    if os.path.isdir(home):
        run('gpgconf', '--homedir', home, '--kill', 'all')
        shutil.rmtree(home, ignore_errors=True)


def build(out):
    os.makedirs(out, exist_ok=True)
    if os.listdir(out):
        raise RuntimeError('%s is not empty: name an absent or empty directory' % out)
    try:
        make_keys(out)
        build_tree(out, gpg_home(out))
    finally:
        drop_secret_keys(out)


def build_tree(out, home):
    www = os.path.join(out, 'www')
    tools = list(build_packages())
    packages = {('debian/pve', suite): list(kernel_packages(suite)) for suite in SUITES}
    packages.update({('debian', suite): tools for suite in SUITES})
    jobs = [(key, build_repository(os.path.join(www, host, directory), suite, components, packages.get((directory, suite), [])))
            for key, host, directory, suite, components in repositories()]
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda job: gpg(home, '--local-user', job[0] + '@rack.example.org', '--digest-algo', 'SHA256', '--output',
                                      os.path.join(os.path.dirname(job[1]), 'InRelease'), '--clearsign', job[1]), jobs))
    # the old spelling `deb http://security.debian.org SUITE-security` has no directory
    for name in ('dists', 'pool'):
        os.symlink('debian-security/' + name, os.path.join(www, 'security.debian.org', name))
    mirror = os.path.join(www, 'mirror.example.org')
    os.makedirs(mirror)
    os.symlink('../ftp.debian.org/debian', os.path.join(mirror, 'debian'))
    os.symlink('../security.debian.org/debian-security', os.path.join(mirror, 'debian-security'))
    os.symlink('../download.proxmox.com/debian', os.path.join(mirror, 'proxmox'))


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    # headers and body leave in one segment each: without this Nagle and delayed ACK cost 40 ms a file
    disable_nagle_algorithm = True
    www = ''

    def setup(self):
        super().setup()
        self.directory = self.www

    def send_head(self):
        host = self.headers.get('Host', '').split(':')[0]
        self.directory = os.path.join(self.www, host if host in HOSTS else 'unknown')
        if host == 'enterprise.proxmox.com' and not self.headers.get('Authorization'):
            body = b'401 Unauthorized\n'
            self.send_response(401)
            self.send_header('WWW-Authenticate', 'Basic realm="Proxmox Enterprise Repository"')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            return io.BytesIO(body)
        return super().send_head()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        sys.stderr.write('%s %s %s\n' % (self.client_address[0], self.headers.get('Host', '-') if self.headers else '-', format % args))
        sys.stderr.flush()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def serve(out, address, ready=None):
    if not os.path.isdir(os.path.join(out, 'www')):
        build(out)
    Handler.www = os.path.join(out, 'www')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(out, 'tls', 'cert.pem'), os.path.join(out, 'tls', 'key.pem'))
    secure = Server((address, 443), Handler)
    # the handshake happens in the connection's own thread, at its first read
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    plain = Server((address, 80), Handler)
    threading.Thread(target=secure.serve_forever, daemon=True).start()
    if ready is not None:
        os.write(ready, b'ready\n')
        os.close(ready)
    plain.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out')
    parser.add_argument('address', nargs='?')
    parser.add_argument('--serve', action='store_true')
    parser.add_argument('--ready-fd', type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        if options.serve:
            serve(options.out, options.address or parser.error('--serve needs an address'), options.ready_fd)
        else:
            build(options.out)
    except (RuntimeError, OSError) as error:
        print('archive: %s' % error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
