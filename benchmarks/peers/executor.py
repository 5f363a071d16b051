"""What the documentation of asyncio suggests: blocking calls in a pool of threads."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers.peer import Peer, Row, load


class Executor(Peer):
    """``loop.run_in_executor(pool, session.run)``: one request per call, no batching."""

    family = "executor"

    def __init__(self, path: str, intra_op: int | None, threads: int | None = 2) -> None:
        """``threads`` None: the loop's own pool, as ``asyncio.to_thread`` uses it."""
        pool = f"{threads} threads" if threads else "to_thread"
        self.family = f"executor, {pool}"
        self.name = f"{self.family}, intra-op {intra_op or 'default'}"
        self._session = load(path, intra_op)
        self._input = self._session.get_inputs()[0].name
        self._pool = ThreadPoolExecutor(threads) if threads else None
        self.call = self._infer

    def start(self) -> None:
        """Binds to the running loop."""
        self._loop = asyncio.get_running_loop()

    def argument(self, row: Row) -> dict[str, Any]:
        """The feed."""
        return {self._input: row}

    def close(self) -> None:
        """Ends the pool's threads."""
        if self._pool is not None:
            self._pool.shutdown()
        del self._session

    def _infer(self, feed: dict[str, Any]) -> Awaitable[Any]:
        return self._loop.run_in_executor(self._pool, self._session.run, None, feed)
