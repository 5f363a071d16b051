"""Programs of their own, whose end is part of a test."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path


def run_program(code: str, timeout: float = 100) -> tuple[int, str, str]:
    """Run Python code in a new interpreter that sees this one's modules.

    Returns its exit status, what it printed and what it complained about.
    """
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return ended.returncode, ended.stdout, ended.stderr


def time_the_end(code: str, folder: Path) -> tuple[int, float]:
    """Run code that calls ``ends_now()`` before it ends: its status, and the seconds from there."""
    mark = folder / "mark"
    begin = f"""
def ends_now():
    import time
    from pathlib import Path
    Path({str(mark)!r}).write_text(repr(time.monotonic()))
"""
    status, _, complaints = run_program(begin + textwrap.dedent(code))
    assert mark.exists(), complaints
    return status, time.monotonic() - float(mark.read_text())  # one clock for all processes
