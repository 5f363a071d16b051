"""What does a caller pay who is alone? Blocks of calls, ours and onnxruntime's by turns.

Beside (a) runs the null path too: what inferkit takes beyond it is its own bookkeeping. Not beside
(b), which inferkit may run on all cores and the null path does not.
"""

from time import perf_counter_ns

import numpy as np

from benchmarks import models
from benchmarks.models import Model
from benchmarks.peers.direct import Direct
from benchmarks.peers.peer import Peer, Row
from benchmarks.record import Record, print_samples
from benchmarks.rounds import Ratio, alternate
from benchmarks.settings import Settings
from benchmarks.window import Stopwatch, Window

BLOCK_S = 0.02
"""Short, so that the machine's slow and fast seconds fall on both alike."""

BLOCKS_PER_ROUND = 8


def run(settings: Settings) -> Record:
    """Measures and prints every model."""
    blocks = settings.rounds * BLOCKS_PER_ROUND
    record = Record("lone_call", vars(settings) | {"block_s": BLOCK_S, "blocks": blocks})
    for name in settings.models:
        with models.built(name) as model:
            _measure(record, model, blocks, settings.peers_only)
    return record


def _measure(record: Record, model: Model, blocks: int, peers_only: bool) -> None:
    peers: list[Peer] = [Direct(model.path, 1), Direct(model.path, None)]
    if not peers_only:
        from benchmarks.peers.ours import OursThreads

        peers.append(OursThreads(model.path))
    if model.name == "a":
        from benchmarks.peers.null_path import NullPath

        peers.append(NullPath(model.path))
    for peer in peers:
        block(peer, model.rows[0])  # the first calls allocate
    samples = alternate(peers, blocks, lambda peer: block(peer, model.rows[0]))
    ours = next((each for each in samples if each.family == "inferkit"), None)
    ratios = [
        Ratio.of(ours, theirs, figure)
        for theirs in samples
        if ours and theirs is not ours
        for figure in ("p50_us", "p99_us")
    ]
    record.add({"model": str(model), "callers": 1, "kind": "lone"}, samples, ratios)
    print_samples(f"{model}, one blocking caller", samples, ratios)
    if ours and samples[-1].family == "null path":
        own_us = [
            a.p50_us - b.p50_us for a, b in zip(ours.windows, samples[-1].windows, strict=True)
        ]
        low, middle, high = (1e3 * float(each) for each in np.percentile(own_us, (25, 50, 75)))
        print(f"  own bookkeeping beyond the null path: {middle:.0f} ns [{low:.0f}..{high:.0f}]")
    for peer in peers:
        peer.close()


def block(peer: Peer, rows: Row) -> Window:
    """Calls with the same rows, one after the other, for ``BLOCK_S``."""
    call, argument = peer.call, peer.argument(rows)
    latencies: list[int] = []
    for _ in range(20):
        call(argument)  # the caches belong to the system that is measured
    watch = Stopwatch()
    before = perf_counter_ns()
    until = before + int(BLOCK_S * 1e9)
    while before < until:
        call(argument)
        now = perf_counter_ns()
        latencies.append(now - before)
        before = now
    return watch.window(latencies)
