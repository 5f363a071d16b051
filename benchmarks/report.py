"""``python -m benchmarks.report``: writes the tables and draws the charts from ``results``.

The rows between the markers of ``README.md`` and ``docs/performance.md`` are written anew;
``--check`` only says whether they are as they would be written.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import compared as by
from benchmarks.bars import Bar, all_bars
from benchmarks.compared import DEFAULT, GREEDY, PLAIN, TO_THREAD, Compute
from benchmarks.figures import Figure, Results
from benchmarks.machine import ROOT
from benchmarks.panels import digest_of

BEGIN, END = "<!-- figures: begin (python -m benchmarks.report) -->", "<!-- figures: end -->"
CHARTS = ROOT / "docs" / "charts"
CALLERS = {"asyncio": "asyncio tasks", "threads": "threads"}
NOT_MEASURED = "not measured"


def main() -> None:
    """Parses the command line; with ``--check`` the exit code is 1 where a page is stale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        write()
    elif stale := _stale(Results()):
        sys.exit(f"not what the results say: {', '.join(stale)}; python -m benchmarks.report")


def _stale(results: Results) -> list[str]:
    digest = digest_of(results)
    charts = [CHARTS / f"throughput-{theme}.svg" for theme in ("dark", "light")]
    wrong = [path for path, text in pages(results) if path.read_text() != text]
    wrong += [path for path in charts if not path.exists() or digest not in path.read_text()]
    return [path.name for path in wrong]


def write(results: Results | None = None) -> None:
    """Writes the tables and the charts of what was measured."""
    results = results or Results()
    for path, text in list(pages(results)):
        path.write_text(text)
        print(f"  -> {path}")
    from benchmarks.charts import draw  # matplotlib, of the extra "bench"

    for drawn in draw(results, CHARTS):
        print(f"  -> {drawn}")


def pages(results: Results) -> Iterator[tuple[Path, str]]:
    """Each page and its text as the results want it."""
    pages: dict[str, Callable[[Results, str], Iterator[str]]] = {
        "README.md": _readme,
        "docs/performance.md": _bars,
    }
    for name, rows in pages.items():
        path = ROOT / name
        before, _, rest = path.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        folder = "benchmarks/results" if name == "README.md" else "../benchmarks/results"
        table = "\n".join(rows(results, folder))
        yield path, f"{before}{BEGIN}\n{table}\n{END}{after}"


def _readme(results: Results, folder: str) -> Iterator[str]:
    yield "| one row per request | inferkit beside | requests/s, or p50 | file |"
    yield "|---|---|---|---|"
    for what, beside, compute in README_ROWS:
        figure = compute(results)
        link = f"[{figure.file}]({folder}/{figure.file}.json)"
        lost = figure.median > 1.03 if "p50" in beside else figure.median < 0.97
        shown = _times(figure, "x") + (": a loss" if lost else "")
        yield f"| {what} | {beside} | {shown} | {link} |"


def _bars(results: Results, folder: str) -> Iterator[str]:
    yield "| | bar | floor | stretch | median [least to greatest] | | file |"
    yield "|---|---|---|---|---|---|---|"
    for bar in all_bars():
        yield _bar(bar, results, folder)


def _bar(bar: Bar, results: Results, folder: str) -> str:
    floor, stretch = (_limit(bar, limit) for limit in (bar.floor, bar.stretch))
    try:
        figure = bar.figure(results)
    except KeyError:
        return f"| {bar.area} | {bar.what} | {floor} | {stretch} | {NOT_MEASURED} | | |"
    note = f"; {figure.note}" if figure.note else ""
    link = f"[{figure.file}]({folder}/{figure.file}.json)"
    return (
        f"| {bar.area} | {bar.what} | {floor} | {stretch} | {_times(figure, bar.unit)}{note} "
        f"| {bar.verdict(figure.median)} | {link} |"
    )


def _limit(bar: Bar, limit: float | None) -> str:
    return "" if limit is None else f"{'≤' if bar.most else '≥'} {limit:g}{bar.unit}"


def _times(figure: Figure, unit: str) -> str:
    digits = 2 if unit == "x" else 1
    spread = f"[{figure.least:.{digits}f} to {figure.greatest:.{digits}f}]"
    return f"{figure.median:.{digits}f}{unit} {spread}"


def _rows() -> Iterator[tuple[str, str, Compute]]:
    a, b, c = "MLP 32-64-1", "MLP 512-1024-1024-256", "200 boosted trees"
    run = "`InferenceSession.run`"
    for model, title in (("a", a), ("b", b), ("c", c)):
        yield f"lone caller, {title}", f"{run}, p50", by.lone_call(model)
    for model, title in (("a", a), ("b", b), ("c", c)):
        inline = by.closed_loop(model, GREEDY, kind="asyncio", count=64)
        yield f"64 asyncio tasks, {title}", "a batcher in Python, run on the loop", inline
        worker = by.closed_loop(model, ["greedy worker"], kind="asyncio", count=64)
        yield f"64 asyncio tasks, {title}", "a batcher in Python with a worker thread", worker
    for model, title in (("a", a), ("b", b), ("c", c)):
        plain = by.closed_loop(model, PLAIN, kind="threads", count=64)
        yield f"64 threads, {title}", f"{run}, the better of default and intra-op 1", plain
        greedy = by.closed_loop(model, ["greedy threads"], kind="threads", count=64)
        yield f"64 threads, {title}", "a batcher in Python for threads", greedy
    for kind, theirs, beside in (
        ("asyncio", TO_THREAD, "`asyncio.to_thread`"),
        ("threads", [DEFAULT], run),
    ):
        what = f"64 {CALLERS[kind]} beside a thread that computes in Python, {a}"
        yield what, beside, by.beside_busy_thread(kind, theirs)
    for kind, theirs, beside, model, title, count in (
        ("asyncio", GREEDY, "a batcher in Python, run on the loop", "b", b, 1),
        ("asyncio", ["greedy worker"], "a batcher in Python with a worker thread", "b", b, 8),
        ("threads", ["greedy threads"], "a batcher in Python for threads", "b", b, 8),
    ):
        ratio = by.closed_loop(model, theirs, kind=kind, count=count)
        yield f"{count} {CALLERS[kind].removesuffix('s' * (count == 1))}, {title}", beside, ratio


README_ROWS = tuple(_rows())

if __name__ == "__main__":
    main()
