"""The C++ and the Python tests under a sanitizer: with what they run, and what it found."""

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nox

from noxsteps import (
    BUILD,
    BUILD_REQUIREMENTS,
    DEBUG,
    ROOT,
    cmake,
    cpp_tests,
    extra,
    label,
    package_around,
    run_pytest,
    testing_package,
    with_python,
)

Options = dict[str, str]  # of a sanitizer's runtimes, by environment variable

# Files of tests/cpp, for the short form: what a race would be in, each in seconds.
WHERE_THREADS_MEET = (
    "engine_(serving|leaving|closing|overrun|fork|stress|storm)",
    "keeper",
    "runner_bay",
    "inbox",
    "bell",
    "credits",
    "free_list",
    "tensor_pool_stress",
    "request_slab",
    "heap_count",
)


class Sanitizer(NamedTuple):
    """What tests/sanitizers/left_out.toml calls it, what GCC calls it, and what it needs."""

    name: str
    kind: str
    options: Options
    prefix: tuple[str, ...] = ()


# GCC links two runtimes here.
ADDRESS = Sanitizer(
    "address",
    "address,undefined",
    {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"},
)
# Without address randomisation: GCC's runtime cannot map its shadow on newer kernels.
THREAD = Sanitizer(
    "thread",
    "thread",
    {"TSAN_OPTIONS": f"suppressions={ROOT / 'tests' / 'sanitizers' / 'thread.supp'}"},
    ("setarch", platform.machine(), "--addr-no-randomize"),
)


@contextmanager
def reports_fail(session: nox.Session, sanitizer: Sanitizer, folder: Path) -> Iterator[Options]:
    """Options by which each process writes what it reports to a file of its own.

    At the end a single one fails the session, whatever became of its process.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        log = f"log_path={folder / 'report'}"
        yield {name: f"{text}:{log}" for name, text in sanitizer.options.items()}
    finally:
        reports = sorted(folder.iterdir())
        for report in reports:
            session.warn(f"{report}:\n{report.read_text(errors='replace')}")
    if reports:
        session.error(f"{len(reports)} processes were reported")


def runtimes_of(session: nox.Session, extension: Path) -> str:
    """What has to be in front of all other libraries, and libstdc++, whose throw they take over."""
    listed = session.run("ldd", str(extension), silent=True, external=True)
    pairs = [line.split(" => ") for line in listed.splitlines() if " => " in line]
    wanted = ("libasan", "libtsan", "libubsan", "libstdc++")
    return " ".join(path.split()[0] for name, path in pairs if name.strip().startswith(wanted))


def works(session: nox.Session, sanitizer: Sanitizer) -> bool:
    """Whether the compiler has its runtimes, and the system lets them run; says so if not."""
    program = BUILD / f"{sanitizer.name}-probe"
    BUILD.mkdir(exist_ok=True)
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    build = [*compiler, f"-fsanitize={sanitizer.kind}", "-x", "c++", "-", "-o", str(program)]
    try:
        subprocess.run(build, input=b"int main() {}", check=True, capture_output=True)
        subprocess.run([*sanitizer.prefix, str(program)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        session.warn(f"no {sanitizer.name} sanitizer on this machine: {error}")
        return False
    return True


def run_python(
    session: nox.Session, sanitizer: Sanitizer, package: Path, *arguments: str, options: Options
) -> None:
    """The tests in Python, with the extension of the package, which was built so."""
    env = {
        # Python itself leaks at its end; the last of two options counts.
        **{name: f"{text}:detect_leaks=0" for name, text in options.items()},
        "INFERKIT_SANITIZER": sanitizer.name,
        "LD_PRELOAD": runtimes_of(session, next(package.glob("inferkit/_core*.so"))),
        "PYTHONMALLOC": "malloc",  # each object by itself, so that reads beside one show
        "PYTHONPATH": str(package),
    }
    run_pytest(session, "-q", *arguments, env=env, prefix=sanitizer.prefix)


def run_all(session: nox.Session, sanitizer: Sanitizer, *arguments: str) -> None:
    """The C++ tests, then those in Python that the arguments tell."""
    others = [each for each in extra("test") if not each.startswith("inferkit")]
    session.install(*BUILD_REQUIREMENTS, *extra("cpu"), *extra("cli"), *others)
    tree = BUILD / sanitizer.name
    with reports_fail(session, sanitizer, tree / "reports") as options:
        prefix = ("env", *(f"{name}={text}" for name, text in options.items()), *sanitizer.prefix)
        kind = f"INFERKIT_SANITIZE={sanitizer.kind}"
        package = testing_package(session, tree, kind, prefix=prefix)
        run_python(session, sanitizer, package, *arguments, options=options)


def run_python_in_short(session: nox.Session, *arguments: str) -> None:
    """Tests in Python with the testing variant of the extension, built to be checked.

    Without optimisation: that takes longer than it saves. Where there is no such sanitizer the
    variant is built and tested without.
    """
    tree = BUILD / f"checked-{label(session)}"
    checked = works(session, ADDRESS)
    without_optimisation = ("CMAKE_BUILD_TYPE=Debug", "CMAKE_CXX_FLAGS_DEBUG=-O0 -g1")
    how = (f"INFERKIT_SANITIZE={ADDRESS.kind}", *without_optimisation) if checked else DEBUG
    cmake(session, tree, "INFERKIT_TESTING=ON", "INFERKIT_CUDA=OFF", *how, *with_python(session))
    package = package_around(tree)
    if not checked:
        return run_pytest(session, "-q", *arguments, env={"PYTHONPATH": str(package)})
    with reports_fail(session, ADDRESS, tree / "reports") as options:
        run_python(session, ADDRESS, package, *arguments, options=options)


def run_cpp_in_short(session: nox.Session, sanitizer: Sanitizer) -> None:
    """The C++ tests in which threads meet, and the storm at a third of its usual length."""
    if not works(session, sanitizer):
        return
    tree = BUILD / f"{sanitizer.name}-short"
    with reports_fail(session, sanitizer, tree / "reports") as options:
        shorter = {**options, "INFERKIT_STORM": "30000"}
        prefix = ("env", *(f"{name}={text}" for name, text in shorter.items()), *sanitizer.prefix)
        cpp_tests(
            session,
            tree,
            f"INFERKIT_SANITIZE={sanitizer.kind}",
            f"INFERKIT_TEST_FILES=({'|'.join(WHERE_THREADS_MEET)})_test.cpp",
            "INFERKIT_CUDA=OFF",
            *DEBUG,
            prefix=prefix,
            ort=lambda session: {},  # none of them loads one
        )
