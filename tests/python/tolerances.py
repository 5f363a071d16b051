"""How far an answer may be from the same request run alone by onnxruntime: one table.

``max |batched - alone| <= tolerance * max |alone|``, per output. A batch of another size may take
another kernel, so floats need not be bitwise equal.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

DEFAULT = 1e-5

TOLERANCES = {
    "mlp_a": DEFAULT,
    "mlp_b": DEFAULT,
    "digits": DEFAULT,
    "magika": 1e-4,  # and the same label
    "minilm": DEFAULT,
}


def distance(answer: NDArray[np.generic], alone: NDArray[np.generic]) -> float:
    """Greatest difference over the greatest magnitude; infinite for another shape or dtype."""
    if answer.shape != alone.shape or answer.dtype != alone.dtype:
        return float("inf")
    if answer.size == 0:
        return 0.0
    apart = float(np.abs(answer.astype(np.float64) - alone.astype(np.float64)).max())
    scale = float(np.abs(alone.astype(np.float64)).max())
    # A NaN on either side is never within a tolerance.
    return 0.0 if apart == 0 else apart / scale if scale > 0 and apart == apart else float("inf")


def worst_distance(
    answer: Mapping[str, NDArray[np.generic]], alone: Mapping[str, NDArray[np.generic]]
) -> float:
    """The greatest ``distance`` over all outputs; infinite when their names differ."""
    if answer.keys() != alone.keys():
        return float("inf")
    return max(distance(answer[name], alone[name]) for name in alone)
