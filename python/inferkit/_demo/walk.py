"""Which files the file-types job looks at."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 2000
NOT_LIBRARY = frozenset({"site-packages", "dist-packages", "__pycache__"})


def standard_library() -> Path:
    """Return the folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def walk(folder: Path, skip: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the regular files under ``folder``, sorted, without following links.

    Folders named in ``skip`` and folders that can't be read are passed over.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in skip:
                yield from walk(Path(entry.path), skip)
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
