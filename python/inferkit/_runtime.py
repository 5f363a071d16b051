"""Finding the ONNX Runtime library that is installed here, without importing onnxruntime.

Importing onnxruntime would cost 0.3 s and map a second copy of the runtime, which lives inside
its own extension module. The plain shared library lies beside it in the wheel.
"""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import RuntimeNotFoundError

LIBRARY_VARIABLE = "INFERKIT_ORT_LIBRARY"
"""Environment variable: the library file to use, whatever is installed."""

_INSTALL = 'install one with pip install "inferkit[cpu]" or pip install "inferkit[gpu]"'

# The provider libraries beside it (libonnxruntime_providers_shared.so) must not match.
_PATTERNS = {
    "win32": re.compile(r"onnxruntime\.dll"),
    "darwin": re.compile(r"libonnxruntime(?:\.(?P<version>[\d.]+))?\.dylib"),
}
_ELSEWHERE = re.compile(r"libonnxruntime\.so(?:\.(?P<version>[\d.]+))?")


def find_runtime() -> str:
    """Return the path of the ONNX Runtime library to load.

    ``INFERKIT_ORT_LIBRARY`` wins where it is set; else it is the library in the installed
    ``onnxruntime`` package (``onnxruntime-gpu`` and the other builds share that name). Where two
    wheels left a library each, the one whose version the package states is taken, else the newest.

    Returns:
        An absolute path to an existing file. Nothing is imported or loaded.

    Raises:
        RuntimeNotFoundError: nothing is installed, the package holds no library, or the variable
            names no file. The text says what to install.
    """
    chosen = os.environ.get(LIBRARY_VARIABLE)
    if chosen:
        if not Path(chosen).is_file():
            raise RuntimeNotFoundError(f"{LIBRARY_VARIABLE} names no file: {chosen}")
        return str(Path(chosen).absolute())
    folders = _package_folders()
    if not folders:
        raise RuntimeNotFoundError(f"no onnxruntime package is installed; {_INSTALL}")
    candidates = [found for folder in folders for found in _libraries(folder / "capi")]
    if not candidates:
        where = ", ".join(str(folder / "capi") for folder in folders)
        raise RuntimeNotFoundError(
            f"the onnxruntime package holds no library in {where}; reinstall it: {_INSTALL}"
        )
    return str(_preferred(candidates, [_stated_version(folder) for folder in folders]))


def _package_folders() -> list[Path]:
    try:
        spec = find_spec("onnxruntime")
    except ValueError:  # something in sys.modules has taken the name and has no spec
        spec = None
    if spec is None:
        return []
    return [Path(folder).absolute() for folder in spec.submodule_search_locations or []]


def _libraries(folder: Path) -> list[tuple[Path, str]]:
    """Return each library in the folder with the version in its name, empty if it has none."""
    if not folder.is_dir():
        return []
    pattern = _PATTERNS.get(sys.platform, _ELSEWHERE)
    found = []
    for path in sorted(folder.iterdir()):
        match = pattern.fullmatch(path.name)
        if match:
            found.append((path, match.groupdict().get("version") or ""))
    return found


def _stated_version(folder: Path) -> str:
    """Return ``__version__`` as written in the package's own ``__init__.py``, empty if unknown."""
    try:
        source = (folder / "__init__.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"""^__version__\s*=\s*["']([^"']+)["']""", source, re.MULTILINE)
    return match.group(1) if match else ""


def _preferred(candidates: list[tuple[Path, str]], stated: list[str]) -> Path:
    def rank(candidate: tuple[Path, str]) -> tuple[bool, list[int]]:
        version = candidate[1]
        return version in stated, [int(part) for part in version.split(".") if part]

    return max(candidates, key=rank)[0]
