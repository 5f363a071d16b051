"""Opening a session from an event loop."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar


class _Closeable(Protocol):
    def close(self, drain: bool = True) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closeable)


async def open_off_the_loop(load: Callable[[], _Opened]) -> _Opened:
    """Return what ``load`` opens on a thread. Cancelled meanwhile, it leaves nothing open."""
    opened: list[_Opened] = []
    unwanted = False

    def run() -> _Opened:
        session = load()
        opened.append(session)
        if unwanted:
            session.close(drain=False)
        return session

    try:
        return await asyncio.to_thread(run)
    except asyncio.CancelledError:
        # The thread cannot be stopped: whoever comes second here closes what it opened.
        unwanted = True
        for session in opened:
            session.close(drain=False)
        raise
