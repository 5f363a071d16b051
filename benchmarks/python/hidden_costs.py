"""What a caller pays that he does not see: the copy of his rows, and the runs made for others.

Copy: ``submit`` of rows of some size beside numpy's copy of them. Lending: callers in threads, told
apart by the processor time of their threads: who ran a batch himself, and who only rode in one.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import Any

import inferkit
import numpy as np

from benchmarks import models
from benchmarks.peers.peer import Row
from benchmarks.record import Record
from benchmarks.settings import Settings
from tests.python import onnx_models

SIZES = (128, 4 << 10, 64 << 10, 1 << 20, 16 << 20)
CALLERS = (2, 8, 64)


def run(settings: Settings) -> Record:
    """Copies of each size, and lending for each model and number of callers."""
    record = Record("hidden_costs", vars(settings) | {"bytes": SIZES, "callers": CALLERS})
    print(f"\n  {'copy of':>12}{'submit, p50 us':>18}{'numpy, p50 us':>18}")
    for size in SIZES:
        submits, copies = _copies(size, settings)
        record.settings.append({"bytes": size, "submit_us": submits, "numpy_copy_us": copies})
        print(f"  {size:10,} B{median(submits):18.1f}{median(copies):18.1f}")
    for name in settings.models:
        with models.built(name) as model, inferkit.Session(model.path) as session:
            for callers in CALLERS:
                calls = _lend(session, model.rows, callers, settings.window_s)
                record.settings.append({"model": str(model), "callers": callers} | _split(calls))
                print(f"  {model}, {callers} threads: {_split(calls)}")
    return record


def _copies(size: int, settings: Settings) -> tuple[list[float], list[float]]:
    """p50 of each round, in microseconds."""
    rows = np.zeros((1, size // 4), np.float32)
    submits: list[float] = []
    copies: list[float] = []
    model = onnx_models.identity(shape=("batch", size // 4))
    with inferkit.Session(model, warmup=False) as session:
        for _ in range(settings.rounds):
            submits.append(_p50_us(lambda: session.submit(rows), settings.window_s / 4))
            copies.append(_p50_us(rows.copy, settings.window_s / 4))
    return submits, copies


def _p50_us(call: Callable[[], Any], seconds: float) -> float:
    took: list[float] = []
    until = perf_counter_ns() + int(seconds * 1e9)
    while perf_counter_ns() < until:
        before = perf_counter_ns()
        made = call()
        took.append((perf_counter_ns() - before) / 1e3)
        if isinstance(made, inferkit.Future):
            made.result()
    return median(took)


@dataclass(frozen=True)
class Called:
    """One call: how long it took, and how much of that its own thread computed."""

    wall_us: float
    own_cpu_us: float
    run_us: float
    batch_rows: int

    @property
    def lent(self) -> bool:
        """Whether the thread made the run itself, and did not sleep meanwhile."""
        return self.own_cpu_us > self.run_us / 2


def _lend(
    session: inferkit.Session, rows: Sequence[Row], callers: int, seconds: float
) -> list[Called]:
    calls: list[list[Called]] = [[] for _ in range(callers)]
    until = perf_counter_ns() + int(seconds * 1e9)

    def body(row: Row, into: list[Called]) -> None:
        while perf_counter_ns() < until:
            own, wall = thread_time_ns(), perf_counter_ns()
            info = session.run(row).info
            took, spent = perf_counter_ns() - wall, thread_time_ns() - own
            run_us = info.run_seconds * 1e6
            into.append(Called(took / 1e3, spent / 1e3, run_us, info.batch_rows))

    pairs = zip(rows, calls, strict=False)
    threads = [threading.Thread(target=body, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for mine in calls for each in mine]


def _split(calls: Sequence[Called]) -> dict[str, float]:
    lent = [each for each in calls if each.lent]
    rode = [each for each in calls if not each.lent]

    def middle(of: Sequence[Called], figure: str) -> float:
        return round(median(getattr(each, figure) for each in of), 1) if of else 0.0

    return {
        "lent_share": round(len(lent) / len(calls), 3),
        "lent_p50_us": middle(lent, "wall_us"),
        "lent_own_cpu_us": middle(lent, "own_cpu_us"),
        "lent_batch_rows": middle(lent, "batch_rows"),
        "rode_p50_us": middle(rode, "wall_us"),
        "rode_own_cpu_us": middle(rode, "own_cpu_us"),
        "rode_batch_rows": middle(rode, "batch_rows"),
    }
