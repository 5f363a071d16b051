"""Tables and charts of the documentation are what benchmarks/results hold."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

RESULTS = ROOT / "benchmarks" / "results"

pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="no results: this tree is an sdist's")


def complaint(root: Path) -> str:
    """What ``python -m benchmarks.report --check`` finds stale."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.report", "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr or "?" * done.returncode


def test_tables_and_charts_are_what_the_results_say() -> None:
    assert complaint(ROOT) == ""


def test_a_figure_that_moved_is_seen(tmp_path: Path) -> None:
    for name in ("benchmarks", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    assert complaint(tmp_path) == ""
    path = tmp_path / "benchmarks" / "results" / "closed_loop_a.json"
    record = json.loads(path.read_text())
    for setting in record["settings"]:
        for system in setting["systems"]:
            if system["family"] == "inferkit":
                for window in system["windows"]:
                    window["requests"] *= 2
    path.write_text(json.dumps(record))
    for page in ("README.md", "performance.md", "throughput-light.svg", "throughput-dark.svg"):
        assert page in complaint(tmp_path)
