#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the catalogue's CSV files against schema.json and write them as C++: catalogue_data.inc, which the build makes.

    generate.py          check only
    generate.py FILE     check and write

Standard library only, of Python 3.9: Debian 11 builds what travels.
"""

import argparse
import csv
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent

PATTERNS = {
    "text": r"[\x20-\x7e]+",
    "integer": r"0|[1-9]\d*",
    "hex4": r"[0-9a-f]{4}",
    "yes_no": r"yes|no",
    "kernel": r"\d{1,2}\.\d{1,3}",
    "month": r"\d{4}-(0[1-9]|1[0-2])",
    "date": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "version": r"\d+(\.\d+){1,3}",
    "resolution": r"\d+x\d+",
}


def load():
    """schema, {table: [row]}, and the problems of form found on the way."""
    schema = json.loads((HERE / "schema.json").read_text(encoding="ascii"))
    tables, problems = {}, []
    for name, spec in schema["tables"].items():
        with open(HERE / name, encoding="ascii", newline="") as f:
            reader = csv.DictReader(f, strict=True)
            tables[name] = list(reader)
            if reader.fieldnames != [c["name"] for c in spec["columns"]]:
                problems.append(f"{name}: the header is {reader.fieldnames}, the schema says otherwise")
    return schema, tables, problems


def matches(column, value, schema):
    kind = column["type"]
    if kind == "choice":
        return value in column["values"]
    if kind == "list":
        return all(v in column["values"] for v in value.split(";"))
    if kind == "sources":
        return all(v in schema["sources"] for v in value.split(";"))
    return re.fullmatch(PATTERNS[kind], value) is not None


def number(text):
    return int(text) if text else None


def kernel(text):
    """6.8 as one number, so that 6.14 comes after it; 0 for an empty field."""
    if not text:
        return 0
    major, minor = text.split(".")
    return int(major) << 8 | int(minor)


def check(schema, tables):
    """Every way in which the data breaks the schema or contradicts itself, as sentences."""
    problems = []
    for name, spec in schema["tables"].items():
        rows = tables[name]
        for column in spec["columns"]:
            key = column["name"]
            referred = None
            if "ref" in column:
                table, other = column["ref"].split(":")
                referred = {r[other] for r in tables[table]}
            for line, row in enumerate(rows, 2):
                value = row[key]
                where = f"{name}:{line}: {key}"
                if value is None or None in row:
                    problems.append(f"{where}: this line has the wrong number of fields")
                elif value != value.strip():
                    problems.append(f"{where}: white space at an end of '{value}'")
                elif not value:
                    if column.get("required"):
                        problems.append(f"{where}: must not be empty")
                elif not matches(column, value, schema):
                    problems.append(f"{where}: '{value}' is not {column['type']} {column.get('values', '')}".rstrip())
                elif referred is not None and value not in referred:
                    problems.append(f"{where}: '{value}' is not in {column['ref']}")
        for columns in spec["unique"]:
            seen = {}
            for line, row in enumerate(rows, 2):
                values = tuple(row[c] for c in columns)
                if len(columns) > 1 and columns[1] in ("type_id", "alt_type_id") and not values[1]:
                    continue
                if values in seen:
                    problems.append(f"{name}:{line}: {'/'.join(columns)} {values} is also in line {seen[values]}")
                seen.setdefault(values, line)
    return problems or check_rules(tables)


def check_rules(tables):
    """What a schema of single columns cannot say."""
    problems = []
    boards = {r["board"]: r for r in tables["boards.csv"]}
    owners = {r["board"] for r in tables["vgpu_types.csv"]}
    for row in boards.values():
        name = f"boards.csv: {row['board']}"
        low, first = number(row["first_branch_possible"]), number(row["first_branch"])
        last, high = number(row["last_branch"]), number(row["last_branch_possible"])
        if low is not None and first is not None and low > first:
            problems.append(f"{name}: first_branch_possible comes after first_branch")
        if (last is None) != (high is None) or (last is not None and last > high):
            problems.append(f"{name}: last_branch and last_branch_possible contradict each other")
        if (row["vgpu_class"] != "none") != (row["technology"] == "nvidia_vgpu"):
            problems.append(f"{name}: vgpu_class and technology contradict each other")
        if row["technology"] != "nvidia_vgpu" and row["types_from"]:
            problems.append(f"{name}: types without NVIDIA vGPU")
        if row["types_from"] and row["types_from"] not in owners:
            problems.append(f"{name}: its types_from has no types in vgpu_types.csv")
        if row["vgpu_class"] == "1" and row["framework_from_6_8"] != "mdev":
            problems.append(f"{name}: class 1 is mdev on every kernel")
    for owner in sorted(owners):
        if boards[owner]["types_from"] != owner:
            problems.append(f"boards.csv: {owner} owns types, but its types_from is another board")
    for row in tables["vgpu_types.csv"]:
        if bool(row["alt_type_id"]) != bool(row["alt_type_id_branch"]):
            problems.append(f"vgpu_types.csv: {row['type_name']}: alt_type_id without its branch, or the reverse")
        if row["licence"] != LICENCE_OF_SERIES[row["series"]]:
            problems.append(f"vgpu_types.csv: {row['type_name']}: the licence is not the one of its series")
    intel = {r["device_id"] for r in tables["intel_gpus.csv"]}
    sharers = {}
    for row in tables["board_ids.csv"]:
        sharers.setdefault((row["vendor_id"], row["device_id"]), set()).add(row["board"])
    for row in tables["board_ids.csv"]:
        if not row["subsystem_device_id"] and len(sharers[row["vendor_id"], row["device_id"]]) > 1:
            problems.append(f"board_ids.csv: {row['board']}: needs a subsystem, its device id has several boards")
        if row["subsystem_device_id"] == "0000":
            problems.append(f"board_ids.csv: {row['board']}: subsystem 0000 is what VFs show")
        if row["vendor_id"] == "8086" and row["device_id"] not in intel:
            problems.append(f"board_ids.csv: {row['board']}: 8086:{row['device_id']} is not in intel_gpus.csv")
    for row in tables["driver_releases.csv"]:
        minor, last = number(row["minor"]), number(row["minor_last"])
        if (minor is None) != (last is None) or (minor is not None and minor > last):
            problems.append(f"driver_releases.csv: {row['version']}: minor and minor_last contradict each other")
        series = {b["branch"]: b["series"] for b in tables["driver_branches.csv"]}[row["branch"]]
        if not row["version"].startswith(series + "."):
            problems.append(f"driver_releases.csv: {row['version']} is not of series {series}")
    for name, first, last in (("driver_kernels.csv", "kernel_first", "kernel_last"), ("intel_dkms.csv", "kernel_first", "kernel_last"),
                              ("pve_kernels.csv", "pve_first", "pve_last")):
        for line, row in enumerate(tables[name], 2):
            if kernel(row[first]) > kernel(row[last]):
                problems.append(f"{name}:{line}: {first} comes after {last}")
    for line, row in enumerate(tables["driver_kernels.csv"], 2):
        for earlier in tables["driver_kernels.csv"][:line - 2]:
            if covers(earlier, row):
                problems.append(f"driver_kernels.csv:{line}: never reached, '{earlier['evidence']}' comes first")
    return problems


def covers(a, b):
    def last(row):
        return number(row["minor_last"]) if row["minor_last"] else 10 ** 6
    return (a["branch"] == b["branch"] and int(a["minor_first"]) <= int(b["minor_first"]) and last(a) >= last(b)
            and kernel(a["kernel_first"]) <= kernel(b["kernel_first"]) and kernel(a["kernel_last"]) >= kernel(b["kernel_last"]))


LICENCE_OF_SERIES = {"A": "vapps", "B": "vpc", "B4": "vpc", "Q": "vws", "C": "ai_enterprise", "CME": "ai_enterprise",
                     "gaming": "vgaming"}


class Pool:
    """Every string once, NUL-terminated, named by its offset. Offset 0 is the empty string."""

    def __init__(self):
        self.offsets, self.size = {"": 0}, 1

    def add(self, text):
        if text not in self.offsets:
            self.offsets[text] = self.size
            self.size += len(text) + 1
        return self.offsets[text]

    def lines(self):
        for text in self.offsets:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
            yield f'    "{escaped}\\0"'


def emit(schema, tables):
    """The text of catalogue_data.inc. Fields are in the order of the row structs in catalogue.cpp."""
    pool = Pool()
    out = []

    def choice(table, column, value):
        spec = next(c for c in schema["tables"][table]["columns"] if c["name"] == column)
        return spec["values"].index(value)

    def array(kind, name, rows):
        out.append(f"constexpr {kind} {name}[] = {{")
        out.extend("    {" + ",".join(str(f) for f in row) + "}," for row in rows)
        out.extend(["};", ""])

    def numbers(kind, name, values):
        out.append(f"constexpr {kind} {name}[] = {{")
        out.extend("    " + ",".join(str(v) for v in values[i:i + 20]) + "," for i in range(0, len(values), 20))
        out.extend(["};", ""])

    def flag(value):
        return 1 if value == "yes" else 0

    def or_zero(value):
        return int(value) if value else 0

    boards = tables["boards.csv"]
    index = {r["board"]: i for i, r in enumerate(boards)}
    none = 0xFF
    if len(boards) >= none:
        sys.exit("more boards than a byte can number: widen the board fields in catalogue.cpp and generate.py")

    def board_number(name):
        return index[name] if name else none

    def rating(table, row):
        return choice(table, "confidence", row["confidence"])

    array("BoardRow", "board_rows", [[
        or_zero(r["memory_mb"]), pool.add(r["board"]), pool.add(r["architecture"]), pool.add(r["source"]), pool.add(r["notes"]),
        board_number(r["types_from"]), *(choice("boards.csv", c, r[c]) for c in ("technology", "vgpu_class")), flag(r["unlock_only"]),
        int(r["gpus_per_board"]), *(choice("boards.csv", c, r[c]) for c in ("framework_below_6_8", "framework_from_6_8", "display_mode")),
        int(r["mig_slices"]), or_zero(r["first_branch_possible"]), or_zero(r["first_branch"]), or_zero(r["last_branch"]),
        or_zero(r["last_branch_possible"]), ("no", "yes", "unknown").index(r["mixed_size"]), flag(r["open_modules_only"]),
        rating("boards.csv", r)] for r in boards])

    array("BoardIdRow", "board_id_rows", sorted([
        int(r["vendor_id"], 16), int(r["device_id"], 16), int(r["subsystem_device_id"] or "0", 16), index[r["board"]]]
        for r in tables["board_ids.csv"]))

    # The types of one board stand together; by name they are found by bisection of an index.
    types = sorted(tables["vgpu_types.csv"], key=lambda r: index[r["board"]])
    by_name = sorted(range(len(types)), key=lambda i: types[i]["type_name"].encode())
    resolutions = sorted({r["max_resolution"] for r in types})
    sources = sorted({r["source"] for r in types})
    numbers("Offset", "resolution_rows", [pool.add(r) for r in resolutions])
    numbers("Offset", "type_source_rows", [pool.add(r) for r in sources])
    array("TypeRow", "type_rows", [[
        int(r["profile_mb"]), or_zero(r["guest_fb_mb"]), pool.add(r["type_name"]), or_zero(r["type_id"]), or_zero(r["alt_type_id"]),
        pool.add(r["mig_profile"]), or_zero(r["alt_type_id_branch"]), index[r["board"]],
        choice("vgpu_types.csv", "series", r["series"]), choice("vgpu_types.csv", "backing", r["backing"]),
        choice("vgpu_types.csv", "licence", r["licence"]), choice("vgpu_types.csv", "profile_from", r["profile_from"]),
        or_zero(r["max_instances"]), or_zero(r["max_instances_mixed"]), or_zero(r["num_heads"]),
        resolutions.index(r["max_resolution"]), sources.index(r["source"]), rating("vgpu_types.csv", r)] for r in types])
    numbers("std::uint16_t", "type_by_name", by_name)

    array("BranchRow", "branch_rows", [[
        int(r["end_of_life"].replace("-", "") or "0"), int(r["series"]), pool.add(r["source"]), int(r["branch"]),
        choice("driver_branches.csv", "kind", r["kind"]), rating("driver_branches.csv", r)] for r in tables["driver_branches.csv"]])

    array("ReleaseRow", "release_rows", [[
        pool.add(r["version"]), pool.add(r["guest_version"]), pool.add(r["source"]), int(r["branch"]), or_zero(r["minor"]) if r["minor"] else none,
        or_zero(r["minor_last"]) if r["minor_last"] else none, rating("driver_releases.csv", r)]
        for r in tables["driver_releases.csv"]])

    array("DriverKernelRow", "driver_kernel_rows", [[
        kernel(r["kernel_first"]), kernel(r["kernel_last"]), pool.add(r["evidence"]), pool.add(r["source"]), int(r["branch"]),
        int(r["minor_first"]), int(r["minor_last"]) if r["minor_last"] else none, choice("driver_kernels.csv", "builds", r["builds"]),
        rating("driver_kernels.csv", r)] for r in tables["driver_kernels.csv"]])

    array("PveKernelRow", "pve_kernel_rows", [[
        kernel(r["pve_first"]), kernel(r["pve_last"]), kernel(r["kernel"]), pool.add(r["debian"]), pool.add(r["source"]),
        choice("pve_kernels.csv", "role", r["role"]), rating("pve_kernels.csv", r)]
        for r in tables["pve_kernels.csv"]])

    array("DkmsRow", "dkms_rows", [[
        kernel(r["kernel_first"]), kernel(r["kernel_last"]), pool.add(r["tag"]), pool.add(r["modules"]),
        pool.add(r["source"]), choice("intel_dkms.csv", "kind", r["kind"]), flag(r["blacklist_xe"]),
        rating("intel_dkms.csv", r)] for r in tables["intel_dkms.csv"]])

    platforms = tables["intel_platforms.csv"]
    array("PlatformRow", "platform_rows", [[
        kernel(r["xe_kernel"]), pool.add(r["platform"]), pool.add(r["dkms_from"]), pool.add(r["source"]),
        pool.add(r["notes"]), board_number(r["board"]), flag(r["integrated"]), flag(r["gvtg"]), flag(r["xe_force_probe"]),
        or_zero(r["max_vfs"]), rating("intel_platforms.csv", r)] for r in platforms])

    place = {r["platform"]: i for i, r in enumerate(platforms)}
    array("IntelGpuRow", "intel_gpu_rows", sorted(
        [int(r["device_id"], 16), pool.add(r["name"]), place[r["platform"]]] for r in tables["intel_gpus.csv"]))

    if pool.size > 0xFFFF:
        sys.exit(f"the strings take {pool.size} bytes: widen Offset in catalogue.cpp, it holds 65535")
    head = ["// SPDX-License-Identifier: MIT",
            "// Generated from the CSV files of common/catalogue by generate.py: do not edit. Fields are explained in schema.json.",
            "// clang-format off", "", "constexpr char pool[] =", *pool.lines()]
    head[-1] += ";"
    return "\n".join(head + [""] + out[:-1] + ["// clang-format on", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=pathlib.Path, help="what to write; without it the data is only checked")
    args = parser.parse_args()
    schema, tables, problems = load()
    problems = problems or check(schema, tables)
    if problems:
        sys.exit("\n".join(problems))
    text = emit(schema, tables)
    if args.file:
        args.file.write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
