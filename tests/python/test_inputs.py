"""What may be fed: every layout of the right array, lists, scalars; the rest is refused by name."""

import asyncio
import collections
import tracemalloc
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

NothingQueued = Callable[[inferkit.Session], Any]


@pytest.fixture(scope="module")
def echo() -> Iterator[inferkit.Session]:
    """`y = x` for `x[batch, 3]` of float32."""
    with inferkit.Session(onnx_models.identity()) as session:
        yield session


class Subclass(np.ndarray[Any, Any]):
    """An ndarray of a kind that the model knows nothing of."""


X = np.arange(12, dtype=np.float32).reshape(4, 3)


def misaligned(array: NDArray[Any]) -> NDArray[Any]:
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    raw[...] = array
    assert not raw.flags.aligned
    return raw


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


# ---- layouts --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(X),
        X[::-1],
        X[:, ::-1],
        X[::2],
        np.repeat(X, 2, axis=1)[:, ::2],
        np.ascontiguousarray(X.T).T,
        X.astype(">f4"),
        X.astype("<f4"),
        X[::-1].astype(">f4")[::-1],
        read_only(X),
        misaligned(X),
        misaligned(X.astype(">f4")),
        X.view(Subclass),
        X[::2].view(Subclass),
        np.broadcast_to(X[:1], (4, 3)),
        np.lib.stride_tricks.as_strided(X, (4, 3), (4, 4)),
    ],
    ids=lambda array: f"{array.dtype.str}-{array.strides}",
)
def test_every_layout_of_the_right_array(echo: inferkit.Session, array: NDArray[Any]) -> None:
    answer = echo.run({"x": array})["y"]
    assert type(answer) is np.ndarray
    assert answer.dtype == np.float32
    assert np.array_equal(answer, np.array(array, np.float32))


@given(
    start=st.integers(0, 20),
    rows=st.integers(1, 8),
    strides=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    flips=st.tuples(st.booleans(), st.booleans()),
)
def test_any_strides(
    echo: inferkit.Session,
    start: int,
    rows: int,
    strides: tuple[int, int],
    flips: tuple[bool, bool],
) -> None:
    memory = np.arange(128, dtype=np.float32)[start:]
    array = np.lib.stride_tricks.as_strided(memory, (rows, 3), (4 * strides[0], 4 * strides[1]))
    array = array[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1]
    assert np.array_equal(echo.run(array)["y"], array)


def test_names_of_one_type() -> None:
    # int64 has two numbers in numpy where long and long long have one size.
    with inferkit.Session(onnx_models.identity("int64")) as session:
        for code in "lq":
            array = np.array([[1, 2, 3]], code)
            assert np.array_equal(session.run(array)["y"], array)


def test_bools_are_zero_or_one() -> None:
    odd = np.array([[0, 1, 2], [255, 0, 128]], np.uint8).view(bool)
    with inferkit.Session(onnx_models.identity("bool")) as session:
        for array in (odd, odd[::-1], np.asfortranarray(odd)):
            answer = session.run(array)["y"].view(np.uint8)
            assert np.array_equal(answer, np.array(array).view(np.uint8) != 0)
            assert answer.max() == 1
    assert odd.view(np.uint8).max() == 255  # the caller's array is as it was


def test_feeds_may_change_after_the_call(echo: inferkit.Session) -> None:
    array = X.copy()
    future = echo.submit(array)
    array[...] = -1
    assert np.array_equal(future.result()["y"], X)


class Holder:
    """Hands out the same array whenever it is asked."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.array


# Makes an entry of an array that is overwritten for the next one.
REUSED: list[Callable[[NDArray[Any]], Any]] = [
    np.copy,
    lambda x: x,
    memoryview,
    Holder,
    lambda x: {"x": x},
    lambda x: collections.UserDict(x=memoryview(x)),
    lambda x: [memoryview(row) for row in x],
    lambda x: (Holder(x[0]),),
]


@pytest.mark.parametrize("way", ["iterable", "async iterable"])
@pytest.mark.parametrize("form", [*REUSED, "list", "nested list", "list in a dict"])
def test_entries_of_map_async_are_taken_as_they_were_given(
    echo: inferkit.Session, way: str, form: Any
) -> None:
    buffer = np.zeros((1, 3), np.float32)
    row: list[float] = []
    lists = {"list": (row,), "nested list": [row], "list in a dict": {"x": [row]}}

    def entries() -> Iterator[Any]:
        for i in range(5):
            buffer[...] = i
            row[:] = [i] * 3
            yield lists[form] if isinstance(form, str) else form(buffer)

    async def async_entries() -> AsyncIterator[Any]:
        for entry in entries():
            yield entry

    async def main() -> list[float]:
        given = entries() if way == "iterable" else async_entries()
        return [each["y"][0, 0] async for each in echo.map_async(given)]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "wrap",
    [
        types.MappingProxyType,
        collections.UserDict,
        collections.OrderedDict,
        lambda feeds: collections.ChainMap({}, feeds),
    ],
)
def test_any_mapping(echo: inferkit.Session, wrap: Callable[[dict[str, Any]], Any]) -> None:
    assert np.array_equal(echo.run(wrap({"x": X}))["y"], X)


def test_names_are_compared_not_only_identical(echo: inferkit.Session) -> None:
    class Name(str):
        """A str that is not interned."""

        __slots__ = ()

    assert np.array_equal(echo.run({Name("x"): X}, outputs=[Name("y")])["y"], X)


def test_more_inputs_than_a_call_has_room_for_on_its_stack() -> None:
    fed = {f"x{i}": X + i for i in range(9)}
    mixed = {**fed, "x3": (X + 3)[::-1][::-1], "x5": (X + 5).astype(">f4"), "x8": [*(X + 8)]}
    with inferkit.Session(onnx_models.sum_of_inputs(9)) as session:
        for feeds in (fed, mixed):
            assert np.array_equal(session.run(feeds)["y"], 9 * X + 36)


# ---- what is no array -----------------------------------------------------------------------
class ArrayLike:
    """Becomes an array when asked."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.answer()


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", [[1, 2, 3]]),
        ("float32", ((1.5, 2, 3), (4, 5, 6))),
        ("float32", [np.array([1.5, 2, 3])]),
        ("float32", [[True, False, True]]),
        ("float32", []),
        ("float16", [[1.5, 2, 3]]),
        ("float64", [[1, 2**60, 3]]),
        ("uint8", [[0, 1, 255]]),
        ("uint64", [[2**63, 2**63 + 1, 2**64 - 1]]),
        ("int8", [[-128, 0, 127]]),
        ("bool", [[True, False, True]]),
        ("int64", ArrayLike(lambda: np.array([[1, 2, 3]]))),
        ("float32", memoryview(X)),
    ],
)
def test_lists_and_their_like_are_converted(dtype: str, value: object) -> None:
    empty = isinstance(value, list) and not value
    shape = ("batch",) if empty else ("batch", 3)
    with inferkit.Session(onnx_models.identity(dtype, shape)) as session:
        answer = session.run({"x": value})["y"]
    assert answer.dtype == dtype
    assert np.array_equal(answer, np.asarray(value))


@pytest.mark.parametrize("value", [7, 7.5, True, np.float64(7.5), np.int8(7), np.array(7.5, "f4")])
def test_scalars_are_converted(value: object) -> None:
    with inferkit.Session(onnx_models.identity("float32", ())) as session:
        assert session.run({"x": value})["y"] == np.float32(value)


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        ("int64", [[1.5, 2, 3]], ["int64", "float64", "would change"]),
        ("uint8", [[0, 1, 256]], ["uint8", "0 to 255"]),
        ("uint8", [[0, 1, -1]], ["uint8", "0 to 255"]),
        ("int32", [[0, 1, 2**31]], ["int32"]),
        ("int64", [[0, 1, 2**63]], ["int64"]),
        ("bool", [[0, 1, 2]], ["bool", "int64"]),
        ("float32", [[1, 2], [3]], ["float32", "list"]),
        ("float32", [["1", "2", "3"]], ["float32", "<U1", "list"]),
        ("float32", [[None, 2, 3]], ["float32", "object"]),
        ("float32", [[1j, 2, 3]], ["float32", "complex128"]),
        ("float32", "text", ["float32", "<U4", "str"]),
        ("float32", b"text", ["float32", "S4"]),
        ("float32", None, ["float32", "object", "NoneType"]),
        ("float32", {"nested": 1}, ["float32", "object", "dict"]),
        ("float32", object(), ["float32", "object"]),
        ("float32", memoryview(b"123"), ["float32", "uint8"]),
        ("float32", ArrayLike(lambda: X.astype(float)), ["float32", "float64", "astype"]),
        ("float32", np.ma.masked_equal(X, 1), ["float32", "masked"]),
    ],
)
def test_values_that_would_be_bent_are_refused(
    nothing_queued: NothingQueued, dtype: str, value: object, words: list[str]
) -> None:
    refused = pytest.raises(inferkit.InvalidInputError)
    model = onnx_models.identity(dtype)
    with inferkit.Session(model) as session, nothing_queued(session), refused as caught:
        session.run({"x": value})
    for word in ["'x'", *words]:
        assert word in str(caught.value)


def test_a_list_of_nothing_or_of_one_is_a_list() -> None:
    with inferkit.Session(onnx_models.identity("int64", ("batch",))) as session:
        assert session.run([])["y"].shape == (0,)  # numpy makes it a float64
        assert session.run([7])["y"].tolist() == [7]
        for bent in ([1.5], [2**63], [True + 0.5]):
            with pytest.raises(inferkit.InvalidInputError, match="'x'"):
                session.run(bent)


@pytest.mark.parametrize(("dimension", "shown"), [(None, r"\?"), (2, "2"), ("width", "width")])
def test_a_dimension_without_a_name_is_shown_as_open(dimension: Any, shown: str) -> None:
    refused = pytest.raises(inferkit.InvalidInputError, match=rf"float32 \[batch, {shown}\], got")
    with inferkit.Session(onnx_models.identity(shape=("batch", dimension))) as session, refused:
        session.run([[None, 1.0]])


def test_hostile_objects(echo: inferkit.Session, nothing_queued: NothingQueued) -> None:
    def fail() -> None:
        raise ZeroDivisionError("from within")

    with nothing_queued(echo):
        with pytest.raises(inferkit.InvalidInputError, match=r"'x'.*from within") as caught:
            echo.run({"x": ArrayLike(fail)})
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        with pytest.raises(inferkit.InvalidInputError, match="'x'"):
            echo.run({"x": ArrayLike(lambda: "no array")})

        def interrupt() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            echo.run({"x": ArrayLike(interrupt)})


def test_an_object_that_takes_the_feeds_away(three: inferkit.Session) -> None:
    ones = [np.ones((1, 3), np.float32) for _ in range(2)]
    feeds: dict[str, Any] = {"left": ones[0], "right": None, "count": np.array([1])}

    def clear() -> NDArray[Any]:
        feeds.clear()
        ones.pop(0)
        return ones[0]

    feeds["right"] = ArrayLike(clear)
    assert three.run(feeds)["total"].tolist() == [[2, 2, 2]]


def test_an_object_that_resizes_an_earlier_feed(three: inferkit.Session) -> None:
    left = np.ones((4, 3), np.float32)

    def shrink() -> NDArray[Any]:
        left.resize((1, 3), refcheck=False)
        return np.ones((4, 3), np.float32)

    feeds = {"left": left, "right": ArrayLike(shrink), "count": np.arange(4)}
    with pytest.raises(inferkit.InvalidInputError, match=r"expected 1 rows as in input 'left'"):
        three.run(feeds)


# ---- arrays that do not fit -----------------------------------------------------------------
@pytest.mark.parametrize(
    "dtype",
    ["f8", "f2", "i4", "?", "c8", "g", "O", "S4", "U4", "M8[s]", "m8[s]", "V4", "f4,i4"],
)
def test_other_dtypes_are_refused(
    echo: inferkit.Session, nothing_queued: NothingQueued, dtype: str
) -> None:
    array = np.zeros((2, 3), dtype)
    with nothing_queued(echo), pytest.raises(inferkit.InvalidInputError) as caught:
        echo.run({"x": array})
    for word in ("'x'", "float32", str(array.dtype), "[2, 3]"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, ["'x'", "nothing", "missing 'x'"]),
        ({"y": X}, ["'x'", "got 'y'", "missing 'x'", "unknown 'y'"]),
        ({"x": X, "z": X}, ["unknown 'z'"]),
        ({1: X}, ["missing 'x'", "unknown 1"]),
        (X[0], ["'x'", "[batch, 3]", "[3]", "rank", "x[None]"]),
        (X[None], ["'x'", "[batch, 3]", "[1, 4, 3]", "rank"]),
        (np.float32(1), ["'x'", "[batch, 3]", "[]", "rank"]),
        (np.zeros((1,) * 12, np.float32), ["'x'", "rank", "1, 1, 1"]),
        (X[:, :2], ["'x'", "[batch, 3]", "[4, 2]", "dimension 1"]),
        (X[:, :2].copy(), ["'x'", "[batch, 3]", "[4, 2]", "dimension 1"]),
    ],
)
def test_other_names_and_shapes_are_refused(
    echo: inferkit.Session, nothing_queued: NothingQueued, feeds: object, words: list[str]
) -> None:
    with nothing_queued(echo), pytest.raises(inferkit.InvalidInputError) as caught:
        echo.run(feeds)
    for word in words:
        assert word in str(caught.value)


def test_as_many_dimensions_as_there_may_be() -> None:
    shape = ("batch", *(f"d{number}" for number in range(7)))
    with inferkit.Session(onnx_models.identity(shape=shape)) as session:
        for fed in (X.reshape(2, 1, 1, 1, 1, 2, 1, 3), X[0].reshape((1,) * 7 + (3,))):
            assert np.array_equal(session.run(fed.tolist())["y"], fed)
        refused = pytest.raises(inferkit.InvalidInputError, match=r"\(wrong rank")
        for deeper in (9, 20):
            with refused:
                session.run(X[0].reshape((1,) * (deeper - 1) + (3,)).tolist())


def test_a_rank_that_the_model_does_not_tell() -> None:
    with inferkit.Session(onnx_models.identity(shape=())) as session:
        assert session.run({"x": np.float32(3)})["y"] == 3
        with pytest.raises(inferkit.InvalidInputError, match=r"\[\], got.*\[4, 3\].*or no rank"):
            session.run({"x": X})


def test_rows_must_agree(three: inferkit.Session, nothing_queued: NothingQueued) -> None:
    feeds = {"left": X, "right": X[:2], "count": np.arange(4)}
    with nothing_queued(three):
        with pytest.raises(inferkit.InvalidInputError, match=r"'right'.*4 rows.*'left'.*got 2"):
            three.run(feeds)
        with pytest.raises(inferkit.InvalidInputError, match=r"'left', 'right', 'count'.*bare"):
            three.run(X)


HUGE = 2**60


@pytest.mark.parametrize(
    ("shape", "fed"),
    [
        (("batch", 4), (HUGE // 4, 4)),
        (("batch", "width"), (1, HUGE)),
        (("batch", "width"), (0, HUGE)),
        (("batch", "width", 4), (2**20, 2**38, 4)),
        (("batch",), (HUGE,)),
        ((4, "width"), (4, HUGE // 4)),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", ">f4"])
def test_arrays_of_no_memory_and_endless_size(
    nothing_queued: NothingQueued, shape: tuple[int | str, ...], fed: tuple[int, ...], dtype: str
) -> None:
    array = np.broadcast_to(np.zeros((), dtype), fed)
    with inferkit.Session(onnx_models.identity(shape=shape)) as session:
        tracemalloc.start()
        try:
            with nothing_queued(session), pytest.raises(inferkit.InvalidInputError) as caught:
                session.run({"x": array})
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
    assert "expected" in str(caught.value) and "got" in str(caught.value)


def test_more_bytes_than_ever_fit(nothing_queued: NothingQueued) -> None:
    model = onnx_models.identity(shape=("batch", "width"))
    with inferkit.Session(model, max_pending_bytes=1 << 20) as session:
        large = np.zeros((1, 1 << 20), np.float32)
        for array in (large, large[:, ::2]):
            refused = pytest.raises(inferkit.InvalidInputError, match="max_pending_bytes")
            with nothing_queued(session), refused:
                session.run(array)
        assert session.run(np.zeros((1, 1 << 17), np.float32))["y"].shape == (1, 1 << 17)


def test_rows_without_end_are_refused(
    echo: inferkit.Session, nothing_queued: NothingQueued
) -> None:
    refused = pytest.raises(inferkit.InvalidInputError, match=r"at most 1048576 rows.*got 1048577")
    with nothing_queued(echo), refused:
        echo.run(np.zeros((1048577, 3), np.float32))


# ---- edges of shapes and types ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("shape", "fed"),
    [
        (("batch", "width"), (2, 0)),
        (("batch", "width"), (0, 0)),
        (("batch",), (0,)),
        ((2, "width"), (2, 0)),
        (("batch", "width", 4), (3, 0, 4)),
    ],
)
def test_dimensions_of_zero(shape: tuple[int | str, ...], fed: tuple[int, ...]) -> None:
    with inferkit.Session(onnx_models.identity(shape=shape), instances=1) as session:
        for _ in range(3):
            futures = [session.submit(np.empty(fed, np.float32)) for _ in range(4)]
            assert [future.result(60)["y"].shape for future in futures] == [fed] * 4
        assert session.stats().queued_bytes == 0


def test_a_model_of_strings_is_refused() -> None:
    with pytest.raises(inferkit.ModelLoadError, match="'x' has element type string"):
        inferkit.Session(onnx_models.identity("string"))


class Broken:
    """A sequence whose parts raise or lie."""

    def __init__(self, length: Any, item: Any) -> None:
        self.length, self.item = length, item

    def __len__(self) -> int:
        return int(self.length())

    def __getitem__(self, index: int) -> Any:
        return self.item()


class BrokenExport:
    """A tensor of another library that does not keep its word."""

    def __dlpack__(self, **options: Any) -> Any:
        raise ZeroDivisionError

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.mark.parametrize(
    "value",
    [
        Broken(lambda: 1 // 0, lambda: 0.0),
        Broken(lambda: 3, lambda: 1 // 0),
        Broken(lambda: -5, lambda: 0.0),
        Broken(lambda: 2**62, lambda: 0.0),
        BrokenExport(),
    ],
    ids=["no length", "no items", "a negative length", "an endless length", "no export"],
)
def test_objects_that_lie_about_themselves(
    echo: inferkit.Session, nothing_queued: NothingQueued, value: object
) -> None:
    with nothing_queued(echo):
        for fed in (value, [value], {"x": [[1.0, 2.0], value]}):
            with pytest.raises(inferkit.InvalidInputError, match="'x'"):
                echo.run(fed if isinstance(fed, dict) else {"x": fed})
