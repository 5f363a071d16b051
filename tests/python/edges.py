"""A room for arrays between pages that nobody may read, and all that a session reads there.

Run in a process of its own, which a read beside the room ends:
``run_program("import asyncio, edges; asyncio.run(edges.serve_at_the_edges())")``.
"""

import asyncio
import ctypes
import mmap
from collections.abc import Iterator
from typing import Any

import inferkit
import numpy as np
import onnx_models
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]
DTYPES = ("bool", "int8", "float16", "float32", "float64")
BYTES = 1 << 20
NOBODY = 0  # PROT_NONE


def guarded_room() -> NDArray[np.uint8]:
    """Bytes of all values, right behind one page and right before another that are shut."""
    memory = mmap.mmap(-1, BYTES + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    shut = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (start, start + mmap.PAGESIZE + BYTES):
        assert shut(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), NOBODY) == 0
    room = np.frombuffer(memory, np.uint8, BYTES, mmap.PAGESIZE)
    room[...] = np.arange(BYTES) % 251
    return room


def layouts(room: NDArray[np.uint8], dtype: np.dtype[Any], rows: int) -> Iterator[Array]:
    """Arrays of `rows` times three that touch an edge of the room, or are one byte away from it."""

    def places(count: int) -> Iterator[Array]:
        bytes_ = count * dtype.itemsize
        for first in (0, 1, BYTES - bytes_, BYTES - bytes_ - 1):
            yield room[first : first + bytes_].view(dtype)

    for values in places(3 * rows):
        yield values.reshape(rows, 3)
        yield values.reshape(rows, 3)[::-1]
        yield values.reshape(rows, 3)[:, ::-1]
        yield values.reshape(3, rows).T
    step = dtype.itemsize
    for values in places(8 * rows - 3):  # of eight each the first, the third and the fifth
        yield as_strided(values, (rows, 3), (8 * step, 2 * step))
        yield as_strided(values[-1:], (rows, 3), (-8 * step, -2 * step))


async def ask_in_every_way(session: inferkit.Session, array: Array) -> list[Array]:
    future = session.submit(array)
    results = [session.run({"x": array}), await session.run_async(array)]
    return [each["y"] for each in (*results, await asyncio.wrap_future(future))]


async def serve_at_the_edges() -> int:
    """Every dtype in both byte orders; the most rows are too many to be copied with the GIL."""
    asyncio.get_running_loop().slow_callback_duration = 100
    room, served = guarded_room(), 0
    for name in DTYPES:
        with inferkit.Session(onnx_models.identity(name)) as session:
            for dtype in (np.dtype(name), np.dtype(name).newbyteorder()):
                for rows in (1, 2, 7, (80 << 10) // dtype.itemsize // 3):
                    for array in layouts(room, dtype, rows):
                        wanted = array.view(np.uint8) != 0 if name == "bool" else array
                        wanted_bytes = wanted.astype(name).tobytes()
                        for answer in await ask_in_every_way(session, array):
                            assert answer.tobytes() == wanted_bytes, (array.strides, dtype)
                            served += 1
    return served
