"""With what patience a session is closed: by a block, by hand, when dropped, at the exit."""

import asyncio
import gc
import types
import warnings
import weakref
from typing import Any

import inferkit
import onnx_models
import pytest
from inferkit import _exit

MODEL = onnx_models.mlp_a()


class Told(inferkit.Session):
    """Keeps how it is closed."""

    closings: list[tuple[bool, float | None]]

    def close(self, drain: bool = True, timeout: float | None = None) -> None:
        self.closings.append((drain, timeout))
        super().close(drain, timeout)


@pytest.fixture
def closings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, float | None]]:
    made: list[tuple[bool, float | None]] = []
    monkeypatch.setattr(Told, "closings", made, raising=False)
    return made


Closings = list[tuple[bool, float | None]]


def test_a_block_waits_for_what_was_asked_in_it(closings: Closings) -> None:
    with Told(MODEL):
        pass
    assert closings == [(True, None)]


def test_a_block_left_by_an_exception_gives_two_seconds(closings: Closings) -> None:
    with pytest.raises(ZeroDivisionError), Told(MODEL):
        raise ZeroDivisionError
    assert closings == [(False, 2.0)]


def test_blocks_of_an_event_loop_are_closed_alike(closings: Closings) -> None:
    async def main(error: Exception | None) -> None:
        async with await Told.open(MODEL):
            if error is not None:
                raise error

    asyncio.run(main(None))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(main(ZeroDivisionError()))
    assert closings == [(True, None), (False, 2.0)]


def test_closing_off_the_loop_passes_its_arguments_on(closings: Closings) -> None:
    async def main() -> None:
        await (await Told.open(MODEL)).aclose()
        await (await Told.open(MODEL)).aclose(drain=False, timeout=3.0)

    asyncio.run(main())
    assert closings == [(True, None), (False, 3.0)]


def test_a_dropped_session_names_the_line_that_dropped_it(closings: Closings) -> None:
    session = Told(MODEL, name="forgotten")
    shown, number = repr(session), id(session)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del session
        gc.collect()
    (warning,) = caught
    assert warning.category is ResourceWarning
    assert str(warning.message) == f"unclosed {shown}"
    assert warning.filename == __file__
    assert id(warning.source) == number  # for tracemalloc: where it was made
    assert closings == [(False, 2.0)]


# ---- at the exit ------------------------------------------------------------------------------
class Listed:
    """An open session, as the exit sees it: closing takes some seconds of the clock."""

    def __init__(self, name: str, takes: float, desk: "Desk", fails: bool = False) -> None:
        self.name, self.takes, self.desk, self.fails = name, takes, desk, fails

    def close(self, *, drain: bool, timeout: float) -> None:
        self.desk.did.append((self.name, drain, timeout))
        self.desk.now += self.takes
        if self.fails:
            raise ValueError(self.name)


class Desk:
    """The clock of a process that ends, and what was done."""

    def __init__(self) -> None:
        self.now = 100.0
        self.did: list[Any] = []


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr(_exit, "time", types.SimpleNamespace(monotonic=lambda: made.now))
    core = types.SimpleNamespace(stop_notifier=lambda: made.did.append("stop_notifier"))
    monkeypatch.setattr(_exit, "_core", core)
    monkeypatch.setattr(_exit, "_open", weakref.WeakValueDictionary())
    return made


def test_at_exit_all_sessions_have_two_seconds_together(desk: Desk) -> None:
    sessions = [Listed("oldest", 9.0, desk), Listed("middle", 5.0, desk), Listed("new", 0.5, desk)]
    for session in sessions:
        _exit.close_at_exit(session)  # type: ignore[arg-type]
    _exit._close_all()
    assert desk.did == [
        ("new", False, 2.0),
        ("middle", False, 1.5),
        ("oldest", False, 0.0),
        "stop_notifier",
    ]


def test_at_exit_a_session_that_is_gone_is_not_closed(desk: Desk) -> None:
    kept, gone = Listed("kept", 0.0, desk), Listed("gone", 0.0, desk)
    for session in (kept, gone):
        _exit.close_at_exit(session)  # type: ignore[arg-type]
    del session, gone
    gc.collect()
    _exit._close_all()
    assert desk.did == [("kept", False, 2.0), "stop_notifier"]


def test_at_exit_whoever_fails_the_others_are_closed(desk: Desk) -> None:
    sessions = [Listed("first", 0.0, desk), Listed("second", 0.0, desk, fails=True)]
    for session in sessions:
        _exit.close_at_exit(session)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="second"):
        _exit._close_all()
    assert [done if isinstance(done, str) else done[0] for done in desk.did] == [
        "second",
        "first",
        "stop_notifier",
    ]
