"""What does it save that the model computes in inferkit's pool, its weights on huge pages?"""

import numpy as np

from benchmarks import models
from benchmarks.models import Model
from benchmarks.peers.ours import OursThreads
from benchmarks.python.lone_call import BLOCK_S, BLOCKS_PER_ROUND, block
from benchmarks.record import Record, print_samples
from benchmarks.rounds import Ratio, alternate
from benchmarks.settings import Settings

ROWS = (1, 8, 24, 64)
"""In one request, so that one run serves it."""


class InPool(OursThreads):
    """As inferkit is, on one core."""

    family = name = "inferkit's pool"

    def __init__(self, path: str) -> None:
        """Loads and warms the model up."""
        super().__init__(path, threads=1, instances=1, max_batch_size=max(ROWS))


class InArenas(OursThreads):
    """The same with onnxruntime's own memory."""

    family = name = "onnxruntime's arenas"

    def __init__(self, path: str) -> None:
        """Loads and warms the model up."""
        own = {"session.use_env_allocators": False}
        super().__init__(path, threads=1, instances=1, max_batch_size=max(ROWS), session_config=own)


def run(settings: Settings) -> Record:
    """Measures and prints every model."""
    blocks = settings.rounds * BLOCKS_PER_ROUND
    record = Record("memory", vars(settings) | {"block_s": BLOCK_S, "blocks": blocks})
    for name in settings.models:
        with models.built(name) as model:
            _measure(record, model, blocks)
    return record


def _measure(record: Record, model: Model, blocks: int) -> None:
    peers = [InPool(model.path), InArenas(model.path)]
    for count in ROWS:
        rows = np.concatenate(model.rows[:count])
        for peer in peers:
            block(peer, rows)  # the first calls allocate
        samples = alternate(peers, blocks, lambda peer, rows=rows: block(peer, rows))
        ratios = [Ratio.of(samples[0], samples[1], "p50_us")]
        record.add({"model": str(model), "rows": count, "kind": "memory"}, samples, ratios)
        print_samples(f"{model}, {count} rows", samples, ratios)
    for peer in peers:
        peer.close()
