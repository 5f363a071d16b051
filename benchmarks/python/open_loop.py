"""How many requests a second can come, at their own pace, until they are answered late?

Poisson arrivals: a closed loop's callers wait while the system is slow, those of a service do not.
Latency counts from the moment a request was meant to be sent, so a loop that is held up cannot
hide it (coordinated omission). One task per request.

Every system climbs and descends by itself, one window at a time, in turns with the others: up
after a window whose p99 kept the limit, down after one that did not, by steps that become smaller
at each turn. What is quoted is the highest rate that kept it at least as often as not.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks import machine, models
from benchmarks.alarm import Alarm
from benchmarks.models import Model
from benchmarks.peers.greedy_inline import GreedyInline
from benchmarks.peers.greedy_worker_gathered import GreedyWorkerGathered
from benchmarks.peers.peer import Peer, Row
from benchmarks.peers.published import AsyncBatcherPeer, BatchedAsyncPeer, installed
from benchmarks.record import Record
from benchmarks.settings import Settings
from benchmarks.window import Stopwatch, Window, settle

LIMIT_US = 10_000.0
"""p99 that a rate has to keep."""

WINDOW_S = 5.0
LEAST_WINDOWS = 7
FIRST_STEP, LAST_STEP = 1.3, 1.05
LATE_NS = 10**12
"""Stands for a request that was refused."""


@dataclass
class Climb:
    """The rates that one system was asked for, and what came of each."""

    peer: Peer
    rate: float
    step: float = FIRST_STEP
    went_up: bool | None = None
    trials: list[tuple[float, Window]] = field(default_factory=list)

    def note(self, window: Window) -> None:
        """Takes a window at ``rate`` and chooses the next rate."""
        self.trials.append((self.rate, window))
        kept = window.p99_us < LIMIT_US
        if self.went_up is not None and kept != self.went_up:
            self.step = max(LAST_STEP, self.step**0.5)
        self.went_up = kept
        self.rate *= self.step if kept else 1 / self.step

    def highest(self) -> float:
        """The highest rate that kept it, unless most windows at it or just above did not."""
        kept = [rate for rate, window in self.trials if window.p99_us < LIMIT_US]
        return max(filter(self._is_held, kept), default=0.0)

    def _is_held(self, rate: float) -> bool:
        near = [w.p99_us < LIMIT_US for at, w in self.trials if 0.999 <= at / rate <= LAST_STEP]
        return sum(near) * 2 >= len(near)


def run(settings: Settings) -> Record:
    """Measures and prints every model; ``rounds`` windows of each system, seven at least."""
    rounds = max(LEAST_WINDOWS, settings.rounds)
    seconds = WINDOW_S * settings.window_s
    record = Record("open_loop", vars(settings) | {"limit_us": LIMIT_US, "window_s": seconds})
    for name in settings.models:
        with models.built(name) as model:
            _measure(record, model, rounds, seconds, settings.peers_only)
    return record


def _measure(record: Record, model: Model, rounds: int, seconds: float, peers_only: bool) -> None:
    climbs = [Climb(peer, 0.6 * _capacity(peer, model.rows)) for peer in _peers(model, peers_only)]
    for turn in range(rounds):
        order = climbs[turn % len(climbs) :] + climbs[: turn % len(climbs)]
        for climb in reversed(order) if turn % 2 else order:
            settle()
            climb.note(asyncio.run(_window(climb.peer, model.rows, climb.rate, seconds)))
    print(f"\n{model}, open loop: highest rate with p99 < {LIMIT_US / 1e3:g} ms")
    for climb in sorted(climbs, key=lambda each: -each.highest()):
        tried = " ".join(
            f"{rate / 1e3:.1f}k:{min(window.p99_us / 1e3, 999):.1f}"
            for rate, window in climb.trials
        )
        print(f"  {climb.peer.name:42}{climb.highest():10,.0f}/s   rate:p99 ms  {tried}")
        climb.peer.close()
    record.settings.append(
        {
            "model": str(model),
            "systems": [
                {
                    "family": climb.peer.family,
                    "system": climb.peer.name,
                    "highest_per_second": climb.highest(),
                    "trials": [{"rate": rate} | asdict(each) for rate, each in climb.trials],
                }
                for climb in climbs
            ],
        }
    )


def _capacity(peer: Peer, rows: Sequence[Row]) -> float:
    """What 64 callers get in a closed loop, to begin somewhere."""
    from benchmarks.callers import from_asyncio

    return from_asyncio(peer, rows, 64, 0.5).per_second


async def _window(peer: Peer, rows: Sequence[Row], rate: float, seconds: float) -> Window:
    peer.start()
    arguments = [peer.argument(row) for row in rows]
    latencies: list[int] = []
    try:
        await _arrivals(peer, arguments, rate, min(1.0, seconds / 5), latencies)
        latencies.clear()
        watch = Stopwatch()
        await _arrivals(peer, arguments, rate, seconds, latencies)
        return watch.window(latencies)
    finally:
        peer.stop()


async def _arrivals(
    peer: Peer, arguments: list[Any], rate: float, seconds: float, latencies: list[int]
) -> None:
    """All requests of ``seconds``, each at its moment or as soon after it as the loop comes by.

    The loop sleeps between two of them, as one does that waits for a socket.
    """
    random = np.random.default_rng(11)
    gaps = random.exponential(1e9 / rate, int(rate * seconds))
    call, tasks = peer.call, set()

    async def ask(argument: Any, meant: int) -> None:
        try:
            await call(argument)
        except Exception:
            latencies.append(LATE_NS)
        else:
            latencies.append(perf_counter_ns() - meant)

    moments = (perf_counter_ns() + np.cumsum(gaps)).astype(np.int64).tolist()
    with Alarm() as alarm:
        for number, meant in enumerate(moments):
            if perf_counter_ns() < meant:
                await alarm.until(meant)
            if len(latencies) + 20_000 < number:  # hopeless: what is not answered counts as late
                break
            task = asyncio.ensure_future(ask(arguments[number % len(arguments)], meant))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


def _peers(model: Model, peers_only: bool) -> Iterator[Peer]:
    if not peers_only:
        from benchmarks.peers.ours import OursAsyncio

        yield OursAsyncio(model.path)
    cores = machine.cores()
    yield GreedyInline(model.path, cores)
    yield GreedyWorkerGathered(model.path, cores)
    if installed("async_batcher"):
        yield AsyncBatcherPeer(model.path, cores)
    if installed("batched"):
        yield BatchedAsyncPeer(model.path, cores)
