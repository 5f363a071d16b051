"""max_memory_bytes: what a session holds beside its weights, and what comes when it is spent."""

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance

MIB = 1 << 20


def wide(columns: int, **options: int | str) -> inferkit.Session:
    return inferkit.Session(onnx_models.identity(shape=("batch", columns)), **options)


def test_what_a_value_asks_for_is_capped() -> None:
    with inferkit.Session(onnx_models.zeros(), max_memory_bytes=64 * MIB) as session:
        assert session.run(np.array([MIB]))["y"].nbytes == 4 * MIB
        with pytest.raises(inferkit.OutOfMemoryError, match=r"max_memory_bytes \(67108864\)"):
            session.run(np.array([16 * MIB]))
        assert session.run(np.array([3]))["y"].tolist() == [0, 0, 0]
        check_balance(session)
        assert session.stats().pool_bytes_in_use == 0


@pytest.mark.parametrize("kind", ["made by onnxruntime", "written into a block"])
def test_results_that_are_kept_count_and_do_not_starve_the_session(kind: str) -> None:
    if kind == "made by onnxruntime":
        session, x = inferkit.Session(onnx_models.zeros(), max_memory_bytes=64 * MIB), np.array(MIB)
        x = x.reshape(1)
    else:
        session = wide(MIB // 4, max_memory_bytes=64 * MIB)
        x = np.ones((8, MIB // 4), np.float32)
    with session:
        first = session.run(x)
        assert session.stats().pool_bytes_in_use >= 4 * MIB
        kept = [session.run(x) for _ in range(20)]
        assert session.stats().pool_bytes_in_use <= 48 * MIB
        assert all(np.array_equal(each["y"], first["y"]) for each in kept)
        del first
        kept.clear()
        assert session.stats().pool_bytes_in_use == 0


def test_a_request_beyond_a_quarter_is_told_before_it_is_queued() -> None:
    with wide(1024, max_memory_bytes=4 * MIB) as session:
        session.run(np.ones((255, 1024), np.float32))
        with pytest.raises(inferkit.InvalidInputError, match=str(MIB)):
            session.run(np.ones((257, 1024), np.float32))
        assert session.stats().accepted == 1


def test_explain_tells_it() -> None:
    with wide(3, max_memory_bytes=123 * MIB) as session:
        assert f"at most {123 * MIB} bytes" in session.explain()
    with wide(3) as session:
        assert "memory beside the weights: at most " in session.explain()
