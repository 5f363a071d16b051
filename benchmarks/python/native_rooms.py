"""What do the rooms of the core cost alone? ``benchmarks/cpp``, by Google Benchmark."""

import json
import subprocess
from statistics import median
from typing import Any

from benchmarks import native
from benchmarks.record import Record
from benchmarks.settings import Settings

MIN_TIME_S = 0.05
"""Of one repetition; Google Benchmark makes those of all operations by turns, in random order."""


def run(settings: Settings) -> Record:
    """Every operation, ``rounds`` repetitions for each second of ``window``."""
    repetitions = max(3, round(settings.rounds * settings.window_s * 3))
    record = Record("native_rooms", {"repetitions": repetitions, "min_time_s": MIN_TIME_S})
    command = [str(native.built() / "inferkit_benchmarks"), "--benchmark_format=json"]
    command += [f"--benchmark_repetitions={repetitions}", f"--benchmark_min_time={MIN_TIME_S}"]
    command += ["--benchmark_enable_random_interleaving=true"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    took: dict[str, list[float]] = {}
    for each in json.loads(printed)["benchmarks"]:
        if each["run_type"] == "iteration":
            took.setdefault(each["run_name"], []).append(_nanoseconds(each))
    print(f"\n  {'operation':48}{'median ns':>10}  [repetitions]")
    for operation, times in took.items():
        print(f"  {operation:48}{median(times):10.1f}  [{min(times):.1f}..{max(times):.1f}]")
        record.settings.append({"operation": operation, "nanoseconds": times})
    return record


def _nanoseconds(benchmark: dict[str, Any]) -> float:
    assert benchmark["time_unit"] == "ns"
    return float(benchmark["real_time"])
