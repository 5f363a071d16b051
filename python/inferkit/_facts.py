"""What a session reports: its tensors, its counters, how an answer came about."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model.

    Attributes:
        name: As the model calls it.
        dtype: numpy's name of the element type, such as ``"float32"``.
        shape: One entry per dimension: an ``int`` where the model fixes it, a ``str`` where it
            only names it, ``None`` where it leaves it open.
    """

    __module__ = "inferkit"

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class ResultInfo:
    """How one answer came about.

    Attributes:
        rows: Rows of this request.
        batch_rows: Rows of the batch that it travelled in; 0 where no run was needed.
        batch_requests: Requests in that batch.
        ran_on: ``"runner"`` (a thread of inferkit's), ``"lent_thread"`` (that of a caller of
            ``run``) or ``"event_loop"``.
        queue_seconds: From acceptance until the batch was picked.
        gather_seconds: From there until the model began to run.
        run_seconds: How long the model ran.

    A request that ran in parts is told as a batch of its own rows, its ``run_seconds`` from the
    beginning of the first part to the end of the last.
    """

    __module__ = "inferkit"

    rows: int
    batch_rows: int
    batch_requests: int
    ran_on: str
    queue_seconds: float
    gather_seconds: float
    run_seconds: float


@dataclass(frozen=True, slots=True)
class Stats:
    """What a session has done since it was opened.

    ``accepted = answered + failed + cancelled + expired + closed + in_flight`` holds exactly
    whenever nothing moves.

    Attributes:
        accepted: Requests taken in.
        answered: Requests that got a result.
        failed: Requests that got an error of the backend.
        cancelled: Requests taken back by their caller.
        expired: Requests whose deadline passed.
        closed: Requests answered with SessionClosedError.
        in_flight: Requests accepted and not yet resolved, counted one by one.
        undeliverable: Answers (part of ``answered`` and ``failed``) that nobody was left to take.
        rejected: Requests refused because the queue was full; not part of ``accepted``.
        batches: Runs of the model, warm-up not counted.
        rows: Rows in those runs.
        retried_batches: Batches that failed, or kept a caller's thread too long, and ran again.
        lent_runs: Runs on the thread of a caller of ``run``.
        inline_runs: Runs on the thread of an event loop.
        runner_wakes: Times a runner thread was woken.
        keeper_wakes: Times the timer thread was woken.
        caller_wakes: Times a sleeping caller of ``run`` was woken.
        sink_wakes: Times an event loop or the notifier was woken.
        queued_bytes: Bytes taken from ``max_pending_bytes`` now.
        pool_bytes_reserved: Bytes held from the system; never more than ``max_memory_bytes``.
        pool_bytes_in_use: Of them, what requests, batches and runs hold, and results in your hands.
        pool_blocks_in_use: Blocks of that.
        pool_allocations: Blocks ever given out.
        pool_misses: Those for which no free block was at hand.
        batch_sizes: Rows of a batch -> how many batches had that many.
    """

    __module__ = "inferkit"

    accepted: int
    answered: int
    failed: int
    cancelled: int
    expired: int
    closed: int
    in_flight: int
    undeliverable: int
    rejected: int
    batches: int
    rows: int
    retried_batches: int
    lent_runs: int
    inline_runs: int
    runner_wakes: int
    keeper_wakes: int
    caller_wakes: int
    sink_wakes: int
    queued_bytes: int
    pool_bytes_reserved: int
    pool_bytes_in_use: int
    pool_blocks_in_use: int
    pool_allocations: int
    pool_misses: int
    batch_sizes: dict[int, int]

    def as_dict(self) -> dict[str, int | dict[int, int]]:
        """Return the fields as a new dict, ``batch_sizes`` included."""
        return asdict(self)
