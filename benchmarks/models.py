"""The models that benchmarks ask about, as files, with rows to ask for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.peers.peer import Row
from tests.python import onnx_models

ROWS = 256
"""Distinct requests of each model."""


@dataclass(frozen=True)
class Kind:
    """How a model is made and asked: one input, one row per request."""

    title: str
    build: Callable[[], bytes]
    rows: Callable[[np.random.Generator], Any]
    """``ROWS`` of them, ``[ROWS, ...]``."""


@dataclass(frozen=True)
class Model:
    """A file on disk and 256 distinct rows for it."""

    name: str
    path: str
    rows: list[Row]

    def __str__(self) -> str:
        """Such as ``(a) MLP 32-64-1``."""
        return f"({self.name}) {MODELS[self.name].title}"


def _mlp(widths: tuple[int, ...]) -> Kind:
    def rows(random: np.random.Generator) -> Any:
        return random.standard_normal((ROWS, widths[0]), dtype=np.float32)

    return Kind(f"MLP {'-'.join(map(str, widths))}", lambda: onnx_models.mlp(widths), rows)


FEATURES = 30
"""Columns that the trees of (c) look at."""


def _trees() -> bytes:
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingRegressor

    random = np.random.default_rng(0)
    x = random.standard_normal((2000, FEATURES), dtype=np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(x[:, 2]) + random.standard_normal(2000) * 0.1
    fitted = GradientBoostingRegressor(n_estimators=200, random_state=0).fit(x, y)
    return bytes(to_onnx(fitted, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString())


def _transformer() -> bytes:
    from benchmarks.transformer import transformer

    return transformer()


def _tokens(random: np.random.Generator) -> Any:
    from benchmarks.transformer import TOKENS, VOCABULARY

    return random.integers(0, VOCABULARY, (ROWS, TOKENS))


def _magika() -> bytes:
    import magika

    return Path(magika.__file__).parent.joinpath("models/standard_v3_3/model.onnx").read_bytes()


MODELS = {
    "a": _mlp(onnx_models.MLP_A),
    "b": _mlp(onnx_models.MLP_B),
    "c": Kind(
        "200 boosted trees",
        _trees,
        lambda random: random.standard_normal((ROWS, FEATURES), dtype=np.float32),
    ),
    "d": Kind("transformer, 6 layers of 384, 32 tokens", _transformer, _tokens),
    "e": Kind(
        "magika, a convolutional net",
        _magika,
        lambda random: random.integers(0, 256, (ROWS, 2048), dtype=np.int32),
    ),
}


@contextmanager
def built(name: str) -> Iterator[Model]:
    """One of ``MODELS`` in a folder that goes away afterwards."""
    kind = MODELS[name]
    rows = kind.rows(np.random.default_rng(7))
    with TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.onnx")
        path.write_bytes(kind.build())
        yield Model(name, str(path), [rows[i : i + 1] for i in range(ROWS)])
