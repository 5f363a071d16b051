"""Event loops of every kind that a user may run."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class WithoutAddReader(asyncio.SelectorEventLoop):
    """As the proactor loop of another system: it watches no descriptors."""

    def add_reader(self, fd: object, callback: object, *args: object) -> None:
        raise NotImplementedError


def _debug() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


def _python_tasks() -> asyncio.AbstractEventLoop:
    """Tasks in Python, which see no fast path of the C ones."""
    loop = asyncio.new_event_loop()
    python_task = asyncio.tasks._PyTask  # type: ignore[attr-defined]
    loop.set_task_factory(lambda loop, coro, **more: python_task(coro, loop=loop, **more))
    return loop


def _eager_tasks() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


KINDS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "debug": _debug,
    "python tasks": _python_tasks,
    "uvloop": uvloop.new_event_loop,
    "without add_reader": WithoutAddReader,
}
if sys.version_info >= (3, 12):
    KINDS["eager tasks"] = _eager_tasks


def run_on(kind: str, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new loop of the kind, as `asyncio.run` does."""
    with contextlib.closing(main), asyncio.Runner(loop_factory=KINDS[kind]) as runner:
        return runner.run(main)
