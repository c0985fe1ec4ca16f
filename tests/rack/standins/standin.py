# SPDX-License-Identifier: MIT
# What all stand-ins of a node have in common: the record of what they were asked, faults, and facts of the machine.
"""run(function) calls function(words) as the program; it returns the exit code (None: 0) or raises ToolError.

/run/rack/standins.log has a JSON line for each call: tool, argv, exit, fault, out and err (the last 2000 characters), and `inside`,
the stand-in that called it, if one did.
/run/rack/faults.json is a list of faults: `tool` and `words` (globs), `kind` (ignore: exit code 0 without effect; exit: `code` and
`text`; slow: `seconds` before it works), `times` (how often, -1: always).
"""
import fcntl
import fnmatch
import io
import json
import os
import subprocess
import sys
import time

from bootfiles import ToolError

RUN = '/run/rack'
INSIDE = os.environ.get('RACK_INSIDE')


def machine():
    with open(RUN + '/machine.json', encoding='utf-8') as file:
        return json.load(file)


def take_fault(tool, words):
    """The first fault that matches, counted down."""
    path = RUN + '/faults.json'
    try:
        file = open(path, 'r+', encoding='utf-8')  # pylint: disable=consider-using-with
    except FileNotFoundError:
        return None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        faults = json.loads(file.read() or '[]')
        for fault in faults:
            if fault['times'] != 0 and fnmatch.fnmatchcase(tool, fault['tool']) and fnmatch.fnmatchcase(' '.join(words), fault['words']):
                fault['times'] -= 1 if fault['times'] > 0 else 0
                file.seek(0)
                file.truncate()
                json.dump(faults, file)
                return fault
    return None


class Tee(io.TextIOBase):
    """A stream that remembers the end of what went through it."""

    def __init__(self, stream):
        super().__init__()
        self.stream, self.kept = stream, ''

    def write(self, text):
        self.kept = (self.kept + text)[-2000:]
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            return len(text)

    def flush(self):
        try:
            self.stream.flush()
        except (BrokenPipeError, ValueError):
            pass

    def isatty(self):
        return self.stream.isatty()

    def fileno(self):
        return self.stream.fileno()


def log(**fields):
    line = json.dumps(dict(time=round(time.time(), 3), inside=INSIDE, **fields)) + '\n'
    fd = os.open(RUN + '/standins.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def run(function, tool=None):
    tool = tool or os.path.basename(sys.argv[0])
    words = sys.argv[1:]
    out, err = Tee(sys.stdout), Tee(sys.stderr)
    sys.stdout, sys.stderr = out, err
    os.environ['RACK_INSIDE'] = tool
    fault = take_fault(tool, words)
    kind = fault and fault['kind']
    code = 0
    try:
        if kind == 'slow':
            time.sleep(fault['seconds'])
        if kind == 'exit':
            print(fault['text'], file=sys.stderr)
            code = fault['code']
        elif kind != 'ignore':
            code = function(words) or 0
    except ToolError as error:
        if str(error):
            print(error, file=sys.stderr)
        code = error.code
    except OSError as error:
        print('%s: %s' % (tool, error), file=sys.stderr)
        code = 1
    finally:
        out.flush()
        err.flush()
        log(tool=tool, argv=[tool] + words, exit=code, fault=kind, out=out.kept, err=err.kept)
    sys.exit(code)


def refused(text, usage):
    """What PVE::RESTHandler::cli_handler says of parameters that are not valid: "400 ...", and the usage of the command as last line."""
    return ToolError('%s\n%s' % (text.rstrip('\n'), usage), 2)


def check_digest(value, usage):
    """pve-config-digest: 40 characters are a SHA-1, 64 a SHA-256."""
    if len(value or '') > 64:
        raise refused('400 Parameter verification failed.\ndigest: value may only be 64 characters long', usage)


def call(*words):
    """Runs another stand-in, as the real programs call each other."""
    sys.stdout.flush()
    code = subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise ToolError('', code)


def warn(text):
    print(text, file=sys.stderr)
