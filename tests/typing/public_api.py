"""What a type checker makes of the public API: read by mypy --strict, never run."""

import asyncio
from typing import Any, assert_type

import inferkit
import numpy as np
from numpy.typing import NDArray


def threads(x: NDArray[np.float32]) -> None:
    """The synchronous half."""
    with inferkit.Session("model.onnx", max_batch_size=32, max_delay=0.001) as session:
        assert_type(session, inferkit.Session)
        result = session.run({"x": x}, outputs=["y"], timeout=1.0, priority=1, when_full="wait")
        assert_type(result, inferkit.Result)
        assert_type(result["y"], NDArray[Any])
        future = session.submit({"x": x})
        assert_type(future, inferkit.Future)
        assert_type(future.result(timeout=1.0), inferkit.Result)
        for answer in session.map({"x": row[None]} for row in x):
            assert_type(answer, inferkit.Result)
        assert_type(session.inputs, tuple[inferkit.TensorInfo, ...])
        assert_type(session.inputs[0].name, str)
        assert_type(session.stats(), inferkit.Stats)
        assert_type(session.explain(), str)
        assert_type(session.closed, bool)


async def tasks(x: NDArray[np.float32]) -> None:
    """The asyncio half."""
    async with await inferkit.Session.open(b"model") as session:
        assert_type(session, inferkit.Session)
        assert_type(await session.run_async({"x": x}), inferkit.Result)
        task = asyncio.create_task(session.run_async(x))
        assert_type(await task, inferkit.Result)
        async for answer in session.map_async({"x": row[None]} for row in x):
            assert_type(answer, inferkit.Result)


def errors(error: inferkit.BackendError) -> None:
    """Errors are classes of their own and of Python's."""
    assert_type(error.code, int)
    caught: TimeoutError = inferkit.DeadlineExceededError("late")
    also: ValueError = inferkit.InvalidInputError("bad")
    missing: ImportError = inferkit.RuntimeNotFoundError("none")
    print(caught, also, missing)
