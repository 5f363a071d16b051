"""The version has one source, and everything that shows it agrees."""

import importlib.metadata
import re
from pathlib import Path

import inferkit
from inferkit import _core
from tree import ROOT

SOURCE = "python/inferkit/_version.py"


def source_version(root: Path) -> str:
    """The version in the one file that holds it."""
    (version,) = re.findall(r'^__version__ = "([^"]+)"$', (root / SOURCE).read_text(), re.MULTILINE)
    return version


def version_violations(root: Path) -> list[str]:
    """One line for each file that repeats or contradicts the source."""
    version = source_version(root)
    found = []
    for name in ("pyproject.toml", "CMakeLists.txt"):
        if version in (root / name).read_text():
            found.append(f"{name} repeats {version}")
    headings = re.findall(r"^## \[([^\]]+)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    if headings[:1] != [version]:
        found.append(f"CHANGELOG.md opens with {headings[:1]}, not with {version}")
    return found


def test_one_source() -> None:
    assert version_violations(ROOT) == []


def test_package_extension_and_metadata_agree() -> None:
    version = source_version(ROOT)
    assert inferkit.__version__ == version
    assert _core.__version__ == version
    assert importlib.metadata.version("inferkit") == version


def test_the_rule_sees_a_copy_and_a_stale_changelog(tmp_path: Path) -> None:
    (tmp_path / SOURCE).parent.mkdir(parents=True)
    (tmp_path / SOURCE).write_text('__version__ = "1.2.3"\n')
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "CMakeLists.txt").write_text("")
    (tmp_path / "CHANGELOG.md").write_text("## [1.2.2]\n")
    assert version_violations(tmp_path) == [
        "pyproject.toml repeats 1.2.3",
        "CHANGELOG.md opens with ['1.2.2'], not with 1.2.3",
    ]
