"""The figures that the bars ask for: each function says how to compute one from the results."""

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.figures import Figure, Results

MODELS = ("a", "b", "c", "d", "e")
COUNTS = (1, 2, 8, 64, 256)
LARGE_ROW = 2048
"""Bytes from which gathering is held to a memcpy's time."""
DEFAULT = "onnxruntime, intra-op default"
PLAIN = (DEFAULT, "onnxruntime, intra-op 1")
TO_THREAD = ("executor, to_thread",)
TWO_THREADS = ("executor, 2 threads",)
GREEDY = ("greedy inline",)

Compute = Callable[[Results], Figure]


def closed_loop(
    model: str, theirs: Sequence[str], *, kind: str, count: int, figure: str = "per_second"
) -> Compute:
    """inferkit beside the best of these families."""
    return lambda results: results.ratio(
        f"closed_loop_{model}", theirs, figure, kind=kind, callers=count
    )


def lone_call(model: str) -> Compute:
    """p50 beside onnxruntime's, default options."""
    return lambda results: results.ratio(f"lone_call_{model}", [DEFAULT], "p50_us", kind="lone")


def bookkeeping(results: Results) -> Figure:
    """Nanoseconds beyond the null path, block by block."""
    file = "lone_call_a"
    ours, least = (
        results.best(file, [family], "p50_us", kind="lone") for family in ("inferkit", "null path")
    )
    pairs = zip(ours.windows, least.windows, strict=True)
    return Figure.of([1e3 * (a.p50_us - b.p50_us) for a, b in pairs], file)


def lone_await(model: str, trips: bool) -> Compute:
    """Beyond our blocking call: in round trips of a loop through a thread, or in times of it."""

    def figure(results: Results) -> Figure:
        file = f"lone_await_{model}"
        samples = {each.system: each for each in results.systems(file, kind="lone await")}
        awaited, ours = samples["inferkit, awaited"].windows, samples["inferkit"].windows
        if not trips:
            return Figure.of(
                [a.p50_us / b.p50_us for a, b in zip(awaited, ours, strict=True)], file
            )
        each = zip(awaited, ours, samples["loop, thread, loop"].windows, strict=True)
        return Figure.of([(a.p50_us - b.p50_us) / trip.p50_us for a, b, trip in each], file)

    return figure


def beside_itself(model: str, more: int, fewer: int, figure: str) -> Compute:
    """inferkit beside itself, with other numbers of asyncio callers."""

    def ratio(results: Results) -> Figure:
        file = f"closed_loop_{model}"
        a, b = (
            results.best(file, ["inferkit"], figure, kind="asyncio", callers=count)
            for count in (more, fewer)
        )
        pairs = zip(a.windows, b.windows, strict=True)
        return Figure.of([getattr(x, figure) / getattr(y, figure) for x, y in pairs], file)

    return ratio


def slowest_thread(results: Results) -> Figure:
    """Answers of the caller with the fewest, in times of the mean."""
    file = "closed_loop_a"
    ours = results.best(file, ["inferkit"], "per_second", kind="threads", callers=64)
    return Figure.of([window.least_share or 0.0 for window in ours.windows], file)


def beside_busy_thread(kind: str, theirs: Sequence[str]) -> Compute:
    """64 callers while a thread computes in Python."""
    return lambda results: results.ratio("busy_thread_a", theirs, kind=kind)


def lowest_of_counts(model: str, kind: str, theirs: Sequence[str]) -> Compute:
    """Of all numbers of callers, where the median is lowest."""

    def figure(results: Results) -> Figure:
        file = f"closed_loop_{model}"
        found = [(results.ratio(file, theirs, kind=kind, callers=count), count) for count in COUNTS]
        lowest, count = min(found, key=lambda each: each[0].median)
        note = f"lowest at {count} callers, beside {lowest.note}"
        return Figure(lowest.median, lowest.least, lowest.greatest, file, note)

    return figure


def open_loop(theirs: Sequence[str]) -> Compute:
    """Highest rates that kept the limit."""

    def figure(results: Results) -> Figure:
        file = "open_loop_b"
        systems = results.record(file)["settings"][0]["systems"]
        rate = {each["family"]: float(each["highest_per_second"]) for each in systems}
        rival = max(theirs, key=lambda family: rate[family])
        ratio = rate["inferkit"] / rate[rival] if rate[rival] else float("inf")
        return Figure(ratio, ratio, ratio, file, f"{rate['inferkit']:,.0f}/s beside {rival}")

    return figure


def operation(name: str) -> Compute:
    """Nanoseconds of one of Google Benchmark's operations."""
    return lambda results: Figure.of(_times(results, name), "native_rooms")


def _times(results: Results, name: str) -> list[float]:
    for each in results.record("native_rooms")["settings"]:
        if each["operation"] == name:
            return list(each["nanoseconds"])
    raise KeyError(f"native_rooms.json has no {name}")


def gather(width: int) -> Compute:
    """64 rows beside one memcpy: a ratio, or of small ones how many nanoseconds more for each."""

    def figure(results: Results) -> Figure:
        copied = median(_times(results, f"memcpy_64_rows/{width}"))
        gathered = _times(results, f"gather_64_rows/{width}")
        large = width >= LARGE_ROW
        values = [each / copied if large else (each - copied) / 64 for each in gathered]
        return Figure.of(values, "native_rooms")

    return figure
