"""Functions of the C library replaced in the programs that a test starts."""

import shutil
import subprocess
from pathlib import Path

import pytest


def preload(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the C code in front of every library of those programs; skips where that cannot be."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    code, library = folder / "preloaded.c", folder / "preloaded.so"
    code.write_text(source)
    build = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(code), "-ldl"]
    if subprocess.run(build, capture_output=True, check=False).returncode:
        pytest.skip("the C compiler or its C library is of another kind")
    monkeypatch.setenv("LD_PRELOAD", str(library))
