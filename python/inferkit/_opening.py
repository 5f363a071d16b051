"""Opening a session from an event loop."""

import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol, TypeVar


class _Closeable(Protocol):
    def close(self, drain: bool = True) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closeable)


async def open_off_the_loop(load: Callable[[], _Opened]) -> _Opened:
    """Return what ``load`` opens on a thread. Whoever stops waiting for it leaves nothing open.

    The thread is its own, and none of the loop's executor: that may be busy for long, and Python
    imports it only when it is first asked for (``_fork.py`` says why that must not be).
    """
    import asyncio  # whoever awaits this has it already

    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()
    opened: deque[_Opened] = deque(maxlen=1)  # who takes it out owns it
    unwanted = False

    def close_unwanted() -> None:
        """Close what was opened, unless the other side has: each asks once it knows of both."""
        if unwanted and opened:
            try:
                session = opened.pop()
            except IndexError:
                return
            session.close(drain=False)

    def tell(error: BaseException | None) -> None:
        if told.done():
            return
        if error is not None:
            told.set_exception(error)
        else:
            told.set_result(None)

    def run() -> None:
        nonlocal unwanted
        failure = None
        try:
            opened.append(context.run(load))
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(tell, failure)
        except RuntimeError:  # the loop is closed, so nobody waits any more
            unwanted = True
        # Not in tell(): a loop that is about to close takes a call and never makes it.
        close_unwanted()

    context = copy_context()
    threading.Thread(target=run, name="inferkit-open").start()
    try:
        await told
    except BaseException:  # cancelled, or the coroutine is thrown away with its loop
        unwanted = True  # the thread cannot be stopped: what it is yet to open, it closes
        close_unwanted()
        if told.done() and not told.cancelled():
            told.exception()  # asked for, or asyncio logs that nobody did
        raise
    return opened.pop()
