"""The wheel holds the package, its one extension and its licences, and nothing else."""

import os
import re
import zipfile
from pathlib import Path

import pytest
from tree import ROOT, tracked_files

PACKAGE = "python/inferkit"
MAX_BYTES = 3 << 20
MAX_DEMO_BYTES = 300 << 10
INFO = r"inferkit-[\w.]+\.dist-info"
BESIDE = [
    r"inferkit/_core\.[\w-]+\.(so|pyd)",
    INFO + r"/(METADATA|RECORD|WHEEL|entry_points\.txt)",
    INFO + r"/licenses/(LICENSE|THIRD_PARTY\.md)",
]
# Words that only the testing build may hold.
DOUBLES = [b"INFERKIT_TESTING", b"failpoint", b"scripted_backend", b"ScriptedBackend"]


def wheel_violations(wheel: Path, root: Path) -> list[str]:
    """One line for each file too much or too few, each byte too many, each double inside."""
    package = {
        path.relative_to(root / "python").as_posix()
        for path in tracked_files(root)
        if path.is_relative_to(root / PACKAGE)
    }
    found = [] if wheel.stat().st_size <= MAX_BYTES else [f"{wheel.stat().st_size} bytes"]
    with zipfile.ZipFile(wheel) as archive:
        names = {info.filename: info for info in archive.infolist()}
        found += [f"missing: {name}" for name in sorted(package - names.keys())]
        others = sorted(names.keys() - package)
        found += [
            f"not the package's: {name}"
            for name in others
            if not any(re.fullmatch(pattern, name) for pattern in BESIDE)
        ]
        demo = sum(i.file_size for name, i in names.items() if re.search(r"\.(onnx|npz)$", name))
        if demo > MAX_DEMO_BYTES:
            found.append(f"demo data: {demo} bytes")
        extensions = [name for name in others if re.fullmatch(BESIDE[0], name)]
        if len(extensions) != 1:
            found.append(f"extensions: {extensions}")
        for name in extensions:
            binary = archive.read(name)
            found += [f"{name} holds {word.decode()}" for word in DOUBLES if word in binary]
    return found


def test_wheel_content() -> None:
    wheel = os.environ.get("INFERKIT_WHEEL")
    if wheel is None:
        pytest.skip("INFERKIT_WHEEL is not set: nox -s test builds a wheel and sets it")
    assert wheel_violations(Path(wheel), ROOT) == []


def test_each_kind_of_wrong_content_is_seen(tmp_path: Path) -> None:
    (tmp_path / PACKAGE).mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    (tmp_path / PACKAGE / "py.typed").touch()
    wheel = tmp_path.with_suffix(".whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("inferkit/__init__.py", "")
        archive.writestr("inferkit/_core.cpython-311-x86_64-linux-gnu.so", b"\0failpoint\0")
        archive.writestr("inferkit/csrc/engine.cpp", "")
        archive.writestr("tests/test_x.py", "")
        archive.writestr("inferkit-0.1.0.dist-info/METADATA", "")
        archive.writestr("inferkit/big.onnx", os.urandom(MAX_BYTES))
    assert wheel_violations(wheel, tmp_path) == [
        f"{wheel.stat().st_size} bytes",
        "missing: inferkit/py.typed",
        "not the package's: inferkit/big.onnx",
        "not the package's: inferkit/csrc/engine.cpp",
        "not the package's: tests/test_x.py",
        f"demo data: {MAX_BYTES} bytes",
        "inferkit/_core.cpython-311-x86_64-linux-gnu.so holds failpoint",
    ]
