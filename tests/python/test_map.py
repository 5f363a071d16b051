"""How far ``map`` and ``map_async`` read ahead, and what becomes of what nobody wants any more."""

import asyncio
import inspect
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest

MODEL = onnx_models.identity()
# The room that a session has, and how much of it one map takes: half, but one request at least.
WINDOWS = [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4), (16, 8)]


class Asked:
    """A future that is there as soon as somebody waits for it."""

    def __init__(self, number: int) -> None:
        self.number, self.waited_for, self.cancelled = number, False, False

    def done(self) -> bool:
        return self.waited_for

    def result(self) -> int:
        self.waited_for = True
        return self.number

    def cancel(self) -> None:
        self.cancelled = True


class Told(inferkit.Session):
    """Keeps what ``map`` submits and how."""

    def __init__(self, **options: Any) -> None:
        super().__init__(MODEL, **options)
        self.sent: list[Asked] = []
        self.options: dict[str, Any] = {}

    def submit(self, feeds: Any, **options: Any) -> Any:
        self.options = options
        self.sent.append(Asked(feeds))
        return self.sent[-1]


@pytest.mark.parametrize(("room", "window"), WINDOWS)
def test_map_reads_ahead_by_half_of_the_room(room: int, window: int) -> None:
    with Told(max_pending=room) as session:
        answers = session.map(itertools.count(), timeout=5.0, priority=3)
        for number in range(20):
            assert next(answers) == number
            assert len(session.sent) == number + window
        assert session.options == {
            "outputs": None,
            "timeout": 5.0,
            "priority": 3,
            "when_full": "wait",
        }
        answers.close()
        assert [asked.cancelled for asked in session.sent] == [False] * 20 + [True] * (window - 1)


def test_map_cancels_all_it_has_sent_if_its_wait_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(self: Asked) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Asked, "result", interrupted)
    with Told(max_pending=8) as session:
        with pytest.raises(KeyboardInterrupt):
            next(session.map(itertools.count()))
        assert [asked.cancelled for asked in session.sent] == [True] * 4


class Unreadable(Mapping[str, Any]):
    """Feeds that break when their values are read, with an error of their own."""

    def __getitem__(self, name: str) -> Any:
        raise LookupError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("wrong", [Unreadable(), "text", {"z": 1}, {"x": [[1, 2], [3]]}])
def test_who_is_refused_is_told_after_those_before_it(wrong: Any) -> None:
    row = np.ones((1, 3), np.float32)

    async def main(session: inferkit.Session) -> None:
        async for answer in session.map_async([row, row, wrong, row]):
            found.append(answer)

    found: list[Any] = []
    with inferkit.Session(MODEL) as session:
        with pytest.raises((LookupError, inferkit.InvalidInputError)):
            asyncio.run(main(session))
        assert len(found) == 2
        with pytest.raises((LookupError, inferkit.InvalidInputError)):
            found.extend(session.map([row, row, wrong, row]))
        assert len(found) == 4


def test_who_is_refused_waits_for_answers_that_are_not_there_yet() -> None:
    class Refusing(Told):
        def submit(self, feeds: Any, **options: Any) -> Any:
            if feeds == 3:
                raise inferkit.InvalidInputError("the third")
            return super().submit(feeds, **options)

    with Refusing(max_pending=16) as session:
        answers = session.map([1, 2, 3, 4])
        assert [next(answers), next(answers)] == [1, 2]
        with pytest.raises(inferkit.InvalidInputError, match="the third"):
            next(answers)
        assert not any(asked.cancelled for asked in session.sent)


def test_map_gives_what_is_there_before_it_reads_on() -> None:
    with Told(max_pending=16) as session:
        answers = session.map(iter([0, 1, 2, 3]))
        assert next(answers) == 0  # the end was read
        for asked in session.sent:
            asked.waited_for = True
        assert list(answers) == [1, 2, 3]
        del session.sent[:]
        answers = session.map(ready(session))
        assert [next(answers) for _ in range(3)] == [0, 1, 2]
        assert len(session.sent) == 3


def ready(session: Told) -> Any:
    """Requests, each of which is answered by the time that the next is read."""
    for number in itertools.count():
        for asked in session.sent:
            asked.waited_for = True
        yield number


class Waiting(inferkit.Session):
    """A session whose answers wait until they are let go."""

    def __init__(self, **options: Any) -> None:
        super().__init__(MODEL, **options)
        self.started: list[int] = []
        self.ended: list[int] = []
        self.may_go = asyncio.Event()

    async def run_async(self, feeds: Any, **options: Any) -> Any:
        assert options["when_full"] == "wait"
        number = int(feeds["x"])
        self.started.append(number)
        try:
            await self.may_go.wait()
            return number
        finally:
            await asyncio.sleep(0)  # it takes a moment to take a request back
            self.ended.append(number)


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("room", "window"), WINDOWS)
def test_map_async_reads_ahead_by_half_of_the_room(room: int, window: int) -> None:
    async def main() -> None:
        with Waiting(max_pending=room) as session:
            answers = session.map_async(itertools.count())
            first = asyncio.ensure_future(anext(answers))
            await turns()
            assert session.started == list(range(window))
            session.may_go.set()
            assert await first == 0
            assert [await anext(answers) for _ in range(5)] == [1, 2, 3, 4, 5]
            await answers.aclose()

    asyncio.run(main())


def test_map_async_waits_for_the_end_of_what_it_cancels() -> None:
    async def main() -> None:
        with Waiting(max_pending=8) as session:
            answers = session.map_async(itertools.count())
            first = asyncio.ensure_future(anext(answers))
            await turns()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert sorted(session.ended) == session.started == [0, 1, 2, 3]

    asyncio.run(main())


def test_map_async_gives_what_is_there_before_it_reads_on() -> None:
    async def main() -> None:
        with Waiting(max_pending=16) as session:
            session.may_go.set()
            read: list[int] = []

            async def source() -> Any:
                for number in range(6):
                    read.append(number)
                    yield number
                    await turns(5)

            answers = session.map_async(source())
            for number in range(5):
                assert await anext(answers) == number
                assert read == list(range(number + 2))
            await answers.aclose()

    asyncio.run(main())


def test_map_waits_for_nobody_while_it_may_read_on() -> None:
    """That a later one is there first is no reason to stop reading."""

    def entries(session: Told) -> Any:
        for number in range(4):
            for asked in session.sent[1:]:
                asked.waited_for = True
            yield number

    with Told(max_pending=16) as session:
        answers = session.map(entries(session))
        assert next(answers) == 0
        assert len(session.sent) == 4
        assert list(answers) == [1, 2, 3]


@pytest.mark.parametrize("name", ["map", "map_async"])
def test_what_map_is_told_beside_the_feeds_is_told_by_name(name: str) -> None:
    _, feeds, *others = inspect.signature(getattr(inferkit.Session, name)).parameters.values()
    assert feeds.name == "feeds" and feeds.default is inspect.Parameter.empty
    assert {each.kind for each in others} == {inspect.Parameter.KEYWORD_ONLY}
    assert {each.name: each.default for each in others} == {
        "outputs": None,
        "timeout": None,
        "priority": 0,
    }
