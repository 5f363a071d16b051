"""The future that ``Session.submit`` returns."""

import concurrent.futures
import logging
import math
import os
import time
from collections.abc import Callable
from typing import Any

from . import _core
from .errors import ForkedSessionError, InvalidInputError

_logger = logging.getLogger("concurrent.futures")  # as every other future's

# Seconds. A thread that waits for a lock without an end hears nothing that another sets for it.
_LOOKS_UP_EVERY = 0.1


_ENDED = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")


def _wake(waiter: Any) -> None:
    # Not event.set(), which would wait for ever for a lock that an interrupted one holds. Who waits
    # for all of several futures may return too soon: better than never.
    event = waiter.event
    locked = event._cond.acquire(timeout=_LOOKS_UP_EVERY)
    event._flag = True
    event._cond.notify_all()
    if locked:
        event._cond.release()


class Future(concurrent.futures.Future[_core.Result]):
    """An answer to come; made by ``Session.submit`` only.

    A ``concurrent.futures.Future`` in every respect: ``concurrent.futures.wait`` and
    ``as_completed``, ``asyncio.wrap_future`` and done-callbacks work. Callbacks run one after the
    other on one thread of inferkit's, which must not wait in them: for the answer of another
    future, ``result()`` and ``exception()`` raise RuntimeError there. ``Session.run`` is fine; with
    ``when_full="wait"`` it waits for the room that running requests will make, no longer.
    """

    __module__ = "inferkit"

    _call: _core.PendingCall
    _done_callbacks: list[Callable[[Any], object]]
    _waiters: list[Any]
    _told = False  # all waiters were; a callback may raise after that

    def cancel(self) -> bool:
        """Take the request back while it is queued.

        Returns:
            True if the future is cancelled, now or before; False if its batch runs or it is done.
        """
        if self.done():
            return self.cancelled()
        # If not by this call, another thread may just have cancelled it.
        return self._call.cancel() or self.cancelled()

    def _end(self, outcome: _core.Result | BaseException | None, again: bool) -> None:
        # Called by the native half, with None for a cancelled one; again, where an exception came
        # into it (Ctrl-C, one of another thread's): what set_result(), set_exception() and cancel()
        # do, by steps that go on where they were left.
        # The lock itself: the condition enters and leaves it by steps, between which it would stay
        # locked for ever.
        with self._condition._lock:  # type: ignore[attr-defined]
            if not again and self._state in _ENDED:
                return  # somebody else has set something
            if outcome is None:
                state, tell = "CANCELLED_AND_NOTIFIED", "add_cancelled"
            elif isinstance(outcome, BaseException):
                state, tell = "FINISHED", "add_exception"
                self._exception = outcome
            else:
                state, tell = "FINISHED", "add_result"
                self._result = outcome
            self._state = state
            self._condition.notify_all()
            for waiter in () if self._told else self._waiters:
                if again and self in waiter.finished_futures:
                    _wake(waiter)  # it may not have come to that
                else:
                    getattr(waiter, tell)(self)
            self._told = True
        self._invoke_callbacks()

    def _invoke_callbacks(self) -> None:
        while self._done_callbacks:
            callback = self._done_callbacks.pop(0)
            try:
                callback(self)
            except Exception:
                _logger.exception("exception calling callback for %r", self)

    def running(self) -> bool:
        """Tell whether it is too late to cancel and too early for the answer."""
        return not self.done() and self._call.running()

    def result(self, timeout: float | None = None) -> _core.Result:
        """Wait for the answer.

        Args:
            timeout: Seconds to wait; the request lives on. Default: no limit.

        Returns:
            What ``Session.run`` returns.

        Raises:
            TimeoutError: The answer was not there in time.
            concurrent.futures.CancelledError: The future was cancelled.
            RuntimeError: Called from a callback of another future, before the answer.
            ForkedSessionError: The future is the parent process's.
            InvalidInputError: The timeout is no number.
            InferkitError: As ``Session.run``.
        """
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the answer and return what ``result`` would raise, or None.

        Args:
            timeout: As in ``result``.

        Raises:
            TimeoutError: The answer was not there in time.
            concurrent.futures.CancelledError: The future was cancelled.
            RuntimeError: Called from a callback of another future, before the answer.
            ForkedSessionError: The future is the parent process's.
        """
        self._wait(timeout)
        return super().exception(0)

    def _wait(self, timeout: float | None) -> None:
        end = float("inf") if timeout is None else time.monotonic() + timeout
        if math.isnan(end):
            raise InvalidInputError(f"timeout is {timeout}, expected a number of seconds")
        while not self.done():
            self._refuse_endless_wait()  # each time: a signal's handler may have forked
            with self._condition:
                if not self.done() and (left := end - time.monotonic()) > 0:
                    self._condition.wait(min(left, _LOOKS_UP_EVERY))
            if time.monotonic() >= end:
                return

    def _refuse_endless_wait(self) -> None:
        if self._call.forked():
            raise ForkedSessionError(
                "this future was made before fork() and is answered in the parent process only; "
                "open a session and submit in the child"
            )
        if _core.on_notifier_thread():
            raise RuntimeError(
                "a callback of one future waits for another: both need the same thread; "
                "use add_done_callback() on the other one, or Session.run()"
            )


def _free_conditions() -> None:
    """Make futures usable in a child of fork(): a thread of the parent may have been inside one."""
    for condition in _core.future_conditions():
        # What the thread that forked holds, as a handler of signals may, is held by it here too.
        if not condition._is_owned():
            condition._at_fork_reinit()  # as the interpreter does with its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_conditions)
