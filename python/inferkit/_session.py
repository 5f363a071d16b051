"""The session: a model, its queue and its threads."""

import os
import warnings
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, Unpack

from numpy.typing import ArrayLike

from . import _core
from ._exit import RUNNING_MAY_TAKE, close_at_exit
from ._inputs import entries_of, own_arrays
from ._opening import open_off_the_loop
from ._options import (
    ConfigValue,
    Model,
    SessionOptions,
    check_model,
    check_options,
    default_name,
    refuses_unknown_options,
)
from ._runtime import find_runtime
from .errors import SessionClosedError

if TYPE_CHECKING:
    from ._future import Future

Feeds: TypeAlias = Mapping[str, ArrayLike] | ArrayLike
"""Input name to array-like, or the bare array for a model with one input."""


class Session(_core.SessionCore):
    """A model being served inside this process, with batches that form themselves.

    Call it from any number of threads and event loops at once: ``run`` blocks, ``submit`` returns
    a future, ``run_async`` is awaited. Requests that wait at the same moment travel in one batch;
    a request that is alone runs at once, on the caller's own thread. Close it when done, best by
    ``with`` or ``async with``.

    Args:
        model: Path of an ONNX file, or the model's bytes.
        max_batch_size: Rows in one batch at most. ``"auto"``: 64, and as many in a batch of
            several requests as warm-up found cheap: 1 where batching does not pay. A request of
            more rows (up to 1,048,576) runs in parts, one after the other, and has one answer.
        max_delay: Seconds that a request may be held back for company. 0: never.
        instances: How many batches may run at once. ``"auto"``: one per usable core.
        threads: Threads that a batch may use while it runs alone. ``"auto"``: every usable core.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. ``"auto"``: the CPU.
        providers: ONNX Runtime's execution providers instead of ``device``, most wanted first.
        provider_options: Provider -> its options.
        session_config: ONNX Runtime's session configuration entries.
        max_pending: Requests accepted and not yet answered at most.
        max_pending_bytes: Bytes of their inputs at most; and a quarter of max_memory_bytes.
        max_memory_bytes: Bytes at most of all that requests hold: their inputs, batches, what the
            model computes in, and results that callers keep, of which those beyond a half (or
            512 MiB) become arrays of the callers' own. The weights come on top. Over it a call
            raises QueueFullError or OutOfMemoryError. ``"auto"``: half of the memory that the
            process may use, at least 1 GiB.
        when_full: What a call does beyond that: ``"raise"`` QueueFullError, or ``"wait"`` for room
            (within the call's timeout).
        batch_axis: ``0``: axis 0 of every tensor counts rows, or the session refuses to open.
            ``None``: one request per run. ``"auto"``: axis 0 if the model allows it and a check
            shows that rows do not influence each other; ``explain()`` tells the verdict.
        warmup: Run the model on made-up rows before the first request, to check and to measure.
        name: How logs and ``repr`` call it. Default: the file's name without its ending.

    Raises:
        InvalidInputError: An option does not fit; the text names it.
        ModelLoadError: The file is missing or ONNX Runtime cannot load it.
        RuntimeNotFoundError: No usable ONNX Runtime is installed.
        SystemLimitError: The system has no thread left.

    Blocks:
        While the model is loaded and warmed up; ``await Session.open(...)`` does so off the loop.
    """

    __module__ = "inferkit"

    @refuses_unknown_options
    def __init__(
        self,
        model: Model,
        *,
        max_batch_size: int | Literal["auto"] = "auto",
        max_delay: float = 0.0,
        instances: int | Literal["auto"] = "auto",
        threads: int | Literal["auto"] = "auto",
        device: str = "auto",
        providers: Sequence[str] | None = None,
        provider_options: Mapping[str, Mapping[str, ConfigValue]] | None = None,
        session_config: Mapping[str, ConfigValue] | None = None,
        max_pending: int = 1024,
        max_pending_bytes: int = 256 << 20,
        max_memory_bytes: int | Literal["auto"] = "auto",
        when_full: Literal["raise", "wait"] = "raise",
        batch_axis: Literal["auto", 0] | None = "auto",
        warmup: bool = True,
        name: str | None = None,
    ) -> None:
        source = check_model(model)
        options = check_options(
            {
                "max_batch_size": max_batch_size,
                "max_delay": max_delay,
                "instances": instances,
                "threads": threads,
                "device": device,
                "providers": providers,
                "provider_options": provider_options,
                "session_config": session_config,
                "max_pending": max_pending,
                "max_pending_bytes": max_pending_bytes,
                "max_memory_bytes": max_memory_bytes,
                "when_full": when_full,
                "batch_axis": batch_axis,
                "warmup": warmup,
                "name": name,
            },
            default_name(source["model"], source["path"]),
        )
        _core.open_session(self, library=os.fsencode(find_runtime()), **source, **options)
        close_at_exit(self)

    @classmethod
    async def open(cls, model: Model, **options: Unpack[SessionOptions]) -> Self:
        """Load a model without blocking the event loop.

        Args:
            model: As in the constructor.
            options: As in the constructor.

        Returns:
            The open session, ready to serve.

        Raises:
            InferkitError: As the constructor.
        """
        return await open_off_the_loop(partial(cls, model, **options))

    def map(
        self,
        feeds: Iterable[Feeds],
        *,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Iterator[_core.Result]:
        """Answer many requests, in their order.

        Reads ahead of the answers it has given by at most half of ``max_pending``, and waits for
        room where others have filled the session. Answers are handed out between two entries, so
        one may wait for the next of them. Closing the iterator cancels what it has queued. What
        is read ahead counts in requests, not in bytes: for large answers, lower ``max_pending``.

        Args:
            feeds: One entry per request, each as in ``run``. Read lazily.
            outputs: As in ``run``.
            timeout: Seconds for each request, from when it is read.
            priority: As in ``run``.

        Yields:
            One result per entry.

        Raises:
            InferkitError: As ``run``, when the turn of the failed request comes.
        """
        pending: deque[Future] = deque()
        window = max(1, self._max_pending // 2)
        send = partial(
            self.submit, outputs=outputs, timeout=timeout, priority=priority, when_full="wait"
        )
        try:
            for entry in feeds:
                yield from _oldest(pending, window)
                try:
                    pending.append(send(entry))
                except Exception:  # refused before its turn: those before it come first
                    yield from _oldest(pending, 1)
                    raise
            yield from _oldest(pending, 1)
        finally:
            for future in pending:
                future.cancel()

    async def map_async(
        self,
        feeds: Iterable[Feeds] | AsyncIterable[Feeds],
        *,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> AsyncIterator[_core.Result]:
        """Answer many requests from an event loop, in their order; otherwise as ``map``.

        Args:
            feeds: One entry per request, from a plain or an asynchronous iterable. Read lazily.
            outputs: As in ``run``.
            timeout: Seconds for each request, from when it is sent.
            priority: As in ``run``.

        Yields:
            One result per entry.

        Raises:
            InferkitError: As ``run_async``, when the turn of the failed request comes.
        """
        import asyncio

        pending: deque[asyncio.Task[_core.Result]] = deque()
        window, inputs = max(1, self._max_pending // 2), self.inputs
        try:
            async for entry in entries_of(feeds):
                try:  # a task starts later than it is made: the caller may overwrite the entry
                    arrays = own_arrays(entry, inputs)
                except Exception:  # refused before its turn: those before it come first
                    while pending:
                        yield await pending.popleft()
                    raise
                while pending and (len(pending) >= window or pending[0].done()):
                    yield await pending.popleft()
                call = self.run_async(
                    arrays, outputs=outputs, timeout=timeout, priority=priority, when_full="wait"
                )
                pending.append(asyncio.create_task(call))
            while pending:
                yield await pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def aclose(self, drain: bool = True, timeout: float | None = None) -> None:
        """Close the session without blocking the event loop.

        Args:
            drain: As in ``close``.
            timeout: As in ``close``.
        """
        import asyncio

        await asyncio.to_thread(self.close, drain, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Whoever leaves by an exception does not wait for answers that nobody will read.
        self.close(drain=kind is None, timeout=None if kind is None else RUNNING_MAY_TAKE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose(drain=kind is None, timeout=None if kind is None else RUNNING_MAY_TAKE)

    def __repr__(self) -> str:
        try:
            facts = (
                f"{self.name!r}: {self._model} on {self._device}, batches of up to "
                f"{self._max_batch_size}, {'closed' if self.closed else 'open'}"
            )
        except SessionClosedError:
            facts = "never opened"
        return f"<inferkit.{type(self).__name__} {facts}>"

    def __del__(self) -> None:
        if self.closed or self._forked:
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            self.close(drain=False, timeout=RUNNING_MAY_TAKE)


def _oldest(pending: "deque[Future]", room: int) -> Iterator[_core.Result]:
    """Yield what is answered, and wait until fewer than ``room`` are left."""
    while pending and (len(pending) >= room or pending[0].done()):
        pending[0].result()  # who is interrupted here still finds it there to cancel
        yield pending.popleft().result()
