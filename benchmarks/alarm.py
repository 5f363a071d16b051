"""Waiting on an event loop until a moment, to some 50 us: asyncio's own timers round up to 1 ms."""

import asyncio
import ctypes
import os
from typing import Self

_MONOTONIC, _NONBLOCK, _ABSOLUTE = 1, 0o4000, 1


class Alarm:
    """A timerfd that the running loop watches. The loop sleeps meanwhile: it keeps no core busy."""

    def __init__(self) -> None:
        """On the running loop. Raises OSError where there is no timerfd (it is Linux')."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        create = getattr(self._libc, "timerfd_create", None)
        if create is None:
            raise OSError("open_loop: expected a system with timerfd (Linux)")
        self._descriptor = create(_MONOTONIC, _NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop = asyncio.get_running_loop()
        self._rung: asyncio.Future[None] | None = None
        self._loop.add_reader(self._descriptor, self._ring)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    async def until(self, moment_ns: int) -> None:
        """Returns at ``moment_ns`` of ``time.perf_counter_ns`` or a little later."""
        seconds, nanoseconds = divmod(moment_ns, 10**9)
        # Two timespecs: the interval, none, and the moment. One that has passed rings at once.
        times = (ctypes.c_long * 4)(0, 0, seconds, nanoseconds)
        self._rung = self._loop.create_future()
        self._libc.timerfd_settime(self._descriptor, _ABSOLUTE, times, None)
        await self._rung

    def _ring(self) -> None:
        os.read(self._descriptor, 8)
        if self._rung is not None and not self._rung.done():
            self._rung.set_result(None)
