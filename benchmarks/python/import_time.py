"""What does ``import inferkit`` add to a program that has numpy already?"""

import subprocess
import sys
from statistics import median

from benchmarks.record import Record
from benchmarks.settings import Settings

LIMIT_MS = 40.0

_PROGRAM = """
import numpy, time
before = time.perf_counter()
import {package}
print((time.perf_counter() - before) * 1e3)
"""


def run(settings: Settings) -> Record:
    """Fresh interpreters, by turns; ``onnxruntime`` stands beside it for scale."""
    record = Record("import_time", {"runs": settings.rounds * 3, "limit_ms": LIMIT_MS})
    packages = ["onnxruntime"] if settings.peers_only else ["inferkit", "onnxruntime"]
    took: dict[str, list[float]] = {package: [] for package in packages}
    for package in packages:
        _milliseconds(package)  # compiles the modules and fills the page cache
    for _ in range(settings.rounds * 3):
        for package in packages:
            took[package].append(_milliseconds(package))
    print("\nimport after numpy, ms")
    for package, values in took.items():
        print(f"  {package:14}{median(values):8.1f} [{min(values):.1f}..{max(values):.1f}]")
        record.settings.append({"package": package, "milliseconds": values})
    return record


def _milliseconds(package: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(package=package)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
