"""Every caller calls onnxruntime itself: no batching."""

from functools import partial
from typing import Any

from benchmarks.peers.peer import Peer, Row, load


class Direct(Peer):
    """``InferenceSession.run`` from the caller's thread; threads meet inside onnxruntime."""

    def __init__(self, path: str, intra_op: int | None) -> None:
        """``intra_op`` None: onnxruntime's default number of threads."""
        self.family = self.name = f"onnxruntime, intra-op {intra_op or 'default'}"
        session = load(path, intra_op)
        self._input = session.get_inputs()[0].name
        self.call = partial(session.run, None)

    def argument(self, row: Row) -> dict[str, Any]:
        """The feed."""
        return {self._input: row}

    def close(self) -> None:
        """Drops the session."""
        del self.call
