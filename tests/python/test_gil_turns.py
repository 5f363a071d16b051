"""Threads that make nothing but short calls: they keep the GIL for a while, and then let others go.

Python itself would take it from none of them in most tests: its switch interval is an hour.
"""

import contextlib
import operator
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import inferkit
import numpy as np
import onnx_models
import pytest
from occupied import one_at_a_time, rounds, until
from preload import preload
from programs import run_program

ROW = np.ones((1, 3), np.float32)
A_MILLION = 1_000_000  # calls: some seconds


@pytest.fixture
def no_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    yield
    sys.setswitchinterval(before)


class Other:
    """A thread that wants the GIL from ``release()`` on, and has had it when ``told``."""

    def __init__(self) -> None:
        self.told = False
        self._gate = threading.Lock()
        self._gate.acquire()
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _wait(self) -> None:
        self._gate.acquire()
        self.told = True

    def release(self) -> None:
        self._gate.release()

    def join(self) -> None:
        self._thread.join()


def call_until(done: Callable[[], object], call: Callable[[], object]) -> int:
    """Calls of this thread until it is done, or too many: how many."""
    for count in range(A_MILLION):
        if done():
            return count
        call()
    return A_MILLION


@pytest.mark.usefixtures("no_switches")
def test_who_makes_short_calls_only_lets_others_go_on() -> None:
    with inferkit.Session(onnx_models.identity()) as session:
        for _ in range(20):
            other = Other()
            other.release()
            assert call_until(lambda: other.told, lambda: session.run(ROW)) < A_MILLION  # noqa: B023
            other.join()


@pytest.mark.usefixtures("no_switches")
def test_each_of_many_threads_gets_its_turn() -> None:
    counts = [0] * 8

    def ask(own: int) -> None:
        call_until(lambda: min(counts) >= 200, lambda: call(own))

    def call(own: int) -> None:
        session.run(ROW)
        counts[own] += 1

    with inferkit.Session(onnx_models.identity()) as session:
        threads = [threading.Thread(target=ask, args=[own]) for own in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert min(counts) >= 200
        assert max(counts) < A_MILLION
        assert session.stats().answered == sum(counts)


@pytest.mark.usefixtures("no_switches")
@pytest.mark.parametrize("timeout", [None, 0.01])
def test_the_gil_is_not_kept_where_every_second_run_is_long(timeout: float | None) -> None:
    let_go = []
    with one_at_a_time() as session:
        for _ in range(300):
            session.run(rounds(0))
        for _ in range(20):
            other = Other()
            session.run(rounds(0))  # a turn begins
            other.release()
            with contextlib.suppress(inferkit.DeadlineExceededError):
                session.run(rounds(3_000), timeout=timeout)  # shorter than a thread is lent for
            let_go.append(other.told)
            other.join()
    assert any(let_go[-10:])


COUNTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>

static long count;

long times_given_back(void) { return count; }

void* PyEval_SaveThread(void) {
  static void* (*real)(void);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "PyEval_SaveThread");
  ++count;
  return real();
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="replaces a function of Python's")
def test_the_gil_is_given_back_once_a_turn_and_around_each_longer_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often in a hundred calls; the fewest of many rounds, for the machine may be busy."""
    preload(COUNTED, tmp_path, monkeypatch)
    program = """
        import ctypes
        import inferkit, numpy as np, onnx_models
        def fewest(model, row):
            counts = []
            with inferkit.Session(model) as session:
                for _ in range(50):
                    before = given_back()
                    for _ in range(100):
                        session.run(row)
                    counts.append(given_back() - before)
            return min(counts)
        given_back = ctypes.CDLL(None).times_given_back
        given_back.restype = ctypes.c_long
        print(fewest(onnx_models.identity(), np.ones((1, 3), np.float32)))
        print(fewest(onnx_models.mlp_b(), np.ones((1, 512), np.float32)))
    """
    status, printed, complaints = run_program(program)
    assert (status, complaints) == (0, "")
    short, longer = map(int, printed.split())
    if longer == 0:
        pytest.skip("this interpreter's functions cannot be replaced")
    assert short < 50
    assert longer >= 100


@contextmanager
def eight_callers(session: inferkit.Session) -> Iterator[list[int]]:
    """Threads that make calls until the end of the block, and how many each has made."""
    over = False
    counts = [0] * 8

    def ask(own: int) -> None:
        while not over:
            session.run(ROW)
            counts[own] += 1

    threads = [threading.Thread(target=ask, args=[own]) for own in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over = True
        for thread in threads:
            thread.join()


def test_turns_go_on_beside_python_code_that_computes() -> None:
    """Nobody is lost where the line dissolves, nor where it forms again."""
    over = False

    def compute() -> None:
        while not over:
            pass

    computing = threading.Thread(target=compute)
    with inferkit.Session(onnx_models.identity()) as session:
        with eight_callers(session) as counts:
            computing.start()
            try:
                until(lambda: min(counts) > 100)
                before = counts[:]
                until(lambda: min(map(operator.sub, counts, before)) > 100)
            finally:
                over = True
                computing.join()
        with eight_callers(session) as counts:
            until(lambda: min(counts) > 1000)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_fork_waits_for_no_thread_of_its_parent() -> None:
    """Those that stand in line for the GIL as it is made are not there to call the next."""
    with inferkit.Session(onnx_models.identity()) as session, eight_callers(session) as counts:
        until(lambda: min(counts) > 100)
        assert {status_of_a_child() for _ in range(20)} == {0}


def status_of_a_child() -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            with inferkit.Session(onnx_models.identity(), warmup=False) as session:
                with eight_callers(session) as counts:
                    until(lambda: min(counts) > 100)
                stats = session.stats()
                status = 0 if stats.answered == stats.accepted == sum(counts) else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
