"""What do 64 callers get beside a thread that only computes in Python, and wants the GIL?"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from benchmarks import callers, models
from benchmarks.models import Model
from benchmarks.peers.direct import Direct
from benchmarks.peers.executor import Executor
from benchmarks.peers.greedy_inline import GreedyInline
from benchmarks.peers.peer import Peer, Row
from benchmarks.record import Record, print_samples
from benchmarks.rounds import Ratio, alternate
from benchmarks.settings import Settings
from benchmarks.window import Window

CALLERS = 64
Drive = Callable[[Peer, list[Row], int, float], Window]


def run(settings: Settings) -> Record:
    """Measures and prints every model, from asyncio and from threads."""
    record = Record("busy_thread", vars(settings) | {"callers": CALLERS})
    for name in settings.models:
        with models.built(name) as model:
            for kind, peers, drive in _kinds(model, settings.peers_only):
                _measure(record, model, kind, peers, drive, settings)
    return record


def _measure(
    record: Record, model: Model, kind: str, peers: list[Peer], drive: Drive, settings: Settings
) -> None:
    def window(peer: Peer) -> Window:
        with _busy():
            return drive(peer, model.rows, CALLERS, settings.window_s)

    samples = alternate(peers, settings.rounds, window)
    ours = next((each for each in samples if each.family == "inferkit"), None)
    ratios = [
        Ratio.of(ours, theirs, "per_second") for theirs in samples if ours and theirs is not ours
    ]
    record.add({"model": str(model), "callers": CALLERS, "kind": kind}, samples, ratios)
    print_samples(f"{model}, {CALLERS} callers, {kind}, a busy thread beside", samples, ratios)
    for peer in peers:
        peer.close()


@contextmanager
def _busy() -> Iterator[None]:
    stop = False

    def compute() -> None:
        for number in count():
            if number % 1024 == 0 and stop:
                return

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stop = True
        thread.join()


def _kinds(model: Model, peers_only: bool) -> Iterator[tuple[str, list[Peer], Drive]]:
    path = model.path
    ours: list[list[Peer]] = [[], []]
    if not peers_only:
        from benchmarks.peers.ours import OursAsyncio, OursThreads

        ours = [[OursAsyncio(path)], [OursThreads(path)]]
    pools: list[Peer] = [Executor(path, 1, None), Executor(path, None, None)]
    yield "asyncio", [*ours[0], *pools, GreedyInline(path, 1)], callers.from_asyncio
    yield "threads", [*ours[1], Direct(path, 1), Direct(path, None)], callers.from_threads
