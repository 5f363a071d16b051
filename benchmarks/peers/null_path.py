"""The least that a call can be: ONNX Runtime's C API between a feed and a dict, nothing else."""

from typing import Any

from inferkit._runtime import find_runtime

from benchmarks import native
from benchmarks.peers.peer import Peer, Row, load


class NullPath(Peer):
    """For models of one input, float32 ``[n, width]``, and one such output; intra-op 1.

    What inferkit takes beyond it is inferkit's own bookkeeping. The GIL is kept.
    """

    family = name = "null path"

    def __init__(self, path: str) -> None:
        """Builds the module at first use; loads the model."""
        self._input = load(path, 1).get_inputs()[0].name
        self.call = native.null_path().open(find_runtime(), path)

    def argument(self, row: Row) -> dict[str, Any]:
        """The feed."""
        return {self._input: row}

    def close(self) -> None:
        """Lets the model go."""
        del self.call
