"""How much do 1, 2, 8, 64 and 256 callers get, from threads and from asyncio, and how late?"""

from collections.abc import Callable, Iterator

from benchmarks import callers, machine, models
from benchmarks.models import Model
from benchmarks.peers.assembled import Assembled, all_shapes
from benchmarks.peers.direct import Direct
from benchmarks.peers.executor import Executor
from benchmarks.peers.greedy_inline import GreedyInline
from benchmarks.peers.greedy_threads import GreedyThreads
from benchmarks.peers.greedy_worker import GreedyWorker
from benchmarks.peers.greedy_worker_gathered import GreedyWorkerGathered
from benchmarks.peers.peer import Peer, Row
from benchmarks.peers.published import (
    AsyncBatcherPeer,
    BatchedAsyncPeer,
    BatchedThreadsPeer,
    installed,
)
from benchmarks.python.ideal import BATCHES
from benchmarks.record import Record, print_samples
from benchmarks.rounds import Ratio, Samples, alternate, best_of_families
from benchmarks.settings import Settings
from benchmarks.window import Window

WITH_IDEAL = 64
"""Callers beside whom the limit is measured too."""

Drive = Callable[[Peer, list[Row], int, float], Window]


def run(settings: Settings) -> Record:
    """Measures and prints every model, kind of caller and number of callers."""
    record = Record("closed_loop", vars(settings) | {"max_batch_of_peers": 64})
    for name in settings.models:
        with models.built(name) as model:
            for kind, peers, drive in _kinds(model, settings.peers_only):
                for count in settings.callers:
                    _measure(record, model, kind, peers, drive, count, settings)
                for peer in peers:
                    peer.close()
    return record


def _measure(
    record: Record,
    model: Model,
    kind: str,
    peers: list[Peer],
    drive: Drive,
    count: int,
    settings: Settings,
) -> None:
    def window(peer: Peer) -> Window:
        if isinstance(peer, Assembled):
            return peer.window(settings.window_s / 4)
        return drive(peer, model.rows, count, settings.window_s)

    compared = [*peers, *all_shapes(model, BATCHES)] if count == WITH_IDEAL else peers
    samples = alternate(compared, settings.rounds, window)
    ratios = list(_ratios(samples))
    setting = {"model": str(model), "callers": count, "kind": kind}
    record.add(setting, samples, ratios)
    print_samples(f"{model}, {count} callers, {kind}", samples, ratios)


def _ratios(samples: list[Samples]) -> Iterator[Ratio]:
    best = best_of_families(samples)
    ours = next((each for each in best if each.family == "inferkit"), None)
    for each in best:
        if ours and each is not ours:
            yield Ratio.of(ours, each, "per_second")
            if each.windows[0].least_share is not None:
                yield Ratio.of(ours, each, "p999_us")


def _kinds(model: Model, peers_only: bool) -> Iterator[tuple[str, list[Peer], Drive]]:
    yield "asyncio", list(_asyncio_peers(model.path, peers_only)), callers.from_asyncio
    yield "threads", list(_thread_peers(model.path, peers_only)), callers.from_threads


def _asyncio_peers(path: str, peers_only: bool) -> Iterator[Peer]:
    if not peers_only:
        from benchmarks.peers.ours import OursAsyncio

        yield OursAsyncio(path)
    for intra_op in sorted({1, machine.cores()}):
        yield Executor(path, intra_op)
        yield GreedyInline(path, intra_op)
        yield GreedyWorker(path, intra_op)
        yield GreedyWorkerGathered(path, intra_op)
        if installed("async_batcher"):
            yield AsyncBatcherPeer(path, intra_op)
        if installed("batched"):
            yield BatchedAsyncPeer(path, intra_op)


def _thread_peers(path: str, peers_only: bool) -> Iterator[Peer]:
    if not peers_only:
        from benchmarks.peers.ours import OursThreads

        yield OursThreads(path)
    yield Direct(path, None)
    for intra_op in sorted({1, machine.cores()}):
        if intra_op == 1:
            yield Direct(path, 1)
        yield GreedyThreads(path, intra_op)
        if installed("batched"):
            yield BatchedThreadsPeer(path, intra_op)
