"""The first job: which digit is on each of 540 images that the model was not trained on."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np

from .contest import Contest, Outcome, Plan

if TYPE_CHECKING:
    from .progress import Progress

NAME = "digits"
TITLE = "Handwritten digits"
TOLERANCE = 1e-5  # of the largest value of a row
REQUESTS_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class DigitsReport:
    """What the job found."""

    outcome: Outcome
    images: int
    correct: int

    @property
    def right(self) -> bool:
        """Whether inferkit gave the answers that onnxruntime gives."""
        return self.outcome.check.right(TOLERANCE)


def plan(seconds: float) -> Plan:
    """Spread ``seconds`` over this job's slices."""
    return Plan(seconds / 16.5, 3, REQUESTS_PER_SECOND)


def run(seconds: float, progress: Progress) -> DigitsReport:
    """Serve the held-out images to 64 callers, by onnxruntime and by inferkit."""
    from inferkit import Session

    runtime: Any = importlib.import_module("onnxruntime")
    folder = files("inferkit") / "_demo"
    with as_file(folder / "digits.npz") as path, np.load(path, allow_pickle=False) as held_out:
        images, labels = held_out["images"].astype(np.float32), held_out["labels"]
    with as_file(folder / "digits.onnx") as model, Session(model) as session:
        direct = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
        outcome = Contest("Digits", session, direct, images, plan(seconds), progress).run()
    correct = int((outcome.answers.argmax(axis=1) == labels).sum())
    return DigitsReport(outcome, len(images), correct)
