# SPDX-License-Identifier: MIT
# Runs commands in turn on the host it is sent to; wall time, CPU time and peak memory of each as the kernel counts them.
"""Standard input: {"rounds": N, "commands": {NAME: {"argv": [...], "stdin": TEXT}}}
Standard output: {NAME: {"wall": [seconds, N times], "cpu": [seconds, N times], "peak": bytes of its first process, "output": TEXT}}
Each round runs every command once, in the order A B, then B A; a round before the first one warms caches.
"""
import ctypes
import json
import os
import re
import sys
import time

PTRACE_TRACEME, PTRACE_CONT, PTRACE_SETOPTIONS = 0, 7, 0x4200
PTRACE_O_TRACEEXEC, PTRACE_O_TRACEEXIT, PTRACE_O_EXITKILL, PTRACE_EVENT_EXIT = 0x10, 0x40, 0x100000, 6

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def text_file(text):
    """A descriptor from which the text can be read, as often as it is opened again."""
    fd = os.memfd_create('stdin')
    os.write(fd, text.encode())
    return '/proc/self/fd/%d' % fd, fd


def check(argv, status):
    if status:
        raise SystemExit('%s: wait status %d' % (' '.join(argv), status))


def timed(argv, source):
    # vfork, so that the copying of this process is not counted as the command's
    actions = [(os.POSIX_SPAWN_OPEN, 0, source, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]
    began = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    check(argv, status)
    return wall, usage.ru_utime + usage.ru_stime


def ptrace(request, pid, data=0):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), 'ptrace')


def peak_memory(argv, source, sink):
    """Read in the moment before the process ends: ru_maxrss would also count what this process had before exec."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(source, os.O_RDONLY), 0)
            os.dup2(sink, 1)
            ptrace(PTRACE_TRACEME, 0)
            os.execvp(argv[0], argv)
        except OSError as error:
            print('%s: %s' % (' '.join(argv), error), file=sys.stderr, flush=True)
        os._exit(127)
    peak = None
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status):
        check(argv, status)
    ptrace(PTRACE_SETOPTIONS, pid, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)
    first = True
    while os.WIFSTOPPED(status):
        if status >> 16 == PTRACE_EVENT_EXIT:
            with open('/proc/%d/status' % pid, encoding='utf-8') as file:
                peak = int(re.search(r'^VmHWM:\s+(\d+) kB', file.read(), re.M).group(1)) * 1024
        # the first stop and those with an event are no signals of the command's
        ptrace(PTRACE_CONT, pid, 0 if first or status >> 16 else os.WSTOPSIG(status))
        first = False
        _, status = os.waitpid(pid, 0)
    check(argv, status)
    return peak


def main():
    os.chdir('/')    # nsenter has left it in the directory where it was started, outside
    spec = json.load(sys.stdin)
    commands = [(name, command['argv'], *text_file(command.get('stdin', ''))) for name, command in spec['commands'].items()]
    out = {name: {'wall': [], 'cpu': []} for name, *_ in commands}
    for name, argv, source, _ in commands:
        sink = os.memfd_create('stdout')
        out[name]['peak'] = peak_memory(argv, source, sink)
        with open(sink, 'rb') as file:
            file.seek(0)
            out[name]['output'] = file.read().decode(errors='replace')
    for turn in range(spec['rounds']):
        for name, argv, source, _ in commands if turn % 2 == 0 else reversed(commands):
            wall, cpu = timed(argv, source)
            out[name]['wall'].append(wall)
            out[name]['cpu'].append(cpu)
    json.dump(out, sys.stdout)


main()
