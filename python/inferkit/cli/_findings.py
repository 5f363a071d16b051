"""What the doctor says about one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``fail`` keeps inferkit from working, ``warn`` costs speed or surprise.

    Threads: immutable.
    """

    topic: str
    status: Status
    text: str
    fix: str | None = None


def guarded(topic: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what ``look`` finds; if it raises, say so as a finding instead."""
    try:
        return list(look())
    except Exception as error:  # whatever is odd about this machine, the other checks go on
        return [Finding(topic, "warn", f"could not be looked at: {type(error).__name__}: {error}")]
