"""A task that runs its own event loop from within, as nest_asyncio lets notebooks do."""

import asyncio
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest


@pytest.mark.parametrize(
    "model",
    [onnx_models.mlp_a(), onnx_models.slow(400, width=32)],
    ids=["cheap: on the loop", "dear: on a runner"],
)
@pytest.mark.timeout(60)
def test_a_request_from_a_nested_run_of_the_loop_is_answered(model: bytes) -> None:
    feeds = {"x": np.ones((1, 32), np.float32)}

    async def ask(session: inferkit.Session) -> Any:
        await session.run_async(feeds)  # resumed by inferkit, the task goes on to run the loop
        return run_from_within(session.run_async(feeds))

    with inferkit.Session(model) as session:
        answer = asyncio.run(ask(session))
        alone = session.run(feeds)
    np.testing.assert_allclose(answer["y"], alone["y"], rtol=1e-5)


def run_from_within(coroutine: Any) -> Any:
    """What nest_asyncio's ``run_until_complete`` comes down to."""
    loop: Any = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None
    inner = loop.create_task(coroutine)
    asyncio.tasks._leave_task(loop, me)
    try:
        while not inner.done():
            loop._run_once()
    finally:
        asyncio.tasks._enter_task(loop, me)
    return inner.result()
