# SPDX-License-Identifier: MIT
"""A planner that writes, or that runs a program outside the vetted queries, does not compile."""
import os
import pathlib
import subprocess
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PLANNER = """
#include "common/core/plan.hpp"
namespace pvegpu {
void plan(const HostView& host, Plan& out) {
  out.ensure_file("/etc/example", "x");
  (void)host.query(Query::unit_state("ssh.service"));
  %s
}
}
"""
FORBIDDEN = {
    "write_file": ('host.write_file("/etc/example", "x");', "write_file"),
    "write_attr": ('host.write_attr("/sys/example", "1");', "write_attr"),
    "remove_file": ('host.remove_file("/etc/example");', "remove_file"),
    "load_module": ('host.load_module("vfio");', "load_module"),
    "run": ('host.run({{"true"}});', "run"),
    "free query": ('host.query(Query({"true"}));', "private"),
    "made-up query": ("host.query({});", "no matching|could not convert|cannot convert|private|no viable|initializer"),
    "host by reference": ("Host& all = host; (void)all;", "invalid initialization|cast|binding|cannot bind|discards|non-const"),
    "host by conversion": ("Host& all = static_cast<Host&>(host); (void)all;", "static_cast|invalid"),
}


def compile_planner(line):
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-fsyntax-only", "-x", "c++", "-I", str(SOURCE), "-"]
    return subprocess.run(command, input=PLANNER % line, text=True, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False)


class CompileFail(unittest.TestCase):
    def test_an_honest_planner_compiles(self):
        result = compile_planner("")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_effects_do_not_compile(self):
        for name, (line, reason) in FORBIDDEN.items():
            with self.subTest(name):
                result = compile_planner(line)
                self.assertNotEqual(result.returncode, 0, "it compiles: " + line)
                errors = [text for text in result.stderr.splitlines() if "error:" in text]
                self.assertRegex("\n".join(errors), reason)


if __name__ == "__main__":
    unittest.main()
