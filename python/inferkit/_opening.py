"""Opening a session from an event loop."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol, TypeVar


class _Closeable(Protocol):
    def close(self, drain: bool = True) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closeable)


async def open_off_the_loop(load: Callable[[], _Opened]) -> _Opened:
    """Return what ``load`` opens on a thread. Cancelled meanwhile, it leaves nothing open.

    The thread is its own, and none of the loop's executor: that may be busy for long, and Python
    imports it only when it is first asked for (``_fork.py`` says why that must not be).
    """
    import asyncio  # whoever awaits this has it already

    loop = asyncio.get_running_loop()
    told: asyncio.Future[_Opened] = loop.create_future()

    def tell(session: _Opened | None, error: BaseException | None) -> None:
        if error is not None and not told.done():
            told.set_exception(error)
        elif session is not None and not told.done():
            told.set_result(session)
        elif session is not None:
            session.close(drain=False)

    def run() -> None:
        session, failure = None, None
        try:
            session = context.run(load)
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(tell, session, failure)
        except RuntimeError:  # the loop is closed, so nobody waits any more
            if session is not None:
                session.close(drain=False)

    context = copy_context()
    threading.Thread(target=run, name="inferkit-open").start()
    try:
        return await told
    except asyncio.CancelledError:
        # The thread cannot be stopped: what it has opened, or will, is closed here, or by tell().
        if not told.cancelled() and told.exception() is None:
            told.result().close(drain=False)
        raise
