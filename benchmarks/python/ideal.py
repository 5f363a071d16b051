"""What could any batcher reach? Direct calls on batches that are already assembled."""

from benchmarks import models
from benchmarks.peers.assembled import all_shapes
from benchmarks.record import Record, print_samples
from benchmarks.rounds import alternate
from benchmarks.settings import Settings

BATCHES = (8, 16, 32, 64, 128, 256)


def run(settings: Settings) -> Record:
    """Measures and prints every model; ``requests`` are rows, times are those of a batch."""
    record = Record("ideal", vars(settings) | {"batches": BATCHES})
    for name in settings.models:
        with models.built(name) as model:
            peers = list(all_shapes(model, BATCHES))
            samples = alternate(
                peers, settings.rounds, lambda peer: peer.window(settings.window_s / 4)
            )
            record.add({"model": str(model), "kind": "ideal"}, samples, [])
            print_samples(f"{model}, pre-assembled batches (rows/s; us per batch)", samples, [])
            for peer in peers:
                peer.close()
    return record
