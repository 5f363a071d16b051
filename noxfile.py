"""One command each: nox -s NAME.

lint | test | cpp | tsan | asan | aarch64 | explore | storm | mutate | bench | docs
"""

import platform
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # nox reads this file by its path
from noxsteps import (
    BUILD,
    JOBS,
    PYPROJECT,
    ROOT,
    build_and_install,
    cpp_tests,
    extra,
    install_system_packages,
    ort_library_of_aarch64,
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


def without(*names: str) -> list[str]:
    return [f"--ignore=tests/python/test_{name}.py" for name in names]


def run_pytest(session: nox.Session, *arguments: str, env: dict[str, str]) -> None:
    session.run("python", "-X", "dev", "-m", "pytest", "-W", "error", *arguments, env=env)


# ---- sessions -------------------------------------------------------------------------------
@nox.session
def test(session: nox.Session) -> None:
    """Everything: the wheel built once, both build variants, C++, house and Python tests."""
    env = build_and_install(session, "test,docs")
    overlay = {**env, "PYTHONPATH": str(testing_package(session))}
    ends = "exit"  # of processes, the same on both builds
    run_pytest(session, "-q", "tests/python", *without(ends, *ONCE, *LONG), env=overlay)
    run_pytest(session, *session.posargs, env=env)


@nox.session
def python_tests(session: nox.Session) -> None:
    """The Python tests on another interpreter: nox -s python_tests -P python3.13."""
    env = build_and_install(session)
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
    cpp_tests(session, BUILD / "cpp", "CMAKE_BUILD_TYPE=Debug", "CMAKE_CXX_FLAGS_DEBUG=-O1 -g1")


@nox.session
def tsan(session: nox.Session) -> None:
    """The C++ tests under ThreadSanitizer."""
    # Without address randomisation: GCC's runtime cannot map its shadow on newer kernels.
    prefix = ("setarch", platform.machine(), "--addr-no-randomize")
    flags = ("INFERKIT_SANITIZE=thread", "CMAKE_BUILD_TYPE=Debug", "CMAKE_CXX_FLAGS_DEBUG=-O1 -g1")
    options = f"TSAN_OPTIONS=suppressions={ROOT / 'tests' / 'cpp' / 'tsan.supp'}"
    cpp_tests(session, BUILD / "tsan", *flags, prefix=("env", options, *prefix))


@nox.session
def asan(session: nox.Session) -> None:
    """The C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer."""
    flags = ("INFERKIT_SANITIZE=address,undefined", "CMAKE_BUILD_TYPE=Debug")
    cpp_tests(session, BUILD / "asan", *flags, "CMAKE_CXX_FLAGS_DEBUG=-O1 -g1")


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
            "CMAKE_BUILD_TYPE=Debug",
            "CMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
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
