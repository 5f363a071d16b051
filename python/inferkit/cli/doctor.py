"""``inferkit doctor``: what inferkit finds on this machine, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import distributions
from importlib.resources import as_file, files
from pathlib import Path
from time import perf_counter

from . import _devices, _limits
from ._findings import Finding, guarded

INSTALL = 'pip install "inferkit[cpu]", or pip install "inferkit[gpu]"'
TELEMETRY = "ORT_DISABLE_TELEMETRY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON document, no text")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything and print it; 1 if something keeps inferkit from working."""
    found = examine()
    failed = any(finding.status == "fail" for finding in found)
    if arguments.json:
        document = {"ok": not failed, "findings": [asdict(finding) for finding in found]}
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(text(found)))
    return 1 if failed else 0


def examine() -> list[Finding]:
    """Return every finding; no check can keep another from being made."""
    checks = {
        "python": _python,
        "inferkit": _inferkit,
        "onnxruntime": _runtime,
        "wheels": _wheels,
        "limits": _limits.findings,
        "telemetry": _telemetry,
        "environment": _environment,
        "trial": _trial,
    }
    return [finding for topic, look in checks.items() for finding in guarded(topic, look)]


def text(found: list[Finding]) -> Iterator[str]:
    """Yield one line per finding, and one per fix."""
    width = max(len(finding.topic) for finding in found)
    for finding in found:
        yield f"{finding.status:<5} {finding.topic:<{width}}  {finding.text}"
        if finding.fix:
            yield f"{'':<{width + 8}}fix: {finding.fix}"


def _python() -> Iterator[Finding]:
    import numpy

    name = f"{platform.python_implementation()} {platform.python_version()}"
    libc = " ".join(part for part in platform.libc_ver() if part)
    machine = ", ".join(part for part in (platform.system(), platform.machine(), libc) if part)
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if gil:
        yield Finding("python", "ok", f"{name}, {machine}")
    else:
        yield Finding(
            "python",
            "warn",
            f"{name} without the GIL, {machine}: inferkit was not tested there",
            "run python with -X gil=1",
        )
    yield Finding("numpy", "ok", numpy.__version__)


def _inferkit() -> Iterator[Finding]:
    from .. import __version__, _core

    yield Finding("inferkit", "ok", f"{__version__}, {_core.__file__}")


def _runtime() -> Iterator[Finding]:
    from .. import _core
    from .._runtime import find_runtime
    from ..errors import InferkitError

    try:
        library = Path(find_runtime())
        information = _core.runtime_info(str(library))
    except InferkitError as error:
        yield Finding("onnxruntime", "fail", str(error), INSTALL)
        return
    yield Finding("onnxruntime", "ok", f"{information['version']}, {library}")
    yield from guarded(
        "devices", lambda: _devices.findings(list(information["providers"]), library)
    )


def _wheels() -> Iterator[Finding]:
    """Name the wheels that brought a runtime: two of them overwrite each other's files."""
    names = {(wheel.metadata["Name"] or "").lower(): wheel.version for wheel in distributions()}
    found = sorted(f"{name} {names[name]}" for name in names if _brings_runtime(name))
    if len(found) > 1:
        yield Finding(
            "wheels",
            "warn",
            f"{', '.join(found)} install into one folder and overwrite each other",
            f"pip uninstall {' '.join(word.split()[0] for word in found)}, then install one",
        )
    elif found:
        yield Finding("wheels", "ok", found[0])


def _brings_runtime(name: str) -> bool:
    """Return whether the wheel holds ONNX Runtime itself; plugins (-ep-) and tools do not."""
    kinds = {"gpu", "openvino", "directml", "qnn", "migraphx", "rocm", "training", "silicon"}
    rest = name.removeprefix("onnxruntime")
    return name == "onnxruntime" or (rest != name and rest.removeprefix("-") in kinds)


def _telemetry() -> Iterator[Finding]:
    value = os.environ.get(TELEMETRY)
    if value is None:
        yield Finding("telemetry", "ok", f"off: inferkit sets {TELEMETRY}=1 while it loads")
    elif value.strip().lower() in {"", "0", "false", "off", "no"}:
        yield Finding(
            "telemetry",
            "warn",
            f"{TELEMETRY}={value}: onnxruntime may send usage data and write to the user's cache",
            f"unset it, or set {TELEMETRY}=1",
        )
    else:
        yield Finding("telemetry", "ok", f"off: {TELEMETRY}={value}")


def _environment() -> Iterator[Finding]:
    found = {name: value for name, value in os.environ.items() if name.startswith("INFERKIT_")}
    if not found:
        yield Finding("environment", "ok", "no INFERKIT_* variable is set")
    for name in sorted(found):
        yield Finding("environment", "ok", f"{name}={found[name]}")


def _trial() -> Iterator[Finding]:
    """Serve one image of the digits by the model that comes with the package."""
    import numpy

    from .. import Session
    from ..errors import InferkitError, RuntimeNotFoundError

    try:
        with as_file(files("inferkit") / "_demo" / "digits.onnx") as model:
            began = perf_counter()
            with Session(model) as session:
                opened = perf_counter()
                answer = session.run({"pixels": numpy.zeros((1, 64), numpy.float32)})
                ended = perf_counter()
    except RuntimeNotFoundError:
        return  # said already
    except InferkitError as error:
        yield Finding("trial", "fail", f"{type(error).__name__}: {error}", INSTALL)
        return
    rows = answer["probabilities"].shape[0]
    yield Finding(
        "trial",
        "ok",
        f"a small model opened in {(opened - began) * 1e3:.0f} ms and answered {rows} row in "
        f"{(ended - opened) * 1e3:.2f} ms",
    )
