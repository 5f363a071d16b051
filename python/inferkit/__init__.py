"""ONNX models served from inside your Python process, with batches that form themselves.

    import inferkit

    with inferkit.Session("model.onnx") as session:
        result = session.run({"x": rows})          # from any thread
        future = session.submit({"x": rows})       # concurrent.futures
        result = await session.run_async({"x": rows})
"""

import logging as _logging

from . import errors
from ._core import Result
from ._facts import ResultInfo, Stats, TensorInfo
from ._future import Future
from ._session import Session
from ._version import __version__
from .errors import (
    BackendError,
    DeadlineExceededError,
    ForkedSessionError,
    InferkitError,
    IntegrityError,
    InvalidInputError,
    ModelLoadError,
    QueueFullError,
    RuntimeNotFoundError,
    SessionClosedError,
)

__all__ = [
    "BackendError",
    "DeadlineExceededError",
    "ForkedSessionError",
    "Future",
    "InferkitError",
    "IntegrityError",
    "InvalidInputError",
    "ModelLoadError",
    "QueueFullError",
    "Result",
    "ResultInfo",
    "RuntimeNotFoundError",
    "Session",
    "SessionClosedError",
    "Stats",
    "TensorInfo",
    "__version__",
    "errors",
]

Result.__module__ = __name__  # where users find it

# A library says nothing unless its user asks.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())
