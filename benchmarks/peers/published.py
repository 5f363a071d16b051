"""The published in-process batchers, where they are installed: async-batcher and batched.

Both wait for company before they run. Their defaults (10 ms and 5 ms) would decide every number
at once, so they get the 0.5 ms that served them best on the machine where this was written.
"""

from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.peer import MAX_BATCH, BatchedModel, Peer, Row

WAIT_S = 0.0005


def installed(package: str) -> bool:
    """Whether the optional peer can be measured here."""
    return find_spec(package) is not None


class AsyncBatcherPeer(Peer):
    """async-batcher's ``AsyncBatcher``: an asyncio queue, batches run in the loop's executor."""

    family = "async-batcher"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"async-batcher 0.5 ms, intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)

    def start(self) -> None:
        """A batcher for the running loop."""
        from async_batcher.batcher import AsyncBatcher

        model = self._model

        class Batcher(AsyncBatcher[Row, NDArray[Any]]):  # type: ignore[misc, unused-ignore]
            def process_batch(self, batch: list[Row]) -> list[NDArray[Any]]:
                return model(batch)

        self._batcher = Batcher(max_batch_size=MAX_BATCH, max_queue_time=WAIT_S)
        self.call = self._batcher.process

    def close(self) -> None:
        """The batcher's task died with its loop."""


class BatchedAsyncPeer(Peer):
    """``batched.aio``: a task that sleeps its timer unless a full batch waits."""

    family = "batched.aio"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"batched.aio 0.5 ms, intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)

    def start(self) -> None:
        """A processor for the running loop."""
        from batched.aio import AsyncBatchProcessor

        self.call = AsyncBatchProcessor(
            self._model.__call__, batch_size=MAX_BATCH, timeout_ms=WAIT_S * 1e3
        )

    def close(self) -> None:
        """The processor's task died with its loop."""


class BatchedThreadsPeer(Peer):
    """``batched``: a polling thread and one ``concurrent.futures.Future`` per request."""

    family = "batched"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"batched 0.5 ms, intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)

    def start(self) -> None:
        """Starts the polling thread."""
        from batched import BatchProcessor

        self._processor: Any = BatchProcessor(
            self._model, batch_size=MAX_BATCH, timeout_ms=WAIT_S * 1e3
        )
        self.call = self._processor
        self._processor.start()

    def stop(self) -> None:
        """Ends the polling thread, which would disturb the next window."""
        self._processor.shutdown()

    def close(self) -> None:
        """Nothing runs between windows."""
