"""Everything that inferkit raises.

::

    InferkitError
    |-- ModelLoadError           the model cannot be loaded
    |-- RuntimeNotFoundError     no usable ONNX Runtime (an ImportError too)
    |-- InvalidInputError        a feed or an argument does not fit (a ValueError too)
    |-- QueueFullError           too much is accepted and not yet answered
    |-- DeadlineExceededError    the call's timeout ran out (a TimeoutError too)
    |-- SessionClosedError       the session is closed or closing
    |-- ForkedSessionError       the session belongs to the parent process
    |-- SystemLimitError         no descriptor or thread is left (an OSError too)
    |-- BackendError             ONNX Runtime failed while running
    |   `-- OutOfMemoryError     there was no memory for the run (a MemoryError too)
    `-- IntegrityError           model bytes are not the promised ones

Cancellation is no error of ours: ``concurrent.futures.CancelledError`` from a Future,
``asyncio.CancelledError`` from ``run_async``.
"""

from . import _core

__all__ = [
    "BackendError",
    "DeadlineExceededError",
    "ForkedSessionError",
    "InferkitError",
    "IntegrityError",
    "InvalidInputError",
    "ModelLoadError",
    "OutOfMemoryError",
    "QueueFullError",
    "RuntimeNotFoundError",
    "SessionClosedError",
    "SystemLimitError",
]


class InferkitError(Exception):
    """Base of everything that inferkit raises on purpose."""


class ModelLoadError(InferkitError):
    """The model file or bytes could not be turned into a session.

    The text names the file and quotes ONNX Runtime's reason.
    """


class RuntimeNotFoundError(InferkitError, ImportError):
    """No usable ONNX Runtime library is installed: none, too old, or not loadable.

    The text names the extras that install one: ``inferkit[cpu]`` and ``inferkit[gpu]``.
    """


class InvalidInputError(InferkitError, ValueError):
    """A feed or an argument does not fit: name, dtype, rank, dimension, rows or value.

    The text names it, what was expected and what came, and nothing was queued. Values that only
    the running model can judge, such as an index out of range, are refused in ONNX Runtime's words.
    """


class QueueFullError(InferkitError):
    """``max_pending`` requests or ``max_pending_bytes`` bytes are accepted and not yet answered.

    Or ``max_memory_bytes`` are in use. Nothing was queued. ``when_full="wait"`` waits for room
    instead.
    """


class DeadlineExceededError(InferkitError, TimeoutError):
    """The ``timeout`` of the call ran out before its answer was ready."""


class SessionClosedError(InferkitError):
    """The session is closed, or was closed before it came to this request."""


class ForkedSessionError(InferkitError):
    """The session was opened before ``fork()``: its threads do not exist in this process.

    Open it after the fork: gunicorn's ``post_fork``, Celery's ``worker_process_init``, or the
    application's lifespan hook.
    """


class SystemLimitError(InferkitError, OSError):
    """The operating system refused a file descriptor or a thread that the call needs.

    ``errno`` tells which, as in every OSError: EMFILE or ENFILE for descriptors, EAGAIN for
    threads. Nothing was queued; an open session serves on, one that was being opened is not.
    """


class BackendError(InferkitError):
    """ONNX Runtime failed while running the model.

    Attributes:
        code: ONNX Runtime's own error code; 0 where it gave none.
    """

    code: int

    def __init__(self, message: str = "", code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["BackendError"], tuple[str, int]]:
        return type(self), (str(self), self.code)


class OutOfMemoryError(BackendError, MemoryError):
    """There was no memory for a run: on the host, on its device, or in the tensor pool.

    A batch that found none was halved and run again, so the request is too large alone, or memory
    is short altogether.
    """


class IntegrityError(InferkitError):
    """Model bytes do not match what was promised for them. Never run such a model."""


def _require_every_class() -> None:
    """Fail the import if the native core can raise something that has no class here."""
    missing = [row[1] for row in _core.error_table() if row[1] not in __all__]
    if missing:
        raise ImportError(f"inferkit.errors has no class for {', '.join(missing)}")


_require_every_class()
