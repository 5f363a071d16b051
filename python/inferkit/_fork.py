"""What a fork() waits for, so that its child does not wait for ever."""

import os

from . import _core

# Nothing is imported by inferkit later than it is itself: a child forked in the midst of an import
# would find the module locked by a thread that it does not have. No functions of Python's here:
# what a signal's handler raises in one is lost.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core.await_loads,
        after_in_parent=_core.let_loads_in,
        after_in_child=_core.drop_held_back,
    )
