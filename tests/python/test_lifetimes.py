"""Who keeps whose memory: arrays of the caller, results, batches, sessions."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from numpy.typing import NDArray
from occupied import until

WIDE = 4096  # floats: from 16 KiB on a result is a view of the batch


@pytest.fixture
def wide() -> Iterator[inferkit.Session]:
    """`y = x` for `x[batch, 4096]`."""
    with inferkit.Session(onnx_models.identity(shape=("batch", WIDE))) as session:
        yield session


def row(value: float) -> NDArray[np.float32]:
    return np.full((1, WIDE), value, np.float32)


def blocks(session: inferkit.Session) -> int:
    return session.stats().pool_blocks_in_use


# ---- results --------------------------------------------------------------------------------
def test_results_outlive_their_session(wide: inferkit.Session) -> None:
    kept = [wide.run(row(value))["y"] for value in range(20)]
    wide.close()
    gone = weakref.ref(wide)
    assert gone() is not None
    assert [float(answer[0, -1]) for answer in kept] == [float(value) for value in range(20)]
    kept[3] += 1
    assert kept[3].min() == 4
    assert kept[4].max() == 4


def test_a_session_goes_while_its_results_stay() -> None:
    session = inferkit.Session(onnx_models.identity(shape=("batch", WIDE)))
    answer = session.run(row(7))["y"]
    session.close()
    gone = weakref.ref(session)
    del session
    assert gone() is None
    assert (answer == 7).all()


def test_a_block_is_free_with_the_last_result_in_it(wide: inferkit.Session) -> None:
    futures = [wide.submit(row(value)) for value in range(8)]
    answers = [future.result()["y"] for future in futures]
    futures.clear()
    assert blocks(wide) >= 1
    part = answers[5][:, 7:9]
    answers.clear()
    until(lambda: blocks(wide) == 1)  # the notifier may hold the last future a moment longer
    assert part.tolist() == [[5, 5]]
    del part
    until(lambda: blocks(wide) == 0)


def test_copies_pin_nothing() -> None:
    with inferkit.Session(onnx_models.identity()) as session:
        kept = [session.run(np.zeros((1, 3), np.float32)) for _ in range(50)]
        assert blocks(session) == 0
    assert len(kept) == 50


def test_a_dropped_result_frees_at_once(wide: inferkit.Session) -> None:
    result = wide.run(row(1))
    assert result.info.rows == 1
    assert blocks(wide) == 1
    result["itself"] = result  # type: ignore[assignment]
    del result
    gc.collect()
    assert blocks(wide) == 0


def test_results_may_be_dropped_by_any_thread(wide: inferkit.Session) -> None:
    kept = [wide.run(row(value)) for value in range(32)]
    threads = [threading.Thread(target=kept.pop) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blocks(wide) == 0


def test_freed_memory_is_used_again(wide: inferkit.Session) -> None:
    wide.run(row(1))
    reserved = wide.stats().pool_bytes_reserved
    for value in range(500):
        wide.run(row(value))
    assert wide.stats().pool_bytes_reserved == reserved


# ---- arguments ------------------------------------------------------------------------------
def references(*objects: object) -> list[int]:
    return [sys.getrefcount(each) for each in objects]


def blocks_left(work: Callable[[], object]) -> int:
    """Python's memory blocks that `work` left behind."""
    gc.collect()
    before = sys.getallocatedblocks()
    work()
    gc.collect()
    return sys.getallocatedblocks() - before


def bad(session: inferkit.Session, **arguments: Any) -> None:
    with pytest.raises((inferkit.InvalidInputError, inferkit.DeadlineExceededError)):
        session.run(**arguments)


CALLS: dict[str, Callable[[inferkit.Session, NDArray[np.float32], list[str]], object]] = {
    "run": lambda session, x, names: session.run({"x": x}, outputs=names),
    "bare": lambda session, x, names: session.run(x),
    "strided": lambda session, x, names: session.run(x[:, ::-1]),
    "list": lambda session, x, names: session.run([x[0]]),
    "wait": lambda session, x, names: session.run(x, when_full="wait", timeout=60.0),
    "wrong outputs": lambda session, x, names: bad(session, feeds=x, outputs=[*names, "z"]),
    "wrong dtype": lambda session, x, names: bad(session, feeds=x.astype(float)),
    "wrong shape": lambda session, x, names: bad(session, feeds=x[0]),
    "wrong names": lambda session, x, names: bad(session, feeds={"y": x}),
    "expired": lambda session, x, names: bad(session, feeds=x, timeout=0),
    "info": lambda session, x, names: session.run(x).info,
    "stats": lambda session, x, names: (session.stats(), session.explain(), session.inputs),
    "map": lambda session, x, names: list(session.map([x, x], outputs=names)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_keeps_no_reference(wide: inferkit.Session, name: str) -> None:
    x, names = row(1), ["y"]
    call = CALLS[name]

    def work() -> None:
        for _ in range(100):
            call(wide, x, names)

    work()
    gc.collect()
    watched = (x, names, names[0], None, np.dtype("f4"), wide, inferkit.Result, dict, np.ndarray)
    before = references(*watched)
    assert min(blocks_left(work) for _ in range(3)) < 50
    grown = [now - then for now, then in zip(references(*watched), before, strict=True)]
    # None and the types are shared with everything else that happens in the process.
    assert max(map(abs, grown)) < 50, grown
    assert grown[:3] == [0, 0, 0]


def test_a_kept_reference_would_be_seen(wide: inferkit.Session) -> None:
    x = row(1)
    before = references(x)
    kept: list[object] = []
    assert blocks_left(lambda: kept.extend([x] for _ in range(100))) >= 100
    assert references(x)[0] - before[0] == len(kept)


def test_feeds_are_free_after_submit(wide: inferkit.Session) -> None:
    x = row(3)
    gone = weakref.ref(x)
    future = wide.submit({"x": x})
    del x
    assert gone() is None  # the request holds a copy
    assert future.result()["y"].min() == 3


# ---- sessions -------------------------------------------------------------------------------
def test_a_future_keeps_its_session_open() -> None:
    session = inferkit.Session(onnx_models.identity(shape=("batch", WIDE)))
    future = session.submit(row(2))
    gone = weakref.ref(session)
    assert future.result()["y"].max() == 2
    session.close()
    del session, future
    until(lambda: gone() is None)


def test_sessions_come_and_go() -> None:
    model = onnx_models.mlp_a()

    def once() -> None:
        with inferkit.Session(model, instances=1) as session:
            session.run(np.ones((1, 32), np.float32))
            session.submit(np.ones((1, 32), np.float32)).result()

    for _ in range(3):
        once()
    gc.collect()
    allocated = sys.getallocatedblocks()
    for _ in range(20):
        once()
    gc.collect()
    assert sys.getallocatedblocks() - allocated < 100


def test_a_session_dropped_by_its_last_caller() -> None:
    """The reference that a running call holds is the last one: the engine closes afterwards."""
    holder = [inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None)]
    answers: list[Any] = []

    def ask(session: inferkit.Session, started: threading.Event) -> None:
        started.set()
        answers.append(session.run(np.array([[5_000]], np.float32))["y"])
        session.close()

    started = threading.Event()
    thread = threading.Thread(target=ask, args=(holder[0], started))
    thread.start()
    started.wait()
    holder.clear()
    thread.join()
    assert answers[0] == [[5_000]]
