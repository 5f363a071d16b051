"""What a call may cost, in counts: wakes, batches, context switches, memory blocks.

Counts of a lone caller are exact on an idle machine. On a busy one a caller preempted inside the
model makes the next calls look slow, and some go to a runner: hence the small allowances.
"""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import inferkit
import numpy as np
import onnx_models
import pytest
from native_threads import threads

# Until whoever was about to fall asleep has; in the long form also the keeper, which gives memory
# back for some seconds after the last request.
SETTLES_S, IDLE_S = (12.0, 10.0) if os.environ.get("INFERKIT_FULL_STRESS") == "1" else (0.3, 0.5)

CALLS = 500
FEW = CALLS // 20


@pytest.fixture
def session() -> Iterator[inferkit.Session]:
    with inferkit.Session(onnx_models.mlp_a()) as opened:
        yield opened


@pytest.fixture
def feeds() -> dict[str, np.ndarray]:
    return {"x": np.ones((1, 32), np.float32)}


def grown(session: inferkit.Session, work: Callable[[], object]) -> dict[str, int]:
    """By how much each counter of ``stats()`` grew over ``work()``."""
    before = session.stats().as_dict()
    work()
    after = session.stats().as_dict()
    return {name: after[name] - before[name] for name in after if isinstance(after[name], int)}


def test_a_lone_caller_runs_its_own_requests(
    session: inferkit.Session, feeds: dict[str, np.ndarray]
) -> None:
    def work() -> None:
        for _ in range(CALLS):
            session.run(feeds)

    growth = grown(session, work)
    assert growth["answered"] == growth["batches"] == growth["rows"] == CALLS
    assert growth["lent_runs"] >= CALLS - FEW
    assert growth["runner_wakes"] <= FEW
    assert growth["caller_wakes"] <= FEW
    assert growth["sink_wakes"] == 0


def test_a_lone_asyncio_caller_runs_on_the_loop(
    session: inferkit.Session, feeds: dict[str, np.ndarray]
) -> None:
    async def ask() -> None:
        for _ in range(CALLS):
            await session.run_async(feeds)

    growth = grown(session, lambda: asyncio.run(ask()))
    assert growth["answered"] == growth["batches"] == CALLS
    assert growth["inline_runs"] >= CALLS - FEW
    assert growth["runner_wakes"] <= FEW
    assert growth["sink_wakes"] <= FEW


def test_asyncio_callers_of_one_iteration_share_a_batch(
    session: inferkit.Session, feeds: dict[str, np.ndarray]
) -> None:
    callers, each = 32, 20

    async def ask() -> None:
        for _ in range(each):
            await session.run_async(feeds)

    async def all_of_them() -> None:
        await asyncio.gather(*(ask() for _ in range(callers)))

    growth = grown(session, lambda: asyncio.run(all_of_them()))
    assert growth["answered"] == growth["rows"] == callers * each
    assert growth["batches"] <= 4 * each  # alone they would be 640


def test_wakes_go_by_batches_not_by_requests(
    session: inferkit.Session, feeds: dict[str, np.ndarray]
) -> None:
    growth = grown(
        session,
        lambda: [future.result() for future in [session.submit(feeds) for _ in range(CALLS)]],
    )
    assert growth["answered"] == CALLS
    # Each batch may find its runner asleep, and each may end an idle time of the notifier.
    assert growth["runner_wakes"] <= 2 * growth["batches"] + 2
    assert growth["sink_wakes"] <= growth["batches"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc/self/task")
def test_an_idle_session_wakes_nobody(
    session: inferkit.Session, feeds: dict[str, np.ndarray]
) -> None:
    session.submit(feeds).result()
    quiet = threading.Event()
    quiet.wait(SETTLES_S)
    before = switches()
    quiet.wait(IDLE_S)
    assert switches() == before
    assert before, "no thread of ours was found"
    session.submit(feeds).result()
    quiet.wait(0.1)
    assert switches() != before


def switches() -> dict[str, str]:
    """Context switches so far of each thread that inferkit named."""
    found = {}
    for task, name in threads():
        if name.startswith("inferkit-"):
            lines = (task / "status").read_text().splitlines()
            counts = [line for line in lines if line.startswith("voluntary_ctxt_switches")]
            found[f"{task.name} {name}"] = counts[0]
    return found


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_calls_leave_no_memory_behind(
    session: inferkit.Session, feeds: dict[str, np.ndarray], way: str
) -> None:
    async def ask() -> None:
        for _ in range(CALLS):
            await session.run_async(feeds)

    def work() -> None:
        if way == "run_async":
            asyncio.run(ask())
        for _ in range(CALLS):
            if way == "run":
                session.run(feeds)
            elif way == "submit":
                session.submit(feeds).result()

    assert leaked_blocks(work) < CALLS // 2


def test_a_leak_of_one_object_per_call_is_seen() -> None:
    kept: list[object] = []
    assert leaked_blocks(lambda: kept.extend(object() for _ in range(CALLS))) >= CALLS


def leaked_blocks(work: Callable[[], object]) -> int:
    """Python memory blocks that the second and third time of ``work()`` left, per time."""
    work()
    gc.collect()
    before = sys.getallocatedblocks()
    work()
    work()
    gc.collect()
    return (sys.getallocatedblocks() - before) // 2
