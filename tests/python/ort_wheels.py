"""ONNX Runtime libraries of chosen versions, unpacked from wheels beside the installed one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OLDEST = "onnxruntime==1.22.*"
NEWEST = "onnxruntime>=1.22"

# The library does not depend on Python, so one interpreter's wheels serve all: the oldest one
# was never built for the newest interpreters.
_ANY_PYTHON = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]


def library_of(requirement: str, folder: Path) -> Path:
    """The library in the newest wheel that fits, fetched into ``folder`` once.

    Skips the test, with pip's last line, where pip or the registry is missing.
    """
    found = _library_in(folder)
    if found is None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--target", str(folder)]
        command += [*_ANY_PYTHON, requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["pip said nothing"]
            pytest.skip(f"{requirement} cannot be fetched: {lines[-1]}")
        found = _library_in(folder)
    assert found is not None, f"the wheel of {requirement} holds no library"
    return found


def _library_in(folder: Path) -> Path | None:
    capi = folder / "onnxruntime" / "capi"
    names = ("libonnxruntime.so.*", "libonnxruntime.*.dylib", "onnxruntime.dll")
    return next((path for name in names for path in capi.glob(name)), None)


def without_ci(home: Path) -> dict[str, str]:
    """An environment with an empty home and nothing that tells that this is a test machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CI", "ORT_", "XDG_", "GITHUB_", "TF_BUILD", "BUILD_"))
    }
    folders = ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR")
    return {
        **kept,
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        **{f"XDG_{folder}": str(home / folder.lower()) for folder in folders},
    }
