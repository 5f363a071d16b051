"""Generated files are what their generator would write today."""

import shutil
import sys
from pathlib import Path

import pytest
import regen
from tree import ROOT

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != regen.STUB_PYTHON, reason="stubs are compared on Python 3.11 only"
)


def test_generated_files_are_fresh() -> None:
    assert regen.stale(ROOT) == [], "run python tests/house/regen.py"


def test_an_edited_file_is_stale(tmp_path: Path) -> None:
    for name in regen.GENERATED:
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    edited = tmp_path / "docs" / "errors.md"
    edited.write_text(edited.read_text() + "\nby hand\n")
    assert regen.stale(tmp_path) == ["docs/errors.md"]
