"""What happens to sessions that are still open when Python exits: one order, written once."""

import atexit
import contextlib
import weakref
from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._session import Session

# In the order of their opening. Weak: being listed keeps nobody alive.
_open: "weakref.WeakValueDictionary[int, Session]" = weakref.WeakValueDictionary()


def close_at_exit(session: "Session") -> None:
    """Remember the session until it is gone."""
    _open[id(session)] = session


def _close_all() -> None:
    """Close what is open, the newest first: callers that wait get SessionClosedError.

    Then the thread of the futures' callbacks ends. Runs after Python has joined its own threads and
    before the interpreter goes down, so that no native thread asks for a GIL that nobody will give
    it.
    """
    with contextlib.ExitStack() as closing:
        # Whatever one of them raises, the others are closed, and the thread ends last.
        closing.callback(_core.stop_notifier)
        for session in _open.values():
            closing.callback(session.close, drain=False)


atexit.register(_close_all)
