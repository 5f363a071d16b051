"""One command each: nox -s NAME.

lint | test | cpp | tsan | asan | aarch64 | explore | storm | mutate | coverage | bench | docs
"""

import shutil
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # nox reads this file by its path
from noxsanitizers import ADDRESS, THREAD, run_all, run_cpp_in_short, run_python_in_short
from noxsteps import (
    BUILD,
    BUILD_REQUIREMENTS,
    DEBUG,
    JOBS,
    PYPROJECT,
    ROOT,
    build_and_install,
    cpp_tests,
    extra,
    install_system_packages,
    label,
    ort_library_of_aarch64,
    release_core,
    run_pytest,
    sysroot_of_aarch64,
    testing_package,
)

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "test"]


# Minutes of processes that fork, servers, and threads that come and go: `nox -s test` runs them
# once.
LONG = ("processes", "drift", "servers", "fork_handlers", "host")
# What uses the command only: the same on every build and interpreter.
ONCE = ("demo", "demo_command", "command", "doctor", "examples", "findings", "limits")


# What `nox -s test` also runs under a sanitizer: where what callers give and get is read and
# written. The rest is `nox -s asan`'s.
CHECKED = (
    *("arguments", "async", "cancel", "edges", "errors", "future", "inputs", "memory_budget"),
    *("parts", "run", "session"),
)


# What `nox -s coverage` runs: tests that are about what it measures, not all that pass by.
COVERING_CPP = ("request*", "resolver*", "protocols: engine", "signature*", "payload*")
COVERING_CPP += ("check_inputs*", "checked_bytes*", "shapes*")
COVERING_PYTHON = [f"tests/python/test_{name}.py" for name in ("inputs", "arguments", "run")]
COVERING_PYTHON += ["tests/python/test_session.py::test_a_session_that_was_never_opened"]


def without(*names: str) -> list[str]:
    return [f"--ignore=tests/python/test_{name}.py" for name in names]


# ---- sessions -------------------------------------------------------------------------------
@nox.session
def test(session: nox.Session) -> None:
    """Everything: the wheel built once, both build variants, C++, house and Python tests."""
    env = build_and_install(session, "test,docs", core=release_core(session))
    cpp_tests(session, BUILD / f"testing-{label(session)}", *DEBUG)
    run_python_in_short(session, *(f"tests/python/test_{name}.py" for name in CHECKED))
    run_pytest(session, *session.posargs, env=env)


@nox.session
def python_tests(session: nox.Session) -> None:
    """The Python tests on another interpreter: nox -s python_tests -P python3.13."""
    env = build_and_install(session, core=release_core(session))
    run_pytest(session, "-q", "tests/python", *without(*ONCE, *LONG), *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, mypy --strict, clang-format, clang-tidy."""
    runtime = [*PYPROJECT["project"]["dependencies"], *extra("cli")]
    tidy = ("clang-format==23.1.*", "clang-tidy==23.1.*", "ninja")
    session.install("ruff", "mypy", *tidy, *runtime)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    patterns = ("csrc/**/*.h", "csrc/**/*.cpp", "csrc/**/*.cu", "tests/cpp/**/*.[ch]*")
    sources = sorted(str(path) for pattern in patterns for path in ROOT.glob(pattern))
    session.run("clang-format", "--dry-run", "--Werror", *sources, silent=False)
    tree = BUILD / "lint"
    cmake_arguments = ["-G", "Ninja", "-S", str(ROOT), "-B", str(tree), "-DINFERKIT_TESTING=ON"]
    session.run("cmake", *cmake_arguments, external=True, silent=True)
    # The bindings would need Python's headers here; the compiler's warnings cover them.
    run_clang_tidy = str(Path(session.bin) / "run-clang-tidy.py")
    where = ("-p", str(tree), "/csrc/(?!bindings/)")
    session.run("python", run_clang_tidy, "-quiet", "-j", JOBS, *where)


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ core and its tests, with no Python in sight."""
    cpp_tests(session, BUILD / "cpp", *DEBUG)


@nox.session
def tsan(session: nox.Session) -> None:
    """The C++ tests, then those in Python, under ThreadSanitizer; of these what follows `--`.

    `-- short`: C++ tests in which threads meet, no others.
    """
    if session.posargs == ["short"]:
        run_cpp_in_short(session, THREAD)
    else:
        # It does not follow a fork, nor has it to do with how processes end.
        tests = ("tests/python", *without("exit", *ONCE, *LONG))
        run_all(session, THREAD, *(session.posargs or tests))


@nox.session
def asan(session: nox.Session) -> None:
    """The C++ tests, then those in Python, under AddressSanitizer and UBSan; likewise.

    `nox -s test` runs most tests in Python so, too.
    """
    run_all(session, ADDRESS, *(session.posargs or ("tests/python", *without(*ONCE))))


@nox.session
def aarch64(session: nox.Session) -> None:
    """The C++ tests on a second architecture: cross-built, run by qemu; arguments after `--`.

    Once with pages of 4 KiB, once of 64 KiB. Without the explorer's protocols: it makes up its own
    memory, the same on each machine, and takes long here.
    """
    needed = {
        "/usr/bin/aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
        "/usr/bin/qemu-aarch64": "qemu-user",
    }
    if not all(install_system_packages(session, *each) for each in needed.items()):
        session.skip("the cross compiler or qemu is not installed")
    machine = ("qemu-aarch64", "-cpu", "neoverse-n1", "-L", sysroot_of_aarch64())
    for page in ("4096", "65536"):
        cpp_tests(
            session,
            BUILD / "aarch64",
            f"CMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'aarch64-linux-gnu.cmake'}",
            "INFERKIT_CUDA=OFF",
            *DEBUG,
            prefix=(*machine, "-p", page),
            suffix=tuple(session.posargs or ("-tce=protocols*,orders*,looks*",)),
            ort=ort_library_of_aarch64,
        )


@nox.session
def explore(session: nox.Session) -> None:
    """The protocols in many more interleavings than CI makes, and every place of them changed.

    Fifty times as many runs as CI makes, or as many times as follows `--`. INFERKIT_EXPLORE_SEED
    makes one again.
    """
    scale = session.posargs[0] if session.posargs else "50"
    prefix = ("env", f"INFERKIT_EXPLORE={scale}")
    only = ("-tc=explorer*,protocols*,orders*,looks*",)
    flags = ("CMAKE_BUILD_TYPE=Release",)
    cpp_tests(session, BUILD / "explore", *flags, prefix=prefix, suffix=only)


@nox.session
def storm(session: nox.Session) -> None:
    """A hundred million requests, or as many as follow `--`, with every failpoint firing.

    INFERKIT_STRESS_SEED makes one again.
    """
    prefix = ("env", f"INFERKIT_STORM={session.posargs[0] if session.posargs else 100_000_000}")
    only = ("-tc=engine: a storm*",)
    flags = ("CMAKE_BUILD_TYPE=RelWithDebInfo",)  # -O2
    cpp_tests(session, BUILD / "storm", *flags, prefix=prefix, suffix=only)


@nox.session
def mutate(session: nox.Session) -> None:
    """The Python layer changed one place at a time: of ten changes nine must fail a test.

    With the files that follow `--`, or all; `-- --again` tries the survivors once more.
    """
    build_and_install(session)
    session.install("cosmic-ray>=8.7", "coverage>=7.13")
    session.run("python", "tests/mutation/main.py", *session.posargs)


def export_cpp(session: nox.Session, tree: Path, profiles: Path, extension: Path) -> None:
    """What clang counted in the C++ tests and in the extension, as cpp.json in `tree`."""
    profdata = str(tree / "all.profdata")
    found = map(str, profiles.glob("*.profraw"))
    session.run("llvm-profdata-19", "merge", "-sparse", "-o", profdata, *found, external=True)
    binaries = (str(tree / "inferkit_tests"), "-object", str(extension))
    with (tree / "cpp.json").open("w") as out:
        export = ("llvm-cov-19", "export", *binaries, f"-instr-profile={profdata}")
        session.run(*export, external=True, stdout=out, stderr=None)


@nox.session
def coverage(session: nox.Session) -> None:
    """Some test takes every branch of the request's state machine and of the input parser.

    tests/COVERAGE.md says what is measured, and how.
    """
    for probe, package in (("clang++", "clang"), ("llvm-cov", "llvm")):
        if not install_system_packages(session, f"/usr/bin/{probe}-19", f"{package}-19"):
            session.error("clang's coverage is what this measures")
    others = [each for each in extra("test") if not each.startswith("inferkit")]
    session.install(*BUILD_REQUIREMENTS, *extra("cpu"), *others, "coverage>=7.6")
    tree = BUILD / "coverage"
    profiles = tree / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    raw = f"LLVM_PROFILE_FILE={profiles / '%m-%p.profraw'}"
    # Python's own assertions are branches too. Counters of threads must not lose a step.
    flags = "-DNDEBUG -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic"
    package = testing_package(
        session,
        tree,
        "INFERKIT_WERROR=OFF",  # clang finds fault with more than our own compiler does
        "CMAKE_CXX_COMPILER=clang++-19",
        f"CMAKE_CXX_FLAGS={flags}",
        prefix=("env", raw, "INFERKIT_EXPLORE_SEED=1"),  # the same interleavings each time
        suffix=(f"-tc={','.join(COVERING_CPP)}",),
    )
    data = f"--data-file={tree / 'python.coverage'}"
    measured = ("run", "--branch", "--include=*/inferkit/_inputs.py", data)
    env = {"PYTHONPATH": str(package), "LLVM_PROFILE_FILE": raw.partition("=")[2]}
    pytest = ("-m", "pytest", "-W", "error", "-q", "-p", "no:randomly", *COVERING_PYTHON)
    session.run("python", "-X", "dev", "-m", "coverage", *measured, *pytest, env=env)
    session.run("coverage", "json", data, "-q", "-o", str(tree / "python.json"))
    export_cpp(session, tree, profiles, next(package.glob("inferkit/_core*.so")))
    report = ("tests/house/branches.py", str(tree / "cpp.json"), str(tree / "python.json"))
    session.run("python", *report)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks: python -m benchmarks, with what follows `--`."""
    build_and_install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with warnings as errors, into docs/_build/html."""
    build_and_install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")


if __name__ == "__main__":
    sys.exit(f"run me with nox. {__doc__}")
