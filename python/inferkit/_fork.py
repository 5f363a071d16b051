"""What a fork() waits for, so that its child does not wait for ever."""

import os
from threading import RLock

from . import _core

importing = RLock()
"""Held by a thread that imports something late.

The child of a fork() in the midst of an import would find the module locked by a thread that it
does not have, and stop at its own import of it: CPython waits for nobody there.
"""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=importing.acquire,
        after_in_parent=importing.release,
        after_in_child=importing.release,
    )
    # The first of all hooks before, and after the others. No functions of Python's: what a signal's
    # handler raises in a hook is lost.
    os.register_at_fork(
        before=_core.await_loads,
        after_in_parent=_core.raise_held_back,
        after_in_child=_core.drop_held_back,
    )
