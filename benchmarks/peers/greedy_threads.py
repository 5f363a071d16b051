"""The batcher a careful user of threads writes: a queue, one worker, a lock per waiter."""

import threading
from queue import Empty, SimpleQueue
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.peer import MAX_BATCH, BatchedModel, Peer, Row


class _Slot:
    """One waiting caller: the row goes in, the answer comes out, the lock opens in between."""

    __slots__ = ("answer", "opened", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.answer: NDArray[Any] | None = None
        self.opened = threading.Lock()
        self.opened.acquire()


class GreedyThreads(Peer):
    """A worker takes all that waits (<= 64 rows), runs it, and opens each caller's lock."""

    family = "greedy threads"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"greedy threads, intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)
        self.call = self._infer

    def start(self) -> None:
        """Starts the worker."""
        self._queue: SimpleQueue[_Slot | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._work)
        self._worker.start()

    def stop(self) -> None:
        """Ends the worker."""
        self._queue.put(None)
        self._worker.join()

    def close(self) -> None:
        """Nothing runs between windows."""

    def _infer(self, row: Row) -> NDArray[Any] | None:
        slot = _Slot(row)
        self._queue.put(slot)
        slot.opened.acquire()
        return slot.answer

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            try:
                while len(batch) < MAX_BATCH:
                    slot = self._queue.get_nowait()
                    if slot is None:
                        return
                    batch.append(slot)
            except Empty:
                pass
            answers = self._model([slot.row for slot in batch])
            for slot, answer in zip(batch, answers, strict=True):
                slot.answer = answer
                slot.opened.release()
