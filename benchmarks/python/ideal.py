"""What could any batcher reach? Direct calls on batches that are already assembled."""

import threading
from functools import partial
from time import perf_counter

import numpy as np

from benchmarks import machine, models
from benchmarks.models import Model
from benchmarks.peers.peer import Peer, Row, load
from benchmarks.record import Record, print_samples
from benchmarks.rounds import alternate
from benchmarks.settings import Settings
from benchmarks.window import Stopwatch, Window

BATCHES = (8, 16, 32, 64, 128, 256)


class Assembled(Peer):
    """``threads`` threads, each running one batch after another on sessions of ``intra_op``."""

    def __init__(self, model: Model, threads: int, intra_op: int, batch: int) -> None:
        """Assembles the batch once."""
        self.family = "ideal"
        self.name = f"{threads} x intra-op {intra_op}, batch {batch}"
        self.threads, self.batch = threads, batch
        session = load(model.path, intra_op)
        feed = {session.get_inputs()[0].name: np.concatenate(model.rows[:batch])}
        self.call = partial(session.run, None, feed)

    def argument(self, row: Row) -> None:
        """The batch is the argument, and it is bound already."""

    def close(self) -> None:
        """Drops the session."""
        del self.call


def run(settings: Settings) -> Record:
    """Measures and prints every model; ``requests`` are rows, times are those of a batch."""
    record = Record("ideal", vars(settings) | {"batches": BATCHES})
    shapes = sorted({(1, 1), (1, machine.cores()), (machine.cores(), 1)})
    for name in settings.models:
        with models.built(name) as model:
            peers = [Assembled(model, *shape, batch) for shape in shapes for batch in BATCHES]
            samples = alternate(
                peers, settings.rounds, lambda peer: _window(peer, settings.window_s / 4)
            )
            record.add({"model": str(model), "kind": "ideal"}, samples, [])
            print_samples(f"{model}, pre-assembled batches (rows/s; us per batch)", samples, [])
            for peer in peers:
                peer.close()
    return record


def _window(peer: Peer, seconds: float) -> Window:
    assert isinstance(peer, Assembled)
    took: list[list[int]] = [[] for _ in range(peer.threads)]
    peer.call()

    def body(into: list[int]) -> None:
        before = perf_counter()
        until = before + seconds
        while before < until:
            peer.call()
            now = perf_counter()
            into.append(int((now - before) * 1e9))
            before = now

    threads = [threading.Thread(target=body, args=(into,)) for into in took]
    watch = Stopwatch()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return watch.window([each for mine in took for each in mine], rows_each=peer.batch)
