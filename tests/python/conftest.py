"""Sessions that many tests share, and what each of them checks on the side."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import inferkit
import onnx_models
import pytest
from occupied import until


def check_balance(session: inferkit.Session) -> None:
    """Every accepted request was resolved once, and nothing is kept for it."""
    until(lambda: session.stats().queued_bytes == 0)  # a runner may be burying the cancelled
    now = session.stats()
    resolved = now.answered + now.failed + now.cancelled + now.expired + now.closed
    assert now.accepted == resolved + now.in_flight
    assert now.in_flight == 0


@pytest.fixture(scope="module")
def mlp() -> Iterator[inferkit.Session]:
    """Model (a), `x[batch, 32] -> y[batch, 1]`; whatever a module asks of it, its books balance."""
    with inferkit.Session(onnx_models.mlp_a()) as session:
        yield session
        check_balance(session)


@pytest.fixture(scope="module")
def three() -> Iterator[inferkit.Session]:
    """Three inputs of two dtypes, three outputs."""
    with inferkit.Session(onnx_models.many_inputs_and_outputs()) as session:
        yield session
        check_balance(session)


@pytest.fixture
def nothing_queued() -> Callable[[inferkit.Session], object]:
    """A context in which a session accepts nothing: `with nothing_queued(session): ...`."""

    @contextmanager
    def watch(session: inferkit.Session) -> Iterator[None]:
        before = session.stats()
        yield
        after = session.stats()
        assert after.accepted == before.accepted
        assert after.pool_allocations == before.pool_allocations

    return watch
