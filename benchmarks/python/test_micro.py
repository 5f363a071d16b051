"""Operations of one caller, one at a time: ``pytest benchmarks/python --benchmark-only``."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import models
from benchmarks.models import Model
from benchmarks.peers.direct import Direct


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
