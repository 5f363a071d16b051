"""What a fork() waits for, so that its child does not wait for ever."""

import os
from threading import RLock

from . import _core

importing = RLock()
"""Held by a thread that imports something late.

The child of a fork() in the midst of an import would find the module locked by a thread that it
does not have, and stop at its own import of it: CPython waits for nobody there.
"""


def _hold() -> None:
    _core.await_loads()
    importing.acquire()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold, after_in_parent=importing.release, after_in_child=importing.release
    )
