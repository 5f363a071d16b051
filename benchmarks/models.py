"""The two models every benchmark asks about, as files, with rows to ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.peers.peer import Row
from tests.python import onnx_models

WIDTHS = {"a": onnx_models.MLP_A, "b": onnx_models.MLP_B}


@dataclass(frozen=True)
class Model:
    """A file on disk and 256 distinct rows for it."""

    name: str
    path: str
    rows: list[Row]

    def __str__(self) -> str:
        """Such as ``(a) MLP 32-64-1``."""
        return f"({self.name}) MLP {'-'.join(map(str, WIDTHS[self.name]))}"


@contextmanager
def built(name: str) -> Iterator[Model]:
    """Model ``"a"`` or ``"b"`` in a folder that goes away afterwards."""
    random = np.random.default_rng(7)
    rows = [random.standard_normal((1, WIDTHS[name][0]), dtype=np.float32) for _ in range(256)]
    with TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.onnx")
        path.write_bytes(onnx_models.mlp(WIDTHS[name]))
        yield Model(name, str(path), rows)
