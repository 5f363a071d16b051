"""What the charts show, without what draws it."""

import hashlib
import json

from benchmarks.figures import Results
from benchmarks.rounds import Samples, best_of_families

CALLERS = 64
PANELS = (("a", "asyncio"), ("b", "asyncio"), ("a", "threads"), ("b", "threads"))
"""Model and kind of caller."""


def systems(results: Results, model: str, kind: str) -> list[Samples]:
    """The best variant of each family, the slowest first."""
    found = results.systems(f"closed_loop_{model}", kind=kind, callers=CALLERS)
    best = best_of_families([each for each in found if each.family != "ideal"])
    return sorted(best, key=lambda each: each.median("per_second"))


def digest_of(results: Results) -> str:
    """Of what is drawn: each chart carries it, so that a stale one is seen."""
    drawn = [
        [(each.system, each.median("per_second"), each.spread("per_second")) for each in panel]
        for panel in (systems(results, model, kind) for model, kind in PANELS)
    ]
    return hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
