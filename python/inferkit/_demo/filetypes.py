"""The second job: what is in each file of a folder, by the model inside the magika package.

Features, thresholds and labels are magika's own: this module calls the package's functions for
them and leaves out only the running of the model.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .contest import Contest, Outcome, Plan
from .walk import MOST_FILES, NOT_LIBRARY, standard_library, walk

if TYPE_CHECKING:
    from inferkit import Session

    from .progress import Progress

NAME = "files"
TITLE = "File types"
TOLERANCE = 1e-4  # of the largest value of a row
REQUESTS_PER_SECOND = 20_000
COMPARED = 200  # files whose label is compared with Magika().identify_path
UNREADABLE = "(unreadable)"
SECONDS_TO_READ, SECONDS_TO_IDENTIFY = 0.0004, 0.006  # per file, for the progress bar


class UnsupportedMagikaError(Exception):
    """The installed magika lacks what this job calls."""


class Identifier:
    """Magika without its call of the model: what a file feeds in, what a score means.

    Threads: one at a time.
    """

    def __init__(self) -> None:
        package: Any = importlib.import_module("magika")
        self.version: str = package.__version__
        self._magika: Any = package.Magika()
        try:
            self.model = Path(self._magika._model_path)
            self._features = self._magika._get_result_or_features_from_path
            self._decide = self._magika._get_output_label_from_dl_label_and_score
            self._labels = list(self._magika._model_config.target_labels_space)
        except AttributeError as missing:
            raise UnsupportedMagikaError(
                f"magika {self.version} is not one this demo knows ({missing}); "
                'pip install "inferkit[demo]" brings one that it does'
            ) from None

    def look(self, path: Path) -> str | NDArray[np.int32]:
        """Return a file's label where that needs no model, else the model's input [2048]."""
        try:
            result, features = self._features(path)
        except OSError:
            return UNREADABLE
        if result is not None:
            return str(result.prediction.output.label) if result.ok else UNREADABLE
        return np.array([*features.beg, *features.mid, *features.end], np.int32)

    def label(self, scores: NDArray[np.float32]) -> str:
        """Return the label that magika gives for the model's output [214]."""
        best = int(scores.argmax())
        return str(self._decide(self._labels[best], float(scores[best]))[0])

    def identify(self, path: Path) -> str:
        """Return the label that magika's own public call gives."""
        try:
            result = self._magika.identify_path(path)
        except OSError:
            return UNREADABLE
        return str(result.prediction.output.label) if result.ok else UNREADABLE


class Served:
    """Files identified by an inferkit session.

    Threads: one at a time. Owns: neither the identifier nor the session.
    """

    def __init__(self, identifier: Identifier, session: Session) -> None:
        self.identifier, self._session = identifier, session
        self._input, self._output = session.inputs[0].name, session.outputs[0].name

    def identify(self, path: Path) -> str:
        """Return the label of one file."""
        return next(label for label, _ in self.identify_all([path]))

    def identify_all(self, paths: Iterable[Path]) -> Iterator[tuple[str, bool]]:
        """Yield (label, whether the model gave it) for any number of files, in no promised order.

        `Session.map` reads ahead only as far as its bound, so memory stays bounded too.
        """
        without_model: list[str] = []

        def feeds() -> Iterator[dict[str, NDArray[np.int32]]]:
            for path in paths:
                seen = self.identifier.look(path)
                if isinstance(seen, str):
                    without_model.append(seen)
                else:
                    yield {self._input: seen[None]}

        for result in self._session.map(feeds()):
            yield self.identifier.label(result[self._output][0]), True
            while without_model:
                yield without_model.pop(), False
        yield from ((label, False) for label in without_model)


@dataclass
class FilesReport:
    """What the job found."""

    folder: Path
    magika: str
    types: Counter[str] = field(default_factory=Counter)
    by_model: int = 0  # files that needed the model
    no_time: int = 0  # files left out, since a machine was too slow or too busy
    outcome: Outcome | None = None  # None where no file needed the model
    compared: int = 0
    different: list[str] = field(default_factory=list)  # "path: inferkit x, magika y"

    @property
    def right(self) -> bool:
        """Whether the answers are onnxruntime's and the labels are magika's."""
        agree = self.outcome is None or self.outcome.check.right(TOLERANCE)
        return agree and not self.different


def plan(seconds: float, every: bool) -> Plan:
    """Spread ``seconds`` over this job's slices; as long again may go to the files left over."""
    rest = float("inf") if every else seconds
    return Plan(seconds / 11.5, 2, REQUESTS_PER_SECOND, rest)


def choose(folder: Path | None) -> tuple[Path, Iterator[Path]]:
    """Return the folder and its files; None stands for the standard library."""
    if folder is None:
        folder = standard_library()
        return folder, walk(folder, NOT_LIBRARY)
    return folder, walk(folder)


def run(folder: Path | None, every: bool, seconds: float, progress: Progress) -> FilesReport:
    """Identify the files under ``folder`` for 64 callers, by onnxruntime and by inferkit.

    The first 2,000 files are measured; with ``every`` the others are identified after that, by
    ``Session.map``.
    """
    from inferkit import Session

    identifier = Identifier()
    folder, found = choose(folder)
    report = FilesReport(folder, identifier.version)
    labels: dict[Path, str] = {}
    progress.begin("Files: reading", MOST_FILES * SECONDS_TO_READ)
    inputs = dict(_inputs(identifier, islice(found, MOST_FILES), labels, progress))
    with Session(identifier.model) as session:
        serve = Served(identifier, session)
        if inputs:
            rows = np.stack(list(inputs.values()))
            measured = _measure(identifier, session, rows, plan(seconds, every), progress)
            report.outcome, report.by_model = measured, int(measured.answered.sum())
            report.no_time = len(inputs) - report.by_model
            for path, scores, answered in zip(
                inputs, measured.answers, measured.answered, strict=True
            ):
                if answered:
                    labels[path] = identifier.label(scores)
        _compare(serve, labels, report, progress)
        report.types.update(labels.values())
        if every:
            progress.begin(f"Files: those past the first {MOST_FILES}", 0.0)
            for label, by_model in serve.identify_all(found):
                report.types[label] += 1
                report.by_model += by_model
                progress.tick()
    return report


def _measure(
    identifier: Identifier,
    session: Session,
    rows: NDArray[np.int32],
    spread: Plan,
    progress: Progress,
) -> Outcome:
    runtime: Any = importlib.import_module("onnxruntime")
    direct = runtime.InferenceSession(identifier.model, providers=["CPUExecutionProvider"])
    return Contest("Files", session, direct, rows, spread, progress).run()


def _inputs(
    identifier: Identifier, paths: Iterable[Path], labels: dict[Path, str], progress: Progress
) -> Iterator[tuple[Path, NDArray[np.int32]]]:
    """Yield what the model must see; put the labels that need no model into ``labels``."""
    for path in paths:
        seen = identifier.look(path)
        if isinstance(seen, str):
            labels[path] = seen
        else:
            yield path, seen
        progress.tick()


def _compare(
    serve: Served, labels: dict[Path, str], report: FilesReport, progress: Progress
) -> None:
    """Compare labels with magika's own, on files spread evenly over those that were labelled."""
    progress.begin("Files: comparing labels with magika's", COMPARED * SECONDS_TO_IDENTIFY)
    paths = sorted(labels)
    for i in np.linspace(0, len(paths) - 1, min(COMPARED, len(paths)), dtype=int):
        path = paths[i]
        theirs = serve.identifier.identify(path)
        report.compared += 1
        # A file may have changed since it was read; then the answer for its new content counts.
        if theirs != labels[path] and theirs != (ours := serve.identify(path)):
            report.different.append(f"{path}: inferkit {ours}, magika {theirs}")
        progress.tick()
