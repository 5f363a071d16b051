"""The same batcher, handing whole batches over: the loop gathers, a worker thread runs."""

import asyncio
import threading
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.greedy_worker import Item, _deliver
from benchmarks.peers.peer import MAX_BATCH, BatchedModel, Peer, Row


class GreedyWorkerGathered(Peer):
    """The loop keeps the list; once per iteration an idle worker gets all of it (<= 64 rows)."""

    family = "greedy worker"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"greedy worker (gathered), intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)
        self.call = self._infer

    def start(self) -> None:
        """Binds to the running loop and starts the thread."""
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Item] = []
        self._asked = self._busy = False
        self._batches: SimpleQueue[list[Item] | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._work)
        self._worker.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._batches.put(None)
        self._worker.join()

    def close(self) -> None:
        """Nothing runs between windows."""

    def _infer(self, row: Row) -> "asyncio.Future[NDArray[Any]]":
        future = self._loop.create_future()
        self._waiting.append((row, future))
        if not (self._asked or self._busy):
            self._asked = True
            self._loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        self._asked = False
        if self._waiting and not self._busy:
            self._busy = True
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            self._batches.put(batch)

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            answers = self._model([row for row, _ in batch])
            self._loop.call_soon_threadsafe(self._finish, batch, answers)

    def _finish(self, batch: list[Item], answers: list[NDArray[Any]]) -> None:
        self._busy = False
        self._send()
        _deliver(batch, answers)
