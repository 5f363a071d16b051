"""Writes the generated files; the test that proves them fresh calls the same functions.

python tests/house/regen.py        on Python 3.11, with inferkit installed
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from inferkit import _core
from tree import ROOT

STUB_PYTHON = (3, 11)  # annotations are spelled differently on others
# What the generator cannot know: the bases of generics, and the slots of C types, for which
# CPython has no annotations.
SPELLED_OUT = {
    "class Result(dict):": "class Result(dict[str, numpy.typing.NDArray[typing.Any]]):",
    "def __new__(type, *args, **kwargs):": (
        "def __new__(type, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:"
    ),
    "def __await__(self):": (
        "def __await__(self) -> collections.abc.Generator[typing.Any, None, Result]:"
    ),
    "def __iter__(self):": "def __iter__(self) -> collections.abc.Iterator[typing.Any]:",
    "def __next__(self):": "def __next__(self) -> typing.Any:",
    "def __repr__(self):": "def __repr__(self) -> str:",
}

# A type that finds some of its own attributes faster; mypy would take it to have every attribute.
OWN_LOOKUP = re.compile(r"    def __(?:get|set|del)attr(?:ibute)?__\(.*\n(?:        .*\n)+")

# Public types of the core say that they live in inferkit; the stub is where they are defined.
STUB_PROGRAM = """
import sys
from inferkit import _core
for value in vars(_core).values():
    if isinstance(value, type):
        value.__module__ = "inferkit._core"
from pybind11_stubgen import main
main(["inferkit._core", "-o", sys.argv[1], "--exit-code"])
"""


def core_stub() -> str:
    """python/inferkit/_core.pyi, as pybind11-stubgen writes it, with SPELLED_OUT applied."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-c", STUB_PROGRAM, folder], check=True, capture_output=True
        )
        stub = Path(folder, "inferkit", "_core.pyi").read_text()
    for bare, typed in SPELLED_OUT.items():
        assert bare in stub, f"{bare} is gone: drop it from SPELLED_OUT"
        stub = stub.replace(bare, typed)
    return OWN_LOOKUP.sub("", stub)


def errors_page() -> str:
    """docs/errors.md, from the table in csrc/base/error.h."""
    parts = [
        "# Errors\n",
        "Written by `tests/house/regen.py` from `csrc/base/error.h`. Every error is an "
        "`inferkit.InferkitError`; its text names what was expected and what came.\n",
    ]
    for _, python_class, cause, fix in _core.error_table():
        parts.append(f"## {python_class}\n")
        parts.append(f"**Cause.** {cause}\n")
        parts.append(f"**Fix.** {fix}\n")
    return "\n".join(parts)


GENERATED: dict[str, Callable[[], str]] = {
    "python/inferkit/_core.pyi": core_stub,
    "docs/errors.md": errors_page,
}


def stale(root: Path) -> list[str]:
    """The generated files under `root` that differ from what would be written now."""
    return [
        name
        for name, generate in GENERATED.items()
        if not (root / name).exists() or (root / name).read_text() != generate()
    ]


def main() -> None:
    """Write what is stale."""
    if sys.version_info[:2] != STUB_PYTHON:
        sys.exit("regen.py needs Python " + ".".join(map(str, STUB_PYTHON)))
    for name in stale(ROOT):
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(GENERATED[name]())
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
