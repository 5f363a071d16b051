"""``inferkit demo``: two real jobs on this machine, each beside onnxruntime in the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ._interrupt import leave_at_once
from ._limits import affinity

if TYPE_CHECKING:
    from .._demo.progress import Progress

SECONDS = 24.0  # measured, by default; with what surrounds it, under a minute on two cores
DIGITS_SHARE = 0.25
AROUND = 1.2  # time spent over time measured, for the progress bar
EXTRA = 'pip install "inferkit[demo]"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="identify the files under it (default: Python's standard library)",
    )
    parser.add_argument(
        "--all", action="store_true", help="identify every file, not only the first 2,000"
    )
    parser.add_argument("--only", choices=("digits", "files"), help="run one of the two jobs")
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        help="how long to measure, in all (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document, no text")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"a number from 0.1 to 3600, not {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Run the jobs asked for; 1 if an answer is wrong, 2 if something needed is missing."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported
    problem = _problem(arguments)
    if problem is None:
        from .._demo.filetypes import UnsupportedMagikaError
        from ..errors import InferkitError

        try:
            with leave_at_once():
                return _run(arguments)
        except (InferkitError, UnsupportedMagikaError) as error:
            problem = f"{type(error).__name__}: {error}"
    print(f"inferkit demo: {problem}", file=sys.stderr)
    return 2


def _problem(arguments: argparse.Namespace) -> str | None:
    """Say what keeps the jobs from running, or None."""
    needed = ["onnxruntime"] if arguments.only == "digits" else ["onnxruntime", "magika"]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        hint = "; `inferkit demo --only digits` works without it" if missing == ["magika"] else ""
        return f"{' and '.join(missing)} not installed: {EXTRA}{hint}"
    if arguments.folder is not None:
        from .._demo.walk import walk

        if not arguments.folder.is_dir():
            return f"not a folder: {arguments.folder}"
        if next(walk(arguments.folder), None) is None:
            return f"no regular file that can be reached under {arguments.folder}"
    return None


def _run(arguments: argparse.Namespace) -> int:
    from .._demo import digits, filetypes, report
    from .._demo.progress import open_progress

    def files(seconds: float, progress: Progress) -> filetypes.FilesReport:
        return filetypes.run(arguments.folder, arguments.all, seconds, progress)

    jobs: dict[str, Job] = {
        "digits": Job(digits.run, report.digits_text, report.digits_json, DIGITS_SHARE),
        "files": Job(files, report.files_text, report.files_json, 1 - DIGITS_SHARE),
    }
    chosen = [jobs[arguments.only]] if arguments.only else list(jobs.values())
    began, documents = perf_counter(), []
    _show(arguments, [_versions_text(), ""])
    for job in chosen:
        seconds = arguments.seconds * (job.share if len(chosen) > 1 else 1.0)
        with open_progress(seconds * AROUND, sys.stderr) as progress:
            found = job.run(seconds, progress)
        documents.append(job.document(found))
        _show(arguments, [*job.text(found), ""])
    _show(arguments, [report.OWN_MODEL])
    if arguments.json:
        whole = {**_versions(), "seconds": perf_counter() - began, "jobs": documents}
        print(json.dumps(whole, indent=2, allow_nan=False))
    return 0 if all(document["right"] for document in documents) else 1


@dataclass(frozen=True)
class Job:
    """How one job is run and shown; ``share`` is its part of the measured time."""

    run: Callable[[float, Progress], Any]
    text: Callable[[Any], Iterable[str]]
    document: Callable[[Any], dict[str, Any]]
    share: float


def _show(arguments: argparse.Namespace, lines: Iterable[str]) -> None:
    if not arguments.json:
        print("\n".join(lines), flush=True)


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {"python": platform.python_version(), "cores": affinity()}
    for name in ("inferkit", "numpy", "onnxruntime", "magika"):
        module = import_module(name) if find_spec(name) else None
        found[name] = getattr(module, "__version__", None)
    return found


def _versions_text() -> str:
    found = _versions()
    cores = found.pop("cores")
    named = (f"{name} {value}" for name, value in found.items() if value)
    return f"{', '.join(named)}; {cores} cores"
