"""What the demo prints, as text and as one JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isnan
from typing import Any

from . import digits, filetypes
from .contest import STYLES, Outcome, best_direct

PAYS = 1.2  # a direct batch must compute this many times the rows of single calls to pay
MOST_TYPES = 20
MOST_DIFFERENT = 5

OWN_MODEL = """\
Your own model:

    import inferkit

    with inferkit.Session("model.onnx") as session:
        answers = session.run({"input": x})              # from any number of threads
        # answers = await session.run_async({"input": x})  # or from asyncio
"""


def digits_text(report: digits.DigitsReport) -> Iterator[str]:
    """Yield the lines about the digits."""
    share = report.correct / report.images
    yield f"1. {digits.TITLE}: 8 x 8 pixels through a 64-32-10 network"
    yield (
        f"   accuracy {share:.1%} ({report.correct} of the {report.images} images held out "
        "of the training)"
    )
    yield from outcome_text(report.outcome, digits.TOLERANCE)


def files_text(report: filetypes.FilesReport) -> Iterator[str]:
    """Yield the lines about the file types."""
    total = report.types.total()
    yield f"2. {filetypes.TITLE}: {total:,} files under {report.folder}"
    yield (
        f"   by the model inside magika {report.magika} where a model is needed "
        f"({report.by_model:,} files)"
    )
    if report.no_time:
        yield f"   {report.no_time:,} files more were left out for lack of time; --all takes it"
    yield ""
    yield from types_text(report.types)
    if report.outcome is not None:
        yield from outcome_text(report.outcome, filetypes.TOLERANCE)
    same = report.compared - len(report.different)
    yield f"   labels: {same} of {report.compared} as Magika().identify_path gives them"
    yield from (f"     WRONG {line}" for line in report.different[:MOST_DIFFERENT])


def types_text(types: Counter[str]) -> Iterator[str]:
    """Yield the table of types: label, files, share."""
    total = types.total()
    ordered = sorted(types.items(), key=lambda pair: (-pair[1], pair[0]))
    for label, count in ordered[:MOST_TYPES]:
        yield f"   {label:<20}{count:>8,}{count / total:>9.1%}"
    rest = ordered[MOST_TYPES:]
    if rest:
        count = sum(count for _, count in rest)
        yield f"   {f'({len(rest)} more types)':<20}{count:>8,}{count / total:>9.1%}"


def outcome_text(outcome: Outcome, tolerance: float) -> Iterator[str]:
    """Yield the tables of speed, the batches that formed and the check of the answers."""
    for style, title in STYLES.items():
        best = best_direct(outcome.sides, style)
        yield ""
        yield f"   {title:<26}{'requests/s':>11}  {'slices':<17}{'p50 ms':>9}{'p99 ms':>9}"
        for side in (side for side in outcome.sides if side.style == style):
            spread = f"{min(side.rates):,.0f}-{max(side.rates):,.0f}"
            line = (
                f"     {side.name:<24}{side.rate:>11,.0f}  {spread:<17}"
                f"{side.latency(50):>9.2f}{side.latency(99):>9.2f}"
            )
            yield line + (f"   {side.rate / best.rate:.2f}x" if side.ours and best.rate else "")
        yield f"     batches formed: {sizes_text(outcome.batch_sizes[style])}"
    yield ""
    yield from batching_text(outcome)
    found = outcome.check
    verdict = "right" if found.right(tolerance) else "WRONG"
    yield (
        f"   answers: {verdict}; {found.compared:,} compared with onnxruntime's for the row "
        f"alone, largest difference {found.difference:.1e} (allowed {tolerance:.0e})"
    )
    if found.other_class:
        yield f"     WRONG {found.other_class:,} answers name another class"


def sizes_text(sizes: Counter[int]) -> str:
    """Return how many batches had 1, 2, 3-4, 5-8, ... rows."""
    ranges: Counter[int] = Counter()
    for rows, batches in sizes.items():
        ranges[(max(rows, 1) - 1).bit_length()] += batches
    named = []
    for bits, batches in sorted(ranges.items()):
        low, high = (1 << bits >> 1) + 1, 1 << bits
        span = f"{high}" if low == high else f"{low}-{high}"
        named.append(f"{span} row{'s' * (high > 1)}: {batches:,}")
    return ", ".join(named) or "none"


def batching_text(outcome: Outcome) -> Iterator[str]:
    """Yield whether batching pays for this model here, by how much, and why not."""
    rates = ", ".join(
        f"{rows} row{'s' * (rows > 1)}: {rate:,.0f}/s"
        for rows, rate in outcome.direct_by_batch.items()
    )
    yield f"   one caller who hands onnxruntime ready batches of {rates}"
    if outcome.batch_gain >= PAYS:
        yield (
            f"   so batching pays: up to {outcome.batch_gain:.1f} times the rows of single calls, "
            "since one call's fixed cost is shared"
        )
    else:
        yield (
            f"   so batching does not pay here ({outcome.batch_gain:.2f}x at best): the time of a "
            "call is arithmetic,"
        )
        yield "   which grows with the rows, and a single row already keeps the cores busy"
    yield "   session.explain():"
    yield from (f"     {line}" for line in outcome.explain.splitlines())


def digits_json(report: digits.DigitsReport) -> dict[str, Any]:
    """Return the digits as JSON values."""
    return {
        "name": digits.NAME,
        "images": report.images,
        "correct": report.correct,
        "accuracy": report.correct / report.images,
        "right": report.right,
        **outcome_json(report.outcome, digits.TOLERANCE),
    }


def files_json(report: filetypes.FilesReport) -> dict[str, Any]:
    """Return the file types as JSON values; without files for the model, no measurements."""
    measured = report.outcome
    return {
        "name": filetypes.NAME,
        "folder": str(report.folder),
        "magika": report.magika,
        "files": report.types.total(),
        "by_model": report.by_model,
        "left_out": report.no_time,
        "types": dict(sorted(report.types.items(), key=lambda pair: (-pair[1], pair[0]))),
        "labels_compared": report.compared,
        "labels_different": report.different,
        "right": report.right,
        **({} if measured is None else outcome_json(measured, filetypes.TOLERANCE)),
    }


def outcome_json(outcome: Outcome, tolerance: float) -> dict[str, Any]:
    """Return the measurements as JSON values: rates per second, latencies in milliseconds."""
    return {
        "load": [
            {
                "callers": STYLES[side.style],
                "side": side.name,
                "requests": side.answered,
                "requests_per_second": side.rate,
                "slices_per_second": side.rates,
                "p50_ms": side.latency(50),
                "p99_ms": side.latency(99),
            }
            for side in outcome.sides
        ],
        "batch_sizes": {
            STYLES[style]: {str(rows): sizes[rows] for rows in sorted(sizes)}
            for style, sizes in outcome.batch_sizes.items()
        },
        "direct_rows_per_second": {str(k): v for k, v in outcome.direct_by_batch.items()},
        "batching_pays": outcome.batch_gain >= PAYS,
        "check": {
            "answers": outcome.check.compared,
            "largest_difference": None if isnan(found := outcome.check.difference) else found,
            "tolerance": tolerance,
            "other_class": outcome.check.other_class,
        },
        "explain": outcome.explain.splitlines(),
    }
