"""Deadlines of awaited calls and futures."""

import asyncio
import time

import inferkit
import loops
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import Held, one_at_a_time, rounds

every_loop = pytest.mark.parametrize("kind", sorted(loops.KINDS))


@every_loop
def test_a_queued_request_expires(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session):
            began = time.monotonic()
            with pytest.raises(inferkit.DeadlineExceededError, match="deadline"):
                await session.run_async(rounds(0), timeout=0.05)
            assert time.monotonic() - began >= 0.05
            assert session.stats().expired == 1

    with one_at_a_time() as session:
        loops.run_on(kind, main(session))
        check_balance(session)


def test_a_running_request_expires_before_its_run_ends() -> None:
    async def main(session: inferkit.Session) -> None:
        began = time.monotonic()
        with pytest.raises(inferkit.DeadlineExceededError):
            await session.run_async(rounds(100_000), timeout=0.05)
        assert time.monotonic() - began >= 0.05
        stats = session.stats()
        assert (stats.expired, stats.batches) == (1, 0)  # the run goes on without its caller

    # Without a warm-up nothing is known about the model: no event loop runs it.
    with one_at_a_time(warmup=False) as session:
        asyncio.run(main(session))
    check_balance(session)
    assert session.stats().batches == 1


def test_the_clock_starts_at_the_call() -> None:
    async def main(session: inferkit.Session) -> None:
        late = session.run_async(rounds(0), timeout=0.01)
        await asyncio.sleep(0.02)
        with pytest.raises(inferkit.DeadlineExceededError):
            await late
        assert (await session.run_async(rounds(3), timeout=60))["y"][0, 0] == 3

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)


def test_no_time_at_all() -> None:
    async def main(session: inferkit.Session) -> None:
        with pytest.raises(inferkit.DeadlineExceededError):
            await session.run_async(rounds(0), timeout=0)

    with one_at_a_time() as session, Held(session):
        asyncio.run(main(session))


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "without add_reader"])
def test_a_deadline_passes_while_waiting_for_room(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        began = time.monotonic()
        with pytest.raises(inferkit.DeadlineExceededError, match="waiting for room"):
            await session.run_async(rounds(0), timeout=0.05, when_full="wait")
        # uvloop's timers count whole milliseconds.
        assert time.monotonic() - began >= 0.048

    with one_at_a_time(max_pending=1) as session:
        blocker = session.submit(rounds(100_000))
        loops.run_on(kind, main(session))
        assert not blocker.done()
        assert (session.stats().accepted, session.stats().expired) == (1, 0)
        blocker.result()
        check_balance(session)


def test_a_future_expires() -> None:
    with one_at_a_time() as session, Held(session):
        future = session.submit(rounds(0), timeout=0.05)
        with pytest.raises(inferkit.DeadlineExceededError):
            future.result(60)
        assert isinstance(future.exception(), TimeoutError)
        assert session.stats().expired == 1


def test_waiting_for_a_future_is_no_deadline() -> None:
    with one_at_a_time() as session:
        with Held(session):
            future = session.submit(rounds(6))
            with pytest.raises(TimeoutError) as caught:
                future.result(0.01)
            assert not isinstance(caught.value, inferkit.DeadlineExceededError)
            assert session.stats().expired == 0
        assert future.result(60)["y"][0, 0] == 6


def test_thousands_of_deadlines() -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session):
            requests = (session.run_async(rounds(0), timeout=0.001 * (i % 50)) for i in range(900))
            answers = await asyncio.gather(*requests, return_exceptions=True)
        assert all(isinstance(each, inferkit.DeadlineExceededError) for each in answers)

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)
        assert session.stats().expired == 900


def test_a_fast_model_meets_its_deadline_inline() -> None:
    async def main(session: inferkit.Session) -> None:
        x = np.ones((1, 32), np.float32)
        for _ in range(10):
            assert "y" in await session.run_async(x, timeout=60)

    with inferkit.Session(onnx_models.mlp_a()) as session:
        asyncio.run(main(session))
        assert session.stats().expired == 0
