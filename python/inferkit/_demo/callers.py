"""Sixty-four callers, each asking again as soon as it is answered: threads, then asyncio tasks."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALLERS = 64
TICK = 0.2  # seconds between two updates of the progress bar

Feeds = dict[str, NDArray[Any]]
Call = Callable[[Feeds], NDArray[Any]]
AsyncCall = Callable[[Feeds], Awaitable[NDArray[Any]]]


class Slice:
    """One stretch of measured load: what was asked, what was answered, how long each took.

    Request ``k`` asks for row ``(first + k) % rows``. A caller's latency runs from its previous
    answer to this one, so time spent waiting for the event loop or the GIL counts.
    Threads: ``ask`` from any number of threads, the rest from one. Blocks: ``ask`` computes.
    """

    def __init__(self, first: int, capacity: int, width: int) -> None:
        self.first = first
        self._take = iter(range(capacity)).__next__
        self._latencies = np.empty(capacity)
        self._answers = np.empty((capacity, width), np.float32)
        self._until = 0.0
        self._began = 0.0
        self._ends: list[float] = []
        self.count = 0
        self.elapsed = 0.0

    def start(self, seconds: float) -> None:
        """Let callers ask for this long; each then finishes the request it has."""
        self._began = perf_counter()
        self._until = self._began + seconds

    def stop(self) -> None:
        """Let no caller ask again."""
        self._until = 0.0

    def finish(self) -> None:
        """Count the answers, once every caller has returned."""
        try:
            self.count = self._take()
        except StopIteration:
            self.count = len(self._latencies)
        self.elapsed = max(self._ends, default=self._began) - self._began

    @property
    def latencies(self) -> NDArray[np.float64]:
        """Seconds each request took [count]."""
        return self._latencies[: self.count]

    @property
    def answers(self) -> NDArray[np.float32]:
        """One answer per request [count, width]."""
        return self._answers[: self.count]

    def rows(self, total: int) -> NDArray[np.int64]:
        """Which of ``total`` rows each request asked for [count]."""
        return (self.first + np.arange(self.count, dtype=np.int64)) % total

    def ask(self, call: Call, feeds: Sequence[Feeds]) -> None:
        """Ask and be answered until the time is up: the whole life of a calling thread."""
        first, total = self.first, len(feeds)
        before = perf_counter()
        while before < self._until:
            try:
                k = self._take()
            except StopIteration:
                break
            self._answers[k] = call(feeds[(first + k) % total])
            now = perf_counter()
            self._latencies[k] = now - before
            before = now
        self._ends.append(before)

    async def ask_async(self, call: AsyncCall, feeds: Sequence[Feeds]) -> None:
        """Ask and be answered until the time is up: the whole life of a calling task."""
        first, total = self.first, len(feeds)
        before = perf_counter()
        while before < self._until:
            try:
                k = self._take()
            except StopIteration:
                break
            self._answers[k] = await call(feeds[(first + k) % total])
            now = perf_counter()
            self._latencies[k] = now - before
            before = now
        self._ends.append(before)


def ask_in_threads(
    call: Call,
    feeds: Sequence[Feeds],
    part: Slice,
    seconds: float,
    tick: Callable[[], None],
    callers: int = CALLERS,
) -> None:
    """Fill ``part`` from ``callers`` threads; ``tick`` is called a few times a second.

    Raises whatever a caller raised first, after every thread has returned.
    """
    gate = threading.Barrier(callers + 1)
    errors: list[BaseException] = []

    def life() -> None:
        try:
            gate.wait()
            part.ask(call, feeds)
        except threading.BrokenBarrierError:
            return
        except BaseException as error:
            errors.append(error)
            part.stop()

    threads = [threading.Thread(target=life, name=f"caller-{i}") for i in range(callers)]
    try:
        for thread in threads:
            thread.start()
        part.start(seconds)
        gate.wait()
        for thread in threads:
            while thread.is_alive():
                thread.join(TICK)
                tick()
    finally:
        part.stop()
        gate.abort()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    part.finish()
    if errors:
        raise errors[0]


def ask_in_tasks(
    call: AsyncCall,
    feeds: Sequence[Feeds],
    part: Slice,
    seconds: float,
    tick: Callable[[], None],
    callers: int = CALLERS,
) -> None:
    """Fill ``part`` from ``callers`` tasks of a new event loop; otherwise as `ask_in_threads`."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(TICK)
            tick()

    async def main() -> None:
        part.start(seconds)
        teller = asyncio.create_task(tell())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(part.ask_async(call, feeds))
        finally:
            part.stop()
            teller.cancel()

    try:
        asyncio.run(main())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    part.finish()
