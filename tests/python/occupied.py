"""Sessions whose only instance is busy for as long as a test needs, and waiting for others."""

import concurrent.futures
import os
import time
from collections.abc import Callable
from typing import Any, Self

import inferkit
import numpy as np
import onnx_models
from numpy.typing import NDArray

PATIENCE = 60.0  # seconds until a test that waits for another thread gives up


def until(condition: Callable[[], object]) -> None:
    """Give other threads time until the condition holds."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        os.sched_yield()


def one_at_a_time(**options: Any) -> inferkit.Session:
    """A session that runs one request after the other; each says how long it takes (`rounds`)."""
    return inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1, **options)


def rounds(count: int) -> dict[str, NDArray[np.float32]]:
    """A request of `count` rounds: 0 answers at once, 1e5 take about a second."""
    return {"x": np.array([[count]], np.float32)}


class Held:
    """Keeps a session of `one_at_a_time` busy until the end of the block.

    Always some requests that take a while and go before all others; ``count`` tells how many.
    """

    def __init__(self, session: inferkit.Session) -> None:
        self.count = 0
        self._session = session
        self._futures: list[inferkit.Future] = []
        self._released = False

    def __enter__(self) -> Self:
        for _ in range(8):  # the callbacks that add more may be late on a busy machine
            self._add()
        first = self._futures[0]
        until(lambda: first.running() or first.done())  # over already, the others follow
        return self

    def _add(self, _: object = None) -> None:
        if self._released:
            return
        try:
            future = self._session.submit(rounds(2_000), priority=1_000_000)
        except inferkit.SessionClosedError:
            return
        self.count += 1
        self._futures.append(future)
        future.add_done_callback(self._add)

    def release(self) -> None:
        """Let the others have their turn."""
        self._released = True

    def __exit__(self, *_: object) -> None:
        self.release()
        concurrent.futures.wait(self._futures, PATIENCE)
