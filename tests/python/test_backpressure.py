"""A full session: a typed error at once, or a line of those who wait for room."""

import asyncio
import gc
import random
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import inferkit
import loops
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import PATIENCE, one_at_a_time, rounds, until

every_loop = pytest.mark.parametrize("kind", sorted(loops.KINDS))

LONG = 30_000  # rounds: a third of a second on a quiet machine


@every_loop
def test_full_is_an_error_at_once(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        blocker = asyncio.ensure_future(session.run_async(rounds(LONG)))
        await asyncio.sleep(0)
        with pytest.raises(inferkit.QueueFullError, match="1 of 1 requests"):
            await session.run_async(rounds(0))
        with pytest.raises(inferkit.QueueFullError):
            session.submit(rounds(0))
        await blocker

    with one_at_a_time(max_pending=1, warmup=False) as session:  # unmeasured: no loop runs it
        loops.run_on(kind, main(session))
        check_balance(session)
        assert session.stats().rejected == 2


@every_loop
def test_waiting_callers_come_through_in_their_order(kind: str) -> None:
    finished: list[int] = []

    async def caller(session: inferkit.Session, number: int) -> None:
        assert (await session.run_async(rounds(number)))["y"][0, 0] == number
        finished.append(number)

    async def main(session: inferkit.Session) -> None:
        await asyncio.gather(*(caller(session, i) for i in range(100)))

    with one_at_a_time(max_pending=2, when_full="wait") as session:
        loops.run_on(kind, main(session))
        assert finished == list(range(100))
        check_balance(session)
        assert session.stats().rejected == 0


def test_waiting_for_bytes() -> None:
    x = np.ones((16, 1024), np.float32)

    async def main(session: inferkit.Session) -> None:
        requests = (session.run_async(x, when_full="wait") for _ in range(50))
        for answer in await asyncio.gather(*requests):
            assert np.array_equal(answer["y"], x)

    model = onnx_models.identity(shape=("batch", 1024))
    with inferkit.Session(model, max_pending_bytes=3 * x.nbytes) as session:
        asyncio.run(main(session))
        check_balance(session)


def test_loops_and_threads_wait_side_by_side() -> None:
    async def main(session: inferkit.Session) -> None:
        for _ in range(10):
            requests = (session.run_async(rounds(0)) for _ in range(20))
            await asyncio.gather(*requests)

    with (
        one_at_a_time(max_pending=3, when_full="wait") as session,
        ThreadPoolExecutor(12) as pool,
    ):
        kinds = ("asyncio", "asyncio", "uvloop", "without add_reader")
        jobs = [pool.submit(loops.run_on, kind, main(session)) for kind in kinds]
        jobs += [
            pool.submit(lambda: [session.run(rounds(0)) for _ in range(100)] and None)
            for _ in range(4)
        ]
        jobs += [
            pool.submit(lambda: [session.submit(rounds(0)).result() for _ in range(100)] and None)
            for _ in range(4)
        ]
        for job in jobs:
            job.result()
        check_balance(session)
        assert session.stats().answered == 4 * 200 + 8 * 100


@every_loop
def test_a_cancelled_waiter_leaves_the_line(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        tasks = [asyncio.ensure_future(session.run_async(rounds(n))) for n in (LONG, 1, 2, 3)]
        await asyncio.sleep(0)
        assert session.stats().accepted == 1
        tasks[2].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers.pop(2), asyncio.CancelledError)
        assert [answer["y"][0, 0] for answer in answers] == [LONG, 1, 3]  # type: ignore[index]

    with one_at_a_time(max_pending=1, when_full="wait", warmup=False) as session:
        loops.run_on(kind, main(session))
        check_balance(session)
        assert (session.stats().accepted, session.stats().cancelled) == (3, 0)


@every_loop
def test_close_answers_those_who_wait_for_room(kind: str) -> None:
    async def main(session: inferkit.Session) -> None:
        tasks = [asyncio.ensure_future(session.run_async(rounds(0))) for _ in range(50)]
        await asyncio.sleep(0)
        await session.aclose(drain=False)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in answers] == [inferkit.SessionClosedError] * 50

    session = one_at_a_time(max_pending=1, when_full="wait")
    blocker = session.submit(rounds(LONG))
    until(blocker.running)
    loops.run_on(kind, main(session))
    assert blocker.result()["y"][0, 0] == LONG
    check_balance(session)


def test_a_loop_that_closes_takes_its_line_along() -> None:
    loop = asyncio.new_event_loop()
    with one_at_a_time(max_pending=1, when_full="wait") as session:
        blocker = session.submit(rounds(LONG))
        tasks = [loop.create_task(session.run_async(rounds(0), timeout=60)) for _ in range(5)]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        gone = [weakref.ref(task) for task in tasks]
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        del task
        tasks.clear()
        gc.collect()
        assert [task() for task in gone] == [None] * 5
        blocker.result()
        assert session.run(rounds(2))["y"][0, 0] == 2
        check_balance(session)
        assert session.stats().accepted == 2


def test_submit_waits_for_room_without_the_gil() -> None:
    with one_at_a_time(max_pending=1) as session:
        blocker = session.submit(rounds(LONG))
        late: list[inferkit.Future] = []
        thread = threading.Thread(
            target=lambda: late.append(session.submit(rounds(5), when_full="wait"))
        )
        thread.start()
        assert blocker.result()["y"][0, 0] == LONG
        thread.join()
        assert late[0].result()["y"][0, 0] == 5
        check_balance(session)


def test_what_does_not_fit_at_all_is_no_reason_to_wait() -> None:
    async def main(session: inferkit.Session) -> None:
        with pytest.raises(inferkit.InvalidInputError):
            await session.run_async(np.ones((4, 1024), np.float32), when_full="wait")

    model = onnx_models.identity(shape=("batch", 1024))
    with inferkit.Session(model, max_pending_bytes=4096) as session:
        asyncio.run(main(session))


@every_loop
def test_bad_input_is_refused_before_it_joins_the_line(kind: str) -> None:
    wrong = [np.zeros(shape, np.float32) for shape in [(1, 2), (1,), ()]]
    wrong.append(np.zeros((1 << 10, 1), np.float32))  # never fits

    async def main(session: inferkit.Session) -> None:
        calls = [session.run_async(rounds(0)) for _ in range(2)]
        line = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        for feeds in wrong:
            with pytest.raises(inferkit.InvalidInputError):
                async with asyncio.timeout(PATIENCE):
                    await session.run_async(feeds)
        await session.aclose(drain=False, timeout=0)
        answers = await asyncio.gather(*line, return_exceptions=True)
        assert [type(each) for each in answers] == [inferkit.SessionClosedError] * 2

    session = one_at_a_time(max_pending=1, max_pending_bytes=1 << 10, when_full="wait")
    busy = session.submit(rounds(10**15))
    loops.run_on(kind, main(session))
    assert not busy.cancelled()
    check_balance(session)


def test_map_async_keeps_a_window() -> None:
    async def main(session: inferkit.Session) -> None:
        numbers = [
            int(result["y"][0, 0]) async for result in session.map_async(map(rounds, range(200)))
        ]
        assert numbers == list(range(200))

    with one_at_a_time(max_pending=4) as session:
        asyncio.run(main(session))
        assert [int(r["y"][0, 0]) for r in session.map(map(rounds, range(50)))] == list(range(50))
        check_balance(session)


def test_who_waits_is_cancelled_by_another_thread_while_it_comes_in() -> None:
    """Which asyncio forbids and people do: it is cancelled or answered, and nobody else suffers.

    The arrays are so large that they are copied without the GIL, when the other thread comes.
    """
    x = np.ones((2000, 1024), np.float32)
    tasks: list[asyncio.Task[inferkit.Result]] = []
    over = threading.Event()

    def cancel_some() -> None:
        pick = random.Random(7)
        while not over.wait(pick.random() / 1000):
            if tasks:
                pick.choice(tasks).cancel()

    async def keep_the_loop_awake() -> None:  # asyncio wakes for its own thread only
        while not over.is_set():
            await asyncio.sleep(0.0005)

    async def main(session: inferkit.Session) -> None:
        awake = asyncio.create_task(keep_the_loop_awake())
        for _ in range(40):
            tasks[:] = [asyncio.create_task(session.run_async(x, timeout=60)) for _ in range(8)]
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(answer, BaseException):
                    assert isinstance(answer, asyncio.CancelledError)
                else:
                    assert np.array_equal(answer["y"], x)
        over.set()
        await awake

    model = onnx_models.identity(shape=("batch", 1024))
    options = {"max_pending": 1, "max_batch_size": 2048, "warmup": False}
    with inferkit.Session(model, when_full="wait", **options) as session:
        canceller = threading.Thread(target=cancel_some)
        canceller.start()
        try:
            asyncio.run(main(session), debug=False)  # which would refuse the cancels
        finally:
            over.set()
            canceller.join()
        check_balance(session)
