"""
The native core of inferkit. Private: use the names of the package.
"""
from __future__ import annotations
import asyncio
import collections.abc
import inferkit
import inferkit._future
import numpy.typing
import typing
__all__: list[str] = ['PendingCall', 'Result', 'RunCoroutine', 'SessionCore', 'await_loads', 'drop_held_back', 'error_table', 'future_conditions', 'let_loads_in', 'on_notifier_thread', 'open_session', 'option_ranges', 'runtime_info', 'stop_notifier']
class Result(dict[str, numpy.typing.NDArray[typing.Any]]):
    """
    The outputs of one call: a dict from output name to ndarray, in the model's order (or in that
    of outputs=). The arrays are writable and the caller's own.
    """
    def __reduce__(self) -> tuple[typing.Any, ...]:
        """
        A copy or a message is a plain dict.
        """
    @property
    def info(self) -> inferkit.ResultInfo:
        """
        How this answer came about: the size of its batch, who ran it, how long each step took.
        """
class SessionCore:
    """
    The native half of inferkit.Session, which is the one to use.
    """
    @staticmethod
    def __new__(type, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        """
        Create and return a new object.  See help(type) for accurate signature.
        """
    def close(self, drain: bool = True, timeout: float | None = None) -> None:
        """
        Refuse new requests, finish or answer the accepted ones, stop the threads, free the model.
        
        Closing twice is fine. In a child of fork() it does nothing: the session is the parent's.
        
        Args:
            drain: Wait for the accepted requests. False answers the queued ones with
                SessionClosedError at once, and waits for those in a running batch.
            timeout: Seconds to wait at most. Then whoever has no answer gets SessionClosedError: the
                queued ones at once, those in a running batch as soon as the operator ends that the
                model is in, which nothing can interrupt. Default: no limit.
        
        Raises:
            KeyboardInterrupt: Or whatever else a signal handler raises on the main thread. New
                requests stay refused; call it again to finish.
        """
    def explain(self) -> str:
        """
        Tell in a few lines what was decided for this model and why: runtime, device, threads,
        whether its requests share batches, and the measured times.
        
        Returns:
            Text for people; its wording is no interface.
        """
    def run(self, feeds: collections.abc.Mapping[str, numpy.typing.ArrayLike] | numpy.typing.ArrayLike, *, outputs: collections.abc.Sequence[str] | None = None, timeout: float | None = None, priority: int = 0, when_full: typing.Literal['raise', 'wait'] | None = None) -> Result:
        """
        Answer one request and wait for it; from any number of threads at once.
        
        Args:
            feeds: Input name to array, or the bare array for a model with one input. Axis 0 counts
                rows (any number from 0 on) and is required, as in onnxruntime.
                Arrays need the exact dtype of session.inputs, in any memory layout and byte order;
                lists and scalars are converted to it. In bool arrays every byte but 0 counts as 1.
                The arrays may be changed as soon as the call has returned.
            outputs: Names of the wanted outputs, in the wanted order. Default: all.
            timeout: Seconds from this call until DeadlineExceededError; 0 or more. Default: none.
                A run on the caller's own thread is left at the model's next operator.
            priority: Higher goes first among the requests that wait, unless another has waited a
                second longer for each step between them. Default: 0.
            when_full: "raise" QueueFullError, or "wait" for room (within timeout). Default: the
                session's.
        
        Returns:
            A dict from output name to ndarray; its .info tells how the answer came about.
        
        Raises:
            InvalidInputError: A feed or an argument does not fit; nothing was queued.
            QueueFullError: max_pending requests or max_pending_bytes bytes are pending, or
                max_memory_bytes are in use.
            DeadlineExceededError: The timeout ran out.
            SessionClosedError: The session is closed, or was closed before the answer.
            ForkedSessionError: The session was opened before fork().
            OutOfMemoryError: There was no memory to run this request, even alone.
            BackendError: ONNX Runtime failed on this request.
        """
    def run_async(self, feeds: collections.abc.Mapping[str, numpy.typing.ArrayLike] | numpy.typing.ArrayLike, *, outputs: collections.abc.Sequence[str] | None = None, timeout: float | None = None, priority: int = 0, when_full: typing.Literal['raise', 'wait'] | None = None) -> collections.abc.Coroutine[typing.Any, None, Result]:
        """
        Answer one request from an asyncio event loop (uvloop too), without blocking it.
        
        Returns a coroutine: await it, or hand it to create_task(), gather() and the like, once.
        Nothing is checked, copied or queued before that; the inputs may be changed as soon as the
        await has begun. A model whose run is cheaper than a hand-off to another thread is run by
        the event loop's own thread, all requests of one iteration together. Cancelling the task
        takes the request back, even while its batch runs.
        
        Args:
            feeds: As in run().
            outputs: As in run().
            timeout: Seconds from this call until DeadlineExceededError; 0 or more. Default: none.
            priority: As in run().
            when_full: "raise" QueueFullError, or "wait" for room (within timeout) while other
                tasks run. Default: the session's.
        
        Returns:
            What run() returns, from the await.
        
        Raises:
            RuntimeError: No event loop runs on this thread, or it was awaited before.
            InferkitError: As run(), from the await.
        """
    def stats(self) -> inferkit.Stats:
        """
        Count what the session has done since it was opened; works on a closed session too.
        
        Returns:
            A snapshot. accepted = answered + failed + cancelled + expired + closed + in_flight
            holds exactly whenever nothing moves.
        """
    def submit(self, feeds: collections.abc.Mapping[str, numpy.typing.ArrayLike] | numpy.typing.ArrayLike, *, outputs: collections.abc.Sequence[str] | None = None, timeout: float | None = None, priority: int = 0, when_full: typing.Literal['raise', 'wait'] | None = None) -> inferkit._future.Future:
        """
        Queue one request and return at once; from any number of threads.
        
        Args:
            feeds: As in run(). The arrays may be changed as soon as the call has returned.
            outputs: As in run().
            timeout: Seconds from this call until the future's DeadlineExceededError; 0 or more.
                Default: none. Future.result(timeout) only limits the waiting.
            priority: As in run().
            when_full: "raise" QueueFullError, or "wait" for room (within timeout), which blocks
                the calling thread. Default: the session's.
        
        Returns:
            A concurrent.futures.Future of what run() returns; cancel() works while the request is
            queued. Its callbacks run on one thread of inferkit's for all sessions.
        
        Raises:
            InvalidInputError: A feed or an argument does not fit; nothing was queued.
            QueueFullError: max_pending requests or max_pending_bytes bytes are pending, or
                max_memory_bytes are in use.
            DeadlineExceededError: The timeout ran out while waiting for room.
            SessionClosedError: The session is closed.
            ForkedSessionError: The session was opened before fork().
        """
    @property
    def _device(self) -> str:
        """
        As repr shows it.
        """
    @property
    def _forked(self) -> bool:
        """
        Whether the session belongs to the parent process.
        """
    @property
    def _max_batch_size(self) -> int:
        """
        Rows; 1 for a model that is not batched.
        """
    @property
    def _max_pending(self) -> int:
        """
        Requests.
        """
    @property
    def _model(self) -> str:
        """
        Path, or how many bytes.
        """
    @property
    def closed(self) -> bool:
        """
        Whether close() was called, or the session was never opened.
        """
    @property
    def inputs(self) -> tuple[inferkit.TensorInfo, ...]:
        """
        Name, dtype and shape of every input, in the model's order.
        """
    @property
    def name(self) -> str:
        """
        As given, else the model's file name without its ending.
        """
    @property
    def outputs(self) -> tuple[inferkit.TensorInfo, ...]:
        """
        Name, dtype and shape of every output, in the model's order.
        """
class RunCoroutine:
    """
    What Session.run_async() returns: await it, or hand it to asyncio.create_task() and the
    like, once. Nothing is queued before that.
    """
    def __await__(self) -> collections.abc.Generator[typing.Any, None, Result]:
        """
        Return an iterator to be used in await expression.
        """
    def __iter__(self) -> collections.abc.Iterator[typing.Any]:
        """
        Implement iter(self).
        """
    def __next__(self) -> typing.Any:
        """
        Implement next(self).
        """
    def __repr__(self) -> str:
        """
        Return repr(self).
        """
    def add_done_callback(self, callback: typing.Any, *, context: typing.Any = None) -> None:
        ...
    def cancel(self, msg: typing.Any = None) -> bool:
        ...
    def cancelled(self) -> bool:
        ...
    def close(self) -> None:
        ...
    def done(self) -> bool:
        ...
    def exception(self) -> BaseException | None:
        ...
    def get_loop(self) -> asyncio.AbstractEventLoop:
        ...
    def remove_done_callback(self, callback: typing.Any) -> int:
        ...
    def result(self) -> Result:
        ...
    def send(self, value: None) -> typing.Any:
        ...
    def throw(self, exception: BaseException) -> typing.Any:
        ...
class PendingCall:
    """
    The native half of inferkit.Future.
    """
    def cancel(self) -> bool:
        """
        Take the request back if it is still queued, and end the future.
        """
    def forked(self) -> bool:
        """
        Whether an answer that is not here yet will come in the parent process only.
        """
    def running(self) -> bool:
        """
        Whether it is too late to take the request back, and the future has no answer yet.
        """
def await_loads() -> None:
    """
    Before a fork: lets no other thread begin to load a library or a model until this one has
    forked, and waits for those that do, for 10 s at most. The fork itself does so too, but holds
    the GIL meanwhile. What a signal's handler raises here is raised when the fork is over.
    """
def drop_held_back() -> None:
    """
    After a fork, in the child: what a signal's handler raised before it is the parent's.
    """
def error_table() -> list[tuple[str, str, str, str]]:
    """
    Every kind of error of the native core, in order: its code, the name of its class in
    inferkit.errors, what causes it, and what to do about it.
    """
def future_conditions() -> list[typing.Any]:
    """
    The threading.Condition of every inferkit.Future, for the child of a fork: a thread of the
    parent may have been inside one.
    """
def let_loads_in() -> None:
    """
    After a fork, in the parent: others may load again also where it failed before it began.
    """
def on_notifier_thread() -> bool:
    """
    Whether the caller is a callback of a Future: then waiting for another one would never end.
    """
def open_session(session: typing.Any, *, library: bytes, path: bytes, content: bytes, model: str, device: str, max_batch_size: typing.SupportsInt | typing.SupportsIndex, max_delay: typing.SupportsFloat | typing.SupportsIndex, instances: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex, providers: collections.abc.Sequence[str], provider_options: collections.abc.Mapping[str, collections.abc.Mapping[str, str]], session_config: collections.abc.Mapping[str, str], max_pending: typing.SupportsInt | typing.SupportsIndex, max_pending_bytes: typing.SupportsInt | typing.SupportsIndex, max_memory_bytes: typing.SupportsInt | typing.SupportsIndex, wait_when_full: bool, batch_axis: str, warmup: bool, name: str) -> None:
    """
    Load the model and start the engine of a new SessionCore; inferkit.Session has checked the options.
    """
def option_ranges() -> dict[str, tuple[int, int]]:
    """
    Least and most of each numeric option of inferkit.Session; times in nanoseconds, sizes in bytes.
    """
def runtime_info(path: str) -> dict[str, typing.Any]:
    """
    Map the library at `path` and tell its path, version, api (the highest interface version), providers and slots (the functions of it that inferkit uses). Raises RuntimeNotFoundError.
    """
def stop_notifier() -> None:
    """
    Runs the callbacks that are due, then ends their thread. For the interpreter's exit, after
    every session was closed.
    """
__version__: str = '0.1.0'
