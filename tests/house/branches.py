"""Reads what a coverage run left and says which branches nothing took: nox -s coverage.

python tests/house/branches.py CPP.json PYTHON.json     of llvm-cov export and coverage json
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tree import ROOT

MEASURED = {
    "the request's state machine": (
        "csrc/batch/request.h",
        "csrc/batch/request_slab.h",
        "csrc/engine/resolver.h",
    ),
    "the input parser": (
        "csrc/memory/tensor.cpp",
        "csrc/batch/signature.cpp",
        "csrc/batch/payload.cpp",
        "csrc/bindings/call_args.cpp",
        "csrc/bindings/feeds.h",
        "csrc/bindings/feeds.cpp",
        "python/inferkit/_inputs.py",
    ),
}

# Instances of templates that only the explorer makes; all others are what ships.
EXPLORED = "ExploredAtom"

# Where a block begins that no test can enter, and why none can.
EXEMPT = re.compile(r"\{ +// never entered: \S.*")
# Of a destructor that is defaulted, clang counts a variant that virtual ones never call.
DEFAULTED = re.compile(r"= default;")


class Place(NamedTuple):
    """Where a decision or a stretch of code stands: lines and columns from 1."""

    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def of(cls, entry: list[int]) -> "Place":
        return cls(*entry[:4])


@dataclass
class Taken:
    """How often each side of a decision was taken, and in code that ships."""

    sides: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    shipped: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})


@dataclass
class Measured:
    """One source file: its decisions, and how often each stretch of its code was entered."""

    decisions: dict[Place, Taken] = field(default_factory=dict)
    stretches: dict[Place, int] = field(default_factory=dict)


class Row(NamedTuple):
    """One line of the table. `sides` counts both of each decision, `exempt` blocks of code."""

    path: str
    sides: int
    taken: int
    shipped: int
    exempt: int
    missed: list[str]


def read_cpp(export: dict[str, Any], root: Path = ROOT) -> dict[str, Measured]:
    """What was measured of each file, over every instance of a template and every binary."""
    files: dict[str, Measured] = {}
    for function in export["data"][0]["functions"]:
        shipped = EXPLORED not in function["name"]
        names = [_relative(name, root) for name in function["filenames"]]
        for *entry, true, false, file, _, _ in function.get("branches", []):
            taken = files.setdefault(names[file], Measured()).decisions
            counts = taken.setdefault(Place.of(entry), Taken())
            for side, count in ((True, true), (False, false)):
                counts.sides[side] += count
                counts.shipped[side] += count if shipped else 0
        for *entry, count, file, _, kind in function["regions"]:
            if kind == 0:
                stretches = files.setdefault(names[file], Measured()).stretches
                place = Place.of(entry)
                stretches[place] = stretches.get(place, 0) + count
    return files


def _relative(name: str, root: Path) -> str:
    path = Path(name)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else name


def judge_cpp(path: str, measured: Measured, text: str) -> Row:
    """The row of a C++ file, whose text may exempt blocks from having to be entered."""
    lines = text.splitlines()
    sides = taken = shipped = 0
    missed = []
    for place, counts in sorted(measured.decisions.items()):
        for side in (True, False):
            sides += 1
            taken += counts.sides[side] != 0
            shipped += counts.shipped[side] != 0
            if counts.sides[side] == 0:
                what = _source(lines, place)
                missed.append(f"{path}:{place.line}: never {str(side).lower()}: {what}")
    exempt = {number for number, line in enumerate(lines, 1) if EXEMPT.search(line)}
    never = set()
    for place, count in sorted(measured.stretches.items()):
        if count == 0 and not DEFAULTED.search(lines[place.line - 1]):
            never.add(place.line)
            if place.line not in exempt:
                missed.append(f"{path}:{place.line}: never entered: {_source(lines, place)}")
    missed += [f"{path}:{line}: entered, though exempt" for line in sorted(exempt - never)]
    return Row(path, sides, taken, shipped, len(exempt), missed)


def _source(lines: list[str], place: Place) -> str:
    end = place.end_column - 1 if place.end_line == place.line else None
    return lines[place.line - 1][place.column - 1 : end].strip()


def judge_python(path: str, export: dict[str, Any]) -> Row:
    """The row of a Python file, of which every line must be run as well."""
    tail = path.removeprefix("python")
    (found,) = (found for name, found in export["files"].items() if name.endswith(tail))
    summary = found["summary"]
    missed = [f"{path}:{start}: never on to {end}" for start, end in found["missing_branches"]]
    missed += [f"{path}:{line}: never run" for line in found["missing_lines"]]
    missed += [f"{path}:{line}: left out" for line in found["excluded_lines"]]
    taken = summary["covered_branches"]
    return Row(path, summary["num_branches"], taken, taken, 0, missed)


def table(rows: Iterable[tuple[str, list[Row]]]) -> str:
    """The rows by part, and their sums."""
    header = f"{'':34}{'sides':>7}{'taken':>7}{'shipped':>9}{'exempt':>8}{'share':>9}"
    lines = [header]
    for part, found in rows:
        lines.append(part)
        for row in [*found, _sum(found)]:
            share = 100 * row.taken / row.sides if row.sides else 100
            lines.append(
                f"  {row.path:32}{row.sides:7}{row.taken:7}{row.shipped:9}{row.exempt:8}"
                f"{share:8.1f} %"
            )
    return "\n".join(lines)


def _sum(rows: list[Row]) -> Row:
    numbers = (sum(column) for column in zip(*(row[1:5] for row in rows), strict=True))
    return Row("together", *numbers, [])


def main(cpp: str, python: str) -> int:
    files = read_cpp(json.loads(Path(cpp).read_text()))
    export = json.loads(Path(python).read_text())
    rows = {
        part: [
            judge_python(path, export)
            if path.endswith(".py")
            else judge_cpp(path, files[path], (ROOT / path).read_text())
            for path in paths
        ]
        for part, paths in MEASURED.items()
    }
    print(table(rows.items()))
    missed = [line for found in rows.values() for row in found for line in row.missed]
    print("\n".join(missed) or "nothing missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
