"""`Session.run`: right answers, in the caller's own memory, from any number of threads."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import inferkit
import numpy as np
import onnx_models
import onnxruntime
import pytest
from conftest import check_balance
from numpy.typing import NDArray
from occupied import PATIENCE, until
from tolerances import DEFAULT, distance


def alone(model: bytes, **feeds: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """What onnxruntime itself answers."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


# ---- answers --------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_answers_are_onnxruntimes(mlp: inferkit.Session, rows: int) -> None:
    x = np.random.default_rng(rows).standard_normal((rows, 32), dtype=np.float32)
    result = mlp.run({"x": x})
    assert list(result) == ["y"]
    assert distance(result["y"], alone(onnx_models.mlp_a(), x=x)["y"]) <= DEFAULT


def test_a_bare_array_feeds_the_only_input(mlp: inferkit.Session) -> None:
    x = np.ones((3, 32), np.float32)
    assert np.array_equal(mlp.run(x)["y"], mlp.run({"x": x})["y"])


@pytest.mark.parametrize("dtype", onnx_models.NUMERIC_DTYPES)
def test_every_dtype_goes_in_and_out(dtype: str) -> None:
    extremes = np.array([[0, 1, 1]], dtype)
    if dtype != "bool":
        limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
        extremes = np.array([[limits.min, 1, limits.max]], dtype)
    with inferkit.Session(onnx_models.identity(dtype)) as session:
        assert session.inputs[0].dtype == session.outputs[0].dtype == dtype
        answer = session.run({"x": extremes})["y"]
    assert answer.dtype == dtype
    assert np.array_equal(answer, extremes)


def test_many_inputs_and_outputs(three: inferkit.Session) -> None:
    left = np.arange(6, dtype=np.float32).reshape(2, 3)
    right = np.full((2, 3), 10, np.float32)
    count = np.array([3, -4], np.int64)
    # In another order than the model's: names decide.
    result = three.run({"count": count, "right": right, "left": left})
    assert list(result) == ["total", "difference", "twice"]
    assert np.array_equal(result["total"], left + right)
    assert np.array_equal(result["difference"], left - right)
    assert np.array_equal(result["twice"], 2 * count)


@pytest.mark.parametrize("outputs", [["twice"], ("twice", "total"), ["total", "twice", "total"]])
def test_outputs_are_chosen_by_name(three: inferkit.Session, outputs: list[str]) -> None:
    feeds = {
        "left": np.ones((1, 3), np.float32),
        "right": np.ones((1, 3), np.float32),
        "count": np.array([21]),
    }
    result = three.run(feeds, outputs=outputs)
    assert list(result) == list(dict.fromkeys(outputs))
    assert result["twice"] == [42]


def test_no_rows_give_no_rows(mlp: inferkit.Session, three: inferkit.Session) -> None:
    answer = mlp.run(np.empty((0, 32), np.float32))["y"]
    assert (answer.shape, answer.dtype) == ((0, 1), np.float32)
    nothing = np.empty((0, 3), np.float32)
    result = three.run({"left": nothing, "right": nothing, "count": np.empty(0, np.int64)})
    shapes = {name: array.shape for name, array in result.items()}
    assert shapes == {"total": (0, 3), "difference": (0, 3), "twice": (0,)}


def test_no_rows_keep_the_open_dimensions() -> None:
    with inferkit.Session(onnx_models.two_open_dims()) as session:
        result = session.run(np.empty((0, 5, 4), np.float32))
    assert result["doubled"].shape == (0, 5, 4)
    assert result["summed"].shape == (0, 4)


@pytest.mark.parametrize(
    ("model", "feed", "name", "expected"),
    [
        (onnx_models.fixed_batch(rows=2), np.ones((2, 3), np.float32), "y", np.full((2, 3), 2.0)),
        (onnx_models.scalar_output(), np.ones((4, 3), np.float32), "total", np.array(12.0)),
    ],
    ids=["fixed_batch", "scalar_output"],
)
def test_models_that_cannot_be_batched_are_served_one_by_one(
    model: bytes, feed: NDArray[np.float32], name: str, expected: NDArray[np.float64]
) -> None:
    with inferkit.Session(model) as session:
        answer = session.run(feed)[name]
        assert answer.shape == expected.shape
        assert np.array_equal(answer, expected)
        assert "first dimension" in session.explain() or "scalar" in session.explain()


# ---- whose memory ---------------------------------------------------------------------------
def test_results_are_the_callers_own() -> None:
    with inferkit.Session(onnx_models.identity(shape=("batch", "width"))) as session:
        for width in (4, 100_000):
            x = np.arange(width, dtype=np.float32)[None]
            first = session.run(x)["y"]
            x += 1
            first += 5
            second = session.run(x)["y"]
            assert np.array_equal(second, x)
            assert np.array_equal(first, x + 4)


def test_large_results_are_views_that_show_nothing_else() -> None:
    with inferkit.Session(onnx_models.identity(shape=("batch", "width"))) as session:
        small = session.run(np.zeros((1, 4095), np.float32))["y"]
        large = session.run(np.zeros((1, 4096), np.float32))["y"]
    assert small.base is None
    assert type(large.base).__name__ == "PyCapsule"  # no array that spans the batch
    assert large.flags.writeable and large.flags.c_contiguous and large.flags.aligned


def test_results_that_pile_up_become_copies() -> None:
    wide = np.zeros((1, 1 << 18), np.float32)  # 1 MiB
    # A fixed width: where ONNX Runtime decides the shape, the memory is its own and not the pool's.
    with inferkit.Session(onnx_models.identity(shape=("batch", 1 << 18))) as session:
        kept = [session.run(wide)["y"] for _ in range(600)]
        assert kept[0].base is not None
        assert kept[-1].base is None
        used = session.stats().pool_bytes_in_use
        kept.clear()
        assert session.stats().pool_bytes_in_use < used


def test_a_result_is_a_dict(mlp: inferkit.Session) -> None:
    result = mlp.run(np.ones((2, 32), np.float32))
    assert isinstance(result, dict) and isinstance(result, inferkit.Result)
    assert type(result.copy()) is dict
    with pytest.raises(TypeError):
        inferkit.Result()


def test_info_tells_how_it_went(mlp: inferkit.Session) -> None:
    result = mlp.run(np.ones((2, 32), np.float32))
    info = result.info
    assert info is result.info
    assert (info.rows, info.batch_rows, info.batch_requests) == (2, 2, 1)
    assert info.ran_on in {"lent_thread", "runner"}
    assert info.run_seconds > 0
    assert min(info.queue_seconds, info.gather_seconds) >= 0
    assert mlp.run(np.empty((0, 32), np.float32)).info.rows == 0


# ---- many callers ---------------------------------------------------------------------------
def test_many_threads_get_each_their_own_answer() -> None:
    callers, each = 16, 100
    with inferkit.Session(onnx_models.identity(shape=("batch", 3))) as session:
        wrong: list[object] = []

        def ask(number: int) -> None:
            for turn in range(each):
                rows = turn % 4
                x = np.full((rows, 3), number * each + turn, np.float32)
                answer = session.run(x)["y"]
                if not np.array_equal(answer, x):
                    wrong.append((x, answer))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        check_balance(session)
        stats = session.stats()
        assert stats.answered == callers * each
        assert stats.pool_blocks_in_use == 0
        assert sum(stats.batch_sizes.values()) == stats.batches


def test_other_threads_run_while_a_model_runs() -> None:
    with inferkit.Session(onnx_models.slow_on_demand(), batch_axis=None) as session:
        ticks, done = 0, threading.Event()

        def work() -> None:
            session.run(np.array([[20_000]], np.float32))
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: session.stats().in_flight == 1)
        while not done.is_set():
            ticks += 1
        thread.join()
        assert ticks > 1000


# ---- limits ---------------------------------------------------------------------------------
BUSY = np.array([[20_000]], np.float32)  # rounds of work for slow_on_demand: half a second or so
IDLE = np.array([[0]], np.float32)


@pytest.fixture
def busy() -> Iterator[inferkit.Session]:
    """A session with one instance and room for one request, which it has."""
    session = inferkit.Session(
        onnx_models.slow_on_demand(), instances=1, max_pending=1, batch_axis=None
    )
    until(session.submit(BUSY).running)
    yield session
    session.close()


def test_a_full_session_refuses(busy: inferkit.Session) -> None:
    with pytest.raises(inferkit.QueueFullError, match="1 of 1 requests"):
        busy.run(IDLE)
    with pytest.raises(inferkit.QueueFullError):
        busy.run(IDLE, when_full="raise", timeout=10)
    assert busy.stats().rejected == 2


def test_a_caller_may_wait_for_room(busy: inferkit.Session) -> None:
    assert busy.run(IDLE, when_full="wait")["y"] == [[0]]
    assert busy.stats().rejected == 0


def test_waiting_for_room_ends_with_the_timeout(busy: inferkit.Session) -> None:
    began = time.monotonic()
    with pytest.raises(inferkit.DeadlineExceededError, match="waiting for room"):
        busy.run(IDLE, when_full="wait", timeout=0.01)
    assert time.monotonic() - began < PATIENCE
    assert busy.stats().accepted == 1


def test_a_session_may_wait_by_default() -> None:
    model = onnx_models.slow_on_demand()
    with inferkit.Session(
        model, instances=1, max_pending=1, when_full="wait", batch_axis=None
    ) as session:
        until(session.submit(BUSY).running)
        with pytest.raises(inferkit.QueueFullError):
            session.run(IDLE, when_full="raise")
        assert session.run(IDLE)["y"] == [[0]]


def test_the_deadline_passes_while_queued() -> None:
    with inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None) as session:
        first = session.submit(BUSY)
        until(first.running)
        with pytest.raises(inferkit.DeadlineExceededError):
            session.run(IDLE, timeout=0.01)
        assert not first.done()
        assert first.result(PATIENCE)["y"] == BUSY
        assert session.stats().expired == 1


def test_no_time_at_all(mlp: inferkit.Session) -> None:
    with pytest.raises(inferkit.DeadlineExceededError):
        mlp.run(np.ones((1, 32), np.float32), timeout=0)


@pytest.mark.parametrize("timeout", [None, 60, float("inf"), 1e300, np.float32(60)])
def test_time_enough(mlp: inferkit.Session, timeout: float) -> None:
    assert mlp.run(np.ones((1, 32), np.float32), timeout=timeout)["y"].shape == (1, 1)


# ---- the call itself ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"timeout": -1}, ["timeout", "0", "-1"]),
        ({"timeout": float("nan")}, ["timeout", "nan"]),
        ({"timeout": "soon"}, ["timeout", "'soon'"]),
        ({"priority": 1.5}, ["priority", "1.5"]),
        ({"priority": 10**5000}, ["priority", "int"]),
        ({"timeout": 10**5000}, ["timeout", "int"]),
        ({"priority": 2**31}, ["priority", "2147483648"]),
        ({"priority": -(2**31) - 1}, ["priority", "-2147483649"]),
        ({"priority": -(2**70)}, ["priority", str(-(2**70))]),
        ({"when_full": "drop"}, ["when_full", "'raise'", "'wait'", "'drop'"]),
        ({"when_full": 1}, ["when_full", "1"]),
        ({"outputs": ["z"]}, ["outputs", "'y'", "'z'"]),
        ({"outputs": "y"}, ["outputs", "list", "'y'"]),
        ({"outputs": []}, ["outputs", "empty"]),
        ({"outputs": [7]}, ["outputs", "7"]),
    ],
)
def test_arguments_that_do_not_fit(
    mlp: inferkit.Session,
    nothing_queued: Callable[[inferkit.Session], object],
    arguments: dict[str, object],
    names: list[str],
) -> None:
    with nothing_queued(mlp), pytest.raises(inferkit.InvalidInputError) as caught:
        mlp.run(np.ones((1, 32), np.float32), **arguments)
    for name in names:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.run(),
        lambda session: session.run(1, 2),
        lambda session: session.run(1, feeds=2),
        lambda session: session.run(1, retries=2),
    ],
)
def test_calls_that_python_refuses(
    mlp: inferkit.Session, call: Callable[[inferkit.Session], object]
) -> None:
    with pytest.raises(TypeError):
        call(mlp)


def test_feeds_may_be_named(mlp: inferkit.Session) -> None:
    assert mlp.run(feeds=np.ones((1, 32), np.float32), priority=-5)["y"].shape == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"priority": -1},
        {"priority": -(2**31)},
        {"priority": 2**31 - 1},
        {"timeout": None, "when_full": None, "outputs": None},
        {"timeout": 1e300, "when_full": "raise"},
        {"when_full": "wait", "outputs": ("y",)},
    ],
)
def test_arguments_at_their_limits(mlp: inferkit.Session, arguments: dict[str, Any]) -> None:
    assert mlp.run(np.ones((1, 32), np.float32), **arguments)["y"].shape == (1, 1)


# ---- Ctrl-C ---------------------------------------------------------------------------------
INTERRUPTED = """
import collections, os, signal, sys, threading, time
import inferkit, numpy as np
sys.path.insert(0, sys.argv[1])
import onnx_models

options = {} if sys.argv[2] == "an answer" else {"max_pending": 1, "when_full": "wait"}
session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None, **options)
long = session.submit(np.array([[5_000_000]], np.float32))  # far longer than the test's patience
while not long.running():
    time.sleep(0.001)
reading = threading.Event()

class Feeds(collections.UserDict):
    def __getitem__(self, name):
        reading.set()
        return super().__getitem__(name)

def press() -> None:
    reading.wait()
    while session.stats().in_flight == 1 and not options:
        time.sleep(0.001)
    time.sleep(0.1)  # nothing tells that a thread waits for room, or drains
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press).start()
try:
    if sys.argv[2] == "the close":
        reading.set()
        session.close()
    session.run(Feeds(x=np.array([[0]], np.float32)))
except KeyboardInterrupt:
    print("left", session.stats().cancelled, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("waits_for", ["an answer", "room", "the close"])
def test_ctrl_c_ends_the_wait(waits_for: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, os.path.dirname(__file__), waits_for],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["left", "1" if waits_for == "an answer" else "0"]


def test_a_signal_handler_runs_during_the_wait() -> None:
    handled = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.set())
    try:
        with inferkit.Session(
            onnx_models.slow_on_demand(), instances=1, batch_axis=None
        ) as session:
            first = session.submit(BUSY)
            until(first.running)

            def press() -> None:
                until(lambda: session.stats().in_flight == 2)
                os.kill(os.getpid(), signal.SIGUSR1)
                assert handled.wait(PATIENCE)
                seen.append(first.done())

            seen: list[bool] = []
            thread = threading.Thread(target=press)
            thread.start()
            assert session.run(IDLE)["y"] == [[0]]
            thread.join()
            assert seen == [False]  # it was handled long before the answer came
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("rows", ["batch", 1])
@pytest.mark.parametrize("options", [{}, {"warmup": False}, {"batch_axis": None}])
def test_an_output_that_is_an_input_comes_back_as_it_was(
    rows: int | str, options: dict[str, Any]
) -> None:
    model = onnx_models.passes_an_input_on(rows)
    with inferkit.Session(model, **options) as session:
        asked = [np.array([[i, -i]]) for i in range(100)]
        kept = list(session.map({"ids": each} for each in asked))
        for ids, result in zip(asked, kept, strict=True):
            np.testing.assert_array_equal(result["ids"], ids)
            np.testing.assert_array_equal(result["y"], -ids)
            result["ids"][:] = 0  # the caller's own
            np.testing.assert_array_equal(result["y"], -ids)
        if not options and rows == "batch":
            assert "equal their runs alone" in session.explain()
