"""The answers of both sides, row by row, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .callers import Slice


class Gathered:
    """The latest answer of one side to each row [rows, width], as slices bring them."""

    def __init__(self, rows: int, width: int) -> None:
        self.answers = np.zeros((rows, width), np.float32)
        self.known = np.zeros(rows, np.bool_)

    def learn(self, part: Slice) -> None:
        """Take over what a slice answered."""
        rows = part.rows(len(self.known))
        self.answers[rows] = part.answers
        self.known[rows] = True

    def first_missing(self) -> int | None:
        """Return the first row without an answer; every row after it may lack one too."""
        return None if self.known.all() else int(self.known.argmin())


@dataclass(frozen=True)
class Check:
    """How far inferkit's answers are from onnxruntime's answers to the same rows, run alone."""

    compared: int  # answers
    difference: float  # the largest |difference|, relative to the row's largest |value|
    other_class: int  # answers whose largest value is at another place

    def right(self, tolerance: float) -> bool:
        """Return whether every answer is within ``tolerance`` and names the same class."""
        # Written so that a NaN, which compares false with everything, is not right.
        return self.difference <= tolerance and self.other_class == 0 and self.compared > 0


def check(parts: Sequence[Slice], expected: Gathered) -> Check:
    """Compare the answers of ``parts`` with those to the same rows that are ``expected``.

    Answers to rows that onnxruntime did not get to are left out.
    """
    compared, other_class, difference = 0, 0, 0.0
    scale = np.abs(expected.answers).max(axis=1)
    best = expected.answers.argmax(axis=1)
    for part in parts:
        rows = part.rows(len(best))
        known = expected.known[rows]
        if not known.any():
            continue
        rows, answers = rows[known], part.answers[known]
        compared += len(rows)
        other_class += int((answers.argmax(axis=1) != best[rows]).sum())
        apart = np.abs(answers - expected.answers[rows]).max(axis=1) / scale[rows]
        difference = float(np.maximum(difference, apart.max()))
    return Check(compared, difference, other_class)
