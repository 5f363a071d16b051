"""A process that forks again and again under load, and what its children do with what they got.

Run in a process of its own: ``run_program("import forking; forking.under_load('runs', 40)")``.
"""

import asyncio
import contextlib
import faulthandler
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError

import inferkit
import numpy as np
import onnx_models
from numpy.typing import NDArray

PATIENCE = 60  # seconds until a child that hangs shows its stack and is ended
TOGETHER = 3  # children that live at the same time
X = np.ones((1, 512), np.float32)
SMALL = np.ones((1, 32), np.float32)
LARGE = np.ones((40, 1 << 16), np.float32)
WIDE_MODEL = onnx_models.identity(shape=("batch", LARGE.shape[1]))
TINY_MODEL = onnx_models.mlp_a()


class Parent:
    """A session under load, what it has handed out, and what its callers found wrong."""

    def __init__(self) -> None:
        self.session = inferkit.Session(onnx_models.mlp_b(), threads=4, when_full="wait")
        self.large = inferkit.Session(WIDE_MODEL, instances=2)
        self.expected = self.session.run(X)["y"]
        self.futures: deque[inferkit.Future] = deque(maxlen=32)
        self.results: deque[inferkit.Result] = deque(maxlen=24)
        self.stop = threading.Event()
        self.wrong: list[object] = []
        self.answers = 0

    def check(self, answer: inferkit.Result) -> None:
        self.answers += 1
        if not np.allclose(answer["y"], self.expected, rtol=1e-4, atol=1e-4):
            self.wrong.append(answer)

    def guarded(self, load: "Load") -> None:
        try:
            while not self.stop.is_set():
                load(self)
        except BaseException as error:
            traceback.print_exc()
            self.wrong.append(error)


Load = Callable[[Parent], None]
Child = Callable[[Parent], None]


# ---- what the parent does meanwhile -----------------------------------------------------------
def run(parent: Parent) -> None:
    parent.check(parent.session.run(X))


def submit(parent: Parent) -> None:
    future = parent.session.submit(X)
    parent.futures.append(future)
    parent.check(future.result())


def call_back(parent: Parent) -> None:
    """Keeps the notifier busy: eight futures, each with two callbacks."""
    called = threading.Semaphore(0)
    for _ in range(8):
        future = parent.session.submit(X)
        parent.futures.append(future)
        future.add_done_callback(lambda done: parent.check(done.result()))
        future.add_done_callback(lambda done: called.release())
    for _ in range(8):
        called.acquire()


def open_and_close(parent: Parent) -> None:
    with inferkit.Session(TINY_MODEL, instances=2) as session:
        session.run(SMALL), session.submit(SMALL).result()


def open_pools(parent: Parent) -> None:
    inferkit.Session(TINY_MODEL, instances=1, threads=8).close()


def await_many(parent: Parent) -> None:
    async def caller() -> None:
        for _ in range(20):
            parent.check(await parent.session.run_async(X))

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 100
        await asyncio.gather(*(caller() for _ in range(8)))

    asyncio.run(main())


def give_up(parent: Parent) -> None:
    for timeout in (None, 0.0, 0.0005):
        with contextlib.suppress(inferkit.DeadlineExceededError, CancelledError):
            future = parent.session.submit(X, timeout=timeout)  # may find no room in its time
            parent.futures.append(future)
            future.cancel()
            parent.check(future.result())


def grow_and_shrink(parent: Parent) -> None:
    """Results of ever other sizes: their pool asks the system for memory and gives it back."""
    parent.results.append(parent.large.run(LARGE[: random.randrange(1, len(LARGE))]))
    if random.randrange(12) == 0:
        parent.results.clear()


def come_and_go(parent: Parent) -> None:
    """The pool of a session that ends gives its memory back; some of its results live on."""
    with inferkit.Session(WIDE_MODEL, instances=1) as session:
        results = [session.run(LARGE) for _ in range(8)]
    parent.results.extend(results[::2])
    results.clear()
    del session


LOADS: dict[str, list[Load]] = {
    "runs": [run, run, submit, submit],
    "callbacks": [call_back, call_back, submit],
    "openings": [open_and_close, open_and_close, run],
    "pools": [open_pools, open_pools, open_and_close],
    "loops": [await_many, await_many, submit],
    "withdrawals": [give_up, give_up, run],
    "sizes": [grow_and_shrink, grow_and_shrink, come_and_go, come_and_go],
    "everything": [run, submit, call_back, open_and_close, await_many, give_up, grow_and_shrink],
}


# ---- what a child does ------------------------------------------------------------------------
def leave_at_once(parent: Parent) -> None:
    os._exit(0)


def leave_as_python_does(parent: Parent) -> None:
    raise SystemExit(0)


def drop_all(parent: Parent) -> None:
    vars(parent).clear()
    gc.collect()


def drop_results(parent: Parent) -> None:
    while parent.results:
        parent.results.pop()
    gc.collect()


async def ask(session: inferkit.Session, feeds: NDArray[np.float32]) -> inferkit.Result:
    asyncio.get_running_loop().slow_callback_duration = 100
    return await session.run_async(feeds)


def use_what_it_inherited(parent: Parent) -> None:
    session = parent.session
    calls: list[Callable[[], object]] = [
        lambda: session.run(X),
        lambda: session.submit(X),
        lambda: asyncio.run(ask(session, X)),
    ]
    for call in calls:
        try:
            call()
        except inferkit.ForkedSessionError as error:
            assert "post_fork" in str(error)
        else:
            raise AssertionError("an inherited session answered")
    session.stats(), session.explain(), repr(session), session.close()


def ask_the_futures(parent: Parent) -> None:
    for future in list(parent.futures):
        future.running(), future.cancel()
        for ask in (future.result, future.exception):
            try:
                ask()
            except inferkit.ForkedSessionError:
                assert not future.done()
            except (inferkit.DeadlineExceededError, CancelledError):
                assert future.done()
            else:
                assert future.done()


def open_its_own(parent: Parent) -> None:
    with inferkit.Session(TINY_MODEL, instances=2, warmup=False) as own:
        own.run(SMALL), own.submit(SMALL).result(), asyncio.run(ask(own, SMALL))


def use_multiprocessing(parent: Parent) -> None:
    process = multiprocessing.get_context("fork").Process(target=open_its_own, args=(parent,))
    process.start()
    process.join()
    assert process.exitcode == 0


def start_a_program(parent: Parent) -> None:
    assert subprocess.run(["true"], start_new_session=True).returncode == 0


CHILDREN: list[Child] = [
    leave_at_once,
    leave_as_python_does,
    drop_all,
    drop_results,
    use_what_it_inherited,
    ask_the_futures,
    open_its_own,
    use_multiprocessing,
    start_a_program,
]


def live(parent: Parent, action: Child) -> None:
    """The life of a child, which leaves with 0, or with 1 and its complaint."""
    signal.alarm(PATIENCE)
    try:
        action(parent)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


# ---- the programs -----------------------------------------------------------------------------
class Nursery:
    """Forks children, some of them at the same time, and counts how they ended."""

    def __init__(self) -> None:
        # Not its timer: that is a thread of its own, and its lock would be inherited.
        faulthandler.register(signal.SIGALRM, chain=True)
        self.ends: Counter[str] = Counter()
        self._alive: deque[tuple[int, str]] = deque()

    def fork(self, parent: Parent, action: Child) -> None:
        child = os.fork()
        if child == 0:
            live(parent, action)
        self._alive.append((child, action.__name__))
        while len(self._alive) >= TOGETHER:
            self._see_off()

    def _see_off(self) -> None:
        child, name = self._alive.popleft()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.ends[name if code == 0 else f"{name}: {code}"] += 1

    def see_all_off(self) -> None:
        while self._alive:
            self._see_off()


def under_load(moment: str, rounds: int, actions: list[Child] | None = None) -> None:
    """Forks `rounds` children while the loads of the moment run, and prints what became of it."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork() beside threads
    sys.setswitchinterval(1e-4)  # threads stop in more places than they would
    parent, nursery = Parent(), Nursery()
    threads = [threading.Thread(target=parent.guarded, args=(load,)) for load in LOADS[moment]]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        nursery.fork(parent, (actions or CHILDREN)[number % len(actions or CHILDREN)])
    nursery.see_all_off()
    parent.stop.set()
    for thread in threads:
        thread.join()
    for session in (parent.session, parent.large):
        session.close()
        stats = session.stats()
        resolved = stats.answered + stats.failed + stats.cancelled + stats.expired + stats.closed
        assert stats.accepted == resolved and stats.in_flight == 0, stats
    failed = {name: count for name, count in nursery.ends.items() if ": " in name}
    print(nursery.ends.total(), "children, failed:", failed, "parent:", parent.wrong)
    print(dict(nursery.ends), parent.answers, "answers", file=sys.stdout)


def in_the_first_opening(rounds: int, forks: int) -> None:
    """Forks while a thread loads ONNX Runtime itself, which a process does once.

    Each of the `rounds` processes forks `forks` children, which open a session of their own.
    """
    warnings.simplefilter("ignore", DeprecationWarning)
    nursery = Nursery()

    def load_and_fork(nobody: Parent) -> None:
        inner, opened = Nursery(), threading.Event()

        def load() -> None:
            with inferkit.Session(TINY_MODEL, instances=1) as session:
                session.run(SMALL)
            opened.set()

        thread = threading.Thread(target=load)
        thread.start()
        for _ in range(forks):
            inner.fork(nobody, open_its_own)
        thread.join()
        inner.see_all_off()
        assert set(inner.ends) == {"open_its_own"}, inner.ends

    for _ in range(rounds):
        nursery.fork(Parent.__new__(Parent), load_and_fork)
    nursery.see_all_off()
    print(dict(nursery.ends))
