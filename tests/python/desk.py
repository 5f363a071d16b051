"""Every way to call a session, from one thread: futures, tasks and threads in ``run`` alike."""

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import inferkit
from occupied import PATIENCE
from oracle import Ask


@dataclass
class Caller:
    """Who asked, and what he holds: the future, the task, or the future of a thread in ``run``."""

    ask: Ask
    handle: Any = None
    told: list[int] = field(default_factory=list)  # ids of what his callback was given


class Desk:
    """Sends requests. ``hear`` is called for every future that is done, before ``told`` says so."""

    def __init__(self, hear: Callable[[Caller], None]) -> None:
        self.loop, self.threads = asyncio.new_event_loop(), ThreadPoolExecutor(8)
        self._hear = hear

    def tick(self) -> None:
        """Each task takes a step."""
        self.loop.run_until_complete(asyncio.sleep(0))

    def send(
        self, session: inferkit.Session, kind: str, ask: Ask, feeds: Any, **arguments: Any
    ) -> Caller:
        """Ask by the method that ``kind`` names; a refusal is an outcome too."""
        caller = Caller(ask)
        call = partial(getattr(session, kind), feeds, priority=ask.priority, **arguments)
        if kind == "run":
            caller.handle = self.threads.submit(call)
        elif kind == "run_async":
            caller.handle = self.loop.create_task(call())
            self.tick()
        else:
            try:
                caller.handle = call()
                caller.handle.add_done_callback(partial(self._note, caller))
            except inferkit.InferkitError as error:
                caller.handle = Future()
                caller.handle.set_exception(error)
        return caller

    def _note(self, caller: Caller, future: object) -> None:
        self._hear(caller)
        caller.told.append(id(future))

    def outcome(self, handle: Any) -> object:
        """The result or error of what has ended or is about to."""
        try:
            if isinstance(handle, asyncio.Task):
                return self.loop.run_until_complete(asyncio.wait_for(handle, PATIENCE))
            return handle.result(PATIENCE)
        except (Exception, CancelledError, asyncio.CancelledError) as error:
            return error

    def close(self) -> None:
        """When every request has ended."""
        self.threads.shutdown()
        self.loop.close()
