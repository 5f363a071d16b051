"""What nox's sessions share: building, installing, finding what tests need."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nox

ROOT = Path(__file__).parent
BUILD = ROOT / "build"
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
# ninja: a machine with cmake need not have make.
BUILD_REQUIREMENTS = [*PYPROJECT["build-system"]["requires"], "build", "ninja"]
JOBS = str(os.cpu_count() or 1)
DEBUG = ("CMAKE_BUILD_TYPE=Debug", "CMAKE_CXX_FLAGS_DEBUG=-O1 -g1")


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


def release_core(session: nox.Session) -> Path:
    """The core of a wheel, which knows no Python: built once for the wheels of all of them."""
    tree = BUILD / "core"
    cmake(session, tree, "CMAKE_BUILD_TYPE=Release", "INFERKIT_CUDA=OFF")
    return tree / "libinferkit_core.a"


def build_and_install(
    session: nox.Session, extras: str = "test", core: Path | None = None
) -> dict[str, str]:
    """Build the sdist, the wheel from that sdist, with `core` if given, and install it."""
    session.install(*BUILD_REQUIREMENTS, "twine")
    dist = BUILD / f"dist-{label(session)}"
    shutil.rmtree(dist, ignore_errors=True)
    flags = ["-Ccmake.define.INFERKIT_WERROR=ON"]
    if core is not None:
        flags.append(f"-Ccmake.define.INFERKIT_BUILT_CORE={core}")
    environment = {"CMAKE_BUILD_PARALLEL_LEVEL": JOBS}
    session.run(
        "python", "-m", "build", "--no-isolation", "--outdir", str(dist), *flags, env=environment
    )
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    session.install(f"{wheel}[{extras}]")
    return {"INFERKIT_WHEEL": str(wheel), "INFERKIT_SDIST": str(sdist)}


def testing_package(
    session: nox.Session,
    tree: Path,
    *defines: str,
    prefix: tuple[str, ...] = (),
    suffix: tuple[str, ...] = (),
) -> Path:
    """Build the testing variant, run its C++ tests, lay out a package around its extension."""
    also = (*DEBUG, *with_python(session), *defines)
    cpp_tests(session, tree, *also, prefix=prefix, suffix=suffix)
    return package_around(tree)


def with_python(session: nox.Session) -> tuple[str, ...]:
    """Defines that have the extension built, for the session's interpreter."""
    python = shutil.which("python", path=session.bin)
    pybind11 = session.run("python", "-m", "pybind11", "--cmakedir", silent=True).strip()
    return (
        "INFERKIT_BUILD_PYTHON=ON",
        f"Python_EXECUTABLE={python}",
        f"pybind11_DIR={pybind11}",
    )


def package_around(tree: Path) -> Path:
    """A package with the extension that was built in `tree`: the folder it lies in."""
    package = tree / "package" / "inferkit"
    shutil.rmtree(package, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "python" / "inferkit", package, ignore=ignore)
    for extension in tree.glob("_core*.so"):
        shutil.copy2(extension, package)
    return package.parent


def run_pytest(
    session: nox.Session, *arguments: str, env: dict[str, str], prefix: tuple[str, ...] = ()
) -> None:
    """pytest with every check of Python's own, and warnings as errors."""
    pytest = ("python", "-X", "dev", "-m", "pytest", "-W", "error", *arguments)
    session.run(*prefix, *pytest, env=env, external=bool(prefix))
