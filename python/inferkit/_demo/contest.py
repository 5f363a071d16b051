"""Measures onnxruntime called directly beside inferkit, in alternating slices of one run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .answers import Check, Gathered, check
from .callers import AsyncCall, Call, Feeds, Slice, ask_in_tasks, ask_in_threads

if TYPE_CHECKING:
    from inferkit import Session

    from .progress import Progress

STYLES = {"threads": "64 threads", "asyncio": "64 asyncio tasks"}
BATCHES = (1, 8, 64)  # rows per direct call when asking what a batch could give


@dataclass(frozen=True)
class Plan:
    """How long to measure: every side gets ``rounds`` slices of ``seconds`` each.

    After that, inferkit gets at most ``rest`` seconds for the rows it was not asked for.
    """

    seconds: float
    rounds: int
    requests_per_second: int  # more than any side can answer: it sizes the arrays
    rest: float = float("inf")

    @property
    def total(self) -> float:
        """Seconds planned for the whole contest: five sides, then the batches."""
        return 5 * self.rounds * self.seconds + len(BATCHES) * self.seconds / 2


@dataclass
class Side:
    """One way to serve the callers, and what was measured of it."""

    name: str
    style: str
    call: Call | None = None
    call_async: AsyncCall | None = None
    slices: list[Slice] = field(default_factory=list)

    @property
    def ours(self) -> bool:
        """Whether inferkit serves."""
        return self.name == "inferkit"

    @property
    def answered(self) -> int:
        """Requests answered so far."""
        return sum(part.count for part in self.slices)

    @property
    def rates(self) -> list[float]:
        """Requests per second of each slice."""
        return [part.count / part.elapsed if part.count else 0.0 for part in self.slices]

    @property
    def rate(self) -> float:
        """Requests per second, the median of the slices."""
        return float(np.median(self.rates))

    def latency(self, percent: float) -> float:
        """Milliseconds within which ``percent`` of all requests were answered."""
        every = np.concatenate([part.latencies for part in self.slices])
        return float(np.percentile(every, percent)) * 1e3 if len(every) else 0.0


@dataclass
class Outcome:
    """Everything a contest measured; ``report`` turns it into text or JSON."""

    sides: list[Side]
    batch_sizes: dict[str, Counter[int]]  # style -> rows in a batch -> batches
    direct_by_batch: dict[int, float]  # rows per direct call -> rows per second, one caller
    check: Check
    answers: NDArray[np.float32]  # inferkit's answer to each row [rows, width]
    answered: NDArray[np.bool_]  # whether there was time for the row [rows]
    explain: str

    @property
    def batch_gain(self) -> float:
        """Rows per second of the best direct batch over those of single rows."""
        single = self.direct_by_batch[1]
        return max(rate for rows, rate in self.direct_by_batch.items() if rows > 1) / single


class Contest:
    """One model, its rows, and both ways to serve them.

    Threads: one (it starts and ends its own callers). Owns: nothing; the session is the caller's.
    Blocks: for about ``plan.total`` seconds. Throws: whatever a side raises.
    """

    def __init__(
        self,
        title: str,
        session: Session,
        direct: Any,
        rows: NDArray[Any],
        plan: Plan,
        progress: Progress,
    ) -> None:
        self._title, self._session, self._direct = title, session, direct
        self._plan, self._progress = plan, progress
        self._rows = rows
        self._input = session.inputs[0].name
        self._output = session.outputs[0].name
        self._feeds: list[Feeds] = [{self._input: rows[i : i + 1]} for i in range(len(rows))]
        width = direct.run(None, self._feeds[0])[0].shape[1]
        self._expected, self._got = Gathered(len(rows), width), Gathered(len(rows), width)
        self.sides = self._make_sides()
        self._batch_sizes: dict[str, Counter[int]] = {style: Counter() for style in STYLES}

    def _make_sides(self) -> list[Side]:
        direct, session, output = self._direct, self._session, self._output

        def call_direct(feeds: Feeds) -> NDArray[Any]:
            return direct.run(None, feeds)[0]  # type: ignore[no-any-return]

        async def call_on_loop(feeds: Feeds) -> NDArray[Any]:
            answer = direct.run(None, feeds)[0]
            await asyncio.sleep(0)  # or the other callers would never have their turn
            return answer  # type: ignore[no-any-return]

        async def call_in_thread(feeds: Feeds) -> NDArray[Any]:
            return (await asyncio.to_thread(direct.run, None, feeds))[0]  # type: ignore[no-any-return]

        async def call_inferkit(feeds: Feeds) -> NDArray[Any]:
            answer: NDArray[Any] = (await session.run_async(feeds))[output]
            return answer

        return [
            Side("onnxruntime", "threads", call=call_direct),
            Side("inferkit", "threads", call=lambda feeds: session.run(feeds)[output]),
            Side("onnxruntime on the loop", "asyncio", call_async=call_on_loop),
            Side("onnxruntime in to_thread", "asyncio", call_async=call_in_thread),
            Side("inferkit", "asyncio", call_async=call_inferkit),
        ]

    def run(self) -> Outcome:
        """Measure every side, answer the rows not yet answered, check the answers."""
        for _ in range(self._plan.rounds):
            for side in self.sides:
                self._measure(side)
        for side in self.sides:
            for part in side.slices:
                (self._got if side.ours else self._expected).learn(part)
        answered = [part for side in self.sides if side.ours for part in side.slices]
        answered += self._answer_the_rest(self.sides[1])
        return Outcome(
            self.sides,
            self._batch_sizes,
            self._by_batch(),
            check(answered, self._expected),
            self._got.answers,
            self._got.known,
            self._session.explain(),
        )

    def _measure(self, side: Side) -> None:
        plan, style = self._plan, STYLES[side.style]
        self._progress.begin(f"{self._title}: {style}, {side.name}", plan.seconds)
        # inferkit's two sides walk the rows together, so that all are answered sooner; so do
        # onnxruntime's three.
        first = sum(other.answered for other in self.sides if other.ours == side.ours)
        capacity = int(plan.requests_per_second * plan.seconds)
        part = Slice(first, capacity, self._expected.answers.shape[1])
        before = Counter(self._session.stats().batch_sizes)
        if side.call is not None:
            ask_in_threads(side.call, self._feeds, part, plan.seconds, self._progress.tick)
        elif side.call_async is not None:
            ask_in_tasks(side.call_async, self._feeds, part, plan.seconds, self._progress.tick)
        if side.ours:
            self._batch_sizes[side.style].update(
                Counter(self._session.stats().batch_sizes) - before
            )
        side.slices.append(part)

    def _answer_the_rest(self, side: Side) -> list[Slice]:
        """Ask from 64 threads for the rows inferkit was not asked for, while there is time."""
        first, total = self._got.first_missing(), len(self._feeds)
        if first is None or side.call is None:
            return []
        self._progress.begin(f"{self._title}: the remaining {total - first} rows", 0.0)
        rest = Slice(first, total - first, self._got.answers.shape[1])
        ask_in_threads(side.call, self._feeds, rest, self._plan.rest, self._progress.tick)
        self._got.learn(rest)
        return [rest]

    def _by_batch(self) -> dict[int, float]:
        """Rows per second of one caller who hands onnxruntime batches made beforehand."""
        seconds = self._plan.seconds / 2
        return {rows: self._one_caller(rows, seconds) for rows in BATCHES}

    def _one_caller(self, size: int, seconds: float) -> float:
        self._progress.begin(f"{self._title}: direct calls of {size} rows", seconds)
        turns = max(1, min(len(self._rows) // size, 64))
        repeated = np.resize(self._rows, (max(len(self._rows), size), *self._rows.shape[1:]))
        batches = [{self._input: repeated[i * size : (i + 1) * size]} for i in range(turns)]
        run = partial(self._direct.run, None)
        began, done = perf_counter(), 0
        while (spent := perf_counter() - began) < seconds or not done:
            run(batches[done % turns])
            done += 1
        return done * size / spent if spent else 0.0


def best_direct(sides: Sequence[Side], style: str) -> Side:
    """Return the faster of onnxruntime's sides for ``style``."""
    return max((s for s in sides if s.style == style and not s.ours), key=lambda s: s.rate)
