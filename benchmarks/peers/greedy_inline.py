"""The batcher a careful asyncio user writes first: no timer, no thread."""

import asyncio
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.peer import MAX_BATCH, BatchedModel, Peer, Row


class GreedyInline(Peer):
    """Runs what one iteration of the loop collected, on the loop itself, in the next one."""

    family = "greedy inline"

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op``: threads of the onnxruntime session."""
        self.name = f"greedy inline, intra-op {intra_op or 'default'}"
        self._model = BatchedModel(path, intra_op)
        self.call = self._infer

    def start(self) -> None:
        """Binds to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Row, asyncio.Future[NDArray[Any]]]] = []

    def close(self) -> None:
        """Nothing runs between calls."""

    def _infer(self, row: Row) -> "asyncio.Future[NDArray[Any]]":
        future = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append((row, future))
        return future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if self._waiting:
            self._loop.call_soon(self._flush)
        answers = self._model([row for row, _ in batch])
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
