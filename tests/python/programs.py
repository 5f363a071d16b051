"""Programs of their own, whose end is part of a test."""

import os
import subprocess
import sys
import textwrap


def run_program(code: str) -> tuple[int, str, str]:
    """Run Python code in a new interpreter that sees this one's modules.

    Returns its exit status, what it printed and what it complained about.
    """
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return ended.returncode, ended.stdout, ended.stderr
