"""`await session.run_async(...)`: every way of awaiting, on every kind of loop."""

import asyncio
import collections.abc
import concurrent.futures
import contextvars
import ctypes
import gc
import inspect
import os
import signal
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import inferkit
import loops
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from native_threads import threads
from numpy.typing import NDArray
from occupied import Held, one_at_a_time, rounds, until
from programs import run_program

Feeds = dict[str, NDArray[np.float32]]
X: Feeds = {"x": np.linspace(-1, 1, 32, dtype=np.float32)[None]}

every_loop = pytest.mark.parametrize("kind", sorted(loops.KINDS))


@pytest.fixture
def cheap() -> Iterator[inferkit.Session]:
    """Model (a) on one instance: a run is cheaper than a hand-off."""
    with inferkit.Session(onnx_models.mlp_a(), instances=1) as session:
        yield session
        check_balance(session)


# ---- ways of awaiting -------------------------------------------------------------------------
async def plain(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    return await session.run_async(feeds)


async def as_task(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    return await asyncio.create_task(session.run_async(feeds))


async def in_task_group(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session.run_async(feeds)) for _ in range(3)]
    return tasks[1].result()


async def with_wait_for(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    return await asyncio.wait_for(session.run_async(feeds), 60)


async def in_timeout(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    async with asyncio.timeout(60):
        return await session.run_async(feeds)


async def gathered(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    return (await asyncio.gather(*(session.run_async(feeds) for _ in range(5))))[2]


async def shielded(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    return await asyncio.shield(session.run_async(feeds))


async def as_completed(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    results = [
        await first for first in asyncio.as_completed([session.run_async(feeds) for _ in range(3)])
    ]
    return results[2]


async def ensured(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    return await asyncio.ensure_future(session.run_async(feeds))


async def waited(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    done, _ = await asyncio.wait([asyncio.ensure_future(session.run_async(feeds))])
    return done.pop().result()


async def by_hand(session: inferkit.Session, feeds: Feeds) -> inferkit.Result:
    class Wrapped:
        def __await__(self) -> Any:
            return (yield from session.run_async(feeds).__await__())

    answer: inferkit.Result = await Wrapped()
    return answer


WAYS: list[Callable[[inferkit.Session, Feeds], Awaitable[inferkit.Result]]] = [
    plain,
    as_task,
    in_task_group,
    with_wait_for,
    in_timeout,
    gathered,
    shielded,
    as_completed,
    ensured,
    waited,
    by_hand,
]


@every_loop
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_of_awaiting(cheap: inferkit.Session, kind: str, way: Any) -> None:
    assert np.array_equal(loops.run_on(kind, way(cheap, X))["y"], cheap.run(X)["y"])


@every_loop
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_of_awaiting_a_runner(kind: str, way: Any) -> None:
    with one_at_a_time() as session:
        assert loops.run_on(kind, way(session, rounds(200)))["y"][0, 0] == 200
        check_balance(session)


@every_loop
def test_the_loop_runs_the_coroutine_itself(cheap: inferkit.Session, kind: str) -> None:
    assert list(loops.run_on(kind, cheap.run_async(X))) == ["y"]


# ---- what it is -------------------------------------------------------------------------------
def test_it_is_a_coroutine_until_it_is_awaited(cheap: inferkit.Session) -> None:
    coroutine = cheap.run_async(X)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert asyncio.iscoroutine(coroutine)
    assert inspect.isawaitable(coroutine)
    assert not asyncio.isfuture(coroutine)
    assert "Session.run_async" in repr(coroutine)
    assert weakref.ref(coroutine)() is coroutine
    coroutine.close()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        coroutine.send(None)


def test_never_awaited_warns_and_queues_nothing(cheap: inferkit.Session) -> None:
    before = cheap.stats()
    with pytest.warns(RuntimeWarning, match=r"'Session\.run_async' was never awaited"):
        cheap.run_async(X)
    after = cheap.stats()
    assert (after.accepted, after.pool_allocations) == (before.accepted, before.pool_allocations)


def test_awaiting_twice_is_refused(cheap: inferkit.Session) -> None:
    async def main() -> None:
        coroutine = cheap.run_async(X)
        await coroutine
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await coroutine
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await asyncio.ensure_future(coroutine)

    accepted = cheap.stats().accepted
    asyncio.run(main())
    assert cheap.stats().accepted == accepted + 1


def test_a_second_awaiter_is_refused_and_the_first_served() -> None:
    async def main(session: inferkit.Session) -> None:
        coroutine = session.run_async(rounds(2000))
        first = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="being awaited already"):
            await coroutine
        assert (await first)["y"][0, 0] == 2000

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)


def test_a_done_callback_gets_the_coroutine_itself() -> None:
    async def main(session: inferkit.Session) -> None:
        coroutine = session.run_async(rounds(200))
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        seen: list[object] = []
        coroutine.add_done_callback(seen.append)
        coroutine.add_done_callback(task.set_name)  # in C and a task's own, but no wake-up
        assert (await task)["y"][0, 0] == 200
        assert seen == [coroutine]
        assert task.get_name() == str(coroutine)

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)


def test_asyncio_calls_its_parts_as_the_fast_path_expects() -> None:
    class Asked:
        _asyncio_future_blocking = True

        def __init__(self) -> None:
            self.loop = asyncio.get_running_loop()

        def get_loop(self) -> asyncio.AbstractEventLoop:
            return self.loop

        def add_done_callback(self, callback: Any, *, context: object) -> None:
            names.append((type(callback.__self__), callback.__name__))
            self.loop.call_soon(callback, self)

        def result(self) -> None: ...

        def __await__(self) -> Iterator[Any]:
            yield self

    async def main() -> None:
        await Asked()

    names: list[object] = []
    asyncio.run(main())
    assert names == [(asyncio.Task, "task_wakeup")]
    native = [asyncio.Task, asyncio.Future]
    assert [f"{kind.__module__}.{kind.__name__}" for kind in native] == [
        "_asyncio.Task",
        "_asyncio.Future",
    ]


def test_a_suspended_coroutine_knows_its_loop() -> None:
    async def main(session: inferkit.Session) -> None:
        coroutine = session.run_async(rounds(0))
        assert not asyncio.isfuture(coroutine)
        with pytest.raises(RuntimeError, match="not awaited yet"):
            coroutine.get_loop()  # type: ignore[attr-defined]
        with Held(session):
            task = asyncio.create_task(coroutine)
            await asyncio.sleep(0)
            assert asyncio.isfuture(coroutine)
            assert coroutine.get_loop() is asyncio.get_running_loop()  # type: ignore[attr-defined]
            with pytest.raises(AttributeError, match="no_such_thing"):
                coroutine.no_such_thing  # type: ignore[attr-defined]  # noqa: B018
            with pytest.raises(AttributeError):
                coroutine.get_loop = None  # type: ignore[attr-defined]
        await task

    with one_at_a_time() as session:
        asyncio.run(main(session))


def test_memory_of_coroutines_is_used_again(cheap: inferkit.Session) -> None:
    async def main(count: int) -> None:
        await asyncio.gather(*(cheap.run_async(X) for _ in range(count)))

    asyncio.run(main(1))
    unused = cheap.run_async(X)
    unused.close()
    kind = type(unused)  # not within the assertion, which keeps what it shows
    gc.collect()
    before = sys.getrefcount(kind)
    for count in (1, 300, 1, 300):  # more than are kept
        asyncio.run(main(count))
    gc.collect()
    after = sys.getrefcount(kind)
    assert after == before
    fresh = cheap.run_async(X)
    assert weakref.ref(fresh)() is fresh
    assert gc.is_tracked(fresh)
    assert "not awaited" in repr(fresh)
    fresh.close()


def test_outside_of_a_loop_it_says_what_to_use(cheap: inferkit.Session) -> None:
    with pytest.raises(RuntimeError, match=r"event loop.*run\(\) or submit\(\)"):
        cheap.run_async(X).send(None)


def test_arguments_are_refused_where_a_coroutine_function_would(cheap: inferkit.Session) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'timeuot'"):
        cheap.run_async(X, timeuot=1)  # type: ignore[call-arg]
    coroutine = cheap.run_async(X, timeout=-1)
    with pytest.raises(inferkit.InvalidInputError, match="timeout"):
        asyncio.run(plain_await(coroutine))
    for feeds in ({"z": X["x"]}, {"x": X["x"].astype(np.float64)}, {"x": X["x"][0]}):
        with pytest.raises(inferkit.InvalidInputError):
            asyncio.run(plain_await(cheap.run_async(feeds)))


async def plain_await(awaitable: Awaitable[inferkit.Result]) -> inferkit.Result:
    return await awaitable


def test_inputs_may_change_once_the_await_has_begun() -> None:
    async def main(session: inferkit.Session) -> None:
        feeds = rounds(300)
        task = asyncio.create_task(session.run_async(feeds))
        await asyncio.sleep(0)
        feeds["x"][:] = 7
        assert (await task)["y"][0, 0] == 300

    with one_at_a_time() as session:
        asyncio.run(main(session))


def test_outputs_are_chosen_by_name(three: inferkit.Session) -> None:
    feeds = {
        "left": np.ones((2, 3), np.float32),
        "right": np.ones((2, 3), np.float32),
        "count": np.array([4, 5]),
    }
    result = asyncio.run(plain_await(three.run_async(feeds, outputs=["twice", "total"])))
    assert list(result) == ["twice", "total"]
    assert result["twice"].tolist() == [8, 10]


# ---- batches and turns -------------------------------------------------------------------------
@every_loop
def test_one_iteration_is_one_batch(cheap: inferkit.Session, kind: str) -> None:
    feeds = [{"x": np.full((1, 32), i, np.float32)} for i in range(8)]
    expected = [cheap.run(each)["y"] for each in feeds]

    async def main() -> bool:
        before = cheap.stats().batches
        results = await asyncio.gather(*(cheap.run_async(each) for each in feeds))
        for answer, result in zip(expected, results, strict=True):
            assert np.allclose(result["y"], answer, rtol=1e-5)
        return cheap.stats().batches == before + 1

    # A runner that is awake may take the first ones, and a busy machine may make a run look dear.
    assert any(loops.run_on(kind, main()) for _ in range(20))


def test_callers_are_resumed_in_their_own_contexts() -> None:
    whose = contextvars.ContextVar("whose", default=-1)

    async def caller(session: inferkit.Session, number: int) -> int:
        whose.set(number)
        await session.run_async(rounds(number))
        return whose.get()

    async def main(session: inferkit.Session) -> None:
        assert await asyncio.gather(*(caller(session, i) for i in range(20))) == list(range(20))
        assert whose.get() == -1

    with one_at_a_time() as session:
        asyncio.run(main(session))


async def lone_caller(session: inferkit.Session) -> None:
    """Two awaits without company: from then on the session runs them at once."""
    for _ in range(2):
        await session.run_async(X)


def test_a_lone_caller_is_answered_without_suspending(cheap: inferkit.Session) -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        for _ in range(20):  # the machine may make one run dear, or spend the budget
            await lone_caller(cheap)
            turned: list[bool] = []
            loop.call_soon(turned.append, True)
            await cheap.run_async(X)
            if not turned:
                return True
        return False

    assert asyncio.run(main())


def test_a_lone_caller_does_not_starve_the_loop(cheap: inferkit.Session) -> None:
    async def main() -> int:
        await lone_caller(cheap)
        turned: list[bool] = []
        asyncio.get_running_loop().call_soon(turned.append, True)
        count = 0
        while not turned:
            await cheap.run_async(X)
            count += 1
            assert count < 10_000
        return count

    asyncio.run(main())


@every_loop
def test_one_task_that_exits_leaves_the_others_resumed(cheap: inferkit.Session, kind: str) -> None:
    class Farewell(SystemExit):
        pass

    resumed: list[int] = []

    async def caller(number: int) -> None:
        await cheap.run_async(X)
        resumed.append(number)
        if number == 1:
            raise Farewell

    loop = loops.KINDS[kind]()
    try:

        async def main() -> None:
            await asyncio.gather(*(caller(i) for i in range(4)))

        with pytest.raises(Farewell):
            loop.run_until_complete(main())
        assert resumed == [0, 1, 2, 3]
    finally:
        finish(loop)


def finish(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop as `asyncio.run` does."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def test_eight_loops_in_eight_threads(cheap: inferkit.Session) -> None:
    wrong: list[object] = []

    async def caller(number: int) -> None:
        feeds = {"x": np.full((1, 32), number, np.float32)}
        expected = cheap.run(feeds)["y"]
        for _ in range(100):
            answer = (await cheap.run_async(feeds))["y"]
            if not np.allclose(answer, expected, rtol=1e-5):
                wrong.append(answer)

    async def main(first: int) -> None:
        await asyncio.gather(*(caller(first + i) for i in range(8)))

    kinds = 2 * ["asyncio", "uvloop", "without add_reader", "debug"]
    callers = [
        threading.Thread(target=lambda i=i, kind=kind: loops.run_on(kind, main(10 * i)))  # type: ignore[misc]
        for i, kind in enumerate(kinds)
    ]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert wrong == []


# ---- the end of loops and sessions -------------------------------------------------------------
def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_thousand_loops_leave_nothing_behind(cheap: inferkit.Session, kind: str) -> None:
    async def main() -> None:
        await asyncio.gather(cheap.run_async(X), cheap.run_async(X))

    def coroutines() -> int:
        gc.collect()
        return sum(type(each).__name__ == "RunCoroutine" for each in gc.get_objects())

    loops.run_on(kind, main())
    descriptors_before, coroutines_before = descriptors(), coroutines()
    for _ in range(1000):
        loops.run_on(kind, main())
    assert descriptors() == descriptors_before
    assert coroutines() == coroutines_before


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "without add_reader"])
def test_a_loop_closed_before_its_answers(kind: str) -> None:
    loop = loops.KINDS[kind]()
    with one_at_a_time() as session:
        with Held(session) as held:
            tasks = [loop.create_task(session.run_async(rounds(0))) for _ in range(5)]
            loop.run_until_complete(asyncio.sleep(0))
            assert session.stats().accepted == 5 + held.count
            loop.close()
        until(lambda: session.stats().undeliverable == 5)
        check_balance(session)
        assert session.stats().answered == 5 + held.count
        assert not any(task.done() for task in tasks)
        forget(tasks)


@pytest.mark.parametrize("end", ["dropped", "closed", "thrown into", "cancelled"])
def test_a_coroutine_that_outlives_its_loop_is_ended(end: str) -> None:
    """Its answer came to a closed loop; then what awaits it ends it, in one of many ways."""

    async def ask(session: inferkit.Session) -> None:
        await session.run_async(rounds(0))

    loop = asyncio.new_event_loop()
    with one_at_a_time() as session:
        with Held(session):
            task = loop.create_task(ask(session))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        until(lambda: session.stats().undeliverable == 1)
        asking = task.get_coro()
        if end == "closed":
            asking.close()
        elif end == "thrown into":
            with pytest.raises(RuntimeError):  # as a coroutine that is over
                asking.throw(KeyError())
        elif end == "cancelled":
            assert asking.cr_await.cancel() is False
        forget([task])
        del asking, task
        gc.collect()
        check_balance(session)
        assert session.stats().undeliverable == 1


def test_an_answer_that_nobody_takes_goes_with_its_coroutine() -> None:
    async def main(session: inferkit.Session) -> None:
        asking = session.run_async(rounds(0))
        asking.send(None)
        while not asking.done():
            await asyncio.sleep(0)

    with one_at_a_time() as session:
        asyncio.run(main(session))
        gc.collect()
        assert session.stats().undeliverable == 1
        assert session.stats().pool_blocks_in_use == 0
        check_balance(session)


def exits(asked_for: str, interrupt: Callable[[], object]) -> None:
    """`interrupt` comes while a loop takes that callback of ours, where nobody can hand it on."""

    class Interrupted(asyncio.SelectorEventLoop):
        armed = False

        def call_soon(self, callback: Callable[..., Any], *args: Any, **more: Any) -> Any:
            handle = super().call_soon(callback, *args, **more)
            if self.armed and asked_for in repr(callback):
                self.armed = False
                interrupt()
            return handle

    async def main(session: inferkit.Session) -> None:
        asking = asyncio.ensure_future(session.run_async(rounds(0)))
        await asyncio.sleep(0)
        loop.armed = True
        if asked_for == "task_wakeup":
            asking.cancel()
        else:
            await asyncio.gather(*(quick.run_async(X) for _ in range(4)))
        for _ in range(100):
            await asyncio.sleep(0)

    loop = Interrupted()
    with one_at_a_time() as session, inferkit.Session(onnx_models.mlp_a()) as quick:
        with Held(session):
            with pytest.raises(SystemExit):
                loop.run_until_complete(main(session))
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
        check_balance(session)


OURS = pytest.mark.parametrize("asked_for", ["inferkit_run_batches", "task_wakeup"])


@OURS
def test_what_a_signals_handler_raises_is_not_lost(asked_for: str) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: sys.exit())
    try:
        exits(asked_for, lambda: signal.raise_signal(signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)


@OURS
def test_an_exit_that_another_thread_asks_for_is_not_lost(asked_for: str) -> None:
    def ask() -> None:
        here, kind = ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(here, kind) == 1

    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        beside.submit(exits, asked_for, ask).result()


def test_a_loop_that_failed_to_watch_is_asked_again() -> None:
    """The error is kept, and with it what the loop was to call."""

    class Failing(asyncio.SelectorEventLoop):
        failures = 1

        def add_reader(self, *args: Any) -> None:
            if "inferkit" in repr(args) and self.failures:
                self.failures -= 1
                raise OSError(28, "no space left on device")
            super().add_reader(*args)

    async def main(session: inferkit.Session) -> None:
        with pytest.raises(OSError, match="no space") as kept:
            await session.run_async(rounds(0))
        with Held(session) as held:
            asking = asyncio.ensure_future(session.run_async(rounds(0)))
            await asyncio.sleep(0)
            held.release()
            assert (await asyncio.wait_for(asking, 60))["y"].shape == (1, 1)
        del kept

    loop = Failing()
    with one_at_a_time() as session:
        loop.run_until_complete(main(session))
        loop.close()
        check_balance(session)


@pytest.mark.parametrize("when", ["before it takes the call", "after it took the call"])
def test_a_loop_closed_while_it_is_told_of_answers(when: str) -> None:
    """It was open when it was found; what it was asked to call is dropped, or refused."""
    closed_by: set[str] = set()

    class Closing(loops.WithoutAddReader):
        def call_soon_threadsafe(self, *args: Any, **more: Any) -> Any:
            if when.startswith("before"):
                self.close_now()
            handle = super().call_soon_threadsafe(*args, **more)
            self.close_now()
            return handle

        def close_now(self) -> None:
            if not self.is_closed():
                closed_by.update(name for task, name in threads() if task.name == me())
                self.close()

    def me() -> str:
        return str(threading.get_native_id())

    loop = Closing()
    with one_at_a_time() as session:
        with Held(session) as held:
            tasks = [loop.create_task(session.run_async(rounds(0))) for _ in range(5)]
            loop.run_until_complete(asyncio.sleep(0))
        until(lambda: session.stats().undeliverable == 5)
        check_balance(session)
        assert session.stats().answered == 5 + held.count
        assert closed_by == {"inferkit-notify"}
        assert not any(task.done() for task in tasks)
        forget(tasks)


def forget(tasks: list[asyncio.Task[Any]]) -> None:
    """Drop tasks of a closed loop without asyncio's complaint about them."""
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    tasks.clear()
    gc.collect()


def test_nobody_has_to_ask_after_a_closed_loop() -> None:
    session = one_at_a_time()
    gone = weakref.ref(session)
    loop = asyncio.new_event_loop()
    with Held(session):
        tasks = [loop.create_task(session.run_async(rounds(0))) for _ in range(3)]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        forget(tasks)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del session
        until(lambda: gc.collect() >= 0 and gone() is None)


def test_a_closed_session_leaves_its_loops(cheap: inferkit.Session) -> None:
    async def main() -> None:
        async def open_and_close(times: int) -> Any:
            for _ in range(times):
                with inferkit.Session(onnx_models.mlp_a()) as session:
                    await session.run_async(X)
            return weakref.ref(session)

        await cheap.run_async(X)
        gone = await open_and_close(3)
        await asyncio.sleep(0)  # what has resumed this task is over
        gc.collect()
        assert gone() is None
        during = descriptors()
        await open_and_close(20)
        assert descriptors() == during

    asyncio.run(main())


@every_loop
@pytest.mark.parametrize("drain", [True, False])
def test_close_while_a_thousand_wait(kind: str, drain: bool) -> None:
    async def main(session: inferkit.Session) -> list[object]:
        with Held(session):
            tasks = [asyncio.ensure_future(session.run_async(rounds(0))) for _ in range(1000)]
            await asyncio.sleep(0)
            assert session.stats().in_flight >= 1000
            await session.aclose(drain)
        with pytest.raises(inferkit.SessionClosedError):
            await session.run_async(rounds(0))
        return await asyncio.gather(*tasks, return_exceptions=True)

    session = one_at_a_time(max_pending=2000)
    outcomes = loops.run_on(kind, main(session))
    closed = sum(isinstance(each, inferkit.SessionClosedError) for each in outcomes)
    answered = sum(isinstance(each, dict) for each in outcomes)
    assert (answered, closed) == ((1000, 0) if drain else (0, 1000))
    check_balance(session)
    assert session.stats().closed >= closed
    assert session.stats().undeliverable == 0


def test_close_on_the_loops_own_thread() -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session):
            tasks = [asyncio.create_task(session.run_async(rounds(0))) for _ in range(10)]
            await asyncio.sleep(0)
            session.close()
        assert [(await task)["y"][0, 0] for task in tasks] == [0] * 10

    session = one_at_a_time()
    asyncio.run(main(session))
    check_balance(session)


def test_the_interpreter_ends_with_callers_pending() -> None:
    program = """
        import asyncio, onnx_models, inferkit, numpy as np, threading
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
        loop = asyncio.new_event_loop()
        x = np.float32([[2000]])
        tasks = [loop.create_task(session.run_async(x)) for _ in range(50)]
        loop.run_until_complete(asyncio.sleep(0))
        for task in tasks:
            task._log_destroy_pending = False
        begun = threading.Event()
        async def elsewhere():
            requests = asyncio.gather(*(session.run_async(x) for _ in range(50)))
            asyncio.get_running_loop().call_soon(begun.set)
            await requests
        threading.Thread(target=lambda: asyncio.run(elsewhere()), daemon=True).start()
        begun.wait()
        loop.close()
    """
    status, _, errors = run_program(program)
    assert status == 0, errors


def test_the_interpreter_ends_while_a_daemon_thread_computes_between_awaits() -> None:
    # CPython ends such a thread where it next asks for the GIL: far from here, in Python code that
    # our callback has resumed. On the way out nobody may touch an object.
    program = """
        import asyncio, onnx_models, inferkit, numpy as np, threading, time
        session = inferkit.Session(onnx_models.mlp_a())
        begun = threading.Event()
        class Busy:
            def __del__(self):
                compute()
        def compute():
            begun.set()
            while True:
                time.sleep(0)
        async def caller():
            await session.run_async(np.zeros((1, 32), np.float32))
            KEEP_BUSY
        async def main():
            await asyncio.gather(*(caller() for _ in range(4)))
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        begun.wait()
    """
    for keep_busy in ("compute()", "Busy()"):
        status, _, errors = run_program(program.replace("KEEP_BUSY", keep_busy))
        assert status == 0, errors


def test_a_forked_child_shares_no_descriptor_with_its_siblings() -> None:
    # One that reads a shared descriptor empty takes the wake of the others.
    program = """
        import asyncio, onnx_models, inferkit, numpy as np, os, warnings
        from pathlib import Path
        warnings.simplefilter("ignore", DeprecationWarning)
        x = np.float32([[200]])  # on a runner: the answer comes by the descriptor
        def descriptors():
            found = set()
            for fd in os.listdir("/proc/self/fdinfo"):
                try:
                    text = Path("/proc/self/fdinfo", fd).read_text()
                except OSError:  # the one that lists them
                    continue
                found.update(line for line in text.splitlines() if line.startswith("eventfd-id"))
            return found
        async def ask():
            asyncio.get_running_loop().slow_callback_duration = 100  # the model is opened in here
            with inferkit.Session(onnx_models.slow_on_demand(), instances=1) as session:
                await session.run_async(x)
                return descriptors()
        mine = asyncio.run(ask())
        assert mine and mine == asyncio.run(ask()), "it is kept for the next session"
        child = os.fork()
        if child == 0:
            os._exit(0 if asyncio.run(ask()) > mine else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run_program(program) == (0, "0\n", "")


def test_map_async_takes_an_entry_before_it_asks_for_the_next() -> None:
    async def main() -> list[float]:
        buffer = np.zeros((1, 1), np.float32)

        def reused() -> Iterator[dict[str, NDArray[np.float32]]]:
            for i in range(10):
                buffer[...] = i
                yield {"x": buffer}

        with one_at_a_time() as session:
            return [float(each["y"][0, 0]) async for each in session.map_async(reused())]

    assert asyncio.run(main()) == list(range(10))


def test_who_waits_for_room_may_change_the_arrays() -> None:
    async def main() -> float:
        x = np.float32([[7]])
        with one_at_a_time(max_pending=20) as session, Held(session) as held:
            others = [session.submit(rounds(0)) for _ in range(20 - session.stats().in_flight)]
            waiting = asyncio.create_task(session.run_async(x, when_full="wait"))
            await asyncio.sleep(0)
            x[...] = 99
            held.release()
            answer = await waiting
            assert all(other.result() for other in others)
            return float(answer["y"][0, 0])

    assert asyncio.run(main()) == 7


def test_a_forked_child_finds_no_loop() -> None:
    program = """
        import asyncio, onnx_models, inferkit, numpy as np, os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        x = np.zeros((1, 1), np.float32)
        async def main():
            asyncio.get_running_loop().slow_callback_duration = 100
            with inferkit.Session(onnx_models.slow_on_demand()) as session:
                await session.run_async(x)
                await session.run_async(x)
                child = os.fork()
                if child == 0:
                    try:
                        await session.run_async(x)
                    except RuntimeError as error:  # asyncio's own rule
                        assert "event loop" in str(error)
                        os._exit(7)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                await session.run_async(x)
        asyncio.run(main())
        print("done")
    """
    assert run_program(program) == (0, "done\n", "")
