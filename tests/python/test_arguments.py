"""Reading a call's arguments while Python itself fails: no memory, no module, an interrupt."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from numpy.typing import NDArray
from programs import run_program

NothingQueued = Callable[[inferkit.Session], Any]

X = np.arange(12, dtype=np.float32).reshape(4, 3)
ODD_BOOLS = np.array([[0, 7, 1]], np.uint8).view(bool)


# ---- no memory --------------------------------------------------------------------------------
def refusals(prepare: Callable[[], Callable[[], object]]) -> int:
    """How many allocations a call makes of Python: each in turn is refused, until all are granted.

    A call that finds no memory must say so, and the next one be as if nothing had been.
    """
    memory = pytest.importorskip("_testcapi")
    prepare()()  # what is made once is made before
    refused = 0
    while True:
        call = prepare()
        memory.set_nomemory(refused, refused + 1)
        try:
            call()
            return refused
        except MemoryError:
            refused += 1
        finally:
            memory.remove_mem_hooks()


@pytest.mark.parametrize(
    ("dtype", "array", "copies"),
    [
        ("float32", X, 0),
        ("float32", X[::-1], 1),
        ("float32", X.astype(">f4"), 1),
        ("bool", ODD_BOOLS, 1),
        ("bool", ODD_BOOLS[:, ::-1], 2),
    ],
    ids=["as it is", "copied", "swapped", "odd bools", "odd bools, copied"],
)
def test_no_memory_for_an_array(dtype: str, array: NDArray[Any], copies: int) -> None:
    with inferkit.Session(onnx_models.identity(dtype), instances=1) as session:
        plain = np.zeros((1, 3), dtype)
        of_the_answer = refusals(lambda: partial(session.run, plain))
        assert refusals(lambda: partial(session.run, array)) >= of_the_answer + copies
        assert np.array_equal(session.run(array)["y"], array)
        check_balance(session)


def test_no_memory_to_keep_what_waits_for_room() -> None:
    async def main(session: inferkit.Session) -> None:
        joined: list[Coroutine[object, None, inferkit.Result]] = []

        def join_the_line() -> Callable[[], object]:
            while joined:
                joined.pop().close()
            joined.append(session.run_async(X, when_full="wait"))
            return partial(joined[0].send, None)

        # It waits for company; an answer would have another thread ask for memory meanwhile.
        first = session.submit(X[:1])
        assert refusals(join_the_line) > 0
        joined.pop().close()
        assert first.cancel()
        assert session.stats().accepted == 1

    model = onnx_models.identity()
    with inferkit.Session(model, max_pending=1, max_delay=60, warmup=False) as session:
        asyncio.run(main(session))
        check_balance(session)


# ---- Python code that is called while arguments are read ----------------------------------------
class Raises:
    """Asked for anything of itself, raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def ask(self) -> Any:
        raise self.error

    __index__ = __float__ = __repr__ = ask


class Unspeakable:
    """Its repr is no text that could be told."""

    def __repr__(self) -> str:
        return "\udcff"


@pytest.mark.parametrize("argument", ["timeout", "priority", "when_full"])
@pytest.mark.parametrize("value", [Raises(ZeroDivisionError), Unspeakable()])
def test_a_value_that_cannot_be_shown_is_refused_by_its_type(
    mlp: inferkit.Session, nothing_queued: NothingQueued, argument: str, value: object
) -> None:
    shown = type(value).__name__
    refused = pytest.raises(inferkit.InvalidInputError, match=rf"{argument}: .* got {shown}$")
    with nothing_queued(mlp), refused:
        mlp.run(np.ones((1, 32), np.float32), **{argument: value})


@pytest.mark.parametrize("argument", ["timeout", "priority", "when_full"])
def test_an_interrupt_is_not_taken_for_a_wrong_value(
    mlp: inferkit.Session, nothing_queued: NothingQueued, argument: str
) -> None:
    with nothing_queued(mlp), pytest.raises(KeyboardInterrupt):
        mlp.run(np.ones((1, 32), np.float32), **{argument: Raises(KeyboardInterrupt)})


class Impostor:
    """A key that lies where that of the input does, and raises when they are first compared."""

    asked = False

    def __hash__(self) -> int:
        return hash("x")

    def __eq__(self, other: object) -> bool:
        if self.asked:
            return False
        self.asked = True
        raise ZeroDivisionError


def test_a_key_that_raises(mlp: inferkit.Session, nothing_queued: NothingQueued) -> None:
    with nothing_queued(mlp), pytest.raises(ZeroDivisionError):
        mlp.run({Impostor(): X})


# ---- the module that converts -------------------------------------------------------------------
PROLOGUE = f"""
import sys
sys.path.insert(0, {onnx_models.__file__.rpartition("/")[0]!r})
import inferkit, inferkit._inputs, numpy as np, onnx_models

def raised(**arguments):
    try:
        session.run(**arguments)
    except Exception as error:
        return type(error).__name__

session = inferkit.Session(onnx_models.identity())
array = np.ones((1, 3), np.float32)
"""
ASKS = """print(*(raised(**a) for a in (
    {'feeds': {'x': 1}}, {'feeds': {}}, {'feeds': array, 'outputs': 1}
)))"""


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ("sys.modules['inferkit._inputs'] = None", ["ModuleNotFoundError"] * 3),
        (
            "inferkit._inputs.convert = lambda value, info: value\n"
            "inferkit._inputs.align = lambda feeds, infos: []\n",
            ["SystemError", "IndexError", "InvalidInputError"],
        ),
    ],
    ids=["not there", "not what was asked for"],
)
def test_a_broken_installation_is_told_and_plain_arrays_are_served(
    change: str, errors: list[str]
) -> None:
    code = "\n".join([PROLOGUE, change, ASKS, "print(session.run(array)['y'].tolist())"])
    assert run_program(code + "\nsession.close()") == (
        0,
        f"{' '.join(errors)}\n[[1.0, 1.0, 1.0]]\n",
        "",
    )
