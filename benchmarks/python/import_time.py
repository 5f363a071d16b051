"""What does ``import inferkit`` add to a program that has numpy already?"""

import subprocess
import sys
from statistics import median

from benchmarks.record import Record
from benchmarks.settings import Settings

LIMIT_MS = 40.0

_PROGRAM = """
import numpy, time
wall, cpu = time.perf_counter(), time.process_time()
import {package}
print((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)
"""


def run(settings: Settings) -> Record:
    """Fresh interpreters, by turns; ``onnxruntime`` stands beside it for scale."""
    record = Record("import_time", {"runs": settings.rounds * 3, "limit_ms": LIMIT_MS})
    packages = ["onnxruntime"] if settings.peers_only else ["inferkit", "onnxruntime"]
    took: dict[str, list[tuple[float, float]]] = {package: [] for package in packages}
    for package in packages:
        _milliseconds(package)  # compiles the modules and fills the page cache
    for _ in range(settings.rounds * 3):
        for package in packages:
            took[package].append(_milliseconds(package))
    print(f"\n  {'import after numpy':19}{'wall ms':>8} {'[runs]':>16} {'CPU ms':>7}")
    for package, pairs in took.items():
        wall, cpu = map(list, zip(*pairs, strict=True))
        spread = f"[{min(wall):.1f}..{max(wall):.1f}]"
        print(f"  {package:19}{median(wall):8.1f} {spread:>16} {median(cpu):7.1f}")
        record.settings.append({"package": package, "milliseconds": wall, "cpu_milliseconds": cpu})
    return record


def _milliseconds(package: str) -> tuple[float, float]:
    """Wall and CPU time of one import."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(package=package)],
        capture_output=True,
        text=True,
        check=True,
    )
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu
