"""Ctrl-C that is never kept waiting."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

PATIENCE = 0.7  # seconds for an orderly end
SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def leave_at_once() -> Iterator[None]:
    """Within: Ctrl-C raises KeyboardInterrupt, and ends the process if that takes too long.

    The main thread may be inside native code, or waiting for callers who are. So the watch hears
    of the signal through a pipe that C code writes to, and its thread needs no lock to end it all.
    """
    if os.name == "nt" or threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reading,), name="ctrl-c", daemon=True)
    watch.start()
    try:
        yield
    finally:
        # An interrupt keeps the watch: the interpreter's own end must not take long either.
        signal.set_wakeup_fd(before)
        os.close(writing)


def _watch(reading: int) -> None:
    """End the process ``PATIENCE`` after SIGINT; return when nobody can write any more."""
    while heard := os.read(reading, 64):
        if signal.SIGINT in heard:
            sleep(PATIENCE)
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
            os._exit(130)
    os.close(reading)
