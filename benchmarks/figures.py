"""Figures computed again from what the benchmarks wrote."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rounds import Samples, best_of_families
from benchmarks.window import Window

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """A median with the least and the greatest of its rounds, and the file that holds them."""

    median: float
    least: float
    greatest: float
    file: str
    note: str = ""

    @staticmethod
    def of(values: Sequence[float], file: str, note: str = "") -> "Figure":
        """Of one value per round."""
        return Figure(median(values), min(values), max(values), file, note)


class Results:
    """The files of one folder. Raises KeyError for a setting that was not measured."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Reads each file when it is first asked for."""
        self._folder = folder
        self._read: dict[str, Any] = {}

    def record(self, file: str) -> dict[str, Any]:
        """One file as it was written."""
        if file not in self._read:
            path = self._folder / f"{file}.json"
            if not path.exists():
                raise KeyError(f"{path.name} was not measured")
            self._read[file] = json.loads(path.read_text())
        found: dict[str, Any] = self._read[file]
        return found

    def systems(self, file: str, **setting: Any) -> list[Samples]:
        """All systems of the one setting that has these parameters."""
        for each in self.record(file)["settings"]:
            if all(each.get(name) == value for name, value in setting.items()):
                return [_samples(system) for system in each["systems"]]
        raise KeyError(f"{file}.json has no {setting}")

    def best(self, file: str, families: Sequence[str], figure: str, **setting: Any) -> Samples:
        """The variant with the best median among these families."""
        found = [each for each in self.systems(file, **setting) if each.family in families]
        if not found:
            raise KeyError(f"{file}.json has none of {', '.join(families)} in {setting}")
        for each in found:
            each.family = "any of them"
        return best_of_families(found, figure)[0]

    def ratio(
        self, file: str, theirs: Sequence[str], figure: str = "per_second", **setting: Any
    ) -> Figure:
        """inferkit's over the best of theirs, within each round."""
        ours = self.best(file, ["inferkit"], figure, **setting)
        rival = self.best(file, theirs, "per_second", **setting)
        pairs = zip(ours.windows, rival.windows, strict=True)
        values = [getattr(a, figure) / getattr(b, figure) for a, b in pairs]
        return Figure.of(values, file, rival.system)


def _samples(system: dict[str, Any]) -> Samples:
    names = {field.name for field in fields(Window)}
    windows = [
        Window(**{name: value for name, value in window.items() if name in names})
        for window in system["windows"]
    ]
    return Samples(system["family"], system["system"], windows)
