"""What one request can do to the others of its batch: nothing, whatever it holds."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import inferkit
import numpy as np
import onnx_models
import onnxruntime
import pytest
from conftest import check_balance
from numpy.typing import NDArray
from occupied import Held, one_at_a_time, rounds, until

Ask = Callable[[inferkit.Session, NDArray[Any]], NDArray[Any]]


async def awaited(session: inferkit.Session, x: NDArray[Any]) -> NDArray[Any]:
    return (await session.run_async(x))["y"]


WAYS: dict[str, Ask] = {
    "run": lambda session, x: session.run(x)["y"],
    "submit": lambda session, x: session.submit(x).result()["y"],
    "run_async": lambda session, x: asyncio.run(awaited(session, x)),
}

every_way = pytest.mark.parametrize("way", sorted(WAYS))


# ---- odd values -------------------------------------------------------------------------------
ODD_BITS = {
    # both zeros, both infinities, the least and the greatest denormal, quiet and signalling NaNs
    # with payloads
    "float16": [0x0000, 0x8000, 0x7C00, 0xFC00, 0x0001, 0x83FF, 0x7E2A, 0x7D2A],
    "float32": [
        *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000),
        *(0x00000001, 0x807FFFFF, 0x7FC12345, 0x7F812345),
    ],
    "float64": [
        *(0x0000000000000000, 0x8000000000000000, 0x7FF0000000000000, 0xFFF0000000000000),
        *(0x0000000000000001, 0x800FFFFFFFFFFFFF, 0x7FF8123456789ABC, 0x7FF0123456789ABC),
    ],
}


@every_way
@pytest.mark.parametrize("dtype", sorted(ODD_BITS))
def test_odd_values_come_back_to_the_bit(way: str, dtype: str) -> None:
    bits = np.dtype(dtype.replace("float", "uint"))
    x = np.array([ODD_BITS[dtype]], bits).view(dtype)
    swapped = x.byteswap().view(x.dtype.newbyteorder())
    with inferkit.Session(onnx_models.identity(dtype, ("batch", 8))) as session:
        for fed in (x, swapped, np.repeat(x, 2, axis=1)[:, ::2]):
            assert WAYS[way](session, fed).view(bits).tolist() == [ODD_BITS[dtype]]


@every_way
@pytest.mark.parametrize("rows", [1, 64])
def test_denormals_are_flushed_where_the_model_runs_and_nowhere_else(way: str, rows: int) -> None:
    x = np.full((rows, 32), 1e-41, np.float32)
    halved = sys.float_info.min / 2
    with inferkit.Session(onnx_models.over_rows("doubled", width=32)) as session:
        for _ in range(20):  # on whichever thread it will be
            assert not WAYS[way](session, x).view(np.uint32).any()
    assert (x + x).view(np.uint32).all()
    assert sys.float_info.min / 2 == halved != 0.0


# ---- rows that know each other ----------------------------------------------------------------
COUPLED = {
    **{kind: onnx_models.over_rows(kind) for kind in onnx_models.OVER_ROWS if kind != "doubled"},
    "dynamic_quantised": onnx_models.dynamic_quantised(width=3),
    "row_coupled": onnx_models.row_coupled(),
    "random": onnx_models.random_rows(),
}


@pytest.mark.parametrize("kind", sorted(COUPLED))
def test_rows_that_lean_on_others_travel_alone(kind: str) -> None:
    model = COUPLED[kind]
    x = np.array([[0.25, -0.5, 0.75], [-1, 0.125, 0.5]], np.float32)
    mates = [np.full((2, 3), value, np.float32) for value in (1e6, np.nan, -np.inf, 0.1)]
    runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    alone = runtime.run(None, {"x": x})[0]
    with inferkit.Session(model, instances=1, max_delay=0.002) as session:
        assert "output 'y'" in session.explain()  # the reason
        futures = [session.submit(each) for each in (*mates, x, *mates)]
        answers = [future.result()["y"] for future in futures]
        if kind != "random":
            np.testing.assert_allclose(answers[len(mates)], alone, rtol=1e-5)
        assert session.stats().batches == len(futures)
        check_balance(session)


# ---- bytes of others --------------------------------------------------------------------------
CANARY = 0x5EC2E7A5


def holds_the_canary(array: NDArray[Any]) -> bool:
    return bool((array.view(np.int32) == np.int32(CANARY)).any())


def test_memory_that_was_anothers_shows_nothing_of_it() -> None:
    model = onnx_models.identity("int32", ("batch", "width"))
    with inferkit.Session(model, instances=1) as session:
        for width in (1, 15, 16, 17, 100, 4095, 4096, 4097, 70_000):
            secret = np.full((4, width), CANARY, np.int32)
            assert holds_the_canary(session.run(secret)["y"])
            for rows, narrower in ((1, width), (0, width), (3, width), (2, width // 2 + 1)):
                mine = np.arange(rows * narrower, dtype=np.int32).reshape(rows, narrower)
                answers = [session.submit(mine) for _ in range(3)]
                for answer in (each.result()["y"] for each in answers):
                    assert np.array_equal(answer, mine)
                    assert not holds_the_canary(answer)


def test_a_batch_of_empty_requests_shows_the_model_zeros() -> None:
    # A row of the batch stands for them: a stale index in it would fail the run.
    ids = np.array([10**6] * 64)
    with inferkit.Session(onnx_models.gather(entries=16), instances=1, warmup=False) as session:
        for _ in range(5):
            with pytest.raises(inferkit.InvalidInputError):
                session.run(ids)  # leaves its indices in the pool
            empty = [session.submit(ids[:0]) for _ in range(3)]
            assert [each.result()["y"].shape for each in empty] == [(0, 4)] * 3
        check_balance(session)


# ---- memory that is kept ----------------------------------------------------------------------
def test_one_row_kept_of_each_batch_does_not_starve_the_pool() -> None:
    width = 1 << 19  # 2 MiB: a result is a view of its batch

    async def batch(session: inferkit.Session, value: int) -> NDArray[np.float32]:
        rows = (session.run_async(np.full((1, width), value, np.float32)) for _ in range(8))
        return (await asyncio.gather(*rows))[value % 8]["y"]

    async def main(session: inferkit.Session) -> None:
        kept = [await batch(session, 0)]
        assert kept[0].base is not None
        while kept[-1].base is not None:
            kept.append(await batch(session, len(kept)))
            assert len(kept) < 400
        pinned = session.stats().pool_bytes_in_use
        for _ in range(20):  # from now on they are copies
            kept.append(await batch(session, len(kept)))
        assert session.stats().pool_bytes_in_use <= pinned + (64 << 20)
        assert [int(row[0, -1]) for row in kept] == list(range(len(kept)))

    with inferkit.Session(
        onnx_models.identity(shape=("batch", width)), max_batch_size=8
    ) as session:
        asyncio.run(main(session))
        until(lambda: session.stats().pool_blocks_in_use == 0)
        check_balance(session)


def test_the_values_are_those_of_the_call_however_long_it_waits() -> None:
    memory = bytearray(np.float32([[7]]).tobytes())

    async def changed_after_the_first_step(session: inferkit.Session) -> float:
        x = rounds(9)
        task = asyncio.ensure_future(session.run_async(x))
        await asyncio.sleep(0)
        x[...] = 99
        held.release()
        return float((await task)["y"][0, 0])

    with one_at_a_time() as session, Held(session) as held:
        x = np.frombuffer(memory, np.float32).reshape(1, 1)
        queued = session.submit({"x": x})
        assert not queued.running()
        x[...] = 99
        del x
        memory.clear()  # a BufferError if anybody still looked into it
        assert asyncio.run(changed_after_the_first_step(session)) == 9
        assert queued.result()["y"][0, 0] == 7
