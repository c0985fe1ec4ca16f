# SPDX-License-Identifier: MIT
"""The catalogue's data: it fits its schema, what the build makes of it is fresh and small, and it agrees with what real hosts printed."""

import copy
import csv
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "common" / "catalogue"
DOMAIN = ROOT.parent / "shared" / "domain"
BUILD = pathlib.Path(os.environ.get("PVE_GPU_BINARY_DIR", ROOT / "build" / "dev"))

spec = importlib.util.spec_from_file_location("generate", CATALOGUE / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


def rows(name):
    with open(CATALOGUE / name, encoding="ascii", newline="") as f:
        return list(csv.DictReader(f))


def domain(path):
    path = DOMAIN / path
    if not path.exists():
        raise unittest.SkipTest(f"{path} is not here: the research notes and samples are kept outside the repository")
    return path


class Schema(unittest.TestCase):
    def test_every_table_fits(self):
        schema, tables, problems = generate.load()
        self.assertEqual(problems + generate.check(schema, tables), [])

    def test_every_csv_has_a_schema(self):
        self.assertEqual({p.name for p in CATALOGUE.glob("*.csv")}, set(generate.load()[0]["tables"]))

    def test_every_source_is_used(self):
        schema, tables, _ = generate.load()
        used = {key for table in tables.values() for row in table for key in row["source"].split(";")}
        self.assertEqual(used ^ set(schema["sources"]), set())

    def test_broken_data_is_refused(self):
        schema, good, _ = generate.load()

        def first(tables, name, **want):
            return next(r for r in tables[name] if all(r[k] == v for k, v in want.items()))

        def duplicate_board(t):
            t["boards.csv"].append(dict(first(t, "boards.csv", board="A40")))

        def duplicate_type_id(t):
            first(t, "vgpu_types.csv", type_name="GRID P4-2Q")["type_id"] = "63"

        def duplicate_other_id(t):
            first(t, "vgpu_types.csv", type_name="NVIDIA RTXA5500-2A")["alt_type_id"] = "781"

        def duplicate_name(t):
            first(t, "vgpu_types.csv", type_name="GRID P4-2Q")["type_name"] = "GRID P4-1Q"

        def put(name, column, value, **want):
            return lambda t: first(t, name, **want).__setitem__(column, value)

        def unreachable(t):
            t["driver_kernels.csv"].append(dict(first(t, "driver_kernels.csv", branch="17", kernel_first="6.17"), minor_first="3", minor_last="3"))

        broken = {
            "is also in line": [duplicate_board, duplicate_type_id, duplicate_other_id, duplicate_name],
            "is not in boards.csv:board": [put("board_ids.csv", "board", "A41", board="A40")],
            "is not hex4": [put("board_ids.csv", "device_id", "2235X", board="A40"), put("board_ids.csv", "device_id", "223F", board="A40")],
            "is not choice": [put("boards.csv", "vgpu_class", "4", board="A40"), put("driver_kernels.csv", "builds", "maybe", branch="12")],
            "is not sources": [put("boards.csv", "source", "hearsay", board="A40")],
            "is not integer": [put("boards.csv", "memory_mb", "48 GB", board="A40"), put("driver_releases.csv", "minor", "04", version="535.161.05")],
            "is not kernel": [put("intel_dkms.csv", "kernel_last", "6.x", tag="2025.07.22")],
            "is not text": [put("boards.csv", "notes", "caf\u00e9", board="A40")],
            "white space": [put("boards.csv", "notes", "note ", board="A40")],
            "must not be empty": [put("boards.csv", "confidence", "", board="A40")],
            "comes after": [put("boards.csv", "first_branch_possible", "19", board="A40"), put("intel_dkms.csv", "kernel_first", "7.0", tag="2025.07.22")],
            "contradict": [put("boards.csv", "last_branch_possible", "", board="Tesla P4"), put("boards.csv", "technology", "none", board="A40"),
                           put("driver_releases.csv", "minor", "9", version="535.161.05")],
            "class 1 is mdev": [put("boards.csv", "framework_from_6_8", "vendor_vfio", board="Tesla P4")],
            "what VFs show": [put("board_ids.csv", "subsystem_device_id", "0000", board="A40")],
            "needs a subsystem": [put("board_ids.csv", "subsystem_device_id", "", board="A2")],
            "not the one of its series": [put("vgpu_types.csv", "licence", "vpc", type_name="GRID P4-1Q")],
            "without its branch": [put("vgpu_types.csv", "alt_type_id", "9", type_name="GRID P4-1Q")],
            "is not of series": [put("driver_releases.csv", "version", "536.161.05", version="535.161.05")],
            "never reached": [unreachable],
        }
        for sentence, changes in broken.items():
            for change in changes:
                tables = copy.deepcopy(good)
                change(tables)
                problems = generate.check(schema, tables)
                with self.subTest(sentence=sentence, problems=problems[:2]):
                    self.assertTrue(any(sentence in p for p in problems))


def generate_to(folder, catalogue=CATALOGUE):
    """How generate.py ends, and the file that it was to write into the folder."""
    made = pathlib.Path(folder, "catalogue_data.inc")
    return subprocess.run([sys.executable, "-B", catalogue / "generate.py", made], capture_output=True, text=True), made


class Built(unittest.TestCase):
    MADE = pathlib.Path("generated", "catalogue_data.inc")  # below BUILD

    def setUp(self):
        if not (BUILD / self.MADE).exists():
            self.skipTest(f"{BUILD} is not built: ./dev build")

    def test_it_is_what_the_data_gives(self):
        schema, tables, _ = generate.load()
        self.assertEqual((BUILD / self.MADE).read_text(encoding="ascii"), generate.emit(schema, tables), "build it again")

    def test_it_is_made_again_when_its_data_changes(self):
        known = subprocess.run(["ninja", "-C", BUILD, "-t", "query", self.MADE], check=True, capture_output=True, text=True).stdout
        inputs = {pathlib.Path(line.strip(" |")).name for line in known.split("outputs:")[0].splitlines()}
        self.assertLessEqual({p.name for p in CATALOGUE.glob("*.csv")} | {"schema.json", "generate.py"}, inputs)


class Generated(unittest.TestCase):
    def test_broken_data_makes_no_file(self):
        with tempfile.TemporaryDirectory() as work:
            there = pathlib.Path(work, "catalogue")
            shutil.copytree(CATALOGUE, there)
            boards = there / "boards.csv"
            boards.write_text(boards.read_text(encoding="ascii").replace("A40,", "A41,", 1), encoding="ascii")
            run, made = generate_to(work, there)
            self.assertEqual(run.returncode, 1)
            self.assertIn("is not in boards.csv:board", run.stderr)
            self.assertFalse(made.exists())

    def test_small_constant_and_without_relocations(self):
        compiler = os.environ.get("CXX", "c++")
        if not all(shutil.which(tool) for tool in (compiler, "size", "readelf")):
            self.skipTest(f"{compiler}, size or readelf is missing")
        with tempfile.TemporaryDirectory() as build:
            generate_to(build)
            o = pathlib.Path(build, "catalogue.o")
            subprocess.run([compiler, "-std=c++20", "-Os", "-DNDEBUG", "-fPIE", "-ffunction-sections", "-fdata-sections", f"-I{ROOT}", f"-I{build}", "-c",
                            CATALOGUE / "catalogue.cpp", "-o", o], check=True)
            text, data, bss = map(int, subprocess.check_output(["size", o], text=True).splitlines()[1].split()[:3])
            sections = subprocess.check_output(["readelf", "-SW", o], text=True)
        self.assertLess(text + data + bss, 160_000)
        self.assertNotIn(".init_array", sections, "something runs at start-up")
        relocated = [s for s in re.findall(r"\.rela(\.\S+)", sections) if s.startswith((".rodata", ".data")) and "personality" not in s]
        self.assertEqual(relocated, [], "a table holds pointers")


class Sources(unittest.TestCase):
    """Nothing of the research notes got lost."""

    def test_counts(self):
        self.assertGreaterEqual(len(rows("boards.csv")), 74)
        self.assertGreaterEqual(len(rows("vgpu_types.csv")), 1326)
        self.assertGreaterEqual(sum(bool(r["type_id"]) for r in rows("vgpu_types.csv")), 867)

    # Boards whose ids NVIDIA's name table (595.45.04) corrected, or that were one row for several boards.
    CORRECTED = {"H100 SXM5 64GB": "10de:2337"}

    def test_every_board(self):
        ids = {}
        for r in rows("board_ids.csv"):
            ids.setdefault(r["board"], set()).add((f"{r['vendor_id']}:{r['device_id']}", r["subsystem_device_id"]))
        names = {r["board"] for r in rows("boards.csv")}
        with open(domain("boards.csv"), encoding="utf-8", newline="") as f:
            source = list(csv.DictReader(f))
        self.assertGreaterEqual(len(source), 74)
        for r in source:
            if not r["pci_id"].startswith("10de:"):
                continue
            with self.subTest(board=r["board"]):
                self.assertIn(r["board"], names)
                want = self.CORRECTED.get(r["board"], r["pci_id"])
                self.assertEqual({device for device, _ in ids[r["board"]]}, {want})
                if r["board"] in self.CORRECTED or "(" in r["pci_subsystem_ids"] and "GB" in r["pci_subsystem_ids"]:
                    continue
                listed = set(re.findall(r"\b(?:10de:|1028:|103c:)?([0-9a-f]{4})\b", r["pci_subsystem_ids"])) - {"10de", "1028", "103c"}
                self.assertLessEqual(listed, {sub for _, sub in ids[r["board"]]})
        intel = {r["device_id"] for r in rows("intel_gpus.csv")}
        amd = {r["device_id"] for r in rows("board_ids.csv") if r["vendor_id"] == "1002"}
        for r in source:
            if r["pci_id"].startswith("10de:") or r["pci_id"] == "unknown":
                continue
            listed = set(re.findall(r"\b[0-9a-f]{4}\b", r["pci_id"])) - {"8086", "1002"}
            self.assertTrue(listed)
            self.assertLessEqual(listed, intel | amd, r["board"])

    def test_every_type(self):
        ours = {r["type_name"]: r for r in rows("vgpu_types.csv")}
        with open(domain("vgpu_types.csv"), encoding="utf-8", newline="") as f:
            source = list(csv.DictReader(f))
        self.assertGreaterEqual(len(source), 1326)
        for r in source:
            mine = ours[r["type_name"]]
            for column in ("type_id", "guest_fb_mb", "max_instances", "max_instances_mixed", "num_heads", "max_resolution"):
                self.assertEqual(mine[column], r[column], f"{r['type_name']}: {column}")
            if r["profile_mb"]:
                self.assertEqual(mine["profile_mb"], r["profile_mb"], r["type_name"])
            else:
                self.assertEqual(mine["profile_from"], "name", r["type_name"])
            self.assertEqual(mine["alt_type_id"], r["alt_type_ids"].split(" ")[0], r["type_name"])
            if mine["confidence"] == "high":
                self.assertRegex(r["confidence"], "^(high|names/limits high)")


class Types(unittest.TestCase):
    def test_names_are_unique_and_ids_are_unique_per_board_and_era(self):
        types = rows("vgpu_types.csv")
        self.assertEqual(len({r["type_name"] for r in types}), len(types))
        usual = [(r["board"], r["type_id"]) for r in types if r["type_id"]]
        self.assertEqual(len(set(usual)), len(usual))
        other = [(r["board"], r["alt_type_id_branch"], r["alt_type_id"]) for r in types if r["alt_type_id"]]
        self.assertEqual(len(set(other)), len(other))

    def test_sizes_make_sense(self):
        memory = {r["board"]: int(r["memory_mb"] or 0) for r in rows("boards.csv")}
        for r in rows("vgpu_types.csv"):
            size, most = int(r["profile_mb"]), int(r["max_instances"] or 0)
            if r["backing"] == "time_sliced" and memory[r["board"]]:
                self.assertLessEqual(size, memory[r["board"]], r["type_name"])
                self.assertLessEqual(most * size, memory[r["board"]], r["type_name"])
            self.assertLessEqual(int(r["max_instances_mixed"] or 0), most or 10 ** 6, r["type_name"])
            self.assertLess(int(r["guest_fb_mb"] or 0), size + 1, r["type_name"])


class RecordedHosts(unittest.TestCase):
    """What real hosts printed for their types is what the catalogue says."""

    def agree(self, name, type_id, description):
        mine = next((r for r in rows_by_name if r["type_name"] == name), None)
        self.assertIsNotNone(mine, name)
        self.assertIn(type_id, (mine["type_id"], mine["alt_type_id"]), name)
        for key, column, unit in (("framebuffer", "profile_mb", "M"), ("max_instance", "max_instances", ""), ("num_heads", "num_heads", "")):
            found = re.search(rf"\b{key}=(\d+){unit}", description)
            if found and mine[column]:
                self.assertEqual(found[1], mine[column], f"{name}: {key}")
        return 1

    def test_tesla_p4(self):
        text = domain("samples/mdevctl_types/tesla_p4_525.105.14_all_zero.txt").read_text()
        seen = re.findall(r"nvidia-(\d+)\n.*\n.*\n\s+Name: (.*)\n\s+Description: (.*)", text)
        self.assertGreaterEqual(sum(self.agree(name, number, what) for number, name, what in seen), 12)

    def test_m60(self):
        text = domain("samples/mdevctl_types/m60_sysfs_types_510.txt").read_text()
        seen = re.findall(r"mdev_type: nvidia-(\d+) --- description: (.*?) --- name: (.*)", text)
        self.assertGreaterEqual(sum(self.agree(name.strip(), number, what) for number, what, name in seen), 14)

    def test_a40(self):
        text = domain("samples/mdevctl_types/a40_vf_before_create_550.163.02.txt").read_text()
        seen = re.findall(r"nvidia-(\d+), (NVIDIA \S+)", text)
        self.assertGreaterEqual(sum(self.agree(name, number, "") for number, name in seen), 22)

    def test_a2(self):
        folder = domain("samples/sysfs_a2_vf_mdev/mdev_supported_types")
        seen = [(d.name.split("-")[1], (d / "name").read_text().strip(), (d / "description").read_text()) for d in folder.iterdir()]
        self.assertGreaterEqual(sum(self.agree(name, number, what) for number, name, what in seen), 8)


rows_by_name = rows("vgpu_types.csv")

if __name__ == "__main__":
    unittest.main()
