# SPDX-License-Identifier: MIT
"""Whatever comes in, exactly one JSON object goes out, the exit code says whether it failed, and no secret is in it.

The real executable is run on generated input: the portable one where it was built (build/portable), else the debug one. The
executable with secrets (secret_module.cpp) is the debug one, with sanitizers. PVE_GPU_SEED repeats a run.
"""
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BINARY_DIR = pathlib.Path(os.environ.get("PVE_GPU_BINARY_DIR", SOURCE / "build/dev"))
PORTABLE = SOURCE / "build/portable/pve-gpu"
EXECUTABLE = PORTABLE if PORTABLE.exists() else BINARY_DIR / "pve-gpu"
SECRETS = BINARY_DIR / "tests/pve-gpu-secret"
SECRET = "hunter2-Geheim%s"
STARTED = b"pve-gpu:started\n"


def scalar(rng):
    return rng.choice([None, True, False, 0, -1, 3.5, 10**25, -(2**63), 1e308, "", "yes", "a,b", "x" * 70, "\u00e4\u2028\U0001f600", "no\u0000",
                       "{\"a\": 1}", [], {}, [None], [[1]], {"a": {"b": []}}, ["\ud800"]])


def document(rng, parameters):
    """A JSON document that is often nearly right."""
    out = {"_ansible_check_mode": True, "_ansible_verbosity": 0}
    for name, value in parameters.items():
        draw = rng.random()
        if draw < 0.6:
            out[name] = value
        elif draw < 0.8:
            out[name] = scalar(rng)
    if rng.random() < 0.2:
        out[rng.choice(["nmae", "", "a" * 5000, "\u0000", "_ansible_odd", "_ansible_no_log", "_ansible_syslog_facility", "_ansible_diff"])] = scalar(rng)
    return out


def damage(rng, text):
    """Bytes that are JSON, or no longer."""
    draw = rng.random()
    if draw < 0.35:
        return text
    if draw < 0.5:
        return text[:rng.randrange(len(text) + 1)]
    if draw < 0.65:
        at = rng.randrange(len(text) + 1)
        return text[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5))) + text[at + rng.randrange(3):]
    if draw < 0.7:
        return text[:-1] + b', "token": "other", "token": "more", "_ansible_check_mode": true}'
    if draw < 0.75:
        deep = rng.choice([60, 65, 1000, 100000])
        return rng.choice([b"[", b'{"a":']) * deep + b"1" + b"]" * deep
    if draw < 0.8:
        return text[:-1] + b', "name": "' + b"A" * rng.choice([10**4, 10**6]) + b'"}'
    if draw < 0.85:
        return rng.choice([b"", b"null", b"[]", b"\"x\"", b"1", b"\x00", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"{}", b" \n", b"NaN", b"1e999999", b"-"])
    if draw < 0.9:
        return text.replace(b"true", rng.choice([b"True", b"tru", b"truee", b"NaN"]))
    if draw < 0.95:
        return text + rng.choice([b"\x00", b"{}", b" trailing", b"\n\n"])
    return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))


def call(executable, module, text, way, directory, number):
    """The executable run in one of the ways it is called; its result, and what it printed without the line that says it began."""
    file = pathlib.Path(directory) / str(number)
    stdin = subprocess.DEVNULL
    if way in ("file", "named file", "uploaded"):
        file.write_bytes(text)
    else:
        stdin = text
    argv = {"file": [executable, file], "named file": [executable, module, file], "uploaded": [pathlib.Path(directory) / ("AnsiballZ_" + module), file],
            "stdin": [executable, module], "dash": [executable, module, "-"], "staged": [executable, "--staged"]}[way]
    arguments = {"stdin": stdin} if stdin is subprocess.DEVNULL else {"input": stdin}
    result = subprocess.run(argv, capture_output=True, timeout=60, check=False, **arguments)
    out = result.stdout
    if way == "staged":
        if not out.startswith(STARTED):
            raise AssertionError("staged, but did not say first that it began: %r" % out[:200])
        out = out[len(STARTED):]
    return result, out


def fault(result, out, secret):
    """What is wrong with this answer; None if nothing is."""
    try:
        lines = out.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return "the answer is not UTF-8"
    if len(lines) != 2 or lines[1] != "":
        return "not exactly one line"
    try:
        answer = json.loads(lines[0])
    except ValueError:
        return "not JSON"
    if not isinstance(answer, dict):
        return "not an object"
    if result.returncode != (1 if answer.get("failed") else 0):
        return "exit code %d, failed %r" % (result.returncode, answer.get("failed"))
    if answer.get("failed") and not answer.get("msg"):
        return "failed without a message"
    if b"Sanitizer" in result.stderr or b"runtime error" in result.stderr:
        return "sanitizer: " + result.stderr.decode(errors="replace")[-2000:]
    if secret and (secret.encode() in out or secret.encode() in result.stderr):
        return "the secret is in the answer"
    return None


class Protocol(unittest.TestCase):
    ways = ["file", "named file", "uploaded", "stdin", "dash", "staged"]

    def storm(self, executable, module, parameters, count, secret=None):
        """Runs `count` generated inputs and fails with the first fault, input and way."""
        seed = int(os.environ.get("PVE_GPU_SEED", random.SystemRandom().randrange(10**9)))
        rng = random.Random(seed)
        began = time.monotonic()
        answered = 0
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / ("AnsiballZ_" + module)).symlink_to(executable)

            def one(job):
                number, text, way = job
                result, out = call(executable, module, text, way, directory, number)
                return fault(result, out, secret), text, way, out, result.returncode

            def jobs():
                for number in range(count):
                    args = document(rng, parameters)
                    args["_ansible_module_name"] = "pve.gpu." + module
                    yield number, damage(rng, json.dumps(args).encode()), rng.choice(self.ways)

            with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
                for wrong, text, way, out, code in pool.map(one, jobs(), chunksize=1):
                    answered += code == 0
                    self.assertIsNone(wrong, "seed %d, %s: %r gave %r" % (seed, way, text[:2000], out[:2000]))
        print("%s: %d inputs, %d of them good, %.0f s, seed %d" % (module, count, answered, time.monotonic() - began, seed), file=sys.stderr)
        self.assertGreater(answered, 0, "no input was good: the generator is off")
        self.assertLess(answered, count)

    def test_any_input_gives_one_answer(self):
        self.storm(EXECUTABLE, "host_info", {}, 9000)

    def test_secrets_stay_inside(self):
        secret = SECRET % random.randrange(10**6)
        self.storm(SECRETS, "secret", {"token": secret, "keys": [secret, secret + "x"], "accounts": [{"user": "a", "password": secret}], "name": "n",
                                       "count": "3", "refuse": False, "fail": False}, 1500, secret)

    def test_secrets_stay_inside_errors(self):
        secret = SECRET % "-error"
        for extra in ({"refuse": True}, {"fail": True}, {"count": secret}, {"keys": {"a": secret}}, {"accounts": [secret]}, {"accounts": {"password": secret}},
                      {"token": {"a": secret}}, {"token": [secret]}, {"accounts": [{"password": secret, "nme": 1}]}):
            args = {"token": secret, "_ansible_module_name": "secret", **extra}
            result = subprocess.run([SECRETS, "secret"], input=json.dumps(args).encode(), capture_output=True, check=False)
            self.assertIsNone(fault(result, result.stdout, secret), "%r gave %r" % (extra, result.stdout))

    def test_odd_ways_of_calling(self):
        with tempfile.TemporaryDirectory() as directory:
            for argv in ([EXECUTABLE, directory], [EXECUTABLE, directory + "/missing"], [EXECUTABLE, "host_info", directory], [EXECUTABLE, "host_info", "/dev/null"],
                         [EXECUTABLE, "no_such_module"], [EXECUTABLE, "/proc/self/mem"]):
                result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
                self.assertIsNone(fault(result, result.stdout, None), "%r gave %r" % (argv, result.stdout[:500]))
                self.assertEqual(result.returncode, 1, argv)
            closed = subprocess.run(["sh", "-c", '"$0" host_info <&-', EXECUTABLE], capture_output=True, timeout=60, check=False)
            self.assertIsNone(fault(closed, closed.stdout, None), closed.stdout[:500])
            full = subprocess.run(["sh", "-c", 'echo "{}" | "$0" host_info >/dev/full', EXECUTABLE], capture_output=True, timeout=60, check=False)
            self.assertEqual(full.returncode, 1, "an answer that can't be written is a failure")


if __name__ == "__main__":
    unittest.main()
