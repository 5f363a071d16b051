"""A run of chosen tests in a fork of this process, given up once a test takes far too long.

A fork, since whatever the tests import beside inferkit is imported once, here.
"""

import contextlib
import importlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

# What takes long to import and keeps no thread: a fork has none of its parent's.
for _name in (
    "asyncio",
    "hypothesis",
    "multiprocessing",
    "numpy.testing",
    "onnx",
    "rich",
    "uvloop",
):
    importlib.import_module(_name)

FIRST_TEST = 60.0  # seconds until it begins: collecting, on a machine that has other things to do
UNKNOWN = 37.0  # seconds that a test takes of which nothing is known: more than any does
LONGEST = 15.0  # seconds of a test, beside some times what it takes at other times
TIMES = 5


@dataclass
class Trial:
    """How a run went; `output` is a file."""

    status: int | None  # None: given up
    output: Path
    last: str = ""  # test that began
    failed: list[str] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.status == 0


class _Teller:
    """A plugin of the run: keeps to the tests chosen and tells of each."""

    def __init__(self, chosen: list[str] | None, writing: int) -> None:
        self._places = None if chosen is None else {name: i for i, name in enumerate(chosen)}
        self._writing = writing

    def _tell(self, *words: object) -> None:
        os.write(self._writing, ("\t".join(map(str, words)) + "\n").encode(errors="replace"))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._places is not None:
            places = self._places
            kept = [item for item in items if item.nodeid in places]
            items[:] = sorted(kept, key=lambda item: places[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._tell("begins", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tell("took", report.nodeid, report.duration)
        if report.failed:
            self._tell("failed", report.nodeid)


def run(
    arguments: list[str],
    chosen: list[str] | None,
    expected: dict[str, float],
    output: Path,
    around: Callable[[], Callable[[], object]] | None = None,
    plugins: tuple[object, ...] = (),
) -> Trial:
    """Run the tests `chosen`, in that order; all that `arguments` collect if None.

    `around` is called in the fork before the tests, and what it returned after them.
    """
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(reading)
        log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = 70
        try:
            after = around() if around else lambda: None
            status = pytest.main(arguments, plugins=[_Teller(chosen, writing), *plugins])
            after()
        except BaseException:  # or what stands above it in the stack would go on in two processes
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    trial = Trial(None, output)
    ended = _listen(reading, expected, trial)
    os.close(reading)
    if not ended:
        _kill(child)
    _, status = os.waitpid(child, 0)
    _kill(child)  # what it left in its session
    if ended:
        trial.status = os.waitstatus_to_exitcode(status)
    return trial


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _listen(reading: int, expected: dict[str, float], trial: Trial) -> bool:
    """Note what the run tells; False once its patience with a test is at its end."""
    end = monotonic() + FIRST_TEST
    rest = b""
    while True:
        if not select.select([reading], [], [], max(0.0, end - monotonic()))[0]:
            return False
        heard = os.read(reading, 65536)
        if not heard:
            return True
        *lines, rest = (rest + heard).split(b"\n")
        for line in lines:
            what, name, *more = line.decode().split("\t")
            if what == "begins":
                trial.last = name
                end = monotonic() + LONGEST + TIMES * expected.get(name, UNKNOWN)
            elif what == "took":
                trial.took[name] = trial.took.get(name, 0.0) + float(more[0])
            else:
                trial.failed.append(name)
