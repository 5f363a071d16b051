"""The life of a session: opened, described, mapped over, closed, dropped, forked."""

import asyncio
import copy
import gc
import itertools
import os
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from inferkit._options import SessionOptions
from native_threads import threads
from occupied import PATIENCE, until

MODEL = onnx_models.mlp_a()
ROW = np.ones((1, 32), np.float32)


def rows(count: int) -> Iterator[np.ndarray[Any, Any]]:
    """Requests for the identity model that can be told apart."""
    return (np.full((1, 3), number, np.float32) for number in range(count))


def native_threads() -> set[str]:
    """This process's threads that serve sessions: number and name."""
    found = set()
    for task, name in threads():
        if name.startswith("inferkit-") and name != "inferkit-notify":  # that one stays
            found.add(f"{task.name} {name}")
    return found


# ---- what it tells --------------------------------------------------------------------------
def test_tensors_are_described(three: inferkit.Session) -> None:
    assert three.inputs == (
        inferkit.TensorInfo("left", "float32", ("batch", 3)),
        inferkit.TensorInfo("right", "float32", ("batch", 3)),
        inferkit.TensorInfo("count", "int64", ("batch",)),
    )
    assert [info.name for info in three.outputs] == ["total", "difference", "twice"]
    with inferkit.Session(onnx_models.scalar_output()) as session:
        assert session.outputs == (inferkit.TensorInfo("total", "float32", ()),)


def test_a_session_is_called_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "digits.v2.onnx"
    path.write_bytes(MODEL)
    for model, given, name in [(path, None, "digits.v2"), (MODEL, None, "model"), (path, "d", "d")]:
        with inferkit.Session(model, name=given) as session:
            assert session.name == name


def test_one_line_tells_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    path.write_bytes(MODEL)
    session = inferkit.Session(path, max_batch_size=8)
    shown = repr(session)
    for word in ("inferkit.Session", "'digits'", str(path), "cpu", "8", "open"):
        assert word in shown
    session.close()
    assert "closed" in repr(session) and "open" not in repr(session).split(", ")[-1]
    assert "\n" not in shown
    assert "never opened" in repr(inferkit.Session.__new__(inferkit.Session))


def test_explain_is_for_people(mlp: inferkit.Session) -> None:
    text = mlp.explain()
    assert "onnxruntime" in text and "CPUExecutionProvider" in text


def test_stats_are_a_snapshot() -> None:
    with inferkit.Session(MODEL) as session:
        session.run(ROW)
        stats = session.stats()
        session.run(ROW)
    assert (stats.accepted, stats.answered, stats.batch_sizes) == (1, 1, {1: 1})
    fields = stats.as_dict()
    assert fields["answered"] == 1
    assert list(fields) == list(stats.__dataclass_fields__)
    with pytest.raises(AttributeError):
        stats.answered = 5  # type: ignore[misc]
    assert session.stats().answered == 2


def test_options_of_open_are_those_of_the_constructor() -> None:
    constructor = inferkit.Session.__init__.__annotations__.keys() - {"model", "return"}
    assert constructor == SessionOptions.__annotations__.keys()


def test_an_unknown_option_is_told_the_known_ones() -> None:
    every = ", ".join(SessionOptions.__annotations__)
    for wrong in ("max_batchsize", "path", "self"):
        with pytest.raises(TypeError, match=rf"unknown option '{wrong}'; expected {every}$"):
            inferkit.Session("missing.onnx", **{wrong: 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown option 'max_batchsize'; expected max_batch_size"):
        asyncio.run(inferkit.Session.open("missing.onnx", max_batchsize=1))  # type: ignore[call-arg]
    with pytest.raises(inferkit.ModelLoadError):
        inferkit.Session(model="missing.onnx")


# ---- map ------------------------------------------------------------------------------------
def test_map_keeps_the_order() -> None:
    with inferkit.Session(onnx_models.identity()) as session:
        answers = [int(result["y"][0, 0]) for result in session.map(rows(3000))]
        assert answers == list(range(3000))
        check_balance(session)


def test_map_is_lazy_and_bounded() -> None:
    with inferkit.Session(onnx_models.identity(), max_pending=8) as session:
        drawn = itertools.count()
        endless = (np.full((1, 3), next(drawn), np.float32) for _ in itertools.count())
        answers = session.map(endless)
        assert next(drawn) == 0  # nothing was read before the first answer is wanted
        for expected in range(1, 50):
            assert next(answers)["y"][0, 0] == expected
        assert next(drawn) <= 50 + 8
        assert session.stats().in_flight <= 8
        answers.close()
    check_balance(session)


def test_map_ends_with_the_first_failure() -> None:
    with inferkit.Session(onnx_models.gather()) as session:
        answers = session.map(np.array([number]) for number in (1, 2, 99, 3))
        assert [next(answers)["y"][0, 0] for _ in range(2)] == [1, 2]
        with pytest.raises(inferkit.InferkitError):
            next(answers)
        with pytest.raises(StopIteration):
            next(answers)


def test_map_answers_those_before_a_refused_entry() -> None:
    bad = np.zeros((1, 5), np.float32)
    with inferkit.Session(onnx_models.slow(20, 8)) as session:
        feeds = [*[np.zeros((1, 8), np.float32)] * 5, bad]
        answers = session.map(feeds)
        for _ in range(5):
            assert next(answers)
        with pytest.raises(inferkit.InvalidInputError, match="dimension 1"):
            next(answers)


def test_map_passes_its_arguments_on(three: inferkit.Session) -> None:
    feeds = {
        "left": np.ones((1, 3), np.float32),
        "right": np.ones((1, 3), np.float32),
        "count": np.array([1]),
    }
    assert [list(r) for r in three.map([feeds], outputs=["twice"], priority=1)] == [["twice"]]
    with pytest.raises(inferkit.DeadlineExceededError):
        list(three.map([feeds], timeout=0))
    with pytest.raises(inferkit.InvalidInputError):
        list(three.map([{}]))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_map_async_keeps_the_order(asynchronous: bool) -> None:
    async def source() -> AsyncIterator[np.ndarray[Any, Any]]:
        for row in rows(500):
            yield row

    async def main() -> list[int]:
        async with await inferkit.Session.open(onnx_models.identity(), max_pending=8) as session:
            feeds = source() if asynchronous else rows(500)
            found = [int(result["y"][0, 0]) async for result in session.map_async(feeds)]
        check_balance(session)
        return found

    assert asyncio.run(main()) == list(range(500))


def test_map_async_cancels_what_nobody_wants() -> None:
    async def main() -> inferkit.Session:
        async with await inferkit.Session.open(onnx_models.gather()) as session:
            answers = session.map_async(np.array([number]) for number in (1, 99, 2, 3))
            assert (await anext(answers))["y"][0, 0] == 1
            with pytest.raises(inferkit.InferkitError):
                await anext(answers)
            early = session.map_async(np.array([number % 16]) for number in range(1000))
            assert (await anext(early))["y"][0, 0] == 0
            await early.aclose()
        return session

    check_balance(asyncio.run(main()))


# ---- opening --------------------------------------------------------------------------------
def test_open_leaves_the_loop_free() -> None:
    async def main() -> None:
        opening = asyncio.ensure_future(inferkit.Session.open(onnx_models.mlp_b(), name="b"))
        turns = 0
        while not opening.done():
            await asyncio.sleep(0)
            turns += 1
        async with opening.result() as session:
            assert turns > 10
            assert session.name == "b"
        assert session.closed

    asyncio.run(main())


def test_open_raises_what_the_constructor_raises() -> None:
    with pytest.raises(inferkit.ModelLoadError, match="nowhere"):
        asyncio.run(inferkit.Session.open("nowhere.onnx"))
    with pytest.raises(TypeError):
        asyncio.run(inferkit.Session.open(MODEL, max_batch=3))  # type: ignore[call-arg]


def join_openers() -> None:
    for thread in threading.enumerate():
        if thread.name == "inferkit-open":
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.mark.parametrize("fails", [False, True])
def test_who_is_cancelled_as_the_session_comes_leaves_none_open(fails: bool) -> None:
    opened: list[inferkit.Session] = []

    class Seen(inferkit.Session):
        """Known from outside once it is open."""

        def __init__(self, model: bytes) -> None:
            super().__init__(b"none" if fails else model)
            opened.append(self)

    async def main() -> None:
        opening = asyncio.ensure_future(Seen.open(MODEL))
        await asyncio.sleep(0)
        join_openers()  # the loop is to be told of it
        asyncio.get_running_loop().slow_callback_duration = 100
        asyncio.get_running_loop().call_soon(opening.cancel)  # right after that
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(main())
    assert [session.closed for session in opened] == ([] if fails else [True])


@pytest.mark.parametrize("late", [False, True])
def test_a_session_that_nobody_waits_for_any_more_is_closed(late: bool) -> None:
    loading, cancelled = threading.Event(), threading.Event()
    opened: list[inferkit.Session] = []

    class Slow(inferkit.Session):
        """Is there before or after its opener has given up."""

        def __init__(self, model: bytes) -> None:
            loading.set()
            if late:
                assert cancelled.wait(PATIENCE)
            super().__init__(model)
            opened.append(self)

    async def main() -> None:
        opening = asyncio.ensure_future(Slow.open(MODEL))
        while not (loading.is_set() if late else opened):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        cancelled.set()

    asyncio.run(main())
    join_openers()
    assert [session.closed for session in opened] == [True]


@pytest.mark.parametrize("gives_up", ["cancelled", "thrown away"])
def test_a_loop_that_closes_as_the_session_comes_leaves_none_open(gives_up: str) -> None:
    loading, go = threading.Event(), threading.Event()
    opened: list[inferkit.Session] = []

    class Slow(inferkit.Session):
        """Is there when its opener has given up, and the loop is yet to close."""

        def __init__(self, model: bytes) -> None:
            loading.set()
            assert go.wait(PATIENCE)
            super().__init__(model)
            opened.append(self)

    async def main() -> None:
        opening = Slow.open(MODEL)
        if gives_up == "thrown away":
            opening.send(None)  # as the loop would, once
            until(loading.is_set)
            return opening.close()
        task = asyncio.ensure_future(opening)
        while not loading.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    go.set()
    join_openers()  # the loop takes what it is told, and has no turn left
    loop.close()
    assert [session.closed for session in opened] == [True]


# ---- closing --------------------------------------------------------------------------------
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_closing_leaves_no_thread() -> None:
    before = native_threads()
    with inferkit.Session(MODEL, instances=2) as session:
        session.submit(ROW).result()
        until(lambda: len(native_threads() - before) >= 2)  # a thread names itself
    until(lambda: native_threads() == before)  # one that was joined may be listed for a moment


def test_closing_twice_is_fine() -> None:
    session = inferkit.Session(MODEL)
    assert not session.closed
    session.close(drain=False, timeout=0)
    session.close()
    assert session.closed
    assert session.stats().accepted == 0
    assert session.inputs[0].name == "x"
    assert session.explain()


def test_close_answers_what_was_accepted() -> None:
    session = inferkit.Session(onnx_models.identity())
    futures = [session.submit(row) for row in rows(200)]
    session.close()
    assert [int(future.result(PATIENCE)["y"][0, 0]) for future in futures] == list(range(200))
    check_balance(session)


def test_close_without_draining_tells_the_queued() -> None:
    session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None)
    futures = [session.submit(np.array([[20_000]], np.float32)) for _ in range(50)]
    session.close(drain=False)
    errors = [future.exception(PATIENCE) for future in futures]
    told = [error for error in errors if error is not None]
    assert len(told) >= 48
    assert all(isinstance(error, inferkit.SessionClosedError) for error in told)
    check_balance(session)
    assert session.stats().closed == len(told)


def test_draining_ends_with_the_timeout() -> None:
    session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None)
    futures = [session.submit(np.array([[20_000]], np.float32)) for _ in range(50)]
    session.close(drain=True, timeout=0.01)
    assert isinstance(futures[-1].exception(PATIENCE), inferkit.SessionClosedError)
    with pytest.raises(inferkit.InvalidInputError, match=r"timeout.*-1"):
        session.close(timeout=-1)
    with pytest.raises(inferkit.InvalidInputError, match=r"timeout.*'soon'"):
        session.close(timeout="soon")  # type: ignore[arg-type]


def test_callers_that_wait_hear_of_the_close() -> None:
    session = inferkit.Session(
        onnx_models.slow_on_demand(), instances=1, batch_axis=None, max_pending=4
    )
    outcomes: list[object] = []
    ready = threading.Barrier(9)

    def ask() -> None:
        ready.wait()
        try:
            outcomes.append(session.run(np.array([[5_000]], np.float32), when_full="wait"))
        except inferkit.SessionClosedError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    ready.wait()
    session.close(drain=False)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert any(isinstance(outcome, inferkit.SessionClosedError) for outcome in outcomes)
    check_balance(session)


def test_leaving_by_an_exception_does_not_drain() -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with inferkit.Session(onnx_models.slow_on_demand(), instances=1) as session:
            futures = [session.submit(np.array([[20_000]], np.float32)) for _ in range(20)]
            raise ZeroDivisionError
    assert isinstance(futures[-1].exception(PATIENCE), inferkit.SessionClosedError)


# ---- as a Python object ---------------------------------------------------------------------
def test_a_session_is_a_python_object() -> None:
    class Mine(inferkit.Session):
        """With an attribute."""

        color = "green"

    with Mine(MODEL) as session:
        session.extra = 5  # type: ignore[attr-defined]
        assert session.__dict__ == {"extra": 5}
        assert weakref.ref(session)() is session
        assert "Mine" in repr(session)
        with pytest.raises(TypeError):
            copy.copy(session)  # there is one engine
    assert inferkit.Session.__module__ == inferkit.Result.__module__ == "inferkit"


def test_a_session_that_was_never_opened() -> None:
    session = inferkit.Session.__new__(inferkit.Session)
    assert session.closed
    session.close()
    for use in (
        lambda: session.run(ROW),
        lambda: session.submit(ROW),
        session.stats,
        session.explain,
        lambda: session.inputs,
        lambda: session.name,
    ):
        with pytest.raises(inferkit.SessionClosedError, match="never opened"):
            use()


def test_a_session_is_opened_once() -> None:
    with inferkit.Session(MODEL) as session:
        with pytest.raises(ValueError, match="open already"):
            session.__init__(MODEL)  # type: ignore[misc]
        assert session.run(ROW)["y"].shape == (1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_dropped_session_warns_and_closes() -> None:
    before = native_threads()
    session = inferkit.Session(MODEL, name="forgotten")
    with pytest.warns(ResourceWarning, match="unclosed.*forgotten"):
        del session
        gc.collect()
    until(lambda: native_threads() == before)


def test_a_dropped_session_in_a_cycle_closes() -> None:
    session = inferkit.Session(MODEL)
    session.myself = session  # type: ignore[attr-defined]
    gone = weakref.ref(session)
    with pytest.warns(ResourceWarning):
        del session
        gc.collect()
    assert gone() is None


def test_a_closed_session_is_dropped_silently() -> None:
    session = inferkit.Session(MODEL)
    session.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del session
        gc.collect()


# ---- other processes ------------------------------------------------------------------------
def python(program: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program that has `model`, `row` and this folder's modules."""
    head = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import inferkit, numpy as np, onnx_models\n"
        "row = np.ones((1, 32), np.float32)\n"
    )
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", head + program],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told() -> None:
    done = python(
        """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
session = inferkit.Session(onnx_models.mlp_a())
session.submit(row).result()
child = os.fork()
if child == 0:
    for call in (session.run, session.submit):
        try:
            call(row)
        except inferkit.ForkedSessionError as error:
            print("post_fork" in str(error), flush=True)
    session.close()
    mine = inferkit.Session(onnx_models.mlp_a())
    print(mine.run(row)["y"].shape, mine.submit(row).result()["y"].shape, flush=True)
    mine.close()
    del session
    sys.exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), session.run(row)["y"].shape)
session.close()
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == ["True", "True", "(1, 1) (1, 1)", "0 (1, 1)"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "sys.exit(3)",
        "raise ZeroDivisionError",
        "session.keep = session",
        "import threading; threading.Thread(target=ask, daemon=True).start()",
        "import threading; threading.Thread(target=ask).start()",
        "futures = [session.submit(long) for _ in range(5)]",
    ],
)
def test_an_open_session_does_not_keep_python_from_exiting(ending: str) -> None:
    done = python(
        """
session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None)
long = np.array([[5_000]], np.float32)

def ask():
    try:
        session.run(long)
    except inferkit.SessionClosedError:
        pass

"""
        + ending
    )
    expected = 3 if "exit" in ending else 1 if "raise" in ending else 0
    assert done.returncode == expected, done.stderr
    if expected == 0:
        assert done.stderr == ""


def test_sessions_close_at_exit_before_the_modules_go() -> None:
    done = python(
        """
import atexit
first, second = inferkit.Session(onnx_models.mlp_a()), inferkit.Session(onnx_models.mlp_a())
futures = [first.submit(row), second.submit(row)]

class Noisy(inferkit.Session):
    def close(self, *args, **kwargs):
        print("closing", self.name)
        super().close(*args, **kwargs)

old, new = Noisy(onnx_models.mlp_a(), name="old"), Noisy(onnx_models.mlp_a(), name="new")
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["closing new", "closing old"]
    assert done.stderr == ""


def test_a_close_that_fails_at_exit_keeps_no_other_open() -> None:
    done = python(
        """
class Failing(inferkit.Session):
    def close(self, *args, **kwargs):
        raise ValueError("on purpose")

class Noisy(inferkit.Session):
    def close(self, *args, **kwargs):
        super().close(*args, **kwargs)
        print("closed", self.closed)

old, new = Noisy(onnx_models.mlp_a()), Failing(onnx_models.mlp_a())
print(old.submit(row).result()["y"].shape)
"""
    )
    assert done.returncode == 0
    assert done.stdout.split("\n")[:2] == ["(1, 1)", "closed True"]
    assert "ValueError: on purpose" in done.stderr


def test_rows_whose_number_names_another_axis_are_not_batched() -> None:
    with inferkit.Session(onnx_models.square(), instances=1) as session:
        assert "is dimension 1 of" in session.explain()
        futures = [session.submit(np.full((1, 1), i, np.float32)) for i in range(8)]
        assert [future.result()["y"].shape for future in futures] == [(1, 1)] * 8
