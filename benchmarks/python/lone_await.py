"""What does an event loop pay whose only task asks? And what does a thread between cost it?

The comparators are our own blocking call, and the round trip of a loop through a thread that
answers at once: no await that leaves its loop for another thread can be cheaper.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable
from functools import partial
from time import perf_counter_ns
from typing import Any

from benchmarks import models
from benchmarks.models import Model
from benchmarks.peers.peer import Peer, Row
from benchmarks.python.lone_call import BLOCK_S, BLOCKS_PER_ROUND, block
from benchmarks.record import Record, print_samples
from benchmarks.rounds import Ratio, Samples, alternate
from benchmarks.settings import Settings
from benchmarks.window import Stopwatch, Window


class RoundTrip(Peer):
    """loop -> thread -> loop: a queue there, ``call_soon_threadsafe`` back."""

    family = name = "loop, thread, loop"

    def __init__(self) -> None:
        """Starts the thread."""
        self._queue: queue.SimpleQueue[asyncio.Future[None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        self.call = self._ask

    def start(self) -> None:
        """Binds to the running loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def _ask(self, _: Any) -> Awaitable[None]:
        future = self._loop.create_future()
        self._queue.put(future)
        return future

    def _work(self) -> None:
        while (future := self._queue.get()) is not None:
            self._loop.call_soon_threadsafe(future.set_result, None)


def run(settings: Settings) -> Record:
    """Measures and prints every model; the last ratio is the bar's: beyond our blocking call."""
    blocks = settings.rounds * BLOCKS_PER_ROUND
    record = Record("lone_await", vars(settings) | {"block_s": BLOCK_S, "blocks": blocks})
    for name in settings.models:
        with models.built(name) as model:
            _measure(record, model, blocks)
    return record


def _measure(record: Record, model: Model, blocks: int) -> None:
    from benchmarks.peers.ours import OursAsyncio, OursThreads

    blocking, awaited, trip = OursThreads(model.path), OursAsyncio(model.path), RoundTrip()
    awaited.name = "inferkit, awaited"

    def window(peer: Peer) -> Window:
        if peer is blocking:
            return block(peer, model.rows[0])
        return asyncio.run(_awaits(peer, model.rows[0]))

    samples = alternate([blocking, awaited, trip], blocks, window)
    ratios = [Ratio.of(samples[1], theirs, "p50_us") for theirs in (samples[0], samples[2])]
    record.add({"model": str(model), "callers": 1, "kind": "lone await"}, samples, ratios)
    print_samples(f"{model}, one task", samples, ratios)
    beyond = _beyond(samples)
    print(f"  awaited, beyond our blocking call, in round trips: {beyond:.2f} (p50)")
    for peer in (blocking, awaited, trip):
        peer.close()


def _beyond(samples: list[Samples]) -> float:
    blocking, awaited, trip = (each.median("p50_us") for each in samples)
    return (awaited - blocking) / trip


async def _awaits(peer: Peer, rows: Row) -> Window:
    peer.start()
    call = partial(peer.call, peer.argument(rows))
    latencies: list[int] = []
    for _ in range(20):
        await call()
    watch = Stopwatch()
    before = perf_counter_ns()
    until = before + int(BLOCK_S * 1e9)
    while before < until:
        await call()
        now = perf_counter_ns()
        latencies.append(now - before)
        before = now
    return watch.window(latencies)
