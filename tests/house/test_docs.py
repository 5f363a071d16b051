"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

pytest.importorskip("sphinx", reason="the docs extra is not installed")
pytest.importorskip("furo", reason="the docs extra is not installed")


def sphinx_warnings(docs: Path, out: Path) -> str:
    """What sphinx-build complains about, with every page read anew."""
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", str(docs), str(out)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.stderr or f"exit {done.returncode}" * (done.returncode != 0)


def test_docs_build_without_a_warning(tmp_path: Path) -> None:
    assert sphinx_warnings(ROOT / "docs", tmp_path / "html") == ""


def test_a_broken_page_is_seen(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "conf.py").write_text('project = "synthetic"\nextensions = ["myst_parser"]\n')
    (docs / "index.md").write_text("# Page\n\nSee [nowhere](nowhere.md).\n")
    assert "nowhere.md" in sphinx_warnings(docs, tmp_path / "html")
