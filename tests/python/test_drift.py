"""What many rounds may leave behind: nothing."""

import asyncio
import gc
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import inferkit
import loops
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import one_at_a_time, rounds, until
from programs import run_program

X = np.ones((1, 32), np.float32)
THREADS = 100_000 if os.environ.get("INFERKIT_FULL_STRESS") == "1" else 1_500

every_loop = pytest.mark.parametrize("kind", sorted(loops.KINDS))


def test_a_storm_leaves_all_the_room_there_was() -> None:
    room = 16

    async def caller(session: inferkit.Session, number: int) -> str:
        fate = number % 5
        feeds = rounds(20) if fate else rounds(200)
        timeout = 0.001 * (number % 4) if fate == 1 else None
        task = asyncio.ensure_future(session.run_async(feeds, timeout=timeout))
        if fate == 2:
            await asyncio.sleep(0)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        except inferkit.InferkitError as error:
            return type(error).__name__
        return "answered"

    async def storm(session: inferkit.Session) -> set[str]:
        return set(await asyncio.gather(*(caller(session, i) for i in range(1_000))))

    with one_at_a_time(max_pending=room, when_full="wait", warmup=False) as session:
        seen = asyncio.run(storm(session))
        assert seen == {"answered", "cancelled", "DeadlineExceededError"}
        until(lambda: session.stats().in_flight == 0)
        check_balance(session)
        futures = [session.submit(rounds(30_000))]
        until(futures[0].running)
        with pytest.raises(inferkit.QueueFullError, match=f"{room} of {room} requests"):
            while True:
                futures.append(session.submit(rounds(0), when_full="raise"))
        assert len(futures) == room
        session.close(drain=False)
        check_balance(session)


# A process of its own: what earlier tests freed would hide what this one keeps.
HUGE = """
import os, time
import inferkit, numpy as np, onnx_models

MEBIBYTES = SO_MANY
page = os.sysconf("SC_PAGESIZE")

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * page >> 20

def comes_down():
    give_up = time.monotonic() + 60
    start = time.monotonic()
    while resident() - base > 64 and time.monotonic() < give_up:
        time.sleep(0.05)
    print("%d MiB left after %.1f s" % (resident() - base, time.monotonic() - start))
    assert resident() - base <= 64

model = onnx_models.identity("float32", ("batch", "width"))
with inferkit.Session(model, max_pending_bytes=4 << 30) as session:
    for _ in range(50):
        session.run(np.zeros((1, 10), np.float32))
    base = resident()
    huge = np.ones((1, MEBIBYTES << 18), np.float32)
    answer = session.run(huge)
    assert resident() - base > MEBIBYTES
    del huge, answer
    comes_down()
    answer = session.submit(np.ones((1, MEBIBYTES << 18), np.float32)).result()
    time.sleep(4)  # a result that its caller keeps for a while
    del answer
    comes_down()
"""


def test_memory_is_back_soon_after_one_huge_request() -> None:
    mebibytes = 1024 if os.environ.get("INFERKIT_FULL_STRESS") else 256
    code, out, errors = run_program(HUGE.replace("SO_MANY", str(mebibytes)))
    assert (code, errors) == (0, ""), out
    print(out)


@pytest.mark.timeout(1_800)
def test_threads_that_ask_once_and_go() -> None:
    def facts() -> list[int]:
        gc.collect()
        stats = session.stats()
        tasks = list(Path("/proc/self/task").iterdir())
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        return [
            stats.pool_bytes_reserved >> 20,
            len(tasks) // 4,  # one that was joined may be listed for a moment
            len(os.listdir("/proc/self/fd")),
            sys.getallocatedblocks() // 2_000,
            resident * os.sysconf("SC_PAGESIZE") >> 24,
        ]

    def ask(way: int) -> None:
        if way == 0:
            session.run(X)
        elif way == 1:
            session.submit(X).result()
        else:
            asyncio.run(awaited())

    async def awaited() -> None:
        await session.run_async(X)

    def come_and_go(count: int) -> None:
        for number in range(count):
            thread = threading.Thread(target=ask, args=(number % 3,))
            thread.start()
            thread.join()

    with inferkit.Session(onnx_models.mlp_a(), instances=1) as session:
        come_and_go(300)
        before = facts()
        come_and_go(THREADS)
        grown = [now - then for now, then in zip(facts(), before, strict=True)]
        assert max(grown) <= 1, grown
        check_balance(session)


@every_loop
def test_a_timeout_against_an_answer_has_one_outcome(kind: str) -> None:
    seen = {"answered": 0, "late": 0}

    async def caller(session: inferkit.Session, number: int) -> None:
        try:
            call = session.run_async(rounds(50 + number % 7))
            answer = await asyncio.wait_for(call, 0.0001 * (number % 50))
        except TimeoutError:
            seen["late"] += 1
        else:
            assert answer["y"][0, 0] == 50 + number % 7
            seen["answered"] += 1

    async def main(session: inferkit.Session) -> None:
        for first in range(0, 600, 6):
            await asyncio.gather(*(caller(session, first + i) for i in range(6)))

    with one_at_a_time(warmup=False) as session:
        loops.run_on(kind, main(session))
        until(lambda: session.stats().in_flight == 0)
        check_balance(session)
        stats = session.stats()
        assert sum(seen.values()) == 600
        assert seen["late"] > 0
        # Those whose time was up before their first step were never accepted.
        assert stats.answered - stats.undeliverable == seen["answered"]
        assert stats.cancelled + stats.undeliverable <= seen["late"]


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "without add_reader"])
def test_a_loop_that_is_late_is_woken_by_drains_not_by_answers(kind: str) -> None:
    count = 3_000

    async def main(session: inferkit.Session) -> int:
        tasks = [asyncio.ensure_future(session.run_async(rounds(0))) for _ in range(count)]
        for _ in range(3):  # what one turn of the loop enqueues is flushed in the next
            await asyncio.sleep(0)
        before = session.stats().sink_wakes
        # The loop stands still until the last of them is answered.
        until(lambda: session.stats().answered == count)
        wakes = session.stats().sink_wakes - before
        answers = await asyncio.gather(*tasks)
        assert all(answer["y"][0, 0] == 0 for answer in answers)
        return wakes

    with one_at_a_time(max_pending=count, warmup=False) as session:
        assert loops.run_on(kind, main(session)) <= 2
        check_balance(session)
        assert session.stats().undeliverable == 0


def test_a_group_that_gives_up_frees_a_thousand_at_once() -> None:
    complaints: list[Any] = []

    async def main(session: inferkit.Session) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for _ in range(1_000):
                    group.create_task(session.run_async(rounds(0)))
                await asyncio.sleep(0)
                assert session.stats().in_flight == 1_001
                raise ZeroDivisionError
        # Although the instance is as busy as before.
        assert session.stats().cancelled == 1_000
        assert session.stats().in_flight == 1

    with one_at_a_time(max_pending=1_050) as session:
        busy = session.submit(rounds(10**15))  # it would never end
        until(busy.running)
        asyncio.run(main(session))
        gc.collect()
        assert complaints == []
        session.close(drain=False, timeout=0)
        assert isinstance(busy.exception(), inferkit.SessionClosedError)
        check_balance(session)


def test_an_error_that_is_kept_keeps_no_feeds() -> None:
    async def awaited(session: inferkit.Session, ids: Any) -> None:
        await session.run_async({"ids": ids})

    kept: list[BaseException | None] = []
    gone = []
    with inferkit.Session(onnx_models.gather(), instances=1) as session:
        for way in range(3):
            ids = np.array([99])
            gone.append(weakref.ref(ids))
            if way == 0:
                kept.append(session.submit({"ids": ids}).exception(60))
            else:
                try:
                    session.run(ids) if way == 1 else asyncio.run(awaited(session, ids))
                except inferkit.InvalidInputError as error:
                    kept.append(error.with_traceback(None))  # its frames are the caller's
            del ids
        gc.collect()
        assert [type(error) for error in kept] == [inferkit.InvalidInputError] * 3
        assert [ids() for ids in gone] == [None] * 3
        check_balance(session)


@pytest.mark.parametrize("max_delay", [0, 1e-6, 0.02, 3600])
def test_one_who_comes_alone_is_flushed_once(max_delay: float) -> None:
    model = onnx_models.mlp_a()
    with inferkit.Session(model, max_delay=max_delay, max_batch_size=4, instances=1) as session:
        if max_delay < 60:
            assert session.submit(X).result(60)["y"].shape == (1, 1)
            assert session.run(X)["y"].shape == (1, 1)
            assert session.stats().batches == 2
        full = [session.submit(X) for _ in range(4)]  # whatever the delay, that is a batch
        assert [each.result(60)["y"].shape for each in full] == [(1, 1)] * 4
        if max_delay > 60:
            waiting = session.submit(X)
            session.close()  # does not wait for company
            assert waiting.result(60)["y"].shape == (1, 1)
        check_balance(session)


@every_loop
def test_a_loop_that_is_over_is_not_kept(kind: str) -> None:
    async def main(session: inferkit.Session) -> Any:
        await asyncio.gather(session.run_async(X), session.run_async(X))
        return weakref.ref(asyncio.get_running_loop())

    with inferkit.Session(onnx_models.mlp_a()) as session:
        gone = [loops.run_on(kind, main(session)) for _ in range(20)]
        # The last one's port is kept for the next.
        until(lambda: gc.collect() >= 0 and sum(loop() is not None for loop in gone) <= 1)
