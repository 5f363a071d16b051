"""What any batcher would reach if assembling and handing out cost nothing."""

import threading
from collections.abc import Iterator
from functools import partial
from time import perf_counter

import numpy as np

from benchmarks import machine
from benchmarks.models import Model
from benchmarks.peers.peer import Peer, Row, load
from benchmarks.window import Stopwatch, Window


class Assembled(Peer):
    """``threads`` threads, each running one batch after another on sessions of ``intra_op``."""

    def __init__(self, model: Model, threads: int, intra_op: int, batch: int) -> None:
        """Assembles the batch once."""
        self.family = "ideal"
        self.name = f"ideal: {threads} x intra-op {intra_op}, batch {batch}"
        self.threads, self.batch = threads, batch
        session = load(model.path, intra_op)
        feed = {session.get_inputs()[0].name: np.concatenate(model.rows[:batch])}
        self._run = partial(session.run, None, feed)

    def argument(self, row: Row) -> None:
        """The batch is bound already."""

    def close(self) -> None:
        """Drops the session."""
        del self._run

    def window(self, seconds: float) -> Window:
        """Rows answered in ``seconds``; the latencies are those of whole batches."""
        run = self._run
        took: list[list[int]] = [[] for _ in range(self.threads)]
        run()

        def body(into: list[int]) -> None:
            before = perf_counter()
            until = before + seconds
            while before < until:
                run()
                now = perf_counter()
                into.append(int((now - before) * 1e9))
                before = now

        threads = [threading.Thread(target=body, args=(into,)) for into in took]
        watch = Stopwatch()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return watch.window([each for mine in took for each in mine], rows_each=self.batch)


def all_shapes(model: Model, batches: tuple[int, ...]) -> Iterator[Assembled]:
    """One core, one run over all cores, and a run on each core, times the batch sizes."""
    for threads, intra_op in sorted({(1, 1), (1, machine.cores()), (machine.cores(), 1)}):
        for batch in batches:
            yield Assembled(model, threads, intra_op, batch)
