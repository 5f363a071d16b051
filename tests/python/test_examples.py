"""Each example says what its docstring promises, run from a folder that is not the project's.

That every example is short and runs without a warning is proven by the house tests.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "01_run": [r"a 7, \d+% sure", r"five rows: \[7 7 7 7 7\]", r"76 shades of it"],
    "02_threads": [
        r"threads: 5[23]\d of 540 right",
        r"futures: 5[23]\d of 540 right",
        r"1080 requests answered in \d+ batches",
    ],
    "03_asyncio": [
        r"tasks: 5[23]\d of 540 right, in \d+ batches",
        r"stream: 5[23]\d of 540 right",
        r"cancelled: True, the other got its answer: True",
    ],
    "04_backpressure": [
        r"refuse: [1-9]\d* answered, \d+ refused",
        r"wait: 2000 answered",
        r"deadline of 100 µs: \{",
        r"all told: (?P<accepted>\d+) accepted = (?P<answered>\d+) answered \+ (?P<expired>\d+)",
    ],
}


def output_of(name: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(EXAMPLES / f"{name}.py")],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_example_is_left_out() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_example_says_what_it_promises(name: str, tmp_path: Path) -> None:
    output = output_of(name, tmp_path)
    for pattern in SAYS[name]:
        assert re.search(pattern, output), f"{pattern!r} is not in\n{output}"
    assert list(tmp_path.iterdir()) == [], "an example leaves no file behind"


def test_the_ledger_of_the_backpressure_example_balances(tmp_path: Path) -> None:
    found = re.search(SAYS["04_backpressure"][-1], output_of("04_backpressure", tmp_path))
    assert found is not None
    assert int(found["accepted"]) == int(found["answered"]) + int(found["expired"])
