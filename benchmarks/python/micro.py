"""Single operations under pytest-benchmark: ``test_micro.py`` in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine
from benchmarks.record import Record
from benchmarks.settings import Settings


def run(settings: Settings) -> Record:
    """Runs ``pytest`` and keeps each operation's statistics, in microseconds."""
    record = Record("micro", {"tool": "pytest-benchmark"})
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
        command += ["-o", "addopts=--import-mode=importlib"]
        command += [str(Path(__file__).parent / "test_micro.py"), f"--benchmark-json={report}"]
        command += [f"--benchmark-max-time={settings.window_s}", "--benchmark-only"]
        command += ["--benchmark-columns=median,iqr,min,rounds", "--benchmark-disable-gc"]
        if settings.peers_only:
            command += ["-k", "onnxruntime"]
        subprocess.run(command, cwd=machine.ROOT, check=True)
        for each in json.loads(report.read_text())["benchmarks"]:
            figures = {
                f"{name}_us": each["stats"][name] * 1e6 for name in ("median", "iqr", "min", "mean")
            }
            record.settings.append(
                {"group": each["group"], "operation": each["name"], **figures}
                | {"rounds": each["stats"]["rounds"]}
            )
    return record
