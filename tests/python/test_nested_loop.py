"""A task that runs its own event loop from within, as nest_asyncio lets notebooks do."""

import asyncio
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest

DEAR = onnx_models.slow(400, width=32)  # far beyond the inline budget


@pytest.mark.parametrize(
    "model", [onnx_models.mlp_a(), DEAR], ids=["cheap: on the loop", "dear: on a runner"]
)
def test_a_request_from_a_nested_run_of_the_loop_is_answered(model: bytes) -> None:
    feeds = {"x": np.ones((1, 32), np.float32)}

    async def ask(session: inferkit.Session) -> Any:
        await session.run_async(feeds)  # resumed by inferkit, the task goes on to run the loop
        return run_from_within(session.run_async(feeds))

    with inferkit.Session(model) as session:
        answer = asyncio.run(ask(session))
        alone = session.run(feeds)
    np.testing.assert_allclose(answer["y"], alone["y"], rtol=1e-5)


def test_a_nested_run_is_woken_for_what_was_asked_before() -> None:
    """The reader of the outer run is still on the stack when that of the inner one fires."""
    feeds = {"x": np.ones((1, 32), np.float32)}

    async def ask(session: inferkit.Session) -> Any:
        alone = asyncio.create_task(session.run_async(feeds))
        await session.run_async(feeds)
        return run_from_within(session.run_async(feeds)), run_from_within(alone)

    with inferkit.Session(DEAR, instances=1, max_batch_size=1) as session:
        for _ in range(5):
            for answer in asyncio.run(ask(session)):
                assert answer["y"].shape == (1, 32)


def run_from_within(coroutine: Any) -> Any:
    """What nest_asyncio's ``run_until_complete`` comes down to."""
    loop: Any = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None
    inner = asyncio.ensure_future(coroutine)
    asyncio.tasks._leave_task(loop, me)
    try:
        while not inner.done():
            loop._run_once()
    finally:
        asyncio.tasks._enter_task(loop, me)
    return inner.result()
