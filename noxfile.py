"""One command each: nox -s NAME.

lint | test | cpp | tsan | asan | aarch64 | explore | storm | mutate | coverage | bench | docs
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nox

ROOT = Path(__file__).parent
BUILD = ROOT / "build"
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
# ninja: a machine with cmake need not have make.
BUILD_REQUIREMENTS = [*PYPROJECT["build-system"]["requires"], "build", "ninja"]
JOBS = str(os.cpu_count() or 1)

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "test"]


# ---- what sessions share --------------------------------------------------------------------
def extra(name: str) -> list[str]:
    """The requirements of one extra of pyproject.toml."""
    return list(PYPROJECT["project"]["optional-dependencies"][name])


def install_system_packages(session: nox.Session, probe: str, package: str) -> bool:
    """True if `probe` exists, if need be after installing `package` (Debian, as root)."""
    if Path(probe).exists():
        return True
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        session.warn(f"{probe} is missing and not mine to install: apt-get install {package}")
        return False
    quiet = {"silent": True, "external": True, "success_codes": [0, 100]}
    session.run("apt-get", "update", "-qq", **quiet)
    session.run("apt-get", "install", "-y", "-qq", package, **quiet)
    if not Path(probe).exists():
        session.warn(f"apt-get could not install {package}")
    return Path(probe).exists()


def label(session: nox.Session) -> str:
    """The session and its interpreter as a file name."""
    return Path(session.bin).parent.name


def cmake(session: nox.Session, tree: Path, *defines: str) -> None:
    """Configure and build `tree` with our warnings as errors."""
    session.install("ninja")
    arguments = ["-G", "Ninja", *(f"-D{define}" for define in ("INFERKIT_WERROR=ON", *defines))]
    session.run("cmake", "-S", str(ROOT), "-B", str(tree), *arguments, external=True)
    session.run("cmake", "--build", str(tree), "-j", JOBS, external=True)


def ort_library(session: nox.Session) -> dict[str, str]:
    """The ONNX Runtime of the session's environment, for the C++ tests that load one."""
    session.install(*extra("cpu"))
    find = "from importlib.util import find_spec; print(find_spec('onnxruntime').origin)"
    package = Path(session.run("python", "-c", find, silent=True).strip()).parent
    return {"INFERKIT_TEST_ORT": str(next(package.glob("capi/libonnxruntime.*")))}


def ort_library_of_aarch64(session: nox.Session) -> dict[str, str]:
    """The same of the wheel for aarch64, which is unpacked only."""
    target = BUILD / "aarch64-ort"
    shutil.rmtree(target, ignore_errors=True)  # pip leaves what lies there
    foreign = ("--platform", "manylinux_2_28_aarch64", "--only-binary", ":all:", "--no-deps")
    session.install(*foreign, "--target", str(target), *extra("cpu"))
    return {"INFERKIT_TEST_ORT": str(next(target.glob("onnxruntime/capi/libonnxruntime.*")))}


def sysroot_of_aarch64() -> str:
    """Where qemu looks for what the machine has of its own: libraries, and news of its cores."""
    root = BUILD / "aarch64-sysroot"
    shutil.rmtree(root, ignore_errors=True)
    (root / "proc").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/aarch64-linux-gnu/lib")
    # Before 8.1 qemu shows the host's, in which ONNX Runtime finds no core, and crashes.
    core = "Features\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
    cores = (f"processor\t: {number}\n{core}\n" for number in range(int(JOBS)))
    (root / "proc" / "cpuinfo").write_text("".join(cores))
    return str(root)


def cpp_tests(
    session: nox.Session,
    tree: Path,
    *defines: str,
    prefix: tuple[str, ...] = (),
    suffix: tuple[str, ...] = (),
    ort: Callable[[nox.Session], dict[str, str]] = ort_library,
) -> None:
    """Build the testing variant in `tree` and run its C++ tests; skips aloud without doctest."""
    found = install_system_packages(session, "/usr/include/doctest/doctest.h", "doctest-dev")
    tests = f"INFERKIT_BUILD_TESTS={'ON' if found else 'OFF'}"
    cmake(session, tree, "INFERKIT_TESTING=ON", tests, *defines)
    if found:
        command = (*prefix, str(tree / "inferkit_tests"), *suffix)
        session.run(*command, env=ort(session), external=True)
    else:
        session.warn("C++ tests skipped: doctest is not installed")


def build_and_install(session: nox.Session, extras: str = "test") -> dict[str, str]:
    """Build the sdist, the wheel from that sdist, and install it with `extras`."""
    session.install(*BUILD_REQUIREMENTS, "twine")
    dist = BUILD / f"dist-{label(session)}"
    shutil.rmtree(dist, ignore_errors=True)
    flags = ("-Ccmake.define.INFERKIT_WERROR=ON",)
    environment = {"CMAKE_BUILD_PARALLEL_LEVEL": JOBS}
    session.run(
        "python", "-m", "build", "--no-isolation", "--outdir", str(dist), *flags, env=environment
    )
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    session.install(f"{wheel}[{extras}]")
    return {"INFERKIT_WHEEL": str(wheel), "INFERKIT_SDIST": str(sdist)}


def testing_package(session: nox.Session) -> Path:
    """Build the testing variant, run its C++ tests, lay out a package around its extension."""
    tree = BUILD / f"testing-{label(session)}"
    python = shutil.which("python", path=session.bin)
    pybind11 = session.run("python", "-m", "pybind11", "--cmakedir", silent=True).strip()
    cpp_tests(
        session,
        tree,
        "CMAKE_BUILD_TYPE=Debug",
        "CMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
        "INFERKIT_BUILD_PYTHON=ON",
        f"Python_EXECUTABLE={python}",
        f"pybind11_DIR={pybind11}",
    )
    package = tree / "package" / "inferkit"
    shutil.rmtree(package, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "python" / "inferkit", package, ignore=ignore)
    for extension in tree.glob("_core*.so"):
        shutil.copy2(extension, package)
    return package.parent


# More than a minute of processes that fork and threads that come and go: `nox -s test` runs them
# once.
LONG = ("processes", "drift")


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
    # The demo and the ends of processes are the same on both builds.
    run_pytest(session, "-q", "tests/python", *without("demo", "exit", *LONG), env=overlay)
    run_pytest(session, *session.posargs, env=env)


@nox.session
def python_tests(session: nox.Session) -> None:
    """The Python tests on another interpreter: nox -s python_tests -P python3.13."""
    env = build_and_install(session)
    run_pytest(session, "-q", "tests/python", *without(*LONG), *session.posargs, env=env)


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
