"""Python code that gets in the way of the calls it runs inside of: callbacks, finalisers, arrays.

A deadlock shows as a test that never ends.
"""

import asyncio
import contextlib
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from numpy.typing import NDArray
from occupied import PATIENCE, Held, one_at_a_time, rounds, until

X = np.ones((1, 32), np.float32)


# ---- callbacks --------------------------------------------------------------------------------
def test_a_callback_that_blocks_holds_up_no_inference() -> None:
    leave, entered = threading.Event(), threading.Event()

    def block(_: object) -> None:
        entered.set()
        assert leave.wait(PATIENCE)

    async def ask(session: inferkit.Session) -> float:
        return float((await session.run_async(rounds(4)))["y"][0, 0])

    with one_at_a_time() as session:
        with Held(session):
            session.submit(rounds(0)).add_done_callback(block)
            late = session.submit(rounds(2))
        assert entered.wait(PATIENCE)
        try:
            answered = session.stats().answered
            assert session.run(rounds(3))["y"][0, 0] == 3
            assert asyncio.run(ask(session)) == 4
            third = session.submit(rounds(5))
            until(lambda: session.stats().answered >= answered + 3)  # run, though nobody is told
            assert not third.done()
        finally:
            leave.set()
        assert late.result(PATIENCE)["y"][0, 0] == 2
        assert third.result(PATIENCE)["y"][0, 0] == 5
        check_balance(session)


def test_a_callback_at_a_full_queue_is_refused() -> None:
    raised: list[type[BaseException]] = []

    def submit(_: object) -> None:
        for call in (session.submit, session.run):
            try:
                call(rounds(0))
            except inferkit.InferkitError as error:
                raised.append(type(error))

    with one_at_a_time(max_pending=1) as session:
        cancelled = session.submit(rounds(20_000))
        until(lambda: cancelled.running() or cancelled.done())
        with inferkit.Session(onnx_models.mlp_a()) as other:
            other.submit(X).add_done_callback(submit)
            until(lambda: len(raised) == 2)
        assert raised == [inferkit.QueueFullError] * 2
        assert cancelled.result(PATIENCE)["y"][0, 0] == 20_000
        assert session.run(rounds(1))["y"][0, 0] == 1
        assert session.stats().rejected == 2
        check_balance(session)


@pytest.mark.parametrize("drain", [True, False])
def test_a_callback_may_close_its_session(drain: bool) -> None:
    closed = threading.Event()

    def close(_: object) -> None:
        session.close(drain=drain)
        session.close()
        closed.set()

    session = one_at_a_time()
    with Held(session) as held:
        futures = [session.submit(rounds(0)) for _ in range(20)]
        futures[0].add_done_callback(close)
        held.release()
        assert closed.wait(PATIENCE)
    for future in futures:
        assert isinstance(future.exception(PATIENCE), inferkit.SessionClosedError | None)
    if drain:
        assert [future.exception() for future in futures] == [None] * 20
    check_balance(session)


def test_a_callback_may_drop_the_last_reference() -> None:
    session = [one_at_a_time()]
    gone = weakref.ref(session[0])
    warned: list[str] = []
    with Held(session[0]):
        future = session[0].submit(rounds(0))
    future.result(PATIENCE)
    until(lambda: session[0].stats().in_flight == 0)

    def drop(_: object) -> None:
        with pytest.warns(ResourceWarning, match="unclosed"):
            session.clear()
            gc.collect()
        warned.append("yes")

    with inferkit.Session(onnx_models.mlp_a()) as other:
        del future
        other.submit(X).add_done_callback(drop)
        until(lambda: warned)
    until(lambda: gc.collect() >= 0 and gone() is None)


# ---- closing ----------------------------------------------------------------------------------
def test_threads_close_while_others_ask() -> None:
    def ask(session: inferkit.Session, start: threading.Barrier) -> None:
        start.wait()
        with contextlib.suppress(inferkit.SessionClosedError):
            for _ in range(1_000):
                session.run(X)

    def close(session: inferkit.Session, start: threading.Barrier) -> None:
        start.wait()
        session.close(drain=False)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            session = inferkit.Session(onnx_models.mlp_a(), warmup=False)
            start = threading.Barrier(8)
            jobs = [pool.submit(each, session, start) for each in [ask] * 4 + [close] * 4]
            for job in jobs:
                job.result(PATIENCE)
            assert session.closed
            check_balance(session)


# ---- finalisers -------------------------------------------------------------------------------
@pytest.fixture
def collecting_all_the_time() -> Iterator[None]:
    """The collector runs at nearly every allocation, and threads change hands at once."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(1)
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)


class Asks:
    """In a cycle, so that the collector finalises it, wherever it happens to run."""

    count = 0

    def __init__(self, session: inferkit.Session) -> None:
        self.session, self.myself = session, self

    def __del__(self) -> None:
        kind = Asks.count % 5
        Asks.count += 1
        with contextlib.suppress(inferkit.SessionClosedError, inferkit.QueueFullError):
            if kind == 0:
                self.session.run(X)
            elif kind == 1:
                self.session.submit(X).cancel()
            elif kind == 2:
                self.session.submit(X)
            elif kind == 3:
                self.session.stats()
            else:
                self.session.run_async(X).close()


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_finalisers_that_ask_in_the_midst_of_a_call(
    way: str, collecting_all_the_time: None
) -> None:
    async def ask(session: inferkit.Session) -> None:
        for _ in range(10):
            Asks(session)
            await session.run_async({"x": X})

    def work(session: inferkit.Session) -> None:
        for _ in range(10):
            Asks(session)
            if way == "run":
                session.run({"x": X})
            elif way == "submit":
                session.submit({"x": X}).result(PATIENCE)
            else:
                asyncio.run(ask(session))

    before = Asks.count
    with inferkit.Session(onnx_models.mlp_a(), instances=1) as session:
        threads = [threading.Thread(target=work, args=(session,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
        until(lambda: session.stats().in_flight == 0)
        check_balance(session)
    assert Asks.count > before + 10


def test_a_finaliser_that_closes_a_session_in_a_call_of_another(
    collecting_all_the_time: None,
) -> None:
    class Closes:
        def __init__(self, other: inferkit.Session) -> None:
            self.other, self.myself = other, self

        def __del__(self) -> None:
            self.other.close()

    model = onnx_models.mlp_a()
    with inferkit.Session(model) as session:
        for _ in range(10):
            other = inferkit.Session(model, warmup=False)
            pending = [other.submit(X) for _ in range(5)]
            while not other.closed:
                # Another each time: one that is met twice while it is made may never be met again.
                Closes(other)
                session.run({"x": X})
            assert [future.exception(PATIENCE) for future in pending] == [None] * 5


# ---- arrays -----------------------------------------------------------------------------------
class Reads:
    """Becomes an array by asking the session that wants it."""

    def __init__(self, read: Callable[[], NDArray[Any]]) -> None:
        self.read = read

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return self.read()


def test_an_array_that_asks_or_closes_the_session_that_reads_it() -> None:
    session = one_at_a_time()
    inner = session.run(Reads(lambda: session.run(rounds(6))["y"]))
    assert inner["y"][0, 0] == 6

    def close() -> NDArray[Any]:
        session.close()
        return rounds(1)["x"]

    with pytest.raises(inferkit.SessionClosedError):
        session.run(Reads(close))
    assert session.stats().accepted == 2
    check_balance(session)
