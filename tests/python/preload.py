"""Functions of the C library replaced in the programs that a test starts."""

import shutil
import subprocess
from pathlib import Path

import pytest


def preload(
    source: str, folder: Path, monkeypatch: pytest.MonkeyPatch, language: str = "c"
) -> None:
    """Put the C or C++ code in front of every library of those programs.

    Skips the test where that cannot be.
    """
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    code, library = folder / "preloaded.c", folder / "preloaded.so"
    code.write_text(source)
    build = ["cc", "-x", language, "-shared", "-fPIC", "-O1", "-o", str(library), str(code), "-ldl"]
    if language == "c++":
        build.append("-lstdc++")
    if subprocess.run(build, capture_output=True, check=False).returncode:
        pytest.skip("the C compiler or its C library is of another kind")
    monkeypatch.setenv("LD_PRELOAD", str(library))
