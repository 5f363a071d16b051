"""Which tests come to which line, and how long each takes: all tests run once, under coverage."""

import ast
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import coverage
import pytest
import trials

# Programs that tests start are covered too: pytest leaves the test's name in the environment.
SETTINGS = """
[run]
source = {package}
data_file = {data}
parallel = true
context = ${{PYTEST_CURRENT_TEST-}}
disable_warnings = no-data-collected,module-not-imported,module-not-measured,already-imported
"""


@dataclass
class Covering:
    """Tests by file and line, and the seconds of each."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests_for(self, file: str, first: int, last: int, tree: ast.AST) -> list[str]:
        """Return the tests that come to the statement, the most particular ones first."""
        here = self.lines.get(file, {})
        found: set[str] = set()
        for begin, end in _around(tree, first, last):
            found = {test for line in range(begin, end + 1) for test in here.get(line, ())}
            if found:
                break
        # Run at the import only: any test may tell.
        return self._in_order(found or set(self.seconds), Path(file).stem.strip("_"))

    def _in_order(self, tests: set[str], topic: str) -> list[str]:
        """Sort file by file: first those named after it, then those that come to few lines."""
        counts: dict[str, list[int]] = {}
        for test in tests:
            counts.setdefault(test.partition("::")[0], []).append(self._reach[test])

        def place(test: str) -> tuple[bool, float, str, float]:
            file = test.partition("::")[0]
            named = f"test_{topic}" in file
            return not named, sum(counts[file]) / len(counts[file]), file, self.seconds[test]

        return sorted(tests, key=place)

    @cached_property
    def _reach(self) -> Counter[str]:
        return Counter(
            test for by_line in self.lines.values() for tests in by_line.values() for test in tests
        )


def _around(tree: ast.AST, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the lines of the innermost statement in a function, then those of its functions."""
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body[0].lineno <= first
        and last <= (node.end_lineno or 0)
    ]
    if not functions:
        return
    inner = max(functions, key=lambda node: node.lineno)
    spans = []
    for node in ast.walk(inner):
        if isinstance(node, ast.stmt | ast.ExceptHandler) and node is not inner:
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or 0
            if node.lineno <= first and last <= end:
                spans.append((node.lineno, end))
    yield from sorted(spans, key=lambda span: span[1] - span[0])
    for function in sorted(functions, key=lambda node: -node.lineno):
        yield function.body[0].lineno, function.end_lineno or 0


class _Contexts:
    """A plugin: what runs belongs to the test that runs it."""

    def __init__(self) -> None:
        self.coverage: coverage.Coverage | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.coverage is not None:
            self.coverage.switch_context(item.nodeid)
        return (yield)


def measure(package: Path, arguments: list[str], scratch: Path) -> Covering:
    """Run all the tests; raises RuntimeError if one fails."""
    data, settings = scratch / "coverage" / "data", scratch / "coverage.ini"
    data.parent.mkdir(exist_ok=True)
    for old in data.parent.iterdir():
        old.unlink()
    settings.write_text(SETTINGS.format(package=package, data=data))
    contexts = _Contexts()

    def around() -> Callable[[], object]:
        measured = coverage.Coverage(config_file=str(settings), context=None)
        measured.set_option("run:context", None)
        measured.start()
        contexts.coverage = measured
        os.environ["COVERAGE_PROCESS_START"] = str(settings)
        return lambda: (measured.stop(), measured.save())

    trial = trials.run(arguments, None, {}, scratch / "baseline.log", around, (contexts,))
    if trial.status not in (0, 1):
        raise RuntimeError(f"the tests do not run: see {trial.output}")
    if trial.failed:  # some look at what coverage changes; without it they have to pass
        again = trials.run(arguments, trial.failed, trial.took, scratch / "again.log")
        if not again.passed:
            raise RuntimeError(f"tests fail as it is: see {again.output}")
    return Covering(_lines(package, data, set(trial.took)), trial.took)


def _lines(package: Path, data: Path, known: set[str]) -> dict[str, dict[int, list[str]]]:
    found = coverage.CoverageData(basename=str(data.parent / "whole"))
    for part in sorted(data.parent.glob("data.*")):
        one = coverage.CoverageData(basename=str(part))
        one.read()
        found.update(one)
    lines: dict[str, dict[int, list[str]]] = {}
    for file in found.measured_files():
        where = Path(file).relative_to(package).as_posix()
        by_line = lines[where] = {}
        for line, names in found.contexts_by_lineno(file).items():
            tests = {name.rpartition(" (")[0] if name not in known else name for name in names}
            by_line[line] = sorted(tests & known)
    return lines


def save(covering: Covering, file: Path) -> None:
    file.write_text(json.dumps({"lines": covering.lines, "seconds": covering.seconds}))


def load(file: Path) -> Covering:
    kept = json.loads(file.read_text())
    lines = {
        name: {int(line): tests for line, tests in found.items()}
        for name, found in kept["lines"].items()
    }
    return Covering(lines, kept["seconds"])
