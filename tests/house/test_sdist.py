"""A tree exported without .git yields the sdist that the wheel was built from."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tree import ROOT, tracked_files

LEFT_OUT = (".ci/", "benchmarks/results/")


def expected_names(root: Path) -> set[str]:
    """What the sdist of `root` must hold: the tracked files less what is left out, and PKG-INFO."""
    names = {path.relative_to(root).as_posix() for path in tracked_files(root)}
    return {name for name in names if not name.startswith(LEFT_OUT)} | {"PKG-INFO"}


def sdist_names(sdist: Path) -> set[str]:
    """The files in an sdist, without its top folder."""
    with tarfile.open(sdist) as archive:
        return {name.split("/", 1)[1] for name in archive.getnames()}


def export_and_build(root: Path, folder: Path) -> Path:
    """Copy the tracked files to where no .git is, and build an sdist there."""
    tree = folder / "tree"
    for path in tracked_files(root):
        target = tree / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder)],
        cwd=tree,
        check=True,
        capture_output=True,
    )
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def test_sdist_of_an_exported_tree(tmp_path: Path) -> None:
    built = os.environ.get("INFERKIT_SDIST")
    if built is None:
        pytest.skip("INFERKIT_SDIST is not set: nox -s test builds an sdist and sets it")
    names = sdist_names(export_and_build(ROOT, tmp_path))
    assert names == expected_names(ROOT)
    # The sdist made in the working tree built the wheel under test; the exported one has no less.
    assert names <= sdist_names(Path(built))


def test_a_lost_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "kept.py").touch()
    (tmp_path / "lost.py").touch()
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "kept.py", "inferkit-1/kept.py")
    (tmp_path / "seen").mkdir()
    assert sdist_names(tmp_path / "x.tar.gz") == {"kept.py"}
    assert expected_names(tmp_path) - sdist_names(tmp_path / "x.tar.gz") >= {"lost.py"}
