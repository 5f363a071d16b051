"""The batcher of a careful asyncio user who keeps the loop free: one worker thread."""

import asyncio
import threading
from queue import Empty, SimpleQueue
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.peer import MAX_BATCH, BatchedModel, Peer, Row

Item = tuple[Row, "asyncio.Future[NDArray[Any]]"]


class GreedyWorker(Peer):
    """A thread takes all that waits (<= 64 rows), runs it, and wakes the loop once per batch."""

    family = "greedy worker"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"greedy worker, intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)
        self.call = self._infer

    def start(self) -> None:
        """Binds to the running loop and starts the thread."""
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._work)
        self._worker.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._queue.put(None)
        self._worker.join()

    def close(self) -> None:
        """Nothing runs between windows."""

    def _infer(self, row: Row) -> "asyncio.Future[NDArray[Any]]":
        future = self._loop.create_future()
        self._queue.put((row, future))
        return future

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            try:
                while len(batch) < MAX_BATCH:
                    item = self._queue.get_nowait()
                    if item is None:
                        return
                    batch.append(item)
            except Empty:
                pass
            answers = self._model([row for row, _ in batch])
            self._loop.call_soon_threadsafe(_deliver, batch, answers)


def _deliver(batch: list[Item], answers: list[NDArray[Any]]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if not future.done():
            future.set_result(answer)
