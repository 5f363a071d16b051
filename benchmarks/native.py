"""What is measured from C++: Google Benchmark's suites and the null path, built at first use."""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from benchmarks import machine

TREE = machine.ROOT / "build" / "bench"


@functools.cache
def built() -> Path:
    """The folder of ``inferkit_benchmarks`` and ``null_path``, up to date.

    Needs cmake, ninja, pybind11 and Google Benchmark (Debian: libbenchmark-dev).
    """
    pybind11 = [sys.executable, "-m", "pybind11", "--cmakedir"]
    found = subprocess.run(pybind11, check=True, capture_output=True, text=True).stdout.strip()
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "INFERKIT_BUILD_BENCHMARKS": "ON",
        "INFERKIT_BUILD_PYTHON": "ON",
        "INFERKIT_CUDA": "OFF",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": found,
    }
    settings = [f"-D{name}={value}" for name, value in options.items()]
    configure = ["-G", "Ninja", "-S", str(machine.ROOT), "-B", str(TREE), *settings]
    targets = ["inferkit_benchmarks", "null_path"]
    build = ["--build", str(TREE), "-j", str(machine.cores()), "--target", *targets]
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # an environment's own
    for arguments in (configure, build):
        command = ["cmake", *arguments]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": here}
        )
    return TREE


def null_path() -> ModuleType:
    """``open(library, model) -> call``: see ``cpp/null_path.cpp``."""
    (extension,) = built().glob("null_path.*.so")
    spec = importlib.util.spec_from_file_location("null_path", extension)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
