"""What every measured system looks like to the harness."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Row = NDArray[Any]
"""One request: shape [1, width], of the model's dtype."""

MAX_BATCH = 64
"""Rows that any batcher here puts into one run, at most."""


class Peer(ABC):
    """One system answering requests of one row for one model.

    ``call(argument(row))`` answers one request: with a value for threaded callers, with something
    to await for asyncio callers. ``call`` is the system's own entry point, so the harness adds no
    Python frame to it.
    """

    family: str
    """Variants of one design share it; where several were measured, the best is quoted."""
    name: str
    call: Callable[[Any], Any]

    def argument(self, row: Row) -> Any:
        """What the caller holds ready for this row; the row itself unless a system wants more."""
        return row

    def start(self) -> None:
        """Begins to serve. Asyncio peers are started on the running loop, once per window."""

    def stop(self) -> None:
        """Ends what ``start`` began; nothing of it may disturb the next window."""

    @abstractmethod
    def close(self) -> None:
        """Lets the model go."""


def load(path: str, intra_op: int | None) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU; ``intra_op`` None leaves the default thread count."""
    options = onnxruntime.SessionOptions()
    if intra_op is not None:
        options.intra_op_num_threads = intra_op
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class BatchedModel:
    """``model([row, row, ...]) -> [answer, answer, ...]``: one concatenate, one run, row views."""

    def __init__(self, path: str, intra_op: int | None) -> None:
        """Loads the model at ``path``."""
        self._session = load(path, intra_op)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, rows: list[Row]) -> list[NDArray[Any]]:
        """One answer of shape [1, ...] per row, in order."""
        batch = np.concatenate(rows) if len(rows) > 1 else rows[0]
        answer = self._session.run(None, {self._input: batch})[0]
        return [answer[i : i + 1] for i in range(len(rows))]
