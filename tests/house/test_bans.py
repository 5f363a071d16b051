"""Words that may stand in one place only, or nowhere: DESIGN's bans, each with its reason."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tree import ROOT, cpp_code, cpp_files, grep, python_code, tracked_files


class Ban(NamedTuple):
    """A pattern, the files of csrc it is looked for in and the files where it may stand."""

    pattern: str
    among: str
    except_in: str
    guilty: str  # a line that the ban must see


CPP_BANS = {
    "Python headers outside bindings/": Ban(
        r'#\s*include\s*[<"](Python\.h|structmember\.h|datetime\.h|pybind11/|numpy/)[^>"]*',
        r"",
        r"bindings/",
        "#include <pybind11/pybind11.h>",
    ),
    "CUDA headers outside device/": Ban(
        r'#\s*include\s*[<"](cuda|cub/|thrust/|nvtx|cooperative_groups|cublas)[^>"]*',
        r"",
        r"device/",
        "#include <cuda_runtime.h>",
    ),
    "ONNX Runtime's slots outside backend/ort_*": Ban(
        r"\bOrtApi(Base)?\b|ort_abi\.h|onnxruntime_c(xx)?_api",
        r"",
        r"backend/ort_",
        '#include "backend/ort_abi.h"',
    ),
    "sleeping outside base/parker": Ban(
        r"\b(SYS_futex|FUTEX_\w+|sleep_for|sleep_until|condition_variable\w*|usleep|nanosleep"
        r"|clock_nanosleep|pthread_cond_\w+|sem_wait)\b",
        r"",
        r"base/parker\.",
        "std::this_thread::sleep_for(delay);",
    ),
    "reading the clock outside base/clock": Ban(
        r"\b\w+_clock::now\b|\b(clock_gettime|gettimeofday|__rdtsc|timespec_get)\b|std::time\(",
        r"",
        r"base/clock\.",
        "auto now = std::chrono::steady_clock::now();",
    ),
    "raw GIL guards outside bindings/gil": Ban(
        r"\bgil_scoped_\w+|\bPyEval_(Save|Restore|Acquire|Release)Thread\b|\bPyGILState_\w+"
        r"|\bPy_(BEGIN|END)_ALLOW_THREADS\b",
        r"",
        r"bindings/gil\.",
        "py::gil_scoped_release released;",
    ),
    "locks in queue/": Ban(
        r"\b(\w*mutex|lock_guard|unique_lock|scoped_lock|condition_variable|spin_?lock)\b",
        r"queue/",
        r"$^",
        "std::mutex mutex_;",
    ),
}

PYTHON_BAN = re.compile(
    r"\b(pickle|marshal|shelve|dill|cloudpickle)\b|(?<![.\w] )\b(eval|exec) \(|\byaml \. load \("
)


def cpp_violations(csrc: Path, ban: Ban) -> list[str]:
    """One line for each place of the banned words."""
    found = []
    for path in cpp_files(csrc):
        where = path.relative_to(csrc).as_posix()
        if re.match(ban.among, where) and not re.match(ban.except_in, where):
            hits = grep(re.compile(ban.pattern), cpp_code(path.read_text()))
            found += [f"{where}:{number}: {words}" for number, words in hits]
    return found


def python_violations(root: Path) -> list[str]:
    """One line for each use of something that runs code found in data."""
    found = []
    for path in tracked_files(root):
        if path.suffix == ".py":
            hits = grep(PYTHON_BAN, python_code(path.read_text()))
            found += [f"{path.relative_to(root)}:{n}: {words}" for n, words in hits]
    return found


@pytest.mark.parametrize("name", sorted(CPP_BANS))
def test_banned_in_cpp(name: str) -> None:
    assert cpp_violations(ROOT / "csrc", CPP_BANS[name]) == []


@pytest.mark.parametrize("name", sorted(CPP_BANS))
def test_each_ban_sees_its_guilty_line(name: str, tmp_path: Path) -> None:
    ban = CPP_BANS[name]
    for place in ("queue/inbox.h", "engine/engine.cpp"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text(f"// {ban.guilty}\n{ban.guilty}\n")
    seen = [line.split(": ")[0] for line in cpp_violations(tmp_path, ban)]
    everywhere = ["engine/engine.cpp:2", "queue/inbox.h:2"]
    assert seen == [place for place in everywhere if re.match(ban.among, place)]


def test_nothing_runs_code_found_in_data() -> None:
    assert python_violations(ROOT) == []


def test_the_python_ban_sees_code_and_not_words(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import pickle\nx = eval('1')\nyaml.load(x)\n")
    (tmp_path / "good.py").write_text(
        '"""No pickle here."""\nimport ast\nast.literal_eval("1")\nmodel.eval()\n'
        "numpy.load(f, allow_pickle=False)  # never eval(\n"
    )
    assert [line.split(": ")[0] for line in python_violations(tmp_path)] == [
        "bad.py:1",
        "bad.py:2",
        "bad.py:3",
    ]
