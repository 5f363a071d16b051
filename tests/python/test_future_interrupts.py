"""A future ends, whatever comes into the Python code that ends it."""

import concurrent.futures
import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import PATIENCE, Held, one_at_a_time, rounds, until
from programs import run_program


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """What others have the collector call is no step of ours, and may not be interrupted."""
    gc.disable()
    yield
    gc.enable()


def test_ctrl_c_at_any_step_of_a_cancel() -> None:
    """The future is cancelled, or may still be: no step leaves one that nobody will ever end.

    Whoever waits for it is told once, and so is each callback but the one that was interrupted.
    """
    steps_left = 0
    called: list[inferkit.Future] = []
    in_a_callback = False

    def interrupt(frame: FrameType, event: str, function: object) -> None:
        nonlocal steps_left, in_a_callback
        steps_left -= function is not sys.setprofile  # that is the test's own
        if steps_left == 0:
            sys.setprofile(None)
            in_a_callback = frame.f_code.co_name in ("note", "_invoke_callbacks")
            raise KeyboardInterrupt

    def note(future: inferkit.Future) -> None:
        called.append(future)

    interrupted = 0
    with one_at_a_time() as session:
        with Held(session):
            while True:
                future = session.submit(rounds(0))
                for _ in range(3):
                    future.add_done_callback(note)
                waiter = concurrent.futures._base._AsCompletedWaiter()  # type: ignore[attr-defined]
                future._waiters.append(waiter)
                called.clear()
                steps_left = interrupted + 1
                sys.setprofile(interrupt)
                try:
                    future.cancel()
                    break
                except KeyboardInterrupt:
                    interrupted += 1
                finally:
                    sys.setprofile(None)
                assert future.cancel() and future.cancelled()
                assert set(called) == {future}
                assert len(called) == 3 or (in_a_callback and len(called) == 2)
                assert waiter.finished_futures == [future]
                assert concurrent.futures.wait([future], 0).done == {future}
        assert interrupted > 10
        check_balance(session)
        assert session.stats().cancelled == interrupted + 1


def test_a_waiter_hears_of_a_cancel_that_was_interrupted() -> None:
    def interrupt(frame: FrameType, *_: object) -> None:
        if frame.f_code.co_name == "notify_all":
            sys.setprofile(None)
            raise KeyboardInterrupt

    def wait() -> None:
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()

    with one_at_a_time() as session, Held(session):
        future = session.submit(rounds(0))
        waiting = threading.Thread(target=wait)
        waiting.start()
        until(lambda: future._condition._waiters)  # type: ignore[attr-defined]
        sys.setprofile(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                future.cancel()
        finally:
            sys.setprofile(None)
        waiting.join()


def on_the_notifier(session: inferkit.Session, function: Callable[[], None]) -> None:
    """Call it as a callback of a future: until it returns no other future ends."""
    while True:
        future = session.submit({"ids": np.array([0], np.int64)})
        called_in: list[int] = []

        def callback(_: object, called_in: list[int] = called_in) -> None:
            if threading.get_ident() != threading.main_thread().ident:
                function()
            called_in.append(threading.get_ident())

        future.add_done_callback(callback)
        until(lambda called_in=called_in: called_in)  # type: ignore[misc]
        if called_in[0] != threading.main_thread().ident:
            return


@pytest.mark.parametrize("index", [0, 100], ids=["answer", "error"])
def test_an_interrupt_at_any_step_of_an_answer(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes into the thread that ends futures keeps none of them from its end."""
    ending: list[inferkit.Future] = []
    called: list[inferkit.Future] = []
    hooked: list[type[BaseException]] = []
    steps_left = 0
    in_a_callback = False

    def interrupt(frame: FrameType, event: str, function: object) -> None:
        nonlocal steps_left, in_a_callback
        outer: FrameType | None = frame
        while outer is not None and outer.f_code.co_name != "_end":
            outer = outer.f_back
        if outer is None or outer.f_locals["self"] not in ending:
            return
        if event == "c_call" and getattr(function, "__name__", "") == "__exit__":
            return  # nothing but a profiler's function comes between a block and the lock's release
        steps_left -= 1
        if steps_left == 0:
            in_a_callback = frame.f_code.co_name in ("note", "_invoke_callbacks")
            raise KeyboardInterrupt

    def note(future: inferkit.Future) -> None:
        called.append(future)

    def begin() -> None:
        future = session.submit({"ids": np.array([index], np.int64)})
        for callback in (note, note, note):
            future.add_done_callback(callback)
        future._waiters += [waiter, of_two]
        sys.setprofile(interrupt)
        ending.append(future)

    monkeypatch.setattr(sys, "unraisablehook", lambda info: hooked.append(info.exc_type))
    interrupted = -1
    with inferkit.Session(onnx_models.gather(), instances=1) as session:
        while interrupted < 0 or hooked:
            interrupted += 1
            steps_left = interrupted + 1
            for each in (ending, called, hooked):
                each.clear()
            in_a_callback = False
            waiter = concurrent.futures._base._AsCompletedWaiter()  # type: ignore[attr-defined]
            of_two = concurrent.futures._base._AllCompletedWaiter(2, False)  # type: ignore[attr-defined]
            on_the_notifier(session, begin)
            until(lambda: ending[0].done())
            assert (ending[0].exception() is None) == (index == 0)
            on_the_notifier(session, lambda: None)  # it is through with the one before
            assert waiter.finished_futures == ending and waiter.event.is_set()
            assert not (in_a_callback and of_two.event.is_set())  # it waits for another one still
            assert set(called) == set(ending)
            assert len(called) == 3 or (in_a_callback and len(called) == 2)
            assert hooked in ([], [KeyboardInterrupt])
        on_the_notifier(session, lambda: sys.setprofile(None))
        assert interrupted > 10
        check_balance(session)


def test_a_cancel_where_the_stack_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was cancelled or not, it can be, and ends; those who wait are told."""
    left = 0

    def descend(future: inferkit.Future, above_the_end: int) -> None:
        nonlocal left
        try:
            descend(future, above_the_end)
        except RecursionError:
            left = 0
        left += 1
        if left == above_the_end:
            with contextlib.suppress(RecursionError):
                future.cancel()
                left += 1_000_000

    monkeypatch.setattr(sys, "unraisablehook", lambda info: None)
    refused = 0
    with one_at_a_time() as session:
        with Held(session):
            for above_the_end in range(1, 50):
                future = session.submit(rounds(0))
                called: list[inferkit.Future] = []
                future.add_done_callback(called.append)
                descend(future, above_the_end)
                refused += left < 1_000_000
                future.cancel()
                assert concurrent.futures.wait([future], 60).done == {future}
                assert future.cancelled()
                until(lambda called=called: called)  # type: ignore[misc]
        assert 3 < refused < 49
        check_balance(session)
        assert session.stats().cancelled == 49


@pytest.mark.parametrize(
    ("returns", "stops_at"),
    [("ALL_COMPLETED", "_decrement_pending_calls"), ("FIRST_COMPLETED", "set"), ("each", "set")],
)
def test_who_waits_for_futures_hears_of_an_interrupted_end(returns: str, stops_at: str) -> None:
    """It has the future by then, but was not woken yet."""

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == stops_at:
            sys.setprofile(None)
            raise KeyboardInterrupt

    def wait() -> None:
        if returns == "each":
            heard.extend(concurrent.futures.as_completed([future]))
        else:
            heard.extend(concurrent.futures.wait([future], None, returns).done)

    heard: list[concurrent.futures.Future[inferkit.Result]] = []
    with one_at_a_time() as session, Held(session):
        future = session.submit(rounds(0))
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        until(lambda: future._waiters and future._waiters[0].event._cond._waiters)
        sys.setprofile(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                future.cancel()
        finally:
            sys.setprofile(None)
        until(lambda: heard)
        assert heard == [future]


def test_a_future_ends_when_there_is_memory_again() -> None:
    """Python's heap is empty as its answer comes, and for a while after that."""
    program = """
import sys, threading, time
import _testcapi, inferkit, numpy as np, onnx_models
sys.unraisablehook = lambda _: None
x = np.full((1, 1), 20_000, np.float32)
with inferkit.Session(onnx_models.slow_on_demand(), instances=1) as session:
    session.submit(x).result(60)
    future, called = session.submit(x), []
    future.add_done_callback(called.append)
    sleep, refuse, allow = time.sleep, _testcapi.set_nomemory, _testcapi.remove_mem_hooks
    refuse(0, 0)
    sleep(1)  # the answer comes meanwhile
    allow()
    try:
        future.result(60)
    except MemoryError:
        pass
    while not called:
        sleep(0.001)
    assert session.submit(x).result(60)["y"].shape == (1, 1)
    print(session.stats().in_flight, called == [future])
"""
    pytest.importorskip("_testcapi")
    assert run_program(program) == (0, "0 True\n", "")


def test_a_callback_that_exits_wakes_nobody_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda info: None)
    with one_at_a_time() as session:
        with Held(session):
            first, last = session.submit(rounds(0)), session.submit(rounds(20_000))
            first.add_done_callback(lambda _: sys.exit(3))
        assert concurrent.futures.wait([first, last], PATIENCE).done == {first, last}


def test_a_callback_that_waits_for_memory_that_only_it_can_make_is_refused() -> None:
    """The answers that hold the memory are to be handed out by its own thread."""
    wide = 1 << 14  # 64 KiB a row
    model = onnx_models.identity(shape=("batch", wide))
    row, big = np.zeros((1, wide), np.float32), np.zeros((56, wide), np.float32)
    entered, go_on = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def ask_for_more(_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            return
        entered.set()
        assert go_on.wait(PATIENCE)
        try:
            session.run(big, when_full="wait")
        except inferkit.QueueFullError as error:
            raised.append(error)

    options = {"max_memory_bytes": 16 << 20, "max_pending": 256, "warmup": False}
    with inferkit.Session(model, instances=1, **options) as session:
        while not entered.wait(0.01):
            session.submit(row).add_done_callback(ask_for_more)
        others = []
        while session.stats().pool_bytes_in_use < 13 << 20:
            others.append(session.submit(row))
            until(lambda: session.stats().in_flight == 0)
        go_on.set()
        until(lambda: raised)
        assert concurrent.futures.wait(others, PATIENCE).done == set(others)
