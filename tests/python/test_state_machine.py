"""Any order of calls: a session and the oracle agree on every answer, error and count.

Hypothesis makes the orders up; where the session differs it prints the shortest one as a program.
The short form makes the same ones every time. ``INFERKIT_FULL_STRESS=1`` makes many others;
``INFERKIT_STRESS_SEED`` makes those again.

Nothing here depends on time: before calls are to meet each other, one request in thousands of
parts, which goes before all others, takes the only instance, and keeps it until it is cancelled.
"""

import asyncio
import gc
import os
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import hypothesis
import inferkit
import numpy as np
import onnx_models
import pytest
from desk import Caller, Desk
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray
from occupied import PATIENCE, until
from oracle import BAD, COLUMNS, ENDS, SEEN, Ask, Oracle

FULL = os.environ.get("INFERKIT_FULL_STRESS") == "1"
EXAMPLES = 40  # sequences of calls, in the short form
MODEL = onnx_models.slow_on_demand(columns=COLUMNS)
SOON = 0.01  # seconds: over before anything moves, while the instance is held
ROUNDS, PARTS = 800, 20_000  # what holds it: each part takes some milliseconds

# What the same feeds may look like, and arguments that no session takes.
SHAPES: list[Any] = [
    lambda x: {"x": x},
    np.asarray,
    np.ndarray.tolist,
    lambda x: np.repeat(x, 2, axis=0)[::2],
]
WRONG: list[dict[str, Any]] = [
    *({"feeds": np.zeros(shape, np.float32)} for shape in [(1, 2), (1,), ()]),
    *({"feeds": feeds} for feeds in [{"z": [[0]]}, {}, [["one"]], np.zeros((1, 1)), None]),
    *({"outputs": names} for names in [["z"], [], "y"]),
    *({"timeout": seconds} for seconds in [-1.0, float("nan"), "soon"]),
    *({"priority": 1 << 40}, {"priority": 0.5}, {"when_full": "shout"}),
]
OPTIONS: dict[str, Any] = {
    "max_batch_size": st.sampled_from([4, 1]),
    "max_pending": st.integers(2, 4),
    "when_full": st.sampled_from(["raise", "wait"]),
    "warmup": st.sampled_from([False, False, False, True]),  # it takes a while
}
HELD = st.sampled_from([True, True, False])
CLOSINGS = st.sampled_from([(True, None), (False, None), (True, SOON)])  # drain, timeout
KINDS = ["submit", "run_async", "run"]
CALL = {
    "kind": st.sampled_from(KINDS),
    "ask": st.tuples(st.integers(1, 9), st.integers(0, 3), st.sampled_from([0, 1_000, -1_000])),
    "timeout": st.sampled_from([None, None, PATIENCE, SOON, 0.0]),
    "when_full": st.sampled_from([None, "raise", "wait"]),
    "shape": st.sampled_from(SHAPES),
}


class Machine(RuleBasedStateMachine):
    """One session after the other, each with an oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(self.hear)
        self.number = 0
        self.sessions: list[inferkit.Session] = []  # the last one is open, perhaps
        self.callers: list[Caller] = []  # of requests that have not ended
        self.holder: Caller | None = None
        self.kept: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self.order: list[int] = []  # priorities, as the callbacks came

    def until_accepted(self) -> None:
        counts = self.oracle.counts
        until(lambda: self.desk.tick() or self.session.stats().accepted == counts["accepted"])

    def new_ask(self, rows: int, bad: bool = False, priority: int = 0) -> Ask:
        self.number += 1
        return Ask(self.number, rows, bad, priority)

    def hear(self, caller: Caller) -> None:
        if caller.ask.rows <= self.max_batch_size:  # others may be overtaken between their parts
            self.order.append(caller.ask.priority)

    def check_end(self, caller: Caller) -> None:
        """It ended as the oracle says, with its own answer, and its callback was called once."""
        ask, handle, outcome = caller.ask, caller.handle, self.desk.outcome(caller.handle)
        if ask.end == "answered":
            assert isinstance(outcome, inferkit.Result), f"{ask}: {outcome!r}"
            assert list(outcome) == ["y"] and outcome.info.rows == ask.rows
            assert np.array_equal(outcome["y"], ask.answer()), f"{ask}: {outcome}"
            self.kept.append((outcome["y"], ask.answer()))
        else:
            assert isinstance(outcome, SEEN[ask.end]), f"{ask}: {outcome!r}"
        if isinstance(handle, inferkit.Future):
            until(lambda: caller.told)  # the answer is there before the callbacks are called
            assert caller.told == [id(handle)] and handle.done() and not handle.running()
            assert handle.cancel() == handle.cancelled() == (ask.end == "cancelled")

    def settle(self) -> None:
        """Every request has ended or is about to: each caller hears of it."""
        # Those in line come in while the loop runs, so the tasks go first.
        for caller in sorted(self.callers, key=lambda c: not isinstance(c.handle, asyncio.Task)):
            self.check_end(caller)
        self.callers = []
        until(lambda: self.session.stats().queued_bytes == 0)

    def open_session(self, **options: Any) -> None:
        self.session = inferkit.Session(MODEL, instances=1, threads=1, **options)
        self.sessions.append(self.session)
        self.oracle = Oracle(options["max_pending"], options["when_full"] == "wait")
        self.max_batch_size = options["max_batch_size"]

    begin = initialize(**OPTIONS)(open_session)
    open_another = precondition(lambda self: self.oracle.closing)(rule(**OPTIONS)(open_session))

    def hold(self, wanted: bool) -> None:
        if not wanted or self.holder is not None:
            return
        ask = self.new_ask(PARTS * self.max_batch_size, priority=1_000_000)
        feed = np.full((ask.rows, 1), ROUNDS / self.max_batch_size, np.float32)
        self.holder = self.desk.send(self.session, "run_async", ask, feed)
        self.oracle.accept(ask)

    @precondition(lambda self: self.holder is not None)
    @rule()
    def let_go(self) -> None:
        """The instance is free: everything runs, the higher priority first."""
        self.order.clear()
        if self.holder is not None:
            assert self.holder.handle.cancel()
            self.oracle.end(self.holder.ask, "cancelled")
            self.check_end(self.holder)
            self.holder = None
        self.oracle.run_all()
        self.settle()
        assert self.order == sorted(self.order, reverse=True)

    @precondition(lambda self: not self.oracle.closing)
    @rule(
        held=HELD,
        calls=st.lists(st.fixed_dictionaries(CALL), min_size=1, max_size=6),
    )
    def some_calls(self, held: bool, calls: list[dict[str, Any]]) -> None:
        self.hold(held)
        for call in calls:
            self.call(**call)
            self.ledger_and_results_are_right()

    def call(self, kind: str, ask: Any, timeout: Any, when_full: Any, shape: Any) -> None:
        oracle, request = self.oracle, self.new_ask(ask[0], ask[1] == 3, ask[2])
        if self.holder is None and timeout == SOON:
            timeout = None
        if oracle.full and timeout not in (SOON, 0.0) and kind != "run_async":
            when_full = "raise"  # nobody could tell when a thread has joined the line
        late = timeout in (SOON, 0.0)
        verdict = oracle.verdict(when_full, late)
        feed = request.feed()
        caller = self.desk.send(
            self.session, kind, request, shape(feed), timeout=timeout, when_full=when_full
        )
        if verdict in SEEN:
            request.end = verdict
            return self.check_end(caller)
        self.callers.append(caller)
        if verdict == "line":
            return oracle.line.append(request)
        oracle.accept(request)
        self.until_accepted()
        feed.fill(BAD)  # the caller's again
        if late:
            oracle.end(request, "expired")
            self.check_end(self.callers.pop())
        elif self.holder is None:
            self.let_go()

    @precondition(lambda self: self.callers)
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        caller = self.callers[pick % len(self.callers)]
        if isinstance(caller.handle, inferkit.Future):
            assert not caller.handle.running() and not caller.handle.done()
            with pytest.raises(TimeoutError):
                caller.handle.result(0)
        elif isinstance(caller.handle, Future):
            return  # a thread: it cannot be called back
        assert caller.handle.cancel()
        self.callers.remove(caller)
        self.oracle.cancel(caller.ask)
        self.check_end(caller)
        self.until_accepted()

    @precondition(lambda self: not self.oracle.closing)
    @rule(kind=CALL["kind"], wrong=st.sampled_from(WRONG))
    def call_wrongly(self, kind: str, wrong: dict[str, Any]) -> None:
        with pytest.raises(inferkit.InvalidInputError):
            answer = getattr(self.session, kind)(**{"feeds": [[0]], **wrong})
            self.desk.loop.run_until_complete(answer)

    @precondition(lambda self: not self.oracle.closing and self.number > 12 * len(self.sessions))
    @rule(held=HELD, how=CLOSINGS, awaited=st.booleans())
    def close(self, held: bool, how: tuple[bool, float | None], awaited: bool) -> None:
        self.hold(held)
        drains = self.holder is None or how == (True, None)
        if awaited:
            closing: Any = self.desk.loop.create_task(self.session.aclose(*how))
        else:
            closing = self.desk.threads.submit(self.session.close, *how)
        until(lambda: self.desk.tick() or self.session.closed)
        self.oracle.close(drains)
        if drains:
            for kind in KINDS:  # refused while others end
                self.call(kind, (1, 0, 0), None, "wait", np.asarray)
            self.let_go()
        elif self.holder is not None:
            self.callers.append(self.holder)
            self.holder = None
            self.settle()
        assert self.desk.outcome(closing) is None
        if how[1] is not None and not drains:
            self.oracle.note_stopped(self.session.stats().failed)
        self.session.close()

    @precondition(lambda self: self.kept)
    @rule(pick=st.integers(0, 99), drop=st.booleans())
    def overwrite_or_drop(self, pick: int, drop: bool) -> None:
        array, expected = self.kept.pop(pick % len(self.kept))
        if not drop:
            array.fill(pick)  # the caller's own: no other result may show it
            self.kept.append((array, np.full_like(expected, pick)))

    @invariant()
    def ledger_and_results_are_right(self) -> None:
        stats = self.session.stats()
        found = {name: getattr(stats, name) for name in self.oracle.ledger()}
        assert found == self.oracle.ledger()
        assert stats.accepted == sum(found[name] for name in (*ENDS, "in_flight"))
        assert max(stats.batch_sizes, default=0) <= self.max_batch_size
        assert self.session.closed == self.oracle.closing
        for array, expected in self.kept:
            assert np.array_equal(array, expected)

    def teardown(self) -> None:
        sound = sys.exc_info()[0] is None
        if sound and not self.oracle.closing:
            self.close(False, (False, None), False)
            self.ledger_and_results_are_right()
        self.kept.clear()
        for session in self.sessions:
            session.close(drain=False)
        for caller in filter(None, [*self.callers, self.holder]):
            self.desk.outcome(caller.handle)
        self.desk.close()
        gc.collect()  # errors keep the frames that they came through, and those what they held
        for session in self.sessions:  # the notifier may hold the last future a moment longer
            until(lambda s=session: not sound or s.stats().pool_blocks_in_use == 0)


def play(machine: type[Machine], examples: int, **options: Any) -> None:
    options |= {"max_examples": examples, "stateful_step_count": 25, "print_blob": True}
    options |= {"suppress_health_check": list(hypothesis.HealthCheck)}
    settings = hypothesis.settings(deadline=None, database=None, **options)
    hypothesis.stateful.run_state_machine_as_test(machine, settings=settings)


@pytest.mark.timeout(3_600 if FULL else 900)
def test_any_order_of_calls() -> None:
    if not FULL:
        return play(Machine, EXAMPLES, derandomize=True)
    seed = int(os.environ.get("INFERKIT_STRESS_SEED", time.time_ns() % 1_000_000))
    print(f"\nseed {seed}")
    play(hypothesis.seed(seed)(Machine), 2_000)


COUNT = inferkit.Session.stats  # each of the following breaks a promise of session or oracle
BREAKS: dict[str, tuple[type, str, Any]] = {
    "lost cancel": (inferkit.Future, "cancel", lambda future: True),
    "wrong answer": (Ask, "answer", Ask.feed),
    "uncounted cancel": (inferkit.Session, "stats", lambda self: replace(COUNT(self), cancelled=0)),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_promise_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BREAKS[name])
    with pytest.raises(AssertionError):
        play(
            type("Broken", (Machine,), {}), 60, derandomize=True, phases=[hypothesis.Phase.generate]
        )
