"""Sanitizers: no suppression names our own code, and what is left out is there, with a reason."""

import re
import tomllib
from pathlib import Path

from tree import ROOT

FOLDER = ROOT / "tests" / "sanitizers"
# The libraries whose own threads and locks the sanitizers do not see.
OTHERS = {"libonnxruntime", "onnxruntime_pybind11_state", "_dl_deallocate_tls"}


def suppressed(text: str) -> list[str]:
    """What a suppression file names."""
    lines = [line.strip() for line in text.splitlines()]
    return [line.partition(":")[2] for line in lines if line and not line.startswith("#")]


def lost(left_out: str, tests: Path) -> list[str]:
    """One line for each entry that names no test, or gives no reason."""
    found = []
    for table in tomllib.loads(left_out).values():
        for name, reason in table.items():
            file, _, function = name.partition("[")[0].partition("::")
            case = name.partition("[")[2].removesuffix("]")
            text = (tests / file).read_text() if (tests / file).is_file() else ""
            named = re.search(
                rf"^(async )?def {function}\(" if function else r"^def test_", text, re.M
            )
            if not named or case not in text or not reason.strip():
                found.append(name)
    return found


def test_no_suppression_names_our_code() -> None:
    for file in FOLDER.glob("*.supp"):
        assert set(suppressed(file.read_text())) <= OTHERS


def test_what_is_left_out_is_there() -> None:
    assert lost((FOLDER / "left_out.toml").read_text(), ROOT / "tests" / "python") == []


def test_each_mistake_is_seen(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_one() -> None: ...\n")
    entries = '"test_a.py::test_one" = "x"\n"test_a.py" = "x"\n'
    assert lost(f"[thread]\n{entries}", tmp_path) == []
    assert lost('[thread]\n"test_a.py::test_one[None]" = "x"\n', tmp_path) == []
    names = ["test_a.py::test_two", "test_a.py::test_one[two]", "test_b.py"]
    wrong = "".join(f'"{name}" = "x"\n' for name in names)
    assert lost(f"[thread]\n{wrong}", tmp_path) == names
    assert lost('[thread]\n"test_a.py" = " "\n', tmp_path) == ["test_a.py"]
    assert suppressed("# why\nrace:inferkit::Engine\n") == ["inferkit::Engine"]
