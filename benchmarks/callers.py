"""Closed loops: every caller asks, waits for its answer, and asks again at once."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from benchmarks.peers.peer import Peer, Row
from benchmarks.window import Stopwatch, Window

WARM_SHARE = 0.25
"""Of a window's length, served before it and not counted."""


def from_asyncio(peer: Peer, rows: Sequence[Row], callers: int, seconds: float) -> Window:
    """One window of ``callers`` tasks on a fresh loop."""
    return asyncio.run(_tasks(peer, rows, callers, seconds))


async def _tasks(peer: Peer, rows: Sequence[Row], callers: int, seconds: float) -> Window:
    peer.start()
    arguments = _deal(peer, rows, callers)
    latencies: list[int] = []

    async def phase(length: float) -> None:
        until = perf_counter_ns() + int(length * 1e9)
        async with asyncio.TaskGroup() as group:
            for mine in arguments:
                group.create_task(_ask_async(peer.call, mine, until, latencies))

    try:
        await phase(seconds * WARM_SHARE)
        latencies.clear()
        watch = Stopwatch()
        await phase(seconds)
        return watch.window(latencies)
    finally:
        peer.stop()


async def _ask_async(
    call: Callable[[Any], Any], arguments: Sequence[Any], until: int, latencies: list[int]
) -> None:
    before = perf_counter_ns()
    while True:
        for argument in arguments:
            await call(argument)
            now = perf_counter_ns()
            latencies.append(now - before)
            if now >= until:
                return
            before = now


def from_threads(peer: Peer, rows: Sequence[Row], callers: int, seconds: float) -> Window:
    """One window of ``callers`` threads."""
    peer.start()
    arguments = _deal(peer, rows, callers)
    try:
        _thread_phase(peer.call, arguments, seconds * WARM_SHARE)
        return _thread_phase(peer.call, arguments, seconds)
    finally:
        peer.stop()


def _thread_phase(call: Callable[[Any], Any], arguments: list[list[Any]], length: float) -> Window:
    latencies: list[list[int]] = [[] for _ in arguments]
    failures: list[BaseException] = []
    until = 0
    ready = threading.Barrier(len(arguments) + 1)

    def body(mine: list[Any], into: list[int]) -> None:
        ready.wait()
        try:
            _ask(call, mine, until, into)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=body, args=pair) for pair in zip(arguments, latencies, strict=True)
    ]
    for thread in threads:
        thread.start()
    watch = Stopwatch()
    until = perf_counter_ns() + int(length * 1e9)
    ready.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    answered = sum(map(len, latencies))
    least = min(map(len, latencies)) * len(latencies) / answered
    return watch.window([latency for each in latencies for latency in each], least_share=least)


def _ask(
    call: Callable[[Any], Any], arguments: Sequence[Any], until: int, latencies: list[int]
) -> None:
    before = perf_counter_ns()
    while True:
        for argument in arguments:
            call(argument)
            now = perf_counter_ns()
            latencies.append(now - before)
            if now >= until:
                return
            before = now


def _deal(peer: Peer, rows: Sequence[Row], callers: int) -> list[list[Any]]:
    """Each caller asks about rows of its own, four at most, in turn."""
    return [
        [peer.argument(rows[(caller * 4 + i) % len(rows)]) for i in range(4)]
        for caller in range(callers)
    ]
