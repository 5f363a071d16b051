"""Every example fits on one screen or two, and runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

LIMIT = 60
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def example_violations(path: Path, folder: Path) -> list[str]:
    """What is wrong with one example, run in `folder`: too long, fails, or shows nothing."""
    found = []
    lines = path.read_text().count("\n")
    if lines > LIMIT:
        found.append(f"{lines} lines")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        found.append(f"exit {done.returncode}: {done.stderr[-2000:]}")
    if not done.stdout.strip():
        found.append("prints nothing")
    return found


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    assert example_violations(path, tmp_path) == []


def test_a_broken_example_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("\n" * 60 + "raise SystemExit('no')\n")
    assert example_violations(path, tmp_path) == ["61 lines", "exit 1: no\n", "prints nothing"]
