"""What do rows of denormal numbers cost the batch that they are in?"""

from typing import Any

import numpy as np

from benchmarks import models
from benchmarks.models import Model
from benchmarks.peers.direct import Direct
from benchmarks.peers.ours import OursThreads
from benchmarks.peers.peer import Peer, Row
from benchmarks.python.lone_call import BLOCK_S, BLOCKS_PER_ROUND, block
from benchmarks.record import Record, print_samples
from benchmarks.rounds import Ratio, alternate
from benchmarks.settings import Settings

ROWS = 64
DENORMAL = np.float32(1e-41)


class Fed(Peer):
    """A peer that is always asked for the same rows."""

    def __init__(self, peer: Peer, rows: Row, kind: str) -> None:
        """`kind`: what the rows are like."""
        self.family, self.name = peer.family, f"{peer.name}, {kind}"
        self.call = peer.call
        self.rows = rows
        self._argument = peer.argument(rows)

    def argument(self, row: Row) -> Any:
        """Its own rows."""
        return self._argument

    def close(self) -> None:
        """Nothing: the peer is its maker's."""


def run(settings: Settings) -> Record:
    """Measures and prints every model."""
    blocks = settings.rounds * BLOCKS_PER_ROUND
    record = Record("denormals", vars(settings) | {"block_s": BLOCK_S, "blocks": blocks})
    for name in settings.models:
        with models.built(name) as model:
            _measure(record, model, blocks)
    return record


def _measure(record: Record, model: Model, blocks: int) -> None:
    usual = np.concatenate(model.rows[:ROWS])
    peers = [
        OursThreads(model.path, threads=1, instances=1, max_batch_size=ROWS),
        Direct(model.path, 1),
    ]
    kinds = {"denormal": np.full_like(usual, DENORMAL), "usual": usual}
    fed = [Fed(peer, rows, kind) for peer in peers for kind, rows in kinds.items()]
    for each in fed:
        block(each, each.rows)  # the first calls allocate
    samples = alternate(fed, blocks, lambda each: block(each, each.rows))
    ratios = [Ratio.of(samples[i], samples[i + 1], "p50_us") for i in (0, 2)]
    record.add({"model": str(model), "rows": ROWS, "kind": "denormals"}, samples, ratios)
    print_samples(f"{model}, {ROWS} rows", samples, ratios)
    for peer in peers:
        peer.close()
