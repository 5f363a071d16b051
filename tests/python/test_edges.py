"""What is read of an array that ends, or begins, where readable memory does."""

import sys

import pytest
from edges import DTYPES
from programs import run_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shuts pages by mprotect")


def test_no_byte_beside_an_array_is_read() -> None:
    program = "import asyncio, edges; print(asyncio.run(edges.serve_at_the_edges()))"
    layouts, ways, sizes, orders = 4 * 4 + 4 * 2, 3, 4, 2
    code, out, err = run_program(program)
    assert (code, err) == (0, "")
    assert int(out) == len(DTYPES) * orders * sizes * layouts * ways


@pytest.mark.parametrize("beside", ["room.ctypes.data - 1", "room.ctypes.data + edges.BYTES"])
def test_a_byte_beside_the_room_is_out_of_reach(beside: str) -> None:
    program = f"""
        import ctypes, edges
        room = edges.guarded_room()
        ctypes.string_at(room.ctypes.data, edges.BYTES)
        print("the room itself", flush=True)
        ctypes.string_at({beside}, 1)
    """
    code, out, _ = run_program(program)
    assert code != 0 and out == "the room itself\n"
