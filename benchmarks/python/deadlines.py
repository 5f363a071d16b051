"""How late is a caller let go whose deadline passed? Beside sleepers of the same run."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.record import Record
from benchmarks.settings import Settings
from tests.python import onnx_models

CALLERS = 32
WINDOWS = 4
"""Windows' lengths that one measurement takes: the rarest thousandth needs many deadlines."""

KERNELS_S = (0.005, 2.0)
"""How long each run takes, in all instances at once, one after the other without a pause."""

SHORTEST_S, LONGEST_S = 0.005, 0.1

ANSWERED = 0
"""In place of a time: somebody's turn came before the deadline."""


@dataclass
class Pair:
    """How late each was whose deadline passed, and each who slept for as long: nanoseconds."""

    ours: list[int] = field(default_factory=list)
    control: list[int] = field(default_factory=list)


def note(into: list[int], before: int, timeout: float, end: int) -> None:
    """Adds what ``end`` is beyond ``before`` and the timeout."""
    if end != ANSWERED:
        into.append(end - before - int(timeout * 1e9))


@dataclass
class Released:
    """All of one kind."""

    name: str
    late_ns: list[int] = field(default_factory=list)

    def percentile_ms(self, share: float) -> float:
        """``share`` in per cent."""
        return float(np.percentile(np.asarray(self.late_ns), share)) / 1e6

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = {f"p{share:g}_ms": self.percentile_ms(share) for share in (50, 99, 99.9, 100)}
        return {"name": self.name, "deadlines": len(self.late_ns)} | figures


def run(settings: Settings) -> Record:
    """Measures and prints each way of asking, in short and in long runs."""
    record = Record("deadlines", vars(settings) | {"asking": CALLERS, "kernels_s": KERNELS_S})
    for kernel_s in KERNELS_S:
        with occupied(kernel_s) as session:
            for way, *names in WAYS:
                ours, control = map(Released, names)
                for _ in range(settings.rounds):
                    pair = way(session, settings.window_s * WINDOWS)
                    ours.late_ns += pair.ours
                    control.late_ns += pair.control
                _tell(record, kernel_s, ours, control)
            record.settings[-1]["stats"] = {
                name: getattr(session.stats(), name) for name in ("answered", "expired", "batches")
            }
    return record


def _tell(record: Record, kernel_s: float, ours: Released, control: Released) -> None:
    """The bar of the project is 10 ms for the difference at p99.9."""
    more = ours.percentile_ms(99.9) - control.percentile_ms(99.9)
    setting = {"kernel_s": kernel_s, "released": [ours.as_dict(), control.as_dict()]}
    record.settings.append(setting | {"p99.9_ms_beyond_control": more})
    print(f"\nruns of {kernel_s:g} s in every instance: {more:+.2f} ms at p99.9")
    for each in (ours, control):
        figures = each.as_dict()
        print(
            f"  {each.name:24}{figures['deadlines']:8} deadlines, late by p50"
            f" {figures['p50_ms']:.2f}, p99 {figures['p99_ms']:.2f}, p99.9"
            f" {figures['p99.9_ms']:.2f}, at most {figures['p100_ms']:.2f} ms"
        )


# ---- a session without a free instance ------------------------------------------------------
@contextmanager
def occupied(kernel_s: float, max_pending: int = 1024) -> Iterator[Any]:
    """Every instance computes for ``kernel_s`` seconds, again and again; nobody else gets in."""
    import inferkit

    instances = min(2, machine.cores())
    model = onnx_models.slow_on_demand()
    options = {"instances": instances, "max_pending": max_pending, "warmup": False}
    with inferkit.Session(model, max_batch_size=1, **options) as session:
        began = time.perf_counter()
        session.run(_rounds(20_000))
        each = _rounds(int(20_000 * kernel_s / (time.perf_counter() - began)))
        on = True

        def again(_: object) -> None:
            with suppress(inferkit.SessionClosedError, inferkit.QueueFullError):
                if on:
                    session.submit(each, priority=1_000_000).add_done_callback(again)

        for _ in range(64 * instances):  # a callback may be late
            again(None)
        yield session
        on = False
        session.close(drain=False)


def _rounds(count: int) -> dict[str, Any]:
    return {"x": np.array([[count]], np.float32)}


def _waits(seconds: float) -> Iterator[float]:
    """Times to wait, until ``seconds`` have gone."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield random.uniform(SHORTEST_S, LONGEST_S)


# ---- ways of asking, each beside as many sleepers -------------------------------------------
def blocked(session: Any, seconds: float) -> Pair:
    """Threads in ``run``."""

    def ask(timeout: float) -> int:
        try:
            session.run(_rounds(0), timeout=timeout)
        except TimeoutError:
            return perf_counter_ns()
        return ANSWERED

    def sleep(timeout: float) -> int:
        time.sleep(timeout)
        return perf_counter_ns()

    return _from_threads(ask, sleep, seconds)


def submitted(session: Any, seconds: float) -> Pair:
    """Callbacks of futures; the notifier's thread calls them."""

    def ask(timeout: float) -> int:
        told, called = threading.Event(), []

        def note(future: Any) -> None:
            called.append(perf_counter_ns() if future.exception() else ANSWERED)
            told.set()

        session.submit(_rounds(0), timeout=timeout).add_done_callback(note)
        told.wait()
        return called[0]

    def sleep(timeout: float) -> int:
        threading.Event().wait(timeout)
        return perf_counter_ns()

    return _from_threads(ask, sleep, seconds)


def awaited(session: Any, seconds: float) -> Pair:
    """Tasks in ``run_async``, and as many in ``sleep`` on the same loop."""
    pair = Pair()

    async def ask() -> None:
        for timeout in _waits(seconds):
            before = perf_counter_ns()
            try:
                await session.run_async(_rounds(0), timeout=timeout)
            except TimeoutError:
                note(pair.ours, before, timeout, perf_counter_ns())

    async def sleep() -> None:
        for timeout in _waits(seconds):
            before = perf_counter_ns()
            await asyncio.sleep(timeout)
            note(pair.control, before, timeout, perf_counter_ns())

    async def both() -> None:
        await asyncio.gather(*(body() for body in (ask, sleep) for _ in range(CALLERS)))

    asyncio.run(both())
    return pair


def _from_threads(
    ask: Callable[[float], int], sleep: Callable[[float], int], seconds: float
) -> Pair:
    pair = Pair()

    def go_on(wait: Callable[[float], int], into: list[int]) -> None:
        for timeout in _waits(seconds):
            before = perf_counter_ns()
            note(into, before, timeout, wait(timeout))

    bodies = [(ask, pair.ours), (sleep, pair.control)] * CALLERS
    threads = [threading.Thread(target=go_on, args=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return pair


WAYS = (
    (blocked, "run(timeout)", "time.sleep"),
    (submitted, "submit and callback", "Event.wait"),
    (awaited, "run_async(timeout)", "asyncio.sleep"),
)
