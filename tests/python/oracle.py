"""What must hold of a session, in plain Python: who is let in, how requests end, what is counted.

It knows nothing of queues, batches or threads. ``test_state_machine.py`` asks a real session and
the oracle the same things.
"""

import asyncio
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import dataclass

import inferkit
import numpy as np
from numpy.typing import NDArray

COLUMNS = 1024  # of an answer: four rows are 16 KiB, from where a result is a view of its batch
BAD = -2.0  # such a row fails its run

# How a request may end, as the ledger calls it.
ENDS = ("answered", "failed", "cancelled", "expired", "closed")

# What a caller sees of a request that ended so, or of a call that was refused so.
SEEN: dict[str | None, tuple[type[BaseException], ...]] = {
    "failed": (inferkit.InvalidInputError, inferkit.BackendError),
    "cancelled": (CancelledError, asyncio.CancelledError),
    "expired": (inferkit.DeadlineExceededError,),
    "closed": (inferkit.SessionClosedError,),
    "full": (inferkit.QueueFullError,),
    "no room in time": (inferkit.DeadlineExceededError,),
}


@dataclass
class Ask:
    """One request. No two have a value in common, so an answer tells whose it is."""

    number: int
    rows: int
    bad: bool = False
    priority: int = 0
    end: str | None = None  # one of SEEN, or "answered"

    def feed(self) -> NDArray[np.float32]:
        """A new ``x[rows, 1]`` of fractions, which add up to few rounds and are exact."""
        whole = 32 * self.number + np.arange(self.rows)
        assert self.rows <= 32 and whole[-1] < 1 << 23
        x = (whole / (1 << 23)).astype(np.float32)[:, None]
        if self.bad:
            x[-1] = BAD
        return x

    def answer(self) -> NDArray[np.float32]:
        """The only right one, bit for bit."""
        return np.repeat(self.feed(), COLUMNS, axis=1)


class Oracle:
    """A session of ``room`` requests at most. Those who wait for room stand in ``line``."""

    def __init__(self, room: int, waits: bool) -> None:
        self.room, self.waits = room, waits
        self.pending: dict[int, Ask] = {}  # accepted and not ended
        self.line: list[Ask] = []
        self.counts: Counter[str] = Counter()
        self.closing = False

    @property
    def full(self) -> bool:
        """Whether nobody is let in."""
        return len(self.pending) >= self.room

    def verdict(self, when_full: str | None, late: bool) -> str:
        """What a call must meet now: "closed", "full", "no room in time", "line" or "accepted".

        Args:
            when_full: As in the call.
            late: Its timeout will have run out before anything moves.
        """
        if self.closing:
            return "closed"
        if not self.full:
            return "accepted"
        if when_full == "raise" or (when_full is None and not self.waits):
            self.counts["rejected"] += 1
            return "full"
        return "no room in time" if late else "line"

    def accept(self, ask: Ask) -> None:
        """A request was let in."""
        assert ask.end is None and not self.full and not self.closing
        self.pending[ask.number] = ask
        self.counts["accepted"] += 1

    def end(self, ask: Ask, how: str) -> None:
        """An accepted request ends, once and for all; whoever waits first is let in."""
        assert how in ENDS and ask.end is None
        del self.pending[ask.number]
        ask.end = how
        self.counts[how] += 1
        while self.line and not self.full and not self.closing:
            self.accept(self.line.pop(0))

    def cancel(self, ask: Ask) -> None:
        """A queued request is taken back. One in line leaves it, and nothing is counted."""
        if ask in self.line:
            self.line.remove(ask)
            ask.end = "cancelled"
        else:
            self.end(ask, "cancelled")

    def run_all(self) -> None:
        """Everything runs, also what waits in line."""
        while self.pending:
            ask = next(iter(self.pending.values()))
            self.end(ask, "failed" if ask.bad else "answered")

    def close(self, drain: bool) -> None:
        """No more are accepted, nor those in line; the others run, or end as closed."""
        self.closing = True
        for ask in self.line:
            ask.end = "closed"  # as its caller sees it; it was never counted
        self.line = []
        if not drain:
            for ask in list(self.pending.values()):
                self.end(ask, "closed")

    def note_stopped(self, failed: int) -> None:
        """Time ran out for a close: the run that it met, if it met one, failed."""
        stopped = failed - self.counts["failed"]
        assert stopped in (0, 1)
        self.counts.update(failed=stopped, closed=-stopped)

    def ledger(self) -> dict[str, int]:
        """What ``stats()`` must say of it."""
        counted = {name: self.counts[name] for name in ("accepted", "rejected", *ENDS)}
        return {**counted, "in_flight": len(self.pending), "undeliverable": 0}
