"""ONNX models served from inside your Python process, with batches that form themselves.

``Session`` loads a model; ``run`` blocks for one answer, ``submit`` returns a future, ``run_async``
is awaited, ``map`` answers many; all of them from any number of threads and event loops at once.
"""

import logging as _logging

from . import _fork as _fork
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
    OutOfMemoryError,
    QueueFullError,
    RuntimeNotFoundError,
    SessionClosedError,
    SystemLimitError,
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
    "OutOfMemoryError",
    "QueueFullError",
    "Result",
    "ResultInfo",
    "RuntimeNotFoundError",
    "Session",
    "SessionClosedError",
    "Stats",
    "SystemLimitError",
    "TensorInfo",
    "__version__",
    "errors",
]

Result.__module__ = __name__  # where users find it

# A library says nothing unless its user asks.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())
