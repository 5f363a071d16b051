"""Operations of one caller, one at a time: ``pytest benchmarks/python --benchmark-only``."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks import models
from benchmarks.models import Model
from benchmarks.peers.direct import Direct
from benchmarks.python.deadlines import occupied
from tests.python import onnx_models


@pytest.fixture(scope="module", params=["a", "b"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    """Each model in turn."""
    with models.built(request.param) as built:
        yield built


@pytest.fixture(scope="module")
def session(model: Model) -> Iterator[Any]:
    """inferkit, no option."""
    inferkit = pytest.importorskip("inferkit")
    with inferkit.Session(model.path) as opened:
        yield opened


@pytest.mark.benchmark(group="one call")
@pytest.mark.parametrize("intra_op", [1, None], ids=["intra 1", "default"])
def test_onnxruntime_run(benchmark: Any, model: Model, intra_op: int | None) -> None:
    """``InferenceSession.run``: the comparator."""
    peer = Direct(model.path, intra_op)
    benchmark(peer.call, peer.argument(model.rows[0]))


@pytest.mark.benchmark(group="one call")
def test_run(benchmark: Any, model: Model, session: Any) -> None:
    """``Session.run``."""
    answer = benchmark(session.run, {"x": model.rows[0]})
    assert answer["y"].shape[0] == 1


@pytest.mark.benchmark(group="one call")
def test_run_bare_array(benchmark: Any, model: Model, session: Any) -> None:
    """``Session.run`` with the array itself for a one-input model."""
    answer = benchmark(session.run, model.rows[0])
    assert answer["y"].shape[0] == 1


@pytest.mark.benchmark(group="one call")
def test_submit_and_result(benchmark: Any, model: Model, session: Any) -> None:
    """``Session.submit(...).result()``: always a hand-off to a runner."""
    feeds = {"x": model.rows[0]}
    answer = benchmark(lambda: session.submit(feeds).result())
    assert answer["y"].shape[0] == 1


@pytest.mark.benchmark(group="one call")
def test_run_async(benchmark: Any, model: Model, session: Any) -> None:
    """100 awaits of ``Session.run_async`` in one task, the loop's own start included."""
    feeds = {"x": model.rows[0]}

    async def hundred() -> None:
        for _ in range(100):
            await session.run_async(feeds)

    with asyncio.Runner() as runner:
        benchmark(lambda: runner.run(hundred()))


@pytest.mark.benchmark(group="one call")
def test_map_64(benchmark: Any, model: Model, session: Any) -> None:
    """64 requests through ``Session.map``."""
    feeds = [{"x": row} for row in model.rows[:64]]
    answers = benchmark(lambda: list(session.map(feeds)))
    assert len(answers) == 64


@pytest.mark.benchmark(group="look")
def test_stats(benchmark: Any, session: Any) -> None:
    """``Session.stats``, which monitoring calls often."""
    assert benchmark(session.stats).in_flight == 0


# ---- what an error costs: the exception caught, too -----------------------------------------
def _raised(call: Any, kind: type[Exception]) -> Any:
    def attempt() -> bool:
        try:
            call()
        except kind:
            return True
        return False

    return attempt


@pytest.mark.benchmark(group="error")
def test_a_wrong_feed(benchmark: Any, model: Model, session: Any) -> None:
    """Refused by its shape, at the door."""
    wrong = {"x": model.rows[0][:, :3]}
    assert benchmark(_raised(lambda: session.run(wrong), ValueError))


@pytest.mark.benchmark(group="error")
def test_no_time_left(benchmark: Any, model: Model, session: Any) -> None:
    """``run`` whose deadline has passed when it is asked."""
    feeds = {"x": model.rows[0]}
    assert benchmark(_raised(lambda: session.run(feeds, timeout=0), TimeoutError))


@pytest.mark.benchmark(group="error")
def test_a_full_queue(benchmark: Any) -> None:
    """``submit`` while every instance computes and the queue holds all it may."""
    inferkit = pytest.importorskip("inferkit")
    feeds = {"x": np.zeros((1, 1), np.float32)}
    with occupied(0.5, max_pending=16) as busy:
        refused = _raised(lambda: busy.submit(feeds), inferkit.QueueFullError)
        while not refused():
            pass
        benchmark(refused)


@pytest.mark.benchmark(group="error")
def test_a_run_that_fails(benchmark: Any) -> None:
    """``run`` with a value that the model refuses."""
    inferkit = pytest.importorskip("inferkit")
    ids = {"ids": np.array([1 << 40])}
    with inferkit.Session(onnx_models.gather()) as opened:
        assert benchmark(_raised(lambda: opened.run(ids), inferkit.InferkitError))
