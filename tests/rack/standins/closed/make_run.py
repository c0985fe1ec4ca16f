#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_run.py DIRECTORY VERSION [KIND]: writes NVIDIA-Linux-x86_64-VERSION-KIND.run (vgpu-kvm, grid, or "" for the ordinary driver), which
behaves on a node of the rack as NVIDIA's: a shell script that unpacks itself and starts nvidia-installer."""
import os
import sys

SCRIPT = '''#!/bin/sh
# Stands for NVIDIA's driver in a rack. It holds nothing of NVIDIA's.
label="NVIDIA Accelerated Graphics Driver for Linux-x86_64 {version}"
case "$1" in
  --info) echo "$label"; exit 0 ;;
  --check) echo "Verifying archive integrity... OK"; exit 0 ;;
  -x|--extract-only)
    mkdir -p "{name}"
    sed '1,/^__ARCHIVE__$/d' "$0" >"{name}/nvidia-installer"
    chmod 755 "{name}/nvidia-installer"
    exit 0 ;;
esac
echo "Verifying archive integrity... OK"
echo "Uncompressing $label"
unpacked=$(mktemp -d "${{TMPDIR:-/tmp}}/selfgz.XXXXXX") || exit 1
sed '1,/^__ARCHIVE__$/d' "$0" >"$unpacked/nvidia-installer" && chmod 755 "$unpacked/nvidia-installer"
"$unpacked/nvidia-installer" "$@"
code=$?
rm -rf "$unpacked"
exit $code
__ARCHIVE__
#!/bin/sh
exec /usr/lib/rack/closed/nvidia-installer {version} {kind} "$@"
'''


def make(directory, version, kind='vgpu-kvm'):
    """The file's path."""
    name = 'NVIDIA-Linux-x86_64-%s%s' % (version, '-' + kind if kind else '')
    path = os.path.join(directory, name + '.run')
    with open(path, 'w', encoding='ascii') as file:
        file.write(SCRIPT.format(version=version, name=name, kind=kind or 'plain'))
    os.chmod(path, 0o755)
    return path


if __name__ == '__main__':
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    print(make(*sys.argv[1:]))
