"""A caller whose own thread computes, for far longer than warm-up let expect."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import inferkit
import numpy as np
import pytest
from conftest import check_balance
from occupied import PATIENCE, one_at_a_time, rounds, until

ENDLESS = np.array([[1e15]], np.float32)  # rounds of some microseconds


def runner_sleeps() -> bool:
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith("inferkit-run"):
            return (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "S"
    return False


@contextmanager
def lent() -> Iterator[inferkit.Session]:
    """A session whose first call computes on the caller's own thread."""
    with one_at_a_time() as session:
        until(runner_sleeps)  # awake, it may take the request first
        yield session
        assert session.stats().retried_batches >= 1  # the first 50 ms, or less, were in vain
        session.close(drain=False, timeout=0)
        check_balance(session)


def test_it_is_let_go_at_its_deadline() -> None:
    with lent() as session:
        with pytest.raises(inferkit.DeadlineExceededError):
            session.run(ENDLESS, timeout=0.05)
        assert session.run(rounds(2))["y"][0, 0] == 2  # nobody computes in vain
        assert session.stats().expired == 1


def test_ctrl_c_is_heard() -> None:
    with lent() as session:
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            session.run(ENDLESS, timeout=PATIENCE)
        timer.join()


def test_a_signals_handler_is_called_before_the_answer_comes() -> None:
    in_flight = []
    with lent() as session:

        def press() -> None:
            until(lambda: session.stats().in_flight == 1)
            os.kill(os.getpid(), signal.SIGUSR1)

        def note(*_: object) -> None:
            in_flight.append(session.stats().in_flight)

        before = signal.signal(signal.SIGUSR1, note)
        thread = threading.Thread(target=press)
        thread.start()
        try:
            assert session.run(rounds(100_000))["y"][0, 0] == 100_000
        finally:
            thread.join()
            signal.signal(signal.SIGUSR1, before)
    assert in_flight == [1]
