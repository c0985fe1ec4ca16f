#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_i915.py DIRECTORY VERSION: writes i915-sriov-dkms_VERSION_amd64.deb, or for a branch i915-sriov-dkms-VERSION.tar.gz, which behave on
a node of the rack as strongtz's: the package's scripts add its source to DKMS and build it, the archive has only the source."""
import io
import os
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
import archive  # noqa: E402

NAME = 'i915-sriov-dkms'
CONF = 'PACKAGE_NAME="%s"\nPACKAGE_VERSION="%s"\nAUTOINSTALL="yes"\n'
# As dkms' own common.postinst: for the running kernel and the newest; what dkms.conf leaves out is no error.
POSTINST = """#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
dkms add -m {0} -v {1}
newest=$(ls /boot | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1)
for kernel in $(printf '%s\\n' "$(uname -r)" "$newest" | sort -u); do
  [ -e /usr/src/linux-headers-$kernel/Makefile ] || {{ echo "Module build for kernel $kernel was skipped since the kernel headers for this kernel do not seem to be installed."; continue; }}
  code=0
  dkms install -m {0} -v {1} -k "$kernel" --force || code=$?
  [ "$code" = 0 ] || [ "$code" = 77 ] || exit "$code"
done
update-initramfs -u
"""
PRERM = """#!/bin/sh
set -e
[ ! -e /var/lib/dkms/{0}/{1} ] || dkms remove -m {0} -v {1} --all
"""


def make(directory, version):
    """The file's path."""
    if not version[0].isdigit():
        return make_source(directory, version)
    path = os.path.join(directory, '%s_%s_amd64.deb' % (NAME, version))
    source = './usr/src/%s-%s' % (NAME, version)
    _, package = archive.make_package(
        [('Package', NAME), ('Version', version), ('Architecture', 'amd64'), ('Depends', 'dkms'), ('Maintainer', 'nobody <nobody@example.org>'),
         ('Description', 'stands for the SR-IOV i915')],
        [('postinst', POSTINST.format(NAME, version)), ('prerm', PRERM.format(NAME, version))],
        [('./usr/', None, 0o755), ('./usr/src/', None, 0o755), (source + '/', None, 0o755),
         (source + '/dkms.conf', (CONF % (NAME, version)).encode(), 0o644)])
    with open(path, 'wb') as file:
        file.write(package)
    return path


def make_source(directory, branch):
    path = os.path.join(directory, '%s-%s.tar.gz' % (NAME, branch))
    conf = (CONF % ('@_PKGBASE@', '@PKGVER@')).encode()
    with tarfile.open(path, 'w:gz') as tar:
        member = tarfile.TarInfo('%s-%s/dkms.conf' % (NAME, branch))
        member.size = len(conf)
        tar.addfile(member, io.BytesIO(conf))
    return path


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(make(*sys.argv[1:]))
