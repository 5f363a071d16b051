"""Requests of more rows than one batch takes."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import CancelledError

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from numpy.typing import NDArray
from occupied import Held, one_at_a_time

ROWS = np.random.default_rng(0).standard_normal((500, 32), np.float32)


@pytest.fixture
def session() -> Iterator[inferkit.Session]:
    """Eight rows in a batch at most."""
    with inferkit.Session(onnx_models.mlp_a(), max_batch_size=8) as session:
        yield session
        check_balance(session)


@pytest.fixture(scope="module")
def expected() -> NDArray[np.float32]:
    """All answers, from a session that takes all rows at once."""
    with inferkit.Session(onnx_models.mlp_a(), max_batch_size=len(ROWS)) as whole:
        return whole.run(ROWS)["y"]


@pytest.mark.parametrize("count", [9, 16, 17, 500])
def test_the_answer_is_that_of_all_rows(
    session: inferkit.Session, expected: NDArray[np.float32], count: int
) -> None:
    answer = session.run(ROWS[:count])
    np.testing.assert_allclose(answer["y"], expected[:count], rtol=1e-4, atol=1e-6)
    assert answer["y"].flags.writeable
    assert answer.info.batch_rows == count
    stats = session.stats()
    assert (stats.accepted, stats.answered, stats.rows) == (1, 1, count)
    assert stats.batches == -(-count // 8)


def test_futures_coroutines_and_callers_share_the_batches(
    session: inferkit.Session, expected: NDArray[np.float32]
) -> None:
    async def ask(count: int) -> NDArray[np.float32]:
        return (await session.run_async(ROWS[:count]))["y"]

    async def all_of_them() -> list[NDArray[np.float32]]:
        futures = [session.submit(ROWS[:count]) for count in (30, 3, 200)]
        answers = await asyncio.gather(ask(50), ask(1), ask(150))
        return [*answers, *(future.result()["y"] for future in futures)]

    for answer in [*asyncio.run(all_of_them()), session.run(ROWS[:20])["y"]]:
        np.testing.assert_allclose(answer, expected[: len(answer)], rtol=1e-4, atol=1e-6)


def test_more_than_one_output_and_an_open_inner_dimension() -> None:
    with inferkit.Session(onnx_models.two_open_dims(), max_batch_size=2) as session:
        whole = inferkit.Session(onnx_models.two_open_dims(), max_batch_size=16)
        feeds = {
            info.name: np.random.default_rng(1)
            .standard_normal(
                [
                    7 if axis == 0 else size if isinstance(size, int) else 5
                    for axis, size in enumerate(info.shape)
                ]
            )
            .astype(info.dtype)
            for info in session.inputs
        }
        parts, all_at_once = session.run(feeds), whole.run(feeds)
        whole.close()
        assert list(parts) == list(all_at_once)
        for name, array in parts.items():
            np.testing.assert_allclose(array, all_at_once[name], rtol=1e-4, atol=1e-6)
        assert session.stats().batches == 4


def test_a_cancelled_one_leaves_the_queue_with_all_its_rows() -> None:
    with one_at_a_time() as slow:
        with Held(slow) as held:
            future = slow.submit(np.zeros((50, 1), np.float32))
            assert future.cancel()
            with pytest.raises(CancelledError):
                future.result()
        check_balance(slow)
        assert (slow.stats().cancelled, slow.stats().batches) == (1, held.count)


def test_a_deadline_ends_it_between_two_parts() -> None:
    with one_at_a_time() as slow:
        with pytest.raises(inferkit.DeadlineExceededError):
            slow.run(np.full((1_000, 1), 2_000, np.float32), timeout=0.2)  # some 20 ms each
        assert slow.run(np.zeros((1, 1), np.float32))["y"].shape[0] == 1
        check_balance(slow)
        assert slow.stats().batches < 500
