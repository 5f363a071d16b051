"""What the core has to reach, and which figure tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks import compared as by
from benchmarks.compared import DEFAULT, GREEDY, MODELS, PLAIN, TO_THREAD, TWO_THREADS, Compute


@dataclass(frozen=True)
class Bar:
    """A floor, and a stretch beyond it where there is one; ``most``: to stay below, not above."""

    area: str
    what: str
    floor: float
    figure: Compute
    stretch: float | None = None
    most: bool = False
    unit: str = "x"

    def verdict(self, median: float) -> str:
        """What the median reaches."""
        reached = [
            limit is not None and (median <= limit if self.most else median >= limit)
            for limit in (self.floor, self.stretch)
        ]
        return "beyond the stretch" if reached[1] else "met" if reached[0] else "**not met**"


def all_bars() -> Iterator[Bar]:
    """In the order of the table."""
    for part in (_lone, _asyncio, _threads, _never_a_loss, _open_loop, _native, _processor):
        yield from part()


def _lone() -> Iterator[Bar]:
    call = partial(Bar, "lone caller", most=True)
    plain = "p50 beside `InferenceSession.run`, default options"
    yield call(f"(a), {plain}", 0.55, by.lone_call("a"), 0.45)
    yield call("(a), own bookkeeping beyond the null path", 500, by.bookkeeping, unit=" ns")
    for model in MODELS[1:]:
        yield call(f"({model}), {plain}", 1.03, by.lone_call(model))
    task = partial(Bar, "lone await", most=True)
    yield task("(a), p50 beside our blocking call", 1.5, by.lone_await("a", trips=False))
    trips = "(b), p50 beyond our blocking call, in round trips of a loop through a thread"
    yield task(trips, 1.3, by.lone_await("b", trips=True))


def _asyncio() -> Iterator[Bar]:
    tasks = partial(Bar, "64 asyncio tasks")
    beside = partial(by.closed_loop, kind="asyncio", count=64)
    yield tasks("(a), requests/s beside greedy inline", 1.5, beside("a", GREEDY), 2.0)
    yield tasks("(a), beside async-batcher", 5.0, beside("a", ["async-batcher"]))
    yield tasks("(a), beside batched", 8.0, beside("a", ["batched.aio"]))
    yield tasks("(b), beside ideal", 0.85, beside("b", ["ideal"]), 0.9)
    yield tasks("(c), beside greedy inline", 1.5, beside("c", GREEDY), 2.0)
    yield tasks("(d), beside ideal", 0.95, beside("d", ["ideal"]))
    for model in ("a", "b", "c"):
        ratio = by.beside_itself(model, 256, 64, "per_second")
        yield Bar("256 asyncio tasks", f"({model}), requests/s beside 64", 0.95, ratio)


def _threads() -> Iterator[Bar]:
    threads = partial(Bar, "64 threads")
    beside = partial(by.closed_loop, kind="threads", count=64)
    plain = "beside `InferenceSession.run`"
    yield threads(f"(a), requests/s {plain}", 1.5, beside("a", PLAIN), 2.5)
    yield threads(f"(a), p99.9 {plain}", 1.0, beside("a", PLAIN, figure="p999_us"), most=True)
    yield threads("(a), the slowest thread's share of the mean", 0.5, by.slowest_thread)
    yield threads(f"(b), requests/s {plain}, default options", 5.0, beside("b", [DEFAULT]))
    yield threads("(d), beside ideal", 0.95, beside("d", ["ideal"]))
    busy = partial(Bar, "beside a busy thread")
    yield busy("(a), 64 tasks beside `to_thread`", 5.0, by.beside_busy_thread("asyncio", TO_THREAD))
    yield busy(f"(a), 64 threads {plain}", 1.5, by.beside_busy_thread("threads", PLAIN))


def _never_a_loss() -> Iterator[Bar]:
    never = partial(Bar, "never a loss")
    for model in MODELS:
        lowest = by.lowest_of_counts(model, "threads", PLAIN)
        yield never(f"({model}), threads, beside `InferenceSession.run`", 0.97, lowest)
        lowest = by.lowest_of_counts(model, "asyncio", TWO_THREADS)
        yield never(f"({model}), asyncio, beside an executor of 2 threads", 0.97, lowest)


def _open_loop() -> Iterator[Bar]:
    highest = partial(Bar, "open loop")
    yield highest("(b), rate with p99 < 10 ms, beside greedy inline", 1.4, by.open_loop(GREEDY))
    libraries = by.open_loop(("async-batcher", "batched.aio"))
    yield highest("(b), the same beside async-batcher and batched", 2.5, libraries)


def _native() -> Iterator[Bar]:
    native = partial(Bar, "native", most=True)
    whole = by.operation("a_lone_caller")
    yield native("a request through the engine, without a model", 250, whole, unit=" ns")
    for width in (128, 64 << 10, 4 << 20):
        block = by.operation(f"pool_allocate_and_free/{width}")
        yield native(f"a block of {width:,} bytes from the pool, and back", 10, block, unit=" ns")
    for width in (128, 512, 2048, 8192, 64 << 10):
        limit, unit = (1.3, "x") if width >= by.LARGE_ROW else (10.0, " ns a row more")
        what = f"64 rows of {width:,} bytes gathered, beside one memcpy"
        yield native(what, limit, by.gather(width), unit=unit)


def _processor() -> Iterator[Bar]:
    for model in ("a", "b"):
        ratio = by.beside_itself(model, 256, 8, "cpu_us")
        what = f"({model}), CPU per request, 256 asyncio tasks beside 8"
        yield Bar("processor", what, 1.05, ratio, most=True)
