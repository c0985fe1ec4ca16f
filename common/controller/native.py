# SPDX-License-Identifier: MIT
# The action plugin of every pve.gpu module: one round trip a task, to the executable that is staged on the host.
"""
Ansible's own way to run a compiled module uploads it for every task, in six round trips. Here Ansible's `normal` action does the work
as ever, but its _configure_module() hands out a short shell script in the place of the module, which _execute_module() pipelines as it
does any script: become, environment, check and diff mode, no_log and the reading of the result stay Ansible's.

The script looks for the executable under a name that is its SHA-256, in a folder that belongs to the user who runs it, and feeds it the
arguments on its standard input. If it isn't there, a second script brings it along and runs it. Where the script says that nothing has
started (no folder, noexec, ...), and where Ansible can't or shall not pipeline (async, su, keep_remote_files, `pipelining: false`, ...),
the task takes Ansible's ordinary way. What may have started is never started again.
"""
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import shlex
import uuid

from ansible import constants as C
from ansible.plugins.action.normal import ActionModule as NormalAction

STATE = 'pve_gpu_staging'    # the key of the script's own answers; no module returns it
STARTED = 'pve-gpu:started'  # what the executable prints before anything else

# A connection that breaks while this is sent leaves functions that nobody calls: `main` is its last word.
#
# A terminal on standard input (ssh's RequestTTY) would echo and cut what is sent: the first line ends it there. No line begins with
# a brace, or its echo could be taken for the result.
#
# Ansible's `sh -c '/bin/sh && sleep 0'` around this costs a millisecond, but its shell turns a module's death by a signal into an exit
# code; without it ssh answers 255, which Ansible takes for a broken connection.
#
# What was checked is what runs: run() has the file open as descriptor 3, and checks and starts that, whatever happens to its path or to
# the folders above meanwhile. Nobody else can change its bytes in between: it belongs to the user and only he has any right to it (8140
# is a regular file of mode 0500), and when it came, nobody else could have had it open. `-O /` means root. The stat runs while the
# file is hashed; each process more is a millisecond for every task.
#
# alone() is for what goes by names: each folder on the way to the executable must belong to root or to the user and be writable by
# nobody else (0drwxr-xr-x). After them it counts the folders, to miss none that can't be looked at.
#
# clean() removes what is older than a day: other versions, and leftovers of broken transfers. A listing tells whether there is anything;
# only then it costs processes.
#
# PATH is the script's own while it looks, since a task's `environment` may hold another. Variables begin with _: an exported
# namesake would reach the module.
SCRIPT = r'''[ -t 0 ] && { echo; echo '{"pve_gpu_staging":"no","msg":"standard input is a terminal"}'; exit; }
say() { printf '{"pve_gpu_staging":"%s","msg":"%s"}\n' "$1" "$2"; exit; }
run() {
[ -O /proc/self/fd/3 ] || return
sha256sum --status -c 2>/dev/null <<. &
@SUM@  /proc/self/fd/3
.
_i=$(stat -Lc %f /proc/self/fd/3 2>/dev/null)
wait $! && [ "$_i" = 8140 ] || return
[ -x /proc/self/fd/3 ] || say no "the staging folder is on a file system mounted noexec"
clean
@ONCE@PATH=$_P
_i=@ARGS@
exec /proc/self/fd/3 --staged <<.
$_i
.
}
look() {
cd -P "$_d" || exit
_p=$PWD; set --
while [ "$_p" ]; do set -- "$_p" "$@"; _p=${_p%/*}; done
stat -c %u%A / "$@"
echo n$(($#+1))
}
alone() {
_n=0 _u='' _i='' _s=$(look 2>/dev/null)
for _i in $_s; do case $_i in *d[r-]*) _u=${_i%%d*};; esac; done
for _i in $_s; do case $_i in 0d????-??-?|"$_u"d????-??-?) _n=$((_n+1));; esac; done
[ "$_i" = n$_n ] || say unsafe "other users can write to the staging folder or to a folder above it"
}
clean() {
set -- "$_d"/* "$_d"/.new.*
[ "$*" = "$_f $_d/.new.*" ] && return
[ "$(find "$_d" -type f ! -name @SUM@ -mmin +1440 2>/dev/null)" ] || return
(alone; find "$_d" -type f ! -name @SUM@ -mmin +1440 -exec rm -f {} +) >/dev/null 2>&1
}
fetch() {
@FETCH@
}
main() {
_P=$PATH PATH=/usr/sbin:/usr/bin:/sbin:/bin
if [ -O / ]; then _d=/var/lib; else _d=$HOME/.cache; fi
_d=$_d/pve-gpu/bin; _f=$_d/@SUM@
[ -e /proc/self/fd ] || say no "/proc is not there"
[ -e "$_d" ] || (umask 077; mkdir -p "$_d") 2>/dev/null || say no "the staging folder cannot be made"
[ -O "$_d" ] && [ -d "$_d" ] && [ ! -L "$_d" ] || say unsafe "the staging folder belongs to another user or is none"
[ -f "$_f" ] && [ ! -L "$_f" ] && run 3<"$_f"
[ -L "$_f" ] || [ ! -d "$_f" ] || say no "a folder has the executable's name"
for _i in sha256sum base64 stat mktemp chmod mv rm; do
command -v $_i >/dev/null || say lacks "the program $_i is missing; install the package coreutils"
done
alone
fetch
}
main
'''

# The executable isn't there. First: could it be?
ASK = r'''_t=$(mktemp "$_d/.new.XXXXXXXX" 2>/dev/null) || say no "the staging folder cannot be written"
chmod 0500 "$_t"; [ -x "$_t" ]; _i=$?; rm -f "$_t"
[ $_i = 0 ] || say no "the staging folder is on a file system mounted noexec"
command -v gzip >/dev/null && say gzip "not staged yet"
say cat "not staged yet"'''

# Then it comes in the script.
BRING = r'''_t=$(mktemp "$_d/.new.XXXXXXXX" 2>/dev/null) || say no "the staging folder cannot be written"
trap 'rm -f "$_t"' EXIT; trap exit HUP INT TERM
base64 -d 2>/dev/null <<'.' | @UNPACK@ >"$_t" 2>/dev/null
@DATA@
.
[ "$(sha256sum <"$_t")" = "@SUM@  -" ] || say no "the executable did not arrive whole: the disk may be full"
chmod 0500 "$_t" && mv -fT "$_t" "$_f" 2>/dev/null || say no "the executable cannot be moved into the staging folder"
trap - EXIT HUP INT TERM
run 3<"$_f"
say no "the executable was changed while it was brought along"'''

UNSAFE = ('pve.gpu on %s: the executable is uploaded for every task, because %s. It is kept in /var/lib/pve-gpu/bin for root and in '
          '~/.cache/pve-gpu/bin for others: correct owner and mode there, or remove that folder.')
LACKS = 'pve.gpu on %s: the executable is uploaded for every task, because %s.'
AGAIN = ('The connection broke after the module had started, and ssh connected again: the module was not run a second time, so what it has '
         'done is unknown. Run the playbook again once the connection is stable.')
SILENT = ('The module %s but gave no answer (exit code %s), and was not run again, so what it has done is unknown. See module_stderr and '
          'the host\'s journal, then run the task again.')

WARNINGS = {'unsafe': UNSAFE, 'lacks': LACKS}    # by the script's answer: what the operator can mend
UNPACK = {'gzip': 'gzip -dc', 'cat': 'cat'}    # the script's answer, and what then unpacks the executable

# With `ansible_ssh_retries`, Ansible's connection sends a command again after it broke, no matter how far the command had come.
# The mark that it leaves must be nobody else's to take away.
ONCE = r'''alone
find "$_d" -name '.ran.*' -mmin +60 -exec rm -f {} + 2>/dev/null
_i=$_d/.ran.@ID@; (set -C; : >"$_i") 2>/dev/null || [ ! -e "$_i" ] || say again
'''


def compose(digest, args, executable=None, unpack=None, once=False):
    """the script for one task; digest: the executable's SHA-256; executable: its bytes, to be sent along, and unpack: the key of UNPACK
    for that; once: guard against ssh's retries"""
    script = SCRIPT.replace('@FETCH@', BRING if unpack else ASK)
    script = script.replace('@ONCE@', ONCE.replace('@ID@', uuid.uuid4().hex) if once else '')
    script = script.replace('@SUM@', digest)
    if unpack:
        if unpack == 'gzip':
            import gzip    # seldom needed, and what is loaded is loaded for every task
            executable = gzip.compress(executable)
        script = script.replace('@UNPACK@', UNPACK[unpack]).replace('@DATA@', base64.encodebytes(executable).decode().rstrip('\n'))
    return script.replace('@ARGS@', shlex.quote(args)).encode('ascii')    # last: arguments are no template


DIGESTS = {}    # by what tells that a file is still the same


def digest_of(path):
    """the SHA-256 of an executable, None for what is none"""
    s = os.stat(path)
    key = s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns
    if key not in DIGESTS:
        with open(path, 'rb') as f:
            data = f.read()
        DIGESTS[key] = hashlib.sha256(data).hexdigest() if data.startswith(b'\x7fELF') else None
    return DIGESTS[key]


try:
    # Now, since Ansible loads this once in its main process, and a worker for each task inherits what is known.
    digest_of(os.path.join(os.path.dirname(__file__), '..', 'native', 'pve-gpu'))
except OSError:
    pass    # not in a collection


def encode(args, bits):
    """the arguments as the JSON that Ansible sends; bits: what _configure_module() returns since 2.19, else None"""
    if bits:
        from ansible.module_utils.common.json import Direction, get_module_encoder
        return json.dumps(args, cls=get_module_encoder(bits.serialization_profile, Direction.CONTROLLER_TO_MODULE))
    from ansible.module_utils.common.json import AnsibleJSONEncoder
    return json.dumps(args, cls=AnsibleJSONEncoder, vault_to_text=True)


class ActionModule(NormalAction):
    _staged = False         # an attempt with the staged executable is under way
    _unpack = None          # how that attempt sends the executable along, if it does
    _composed = False       # it has replaced the module by a script

    def run(self, tmp=None, task_vars=None):
        with self._pipelining(task_vars):
            result = self._run_staged(tmp, task_vars)
        return super().run(tmp, task_vars) if result is None else result

    def _run_staged(self, tmp, task_vars):
        """the task's result, or None: nothing has started, and the ordinary way is open"""
        if not self._can_stage():
            return None
        self._unpack = None
        while True:
            self._staged, self._composed = True, False
            try:
                result = super().run(tmp, task_vars)
            finally:
                self._staged = False
            if not self._composed:
                return result    # an ansible-core that we do not know: that was the ordinary way
            state = self._state(result)
            if state is None:
                return result
            self._say(task_vars, '%s: %s' % (state, result.get('msg')))
            if state not in UNPACK or self._unpack:
                if state in WARNINGS:
                    self._display.warning(WARNINGS[state] % (self._host(task_vars), result.get('msg')))
                return None
            self._unpack = state

    def _can_stage(self):
        become, shell = self._connection.become, self._connection._shell
        return (not self._task.async_val and (not become or become.name == 'sudo')
                and getattr(shell, 'SHELL_FAMILY', None) == 'sh' and self._is_pipelining_enabled('new'))

    def _state(self, result):
        """why nothing has started; None: the result stands, because the module has answered or may have started"""
        if result.get(STATE) == 'again':
            result.pop(STATE)
            result.update(failed=True, msg=AGAIN)
            return None
        if STATE in result:
            return result[STATE]
        out, err, rc = result.get('module_stdout'), result.get('module_stderr') or '', result.get('rc')
        if out is None:
            return None
        if STARTED not in out:
            if rc in (126, 127):    # the shell could not start it
                return 'no'
            if rc == 1 and self._connection.become and not out.strip() and err.startswith('sudo:'):    # requiretty
                return 'no'
        result['msg'] = SILENT % ('started' if STARTED in out else 'may have started', rc)
        return None

    def _host(self, task_vars):
        return self._task.delegate_to or task_vars['inventory_hostname']

    def _say(self, task_vars, text):
        self._display.vvv('pve.gpu.native: %s' % text, host=self._host(task_vars))

    @contextlib.contextmanager
    def _pipelining(self, task_vars):
        """pipelining on where the user left it at its default, which is off"""
        conn, become = self._connection, self._connection.become
        force = (conn.transport in ('ssh', 'local') and (not become or become.name == 'sudo') and not conn.get_option('pipelining')
                 and self._left_at_default(task_vars))
        if force:
            conn.set_option('pipelining', True)
            conn.pve_gpu_forced = True    # the option's origin is now its last setting, as the next attempt of `until` will find it
        try:
            yield
        finally:
            if force:
                conn.set_option('pipelining', False)

    def _left_at_default(self, task_vars):
        conn = self._connection
        if hasattr(conn, 'get_option_and_origin'):    # since 2.16
            origin = conn.get_option_and_origin('pipelining')[1]
            return origin == 'default' or origin == 'Direct' and getattr(conn, 'pve_gpu_forced', False)
        # Before, ask with the variables as they were written: to task_vars itself the connection's own value has been added.
        delegate = self._task.delegate_to
        written = task_vars['ansible_delegated_vars'][delegate] if delegate else task_vars['vars']
        return C.config.get_config_value_and_origin('pipelining', plugin_type='connection', plugin_name=conn._load_name,
                                                    variables=written)[1] == 'default'

    def _configure_module(self, module_name, module_args, task_vars):
        built = super()._configure_module(module_name, module_args, task_vars)
        try:
            bits, path = built if len(built) == 2 else (None, built[3])    # since 2.19, before
            args = encode(module_args, bits)
            if bits is None:
                module_args.update(json.loads(args))    # for the ordinary way, where Ansible itself then fails on a vaulted value
            digest = digest_of(path)
            if not self._staged or not digest:
                return built
            executable = None
            if self._unpack:
                with open(path, 'rb') as f:    # the bytes in `built` are none since 2.22
                    executable = f.read()
            once = bool(self.get_connection_option('reconnection_retries'))
            script = compose(digest, args, executable, self._unpack, once)
            if bits is None:
                built = 'new', '#!/bin/sh', script, path
            else:
                built = dataclasses.replace(bits, module_style='new', shebang='#!/bin/sh', b_module_data=script), path
            self._composed = True
        except (AttributeError, ImportError, IndexError, OSError, TypeError, ValueError) as ex:
            self._say(task_vars, 'the ordinary way, since this ansible-core is unknown: %r' % ex)
        return built
