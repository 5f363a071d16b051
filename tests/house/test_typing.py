"""A user's mypy --strict understands the installed package."""

import os
import subprocess
import sys
from pathlib import Path

from tree import ROOT


def mypy(path: Path, folder: Path) -> str:
    """What mypy --strict says about one file, from a folder where no settings of ours apply."""
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(path)],
        cwd=folder,
        env={**os.environ, "MYPY_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    ).stdout


def test_the_public_api_has_the_types_it_promises(tmp_path: Path) -> None:
    assert mypy(ROOT / "tests/typing/public_api.py", tmp_path).startswith("Success")


def test_a_wrong_use_is_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import inferkit\n"
        'inferkit.Session("model.onnx", max_batch_rows=3)\n'
        'text: int = inferkit.Session("model.onnx").explain()\n'
    )
    said = mypy(wrong, tmp_path)
    assert "wrong.py:2" in said
    assert "wrong.py:3" in said
