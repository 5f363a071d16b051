"""The threads of this process as the system names them."""

from collections.abc import Iterator
from pathlib import Path


def threads() -> Iterator[tuple[Path, str]]:
    """The folder under ``/proc`` of each thread, and its name; not of those that just ended."""
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:
            continue
        yield task, name
