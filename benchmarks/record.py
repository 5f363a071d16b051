"""What a benchmark leaves behind: one JSON file, and lines for a person."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import commit, describe
from benchmarks.rounds import Ratio, Samples


@dataclass
class Record:
    """One benchmark's parameters, samples and ratios, and where they were taken."""

    benchmark: str
    parameters: dict[str, Any]
    machine: dict[str, Any] = field(default_factory=describe)
    commit: str = field(default_factory=commit)
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    settings: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, setting: dict[str, Any], samples: Iterable[Samples], ratios: Iterable[Ratio]
    ) -> None:
        """One combination of parameters, such as model (a), asyncio, 64 callers."""
        self.settings.append(
            setting
            | {
                "systems": [each.as_dict() for each in samples],
                "ratios": [asdict(ratio) for ratio in ratios],
            }
        )

    def write(self, folder: Path) -> Path:
        """Writes ``folder/<benchmark>.json`` over the last one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.benchmark}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path


def print_samples(title: str, samples: Sequence[Samples], ratios: Sequence[Ratio]) -> None:
    """A table: one line per system, medians of the rounds, [least .. greatest]."""
    print(f"\n{title}")
    print(f"  {'':42}{'requests/s':>10} {'[rounds]':>19} {'p50 us':>9} {'p99 us':>9}", end=" ")
    print(f"{'CPU us':>7} {'foreign':>7} {'slowest caller':>14}")
    by_rate = sorted(samples, key=lambda each: -each.median("per_second"))
    for each in by_rate:
        low, high = each.spread("per_second")
        rounds = f"[{low:,.0f}..{high:,.0f}]"
        shares = [w.least_share for w in each.windows if w.least_share is not None]
        slowest = f"{median(shares):14.2f}" if shares else ""
        print(
            f"  {each.system:42}{each.median('per_second'):10,.0f} {rounds:>19}"
            f" {each.median('p50_us'):9,.1f} {each.median('p99_us'):9,.1f}"
            f" {each.median('cpu_us'):7,.1f} {each.median('foreign'):7.0%} {slowest}"
        )
    print_ratios(ratios)


def print_ratios(ratios: Sequence[Ratio]) -> None:
    """One line per comparison."""
    for ratio in ratios:
        print(
            f"  {ratio.ours} / {ratio.theirs}, {ratio.figure}: "
            f"{ratio.median:.2f} [{ratio.least:.2f}..{ratio.greatest:.2f}]"
        )
