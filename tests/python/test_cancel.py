"""Cancelled callers: nobody else is touched, and every request is resolved exactly once."""

import asyncio
import random
from collections import Counter

import inferkit
import loops
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import Held, one_at_a_time, rounds, until

every_loop = pytest.mark.parametrize("kind", sorted(loops.KINDS))


@every_loop
def test_one_of_four_is_cancelled_while_queued(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session) as held:
            tasks = [asyncio.ensure_future(session.run_async(rounds(i))) for i in range(4)]
            await asyncio.sleep(0)
            assert tasks[2].cancel("changed my mind")
            with pytest.raises(asyncio.CancelledError):
                await tasks[2]
            assert session.stats().cancelled == 1
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers.pop(2), asyncio.CancelledError)
        assert [answer["y"][0, 0] for answer in answers] == [0, 1, 3]  # type: ignore[index]
        assert session.stats().answered == 3 + held.count

    with one_at_a_time() as session:
        loops.run_on(kind, main(session))
        check_balance(session)
        assert session.stats().undeliverable == 0


def test_one_of_four_is_cancelled_while_its_batch_runs() -> None:
    async def main(session: inferkit.Session) -> None:
        first = session.submit(rounds(30_000))
        until(lambda: first.running() or first.done())
        tasks = [asyncio.create_task(session.run_async(rounds(25_000 + i))) for i in range(3)]
        await asyncio.sleep(0)
        fourth = session.submit(rounds(25_003))
        until(fourth.running)  # and with it the other three
        assert tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert not fourth.done()
        assert (await tasks[0])["y"][0, 0] == 25_000
        assert (await tasks[2])["y"][0, 0] == 25_002
        assert fourth.result()["y"][0, 0] == 25_003
        assert session.stats().batch_sizes == {1: 1, 4: 1}

    # Without a warm-up nothing is known about the model: no event loop runs it.
    with inferkit.Session(onnx_models.slow_on_demand(), instances=1, warmup=False) as session:
        asyncio.run(main(session))
        check_balance(session)
        stats = session.stats()
        assert (stats.cancelled, stats.answered, stats.undeliverable) == (1, 4, 0)


@every_loop
def test_one_caller_cancels_another_whose_answer_is_there(kind: str) -> None:
    async def canceller(session: inferkit.Session, feeds: object) -> None:
        await session.run_async(feeds)  # type: ignore[arg-type]
        assert victim.cancel()

    async def main(session: inferkit.Session) -> None:
        nonlocal victim
        feeds = np.ones((1, 32), np.float32)
        task = asyncio.ensure_future(canceller(session, feeds))
        victim = asyncio.ensure_future(session.run_async(feeds))
        await task
        with pytest.raises(asyncio.CancelledError):
            await victim

    victim: asyncio.Future[inferkit.Result]
    with inferkit.Session(onnx_models.mlp_a(), instances=1) as session:
        loops.run_on(kind, main(session))
        check_balance(session)
        stats = session.stats()
        assert (stats.accepted, stats.answered, stats.undeliverable) == (2, 2, 1)


def test_a_task_cancelled_before_its_first_step_queues_nothing() -> None:
    async def main(session: inferkit.Session) -> None:
        task = asyncio.create_task(session.run_async(rounds(0)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with one_at_a_time() as session:
        asyncio.run(main(session))
        assert session.stats().accepted == 0


def test_the_message_arrives() -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session):
            task = asyncio.create_task(session.run_async(rounds(0)))
            await asyncio.sleep(0)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await task

    with one_at_a_time() as session:
        asyncio.run(main(session))


@every_loop
def test_wait_for_takes_the_request_back(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.run_async(rounds(0)), 0.01)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await session.run_async(rounds(0))
        assert (await session.run_async(rounds(5)))["y"][0, 0] == 5

    with one_at_a_time() as session:
        loops.run_on(kind, main(session))
        check_balance(session)
        assert session.stats().cancelled == 2


def test_a_shielded_request_lives_on() -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session):
            inner = asyncio.ensure_future(session.run_async(rounds(4)))
            outer = asyncio.shield(inner)
            await asyncio.sleep(0)
            outer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await outer
        assert (await inner)["y"][0, 0] == 4
        assert session.stats().cancelled == 0

    with one_at_a_time() as session:
        asyncio.run(main(session))


def test_a_failing_task_group_takes_its_requests_back() -> None:
    async def main(session: inferkit.Session) -> None:
        with Held(session), pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(session.run_async(rounds(0)))
                await asyncio.sleep(0)
                group.create_task(session.run_async({"wrong": np.zeros(1)}))
        assert caught.group_contains(inferkit.InvalidInputError)

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)
        assert session.stats().cancelled == 5


def test_closing_a_coroutine_takes_its_request_back() -> None:
    async def main(session: inferkit.Session) -> None:
        async def outer() -> None:
            await session.run_async(rounds(0))

        with Held(session):
            steps = outer()
            steps.send(None)
            steps.close()
            assert session.stats().cancelled == 1

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)


@every_loop
def test_one_bad_request_fails_alone(kind: str) -> None:
    async def main(session: inferkit.Session) -> list[object]:
        ids = [np.array([100 if i == 5 else i], np.int64) for i in range(8)]
        requests = (session.run_async({"ids": each}) for each in ids)
        return list(await asyncio.gather(*requests, return_exceptions=True))

    with inferkit.Session(onnx_models.gather(), instances=1) as session:
        answers = loops.run_on(kind, main(session))
        assert isinstance(answers.pop(5), inferkit.InferkitError)
        assert [answer["y"][0, 0] for answer in answers] == [0, 1, 2, 3, 4, 6, 7]  # type: ignore[index]
        check_balance(session)
        assert (session.stats().answered, session.stats().failed) == (7, 1)


@every_loop
def test_mixed_inner_shapes_keep_apart(kind: str) -> None:
    lengths = [1, 5, 2, 5, 1, 3, 2, 5, 9, 1]

    async def main(session: inferkit.Session) -> None:
        requests = [np.full((1, n, 4), i, np.float32) for i, n in enumerate(lengths)]
        answers = await asyncio.gather(*(session.run_async(each) for each in requests))
        for i, (n, answer) in enumerate(zip(lengths, answers, strict=True)):
            assert np.array_equal(answer["doubled"], np.full((1, n, 4), 2 * i))
            assert np.array_equal(answer["summed"], np.full((1, 4), n * i))

    with inferkit.Session(onnx_models.two_open_dims()) as session:
        loops.run_on(kind, main(session))
        check_balance(session)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "without add_reader"])
@pytest.mark.parametrize("model", ["cheap", "dear"])
def test_whatever_is_cancelled_the_books_balance(kind: str, model: str) -> None:
    seen: Counter[str] = Counter()
    choice = random.Random(11)

    async def caller(session: inferkit.Session, number: int) -> None:
        for turn in range(20):
            task = asyncio.ensure_future(session.run_async(rounds(number if turn % 7 else 900)))
            for _ in range(choice.randrange(4)):
                await asyncio.sleep(0)
            if choice.random() < 0.4:
                task.cancel()
            try:
                assert (await task)["y"][0, 0] in (number, 900)
                seen["answered"] += 1
            except asyncio.CancelledError:
                seen["cancelled"] += 1

    async def main(session: inferkit.Session) -> None:
        await asyncio.gather(*(caller(session, i) for i in range(32)))

    with inferkit.Session(onnx_models.slow_on_demand(), instances=2) as session:
        if model == "dear":
            for _ in range(3):
                for _ in range(2):  # one long run might be an accident
                    session.run(rounds(20_000))  # it learns that runs take their time
        before = session.stats()
        loops.run_on(kind, main(session))
        until(lambda: session.stats().in_flight == 0)
        check_balance(session)
        after = session.stats()
        assert seen.total() == 32 * 20
        assert after.answered - before.answered - after.undeliverable == seen["answered"]
        # The others were cancelled before their first step.
        assert after.cancelled + after.undeliverable <= seen["cancelled"]
