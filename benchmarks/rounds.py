"""Alternation: every round measures every system once, in another order each time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

from benchmarks.peers.peer import Peer
from benchmarks.window import Window, settle


@dataclass
class Samples:
    """All windows of one system in one setting, in the order of the rounds."""

    family: str
    system: str
    windows: list[Window] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """Median over the rounds of ``per_second``, ``p50_us``, ``p99_us``, ``cpu_us``..."""
        return float(median(getattr(window, figure) for window in self.windows))

    def spread(self, figure: str) -> tuple[float, float]:
        """Least and greatest over the rounds."""
        values = [getattr(window, figure) for window in self.windows]
        return min(values), max(values)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, every window included."""
        return {
            "family": self.family,
            "system": self.system,
            "windows": [window.as_dict() for window in self.windows],
        }


AnyPeer = TypeVar("AnyPeer", bound=Peer)


def alternate(
    peers: Sequence[AnyPeer], rounds: int, measure: Callable[[AnyPeer], Window]
) -> list[Samples]:
    """``rounds`` windows of each peer; the order turns by one each round and flips every other."""
    samples = [Samples(peer.family, peer.name) for peer in peers]
    for turn in range(rounds):
        order = [(turn + i) % len(peers) for i in range(len(peers))]
        if turn % 2:
            order.reverse()
        for i in order:
            settle()
            samples[i].windows.append(measure(peers[i]))
    return samples


def best_of_families(samples: Sequence[Samples], figure: str = "per_second") -> list[Samples]:
    """Of each family the variant with the best median: the greatest rate, the least time."""
    best: dict[str, Samples] = {}
    for each in samples:
        rival = best.get(each.family)
        sign = 1 if figure == "per_second" else -1
        if rival is None or sign * each.median(figure) > sign * rival.median(figure):
            best[each.family] = each
    return list(best.values())


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs, computed within each round, so that slow seconds cancel."""

    ours: str
    theirs: str
    figure: str
    median: float
    least: float
    greatest: float

    @staticmethod
    def of(ours: Samples, theirs: Samples, figure: str) -> "Ratio":
        """Round by round; both have the same number of rounds."""
        pairs = zip(ours.windows, theirs.windows, strict=True)
        each = [getattr(a, figure) / getattr(b, figure) for a, b in pairs]
        return Ratio(ours.system, theirs.system, figure, median(each), min(each), max(each))
