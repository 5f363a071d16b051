"""What happens to sessions that are still open when Python exits: one order, written once."""

import atexit
import contextlib
import time
import weakref
from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._session import Session

# In the order of their opening. Weak: being listed keeps nobody alive.
_open: "weakref.WeakValueDictionary[int, Session]" = weakref.WeakValueDictionary()


RUNNING_MAY_TAKE = 2.0
"""Seconds that running batches get where nobody waits for their answers any more."""


def close_at_exit(session: "Session") -> None:
    """Remember the session until it is gone."""
    _open[id(session)] = session


def _close_all() -> None:
    """Close what is open, the newest first: callers that wait get SessionClosedError.

    Running batches have ``RUNNING_MAY_TAKE`` together; then only the operators they are in.
    Then the thread of the futures' callbacks ends. Runs after Python has joined its own threads and
    before the interpreter goes down, so that no native thread asks for a GIL that nobody will give
    it.
    """
    end = time.monotonic() + RUNNING_MAY_TAKE

    def close(session: "Session") -> None:
        session.close(drain=False, timeout=max(0.0, end - time.monotonic()))

    with contextlib.ExitStack() as closing:
        # Whatever one of them raises, the others are closed, and the thread ends last.
        closing.callback(_core.stop_notifier)
        for session in _open.values():
            closing.callback(close, session)


atexit.register(_close_all)
